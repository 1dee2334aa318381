# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD: what the engine computes, to the bit (docs/bitmod.md gives the reasons).

For one token, one output channel and one group of weights, with g guard bits:

* The alignment E starts at 1 and, beat by beat, rises to the largest exponent seen. Each activation's significand is
  shifted to it and rounded once: ``A = round(significand * 2**g / 2**(E - exponent))``.
* The partial sum moves with it, ``acc <- (acc >> d) + sum(A * q)`` with d the rise and q the integer code points; the
  bit-serial terms of q change nothing in the value.
* The group's scale code multiplies the sum exactly, and the product joins the output's binary32 sum with one rounding:
  ``S <- RNE(S + acc * scale_code * 2**(E - 25 - g))``.

The dense form (``form="dense"``) has one exponent E for a row's whole group, the largest of its activations, and sums groups
in fixed point, at a running exponent R; ``d`` is by how much R rises to max(R, E):

* ``acc = sum(A * q)``, exact; ``S <- (S >> d) + (acc >> (R - E)) * scale_code``; after the last group
  ``RNE32(S * 2**(R - 25 - g))`` takes the place of S.

At the end ``y = RNE(S * channel_scale)`` in binary32 or binary16. Source of the scheme: BitMoD (HPCA 2025), sections III, IV.
"""

from typing import NamedTuple

import numpy as np

from ..alignment import align_to, fields_of
from ..floating import accumulate_float32, scale_round
from .config import BitModConfig, check_activations, check_weight
from .quantizer import QuantizedWeight

__all__ = ["Flags", "align", "error_bound", "group_sum", "matmul", "reference"]


class Flags(NamedTuple):
    """Per tile [ceil(M / rows), ceil(N / cols)]: what the engine reports beside the numbers.

    nonfinite
        An activation of the tile was infinite or NaN; it contributed nothing.
    overflow
        A result of the tile exceeded the output format and became infinite.
    """

    nonfinite: np.ndarray
    overflow: np.ndarray


def align(x: np.ndarray, config: BitModConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Align the activations of one group of K (float16 [M, k], k a multiple of lanes).

    Returns the aligned activations int64 [M, k], and int64 [M, beats] each beat's alignment E and its rise over the beat
    before (the first rise counts from 1).
    """
    m, k = x.shape
    exponent = fields_of(x)[1]
    beats = exponent.reshape(m, k // config.lanes, config.lanes)
    alignment = np.maximum.accumulate(beats.max(axis=2), axis=1)
    if config.is_dense:
        alignment = np.broadcast_to(alignment[:, -1:], alignment.shape)
    aligned = align_to(x, np.repeat(alignment, config.lanes, axis=1), config.guard_bits)
    rise = np.diff(alignment, axis=1, prepend=alignment[:, :1] if config.is_dense else 1)
    return aligned, alignment, rise


def group_exponents(x: np.ndarray, config: BitModConfig) -> np.ndarray:
    """Largest exponent of each row's activations in each group, infinities and NaN apart, at least 1: int64 [M, groups]."""
    exponent = fields_of(x)[1]
    return np.stack([exponent[:, group].max(axis=1) for group in _group_slices(x.shape[1], config.group_size)], axis=1)


def _group_slices(k: int, group_size: int) -> list[slice]:
    return [slice(start, min(start + group_size, k)) for start in range(0, k, group_size)]


def group_sum(x: np.ndarray, values: np.ndarray, config: BitModConfig) -> tuple[np.ndarray, np.ndarray]:
    """One group's partial sums int64 [M, N] and final alignments int64 [M]; x [M, k], values [N, k]."""
    pad = -x.shape[1] % config.lanes
    aligned, alignment, rise = align(np.pad(x, ((0, 0), (0, pad))), config)
    weights = np.pad(values, ((0, 0), (0, pad))).astype(np.float64)
    acc = np.zeros((x.shape[0], len(values)), np.int64)
    for beat in range(alignment.shape[1]):
        lanes = slice(beat * config.lanes, (beat + 1) * config.lanes)
        # float64 products of these integers are exact and use BLAS
        dot = aligned[:, lanes].astype(np.float64) @ weights[:, lanes].T
        acc = (acc >> rise[:, beat, None]) + dot.astype(np.int64)
    return acc, alignment[:, -1]


def matmul(
    x: np.ndarray, qweight: QuantizedWeight, config: BitModConfig, flags: bool = False
) -> np.ndarray | tuple[np.ndarray, Flags]:
    """The engine's answer bit for bit: x float16 [M, K] -> y [M, N] in the config's output format, and its flags."""
    check_weight(qweight, config)
    x = check_activations(x, qweight.shape[1])
    total = (_fixed_sum if config.is_dense else _float_sum)(x, qweight, config)
    y, overflow = scale_round(total, qweight.second_level[1][None, :], np.dtype(config.output))
    if not flags:
        return y
    nonfinite = np.broadcast_to(np.any(fields_of(x)[3], axis=1, keepdims=True), y.shape)
    return y, Flags(*map(config.tiles(*y.shape).any, (nonfinite, overflow)))


def _float_sum(x, qweight, config):
    """Cross-group sums of the serial form, binary32."""
    total = np.zeros((len(x), qweight.shape[0]), np.float32)
    for index, group in enumerate(_group_slices(x.shape[1], config.group_size)):
        acc, alignment = group_sum(x[:, group], qweight.values[:, group], config)
        product = acc * qweight.second_level[0][:, index].astype(np.int64)
        total = accumulate_float32(total, product, alignment[:, None] + config.exponent_bias)
    return total


def _fixed_sum(x, qweight, config):
    """Cross-group sums of the dense form, rounded to binary32 once."""
    total = np.zeros((len(x), qweight.shape[0]), np.int64)
    running = np.zeros((len(x), 1), np.int64)
    for index, group in enumerate(_group_slices(x.shape[1], config.group_size)):
        acc, alignment = group_sum(x[:, group], qweight.values[:, group], config)
        risen = np.maximum(running, alignment[:, None])
        product = (acc >> (risen - alignment[:, None])) * qweight.second_level[0][:, index].astype(np.int64)
        total, running = (total >> (risen - running)) + product, risen
    return accumulate_float32(np.zeros(total.shape, np.float32), total, running + config.exponent_bias)


def _exact_weight(qweight: QuantizedWeight) -> tuple[np.ndarray, np.ndarray]:
    """values * scale_code, integers in float64 [N, K], and the channels' scales."""
    scale_codes, channel_scales = qweight.second_level
    repeated = np.repeat(scale_codes.astype(np.float64), qweight.group_size, axis=1)
    return qweight.values * repeated[:, : qweight.shape[1]], channel_scales


def reference(x: np.ndarray, qweight: QuantizedWeight) -> np.ndarray:
    """Float64 product of the quantized operands; non-finite activations count as zero."""
    weight, channel_scales = _exact_weight(qweight)
    x = check_activations(x, qweight.shape[1])
    finite = np.where(np.isfinite(x), x, 0).astype(np.float64)
    return (finite @ weight.T) * channel_scales.astype(np.float64)


def error_bound(x: np.ndarray, qweight: QuantizedWeight, config: BitModConfig) -> np.ndarray:
    """Worst case of ``|matmul - reference|`` [M, N], derived from the operands, for results that do not overflow.

    A group's sum is off by half a unit of its last alignment for each weight (one rounding an activation) and by less
    than two units for all its right shifts together (each loses less than a unit, units double). The cross-group sum
    rounds once a group (2**-24 of the running magnitude), the output once (half a unit in the last place).

    The dense form has no rises within a group. Of a group below the running exponent R it loses less than a unit of R times the
    scale code, and of the sum less than a unit of the new R at each rise; the sum is rounded once, to binary32.
    """
    check_weight(qweight, config)
    x = check_activations(x, qweight.shape[1])
    bound = np.zeros((len(x), qweight.shape[0]))
    magnitude = np.zeros_like(bound)
    running = np.zeros((len(x), 1), np.int64)
    scale_codes, channel_scales = qweight.second_level
    for index, group in enumerate(_group_slices(x.shape[1], config.group_size)):
        acc, alignment = group_sum(x[:, group], qweight.values[:, group], config)
        unit = np.ldexp(1.0, alignment + config.exponent_bias)[:, None]
        scale = scale_codes[:, index].astype(np.float64)
        magnitude += np.abs(acc) * unit * scale
        bound += np.abs(qweight.values[:, group]).sum(axis=1) / 2 * unit * scale
        if config.is_dense:
            risen = np.maximum(running, alignment[:, None])
            lost = (risen > alignment[:, None]) * scale + ((risen > running) & (running > 0))
            bound += lost * np.ldexp(1.0, risen + config.exponent_bias)
            running = risen
        else:
            bound += 2 * unit * scale + magnitude * 2.0**-24
    if config.is_dense:
        bound += (magnitude + bound) * 2.0**-24
    scale = channel_scales.astype(np.float64)
    epsilon, tiny = (2.0**-24, 2.0**-150) if config.output == "float32" else (2.0**-11, 2.0**-25)
    return bound * scale * (1 + epsilon) + np.abs(reference(x, qweight)) * epsilon + tiny
