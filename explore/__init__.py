# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Which engine for which model: what a model's layers take of engines and their memory, and a search among these."""

from .engines import engine_for
from .exploration import Exploration, Outcome, front
from .measures import MEASURES, Better, Measure, Task
from .mixed import Mixed, choose, load_mixed
from .performance import Bound, LayerCost, Machine, ModelCost, cost_of, layer_bytes, mixed_cost
from .search import search, sweep
from .shapes import NAMED, Layer, Shape, shape_of
from .space import PRESETS, Point, Space, load_space
from .store import Store
from .workers import Workers

__all__ = ["MEASURES", "NAMED", "PRESETS", "Better", "Bound", "Exploration", "Layer", "LayerCost", "Machine", "Measure",
           "Mixed", "ModelCost", "Outcome", "Point", "Shape", "Space", "Store", "Task", "Workers", "choose",
           "cost_of", "engine_for", "front", "layer_bytes", "load_mixed", "load_space", "mixed_cost", "search",
           "shape_of", "sweep"]
