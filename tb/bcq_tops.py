# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A test-only bcq engine with its kept faults beside it, one of them chosen by a port."""

import enum

from amaranth.hdl import Cat, Signal, Value
from amaranth.lib.wiring import In

from ..hdl.pipeline import delay
from ..top.bcq import BcqCore, BcqEngine

__all__ = ["BcqFault", "FaultyEngine"]


class BcqFault(enum.IntEnum):
    """Faults of the core's wiring."""

    NONE = 0
    MIRROR_SIGN = 1
    PLANES_SWAPPED = 2
    EXPONENT_OF_GROUP_BEFORE = 3
    OFFSET_DROPPED = 4
    ALPHA_OF_NEIGHBOUR = 5
    SUM_NOT_CLEARED = 6
    PAUSE_COUNTS = 7
    TABLE_STALE = 8
    LANES_ROTATED = 9


class _FaultyCore(BcqCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(BcqFault)
        self.fault = Signal(BcqFault)

    def _keep_facts(self, m, rows):
        facts = super()._keep_facts(m, rows)
        end = self.step.valid & self.step.last[self.config.timing.scaled]
        capture = delay(m, end, self.config.capture_stages, "fault_capture", reset=True)
        told, before = Signal.like(facts), Signal.like(facts, name="before")
        with m.If(capture):
            m.d.sync += before.eq(facts)
        m.d.comb += told.eq(facts)
        with m.Switch(self.fault):
            with m.Case(BcqFault.ALPHA_OF_NEIGHBOUR):
                m.d.comb += told.alphas[1].eq(facts.alphas[0])
            with m.Case(BcqFault.EXPONENT_OF_GROUP_BEFORE):
                m.d.comb += told.exponents.eq(before.exponents)
            with m.Case(BcqFault.PLANES_SWAPPED):
                m.d.comb += told.alphas.eq(before.alphas)
            with m.Case(BcqFault.OFFSET_DROPPED), m.If(facts.ends_tile):
                name = "offset" if self.config.merges else "significand"
                m.d.comb += [told.alphas[i][name].eq(0) for i in range(self.config.cols)]
        return told

    def _place_keys(self, m, platform, c, first, twice, capture):
        keys = super()._place_keys(m, platform, c, first, twice, capture)
        with m.Switch(self.fault):
            with m.Case(BcqFault.MIRROR_SIGN):
                m.d.comb += keys.plane.eq(~Value.cast(self.weights.plane[c]))
            with m.Case(BcqFault.LANES_ROTATED):
                m.d.comb += keys.plane.eq(Cat(Value.cast(self.weights.plane[c])[1:], self.weights.plane[c][0]))
            with m.Case(BcqFault.SUM_NOT_CLEARED):
                m.d.comb += keys.first.eq(0)
            with m.Case(BcqFault.PAUSE_COUNTS):
                m.d.comb += keys.valid.eq(1)
        return keys

    def _place_rows(self, m, platform, starts):
        edges, beat = super()._place_rows(m, platform, starts), self.activations.data[0]
        for index in range(self.config.group_beats):
            late = Signal.like(beat, name=f"beat_{index}")
            with m.If(self.step.valid):
                m.d.sync += late.eq(beat)
            beat = late
        with m.If(self.fault == BcqFault.TABLE_STALE):  # a group's first pass reads the tables of the group before
            m.d.comb += edges[0].beat.eq(beat)
        return edges


class FaultyEngine(BcqEngine):
    """A bcq engine with the port ``fault``."""

    CORE = _FaultyCore
