# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Binary-coded weights: ``w = sum(alpha_i * b_i) + offset`` with ``b_i`` of -1 and +1, for groups of a row's weights."""

from dataclasses import dataclass

import numpy as np

from ..parameters import check_choice, check_integer

__all__ = ["METHODS", "QuantizedWeight", "from_uniform", "quantize", "round_scales"]

METHODS = ("alternating", "greedy", "refined", "grid", "uniform")
"""How planes and alphas are found: the authors' rounds of least squares and nearest levels; plane by plane; one such round;
ours, from the uniform grid between a group's extremes, which has an offset; that grid itself."""
MAX_BITS = 8
ALPHA_BITS = 11
"""Digits of a stored alpha, as many as binary16 has."""
SCALE_RANGE = 15
"""A channel's alphas and offsets are multiples of the last place of what is ``2**15`` times below the largest."""
_TRUSTED = 0.7
"""Of what inputs have in common: those that went along on the text that calibrates do so less on another."""
NO_PLACE = -1000
"""Of zero: below all others."""


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
    def uniform(self) -> bool:
        """Whether alphas double from plane to plane."""
        return bool((self.alpha == self.alpha[:, :, :1] * 2.0 ** np.arange(self.bits)).all())

    @property
    def bits_per_weight(self) -> float:
        """Stored bits: planes, and 16 for each alpha and offset; of uniform weights for one alpha a group."""
        n, k = self.shape
        groups = n * self.alpha.shape[1]
        stored = groups * ((1 if self.uniform else self.bits) + (self.offset is not None))
        return self.bits + 16 * stored / (n * k)

    def spread(self, groups: np.ndarray) -> np.ndarray:
        """What there is for each group [N, groups, ...], for each weight [N, K, ...]."""
        return np.repeat(groups, self.group_size, axis=1)[:, : self.shape[1]]

    def dequantize(self) -> np.ndarray:
        """Return float32 [N, K], summed in float64 and rounded once."""
        weight = np.einsum("nki,nki->nk", self.B.astype(np.float64), self.spread(self.alpha.astype(np.float64)))
        return (weight if self.offset is None else weight + self.spread(self.offset)).astype(np.float32)


def quantize(
    weight: np.ndarray, bits: int, group_size: int = 128, method: str = "alternating", rounds: int = 15,
    importance: np.ndarray | None = None
) -> QuantizedWeight:
    """Binary-coding quantization.

    Parameters
    ----------
    weight : float [N, K]
    bits : 1 to 8
    group_size : int
    method : one of `METHODS`
        Greedy: each plane is the sign of what is left, its alpha the mean magnitude (a residual of 0 takes +1). Alternating:
        from there ``rounds`` times alphas of least squares for the planes, and for the alphas the nearest of all levels, ties
        up; refined: once. (nuQmm, section 3; the published code's ``bcq.py``.) Grid: such rounds, with an offset, from the
        uniform grid that ends at the group's extremes; a group takes a round only if its error falls, so none is worse than
        uniform. Uniform: that grid, alphas doubling from plane to plane, the least first. Alphas and offsets are rounded to
        11 digits.
    rounds : int
        Of the methods "alternating" and "grid".
    importance : float [K], float [K, K] or None
        For "grid": how much an input's squared error counts, its mean square among activations, say; or the mean products of
        all pairs of inputs, symmetric, none of whose weighted sums has a negative square. With these the error of each weight
        is made good by those to its right, as far as their inputs go along (Frantar et al., "GPTQ", 2022, algorithm 1), and a
        row takes that only if the error of its products falls.
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
    if importance is not None and method != "grid":
        raise ValueError(f"importance must be None for method {method!r}, which has no use for it")
    if method == "grid":
        importance = _checked_importance(importance, k)
        planes, alpha, offset = _from_grid(scaled, _counts(importance, n, k, group_size) * real, bits, rounds)
        if importance.ndim == 2:
            plain = _finished(planes, alpha * unit, offset * unit[:, 0], (n, k), group_size)
            return _better(weight, importance, plain, _with_feedback(weight, importance, bits, group_size, rounds))
        return _finished(planes, alpha * unit, offset * unit[:, 0], (n, k), group_size)
    if method == "uniform":
        return _uniform(weight, bits, group_size)
    planes, alpha = _greedy(scaled, real, bits)
    for _ in range({"greedy": 0, "refined": 1, "alternating": rounds}[method] if bits > 1 else 0):
        alpha = _least_squares(scaled, real, planes)
        planes = _nearest(scaled, alpha)
    return _finished(planes, np.where(peak[:, None] > 0, alpha * unit, 0), None, (n, k), group_size)


def _finished(planes, alpha, offset, shape, group_size):
    """The quantized weight of groups [R, ...]."""
    n, k = shape
    bits = planes.shape[2]
    alpha, offset = round_scales(alpha.reshape(n, -1, bits), None if offset is None else offset.reshape(n, -1), ALPHA_BITS)
    planes = planes.reshape(n, -1, bits)[:, :k].astype(np.int8)
    return QuantizedWeight(np.ascontiguousarray(planes), alpha, offset, group_size)


def _checked_importance(importance, k):
    """float64 [K] or [K, K]."""
    importance = np.ones(k) if importance is None else np.asarray(importance, np.float64)
    if importance.shape not in ((k,), (k, k)) or not np.isfinite(importance).all() or (_diagonal(importance) < 0).any():
        raise ValueError(f"importance must be {k} numbers from 0 on, or a matrix of {k} x {k} with such a diagonal, "
                         f"not {importance.shape}")
    return importance


def _diagonal(importance):
    return importance if importance.ndim == 1 else importance.diagonal()


def _counts(importance, n, k, group_size):
    """What an error counts, [N * groups, group_size]."""
    return _split(np.broadcast_to(_diagonal(importance), (n, k)), group_size)[0]


def _with_feedback(weight, products, bits, group_size, rounds):
    """Each weight takes the level nearest to what it is wanted to be, and its error moves what is wanted to its right."""
    n, k = weight.shape
    factor = _inverse_factor(products)
    wanted, found = weight.astype(np.float64), []
    for start in range(0, k, group_size):
        stop = min(start + group_size, k)
        group, counts = wanted[:, start:stop], products.diagonal()[start:stop]
        _, alpha, offset = _from_grid(group, np.broadcast_to(counts, group.shape), bits, rounds)
        patterns, levels = _levels(alpha)
        levels += offset[:, None]
        middles, rows = (levels[:, 1:] + levels[:, :-1]) / 2, np.arange(n)
        planes, errors = np.empty((*group.shape, bits)), np.empty(group.shape)
        for place, row in enumerate(factor[start:stop, start:stop]):
            nearest = (group[:, place, None] >= middles).sum(axis=1)
            planes[:, place] = patterns[rows, nearest]
            errors[:, place] = (group[:, place] - levels[rows, nearest]) / row[place]
            group[:, place + 1 :] -= np.outer(errors[:, place], row[place + 1 :])
        wanted[:, stop:] -= errors @ factor[start:stop, stop:]
        found.append((np.pad(planes, ((0, 0), (0, group_size - (stop - start)), (0, 0))), alpha, offset))
    planes, alpha, offset = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
    return _finished(planes.reshape(-1, group_size, bits), alpha, offset, (n, k), group_size)


def _inverse_factor(products):
    """Upper triangular F with ``F.T @ F`` the inverse of products that are shrunk towards their diagonal."""
    squares = products.diagonal()
    least = 1e-6 * squares.mean() + np.finfo(np.float64).tiny  # inputs that are always 0
    shrunk = _TRUSTED * products + np.diag((1 - _TRUSTED) * squares + least)
    return np.linalg.cholesky(np.linalg.inv(shrunk)).T


def _better(weight, products, first, second):
    """Of each row the one whose products are nearer."""
    lost = [np.einsum("nk,nk->n", error @ products, error)
            for error in (qweight.dequantize() - weight.astype(np.float64) for qweight in (first, second))]
    taken = (lost[1] < lost[0])[:, None]
    planes, alpha = (np.where(taken[:, :, None], *pair) for pair in ((second.B, first.B), (second.alpha, first.alpha)))
    return QuantizedWeight(planes, alpha, np.where(taken, second.offset, first.offset), first.group_size)


def _from_grid(groups, counts, bits, rounds):
    """Planes [R, g, bits], alphas [R, bits], offsets [R], whose errors, counted, are least."""
    known = counts > 0
    low, high = groups.min(axis=1, where=known, initial=np.inf), groups.max(axis=1, where=known, initial=-np.inf)
    low, high = (np.where(known.any(axis=1), end, 0) for end in (low, high))
    alpha = ((high - low) / (2**bits - 1))[:, None] * 2.0 ** (np.arange(bits)[::-1] - 1)
    offset = (high + low) / 2
    planes = _nearest(groups - offset[:, None], alpha)
    least = _error(groups, counts, planes, alpha, offset)
    at = np.arange(len(groups))  # a group that has not taken a round would not take the next one, which is the same
    for _ in range(rounds):
        fitted = _fit(groups[at], counts[at], np.concatenate([planes[at], np.ones((*groups[at].shape, 1))], axis=2))
        tried_alpha, tried_offset = -np.sort(-np.abs(fitted[:, :-1]), axis=1), fitted[:, -1]
        tried = _nearest(groups[at] - tried_offset[:, None], tried_alpha)
        error = _error(groups[at], counts[at], tried, tried_alpha, tried_offset)
        better = error < least[at]
        at = at[better]
        if not len(at):
            break
        planes[at], alpha[at], offset[at], least[at] = tried[better], tried_alpha[better], tried_offset[better], error[better]
    return planes, alpha, offset


def _uniform(weight, bits, group_size):
    """The grid between a group's extremes; offsets are multiples of the last place of the group's least alpha."""
    groups, real = _split(weight.astype(np.float64), group_size)
    low, high = np.where(real, groups, np.inf).min(axis=1), np.where(real, groups, -np.inf).max(axis=1)
    alpha, offset = (values.reshape(len(weight), -1) for values in ((high - low) / 2 / (2**bits - 1), (high + low) / 2))
    above = 1 + 2.0**-ALPHA_BITS  # what rounding may reach
    places = np.maximum(places_of(alpha * above), places_of(offset * above) - bits)
    place = np.maximum(places, places.max(axis=1, keepdims=True) - SCALE_RANGE + bits) - ALPHA_BITS
    alpha = np.ldexp(np.rint(np.ldexp(alpha, -place)), place)
    place = np.maximum(place, places_of(offset * above) - ALPHA_BITS)
    offset = np.ldexp(np.rint(np.ldexp(offset, -place)), place)
    middle = (2**bits - 1) / 2
    step = np.where(alpha > 0, 2 * alpha, 1).reshape(-1, 1)
    codes = np.clip(np.rint((groups - offset.reshape(-1, 1)) / step + middle), 0, 2**bits - 1).astype(np.int64)
    codes = codes.reshape(len(weight), -1)[:, : weight.shape[1]]
    return from_uniform(codes, 2 * alpha, minimum=offset - 2 * alpha * middle, bits=bits, group_size=group_size)


def _error(groups, counts, planes, alpha, offset):
    """Of each group, squared and counted."""
    left = groups - np.einsum("rgi,ri->rg", planes, alpha) - offset[:, None]
    return (counts * left * left).sum(axis=1)


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
    return -np.sort(-np.abs(_fit(groups, real, planes)), axis=1)


def _fit(groups, counts, planes):
    """What the planes [R, g, n] are best multiplied by, [R, n]."""
    counted = planes * counts[:, :, None]
    gram = np.matmul(counted.transpose(0, 2, 1), planes)
    wanted = np.matmul(counted.transpose(0, 2, 1), groups[:, :, None])
    ridge = np.trace(gram, axis1=1, axis2=2) * 2.0**-40 + 2.0**-1000  # planes may be alike, counts 0
    return np.linalg.solve(gram + ridge[:, None, None] * np.eye(gram.shape[1]), wanted)[:, :, 0]


def _nearest(groups, alpha):
    """Planes of the nearest of all levels, ties up; [R, g, bits]."""
    patterns, levels = _levels(alpha)
    place = np.zeros(groups.shape, np.int64)
    for middle in ((levels[:, 1:] + levels[:, :-1]) / 2).T:
        place += groups >= middle[:, None]
    return np.take_along_axis(patterns, place[:, :, None], axis=1)


def _levels(alpha):
    """The planes [R, 2**bits, bits] and values [R, 2**bits] of all levels, upwards."""
    bits = alpha.shape[1]
    patterns = 1 - 2.0 * (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1] & 1)
    values = alpha @ patterns.T
    order = np.argsort(values, axis=1, kind="stable")
    return patterns[order], np.take_along_axis(values, order, axis=1)


def places_of(values: np.ndarray) -> np.ndarray:
    """The power of two above each."""
    return np.where(values == 0, NO_PLACE, np.frexp(values)[1])


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
