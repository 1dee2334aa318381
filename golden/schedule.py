# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine's sequencer does, and when: the schedule nest and the cycle count that every engine shares.

The nest is ``tile > group > pass > beat > term`` (see ``top/sequencer.py``). A scheme states for each group of a tile how
many beats, terms and passes it takes; :func:`engine_timeline` turns that into the exact number of cycles, with the two
waits an engine can meet: group results leave the array one at a time (``interval``), and the results of a tile leave the
engine before those of the next one may replace them (the drain).
"""

from dataclasses import dataclass
from math import ceil

__all__ = ["GroupSchedule", "Schedule", "Timeline", "Timing", "engine_timeline"]


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
    """The groups of one tile, in order. Every tile of a product has the same ones."""

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
    """

    interval: int
    result: int
    output: int
    drain_beats: int


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
    m: int, n: int, schedule: Schedule, timing: Timing, *, rows: int, cols: int, lanes: int
) -> Timeline:
    """Predict the cycles of ``X[m, K] @ W[n, K].T`` on an array of ``rows`` x ``cols`` x ``lanes``.

    The last term of a group waits until ``interval`` cycles after that of the group before; the last term of a tile waits
    until the tile before is drained.
    """
    for name, value in (("m", m), ("n", n)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value!r}")
    tiles = ceil(m / rows) * ceil(n / cols)
    last = -1
    group_free = drain_free = 0
    for _ in range(tiles):
        for index, group in enumerate(schedule.groups):
            last = max(last + group.cycles, group_free)
            if index == len(schedule.groups) - 1:
                last = max(last, drain_free)
                drain_free = last + timing.result + timing.drain_beats
            group_free = last + timing.interval
    return Timeline(
        cycles=drain_free + timing.output,
        busy=tiles * schedule.cycles,
        macs=m * n * schedule.elements,
        peak_macs=tiles * rows * cols * lanes * sum(group.beats * group.passes for group in schedule.groups),
    )
