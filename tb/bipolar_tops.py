# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A test-only bipolar engine with its kept faults beside it, one of them chosen by a port."""

import enum

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In

from ..top.bipolar import BipolarCore, BipolarEngine

__all__ = ["BipolarFault", "FaultyEngine"]


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
