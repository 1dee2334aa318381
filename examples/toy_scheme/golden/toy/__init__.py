# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Toy: INT8 weights times INT8 activations, plain sums of products; what docs/adding-a-scheme.md walks through."""

from .config import ToyConfig
from .model import matmul, pack, pack_outputs, reference, unpack_outputs
from .quantizer import Quantized, quantize

__all__ = ["Quantized", "ToyConfig", "matmul", "pack", "pack_outputs", "quantize", "reference", "unpack_outputs"]
