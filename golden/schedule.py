# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine's sequencer does, and when: the schedule nest and the cycle count that every engine shares.

The nest is ``tile > group > pass > beat > term`` (see ``top/sequencer.py``). A scheme states for each group of a tile how
many beats, terms and passes it takes; :func:`engine_timeline` turns that into the exact number of cycles, with the two
waits an engine can meet: group results leave the array one at a time (``interval``), and the results of a tile leave the
engine before those of the next one may replace them (the drain).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .tiles import Tiles

__all__ = ["GroupSchedule", "Schedule", "Timeline", "Timing", "engine_timeline"]


DRAIN_STAGES = 1
"""Registers between the results of a tile and the output unit: behind the choice of a beat, which is wide."""


@dataclass(frozen=True)
class GroupSchedule:
    """The work of one group: ``passes`` runs over ``beats`` beats of ``terms`` terms; ``elements`` of K are real."""

    elements: int
    beats: int
    terms: int
    passes: int = 1

    @property
    def cycles(self) -> int:
        """Cycles in which the array performs a term."""
        return self.beats * self.terms * self.passes

    def parts(self, scaled: str) -> list[tuple[int, int]]:
        """Beats and cycles of what lets a sum go at its end: the whole group, or each pass."""
        if scaled == "group":
            return [(self.beats * self.passes, self.cycles)]
        return self.passes * [(self.beats, self.beats * self.terms)]


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
        Shortest distance between the last terms of two successive groups (or passes, see ``scaled``), at least 1.
    result
        From the last term of a tile until its first row of results can be drained, at least 1.
    output
        Latency of the output unit, at least 1; ``to_outputs`` counts from choosing a beat until it stands on ``outputs``.
    drain_beats
        Beats on ``outputs`` per tile.
    kept
        Tiles whose last term is performed and whose results have not left yet, at most: 1, or 2 where the drain has
        registers of its own.
    scaled
        What has an end at which the array lets a sum go: a beat of ``scales`` and the interval belong to it.
    edge
        From the first beat offered on ``activations`` until the array takes it, which what stands between may delay.
    gathers
        What stands there waits for the whole group, and ``edge`` counts from its last beat.
    """

    interval: int
    result: int
    output: int
    drain_beats: int
    kept: int = 1
    scaled: Literal["group", "pass"] = "group"
    edge: int = 0
    gathers: bool = False

    @property
    def to_outputs(self) -> int:
        """Cycles of a beat through the drain's register and the output unit."""
        return DRAIN_STAGES + self.output


@dataclass(frozen=True)
class Timeline:
    """The cycle count of one product, streams always valid and ready.

    ``cycles`` counts from the cycle in which the first beats are offered to that of the last output transfer, both
    included. ``busy`` of them perform a term. ``occupancy`` is real MACs over the peak MACs of the busy cycles. ``ends`` are
    the cycles of the last term of each group (or pass, see :class:`Timing`), ``beats`` those between them.
    """

    cycles: int
    busy: int
    macs: int
    peak_macs: int
    ends: tuple[int, ...] = field(default=(), repr=False)
    beats: tuple[int, ...] = field(default=(), repr=False)

    @property
    def utilization(self) -> float:
        """Share of the cycles in which the array performs a term."""
        return self.busy / self.cycles

    @property
    def occupancy(self) -> float:
        """Real MACs over the busy cycles' peak: what ragged rows, columns, lanes and group ends cost."""
        return self.macs / self.peak_macs


def engine_timeline(tiles: Tiles, schedule: Schedule | Sequence[Schedule], timing: Timing, lanes: int) -> Timeline:
    """Predict the cycles of the product of these tiles, ``lanes`` elements of K a beat.

    ``schedule`` is that of every tile, or a sequence of one for each of the tiles of rows. The last term of a group (or of a
    pass) waits until ``interval`` cycles after that of the one before; the last term of a tile waits until the tile ``kept``
    before is drained. A tile is drained after the one before.
    """
    schedules = [schedule] * tiles.m_tiles if isinstance(schedule, Schedule) else list(schedule)
    if len(schedules) != tiles.m_tiles:
        raise ValueError(f"schedule must be one, or one for each of the {tiles.m_tiles} tiles of rows, not {len(schedules)}")
    last = timing.edge - 1 + (schedules[0].groups[0].beats - 1 if timing.gathers else 0)
    free = 0
    drained, ends, beats = [0] * timing.kept, [], []
    for row, _ in tiles.places:
        parts = [part for group in schedules[row].groups for part in group.parts(timing.scaled)]
        for index, (of_part, cycles) in enumerate(parts):
            last = max(last + cycles, free)
            if index == len(parts) - 1:
                last = max(last, drained[-timing.kept])
                drained.append(max(last + timing.result, drained[-1]) + timing.drain_beats)
            free = last + timing.interval
            ends.append(last)
            beats.append(of_part)
    peak = [lanes * sum(group.beats for group in tile.groups) for tile in schedules]
    return Timeline(
        cycles=drained[-1] + timing.to_outputs,
        busy=tiles.n_tiles * sum(tile.cycles for tile in schedules),
        macs=tiles.n * sum(min(tiles.rows, tiles.m - i * tiles.rows) * tile.elements for i, tile in enumerate(schedules)),
        peak_macs=tiles.n_tiles * tiles.rows * tiles.cols * sum(peak),
        ends=tuple(ends),
        beats=tuple(beats),
    )
