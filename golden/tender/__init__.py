# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender: decomposition, calibration, exact model and stream words (ISCA 2024; docs/tender.md)."""

from .calibration import Calibrator, calibrate, worst_case_bits
from .config import Beats, TenderConfig, beats_of
from .model import (
    Flags,
    accumulate,
    accumulator_bits,
    correction,
    error_bound,
    filling,
    matmul,
    recombine_nibbles,
    reference,
    requantize,
    split_nibbles,
)
from .quantizer import BITS, SMALLEST_DIVISOR, Calibration, Decomposed, QuantizedWeight, decompose, quantize
from .streams import pack, pack_outputs, unpack, unpack_outputs

__all__ = [
    "BITS",
    "SMALLEST_DIVISOR",
    "Beats",
    "Calibration",
    "Calibrator",
    "Decomposed",
    "Flags",
    "QuantizedWeight",
    "TenderConfig",
    "accumulate",
    "accumulator_bits",
    "beats_of",
    "calibrate",
    "correction",
    "decompose",
    "error_bound",
    "filling",
    "matmul",
    "pack",
    "pack_outputs",
    "quantize",
    "recombine_nibbles",
    "reference",
    "requantize",
    "split_nibbles",
    "unpack",
    "unpack_outputs",
    "worst_case_bits",
]
