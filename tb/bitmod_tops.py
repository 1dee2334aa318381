# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Test-only tops of BitMoD: the unit under test with its kept faults beside it, one of them chosen by a port.

A bench that stays green with a fault chosen is worth nothing, so each fault must turn it red.
"""

import enum

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..hdl.floating import Float16
from ..hdl.pipeline import delay
from ..pe.bitmod import BitModPE, TermEncoder, plane_shifts
from ..pe.bitmod_special import SpecialValues, SpecialWrite
from ..top.bitmod import BitModCore, BitModEngine

__all__ = ["EngineFault", "FaultyEngine", "PeFault", "PeTop"]


class PeFault(enum.IntEnum):
    """Faults of the encoder, the processing element and its dequantizer."""

    NONE = 0
    DROPPED_SIGN = 1
    WRONG_BOOTH_ROW = 2
    MISSED_CLEAR = 3
    GROUP_END_LATE = 4
    SPECIAL_VALUE_IGNORED = 5
    STALE_SELECTOR = 6
    SCALE_BIT_LOST = 7


class _FaultyEncoder(TermEncoder):
    """Decodes the Booth triplet 100 as 101: -1 instead of -2."""

    def __init__(self, config, fault):
        self.fault = fault
        super().__init__(config)

    def _decode_booth(self, m, term, code):
        right = Signal.like(term)
        super()._decode_booth(m, right, code)
        wrong = (self.fault == PeFault.WRONG_BOOTH_ROW) & right.negate & right.select[1]
        m.d.comb += term.as_value().eq(Mux(wrong, 0b10001, right.as_value()))


class PeTop(wiring.Component):
    """Special-value registers, encoder and processing element: weights and activations in, one term a cycle; products out."""

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "fault": In(PeFault),
            "write": In(SpecialWrite),
            "beat": In(data.ArrayLayout(Float16, config.lanes)),
            "codes": In(data.ArrayLayout(config.code_bits, config.lanes)),
            "format": In(3),
            "term": In(2),
            "selector": In(2),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "scale_code": In(config.scale_bits),
            "product": Out(signed(config.product_bits)),
            "alignment": Out(5),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.special = special = SpecialValues(self.config)
        m.submodules.encoder = encoder = _FaultyEncoder(self.config, self.fault)
        m.submodules.pe = pe = BitModPE(self.config)
        is_float = (self.format == 5) | (self.format == 6)
        amount = self.term * Mux(is_float, 1, 2)
        m.d.comb += [
            special.write.eq(self.write),
            encoder.codes.eq(self.codes),
            encoder.format.eq(self.format),
            encoder.term.eq(self.term),
            encoder.special.eq(special.terms),
            encoder.selector.eq(self.selector),
            encoder.load.eq(self.valid & self.first),
            pe.beat.eq(self.beat),
            pe.valid.eq(self.valid),
            pe.first.eq(self.first),
            pe.last.eq(self.last),
            pe.shift.eq(Cat(amount == shift for shift in plane_shifts(self.config))),
            pe.scale_code.eq(self.scale_code),
            pe.terms.eq(encoder.terms),
            pe.negations.eq(encoder.negations),
            self.product.eq(pe.product),
            self.alignment.eq(pe.alignment),
            self.done.eq(pe.done),
        ]
        self._inject(m, encoder, pe)
        return m

    def _inject(self, m, encoder, pe):
        """Override what a fault changes."""
        loaded = Signal()
        m.d.sync += loaded.eq(loaded | encoder.load)
        late = delay(m, Cat(self.valid & self.last, self.scale_code), 1, "late")
        with m.Switch(self.fault):
            with m.Case(PeFault.DROPPED_SIGN):
                m.d.comb += [
                    pe.terms[0].negate.eq(0),
                    pe.negations.eq(encoder.negations - encoder.terms[0].negate),
                ]
            with m.Case(PeFault.MISSED_CLEAR):
                m.d.comb += pe.first.eq(0)
            with m.Case(PeFault.GROUP_END_LATE):
                m.d.comb += [pe.last.eq(late[0] & self.valid), pe.scale_code.eq(late[1:])]
            with m.Case(PeFault.SPECIAL_VALUE_IGNORED):
                m.d.comb += encoder.special.eq(0)
            with m.Case(PeFault.STALE_SELECTOR):
                m.d.comb += encoder.load.eq(self.valid & self.first & ~loaded)
            with m.Case(PeFault.SCALE_BIT_LOST):
                m.d.comb += pe.scale_code.eq(self.scale_code & ~1)


class EngineFault(enum.IntEnum):
    """Faults of the shell and of the core's wiring."""

    NONE = 0
    GROUP_ENDS_A_BEAT_EARLY = 1
    SUM_NOT_CLEARED = 2
    DRAIN_NOT_AWAITED = 3
    STALE_SELECTOR = 4
    PAUSE_COUNTS_AS_TERM = 5


class _FaultyCore(BitModCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(EngineFault)
        self.fault = Signal(EngineFault)

    def _place_encoders(self, m, platform):
        encoders = super()._place_encoders(m, platform)
        loaded = Signal()
        m.d.sync += loaded.eq(loaded | self.step.valid)
        with m.If((self.fault == EngineFault.STALE_SELECTOR) & loaded):
            m.d.comb += [encoder.load.eq(0) for encoder in encoders]
        return encoders

    def _connect_readout(self, m, readout, aligners):
        super()._connect_readout(m, readout, aligners)
        with m.If(self.fault == EngineFault.SUM_NOT_CLEARED):
            m.d.comb += readout.starts_tile.eq(0)


class FaultyEngine(BitModEngine):
    """A BitMoD engine with the port ``fault``."""

    CORE = _FaultyCore

    def _find_ends(self, m, sequencer, activations_last):
        super()._find_ends(m, sequencer, activations_last)
        with m.If(self.fault == EngineFault.GROUP_ENDS_A_BEAT_EARLY):
            early = sequencer.index.beat == self.config.group_beats - 2
            m.d.comb += sequencer.at_end.beat.eq(early | self.weights.payload.last)

    def _undrained(self, sequencer, drain):
        return super()._undrained(sequencer, drain) & (self.fault != EngineFault.DRAIN_NOT_AWAITED)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.fault == EngineFault.PAUSE_COUNTS_AS_TERM):
            m.d.comb += self.core.step.valid.eq(self.weights.valid)
        return m
