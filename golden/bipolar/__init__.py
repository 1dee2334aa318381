# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT: n x m bit products by XOR and population count, to the bit (docs/bipolar.md)."""

from .codes import MAX_BITS, constant, decode, encode, preprocess, product, restore, signed_codes, xor_sums
from .config import BipolarConfig
from .model import Corrections, Flags, corrections, error_bound, matmul, padded_results, reference
from .quantizer import QuantizedActivations, QuantizedWeight, from_signed, quantize, quantize_activations
from .streams import pack, pack_activations, pack_outputs, pack_tokens, unpack, unpack_outputs

__all__ = [
    "MAX_BITS",
    "BipolarConfig",
    "Corrections",
    "Flags",
    "QuantizedActivations",
    "QuantizedWeight",
    "constant",
    "corrections",
    "decode",
    "encode",
    "error_bound",
    "from_signed",
    "matmul",
    "pack",
    "pack_activations",
    "pack_outputs",
    "pack_tokens",
    "padded_results",
    "preprocess",
    "product",
    "quantize",
    "quantize_activations",
    "reference",
    "restore",
    "signed_codes",
    "unpack",
    "unpack_outputs",
    "xor_sums",
]
