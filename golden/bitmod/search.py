# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The search for each group's special value, with the bits of binary16 arithmetic and the speed of binary32.

A sum, difference, product or quotient of binary16 numbers, rounded to binary32 and then to binary16, is what binary16
arithmetic gives, since 24 digits are two more than twice 11. Rounding to binary16 takes four operations of binary32 that way
(:func:`_round`), where NumPy's own half precision goes number by number.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from .formats import Format, code_points, encode

__all__ = ["LARGEST", "best_special_values"]

LARGEST = np.float16(32)
"""Groups up to here: no square of an error is beyond binary16, and no mean of squares reaches the published limit."""
_BLOCK = 1 << 15
"""Weights at a time, for the caches."""


def _round(x: np.ndarray, out: np.ndarray, work: np.ndarray) -> np.ndarray:
    """Binary32 numbers, rounded to binary16's nearest, ties to even; subnormal ones, too, but none beyond its range."""
    bits = work.view(np.uint32)
    np.bitwise_and(x.view(np.uint32), np.uint32(0x7F800000), out=bits)  # 2**e of each number,
    np.maximum(work, np.float32(2.0**-14), out=work)  # or of the smallest normal one;
    np.multiply(work, np.float32(1.5 * 2**13), out=work)  # beside this, binary32's last digit is worth 2**(e - 10)
    np.add(x, work, out=out)
    return np.subtract(out, work, out=out)


@cache
def _tables(number_format: Format, registers: tuple[int, ...]) -> tuple[int, np.ndarray, np.ndarray]:
    """The largest step, and of each step -largest..largest, for each special value, the code point and the code.

    Step s is a quotient q with ``s = ceil(2 q)``: all places between code points are multiples of a half, and belong below.
    """
    points = [np.unique(code_points(number_format, value)) for value in registers]
    largest = 2 * max(int(np.abs(row).max()) for row in points) + 1
    steps = np.arange(-largest, largest + 1)
    values = np.array([row[np.searchsorted(row[1:] + row[:-1], steps, side="left")] for row in points], np.int16)
    codes = np.array(
        [encode(row, number_format, np.full(row.shape, selector), registers) for selector, row in enumerate(values)]
    )
    return largest, values, codes


def best_special_values(groups, scales, lengths, number_format, registers, mean):
    """Choose each group's special value.

    Parameters
    ----------
    groups : float16 [groups, G]
        Magnitudes up to `LARGEST`.
    scales : float16 [special values, groups]
    lengths : int [groups]
        Weights in each group; what fills up are zeros.
    number_format : Format
    registers : tuple of int
        Special values.
    mean : function
        From squares float32 [groups, G] and lengths to float16 [groups].

    Returns
    -------
    values : int16 [groups, G]
    codes : uint8 [groups, G]
    selectors : uint8 [groups]
        The first of the smallest errors.
    """
    count, size = groups.shape
    values, codes = np.empty(groups.shape, np.int16), np.empty(groups.shape, np.uint8)
    selectors = np.empty(count, np.uint8)
    largest, values_of, codes_of = _tables(number_format, registers)

    def search(start):
        block = slice(start, start + rows)
        steps, chosen = _search_block(
            groups[block].astype(np.float32),
            scales[:, block].astype(np.float32),
            lengths[block],
            largest,
            values_of.astype(np.float32),
            mean,
        )
        selectors[block] = chosen
        values_of.take(steps, out=values[block], mode="clip")
        codes_of.take(steps, out=codes[block], mode="clip")

    rows = max(_BLOCK // size, 1)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:  # NumPy computes without the interpreter's lock
        list(pool.map(search, range(0, count, rows)))
    return values, codes, selectors


def _search_block(weight, scales, lengths, largest, points, mean):
    """Places in the tables [groups, G], and the selectors [groups], all in binary32."""
    quotient, error, work = (np.empty_like(weight) for _ in range(3))
    steps, errors = [], []
    for selector, scale in enumerate(scales[..., None]):
        if selector and np.array_equal(scale, scales[selector - 1, :, None]):
            steps.append(steps[-1])  # a special value and its negative share all quotients
        else:
            _round(np.divide(weight, scale, out=quotient), quotient, work)
            np.ceil(np.multiply(quotient, np.float32(2), out=quotient), out=quotient)
            np.clip(quotient, -largest, largest, out=quotient)
            steps.append(np.add(quotient, np.float32(largest), out=quotient).astype(np.intp))
        points[selector].take(steps[-1], out=error, mode="clip")
        _round(np.multiply(error, scale, out=error), error, work)
        _round(np.subtract(error, weight, out=error), error, work)
        _round(np.multiply(error, error, out=error), error, work)
        errors.append(mean(error, lengths))
    chosen = np.argmin(errors, axis=0)
    places = steps[0].copy()
    for selector in range(1, len(steps)):
        np.copyto(places, steps[selector], where=(chosen == selector)[:, None])
    places += (chosen * points.shape[1])[:, None]
    return places, chosen
