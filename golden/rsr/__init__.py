# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR: codes, quantizers, the published index, exact model and stream words (arXiv 2411.06360; docs/rsr.md)."""

from .codes import decode_byte, fold, pack_trits, unfold, unpack_trits
from .config import RsrConfig
from .index import Index, SplitIndex, bucket_sums, index_matmul, preprocess
from .model import Flags, matmul, reference
from .quantizer import QuantizedActivations, QuantizedWeight, from_ternary, quantize, quantize_activations
from .streams import pack, pack_activations, pack_outputs, pack_tokens, unpack, unpack_outputs

__all__ = [
    "Flags",
    "Index",
    "QuantizedActivations",
    "QuantizedWeight",
    "RsrConfig",
    "SplitIndex",
    "bucket_sums",
    "decode_byte",
    "fold",
    "from_ternary",
    "index_matmul",
    "matmul",
    "pack",
    "pack_activations",
    "pack_outputs",
    "pack_tokens",
    "pack_trits",
    "preprocess",
    "quantize",
    "quantize_activations",
    "reference",
    "unfold",
    "unpack",
    "unpack_outputs",
    "unpack_trits",
]
