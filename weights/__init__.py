# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Model files in, tensors out: GGUF, safetensors, npz; a real model to fetch."""

from .activations import TEXT, activations
from .files import WeightFileError, list_tensors, load_tensor
from .ternary import load_ternary

__all__ = ["TEXT", "WeightFileError", "activations", "list_tensors", "load_tensor", "load_ternary"]
