# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights and activations in bipolar words: native quantizers, and two's complement taken over without loss."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..parameters import check_choice, check_integer
from .codes import check_bits, check_codes, decode, signed_codes

__all__ = [
    "SCALINGS", "QuantizedActivations", "QuantizedWeight", "check_activations", "from_signed", "quantize",
    "quantize_activations",
]

SCALINGS = ("absmax", "least_squares")
"""How a scale is chosen."""
_STEPS = 64
"""Largest magnitudes tried for a scale of least squares."""
_TINY = np.finfo(np.float32).tiny


class _Operand:
    """What both operands have: codes [R, K] of so many bits, and whether they stand for two's complement."""

    codes: np.ndarray
    bits: int
    scales: np.ndarray
    signed: bool

    def _check_operand(self):
        check_bits("bits", self.bits)
        check_choice("signed", self.signed, (False, True))
        codes = check_codes("codes", self.codes, self.bits)
        if codes.ndim != 2 or 0 in codes.shape:
            raise ValueError(f"codes must have shape [rows, K] with both at least 1, not {codes.shape}")
        legal = (self.scales == 0) | (self.scales >= _TINY) & np.isfinite(self.scales)
        if self.scales.dtype != np.float32 or not legal.all():
            raise ValueError("scales must be float32, zero or positive normal numbers")

    @property
    def values(self) -> np.ndarray:
        """The integers that are meant, int64 [R, K]: odd ones, or the two's complement ones that codes were made of."""
        values = decode(self.codes, self.bits)
        return values >> 1 if self.signed else values

    @cached_property
    def row_sums(self) -> np.ndarray:
        """Sums of the *odd* integers of each row, int64 [R], which the product of two's complement needs."""
        return decode(self.codes, self.bits).sum(axis=1)


@dataclass(frozen=True, eq=False)
class QuantizedWeight(_Operand):
    """A weight matrix of bipolar words.

    Attributes
    ----------
    codes : uint8 [N, K]
    bits : 1 to 8
    scales : float32 [N], or [N, groups]
        One for each output channel, or for each group of consecutive weights along K; the last group may be shorter.
    group_size : int or None
        Weights of a group; None: a channel is one.
    signed : bool
        The codes stand for two's complement, (value - 1) / 2.
    scale_codes : uint8 [N, groups] or None
        Second level: a group's scale in units of its channel's, which `scales` [N] are then.
    """

    codes: np.ndarray
    bits: int
    scales: np.ndarray
    group_size: int | None = None
    signed: bool = False
    scale_codes: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._check_operand()
        check_integer("group_size", self.group_size, 1, optional=True)
        n, k = self.codes.shape
        groups = (n,) if self.group_size is None else (n, -(-k // self.group_size))
        if self.scale_codes is not None:
            if self.group_size is None:
                raise ValueError("scale_codes must be None for one scale a channel, which group_size=None means")
            if self.scale_codes.dtype != np.uint8 or self.scale_codes.shape != groups:
                raise ValueError(f"scale_codes must be uint8 {list(groups)}, "
                                 f"not {self.scale_codes.dtype} {list(self.scale_codes.shape)}")
        shape = groups if self.scale_codes is None else (n,)
        if self.scales.shape != shape:
            raise ValueError(f"scales must have shape {list(shape)}, not {list(self.scales.shape)}")

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.codes.shape

    @property
    def bits_per_weight(self) -> float:
        """Stored bits, planes and scales, for each weight."""
        codes = 0 if self.scale_codes is None else 8 * self.scale_codes.size
        return self.bits + (32 * self.scales.size + codes) / self.codes.size

    @property
    def group_scales(self) -> np.ndarray:
        """Scale of each group, float64 [N, groups]; a channel without groups is one."""
        scales = self.scales.astype(np.float64)
        if self.scale_codes is not None:
            return self.scale_codes * scales[:, None]
        return scales.reshape(len(scales), -1)

    def spread(self, groups: np.ndarray) -> np.ndarray:
        """What there is for each group [N, groups], for each weight [N, K]."""
        return np.repeat(groups, self.group_size or self.shape[1], axis=1)[:, : self.shape[1]]

    def dequantize(self) -> np.ndarray:
        """Return float32 [N, K]."""
        return (self.values * self.spread(self.group_scales)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class QuantizedActivations(_Operand):
    """Activations of bipolar words.

    Attributes
    ----------
    codes : uint8 [M, K]
    bits : 1 to 8
    scales : float32 [M]
        One for each token.
    signed : bool
        The codes stand for two's complement, (value - 1) / 2.
    """

    codes: np.ndarray
    bits: int
    scales: np.ndarray
    signed: bool = False

    def __post_init__(self) -> None:
        self._check_operand()
        if self.scales.shape != (len(self.codes),):
            raise ValueError(f"scales must have shape [{len(self.codes)}], one a token, not {list(self.scales.shape)}")

    def __len__(self) -> int:
        return len(self.codes)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The numbers that are meant, float64 [M, K]."""
        return (self.values * self.scales.astype(np.float64)[:, None]).astype(dtype or np.float64)


def check_activations(x: object, k: int | None = None) -> QuantizedActivations:
    """Return activations; bare INT8 [M, K] are two's complement of 8 bits with scales of 1."""
    if not isinstance(x, QuantizedActivations):
        x = np.asarray(x)
        if x.dtype != np.int8:
            raise TypeError(f"activations must be QuantizedActivations or int8, not {x.dtype}; quantize_activations makes them")
        x = QuantizedActivations(signed_codes(x, 8), 8, np.ones(len(x), np.float32), True)
    if k is not None and x.codes.shape[1] != k:
        raise ValueError(f"activations must have K = {k} like the weight, not {x.codes.shape[1]}")
    return x


def _finite(name: str, x: object) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} must be a matrix with rows and columns, not of shape {x.shape}")
    x = x.astype(np.float32)
    if not np.isfinite(x).all():
        raise ValueError(f"{name} must be finite")
    return x


def _round(x: np.ndarray, scale: np.ndarray, bits: int) -> np.ndarray:
    """Nearest odd multiples of the scales [..., 1], codes; ties, and zero, go up (to +1)."""
    half = 2 ** (bits - 1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        steps = np.where(scale > 0, np.floor(x / (2 * scale)), 0)
    return (np.clip(steps, -half, half - 1) + half).astype(np.uint8)


def _normal(scale: np.ndarray) -> np.ndarray:
    """Scales in binary32; what is no normal number there becomes zero."""
    scale = scale.astype(np.float32)
    return np.where(scale < _TINY, np.float32(0), scale)


def _quantize_rows(x: np.ndarray, bits: int, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of rows [R, K], float32."""
    largest = 2**bits - 1
    absmax = np.abs(x).max(axis=1, keepdims=True)
    best = _normal(absmax / largest)
    codes = _round(x, best, bits)
    if scaling == "absmax":
        return codes, best[:, 0]
    error = np.full((len(x), 1), np.inf)
    for step in range(1, _STEPS + 1):
        tried = _round(x, _normal(absmax * step / (_STEPS * largest)), bits)
        q = decode(tried, bits)
        fitted = (x * q).sum(axis=1, keepdims=True, dtype=np.float64) / (q * q).sum(axis=1, keepdims=True)
        scale = _normal(np.maximum(fitted, 0))
        missed = ((x - q * scale.astype(np.float64)) ** 2).sum(axis=1, keepdims=True)
        better = missed < error
        error, best, codes = np.where(better, missed, error), np.where(better, scale, best), np.where(better, tried, codes)
    return codes, best[:, 0]


def quantize(weight: np.ndarray, bits: int, group_size: int | None = None, scaling: str = "absmax",
             scale_bits: int | None = None) -> QuantizedWeight:
    """Native symmetric quantization: ``q = 2 clip(floor(w / 2d)) + 1``, w ~ d q, all 2**bits levels, in float32.

    A weight half-way between two levels, zero among them, takes the upper one.

    Parameters
    ----------
    weight : float [N, K]
    bits : 1 to 8
    group_size : int or None
        Consecutive weights that share a scale; None: a whole channel.
    scaling : "absmax" or "least_squares"
        d from the largest magnitude, or the one of 64 clips whose squared error, with d fitted to it, is least.
    scale_bits : 2 to 8, or None
        Of a second level: scales of groups are rounded to multiples of their channel's, the largest one to the largest
        multiple, and weights to levels of those. None: each group has a binary32 scale of its own, which no engine takes.
    """
    check_bits("bits", bits)
    check_integer("group_size", group_size, 1, optional=True)
    check_integer("scale_bits", scale_bits, 2, 8, optional=True)
    check_choice("scaling", scaling, SCALINGS)
    weight = _finite("weight", weight)
    if group_size is None:
        if scale_bits is not None:
            raise ValueError(f"scale_bits must be None for one scale a channel, which group_size=None means, not {scale_bits}")
        codes, scales = _quantize_rows(weight, bits, scaling)
        return QuantizedWeight(codes, bits, scales)
    groups = [_quantize_rows(weight[:, start : start + group_size], bits, scaling)
              for start in range(0, weight.shape[1], group_size)]
    codes, scales = zip(*groups, strict=True)
    scales = np.stack(scales, axis=1)
    if scale_bits is None:
        return QuantizedWeight(np.concatenate(codes, axis=1), bits, scales, group_size)
    units = _normal(scales.max(axis=1) / np.float32(2**scale_bits - 1))
    multiples = np.rint(np.divide(scales, units[:, None], out=np.zeros_like(scales), where=units[:, None] > 0))
    multiples = np.minimum(multiples, 2**scale_bits - 1).astype(np.uint8)
    spread = np.repeat(multiples * units[:, None], group_size, axis=1)[:, : weight.shape[1]]
    return QuantizedWeight(_round(weight, spread, bits), bits, units, group_size, scale_codes=multiples)


def quantize_activations(x: np.ndarray, bits: int = 8, signed: bool | None = None) -> QuantizedActivations:
    """A scale for each token from its largest magnitude, in float32.

    Parameters
    ----------
    x : float [M, K]
    bits : 1 to 8
    signed : bool or None
        Two's complement, which has a zero, with largest magnitude ``2**(bits - 1) - 1``; or odd integers, which have one level
        more. None: two's complement but for 1 bit.
    """
    check_bits("bits", bits)
    check_choice("signed", signed, (None, False, True))
    x = _finite("x", x)
    if signed is None:
        signed = bits > 1
    if not signed:
        codes, scales = _quantize_rows(x, bits, "absmax")
        return QuantizedActivations(codes, bits, scales)
    if bits == 1:
        raise ValueError("signed must be False for 1 bit, whose two's complement has no magnitude to scale to")
    largest = 2 ** (bits - 1) - 1
    scales = _normal(np.abs(x).max(axis=1) / np.float32(largest))
    values = np.rint(x / np.where(scales > 0, scales, np.float32(np.inf))[:, None])
    return QuantizedActivations(signed_codes(np.clip(values, -largest, largest).astype(np.int64), bits), bits, scales, True)


def from_signed(values: np.ndarray, bits: int, scale: float | np.ndarray = 1.0) -> QuantizedWeight:
    """Two's complement weights [N, K] without loss, with their scale: a number, or one for each output channel [N]."""
    values = np.asarray(values)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"values must have shape [N, K] with N, K at least 1, not {values.shape}")
    scale = np.asarray(scale, np.float32)
    if scale.ndim and scale.shape != (len(values),):
        raise ValueError(f"scale must be a number or have shape [{len(values)}], one a channel, not {list(scale.shape)}")
    return QuantizedWeight(signed_codes(values, bits), bits, np.broadcast_to(scale, len(values)).copy(), None, True)
