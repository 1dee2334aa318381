# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Model files in, tensors out: GGUF, safetensors, GPTQ, AWQ, npz; a real model to fetch."""

from .activations import TEXT, activations, model_activations
from .files import list_tensors, load_quantized, load_tensor, open_file
from .quantized import QuantizedTensor
from .reader import WeightFileError
from .ternary import as_ternary, load_ternary

__all__ = [
    "TEXT",
    "QuantizedTensor",
    "WeightFileError",
    "activations",
    "as_ternary",
    "list_tensors",
    "load_quantized",
    "load_tensor",
    "load_ternary",
    "model_activations",
    "open_file",
]
