# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Plain quantizers to compare formats with: uniform levels, symmetric or with a zero point, a scale a channel or a group."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Uniform", "UniformWeight"]

_SCALE_BITS = 16


@dataclass(frozen=True, eq=False)
class UniformWeight:
    """A weight on uniform levels.

    Attributes
    ----------
    values : float32 [N, K]
        What the codes stand for.
    bits_per_weight : float
        Codes, binary16 scales, and zero points as wide as a code.
    """

    values: np.ndarray
    bits_per_weight: float

    def dequantize(self) -> np.ndarray:
        """Float32 [N, K]."""
        return self.values


@dataclass(frozen=True)
class Uniform:
    """A quantizer by absolute maxima.

    Parameters
    ----------
    bits : int
        2 to 8.
    symmetric : bool
        Levels to ``2**(bits - 1) - 1`` in both directions times a scale; else ``0 .. 2**bits - 1`` less a zero point.
    group_size : int or None
        Weights along K with a scale; None: the whole row.
    """

    bits: int
    symmetric: bool
    group_size: int | None

    @property
    def name(self) -> str:
        """Such as ``int4-asymmetric-g128``."""
        return (f"int{self.bits}-{'symmetric' if self.symmetric else 'asymmetric'}"
                f"-{f'g{self.group_size}' if self.group_size else 'channel'}")

    def quantize(self, weight: np.ndarray) -> UniformWeight:
        """Quantize a weight float32 [N, K]; the last group of a row may be shorter."""
        size = self.group_size or weight.shape[1]
        groups = range(0, weight.shape[1], size)
        values = np.concatenate([self._round(weight[:, start : start + size]) for start in groups], axis=1)
        shared = _SCALE_BITS + (0 if self.symmetric else self.bits)
        return UniformWeight(values, self.bits + len(groups) * shared / weight.shape[1])

    def _round(self, group):
        """A scale a row."""
        if self.symmetric:
            largest = 2 ** (self.bits - 1) - 1
            scale = _scale(np.abs(group).max(axis=1, keepdims=True), largest)
            return np.clip(np.rint(group / scale), -largest, largest) * scale
        largest = 2**self.bits - 1
        low = np.minimum(group.min(axis=1, keepdims=True), 0)
        scale = _scale(np.maximum(group.max(axis=1, keepdims=True), 0) - low, largest)
        zero = np.rint(-low / scale)
        return (np.clip(np.rint(group / scale) + zero, 0, largest) - zero) * scale


def _scale(span, levels):
    """Rounded to binary16, and no zero."""
    return np.maximum((span / levels).astype(np.float16), np.finfo(np.float16).smallest_subnormal).astype(np.float32)
