# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the config of every engine has: sizes, streams, schedule, cycles."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import NamedTuple

from .schedule import GroupSchedule, Schedule, Timeline, Timing, engine_timeline
from .streams import Field, Number
from .tiles import Order, Tiles

__all__ = ["EngineConfig", "Work", "chunk_skew", "conversion_stages"]


class Work(NamedTuple):
    """What the beats of a format take: terms each, and passes of a group."""

    name: str
    terms: int = 1
    passes: int = 1


class EngineConfig(ABC):
    """Base of the frozen dataclasses of engines' parameters: golden models, packers and RTL take one and the same.

    Attributes
    ----------
    rows, cols : int
        Tokens and output channels of a tile.
    lanes : int
        Elements of K per beat.
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    group_beats : int
        Most beats of a group.
    max_groups : int
        Most groups of a tile.
    result : Number
        A result as the array gives it to the output unit.
    tile_flags : tuple of str
        Facts about a tile that go with its results to the output unit.
    first_of_group : tuple of str
        Fields of ``weights`` that matter in a group's first beat alone; there are ``scales`` for groups then.
    """

    rows: int
    cols: int
    lanes: int
    drain: int
    group_beats: int
    max_groups: int = 1
    result: Number
    tile_flags: tuple[str, ...] = ()
    first_of_group: tuple[str, ...] = ()

    @property
    @abstractmethod
    def streams(self) -> Mapping[str, Sequence[Field]]:
        """Payload of each stream.

        ``weights`` and ``activations`` end with ``last``, set in a tile's last beat; they have ``format`` in ``weights`` if
        there are several. ``scales``, if groups or passes have some: a beat for each, ``last`` with the tile's last.
        ``constants``, a beat a tile: ``columns`` [cols], and ``common`` if something counts for the whole tile. ``tokens``, a
        beat a tile if there are constants of rows: ``rows`` [rows]. ``outputs``: ``data`` [drain], flags, ``last``.
        """

    @property
    @abstractmethod
    def timing(self) -> Timing:
        """Latencies. The shell refuses a core whose parts add up to others, and the benches assert the cycles."""

    @property
    @abstractmethod
    def formats_taken(self) -> Mapping[int, Work]:
        """The formats of weights by the value of the field ``format``; the only one is 0, without such a field."""

    @abstractmethod
    def schedule(self, qweight, activations=None) -> Schedule | tuple[Schedule, ...]:
        """The work of a tile, or of each tile of rows."""

    def stored_code(self, fmt: int) -> tuple[int, bool] | None:
        """Bits of a weight of this format and whether they are signed, where its slot on ``weights`` holds more; else None.

        ``weights`` begins with the slots then.
        """
        del fmt
        return None

    def tiles(self, m: int, n: int, order: Order = "n_outer") -> Tiles:
        """The tiles of a product ``Y[m, n]``."""
        return Tiles(m, n, self.rows, self.cols, self.drain, order)

    @property
    def drain_beats(self) -> int:
        """Beats on ``outputs`` a tile."""
        return self.rows * self.cols // self.drain

    @property
    def largest_k(self) -> int:
        """Longest reduction that the engine's sums hold: whole beats, whole groups."""
        return self.max_groups * self.group_beats * self.lanes

    def timeline(
        self, m: int, n: int, schedule: Schedule | Sequence[Schedule], order: Order = "n_outer"
    ) -> Timeline:
        """Cycles, busy cycles, utilization and occupancy of ``X[m, K] @ W[n, K].T``."""
        return engine_timeline(self.tiles(m, n, order), schedule, self.timing, self.lanes)

    def cycles(
        self, m: int, n: int, k: int, schedule: Schedule | Sequence[Schedule], order: Order = "n_outer"
    ) -> int:
        """Exact cycles of the RTL from the first beat offered to the last output, streams always valid and ready."""
        for tile in [schedule] if isinstance(schedule, Schedule) else schedule:
            if tile.elements != k:
                raise ValueError(f"k must be the schedule's {tile.elements}, not {k!r}")
        return self.timeline(m, n, schedule, order).cycles

    def tile_distance(self, work: Work, beats: int = 1, drain: bool = True) -> float:
        """Cycles from tile to tile, in the long run, of tiles of so many beats; as if there were no ``drain`` to wait for."""
        timing = self.timing if drain else replace(self.timing, result=0, output=0, drain_beats=0)
        full, rest = divmod(beats, self.group_beats)
        groups = [*full * [self.group_beats], *([rest] if rest else [])]
        schedule = Schedule(tuple(GroupSchedule(n * self.lanes, n, work.terms, work.passes) for n in groups))
        ends = [engine_timeline(self.tiles(self.rows, count * self.cols), schedule, timing, self.lanes).cycles
                for count in (10, 20)]
        return (ends[1] - ends[0]) / 10

    def shortest_hiding_k(self, work: Work) -> int | None:
        """Shortest K, in whole beats, whose tiles never wait for the drain of those before; None: not even ``largest_k``."""
        low, high = 0, self.largest_k // self.lanes
        if not self._hides(high, work):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._hides(middle, work) else (middle, high)
        return high * self.lanes

    def _hides(self, beats, work):
        return self.tile_distance(work, beats) == self.tile_distance(work, beats, drain=False)

    def _check_drain(self) -> None:
        if self.cols % self.drain:
            raise ValueError(f"drain must divide cols {self.cols}, not be {self.drain!r}")


def conversion_stages(sum_bits: int) -> int:
    """Cycles in which a sum in fixed point becomes a binary32 number: an integer's, and its exponent's."""
    return 5 + 2 * (sum_bits > 25) + 1


def chunk_skew(width: int, chunk: int | None) -> int:
    """Cycles by which the last chunk of an accumulator works later than the first; without chunks none."""
    return 0 if chunk is None else ceil(width / chunk) - 1
