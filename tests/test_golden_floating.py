# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The floating-point models against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from subbyte.golden import floating
from subbyte.golden.floating import accumulate_float32, fixed_to_float32, fused_multiply_add, scale_add, scale_round


def is_rounding_of(y, exact):
    """Tell whether the finite number `y` is `exact` rounded to nearest, ties to even."""
    error = abs(Fraction(float(y)) - exact)
    with np.errstate(over="ignore"):
        neighbours = [np.nextafter(y, y.dtype.type(end)) for end in (np.inf, -np.inf)]
    for neighbour in filter(np.isfinite, neighbours):
        other = abs(Fraction(float(neighbour)) - exact)
        if other < error or (other == error and int(y.view(f"u{y.itemsize}")) & 1):
            return False
    return True


def float32s(low, high):
    """Float32 numbers with any 24-bit significand and a leading one of weight 2**low to 2**high, and zero."""
    return st.one_of(st.just(np.float32(0)), st.builds(
        lambda m, e, s: np.float32(np.ldexp(s * m, e - 23)),
        st.integers(1 << 23, (1 << 24) - 1), st.integers(low, high), st.sampled_from([-1, 1])))


@settings(derandomize=True, deadline=None, max_examples=400)
@given(total=float32s(-30, 60), operand=st.integers(-(1 << 53), 1 << 53), exponent=st.integers(-60, 30))
@example(np.float32(2**24), 1, 0)  # tie to even, down
@example(np.float32(2**24 + 2), 1, 0)  # tie to even, up
@example(np.float32(2**24 - 1), 1, -1)  # the rounding carries into a new binade
@example(np.float32(2**24), (1 << 52) + 1, -52)  # just above a tie: two roundings to nearest would miss it
@example(np.float32(2**24 + 2), (1 << 53) - 1, -53)  # just below one
@example(np.float32(1.5), -3, -1)  # cancellation to zero
@example(np.float32(-2**60), 1, -60)  # largest gap, from above
@example(np.float32(2**-30), -(1 << 53), 30)  # and from below
@example(np.float32(0), 0, 0)
def test_accumulate_is_one_rounding(total, operand, exponent):
    y = accumulate_float32(total, np.int64(operand), exponent)
    exact = Fraction(float(total)) + operand * Fraction(2) ** exponent
    assert is_rounding_of(np.float32(y), exact)
    assert exact or not np.signbit(y)


def near_ties(count, seed):
    """Sums, operands and exponents whose exact sum lies at, just above or just below a tie of float32."""
    rng = np.random.default_rng(seed)
    significand = rng.integers(1 << 23, 1 << 24, count)
    total = np.ldexp(significand.astype(np.float64), 10).astype(np.float32)
    operand = (np.int64(1) << 50) * rng.choice([-1, 1], count) + rng.integers(-1, 2, count)
    return total, operand, 9 - 50


def test_accumulate_near_ties():
    total, operand, exponent = near_ties(500, seed=1)
    for y, t, o in zip(accumulate_float32(total, operand, exponent), total, operand):
        assert is_rounding_of(y, Fraction(float(t)) + int(o) * Fraction(2) ** exponent)


def test_plain_float64_sum_would_be_wrong(monkeypatch):
    """The vectors near ties tell rounding to odd from a second rounding to nearest."""
    total, operand, exponent = near_ties(500, seed=1)
    right = accumulate_float32(total, operand, exponent)
    monkeypatch.setattr(floating, "_add_round_to_odd", lambda a, b: a + b)
    assert (accumulate_float32(total, operand, exponent) != right).any()


def test_accumulate_broadcasts():
    y = accumulate_float32(np.zeros((2, 1), np.float32), np.array([1, 2, 3]), -1)
    np.testing.assert_array_equal(y, np.float32([[0.5, 1, 1.5]] * 2))
    assert y.dtype == np.float32


@settings(max_examples=400)
@given(*[st.integers(0, (1 << 16) - 1)] * 2, st.integers(0, (1 << 32) - 1), st.sampled_from([np.float16, np.float32]))
def test_fused_multiply_add_is_one_rounding(a, b, total, dtype):
    a, b = np.uint16([a, b]).view(np.float16)
    total = np.uint32([total]).view(dtype)[0]
    with np.errstate(all="ignore"):
        y, plain = fused_multiply_add(a, b, total)[()], np.float64(a) * np.float64(b) + np.float64(total)
    assert y.dtype == dtype
    if np.isfinite(plain):
        exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(total))
        if np.isinf(y):  # beyond the middle between the largest number and the next power of two
            largest = np.finfo(dtype).max
            assert abs(exact) >= Fraction(float(largest)) + Fraction(float(np.spacing(largest))) / 2
        else:
            assert is_rounding_of(y, exact)
            assert exact or np.signbit(y) == np.signbit(plain)
    else:
        np.testing.assert_array_equal(y, plain)
        assert not np.isnan(y) or not np.signbit(y)


@pytest.mark.parametrize("message, operands", [
    ("a must be float16, not .*float32", (np.float32(1), np.float16(1), np.float16(1))),
    ("b must be float16, not .*int64", (np.float16(1), 1, np.float16(1))),
    ("total must be float16 or float32, not .*float64", (np.float16(1), np.float16(1), 1.0))])
def test_fused_multiply_add_operands(message, operands):
    with pytest.raises(TypeError, match=message):
        fused_multiply_add(*operands)


@pytest.mark.parametrize("error, message, arguments", [
    (TypeError, "total must be float32", (np.float64(1), 1, 0)),
    (TypeError, "operand must be an integer array", (np.float32(1), 1.5, 0)),
    (TypeError, "exponent must be an integer array", (np.float32(1), 1, 0.5)),
    (ValueError, "total must be finite, not .*inf", (np.float32(np.inf), 1, 0)),
    (ValueError, r"operand must have a magnitude of at most 2\*\*53, not .*9007199254740993",
     (np.float32(0), 2**53 + 1, 0)),
    (ValueError, "exponent must be between -149 and 127, not .*-150", (np.float32(0), 1, -150)),
    (ValueError, "exponent must be between -149 and 127, not .*128", (np.float32(0), 1, 128)),
    (ValueError, "finite range of float32", (np.float32(0), 2**53, 127)),
])
def test_accumulate_checks(error, message, arguments):
    with pytest.raises(error, match=message):
        accumulate_float32(*arguments)


def check_scaled(total, scale, dtype):
    y, overflow = scale_round(total, scale, dtype)
    y = np.dtype(dtype).type(y)
    exact = Fraction(float(total)) * Fraction(float(scale))
    # An infinity begins half a unit in the last place above the largest number, a tie included.
    info = np.finfo(dtype)
    limit = Fraction(float(info.max)) + Fraction(2) ** (info.maxexp - info.nmant - 2)
    assert overflow == (abs(exact) >= limit) == np.isinf(y)
    assert overflow or is_rounding_of(y, exact)
    assert np.signbit(y) == np.signbit(total)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(total=float32s(-40, 70), scale=float32s(-126, 20).map(abs))
def test_scale_to_float32_is_one_rounding(total, scale):
    check_scaled(total, scale, np.float32)


@settings(derandomize=True, deadline=None, max_examples=600)
@given(total=float32s(-30, 20), scale=float32s(-20, 10).map(abs))
@example(np.float32(65520), np.float32(1))  # the least number that overflows: a tie
@example(np.nextafter(np.float32(65520), np.float32(0)), np.float32(1))
@example(np.float32(-65504), np.float32(1))
@example(np.float32(2**-25), np.float32(1))  # half of the least subnormal number: a tie to zero
@example(np.nextafter(np.float32(2**-25), np.float32(1)), np.float32(1))
@example(np.float32(-3 * 2**-25), np.float32(1))
@example(np.float32(2**-14 - 2**-25), np.float32(1))  # rounds up to the least normal number
@example(np.float32(-1), np.float32(0))
@example(np.float32(0), np.float32(1))
def test_scale_to_float16_is_one_rounding(total, scale):
    check_scaled(total, scale, np.float16)


def products_near_half_ties(count, seed):
    """Factors whose product is a tie of float16 in its upper 24 bits but not exactly."""
    rng = np.random.default_rng(seed)
    half = (2 * rng.integers(1 << 10, 1 << 11, count) + 1) / 4096
    scale = 1 + rng.integers(1, 4, count) * 2.0**-23
    return np.float32(half / scale), np.float32(scale)


def test_scale_via_float32_would_be_wrong():
    """The models differ from two roundings exactly where they should: one rounding is right, two are not."""
    total, scale = products_near_half_ties(2000, seed=2)
    y, _ = scale_round(total, scale, np.float16)
    twice = (total * scale).astype(np.float16)
    wrong = np.flatnonzero(y != twice)
    assert wrong.size
    for i in wrong[:50]:
        exact = Fraction(float(total[i])) * Fraction(float(scale[i]))
        assert is_rounding_of(y[i], exact) and not is_rounding_of(twice[i], exact)


@pytest.mark.parametrize("error, message, arguments", [
    (TypeError, "total must be float32", (1.0, np.float32(1), np.float16)),
    (TypeError, "scale must be float32", (np.float32(1), 1.0, np.float16)),
    (TypeError, "dtype must be float32 or float16, not .*int32", (np.float32(1), np.float32(1), np.int32)),
    (ValueError, "total must be finite, not .*nan", (np.float32(np.nan), np.float32(1), np.float16)),
    (ValueError, "scale must not be negative, not .*-1.0", (np.float32(1), np.float32(-1), np.float16)),
])
def test_scale_checks(error, message, arguments):
    with pytest.raises(error, match=message):
        scale_round(*arguments)


def scale_add_operands():
    """Integers, scales and constants: free ones, cancellations, wide gaps both ways."""
    rng = np.random.default_rng(4)
    count = 3000
    integer = rng.integers(-(2**31), 2**31, count) >> rng.choice([0, 5, 20, 30], count)
    scale = np.ldexp(rng.integers(1 << 23, 1 << 24, count), rng.integers(-40, 40, count) - 23).astype(np.float32)
    product = integer * scale.astype(np.float64)
    gap = np.ldexp(rng.integers(1 << 23, 1 << 24, count), rng.integers(-99, 100, count) - 23) * rng.choice([-1, 1], count)
    near = np.ldexp(product, rng.integers(-60, 60, count)) * rng.choice([-1, 1], count)
    constant = np.choose(rng.integers(0, 4, count), [-product, gap, near, np.zeros(count)]).astype(np.float32)
    constant[np.abs(constant) < 2.0**-100] = 0
    return integer, scale, constant


def test_scale_add_is_one_rounding():
    operands = scale_add_operands()
    for y, integer, scale, constant in zip(scale_add(*operands), *operands, strict=True):
        exact = int(integer) * Fraction(float(scale)) + Fraction(float(constant))
        assert is_rounding_of(y, exact)
        assert exact or not np.signbit(y)


@pytest.mark.parametrize("operands, error, message", [
    ((1.0, np.float32(1), np.float32(1)), TypeError, "integer must be an integer array"),
    ((2**33, np.float32(1), np.float32(1)), ValueError, r"integer must have a magnitude of at most 2\*\*32"),
    ((1, 1.0, np.float32(1)), TypeError, "scale must be float32"),
    ((1, np.float32(-1), np.float32(1)), ValueError, r"scale must be 0 or at least 2\*\*-100 and at most 2\*\*90"),
    ((1, np.float32(1), np.float32(1e-35)), ValueError, "constant must be 0 or"),
    ((1, np.float32(1), np.float32(np.inf)), ValueError, "constant must be 0 or"),
])
def test_scale_add_refuses(operands, error, message):
    with pytest.raises(error, match=message):
        scale_add(*operands)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(value=st.integers(-(2**63) + 1, 2**63 - 1), places=st.integers(0, 62), exponent=st.integers(-80, 20))
@example(value=(2**24 + 1) << 38, places=0, exponent=0)
@example(value=((2**24 + 1) << 38) + 1, places=0, exponent=-3)
@example(value=-((2**24 + 1) << 38) - 1, places=0, exponent=-3)
@example(value=((2**24 + 3) << 38) - 1, places=0, exponent=0)
def test_fixed_to_float32(value, places, exponent):
    """Numbers that 53 bits do not hold, ties and their neighbours among them."""
    value >>= places
    y = fixed_to_float32(np.array([value]), np.array([exponent]))[0]
    assert is_rounding_of(y, Fraction(value) * Fraction(2) ** exponent) and (value or not np.signbit(y))
