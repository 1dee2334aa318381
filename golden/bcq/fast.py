# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bcq: the bits of :func:`subbyte.golden.bcq.matmul`, several times as fast (:mod:`subbyte.golden.fast`).

Sums of planes are exact products of integers, which BLAS computes for all planes of a group at once; a kernel adds them up.
"""

import numpy as np

from ..alignment import align_to
from ..fast import exact_type
from ..floating import scale_round
from ..kernels import add_rounded, compiled
from .config import BcqConfig, check_operands, scale_fields
from .model import group_exponents
from .quantizer import QuantizedWeight

__all__ = ["matmul"]

_ROWS = 64
"""Tokens at a time: their sums stay in a cache."""


def matmul(x: np.ndarray, qweight: QuantizedWeight, config: BcqConfig) -> np.ndarray:
    """The engine's answer bit for bit: x float16 [M, K] -> y [M, N] in the config's output format."""
    check_operands(qweight, config, x)
    scales = scale_fields(qweight, config)
    planes = (qweight.B @ 2 ** np.arange(qweight.bits))[:, :, None] if config.merges else qweight.B
    significands, units = (np.ascontiguousarray(field.transpose(1, 2, 0), np.float64)
                           for field in (scales.significand, np.ldexp(1.0, scales.exponent + config.exponent_bias)))
    # What goes with the sum of the activations: of planes one more significand, of merged ones the offset in the same sum.
    offsets = np.zeros((len(units), 0, len(planes)))
    if scales.offset is not None:
        offsets = np.ascontiguousarray(scales.offset.transpose(1, 2, 0), np.float64)
    alignments = group_exponents(x, config)
    total = np.zeros((len(x), len(planes)), np.float32)
    for group in range(len(units)):
        inside = slice(group * config.group_size, (group + 1) * config.group_size)
        aligned = align_to(x[:, inside], alignments[:, group, None], config.guard_bits)
        weights = planes[:, inside].transpose(1, 2, 0).reshape(aligned.shape[1], -1)
        kind = exact_type(int(np.abs(aligned).max()) * int(np.abs(weights).max()) * len(weights))
        weights, powers = np.ascontiguousarray(weights, kind), np.ldexp(1.0, alignments[:, group])
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            sums = (aligned[rows].astype(kind) @ weights).reshape(-1, planes.shape[2], len(planes))
            _add(total[rows], sums, aligned[rows].sum(axis=1).astype(np.float64), powers[rows], significands[group],
                 units[group], offsets[group])
    if not np.isfinite(total).all():
        raise ValueError("total + operand * 2**exponent must stay within the finite range of float32")
    return scale_round(total, scales.column[None, :], np.dtype(config.output))[0]


@compiled
def _add(total, planes, ones, powers, significands, units, offsets):
    """total [M, N] takes a group's sums of planes [M, planes, N] and of activations [M], one rounding a visit."""
    columns = total.shape[1]
    products, sums, errors = np.empty(columns), np.empty(columns), np.empty(columns)
    for m in range(len(total)):
        for visit in range(len(significands)):
            significand, unit, power = significands[visit], units[visit], powers[m]
            if visit < planes.shape[1]:
                part = planes[m, visit]
                for n in range(columns):
                    products[n] = part[n] * significand[n]
            else:
                for n in range(columns):
                    products[n] = ones[m] * significand[n]
            if len(offsets):
                offset = offsets[visit]
                for n in range(columns):
                    products[n] += ones[m] * offset[n]
            for n in range(columns):
                products[n] *= unit[n] * power
            add_rounded(total[m], products, sums, errors)
