# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine's sequencer does, and when: the schedule nest and the cycle count that every engine shares.

The nest is ``tile > group > pass > beat > term`` (see ``top/sequencer.py``). A scheme states for each group of a tile how
many beats, terms and passes it takes; :func:`engine_timeline` turns that into the exact number of cycles, with the two
waits an engine can meet: group results leave the array one at a time (``interval``), and the results of a tile leave the
engine before those of the next one may replace them (the drain).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

__all__ = ["GroupSchedule", "Predicted", "Schedule", "Timeline", "Timing", "engine_timeline"]


@dataclass(frozen=True)
class GroupSchedule:
    """The work of one group: ``passes`` runs over ``beats`` beats of ``terms`` terms; ``elements`` of K are real."""

    elements: int
    beats: int
    terms: int
    passes: int = 1
    format: str = ""

    @property
    def cycles(self) -> int:
        """Cycles in which the array performs a term."""
        return self.beats * self.terms * self.passes


@dataclass(frozen=True)
class Schedule:
    """The groups of one tile, in order."""

    groups: tuple[GroupSchedule, ...]

    @property
    def cycles(self) -> int:
        """Busy cycles of one tile."""
        return sum(group.cycles for group in self.groups)

    @property
    def elements(self) -> int:
        """K."""
        return sum(group.elements for group in self.groups)


@dataclass(frozen=True)
class Timing:
    """The latencies of an engine, in cycles.

    interval
        Shortest distance between the last terms of two successive groups.
    result
        From the last term of a tile until its first row of results can be drained.
    output
        From draining a beat until it stands on ``outputs``.
    drain_beats
        Beats on ``outputs`` per tile.
    kept
        Tiles whose last term is performed and whose results have not left yet, at most: 1, or 2 where the drain has
        registers of its own.
    """

    interval: int
    result: int
    output: int
    drain_beats: int
    kept: int = 1


@dataclass(frozen=True)
class Timeline:
    """The cycle count of one product, streams always valid and ready.

    ``cycles`` counts from the cycle in which the first beats are offered to that of the last output transfer, both
    included. ``busy`` of them perform a term. ``occupancy`` is real MACs over the peak MACs of the busy cycles.
    """

    cycles: int
    busy: int
    macs: int
    peak_macs: int

    @property
    def utilization(self) -> float:
        """Share of the cycles in which the array performs a term."""
        return self.busy / self.cycles

    @property
    def occupancy(self) -> float:
        """Real MACs over the busy cycles' peak: what ragged rows, columns, lanes and group ends cost."""
        return self.macs / self.peak_macs


def engine_timeline(
    m: int, n: int, schedule: Schedule | Sequence[Schedule], timing: Timing, *, rows: int, cols: int, lanes: int
) -> Timeline:
    """Predict the cycles of ``X[m, K] @ W[n, K].T`` on an array of ``rows`` x ``cols`` x ``lanes``.

    ``schedule`` is that of every tile, or a sequence of one for each of the tiles of rows. The last term of a group waits
    until ``interval`` cycles after that of the group before; the last term of a tile waits until the tile ``kept`` before is
    drained. A tile is drained after the one before.
    """
    for name, value in (("m", m), ("n", n)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value!r}")
    m_tiles, n_tiles = ceil(m / rows), ceil(n / cols)
    schedules = [schedule] * m_tiles if isinstance(schedule, Schedule) else list(schedule)
    if len(schedules) != m_tiles:
        raise ValueError(f"schedule must be one, or one for each of the {m_tiles} tiles of rows, not {len(schedules)}")
    last = -1
    group_free = 0
    drained = [0] * timing.kept
    for tile in schedules * n_tiles:
        for index, group in enumerate(tile.groups):
            last = max(last + group.cycles, group_free)
            if index == len(tile.groups) - 1:
                last = max(last, drained[-timing.kept])
                drained.append(max(last + timing.result, drained[-1]) + timing.drain_beats)
            group_free = last + timing.interval
    return Timeline(
        cycles=drained[-1] + timing.output,
        busy=n_tiles * sum(tile.cycles for tile in schedules),
        macs=n * sum(min(rows, m - i * rows) * tile.elements for i, tile in enumerate(schedules)),
        peak_macs=n_tiles * rows * cols * lanes * sum(
            group.beats * group.passes for tile in schedules for group in tile.groups),
    )


class Predicted:
    """The cycle count of an engine, for configs with ``rows``, ``cols``, ``lanes`` and ``timing``."""

    def timeline(self, m: int, n: int, schedule: Schedule | Sequence[Schedule]) -> Timeline:
        """Cycles, busy cycles, utilization and occupancy of ``X[m, K] @ W[n, K].T``."""
        return engine_timeline(m, n, schedule, self.timing, rows=self.rows, cols=self.cols, lanes=self.lanes)

    def cycles(self, m: int, n: int, k: int, schedule: Schedule | Sequence[Schedule]) -> int:
        """Exact cycles of the RTL from the first beat offered to the last output, streams always valid and ready."""
        for tile in [schedule] if isinstance(schedule, Schedule) else schedule:
            if tile.elements != k:
                raise ValueError(f"k must be the schedule's {tile.elements}, not {k!r}")
        return self.timeline(m, n, schedule).cycles
