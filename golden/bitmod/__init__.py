# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD: formats, quantizer, exact model and stream words (HPCA 2025; docs/bitmod.md)."""

from .config import BitModConfig
from .formats import Format
from .model import Flags, align, error_bound, group_sum, matmul, reference
from .quantizer import FORMATS, QuantizedWeight, quantize
from .streams import pack, pack_activations, pack_outputs, unpack, unpack_outputs

__all__ = [
    "FORMATS",
    "BitModConfig",
    "Flags",
    "Format",
    "QuantizedWeight",
    "align",
    "error_bound",
    "group_sum",
    "matmul",
    "pack",
    "pack_activations",
    "pack_outputs",
    "quantize",
    "reference",
    "unpack",
    "unpack_outputs",
]
