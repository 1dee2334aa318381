# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Ternary weights and INT8 activations, as BitNet b1.58 has them: quantizers."""

from dataclasses import dataclass

import numpy as np

from .codes import pack_trits

__all__ = [
    "GRANULARITIES", "QuantizedActivations", "QuantizedWeight", "check_activations", "from_ternary", "quantize",
    "quantize_activations",
]

GRANULARITIES = ("tensor", "channel")
"""What shares a weight scale."""

_EPSILON = np.float32(1e-5)


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A ternary weight matrix: ``w = values * scale``.

    Attributes
    ----------
    values : int8 [N, K] of {-1, 0, 1}
    scales : float32 [1] or [N]
        One for the tensor, or one for each output channel.
    granularity : "tensor" or "channel"
    """

    values: np.ndarray
    scales: np.ndarray
    granularity: str

    def __post_init__(self) -> None:
        if self.values.dtype != np.int8 or self.values.ndim != 2 or 0 in self.values.shape:
            raise ValueError(f"values must be int8 [N, K] with N, K at least 1, not {self.values.dtype} {self.values.shape}")
        wrong = np.argwhere((self.values < -1) | (self.values > 1))
        if len(wrong):
            where = tuple(wrong[0].tolist())
            raise ValueError(f"values must be ternary, -1, 0 or 1, not {self.values[where]} at {where}")
        if self.granularity not in GRANULARITIES:
            raise ValueError(f"granularity must be 'tensor' or 'channel', not {self.granularity!r}")
        expected = (1,) if self.granularity == "tensor" else (len(self.values),)
        if self.scales.dtype != np.float32 or self.scales.shape != expected:
            raise ValueError(f"scales must be float32 {list(expected)}, not {self.scales.dtype} {list(self.scales.shape)}")
        if not np.all(np.isfinite(self.scales) & (self.scales >= 0)):
            raise ValueError("scales must be finite and not negative")

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.values.shape

    @property
    def codes(self) -> np.ndarray:
        """The stored trits, row after row, five a byte; uint8 [ceil(N K / 5)]."""
        return pack_trits(self.values.ravel())

    @property
    def bits_per_weight(self) -> float:
        """Stored bits, codes and scales, for each weight."""
        return (8 * len(self.codes) + 32 * len(self.scales)) / self.values.size

    def dequantize(self) -> np.ndarray:
        """Return float32 [N, K]."""
        return self.values * self.scales[:, None]


@dataclass(frozen=True, eq=False)
class QuantizedActivations:
    """INT8 activations with a scale for each token: ``x = values * scales[:, None]``.

    Attributes
    ----------
    values : int8 [M, K]
    scales : float32 [M]
        Zero or positive normal numbers.
    """

    values: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _int8(self.values))
        scales = np.asarray(self.scales)
        if scales.dtype != np.float32 or scales.shape != (len(self.values),):
            raise ValueError(f"scales must be float32 [{len(self.values)}], one a token, "
                             f"not {scales.dtype} {list(scales.shape)}")
        if not np.all((scales == 0) | (np.isfinite(scales) & (scales >= np.finfo(np.float32).tiny))):
            raise ValueError("scales must be zero or positive normal float32 numbers")

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """The numbers that are meant, float64 [M, K]."""
        return (self.values * self.scales.astype(np.float64)[:, None]).astype(dtype or np.float64)


def _int8(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    if x.dtype.kind not in "iu":
        raise TypeError(f"activations must be integers, not {x.dtype}; quantize_activations makes them")
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"activations must have shape [M, K] with M, K at least 1, not {x.shape}")
    wrong = np.argwhere((x < -128) | (x > 127))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise ValueError(f"activations must be within INT8, -128 to 127, not {x[where]} at {where}")
    return x.astype(np.int8)


def check_activations(x: np.ndarray | QuantizedActivations, k: int | None = None) -> QuantizedActivations:
    """Return activations with their token scales, which are 1 for a bare integer array [M, K]; refuse what is no INT8."""
    if not isinstance(x, QuantizedActivations):
        x = _int8(x)
        x = QuantizedActivations(x, np.ones(len(x), np.float32))
    if k is not None and x.values.shape[1] != k:
        raise ValueError(f"activations must have K = {k} like the weight, not {x.values.shape[1]}")
    return x


def quantize_activations(x: np.ndarray) -> QuantizedActivations:
    """Absolute maximum per token to 127, in float32 (BitNet b1.58): ``s = 127 / max(|x|, 1e-5)``, ``rint(x * s)``."""
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x must have shape [M, K] with M, K at least 1, not {x.shape}")
    if not np.isfinite(x).all():
        where = tuple(np.argwhere(~np.isfinite(x))[0].tolist())
        raise ValueError(f"x must be finite, not {x[where]} at {where}")
    s = np.float32(127) / np.maximum(np.abs(x).max(axis=1), _EPSILON)
    values = np.clip(np.rint(x * s[:, None]), -127, 127).astype(np.int8)
    return QuantizedActivations(values, 1 / s)


def quantize(weight: np.ndarray, granularity: str = "tensor") -> QuantizedWeight:
    """Ternarize by the absolute mean, in float32 (BitNet b1.58): ``s = mean |W|``, ``clip(rint(W / (s + 1e-5)), -1, 1)``.

    Parameters
    ----------
    weight : float [N, K]
    granularity : "tensor" or "channel"
        What the mean is taken over.
    """
    weight = np.asarray(weight)
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"weight must have shape [N, K] with N, K at least 1, not {weight.shape}")
    if granularity not in GRANULARITIES:
        raise ValueError(f"granularity must be 'tensor' or 'channel', not {granularity!r}")
    weight = weight.astype(np.float32)
    if not np.isfinite(weight).all():
        raise ValueError("weight must be finite")
    scales = np.abs(weight).mean(axis=None if granularity == "tensor" else 1).reshape(-1)
    values = np.clip(np.rint(weight / (scales + _EPSILON)[:, None]), -1, 1)
    return QuantizedWeight(values.astype(np.int8), scales, granularity)


def from_ternary(weight: np.ndarray, scale: float | np.ndarray = 1.0) -> QuantizedWeight:
    """A trained ternary matrix [N, K] of {-1, 0, 1}, with its scale: a number, or one for each output channel [N]."""
    weight = np.asarray(weight)
    if weight.ndim != 2 or 0 in weight.shape:
        raise ValueError(f"weight must have shape [N, K] with N, K at least 1, not {weight.shape}")
    wrong = np.argwhere(~np.isin(weight, (-1, 0, 1)))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise ValueError(f"weight must be ternary, -1, 0 or 1, not {weight[where]} at {where}")
    scale = np.asarray(scale, np.float32)
    if scale.ndim and scale.shape != (len(weight),):
        raise ValueError(f"scale must be a number or have shape [{len(weight)}], one a channel, not {list(scale.shape)}")
    return QuantizedWeight(weight.astype(np.int8), scale.reshape(-1), "channel" if scale.ndim else "tensor")
