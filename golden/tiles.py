# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The tiles of a product, and their order on every stream: the one place that knows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

__all__ = ["ORDERS", "Order", "Tiles"]

Order = str
ORDERS: tuple[Order, ...] = ("n_outer", "m_outer")
"""Which tiles follow each other: those of a column of tiles (default), or those of a row of tiles."""


@dataclass(frozen=True)
class Tiles:
    """The tiles of ``Y[m, n]`` on an array of ``rows`` x ``cols``, the last ones filled up.

    A tile's results leave row by row, columns ascending, ``drain`` of them a beat.
    """

    m: int
    n: int
    rows: int
    cols: int
    drain: int
    order: Order = "n_outer"

    def __post_init__(self) -> None:
        for name in ("m", "n"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)!r}")
        if self.order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {self.order!r}")

    @property
    def m_tiles(self) -> int:
        """Tiles of rows."""
        return ceil(self.m / self.rows)

    @property
    def n_tiles(self) -> int:
        """Tiles of columns."""
        return ceil(self.n / self.cols)

    @property
    def beats(self) -> int:
        """Beats on ``outputs`` a tile."""
        return self.rows * self.cols // self.drain

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Tile of rows and tile of columns of each tile, in order."""
        if self.order == "n_outer":
            return [(i, j) for j in range(self.n_tiles) for i in range(self.m_tiles)]
        return [(i, j) for i in range(self.m_tiles) for j in range(self.n_tiles)]

    def split_rows(self, array: np.ndarray) -> np.ndarray:
        """[m, ...] to [m_tiles, rows, ...], filled up with zeros."""
        return _split(array, self.rows)

    def split_columns(self, array: np.ndarray, fill: float = 0) -> np.ndarray:
        """[n, ...] to [n_tiles, cols, ...]."""
        return _split(array, self.cols, fill)

    def send_rows(self, words: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Words [beats, bytes] of each tile of rows, as the stream carries them: again for each tile of columns."""
        return np.concatenate([words[i] for i, _ in self.places])

    def send_columns(self, words: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Words [beats, bytes] of each tile of columns, likewise."""
        return np.concatenate([words[j] for _, j in self.places])

    def first_of_rows(self) -> list[int]:
        """Number of the first tile of each tile of rows."""
        return [self.places.index((i, 0)) for i in range(self.m_tiles)]

    def first_of_columns(self) -> list[int]:
        """Number of the first tile of each tile of columns."""
        return [self.places.index((0, j)) for j in range(self.n_tiles)]

    def to_outputs(self, y: np.ndarray) -> np.ndarray:
        """[m, n] to the results of each beat [beats, drain]; what fills up is zero, unless y has its rows."""
        y = np.pad(y, ((0, self.m_tiles * self.rows - len(y)), (0, self.n_tiles * self.cols - y.shape[1])))
        tiles = y.reshape(self.m_tiles, self.rows, self.n_tiles, self.cols).transpose(0, 2, 1, 3)
        return np.concatenate([tiles[place] for place in self.places]).reshape(-1, self.drain)

    def from_outputs(self, data: np.ndarray) -> np.ndarray:
        """Undo :meth:`to_outputs`."""
        tiles = np.empty((self.m_tiles, self.n_tiles, self.rows, self.cols), data.dtype)
        for place, tile in zip(self.places, data.reshape(-1, self.rows, self.cols), strict=True):
            tiles[place] = tile
        y = tiles.transpose(0, 2, 1, 3).reshape(self.m_tiles * self.rows, -1)
        return y[: self.m, : self.n]

    def any(self, mask: np.ndarray) -> np.ndarray:
        """Whether a tile has a true element: bool [m, n] to [m_tiles, n_tiles]."""
        mask = np.pad(mask, ((0, -self.m % self.rows), (0, -self.n % self.cols)))
        return np.any(mask.reshape(self.m_tiles, self.rows, self.n_tiles, self.cols), axis=(1, 3))

    def flag_outputs(self, flags: np.ndarray) -> np.ndarray:
        """A flag of each tile [m_tiles, n_tiles] for each beat of its results."""
        return np.repeat([flags[place] for place in self.places], self.beats)

    def flags_of(self, beats: np.ndarray) -> np.ndarray:
        """A flag of each beat to whether a tile has it: [m_tiles, n_tiles]."""
        flags = np.zeros((self.m_tiles, self.n_tiles), bool)
        for place, tile in zip(self.places, np.any(beats.reshape(-1, self.beats), axis=1), strict=True):
            flags[place] = tile
        return flags

    def beat_of(self, row: np.ndarray, col: np.ndarray) -> np.ndarray:
        """Beat on ``outputs`` of results."""
        number = np.empty((self.m_tiles, self.n_tiles), np.int64)
        for index, place in enumerate(self.places):
            number[place] = index
        tile = number[row // self.rows, col // self.cols]
        return (tile * self.rows + row % self.rows) * (self.cols // self.drain) + col % self.cols // self.drain

    def describe(self, beat: int) -> str:
        """What a beat on ``outputs`` holds, for a message."""
        tile, rest = divmod(beat, self.beats)
        row, part = divmod(rest, self.cols // self.drain)
        return f"tile {self.places[tile]}, row {row}, columns {part * self.drain}..{(part + 1) * self.drain - 1}"


def _split(array: np.ndarray, size: int, fill: float = 0) -> np.ndarray:
    widths = ((0, -len(array) % size),) + ((0, 0),) * (array.ndim - 1)
    return np.pad(array, widths, constant_values=fill).reshape(-1, size, *array.shape[1:])
