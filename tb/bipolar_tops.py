# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A test-only bipolar engine with its kept faults beside it, one of them chosen by a port."""

import enum

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In

from ..top.bipolar import BipolarCore, BipolarEngine

__all__ = ["BipolarFault", "FaultyEngine", "FaultyGroups", "GroupFault"]


class BipolarFault(enum.IntEnum):
    """Faults of the core's wiring, of the output unit's operands, of the shell."""

    NONE = 0
    MISSED_SHIFT = 1
    PLANES_SWAPPED = 2
    PADDED_LANE_COUNTED = 3
    SUM_NOT_CLEARED = 4
    PAUSE_COUNTS = 5
    WAITING_CARRY_LOST = 6
    ROW_SUM_DROPPED = 7
    HALVED_ONCE = 8
    RESULTS_NOT_AWAITED = 9
    ACTIVATIONS_LEFT_EARLY = 10


class _FaultyCore(BipolarCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(BipolarFault)
        self.fault = Signal(BipolarFault)

    def elaborate(self, platform) -> Module:
        m = super().elaborate(platform)
        array, index, lanes = m.submodules.array, self.step.index, self.config.lanes
        with m.Switch(self.fault):
            with m.Case(BipolarFault.MISSED_SHIFT):
                m.d.comb += array.shift.eq(index.term)
            with m.Case(BipolarFault.PLANES_SWAPPED):
                m.d.comb += array.plane.eq(index.term ^ 1)
            with m.Case(BipolarFault.PADDED_LANE_COUNTED):
                last = self.activations.data[0][lanes - 1]
                m.d.comb += array.activations[0].word_select(lanes - 1, self.config.bits_a).eq(last | ~last.any())
            with m.Case(BipolarFault.SUM_NOT_CLEARED):
                m.d.comb += array.first.eq(0)
            with m.Case(BipolarFault.PAUSE_COUNTS):
                m.d.comb += array.valid.eq(1)
            with m.Case(BipolarFault.WAITING_CARRY_LOST):
                m.d.comb += [result.carries.eq(0) for row in self.results for result in row]
        return m


class FaultyEngine(BipolarEngine):
    """A bipolar engine with the port ``fault``."""

    CORE = _FaultyCore

    def _undrained(self, sequencer, drain):
        return super()._undrained(sequencer, drain) & (self.fault != BipolarFault.RESULTS_NOT_AWAITED)

    def _offer_constants(self, m, drain):
        super()._offer_constants(m, drain)
        with m.If(self.fault == BipolarFault.ROW_SUM_DROPPED):
            m.d.comb += drain.tokens.rows[-1].addend.eq(0)
        with m.If(self.fault == BipolarFault.HALVED_ONCE):
            m.d.comb += drain.constants.common.halvings.eq(self.constants.payload.common.halvings.any())

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.fault == BipolarFault.ACTIVATIONS_LEFT_EARLY):
            m.d.comb += self.core.edge.final.eq(1)
        return m


class GroupFault(enum.IntEnum):
    """Faults of what the dequantizers are told, and of the array."""

    NONE = 0
    SCALE_OF_NEIGHBOUR = 1
    SCALE_OF_NEXT_GROUP = 2
    GROUP_SUM_NOT_CLEARED = 3
    TILE_SUM_NOT_CLEARED = 4
    TILE_ENDED_EARLY = 5


class _FaultyGroupsCore(BipolarCore):
    """A core with groups, and the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(GroupFault)
        self.fault = Signal(GroupFault)

    def _keep_facts(self, m, captured):
        facts = super()._keep_facts(m, captured)
        told = Signal.like(facts)
        m.d.comb += told.eq(facts)
        with m.Switch(self.fault):
            with m.Case(GroupFault.SCALE_OF_NEIGHBOUR):
                m.d.comb += told.codes[1].eq(facts.codes[0])
            with m.Case(GroupFault.SCALE_OF_NEXT_GROUP):
                m.d.comb += told.codes.eq(self.scales.codes)
            with m.Case(GroupFault.TILE_SUM_NOT_CLEARED):
                m.d.comb += told.starts_tile.eq(0)
            with m.Case(GroupFault.TILE_ENDED_EARLY):
                m.d.comb += told.ends_tile.eq(self.step.last.tile)
        return told

    def elaborate(self, platform) -> Module:
        m = super().elaborate(platform)
        with m.If(self.fault == GroupFault.GROUP_SUM_NOT_CLEARED):
            m.d.comb += m.submodules.array.first.eq(self.step.valid & self.step.first.tile)
        return m


class FaultyGroups(BipolarEngine):
    """A bipolar engine whose groups have scales, with the port ``fault``."""

    CORE = _FaultyGroupsCore
