# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A weight matrix that is quantized already: what every such file holds, in one form."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

__all__ = ["QuantizedTensor"]


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """Codes as a file holds them, by groups of consecutive weights along K.

    ``w[n, k] = scales[n, g] * (codes[n, k] - zeros[n, g]) + minima[n, g]`` with ``g = k // group_size``.

    Attributes
    ----------
    codes : uint8 [N, K]
        Below ``2**bits``.
    bits : int, 1 to 8
    scales : float32 [N, groups]
        Of any sign.
    group_size : int
        The last group of a row may be shorter.
    source : str
        What the file calls it: ``Q4_0``, ``GPTQ``, ``int8``.
    zeros : int16 [N, groups]
        The code that stands for zero; in place of one value None for all zeros.
    minima : float32 [N, groups] or None
        What is added, in a format that stores minima.
    order : int64 [K] or None
        Column ``i`` here is the file's input ``order[i]``: a checkpoint whose groups are not of neighbours is sorted by groups,
        and its activations are ``x[:, order]``. None: as they come.
    """

    codes: np.ndarray
    bits: int
    scales: np.ndarray
    group_size: int
    source: str
    zeros: np.ndarray = None  # pyright: ignore[reportAssignmentType]  # __post_init__ puts zeros there
    minima: np.ndarray | None = None
    order: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.codes.dtype != np.uint8 or self.codes.ndim != 2 or 0 in self.codes.shape:
            raise ValueError(f"codes must be uint8 [N, K] with N, K at least 1, not {self.codes.dtype} {self.codes.shape}")
        if not 1 <= self.bits <= 8 or self.codes.max() >> self.bits:
            raise ValueError(f"bits must be 1 to 8 and hold all codes, not {self.bits!r} for {self.codes.max()}")
        n, k = self.codes.shape
        if self.group_size < 1:
            raise ValueError(f"group_size must be at least 1, not {self.group_size!r}")
        shape = (n, -(-k // self.group_size))
        if self.zeros is None:
            object.__setattr__(self, "zeros", np.zeros(shape, np.int16))
        for name in ("scales", "zeros", "minima"):
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} must have the shape {shape}, N and groups, not {array.shape}")
        if self.order is not None and not np.array_equal(np.sort(self.order), np.arange(k)):
            raise ValueError(f"order must be a permutation of {k} columns")

    @classmethod
    def from_values(cls, values: np.ndarray, scales: np.ndarray | float, source: str) -> "QuantizedTensor":
        """Signed integers [N, K] from -128 to 127 or unsigned ones to 255; one scale, or one a row [N], or [N, groups]
        of equal groups."""
        values = np.asarray(values)
        low, high = int(values.min(initial=0)), int(values.max(initial=0))
        if low < -128 or high > (127 if low < 0 else 255):
            raise ValueError(f"codes must be within -128 to 127, or 0 to 255, not reach {low} and {high}")
        bits = max(high.bit_length() + (low < 0), (-low - 1).bit_length() + 1 if low < 0 else 1, 1)
        zero = 1 << bits - 1 if low < 0 else 0
        scales = np.asarray(scales, np.float32)
        scales = scales.reshape(-1, 1) if scales.ndim < 2 else scales
        groups = scales.shape[1]
        if scales.ndim != 2 or len(scales) not in (1, len(values)) or not groups or values.shape[1] % groups:
            raise ValueError(
                f"scales must be one, or one a row, or [N, groups] with groups that divide K, for codes "
                f"{list(values.shape)}, not {list(scales.shape)}"
            )
        group_size = values.shape[1] // groups
        scales = np.broadcast_to(scales, (len(values), groups))
        return cls(
            (values.astype(np.int16) + zero).astype(np.uint8),
            bits,
            scales,
            group_size,
            source,
            np.full(scales.shape, zero, np.int16),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.codes.shape

    @property
    def groups(self) -> int:
        """Groups of a row."""
        return self.scales.shape[1]

    def spread(self, groups: np.ndarray) -> np.ndarray:
        """What there is for each group [N, groups], for each weight [N, K]."""
        return np.repeat(groups, self.group_size, axis=1)[:, : self.shape[1]]

    @cached_property
    def values(self) -> np.ndarray:
        """What `magnitudes` scale, int16 [N, K]: without zeros, minima left out; 0 in a group whose scale is 0."""
        return (self.codes - self.spread(self.zeros)) * self.spread(np.sign(self.scales).astype(np.int16))

    @property
    def magnitudes(self) -> np.ndarray:
        """The scales without their signs, which `values` have; float32 [N, groups]."""
        return np.abs(self.scales)

    @property
    def value_bits(self) -> int:
        """Bits of a two's complement number that holds each of the `values`."""
        return max(int(self.values.max(initial=0)), -int(self.values.min(initial=0)) - 1).bit_length() + 1

    @property
    def is_ternary(self) -> bool:
        """Whether all `values` are -1, 0 or 1, and there are no minima."""
        return not self.has_minima and np.abs(self.values).max() <= 1

    @property
    def has_minima(self) -> bool:
        """Whether something is added to scaled codes."""
        return self.minima is not None and bool(self.minima.any())

    @cached_property
    def used(self) -> np.ndarray:
        """Whether a group has a value other than zero, bool [N, groups]: only of such a one the scale matters."""
        k, groups = self.shape[1], self.groups
        padded = np.pad(self.values, ((0, 0), (0, groups * self.group_size - k)))
        return np.any(padded.reshape(len(padded), groups, self.group_size), axis=2)

    def channel_scales(self) -> np.ndarray | None:
        """The one scale of each row, float32 [N], 0 for a row of zeros; None if the scales of a row's groups differ."""
        scales = self.scales_by(self.shape[1])
        return None if scales is None else scales[:, 0]

    def scales_by(self, group_size: int) -> np.ndarray | None:
        """The scales of other groups, float32 [N, groups], 0 of a group of zeros; None if the scales in one of them differ."""
        k = self.shape[1]
        scales = self.spread(np.where(self.used, self.magnitudes, 0))
        scales = np.pad(scales, ((0, 0), (0, -k % group_size))).reshape(len(scales), -1, group_size)
        largest = scales.max(axis=2)
        return largest if ((scales == largest[..., None]) | (scales == 0)).all() else None

    def mean_scale(self, axis: int | None) -> np.ndarray:
        """The scale of a row (axis 1) or of all (None) with the least squared error for ternary `values`, float32.

        It is the scale itself where all groups that have a value agree.
        """
        counts = np.where(
            self.used, np.add.reduceat(self.values != 0, range(0, self.shape[1], self.group_size), axis=1, dtype=np.int64), 0
        )
        scales = self.magnitudes.astype(np.float64)
        mean = (counts * scales).sum(axis) / np.maximum(counts.sum(axis), 1)
        largest, least = (scales * self.used).max(axis), np.where(self.used, scales, np.inf).min(axis)
        return np.where(largest == least, largest, mean).astype(np.float32)

    def sorted(self, x: np.ndarray) -> np.ndarray:
        """Activations [M, K] as the columns here need them."""
        return x if self.order is None else x[:, self.order]

    def rows(self, rows: slice | tuple | list) -> "QuantizedTensor":
        """Some output channels."""
        parts = {
            name: getattr(self, name)[rows]
            for name in ("codes", "scales", "zeros", "minima")
            if getattr(self, name) is not None
        }
        return replace(self, **parts)

    def dequantize(self) -> np.ndarray:
        """Float32 [N, K], columns as here: the product, then the sum, each rounded once."""
        weight = (self.codes - self.spread(self.zeros)).astype(np.float32) * self.spread(self.scales)
        return weight if self.minima is None else weight + self.spread(self.minima)

    def unsorted(self) -> np.ndarray:
        """:meth:`dequantize` with columns in the file's order."""
        weight = self.dequantize()
        if self.order is None:
            return weight
        given = np.empty_like(weight)
        given[:, self.order] = weight
        return given
