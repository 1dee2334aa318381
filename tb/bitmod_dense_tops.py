# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's dense engine with faults built in, which its bench must find."""

import enum
from types import SimpleNamespace

from amaranth.hdl import Cat, Signal
from amaranth.lib.wiring import In

from ..top.bitmod import BitModEngine
from ..top.bitmod_dense import BitModDenseCore

__all__ = ["Fault", "FaultyEngine"]


class Fault(enum.IntEnum):
    """Faults of the core's wiring."""

    NONE = 0
    HIGH_DIGIT_NOT_SHIFTED = 1
    SUM_NOT_CLEARED = 2
    SAVED_CARRY_DROPPED = 3
    CAPTURED_EARLY = 4
    EXPONENT_ONE_TOO_SMALL = 5
    MULTIPLES_OF_THE_OTHER_FORMATS = 6
    P_AND_Q_SWAPPED = 7
    LEG_OF_THE_NEXT_LANE = 8
    CORRECTION_OF_THE_NEIGHBOUR = 9
    SCALE_OF_THE_GROUP_BEFORE = 10
    RISE_OF_THE_ROW_BEFORE = 11


class _FaultyCore(BitModDenseCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(Fault)
        self.fault = Signal(Fault)
        self.neighbour = 0

    def _replace(self, m, fault, right, wrong):
        """The right value, or with the fault the wrong one."""
        chosen = Signal.like(right, name=fault.name.lower())
        m.d.comb += chosen.eq(right)
        with m.If(self.fault == fault):
            m.d.comb += chosen.eq(wrong)
        return chosen

    def _controls(self, m, starts):
        right = super()._controls(m, starts)
        late, early = Signal(), Signal()
        m.d.sync += [late.eq(right.first[0]), early.eq(self.step.valid & self.step.last.group)]
        first = self._replace(m, Fault.SUM_NOT_CLEARED, right.first, 0)
        return right._replace(
            high=self._replace(m, Fault.HIGH_DIGIT_NOT_SHIFTED, right.high, 0),
            first=self._replace(m, Fault.SAVED_CARRY_DROPPED, first, Cat(first[0], late | first[1], first[2:])),
            capture=self._replace(m, Fault.CAPTURED_EARLY, right.capture, early),
        )

    def _place_rows(self, m, platform):
        edges = super()._place_rows(m, platform)
        with m.If(self.fault == Fault.EXPONENT_ONE_TOO_SMALL):
            m.d.comb += edges[0].group_exponent.eq(self.activations.exponents[0] - 1)
        with m.If(self.fault == Fault.MULTIPLES_OF_THE_OTHER_FORMATS):
            m.d.comb += edges[0].integer.eq(self.weights.format > 4)
        multiples = edges[0].multiples
        faulty = Signal.like(multiples)
        m.d.comb += faulty.eq(multiples)
        with m.If(self.fault == Fault.P_AND_Q_SWAPPED):
            m.d.comb += [faulty[0].p.eq(multiples[0].q), faulty[0].q.eq(multiples[0].p)]
        return [SimpleNamespace(exponent=edges[0].exponent, multiples=faulty), *edges[1:]]

    def _place_edge(self, m, platform, c, *others):
        edge = super()._place_edge(m, platform, c, *others)
        leg = len(edge.legs[0].as_value())
        legs = self._replace(m, Fault.LEG_OF_THE_NEXT_LANE, edge.legs, Cat(edge.legs[1], edge.legs.as_value()[leg:]))
        correction = self._replace(m, Fault.CORRECTION_OF_THE_NEIGHBOUR, edge.correction, self.neighbour)
        self.neighbour = edge.correction
        return SimpleNamespace(legs=legs, correction=correction)

    def _keep_facts(self, m, rows):
        facts = super()._keep_facts(m, rows)
        now, before, faulty = (Signal.like(facts, name=name) for name in ("now", "before", "faulty"))
        m.d.comb += faulty.eq(facts)
        with m.If(facts.as_value() != now.as_value()):
            m.d.sync += [before.eq(now), now.eq(facts)]
        with m.If(self.fault == Fault.SCALE_OF_THE_GROUP_BEFORE):
            m.d.comb += faulty.scale_codes.eq(before.scale_codes)
        return faulty

    def _place_visits(self, m, facts, capture):
        parts = super()._place_visits(m, facts, capture)
        late = Signal.like(parts[0].visits.rise)
        m.d.sync += late.eq(parts[0].visits.rise)
        rise = self._replace(m, Fault.RISE_OF_THE_ROW_BEFORE, parts[0].visits.rise, late)
        visits = SimpleNamespace(**{name: getattr(parts[0].visits, name) for name in ("visit", "lower", "finished")}, rise=rise)
        return [parts[0]._replace(visits=visits), *parts[1:]]


class FaultyEngine(BitModEngine):
    """An engine with the port ``fault``."""

    CORE = _FaultyCore
