# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Test-only top of Tender: the engine with its kept faults beside it, one of them chosen by a port."""

import enum

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import In

from ..dequant.tender import Rescale, TenderOutput
from ..hdl.floating import FloatScaleAdd
from ..hdl.pipeline import delay
from ..pe.tender import ShiftMac
from ..top.tender import TenderArray, TenderCore, TenderEngine

__all__ = ["FaultyEngine", "TenderFault"]


class TenderFault(enum.IntEnum):
    """Faults of the array, the output unit and their wiring."""

    NONE = 0
    SHIFT_SKIPPED_ON_EMPTY_GROUP = 1
    SATURATES = 2
    ROUNDS_HALF_AWAY = 3
    ACCUMULATOR_OF_24_BITS = 4
    UNSIGNED_READ_AS_SIGNED = 5
    SUM_NOT_CLEARED = 6
    OVERFLOW_NOT_FORGOTTEN = 7


class _FaultyMac(ShiftMac):
    """A MAC with two wrong accumulators beside the right one."""

    def __init__(self, config, fault):
        self.fault = fault
        super().__init__(config)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        inner = m.submodules.accumulator
        width = self.config.accumulator_bits
        kept, narrow, saturating = Signal(signed(width)), Signal(signed(24)), Signal(signed(width))
        added = [Signal(signed(width + 3), name=name) for name in ("narrow_sum", "saturating_sum")]
        limit = 1 << width - 1
        for total, before in zip(added, (narrow, saturating), strict=True):
            m.d.comb += total.eq((Mux(self.first, 0, before) << self.shift) + inner.operand)
        m.d.sync += [
            narrow.eq(added[0]),
            saturating.eq(Mux(added[1] >= limit, limit - 1, Mux(added[1] < -limit, -limit, added[1]))),
        ]
        with m.If(delay(m, self.capture, 1, "kept", reset=True)):
            m.d.sync += kept.eq(Mux(self.fault == TenderFault.SATURATES, saturating, narrow))
        with m.If((self.fault == TenderFault.SATURATES) | (self.fault == TenderFault.ACCUMULATOR_OF_24_BITS)):
            m.d.comb += self.result.eq(kept)
        return m


class _FaultyArray(TenderArray):
    """An array of such MACs, whose operands may be misread."""

    def __init__(self, config, fault):
        self.fault = fault
        super().__init__(config)

    def _place_mac(self, m, platform, name):
        mac = m.submodules[name] = _FaultyMac(self.config, self.fault)
        return mac


class _FaultyScaleAdd(FloatScaleAdd):
    """Rounds ties away from zero (positive ones, at least)."""

    def __init__(self, width, fault):
        self.fault = fault
        super().__init__(width)

    def _normalise(self, m, total):
        kept, sticky, moved = super()._normalise(m, total)
        return kept, sticky | (self.fault == TenderFault.ROUNDS_HALF_AWAY), moved


class _FaultyRescale(Rescale):
    """With such rounding."""

    def __init__(self, config, fault):
        self.fault = fault
        super().__init__(config)

    def _scale_add(self):
        return _FaultyScaleAdd(self.config.accumulator_bits, self.fault)


class _FaultyUnit(TenderOutput):
    """An output unit of such."""

    def __init__(self, config, fault):
        self.fault = fault
        super().__init__(config)

    def _place_rescale(self, m, platform, name):
        rescale = m.submodules[name] = _FaultyRescale(self.config, self.fault)
        return rescale


class _FaultyCore(TenderCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(TenderFault)
        self.fault = Signal(TenderFault)

    def output_unit(self):
        return _FaultyUnit(self.config, self.fault)

    def _array(self):
        return _FaultyArray(self.config, self.fault)

    def elaborate(self, platform) -> Module:
        m = super().elaborate(platform)
        array = m.submodules.array
        with m.Switch(self.fault):
            with m.Case(TenderFault.SHIFT_SKIPPED_ON_EMPTY_GROUP):
                m.d.comb += array.shift.eq(self.activations.shift & self.activations.data.as_value().any())
            with m.Case(TenderFault.UNSIGNED_READ_AS_SIGNED):
                m.d.comb += array.is_unsigned.eq(Const(0, 1))
            with m.Case(TenderFault.SUM_NOT_CLEARED):
                m.d.comb += array.first.eq(0)
        return m

    def _watch_overflow(self, m, array):
        super()._watch_overflow(m, array)
        sticky = Signal()
        m.d.sync += sticky.eq(sticky | array.overflow)
        with m.If((self.fault == TenderFault.OVERFLOW_NOT_FORGOTTEN) & sticky):
            m.d.comb += self.flags.overflow.eq(1)


class FaultyEngine(TenderEngine):
    """A Tender engine with the port ``fault``."""

    CORE = _FaultyCore
