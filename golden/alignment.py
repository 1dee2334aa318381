# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Binary16 activations as integers of one exponent: what a row's edge makes of them."""

import numpy as np

__all__ = ["EXPONENT_BITS", "MANTISSA_BITS", "align_to", "check_binary16", "fields_of"]

EXPONENT_BITS, MANTISSA_BITS = 5, 11
"""Of binary16, the hidden bit included."""


def fields_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sign, effective exponent and significand of binary16; non-finite ones are zero and marked."""
    bits = x.view(np.uint16).astype(np.int64)
    exponent = bits >> 10 & 31
    nonfinite = exponent == 31
    significand = np.where(nonfinite, 0, bits & 1023 | (exponent != 0) << 10)
    return bits >> 15, np.where(nonfinite, 1, np.maximum(exponent, 1)), significand, nonfinite


def align_to(x: np.ndarray, alignment: np.ndarray, guard_bits: int) -> np.ndarray:
    """Integers int64 of the shape of x: significands with so many guard bits, moved down to an exponent, none above it.

    Each is rounded once, half away from zero; ``a * 2**(alignment - 25 - guard_bits)`` is what it stands for.
    """
    sign, exponent, significand, _ = fields_of(x)
    magnitude = ((significand << guard_bits << 1 >> (alignment - exponent)) + 1) >> 1
    return np.where(sign, -magnitude, magnitude)


def check_binary16(x: np.ndarray, k: int | None = None, name: str = "activations") -> np.ndarray:
    """Return x as float16 [M, K]; a wider input is refused, since its rounding is the caller's decision."""
    x = np.asarray(x)
    if x.dtype != np.float16:
        raise TypeError(f"{name} must be float16, not {x.dtype}")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} must have shape [M, K] with M, K at least 1, not {x.shape}")
    if k is not None and x.shape[1] != k:
        raise ValueError(f"{name} must have K = {k} like the weight, not {x.shape[1]}")
    return x
