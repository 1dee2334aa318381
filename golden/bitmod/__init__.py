# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD: formats, quantizer, exact model and stream words (HPCA 2025; docs/bitmod.md)."""

from .config import BitModConfig
from .formats import Format, code_points
from .model import Flags, align, error_bound, group_sum, matmul, reference
from .quantizer import FORMATS, GROUP_SIZES, QuantizedWeight, from_integers, losses, prescale_for, quantize, values_of
from .streams import pack, pack_activations, pack_outputs, unpack, unpack_outputs

__all__ = [
    "FORMATS",
    "GROUP_SIZES",
    "BitModConfig",
    "Flags",
    "Format",
    "QuantizedWeight",
    "align",
    "code_points",
    "error_bound",
    "from_integers",
    "group_sum",
    "losses",
    "matmul",
    "pack",
    "pack_activations",
    "pack_outputs",
    "prescale_for",
    "quantize",
    "reference",
    "unpack",
    "unpack_outputs",
    "values_of",
]
