# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT: products of n and m bits from one-bit products, to the bit (docs/bipolar.md gives the reasons).

For one token and one output channel, w and a the bipolar words of K weights and activations, w_i and a_j their planes::

    S = sum(2**(i + j) * popcount(w_i ^ a_j))            over n * m pairs of planes
    t = C + corrections - 2 S                            C = K (2**n - 1) (2**m - 1)
    y = t / 2**halvings                                  the product of the integers that are meant, exact
    y = RNE(RNE32(t) * RNE32(w_scale * (x_scale / 2**halvings)))      to binary32 or binary16

Where groups have scale codes, S, C and the corrections are sums over groups, each times its code: still integers, exact.

A word of two's complement x stands for 2 x + 1, so its products want a correction and a halving (:func:`corrections`). With
activations alone in two's complement the correction depends on the weights alone, and is a constant of the column.
"""

from typing import NamedTuple

import numpy as np

from ..floating import scaled_sums
from .codes import constant, decode, product, xor_sums
from .config import BipolarConfig, check_operands
from .quantizer import QuantizedActivations, QuantizedWeight, check_activations

__all__ = ["Corrections", "Flags", "corrections", "error_bound", "folded_scales", "matmul", "padded_results", "reference"]


class Flags(NamedTuple):
    """Per tile [ceil(M / rows), ceil(N / cols)]: what the engine reports beside the numbers.

    overflow
        A result of the tile exceeded the output format and became infinite.
    """

    overflow: np.ndarray


class Corrections(NamedTuple):
    """What makes the product of integers of minus twice the sum S.

    columns : int64 [N]
        Added to each result of a column.
    rows : int64 [M]
        Added to each result of a row; zero unless the weights are two's complement.
    halvings : int
        Exact.
    """

    columns: np.ndarray
    rows: np.ndarray
    halvings: int


def corrections(x: QuantizedActivations, qweight: QuantizedWeight) -> Corrections:
    """The corrections of a product.

    With x' = 2 x + 1 for what is two's complement and the words themselves otherwise::

        sum w  a  =  sum w' a'                                   neither is
        sum w  a  = (sum w' a' - sum w') / 2                     the activations are: offline
        sum w  a  = (sum w' a' - sum a') / 2                     the weights are
        sum w  a  = (sum w' a' - sum w' - sum a' + K) / 4        both are

    With groups each summand counts as often as its group's scale code says.
    """
    k = qweight.shape[1]
    if qweight.scale_codes is not None:
        each = constant(1, x.bits, qweight.bits) - x.signed * decode(qweight.codes, qweight.bits)
        return Corrections((each * qweight.spread(qweight.scale_codes)).sum(axis=1), np.zeros(len(x), np.int64), int(x.signed))
    both = constant(k, x.bits, qweight.bits) + k * (x.signed and qweight.signed)
    return Corrections(both - x.signed * qweight.row_sums, -qweight.signed * x.row_sums, int(x.signed) + int(qweight.signed))


def folded_scales(x: QuantizedActivations, halvings: int) -> np.ndarray:
    """Token scales with the halvings in them, exact."""
    return x.scales * np.float32(0.5**halvings)


def padded_results(x: QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig) -> tuple[np.ndarray, np.ndarray]:
    """Results and where they overflow, of whole tiles: what fills up has words, constants and scales of zero."""
    fix = corrections(x, qweight)
    (n, _), m = qweight.shape, len(x)
    more_m, more_n = -m % config.rows, -n % config.cols

    def fill(array, more):
        return np.pad(array, ((0, more), *[(0, 0)] * (array.ndim - 1)))

    sums = _sums(fill(x.codes, more_m), fill(qweight.codes, more_n), x.bits, qweight, more_n)
    total = fill(fix.columns, more_n)[None, :] + fill(fix.rows, more_m)[:, None] - 2 * sums
    if not config.has_scales:
        return (total >> fix.halvings).astype(np.int32), np.zeros(total.shape, bool)
    tokens = fill(folded_scales(x, fix.halvings), more_m)
    return scaled_sums(total, tokens[:, None], fill(qweight.scales, more_n)[None, :], np.dtype(config.output))


def _sums(x, codes, bits_a, qweight, more_n):
    """Weighted differing bits [M, N], those of each group times its scale code."""
    if qweight.scale_codes is None:
        return xor_sums(x, codes, bits_a, qweight.bits)
    size, scales = qweight.group_size, np.pad(qweight.scale_codes, ((0, more_n), (0, 0))).astype(np.int64)
    return sum(xor_sums(x[:, start : start + size], codes[:, start : start + size], bits_a, qweight.bits) * scales[:, group]
               for group, start in enumerate(range(0, x.shape[1], size)))


def matmul(
    x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig, flags: bool = False
) -> np.ndarray | tuple[np.ndarray, Flags]:
    """The engine's answer bit for bit: y [M, N] in the config's output format, and its flags.

    Parameters
    ----------
    x : QuantizedActivations [M, K], or int8 [M, K] with scales of 1
    qweight : QuantizedWeight [N, K]
        With scale codes of groups if the engine has ``scale_bits``, else without groups.
    """
    x = check_activations(x)
    check_operands(x, qweight, config)
    m, n = len(x), qweight.shape[0]
    y, overflow = padded_results(x, qweight, config)
    y, overflow = y[:m, :n], overflow[:m, :n]
    return (y, Flags(config.tiles(m, n).any(overflow))) if flags else y


def reference(x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight) -> np.ndarray:
    """Float64 product [M, N] of the quantized operands, scales included; groups of weights may have some of their own."""
    x = check_activations(x, qweight.shape[1])
    if qweight.group_size is not None:
        return np.asarray(x) @ (qweight.values * qweight.spread(qweight.group_scales)).T
    fix = corrections(x, qweight)
    total = product(x.codes, qweight.codes, x.bits, qweight.bits) - constant(qweight.shape[1], x.bits, qweight.bits)
    total = total + fix.columns[None, :] + fix.rows[:, None]
    return (total >> fix.halvings) * (x.scales.astype(np.float64)[:, None] * qweight.scales.astype(np.float64)[None, :])


def error_bound(x: QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig) -> np.ndarray:
    """Largest difference [M, N] of scaled results from the reference, where nothing overflows or is subnormal.

    Three roundings to nearest, of the integer, of the scales' product, and of the result; integers have none.
    """
    exact = np.abs(reference(x, qweight))
    if not config.has_scales:
        return np.zeros_like(exact)
    last = 2.0 ** -(np.finfo(config.output).nmant + 1)
    return exact * ((1 + 2.0**-24) ** 2 * (1 + last) - 1) + np.finfo(config.output).smallest_subnormal
