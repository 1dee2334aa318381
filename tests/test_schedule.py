# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The cycle count that all engines share, on cases worked out by hand."""

from dataclasses import replace

import pytest

from subbyte.golden.schedule import GroupSchedule, Schedule, Timing, engine_timeline
from subbyte.golden.tiles import Tiles

TIMING = Timing(interval=2, result=3, output=1, drain_beats=4)
"""Beats reach outputs two cycles after they are chosen: the drain's register and the unit's."""


def _tile(*beats):
    return Schedule(tuple(GroupSchedule(elements=2 * b, beats=b, terms=1) for b in beats))


def _tiles(m, n, order="n_outer"):
    return Tiles(m, n, rows=2, cols=4, drain=2, order=order)


def test_tiles_of_rows_may_differ():
    """Two tiles of rows, of 10 and of 1 beat, by two of columns: the short one waits for the drain of the long one."""
    timeline = engine_timeline(_tiles(3, 8), [_tile(10), _tile(1)], TIMING, 2)
    # Last terms in cycles 9, 16 (drained at 16), 26, 33; the results of the last one leave 3 + 4 cycles later.
    assert timeline.cycles == 33 + 3 + 4 + 2
    assert timeline.busy == 22
    assert timeline.macs == 2 * 8 * 20 + 1 * 8 * 2
    assert timeline.peak_macs == 22 * 2 * 4 * 2


def test_one_schedule_counts_for_every_tile():
    same = engine_timeline(_tiles(4, 8), [_tile(3, 5)] * 2, TIMING, 2)
    assert engine_timeline(_tiles(4, 8), _tile(3, 5), TIMING, 2) == same


def test_a_schedule_is_missing():
    with pytest.raises(ValueError, match=r"^schedule must be one, or one for each of the 2 tiles of rows, not 1$"):
        engine_timeline(_tiles(4, 8), [_tile(3)], TIMING, 2)


def test_two_tiles_of_results_may_be_kept():
    """Short tiles wait for the drain of the tile before the last; the drain, without a gap, sets the pace."""
    kept = replace(TIMING, kept=2)
    # Last terms in cycles 1, 3, 8, 12; the results, there 3 cycles later, leave from 4, 8, 12, 16 on.
    assert engine_timeline(_tiles(2, 16), _tile(2), kept, 2).cycles == 20 + 2
    assert engine_timeline(_tiles(2, 16), _tile(2), TIMING, 2).cycles == 1 + 4 * 7 + 2
    assert engine_timeline(_tiles(2, 16), _tile(9), kept, 2).cycles == 35 + 3 + 4 + 2


def test_order_of_tiles_counts_where_they_differ():
    """The two long tiles first, then the two short ones, which wait for one drain more."""
    timeline = engine_timeline(_tiles(3, 8, "m_outer"), [_tile(10), _tile(1)], TIMING, 2)
    # Last terms in cycles 9, 19, 26 (drained at 26), 33.
    assert timeline.cycles == 33 + 3 + 4 + 2 and timeline.busy == 22


def test_passes_may_end_like_groups():
    """Where scales belong to passes, each of them keeps the interval; where to groups, only their ends do."""
    schedule = Schedule((GroupSchedule(elements=2, beats=1, terms=1, passes=3),))
    wide = replace(TIMING, interval=4)
    # Last terms in cycle 2, or in 0, 4, 8.
    assert engine_timeline(_tiles(2, 4), schedule, wide, 2).cycles == 2 + 3 + 4 + 2
    assert engine_timeline(_tiles(2, 4), schedule, replace(wide, scaled="pass"), 2).cycles == 8 + 3 + 4 + 2
    assert engine_timeline(_tiles(2, 4), schedule, replace(wide, edge=5), 2).cycles == 5 + 2 + 3 + 4 + 2


def test_terms_and_passes_cost_no_occupancy():
    """They are what a product of the format takes; only what is ragged costs."""
    schedule = Schedule((GroupSchedule(elements=3, beats=2, terms=2, passes=3),))
    timeline = engine_timeline(_tiles(2, 4), schedule, TIMING, 2)
    assert timeline.busy == 2 * 2 * 3 and timeline.occupancy == 3 / 4
