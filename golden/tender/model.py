# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender: what the engine computes, to the bit (docs/tender.md gives the reasons).

For one token, one output channel, the channels of a chunk in groups, largest scale first:

    acc <- wrap((acc << 1 if a new group begins) + sum over a beat's lanes of xq * wq)      modulo 2**accumulator_bits
    y = RNE32(acc * scale + constant)                                                    one rounding

with ``scale = RNE32(S * s_w)``, S the scale of the last group that has channels, and ``constant = RNE32(correction + bias)``:
``correction = sum over k of channel_bias * w`` puts back what :func:`decompose` took away. Source: Tender (ISCA 2024, arXiv
2406.12930), section III and Fig. 6; that shifting replaces requantization without any loss is its equation of the
recurrence, unrolled.
"""

from typing import NamedTuple

import numpy as np

from ..floating import scale_add
from ..parameters import check_choice
from .config import TenderConfig, beats_of, check_operands
from .quantizer import BITS, Decomposed, QuantizedWeight, divide_and_round
from .streams import check_divisors, constants

__all__ = [
    "Flags",
    "accumulate",
    "accumulator_bits",
    "correction",
    "error_bound",
    "filling",
    "finish",
    "matmul",
    "recombine_nibbles",
    "reference",
    "requantize",
    "split_nibbles",
]


class Flags(NamedTuple):
    """Per tile [tiles of rows, tiles of columns]: what the engine reports beside the numbers.

    overflow
        A step of one of the tile's accumulators left the signed range. The final value is right all the same if it fits:
        sums wrap.
    """

    overflow: np.ndarray


def _check_pair(decomposed: Decomposed, qweight: QuantizedWeight) -> None:
    for name, value, kind in (("decomposed", decomposed, Decomposed), ("qweight", qweight, QuantizedWeight)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")
    if qweight.shape[1] != decomposed.xq.shape[2]:
        raise ValueError(f"qweight must have K = {decomposed.xq.shape[2]} like the activations, not {qweight.shape[1]}")


def accumulate(decomposed: Decomposed, qweight: QuantizedWeight) -> np.ndarray:
    """Exact sums int64 [C, R, N] after the last group and all G - 1 shifts: ``sum over k of 2**group * xq * wq``; no wrap."""
    _check_pair(decomposed, qweight)
    chunks, chunk_size, k = decomposed.xq.shape
    limit = (2**decomposed.bits * 2 ** (qweight.bits - 1) * k) << (decomposed.groups - 1)
    if limit >= 1 << 63:
        raise ValueError(f"groups must leave sums within 64 bits, not be {decomposed.groups}")
    codes = qweight.codes.astype(np.float64).T
    acc = np.zeros((chunks, chunk_size, qweight.shape[0]), np.int64)
    for group in reversed(range(decomposed.groups)):
        chosen = np.where((decomposed.group_index == group)[:, None, :], decomposed.xq, 0)
        # float64 products of these integers are exact and use BLAS
        acc = 2 * acc + (chosen.astype(np.float64) @ codes).astype(np.int64)
    return acc


def correction(decomposed: Decomposed, weight: np.ndarray) -> np.ndarray:
    """What subtracting the channel bias took from each output, float64 [C, N]: ``bias @ weight.T``.

    The weight [N, K] is the published one, before quantization, or ``qweight.dequantize()``, which makes the
    correction exact: ``(x - b) Wq + b Wq``. With the published one each output keeps ``b (W - Wq)``, which grows with the
    bias: a channel where one token is huge spoils every token of the chunk (docs/models.md has it measured).
    """
    weight = np.asarray(weight, np.float64)
    if weight.ndim != 2 or weight.shape[1] != decomposed.bias.shape[1]:
        raise ValueError(f"weight must have shape [N, {decomposed.bias.shape[1]}], not {weight.shape}")
    return decomposed.bias.astype(np.float64) @ weight.T


def reference(decomposed: Decomposed, qweight: QuantizedWeight, correction: np.ndarray | None = None) -> np.ndarray:
    """Float64 product of the quantized operands [C, R, N], filling rows included, plus the correction [C, N] if given."""
    smallest = decomposed.scales[:, :1].astype(np.float64) * qweight.scales.astype(np.float64)
    y = accumulate(decomposed, qweight) * smallest[:, None, :]
    return y if correction is None else y + np.asarray(correction, np.float64)[:, None, :]


def accumulator_bits(decomposed: Decomposed, qweight: QuantizedWeight) -> int:
    """Bits of a signed accumulator that no running sum of these operands leaves, beat by beat at one lane."""
    _check_pair(decomposed, qweight)
    largest = 0
    for chunk in range(len(decomposed.xq)):
        for _, total in _steps(decomposed, qweight, chunk, beats_of(decomposed, chunk, 1)):
            largest = max(largest, int(total.max()), -1 - int(total.min()))
    return largest.bit_length() + 1


def _steps(decomposed, qweight, chunk, beats, wrap=lambda total: total):
    """Yield each step's exact value and the value kept, int64 [rows, N]."""
    rows, lanes = decomposed.rows_of(chunk), beats.channels.shape[1]
    xq = np.pad(decomposed.xq[chunk, :rows], ((0, 0), (0, 1))).astype(np.float64)[:, beats.flat]
    codes = np.pad(qweight.codes, ((0, 0), (0, 1))).astype(np.float64).T[beats.flat]
    acc = np.zeros((rows, qweight.shape[0]), np.int64)
    for beat, shift in enumerate(beats.shifts):
        part = slice(beat * lanes, (beat + 1) * lanes)
        total = (acc << shift) + (xq[:, part] @ codes[part]).astype(np.int64)
        acc = wrap(total)
        yield acc, total


def matmul(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    config: TenderConfig,
    correction: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    divisors: np.ndarray | None = None,
    flags: bool = False,
) -> np.ndarray | tuple[np.ndarray, Flags]:
    """The engine's answer bit for bit: float32 [rows, N], or int16 if it requantizes, and its flags.

    Parameters
    ----------
    decomposed : Decomposed
        Activations [rows, K].
    qweight : QuantizedWeight
        [N, K].
    config : TenderConfig
    correction : float array [C, N] or None
        See :func:`correction`.
    bias : float array [N] or None
        The linear layer's own.
    divisors : float32 array [C, N] or None
        The next layer's scales, for an engine that requantizes: see :func:`requantize`.
    flags : bool
        Return (y, Flags).
    """
    check_operands(decomposed, qweight, config)
    check_divisors(divisors, decomposed, qweight.shape[0], config)
    results, masks = [], []
    for chunk in range(len(decomposed.xq)):
        beats = beats_of(decomposed, chunk, config.lanes)
        acc, overflow = _accumulate_wrapped(decomposed, qweight, chunk, beats, config)
        results.append(finish(acc, constants(decomposed, qweight, chunk, beats, correction, bias, divisors), config))
        m, n = overflow.shape
        masks.append(config.tiles(m, n).any(overflow))
    y = np.concatenate(results)
    return (y, Flags(np.concatenate(masks))) if flags else y


def finish(acc, terms, config):
    """Results of sums [rows, N] with the constants of their columns."""
    y = scale_add(acc, terms[0][None, :], terms[1][None, :])
    return requantize(y, terms[2], config.output_bits, config.output.startswith("u")) if config.requantizes else y


def filling(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    config: TenderConfig,
    correction: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    divisors: np.ndarray | None = None,
) -> np.ndarray:
    """What the engine puts out [N] for the rows that fill up the last tile: the results of sums of zero."""
    chunk = len(decomposed.xq) - 1
    beats = beats_of(decomposed, chunk, config.lanes)
    zeros = np.zeros((1, qweight.shape[0]), np.int64)
    return finish(zeros, constants(decomposed, qweight, chunk, beats, correction, bias, divisors), config)[0]


def _accumulate_wrapped(decomposed, qweight, chunk, beats, config):
    """A chunk's accumulators [rows, N] after its last beat, and where a step has left the signed range."""
    half = np.int64(1) << (config.accumulator_bits - 1)

    def wrap(total):
        return ((total + half) & (2 * half - 1)) - half

    overflow = np.zeros((decomposed.rows_of(chunk), qweight.shape[0]), bool)
    for acc, total in _steps(decomposed, qweight, chunk, beats, wrap):
        overflow |= acc != total
    return acc, overflow


def error_bound(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    correction: np.ndarray | None = None,
    bias: np.ndarray | None = None,
) -> np.ndarray:
    """Worst case of ``|matmul - (reference + bias)|`` [rows, N], derived, where the accumulators hold the final sums.

    The integers are exact; scale, constant and result are rounded once each, by half a unit in the last place. A constant
    below 2**-100 counts as zero.
    """
    product = np.abs(reference(decomposed, qweight))
    constant = np.zeros((len(product), qweight.shape[0]))
    constant = constant if correction is None else constant + correction
    constant = np.abs(constant if bias is None else constant + bias)[:, None, :]
    bound = (product + constant) * (2.0**-23 + 2.0**-46) + 2.0**-99
    return bound.reshape(-1, qweight.shape[0])[: decomposed.rows]


def split_nibbles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eight-bit integers as ``16 * high + low``: high signed (or unsigned, as the values), low from 0 to 15."""
    values = np.asarray(values).astype(np.int64)
    return values >> 4, values & 15


def recombine_nibbles(high_high: np.ndarray, high_low: np.ndarray, low_high: np.ndarray, low_low: np.ndarray) -> np.ndarray:
    """INT8 sums from four INT4 elements' sums: ``(hh << 8) + ((hl + lh) << 4) + ll``.

    The recurrence of shift and add is linear, so each of the four may run it with the same shifts, and they are combined
    once, behind the last beat.
    """
    return (high_high << 8) + ((high_low + low_high) << 4) + low_low


def requantize(y: np.ndarray, divisors: np.ndarray, bits: int, unsigned: bool = False) -> np.ndarray:
    """Results of a layer as the next one's activations: ``clip(rint(y / divisor))``, a true division in float32.

    With a calibration of the next layer this equals its :func:`decompose`, where the channel bias has been taken from the
    constants that :func:`matmul` adds.

    Parameters
    ----------
    y : float32 [M, N]
    divisors : float32 [N] or [M, N]
        Scale of each channel's group; 0 gives 0.
    bits : 4 or 8
    unsigned : bool

    Returns
    -------
    int16 [M, N]
    """
    for name, value in (("y", y), ("divisors", divisors)):
        if np.asarray(value).dtype != np.float32:
            raise TypeError(f"{name} must be float32, not {np.asarray(value).dtype}")
    check_choice("bits", bits, BITS)
    if np.any(divisors < 0):
        raise ValueError("divisors must not be negative")
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return np.clip(divide_and_round(y, np.broadcast_to(divisors, y.shape)), low, high).astype(np.int16)
