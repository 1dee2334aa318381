# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Number formats of the BitMoD engine: codes, code points and bit-serial terms.

One table for everybody: the quantizer and the exact model decode with it, and the RTL decoders are generated from it.
A *code* is the stored bits of a weight, a *code point* the integer that they stand for, a *term* the share of a code
point that one cycle multiplies: sign, exponent and a one-bit mantissa (BitMoD, HPCA 2025, section IV-A).
"""

import enum
import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np

__all__ = [
    "DEFAULT_SPECIAL_VALUES", "NO_TERM", "Format", "Term", "booth_terms", "code_points", "decode", "encode",
    "max_partial", "terms", "two_terms",
]

Term = tuple[int, int, int]
"""Sign, exponent and one-bit mantissa."""

NO_TERM = (0, 0, 0)
"""The term (sign, exp, man) that adds nothing; its sign and exponent are zero so that decoders agree on every bit."""


class Format(enum.IntEnum):
    """A weight format; the value is its 3-bit hardware code."""

    INT3 = 0
    INT4 = 1
    INT5 = 2
    INT6 = 3
    INT8 = 4
    #: Sign, two exponent bits: 0 1 2 4; the code of negative zero stands for the group's special value.
    FP3 = 5
    #: Sign, two exponent bits, mantissa: 0 1 2 3 4 6 8 12, i.e. E2M1 in half units; negative zero as in FP3.
    FP4 = 6

    @property
    def bits(self) -> int:
        """Stored bits of a weight."""
        return int(self.name[-1])

    @property
    def terms(self) -> int:
        """Cycles that a weight takes: Booth digits of an integer, two for the floating-point formats."""
        return 2 if self.is_float else (self.bits + 1) // 2

    @property
    def is_float(self) -> bool:
        """Whether the format is sign-magnitude with a special value."""
        return self in (Format.FP3, Format.FP4)

    @property
    def negative_zero(self) -> int | None:
        """The code that stands for the special value; None for integers."""
        return 1 << (self.bits - 1) if self.is_float else None


DEFAULT_SPECIAL_VALUES = {Format.FP3: (3, -3, 6, -6), Format.FP4: (10, -10, 16, -16)}
"""The published special values in selector order: extra resolution +, -, extra asymmetry +, -."""

_MAGNITUDES = {Format.FP3: (0, 1, 2, 4), Format.FP4: (0, 1, 2, 3, 4, 6, 8, 12)}


def code_points(fmt: Format, special_value: int | None = None) -> tuple[int, ...]:
    """Return the code points of all codes in code order.

    Parameters
    ----------
    fmt : Format
    special_value : int, optional
        What the negative-zero code of a floating-point format stands for; plain zero when None.

    Returns
    -------
    tuple of int, length ``2**fmt.bits``
    """
    if not fmt.is_float:
        half = 1 << (fmt.bits - 1)
        return (*range(half), *range(-half, 0))
    magnitudes = _MAGNITUDES[fmt]
    return (*magnitudes, special_value or 0, *(-magnitude for magnitude in magnitudes[1:]))


@cache
def two_terms(value: int) -> tuple[Term, Term]:
    """Write a special-register value as two terms.

    ``value = (-1)**s_lo * man_lo * 2**exp_lo + (-1)**s_hi * man_hi * 2**(exp_hi + 1)``: the low term reaches 1 2 4 8,
    the high term 2 4 8 16, each with its own sign, so that 7 is 8 - 1. The form is canonical: one term if possible,
    then equal signs, then the largest high term; an unused term is `NO_TERM`.

    Parameters
    ----------
    value : int, -31..31

    Returns
    -------
    low, high : (sign, exp, man)

    Raises
    ------
    ValueError
        If the value needs more than two terms (11, 13, 19, ...) or is out of range.
    """
    if not -31 <= value <= 31:
        raise ValueError(f"special value must be in -31..31, not {value!r}")
    choices = [NO_TERM, *itertools.product((0, 1), range(4), (1,))]
    forms = [(low, high) for low in choices for high in choices
             if _term_value(low) + 2 * _term_value(high) == value]
    if not forms:
        raise ValueError(f"special value must be a sum or difference of at most two powers of two, one of 1 2 4 8 "
                         f"and one of 2 4 8 16, not {value!r}")
    return min(forms, key=lambda form: (form[0][2] + form[1][2], form[0][0] != form[1][0], -form[1][1]))


def booth_terms(value: int, bits: int) -> tuple[Term, ...]:
    """Recode a two's complement integer into radix-4 Booth digits.

    ``value = sum((-1)**sign * man * 2**exp * 4**k)`` over the digits k = 0, 1, ...

    Parameters
    ----------
    value : int
    bits : int
        Width of the two's complement code; an odd width is sign-extended by one bit.

    Returns
    -------
    tuple of (sign, exp, man), least significant digit first, ``ceil(bits / 2)`` of them
    """
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueError(f"value must fit in {bits} bits two's complement, not {value!r}")
    return tuple(_booth_digit(((value << 1) >> (2 * k)) & 7) for k in range((bits + 1) // 2))


def _booth_digit(triplet):
    """Term of one Booth triplet b(2k+1) b(2k) b(2k-1)."""
    digit = (0, 1, 1, 2, -2, -1, -1, 0)[triplet]
    return (int(digit < 0), abs(digit) // 2, 1) if digit else NO_TERM


def _term_value(term):
    sign, exp, man = term
    return (-1) ** sign * man << exp


def terms(value: int, fmt: Format) -> tuple[tuple[int, int, int, int], ...]:
    """Return the terms that a code point of a format takes, in the order in which they are multiplied.

    Each is (sign, exp, man, shift) and is worth ``(-1)**sign * man * 2**(exp + shift)``.
    """
    if fmt.is_float:
        return tuple((*term, shift) for shift, term in enumerate(two_terms(value)))
    return tuple((*term, 2 * k) for k, term in enumerate(booth_terms(value, fmt.bits)))


def max_partial(fmt: Format, special_values: Sequence[int] | None = None) -> int:
    """Return the largest magnitude of a running sum of a code point's terms, for accumulator widths.

    The sum runs low term (least significant digit) first over every code point that a group may hold:
    ``2**(b - 1)`` for INT b.

    Parameters
    ----------
    fmt : Format
    special_values : sequence of int, optional
        Contents of the special-value registers; the published ones when None.
    """
    if special_values is None:
        special_values = DEFAULT_SPECIAL_VALUES.get(fmt, ())
    points = {*code_points(fmt), *(special_values if fmt.is_float else ())}
    return max(abs(partial) for point in points for partial in itertools.accumulate(
        _term_value(term[:3]) << term[3] for term in terms(point, fmt)))


def decode(codes: np.ndarray, fmt: Format, selectors: np.ndarray | None = None,
           special_values: Sequence[int] | None = None) -> np.ndarray:
    """Turn codes into code points.

    Parameters
    ----------
    codes : uint8 array
    fmt : Format
    selectors : uint8 array that broadcasts against `codes`, optional
        Which special value the negative-zero code stands for; zeros when None.
    special_values : sequence of int, optional
        The special-value registers; without them negative zero is zero.

    Returns
    -------
    int16 array of the shape of `codes`
    """
    codes = np.asarray(codes)
    if codes.size and codes.max() >> fmt.bits:
        raise ValueError(f"codes of {fmt.name} must be below {1 << fmt.bits}, not {int(codes.max())!r}")
    table = np.array(_tables(fmt, special_values), np.int16)
    return table[_selectors(selectors, special_values), codes]


def encode(values: np.ndarray, fmt: Format, selectors: np.ndarray | int | None = None,
           special_values: Sequence[int] | None = None) -> np.ndarray:
    """Turn code points into codes, the inverse of `decode`; zero always becomes the code 0.

    Returns
    -------
    uint8 array of the shape of `values`

    Raises
    ------
    ValueError
        If a value is no code point of the format with the selected special value.
    """
    values = np.asarray(values)
    tables = _tables(fmt, special_values)
    table = np.full((len(tables), 256), -1, np.int16)  # a row for each selector, a column for each value + 128
    for row, points in zip(table, tables, strict=True):
        for code in reversed(range(len(points))):  # the lowest code of a value wins: +0, and no idle special value
            row[points[code] + 128] = code
    codes = table[_selectors(selectors, special_values), np.clip(values, -128, 127) + 128]
    wrong = (codes < 0) | (values < -128) | (values > 127)
    if wrong.any():
        raise ValueError(f"values must be code points of {fmt.name}, not {int(values[wrong][0])!r}")
    return codes.astype(np.uint8)


def _tables(fmt, special_values):
    """Code points for each selector."""
    registers = (None,) if special_values is None else special_values
    return [code_points(fmt, special_value) for special_value in registers]


def _selectors(selectors, special_values):
    """Row of the tables that each element uses."""
    if selectors is None or special_values is None:
        return 0
    selectors = np.asarray(selectors)
    if selectors.size and selectors.max() >= len(special_values):
        raise ValueError(f"selectors must be below {len(special_values)}, not {int(selectors.max())!r}")
    return selectors
