# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Compiled pieces of the faster twins of the exact models; numba compiles them when they first run, and keeps them.

The package comes with ``pip install 'subbyte[exact]'``. Kernels run without a lock, so that threads run them side by side.
"""

from collections.abc import Callable

import numpy as np
from numba import njit

__all__ = ["add_rounded", "compiled", "run_product"]


def compiled(kernel: Callable) -> Callable:
    """The kernel as machine code.

    A product may be fused with the sum behind it, and nothing is reordered: products are exact, so that no bit changes.
    """
    return njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")(kernel)


@compiled
def run_product(row, weights, part):
    """part [N] becomes the product of a row [K] and weights [K, N], exact while sums stay within the type's digits."""
    part[:] = 0
    fours = len(row) // 4 * 4
    for k in range(0, fours, 4):
        a, b, c, d = row[k], row[k + 1], row[k + 2], row[k + 3]
        wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for n in range(len(part)):
            part[n] += a * wa[n] + b * wb[n] + (c * wc[n] + d * wd[n])
    for k in range(fours, len(row)):
        a, wa = row[k], weights[k]
        for n in range(len(part)):
            part[n] += a * wa[n]


@compiled
def add_rounded(total, products, sums, errors):
    """total float32 [N] takes products float64 [N], each sum rounded once: to odd in binary64, then to nearest.

    As :func:`subbyte.golden.floating.accumulate_float32`. ``sums`` and ``errors``, float64 [N], are overwritten.
    """
    bits = sums.view(np.int64)
    for n in range(len(total)):
        old, product = np.float64(total[n]), products[n]
        new = old + product
        part = new - old
        sums[n], errors[n] = new, (old - (new - part)) + (product - part)
    for n in range(len(total)):
        if errors[n] != 0 and not bits[n] & 1:
            bits[n] += 1 if (errors[n] > 0) == (sums[n] > 0) else -1
    for n in range(len(total)):
        total[n] = np.float32(sums[n]) + np.float32(0)
