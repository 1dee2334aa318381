# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Which engine for which model: what a model's layers are, and what they take of an engine and its memory."""

from .mixed import Mixed, choose, load_mixed
from .performance import Bound, LayerCost, Machine, ModelCost, cost_of, layer_bytes, mixed_cost
from .shapes import NAMED, Layer, Shape, shape_of

__all__ = ["NAMED", "Bound", "Layer", "LayerCost", "Machine", "Mixed", "ModelCost", "Shape", "choose", "cost_of", "layer_bytes",
           "load_mixed", "mixed_cost", "shape_of"]
