# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bcq: the bits of :func:`subbyte.golden.bcq.matmul`, several times as fast (:mod:`subbyte.golden.fast`).

Sums of planes are exact products of integers, which BLAS computes for all planes of a group at once; a kernel scales them and
adds them up in fixed point.
"""

import numpy as np

from ..alignment import align_to
from ..fast import exact_type
from ..floating import fixed_to_float32, scale_round
from ..kernels import compiled
from .config import BcqConfig, check_operands, scale_fields
from .model import group_exponents
from .quantizer import SCALE_RANGE, QuantizedWeight

__all__ = ["matmul"]

_ROWS = 64
"""Tokens at a time: their sums stay in a cache."""


def matmul(x: np.ndarray, qweight: QuantizedWeight, config: BcqConfig) -> np.ndarray:
    """The engine's answer bit for bit: x float16 [M, K] -> y [M, N] in the config's output format."""
    check_operands(qweight, config, x)
    scales = scale_fields(qweight, config)
    planes = (qweight.B @ 2 ** np.arange(qweight.bits))[:, :, None] if config.merges else qweight.B
    significands, below = (np.ascontiguousarray(field.transpose(1, 2, 0), np.int64)
                           for field in (scales.significand, SCALE_RANGE - scales.exponent))
    # What goes with the sum of the activations: of planes one more significand, of merged ones the offset in the same sum.
    offsets = np.zeros((len(below), 0, len(planes)), np.int64)
    if scales.offset is not None:
        offsets = np.ascontiguousarray(scales.offset.transpose(1, 2, 0), np.int64)
    alignments = group_exponents(x, config)
    running = np.maximum.accumulate(alignments, axis=1)
    rises = np.diff(running, axis=1, prepend=running[:, :1])
    total = np.zeros((len(x), len(planes)), np.int64)
    for group in range(len(below)):
        inside = slice(group * config.group_size, (group + 1) * config.group_size)
        aligned = align_to(x[:, inside], alignments[:, group, None], config.guard_bits)
        weights = planes[:, inside].transpose(1, 2, 0).reshape(aligned.shape[1], -1)
        kind = exact_type(int(np.abs(aligned).max()) * int(np.abs(weights).max()) * len(weights))
        weights, lower = np.ascontiguousarray(weights, kind), running[:, group] - alignments[:, group]
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            sums = (aligned[rows].astype(kind) @ weights).reshape(-1, planes.shape[2], len(planes))
            _add(total[rows], sums, aligned[rows].sum(axis=1).astype(np.int64), rises[rows, group], lower[rows],
                 significands[group], below[group], offsets[group])
    rounded = fixed_to_float32(total, running[:, -1:] + config.exponent_bias)
    return scale_round(rounded, scales.column[None, :], np.dtype(config.output))[0]


@compiled
def _add(total, planes, ones, rises, lower, significands, below, offsets):
    """total int64 [M, N] takes a group's sums of planes [M, planes, N] and of activations [M]; its exponent has risen."""
    columns = total.shape[1]
    products = np.empty(columns, np.int64)
    for m in range(len(total)):
        of_row = total[m]
        rise = rises[m] & 31  # it is at most 29: said so, loops are short
        for n in range(columns):
            of_row[n] >>= rise
        for visit in range(len(significands)):
            significand, down, one = significands[visit], below[visit], ones[m]
            if visit < planes.shape[1]:
                part = planes[m, visit]
                for n in range(columns):
                    products[n] = np.int64(part[n]) * significand[n]
            else:
                for n in range(columns):
                    products[n] = one * significand[n]
            if len(offsets):
                offset = offsets[visit]
                for n in range(columns):
                    products[n] += one * offset[n]
            for n in range(columns):
                of_row[n] += products[n] >> (lower[m] + down[n] & 63)
