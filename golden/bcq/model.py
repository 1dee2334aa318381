# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bcq: what the engine computes, to the bit (docs/bcq.md gives the reasons).

For one token, one output channel, with g guard bits; planes in their order, an offset as one more plane, of ones:

* A row's activations of a group are aligned to the largest of their exponents, E:
  ``A = round(significand * 2**g / 2**(E - exponent))``, half away from zero.
* ``P_i = sum(b_ij * A_j)``, exact: from tables of sums of ``mu`` activations, chosen by ``mu`` bits of a plane.
* In fixed point, at a running exponent R that rises by d to max(R, E), with a scale's exponent ``e_i`` of at most 15:
  ``S <- (S >> d) + (P_i * significand_i >> R - E + 15 - e_i)``, a plane and group. Of uniform weights, form "uniform":
  ``S <- (S >> d) + (sum(2**i * P_i) * significand + sum(A_j) * offset >> R - E + 15 - e)``, a group.
* ``y = RNE(RNE32(S * 2**(R + bias)) * column)``, column a power of two, in binary32 or binary16.
"""

from typing import NamedTuple

import numpy as np

from ..alignment import align_to, check_binary16, fields_of
from ..floating import fixed_to_float32, scale_round
from .config import BcqConfig, check_operands, scale_fields
from .quantizer import SCALE_RANGE, QuantizedWeight

__all__ = ["Flags", "error_bound", "group_exponents", "matmul", "plane_sums", "reference"]


class Flags(NamedTuple):
    """Per tile [ceil(M / rows), ceil(N / cols)]: what the engine reports beside the numbers.

    nonfinite
        An activation of the tile was infinite or NaN; it contributed nothing.
    overflow
        A result of the tile exceeded the output format and became infinite.
    """

    nonfinite: np.ndarray
    overflow: np.ndarray


def _groups(k, group_size):
    return [slice(start, min(start + group_size, k)) for start in range(0, k, group_size)]


def plane_sums(x: np.ndarray, qweight: QuantizedWeight) -> np.ndarray:
    """The exact sums of integers x [M, K] by planes and groups, int64 [M, N, groups, bits]."""
    x = np.asarray(x)
    if x.dtype.kind not in "iu" or x.ndim != 2 or x.shape[1] != qweight.shape[1]:
        raise ValueError(f"x must be integers [M, {qweight.shape[1]}], not {x.dtype} {list(x.shape)}")
    return np.stack([np.einsum("mk,nki->mni", x[:, group].astype(np.int64), qweight.B[:, group].astype(np.int64))
                     for group in _groups(x.shape[1], qweight.group_size)], axis=2)


def group_exponents(x: np.ndarray, config: BcqConfig) -> np.ndarray:
    """Largest exponent of each row's activations in each group, infinities and NaN apart, at least 1: int64 [M, groups]."""
    exponent = fields_of(x)[1]
    return np.stack([exponent[:, group].max(axis=1) for group in _groups(x.shape[1], config.group_size)], axis=1)


class _Visits(NamedTuple):
    """A sum of a group, or of a plane of it, times its scale: products int64 [M, N], the group's alignments [M, 1], how far
    scales' exponents [N] are below the largest, and the largest weight [N] in units of the product for a unit of an activation,
    of how many.
    """

    product: np.ndarray
    alignment: np.ndarray
    below: np.ndarray
    largest: np.ndarray
    length: int


def _visits(x, qweight, config):
    """In order."""
    significand, exponent, _, offset = scale_fields(qweight, config)
    alignments = group_exponents(x, config)
    planes = (qweight.B @ 2 ** np.arange(qweight.bits))[:, :, None] if config.merges else qweight.planes
    planes = planes.astype(np.float64)
    for index, group in enumerate(_groups(x.shape[1], config.group_size)):
        alignment = alignments[:, index, None]
        aligned = align_to(x[:, group], alignment, config.guard_bits).astype(np.float64)
        for visit in range(planes.shape[2]):
            weight, scale = planes[:, group, visit], significand[:, index, visit]
            product = (aligned @ weight.T).astype(np.int64) * scale  # float64 holds these integers exactly
            largest = np.abs(weight).max(axis=1) * np.abs(scale)
            if offset is not None:
                product = product + aligned.sum(axis=1).astype(np.int64)[:, None] * offset[:, index, visit]
                largest = largest + np.abs(offset[:, index, visit])
            yield _Visits(product, alignment, SCALE_RANGE - exponent[:, index, visit], largest, weight.shape[1])


def matmul(
    x: np.ndarray, qweight: QuantizedWeight, config: BcqConfig, flags: bool = False
) -> np.ndarray | tuple[np.ndarray, Flags]:
    """The engine's answer bit for bit: x float16 [M, K] -> y [M, N] in the config's output format, and its flags."""
    check_operands(qweight, config, x)
    total, running = np.zeros((len(x), qweight.shape[0]), np.int64), np.zeros((len(x), 1), np.int64)
    for visit in _visits(x, qweight, config):
        risen = np.maximum(running, visit.alignment)
        total = (total >> risen - running) + (visit.product >> risen - visit.alignment + visit.below)
        running = risen
    total = fixed_to_float32(total, running + config.exponent_bias)
    y, overflow = scale_round(total, scale_fields(qweight, config).column[None, :], np.dtype(config.output))
    if not flags:
        return y
    nonfinite = np.broadcast_to(np.any(fields_of(x)[3], axis=1, keepdims=True), y.shape)
    m, n = y.shape
    tiles = config.tiles(m, n)
    return y, Flags(tiles.any(nonfinite), tiles.any(overflow))


def reference(x: np.ndarray, qweight: QuantizedWeight) -> np.ndarray:
    """Float64 product of the quantized operands; non-finite activations count as zero."""
    x = check_binary16(x, qweight.shape[1])
    finite = np.where(np.isfinite(x), x, 0).astype(np.float64)
    weight = np.einsum("nki,nki->nk", qweight.B.astype(np.float64), qweight.spread(qweight.alpha.astype(np.float64)))
    if qweight.offset is not None:
        weight = weight + qweight.spread(qweight.offset.astype(np.float64))
    return finite @ weight.T


def error_bound(x: np.ndarray, qweight: QuantizedWeight, config: BcqConfig) -> np.ndarray:
    """Worst case of ``|matmul - reference|`` [M, N], derived from the operands, for results that do not overflow.

    An aligned activation is off by at most half a unit, so a plane's sum by half a unit for each weight. A product that moves
    down loses less than a unit of the sum, and so does the sum at each rise of its exponent; it is rounded once, to binary32,
    and the output once.
    """
    check_operands(qweight, config, x)
    column = scale_fields(qweight, config).column
    bound, magnitude = np.zeros((2, len(x), qweight.shape[0]))
    running = np.zeros((len(x), 1), np.int64)
    for visit in _visits(x, qweight, config):
        unit = np.ldexp(1.0, visit.alignment - visit.below + config.exponent_bias)
        bound += visit.length / 2 * visit.largest * unit
        magnitude += np.abs(visit.product) * unit
        risen = np.maximum(running, visit.alignment)
        lost = (risen - visit.alignment + visit.below > 0).astype(int) + ((risen > running) & (running > 0))
        bound += lost * np.ldexp(1.0, risen + config.exponent_bias)
        running = risen
    bound += (magnitude + bound) * 2.0**-24
    epsilon, tiny = (2.0**-24, 2.0**-150) if config.output == "float32" else (2.0**-11, 2.0**-25)
    return bound * column * (1 + epsilon) + np.abs(reference(x, qweight)) * epsilon + tiny
