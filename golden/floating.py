# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Exact models of the floating-point parts: results that are rounded once, to nearest, ties to even.

Everything is done in float64, which holds each operand and each product exactly; only a sum may not fit.
"""

import numpy as np

__all__ = ["accumulate_float32", "fused_multiply_add", "scale_add", "scale_round", "scaled_sums"]

_FLOAT64_DIGITS = 53
#: Weight of the last place of a binary32 subnormal number, and of the largest power of two, as exponents.
_FLOAT32_EXPONENTS = (-149, 127)


def _two_sum(a, b):
    """Sum of two float64 and its exact rounding error (Knuth, TAOCP vol. 2, 4.2.2, theorem B)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _add_round_to_odd(a, b):
    """Return a + b in float64, rounded to odd: an inexact sum goes to the neighbour whose last bit is 1.

    If the rounding error of the ordinary sum is not 0 and the sum's last bit is 0, the odd neighbour on the error's
    side is the wanted one.
    """
    total, error = _two_sum(a, b)
    even = (total.view(np.int64) & 1) == 0
    toward = np.nextafter(total, np.copysign(np.inf, error))
    return np.where((error != 0) & even, toward, total)


def fixed_to_float32(value: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """``value * 2**exponent`` of int64 values below 2**63, rounded once to float32, ties to even."""
    long = np.abs(value) > 1 << 53
    value = np.where(long, value >> 10 | ((value & 1023) != 0), value)  # to odd, which keeps the fact that it is inexact
    return accumulate_float32(np.zeros(value.shape, np.float32), value, exponent + 10 * long)


def accumulate_float32(total, operand, exponent):
    """Return ``total + operand * 2**exponent``, rounded once to float32; an exact zero is +0.

    The sum is first rounded to odd with 53 bits, which keeps the fact that it is inexact, and then to 24
    bits. With at least two bits more than the result (53 >= 24 + 2) this gives the correctly rounded sum
    (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
    odd", 2008). Two roundings to nearest would not: 53 >= 2 * 24 + 2 makes them harmless only if both
    operands have 24 bits, and an operand may have 53 here.

    Parameters
    ----------
    total : array_like of float32
        Sums so far; finite.
    operand : array_like of int64
        Integers to add, magnitudes at most 2**53; broadcast with the others.
    exponent : array_like of int
        Their powers of two, at least -149.

    Returns
    -------
    ndarray of float32
        New sums.

    Raises
    ------
    TypeError
        If `total` is not float32, or `operand` or `exponent` not integer.
    ValueError
        If a value is outside its range or a new sum exceeds the finite range of float32.
    """
    total, operand, exponent = np.asarray(total), np.asarray(operand), np.asarray(exponent)
    if total.dtype != np.float32:
        raise TypeError(f"total must be float32, not {total.dtype!r}")
    for name, value in (("operand", operand), ("exponent", exponent)):
        if value.dtype.kind not in "iu":
            raise TypeError(f"{name} must be an integer array, not {value.dtype!r}")
    if not np.isfinite(total).all():
        raise ValueError(f"total must be finite, not {total[~np.isfinite(total)][0]!r}")
    limit = 1 << _FLOAT64_DIGITS
    outside = (operand > limit) | (operand < -limit)
    if outside.any():
        raise ValueError(f"operand must have a magnitude of at most 2**{_FLOAT64_DIGITS}, "
                         f"not {operand[outside][0]!r}")
    low, high = _FLOAT32_EXPONENTS
    outside = (exponent < low) | (exponent > high)
    if outside.any():
        raise ValueError(f"exponent must be between {low} and {high}, not {exponent[outside][0]!r}")
    addend = np.ldexp(operand.astype(np.float64), exponent)
    with np.errstate(over="ignore"):
        result = _add_round_to_odd(total.astype(np.float64), addend).astype(np.float32)
    if not np.isfinite(result).all():
        raise ValueError("total + operand * 2**exponent must stay within the finite range of float32")
    return result + np.float32(0)


def fused_multiply_add(a, b, total):
    """Return ``total + a * b``, rounded once to the type of `total`, as IEEE 754 has it; NaN results have one pattern.

    The product of two 11-bit significands is exact in float64; the sum is rounded to odd there, see
    :func:`accumulate_float32`, and then to the result.

    Parameters
    ----------
    a, b : array_like of float16
        Factors, broadcast with `total`.
    total : array_like of float16 or float32
        Sums so far.

    Raises
    ------
    TypeError
        If an operand has another type.
    """
    a, b, total = np.asarray(a), np.asarray(b), np.asarray(total)
    for name, value in (("a", a), ("b", b)):
        if value.dtype != np.float16:
            raise TypeError(f"{name} must be float16, not {value.dtype!r}")
    if total.dtype not in (np.float16, np.float32):
        raise TypeError(f"total must be float16 or float32, not {total.dtype!r}")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        product, addend = a.astype(np.float64) * b.astype(np.float64), total.astype(np.float64)
        plain = product + addend
        exact = np.where(np.isfinite(plain), _add_round_to_odd(product, addend), plain).astype(total.dtype)
    return np.where(np.isnan(exact), total.dtype.type(np.nan), exact)


def scale_round(total, scale, dtype):
    """Return ``total * scale``, rounded once to `dtype`, and where it overflowed.

    The product of two 24-bit significands has 48 bits and is exact in float64, so the cast is the only
    rounding.

    Parameters
    ----------
    total : array_like of float32
        Sums; finite. A subnormal one has its value here, and counts as 0 in
        `subbyte.hdl.floating.FloatScale`.
    scale : array_like of float32
        Scales, broadcast with `total`; finite and not negative.
    dtype : dtype_like
        float32 or float16.

    Returns
    -------
    y : ndarray of `dtype`
        Products; infinite where they overflow, subnormal or zero of the product's sign where they underflow.
    overflow : ndarray of bool
        Where a product exceeds the finite range of `dtype`.

    Raises
    ------
    TypeError
        If an operand is not float32 or `dtype` is neither float32 nor float16.
    ValueError
        If an operand is outside its range.
    """
    total, scale, dtype = np.asarray(total), np.asarray(scale), np.dtype(dtype)
    for name, value in (("total", total), ("scale", scale)):
        if value.dtype != np.float32:
            raise TypeError(f"{name} must be float32, not {value.dtype!r}")
        if not np.isfinite(value).all():
            raise ValueError(f"{name} must be finite, not {value[~np.isfinite(value)][0]!r}")
    if dtype not in (np.dtype(np.float32), np.dtype(np.float16)):
        raise TypeError(f"dtype must be float32 or float16, not {dtype!r}")
    if (scale < 0).any():
        raise ValueError(f"scale must not be negative, not {scale[scale < 0][0]!r}")
    with np.errstate(over="ignore", under="ignore"):
        y = (total.astype(np.float64) * scale.astype(np.float64)).astype(dtype)
    return y, np.isinf(y)


def scale_add(integer, scale, constant):
    """Return ``integer * scale + constant``, rounded once to float32; an exact zero is +0.

    The product of 32 and 24 bits does not fit a float64, so it is kept as two, and the three terms are added as in
    Boldo and Melquiond's fused multiply-add: what two exact sums leave over is added rounded to odd.

    Parameters
    ----------
    integer : array_like of int64
        Magnitudes at most 2**32.
    scale : array_like of float32
        +0, or from 2**-100 to 2**90.
    constant : array_like of float32
        Zero, or of a magnitude from 2**-100 to 2**126. Then no result is subnormal or infinite.

    Returns
    -------
    ndarray of float32

    Raises
    ------
    TypeError
        If `integer` is not integer, or another operand not float32.
    ValueError
        If an operand is outside its range.
    """
    integer, scale, constant = np.asarray(integer), np.asarray(scale), np.asarray(constant)
    if integer.dtype.kind not in "iu":
        raise TypeError(f"integer must be an integer array, not {integer.dtype!r}")
    if np.any(np.abs(integer) > 1 << 32):
        raise ValueError(f"integer must have a magnitude of at most 2**32, not {np.abs(integer).max()!r}")
    for name, value, high in (("scale", scale, 2.0**90), ("constant", np.abs(constant), 2.0**126)):
        if value.dtype != np.float32:
            raise TypeError(f"{name} must be float32, not {value.dtype!r}")
        wrong = ~((value == 0) | (value >= 2.0**-100) & (value <= high))
        if wrong.any():
            raise ValueError(f"{name} must be 0 or at least 2**-100 and at most 2**{int(np.log2(high))}, "
                             f"not {value[wrong][0]!r}")
    significand, exponent = np.frexp(scale.astype(np.float64))
    product = integer.astype(np.int64) * np.ldexp(significand, 24).astype(np.int64)  # 57 bits
    high = product.astype(np.float64)
    low = (product - high.astype(np.int64)).astype(np.float64)
    upper, rest = _two_sum(constant.astype(np.float64), np.ldexp(low, exponent - 24))
    total, error = _two_sum(np.ldexp(high, exponent - 24), upper)
    return _add_round_to_odd(total, _add_round_to_odd(rest, error)).astype(np.float32) + np.float32(0)


def scaled_sums(sums, token_scales, weight_scales, dtype):
    """Return integer sums times the product of two scales, rounded to `dtype`, and where they overflow.

    The scales are multiplied first, rounded to binary32 and zero if subnormal there; the sum, itself in binary32, then by their
    product. A product of scales that overflows makes every sum but zero do so.

    Parameters
    ----------
    sums : int64 array
    token_scales, weight_scales : array_like of float32
        Broadcast with the sums.
    dtype : dtype_like
        float32 or float16.

    Returns
    -------
    y : ndarray of `dtype`
    overflow : ndarray of bool
    """
    scales, infinite = scale_round(weight_scales, token_scales, np.float32)
    scales = np.where(scales < np.finfo(np.float32).tiny, np.float32(0), scales)
    infinite = np.broadcast_to(infinite, sums.shape) & (sums != 0)
    y, overflow = scale_round(sums.astype(np.float32), np.where(np.isinf(scales), np.float32(0), scales), dtype)
    return np.where(infinite, np.copysign(np.inf, sums).astype(dtype), y), overflow | infinite
