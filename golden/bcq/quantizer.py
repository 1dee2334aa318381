# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Binary-coded weights: ``w = sum(alpha_i * b_i) + offset`` with ``b_i`` of -1 and +1, for groups of a row's weights."""

from dataclasses import dataclass

import numpy as np

from ..parameters import check_choice, check_integer

__all__ = ["METHODS", "QuantizedWeight", "from_uniform", "quantize", "round_scales"]

METHODS = ("alternating", "greedy", "refined")
"""How planes and alphas are found: the authors' rounds of least squares and nearest levels; plane by plane; one such round."""
MAX_BITS = 8
ALPHA_BITS = 11
"""Digits of a stored alpha, as many as binary16 has."""
SCALE_RANGE = 15
"""A channel's alphas and offsets are multiples of the last place of what is ``2**15`` times below the largest."""


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight matrix of binary codes.

    Attributes
    ----------
    B : int8 [N, K, bits]
        Planes of -1 and +1. Uniform weights: plane i has weight ``2**i``; others: the largest alpha first.
    alpha : float32 [N, groups, bits]
        Not negative.
    offset : float32 [N, groups] or None
        What is added to every weight of a group.
    group_size : int
        Consecutive weights of a row that share alphas and offset; the last group of a row may be shorter.
    """

    B: np.ndarray
    alpha: np.ndarray
    offset: np.ndarray | None
    group_size: int

    def __post_init__(self) -> None:
        check_integer("group_size", self.group_size, 1)
        if self.B.dtype != np.int8 or self.B.ndim != 3 or 0 in self.B.shape:
            raise ValueError(f"B must be int8 [N, K, bits] with all at least 1, not {self.B.dtype} {self.B.shape}")
        if not np.all(np.abs(self.B) == 1):
            raise ValueError("B must hold -1 and +1 alone: a weight with zeros among them is ternary, which scheme rsr takes")
        n, k, bits = self.B.shape
        check_integer("bits", bits, 1, MAX_BITS)
        groups = -(-k // self.group_size)
        for name, array, shape in (("alpha", self.alpha, (n, groups, bits)), ("offset", self.offset, (n, groups))):
            if array is not None and (array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all()):
                raise ValueError(f"{name} must be finite float32 {list(shape)}, not {array.dtype} {list(array.shape)}")
        if (self.alpha < 0).any():
            raise ValueError(f"alpha must not be negative, not {self.alpha.min()}")

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.B.shape[:2]

    @property
    def bits(self) -> int:
        """Planes of a weight."""
        return self.B.shape[2]

    @property
    def planes(self) -> np.ndarray:
        """int8 [N, K, planes]: those of the weights, and one of ones that an offset belongs to."""
        ones = [] if self.offset is None else [np.ones((*self.shape, 1), np.int8)]
        return np.concatenate([self.B, *ones], axis=2)

    @property
    def codes(self) -> np.ndarray:
        """uint8 [N, K]: bit i is 1 where plane i is +1."""
        return ((self.B > 0) << np.arange(self.bits)).sum(axis=2).astype(np.uint8)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits: planes, and 16 for each alpha and offset."""
        stored = self.alpha.size + (0 if self.offset is None else self.offset.size)
        n, k = self.shape
        return self.bits + 16 * stored / (n * k)

    def spread(self, groups: np.ndarray) -> np.ndarray:
        """What there is for each group [N, groups, ...], for each weight [N, K, ...]."""
        return np.repeat(groups, self.group_size, axis=1)[:, : self.shape[1]]

    def dequantize(self) -> np.ndarray:
        """Return float32 [N, K], summed in float64 and rounded once."""
        weight = np.einsum("nki,nki->nk", self.B.astype(np.float64), self.spread(self.alpha.astype(np.float64)))
        return (weight if self.offset is None else weight + self.spread(self.offset)).astype(np.float32)


def quantize(
    weight: np.ndarray, bits: int, group_size: int = 128, method: str = "alternating", rounds: int = 15
) -> QuantizedWeight:
    """Binary-coding quantization without an offset.

    Parameters
    ----------
    weight : float [N, K]
    bits : 1 to 8
    group_size : int
    method : "alternating", "greedy" or "refined"
        Greedy: each plane is the sign of what is left, its alpha the mean magnitude (a residual of 0 takes +1). Alternating:
        from there ``rounds`` times alphas of least squares for the planes, and for the alphas the nearest of all levels, ties
        up; refined: once. (nuQmm, section 3; the published code's ``bcq.py``.) Alphas are rounded to 11 digits.
    rounds : int
        Of the alternating method.
    """
    check_integer("bits", bits, 1, MAX_BITS)
    check_integer("group_size", group_size, 1)
    check_choice("method", method, METHODS)
    check_integer("rounds", rounds, 0)
    weight = np.asarray(weight)
    if weight.ndim != 2 or 0 in weight.shape or not np.isfinite(weight).all():
        raise ValueError(f"weight must be a finite matrix with rows and columns, not of shape {weight.shape}")
    n, k = weight.shape
    groups, real = _split(weight.astype(np.float64), group_size)
    peak = np.abs(groups).max(axis=1)
    unit = np.where(peak > 0, peak, 1)[:, None]  # the solver of the published code depends on the scale: normalise
    scaled = groups / unit
    planes, alpha = _greedy(scaled, real, bits)
    for _ in range({"greedy": 0, "refined": 1, "alternating": rounds}[method] if bits > 1 else 0):
        alpha = _least_squares(scaled, real, planes)
        planes = _nearest(scaled, alpha)
    alpha = np.where(peak[:, None] > 0, alpha * unit, 0).reshape(n, -1, bits)
    planes = planes.reshape(n, -1, bits)[:, :k].astype(np.int8)
    alpha, _ = round_scales(alpha, None, ALPHA_BITS)
    return QuantizedWeight(np.ascontiguousarray(planes), alpha, None, group_size)


def _split(weight, group_size):
    """Groups [N * groups, group_size], filled up with zeros, and where they are real."""
    fill = ((0, 0), (0, -weight.shape[1] % group_size))
    real = np.pad(np.ones(weight.shape, bool), fill).reshape(-1, group_size)
    return np.pad(weight, fill).reshape(-1, group_size), real


def _greedy(groups, real, bits):
    """Planes [R, g, bits] and alphas [R, bits]."""
    left, planes, alphas = groups.copy(), [], []
    for _ in range(bits):
        planes.append(np.where(left < 0, -1.0, 1.0))
        alphas.append(np.abs(left * real).sum(axis=1) / real.sum(axis=1))
        left = (left - planes[-1] * alphas[-1][:, None]) * real
    return np.stack(planes, axis=2), np.stack(alphas, axis=1)


def _least_squares(groups, real, planes):
    """Alphas that fit the planes best, not negative, the largest first."""
    used = planes * real[:, :, None]
    gram = np.einsum("rgi,rgj->rij", used, used)
    wanted = np.einsum("rgi,rg->ri", used, groups)
    alpha = np.linalg.pinv(gram, hermitian=True) @ wanted[:, :, None]
    return -np.sort(-np.abs(alpha[:, :, 0]), axis=1)


def _nearest(groups, alpha):
    """Planes of the nearest of all levels, ties up; [R, g, bits]."""
    bits = alpha.shape[1]
    patterns = 1 - 2.0 * (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1] & 1)
    values = alpha @ patterns.T
    order = np.argsort(values, axis=1, kind="stable")
    levels = np.take_along_axis(values, order, axis=1)
    middles = (levels[:, 1:] + levels[:, :-1]) / 2
    place = (groups[:, :, None] >= middles[:, None, :]).sum(axis=2)
    return patterns[np.take_along_axis(order, place, axis=1)]


def round_scales(alpha: np.ndarray, offset: np.ndarray | None, digits: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Alphas [N, groups, bits] and offsets as an engine holds them: so many digits, of a channel's common range; float32."""
    everything = alpha if offset is None else np.concatenate([alpha, offset[:, :, None]], axis=2)
    largest = np.abs(everything).reshape(len(alpha), -1).max(axis=1)
    _, top = np.frexp(largest)  # largest < 2**top

    def rounded(values):
        _, exponent = np.frexp(values)
        shape = (-1, *[1] * (values.ndim - 1))
        place = np.maximum(exponent, top.reshape(shape) - SCALE_RANGE) - digits
        return np.ldexp(np.rint(np.ldexp(values.astype(np.float64), -place)), place).astype(np.float32)

    return rounded(alpha), None if offset is None else rounded(offset)


def from_uniform(codes: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None, minimum: np.ndarray | None = None,
                 bits: int | None = None, group_size: int | None = None) -> QuantizedWeight:
    """Uniform weights ``scale * (codes - zero)``, or ``scale * codes + minimum``, as they are.

    ``alpha_i = scale * 2**(i - 1)``, ``offset = scale * ((2**bits - 1) / 2 - zero)``, or ``minimum`` more than with zero 0.

    Parameters
    ----------
    codes : integers [N, K], not negative
    scale : float [N, groups]
        Of any sign: a negative one turns the planes.
    zero, minimum : [N, groups] or None
        Not both.
    bits : 1 to 8, or None
        None: as many as the largest code needs.
    group_size : int or None
        None: K over the groups, which must divide it.
    """
    codes, scale = np.asarray(codes), np.asarray(scale, np.float64)
    if codes.ndim != 2 or 0 in codes.shape or codes.dtype.kind not in "iu" or codes.min() < 0:
        raise ValueError(f"codes must be integers [N, K] from 0 on, not {codes.dtype} {codes.shape}")
    bits = max(int(codes.max()).bit_length(), 1) if bits is None else bits
    check_integer("bits", bits, 1, MAX_BITS)
    if codes.max() >> bits:
        raise ValueError(f"bits must hold all codes, not {bits} for {codes.max()}")
    if zero is not None and minimum is not None:
        raise ValueError("zero must be None where there is a minimum")
    n, k = codes.shape
    if scale.ndim != 2 or len(scale) != n:
        raise ValueError(f"scale must have shape [{n}, groups], not {list(scale.shape)}")
    if group_size is None and k % scale.shape[1]:
        raise ValueError(f"group_size must be given for {scale.shape[1]} groups of K = {k}, which they do not divide")
    size = group_size or k // scale.shape[1]
    planes = np.where(codes[:, :, None] >> np.arange(bits) & 1, 1, -1)
    planes = np.where(np.repeat(scale < 0, size, axis=1)[:, :k, None], -planes, planes).astype(np.int8)
    alpha = np.abs(scale)[:, :, None] * 2.0 ** (np.arange(bits) - 1)
    offset = scale * ((2**bits - 1) / 2 - (0 if zero is None else np.asarray(zero, np.float64)))
    if minimum is not None:
        offset = offset + np.asarray(minimum, np.float64)
    return QuantizedWeight(planes, alpha.astype(np.float32), offset.astype(np.float32), size)
