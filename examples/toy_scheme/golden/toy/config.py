# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a toy engine, its streams, its latencies."""

from dataclasses import dataclass
from math import ceil

from ..config import EngineConfig, Work
from ..parameters import check_integer
from ..schedule import GroupSchedule, Schedule, Timing
from ..streams import Field, signed

__all__ = ["ToyConfig"]


@dataclass(frozen=True)
class ToyConfig(EngineConfig):
    """Parameters of a toy engine.

    Parameters
    ----------
    rows, cols : int
        Tokens and output channels of a tile, at least 1.
    lanes : int
        Elements of K per beat.
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    max_beats : 1 to 2**15
        Longest tile; 32-bit sums hold that of up to 2**16 products.
    """

    rows: int = 2
    cols: int = 4
    lanes: int = 2
    drain: int = 2
    max_beats: int = 1024

    result = signed(32)

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "lanes", "drain"):
            check_integer(name, getattr(self, name), 1)
        check_integer("max_beats", self.max_beats, 1, 2**15)
        check_integer("max_beats * lanes", self.largest_k, 1, 2**16)
        self._check_drain()

    @property
    def group_beats(self):
        """A tile is one group of the schedule."""
        return self.max_beats

    @property
    def formats_taken(self):
        """One."""
        return {0: Work("INT8")}

    @property
    def streams(self):
        """Codes [cols][lanes], activations [rows][lanes], and an integer bias for each column."""
        return {
            "weights": (Field("codes", signed(8), (self.cols, self.lanes)), Field("last")),
            "activations": (Field("data", signed(8), (self.rows, self.lanes)), Field("last")),
            "constants": (Field("columns", signed(32), self.cols),),
            "outputs": (Field("data", signed(32), self.drain), Field("last")),
        }

    @property
    def timing(self):
        """Products are summed, added to the accumulator, and kept for the drain: three registers; the bias is a fourth."""
        return Timing(interval=1, result=3, output=1, drain_beats=self.drain_beats)

    def schedule(self, qweight, activations=None):
        """All of K, a term for each beat."""
        k = qweight.shape[1]
        if k > self.largest_k:
            raise ValueError(f"K must be at most max_beats * lanes, {self.largest_k}, not {k}")
        return Schedule((GroupSchedule(k, ceil(k / self.lanes), 1),))
