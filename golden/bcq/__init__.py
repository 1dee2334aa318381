# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""nuQmm / LUT-GEMM: binary-coded weights, products from tables of sums."""

from .config import BcqConfig, check_operands, scale_fields
from .model import Flags, error_bound, group_exponents, matmul, plane_sums, reference
from .quantizer import METHODS, QuantizedWeight, from_uniform, quantize
from .streams import from_kernel_words, kernel_words, pack, pack_activations, pack_outputs, unpack, unpack_outputs

__all__ = [
    "METHODS", "BcqConfig", "Flags", "QuantizedWeight", "check_operands", "error_bound", "from_kernel_words", "from_uniform",
    "group_exponents", "kernel_words", "matmul", "pack", "pack_activations", "pack_outputs", "plane_sums", "quantize",
    "reference", "scale_fields", "unpack", "unpack_outputs",
]
