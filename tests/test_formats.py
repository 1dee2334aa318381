# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Number formats: every code, every term, and what cannot be represented."""

import re

import numpy as np
import pytest

from subbyte.golden.bitmod.formats import (
    DEFAULT_SPECIAL_VALUES,
    NO_TERM,
    Format,
    booth_terms,
    code_points,
    decode,
    encode,
    max_partial,
    terms,
    two_terms,
)

FLOATS = [Format.FP3, Format.FP4]
INTEGERS = [fmt for fmt in Format if not fmt.is_float]


def worth(term, shift=0):
    """Value of one term, spelled out independently of the module."""
    sign, exp, man = term
    assert sign in (0, 1) and exp in range(4) and man in (0, 1)
    return (-man if sign else man) * 2 ** (exp + shift)


def test_hardware_codes_are_stable():
    assert [(fmt.name, fmt.value, fmt.bits, fmt.terms) for fmt in Format] == [
        ("INT3", 0, 3, 2), ("INT4", 1, 4, 2), ("INT5", 2, 5, 3), ("INT6", 3, 6, 3), ("INT8", 4, 8, 4),
        ("FP3", 5, 3, 2), ("FP4", 6, 4, 2)]
    assert [fmt.negative_zero for fmt in (Format.INT8, Format.FP3, Format.FP4)] == [None, 0b100, 0b1000]


def test_code_points_as_published():
    assert code_points(Format.INT3) == (0, 1, 2, 3, -4, -3, -2, -1)
    assert code_points(Format.FP3) == (0, 1, 2, 4, 0, -1, -2, -4)
    assert code_points(Format.FP3, -6) == (0, 1, 2, 4, -6, -1, -2, -4)
    assert code_points(Format.FP4, 10) == (0, 1, 2, 3, 4, 6, 8, 12, 10, -1, -2, -3, -4, -6, -8, -12)


@pytest.mark.parametrize("fmt", INTEGERS)
def test_booth_terms_add_up_and_follow_the_triplet_table(fmt):
    digits = {0b000: 0, 0b001: 1, 0b010: 1, 0b011: 2, 0b100: -2, 0b101: -1, 0b110: -1, 0b111: 0}
    for value in range(-(1 << fmt.bits - 1), 1 << fmt.bits - 1):
        booth = booth_terms(value, fmt.bits)
        assert len(booth) == fmt.terms
        assert sum(worth(term, 2 * k) for k, term in enumerate(booth)) == value
        bits = f"{value & 0xfff:012b}0"  # sign-extended, a zero appended
        assert [worth(term) for term in booth] == [
            digits[int(bits[len(bits) - 3 - 2 * k:len(bits) - 2 * k], 2)] for k in range(fmt.terms)]


def test_two_terms_reach_exactly_the_sums_of_two_powers():
    powers = [0, 1, 2, 4, 8, -1, -2, -4, -8]
    reachable = {low + 2 * high for low in powers for high in powers}
    for value in range(-40, 41):
        if value not in reachable:
            with pytest.raises(ValueError, match="^special value must be"):
                two_terms(value)
            continue
        low, high = two_terms(value)
        assert worth(low) + worth(high, 1) == value
    assert {11, 13, 19, 31}.isdisjoint(reachable)


def test_two_terms_are_canonical():
    assert two_terms(0) == (NO_TERM, NO_TERM)
    assert two_terms(1) == ((0, 0, 1), NO_TERM)
    assert two_terms(-8) == (NO_TERM, (1, 2, 1))  # one term rather than -16 + 8
    assert two_terms(6) == ((0, 1, 1), (0, 1, 1))  # 4 + 2 rather than 8 - 2
    assert two_terms(7) == ((1, 0, 1), (0, 2, 1))  # 8 - 1: no equal signs exist
    for value in (low + 2 * high for low in (1, 2, 4, 8) for high in (1, 2, 4, 8)):
        low, high = two_terms(value)
        assert low[0] == high[0] == 0


@pytest.mark.parametrize("fmt", FLOATS)
def test_float_terms_agree_with_the_leading_one_decoder(fmt):
    """The published decoder: a leading one in bits 4..1, then one in bits 3..0 without the bit already taken."""
    for value in {*code_points(fmt), *DEFAULT_SPECIAL_VALUES[fmt]}:
        rest = abs(value)
        high = (rest >> 1).bit_length() - 1
        rest -= 2 << high if high >= 0 else 0
        low = rest.bit_length() - 1
        sign = int(value < 0)
        assert two_terms(value) == tuple((sign, exp, 1) if exp >= 0 else NO_TERM for exp in (low, high))


def test_terms_carry_the_shift():
    assert terms(-128, Format.INT8) == ((*NO_TERM, 0), (*NO_TERM, 2), (*NO_TERM, 4), (1, 1, 1, 6))
    assert terms(10, Format.FP4) == ((0, 1, 1, 0), (0, 2, 1, 1))


def test_max_partial():
    assert {fmt.name: max_partial(fmt) for fmt in Format} == {
        "INT3": 4, "INT4": 8, "INT5": 16, "INT6": 32, "INT8": 128, "FP3": 6, "FP4": 16}
    assert max_partial(Format.FP3, (7, -7, 24, 0)) == 24
    assert max_partial(Format.FP3, (0, 0, 0, 0)) == 4


@pytest.mark.parametrize("fmt", Format)
def test_decode_and_encode_are_inverse(fmt):
    codes = np.tile(np.arange(1 << fmt.bits, dtype=np.uint8), (4, 1))
    selectors = np.arange(4)[:, None]
    special_values = DEFAULT_SPECIAL_VALUES.get(fmt)
    values = decode(codes, fmt, selectors, special_values)
    assert values.dtype == np.int16
    for selector in range(4):
        assert tuple(values[selector]) == code_points(fmt, special_values and special_values[selector])
    again = encode(values, fmt, selectors, special_values)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, codes)


def test_zero_never_takes_the_negative_zero_code():
    assert encode(np.array([0, -4, 4]), Format.FP3).tolist() == [0, 0b111, 0b011]
    assert encode(np.array([0, 4]), Format.FP3, np.zeros(2, int), (0, 4, 4, 4)).tolist() == [0, 0b011]
    assert encode(np.array([4]), Format.FP3, np.ones(1, int), (0, 4, 4, 4)).tolist() == [0b011]


@pytest.mark.parametrize("action, message", [
    (lambda: decode(np.array([8]), Format.FP3), "codes of FP3 must be below 8, not 8"),
    (lambda: decode(np.array([1]), Format.FP3, np.array([4]), (3, -3, 6, -6)), "selectors must be below 4, not 4"),
    (lambda: encode(np.array([1, 3]), Format.FP3), "values must be code points of FP3, not 3"),
    (lambda: encode(np.array([3]), Format.FP3, np.array([1]), (3, -3)), "values must be code points of FP3, not 3"),
    (lambda: encode(np.array([8]), Format.INT4), "values must be code points of INT4, not 8"),
    (lambda: encode(np.array([65536]), Format.INT8), "values must be code points of INT8, not 65536"),
    (lambda: booth_terms(4, 3), "value must fit in 3 bits two's complement, not 4"),
    (lambda: two_terms(32), "special value must be in -31..31, not 32"),
    (lambda: two_terms(11), "special value must be a sum or difference of at most two powers of two, one of 1 2 4 8 "
                            "and one of 2 4 8 16, not 11"),
])
def test_messages(action, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        action()
