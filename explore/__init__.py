# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Which engine for which model: what a model's layers are, and what they take of an engine and its memory."""

from .performance import Bound, LayerCost, Machine, ModelCost, cost_of, layer_bytes
from .shapes import NAMED, Layer, Shape, shape_of

__all__ = ["NAMED", "Bound", "Layer", "LayerCost", "Machine", "ModelCost", "Shape", "cost_of", "layer_bytes", "shape_of"]
