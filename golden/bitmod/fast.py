# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD: the bits of :func:`subbyte.golden.bitmod.matmul`, several times as fast (:mod:`subbyte.golden.fast`).

A sum moves down only where its alignment rises. Between two rises it is a sum of products of integers, which a float type holds
exactly while it stays below its digits: it is taken in runs of so many weights, and runs are added as integers.
"""

import numpy as np

from ..floating import accumulate_float32, scale_round
from ..kernels import add_rounded, compiled, run_product
from .config import BitModConfig, check_activations, check_weight
from .model import align
from .quantizer import QuantizedWeight

__all__ = ["matmul"]

_COLUMNS = 64
"""Output channels at a time: a group of their weights stays in the first cache."""


def matmul(x: np.ndarray, qweight: QuantizedWeight, config: BitModConfig) -> np.ndarray:
    """The engine's answer bit for bit: x float16 [M, K] -> y [M, N] in the config's output format."""
    check_weight(qweight, config)
    x = check_activations(x, qweight.shape[1])
    aligned, alignments, rises = _aligned(x, config)
    run, kinds = _run(qweight, config)
    weights = _blocks(qweight.values.T, aligned.shape[1], kinds[0])
    codes = _blocks(qweight.second_level[0].T, alignments.shape[1], np.float64 if not config.is_dense else np.int64)
    aligned, sums = aligned.astype(kinds[0]), np.zeros(1, kinds[1])
    shape = config.lanes, config.group_beats, run
    if config.is_dense:
        total, running = np.zeros((len(x), len(weights), _COLUMNS), np.int64), np.zeros(len(x), np.int64)
        _dense(aligned, alignments, weights, codes, shape, sums, total, running)
        total, exponent = total.reshape(len(x), -1)[:, : qweight.shape[0]], running[:, None] + config.exponent_bias
        total = accumulate_float32(np.zeros(total.shape, np.float32), total, exponent)
    else:
        total = np.zeros((len(x), len(weights), _COLUMNS), np.float32)
        units = np.ldexp(1.0, alignments + config.exponent_bias)
        _serial(aligned, rises, units, weights, codes, shape, sums, total)
        total = total.reshape(len(x), -1)[:, : qweight.shape[0]]
        if not np.isfinite(total).all():
            raise ValueError("total + operand * 2**exponent must stay within the finite range of float32")
    return scale_round(total, qweight.second_level[1][None, :], np.dtype(config.output))[0]


def _blocks(array, rows, kind):
    """An array [at most rows, N] as [blocks, rows, columns of a block], filled up with zeros, so that a block lies together."""
    filled = np.zeros((rows, -(-array.shape[1] // _COLUMNS) * _COLUMNS), kind)
    filled[: len(array), : array.shape[1]] = array
    return np.ascontiguousarray(filled.reshape(rows, -1, _COLUMNS).swapaxes(0, 1))


def _aligned(x, config):
    """Aligned activations [M, K filled up to beats], groups' last alignments [M, groups], rises of all beats [M, beats]."""
    x = np.pad(x, ((0, 0), (0, -x.shape[1] % config.lanes)))
    groups = [align(x[:, start : start + config.group_size], config) for start in range(0, x.shape[1], config.group_size)]
    aligned, alignments, rises = zip(*groups)
    return (np.concatenate(aligned, axis=1), np.stack([group[:, -1] for group in alignments], axis=1),
            np.concatenate(rises, axis=1).astype(np.int32))


def _run(qweight, config):
    """Most weights whose sum a float type holds exactly, at least a beat's; that type, and the integers for a group's sum."""
    largest = config.max_aligned * max(int(np.abs(qweight.values).max()), 1)
    for kinds in ((np.float32, np.int32), (np.float64, np.int64)):
        run = (1 << np.finfo(kinds[0]).nmant + 1) // largest
        if run >= config.lanes and largest * config.group_size < 1 << np.iinfo(kinds[1]).bits - 1:
            return run, kinds
    raise ValueError(f"lanes must leave a beat's sum within 53 bits, not be {config.lanes}")


@compiled
def _group_sum(row, rises, weights, beat, beats, shape, part, acc):
    """acc [columns] becomes the sum of beats of a row, moved down where ``rises`` say so."""
    lanes, _, run = shape
    acc[:] = 0
    start, rise = beat * lanes, 0
    for at in range(beat + 1, beats + 1):
        risen = rises[at] if at < beats else 0
        if risen or at == beats or (at + 1) * lanes - start > run:
            run_product(row[start : at * lanes], weights[start : at * lanes], part)
            for n in range(len(acc)):
                acc[n] = (acc[n] >> (rise & 31)) + acc.dtype.type(part[n])  # a rise is at most 29: said so, the loop is short
            start, rise = at * lanes, risen


@compiled
def _serial(aligned, rises, units, weights, codes, shape, kind, total):
    """All groups of all rows: total float32 [M, blocks, columns] becomes their sums."""
    part, acc = np.empty(_COLUMNS, aligned.dtype), np.empty(_COLUMNS, kind.dtype)
    products, sums, errors = np.empty(_COLUMNS), np.empty(_COLUMNS), np.empty(_COLUMNS)
    for block in range(len(weights)):
        for group in range(units.shape[1]):
            beat = group * shape[1]
            for m in range(len(total)):
                _group_sum(aligned[m], rises[m], weights[block], beat, min(beat + shape[1], rises.shape[1]), shape, part, acc)
                scales, unit = codes[block, group], units[m, group]
                for n in range(_COLUMNS):
                    products[n] = acc[n] * scales[n] * unit
                add_rounded(total[m, block], products, sums, errors)


@compiled
def _dense(aligned, alignments, weights, codes, shape, kind, total, running):
    """Likewise in fixed point: total int64, at the exponents that ``running`` becomes."""
    part, acc = np.empty(_COLUMNS, aligned.dtype), np.empty(_COLUMNS, kind.dtype)
    rises = np.zeros(aligned.shape[1] // shape[0], np.int32)
    for block in range(len(weights)):
        running[:] = 0
        for group in range(alignments.shape[1]):
            beat = group * shape[1]
            for m in range(len(total)):
                _group_sum(aligned[m], rises, weights[block], beat, min(beat + shape[1], len(rises)), shape, part, acc)
                risen = max(running[m], alignments[m, group])
                down, rise = risen - alignments[m, group], risen - running[m]
                of_row, scales = total[m, block], codes[block, group]
                for n in range(_COLUMNS):
                    of_row[n] = (of_row[n] >> rise) + (np.int64(acc[n]) >> down) * scales[n]
                running[m] = risen
