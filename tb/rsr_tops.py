# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Test-only tops of RSR: the unit under test with its kept faults beside it, one of them chosen by a port.

A bench that stays green with a fault chosen is worth nothing, so each fault must turn it red.
"""

import enum

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.rsr import RsrConfig
from ..golden.rsr.codes import folded_bits
from ..hdl.pipeline import delay
from ..pe.rsr_scatter import RsrScatterPE
from ..top.rsr import RsrArray, RsrCore, RsrEngine

__all__ = ["ArrayFault", "ArrayTop", "EngineFault", "FaultyEngine", "ScatterFault", "ScatterTop"]


class ArrayFault(enum.IntEnum):
    """Faults of tables, decoders and elements."""

    NONE = 0
    TABLE_OFF_BY_ONE = 1
    SIGN_OF_AN_ENTRY = 2
    STALE_TABLE = 3
    SUM_NOT_CLEARED = 4
    IDLE_BEAT_COUNTS = 5


class _FaultyArray(RsrArray):
    """An array with a ``fault``, set before it is elaborated."""

    def _place_tables(self, m, platform):
        faulty = []
        for r, tables in enumerate(super()._place_tables(m, platform)):
            shown, late = Signal.like(tables, name=f"shown_{r}"), delay(m, tables, 1, f"late_{r}")
            m.d.comb += shown.eq(Mux(self.fault == ArrayFault.STALE_TABLE, late.as_value(), tables.as_value()))
            with m.If(self.fault == ArrayFault.TABLE_OFF_BY_ONE):
                m.d.comb += shown[-1][-1].eq(tables[-1][-1] + 1)
            faulty.append(shown)
        return faulty

    def _place_decoders(self, m, platform):
        columns = super()._place_decoders(m, platform)
        # The lowest select's entry: of a table its first, of a tree its plus; the bit above the index is the sign or minus.
        sign = len(columns[0]) // (self.config.lanes // self.config.term_weights) - 1
        wrong = Signal.like(columns[0])
        with m.If((self.fault == ArrayFault.SIGN_OF_AN_ENTRY) & (columns[0][0] | columns[0][sign])):
            m.d.comb += wrong.eq(1 << sign | (0 if self.config.form == "lookup" else 1))
        return [columns[0] ^ wrong, *columns[1:]]


class ArrayTop(wiring.Component):
    """An array, a cycle a beat of ``beats``, whether it is valid or not; the sums of each tile come out."""

    def __init__(self, config: RsrConfig):
        self._array = _FaultyArray(config)
        inner = self._array.signature.members
        self.inputs = {name: inner[name].shape for name in ("activations", "codes", "valid", "first", "last")}
        super().__init__({
            "fault": In(ArrayFault),
            "beats": In(stream.Signature(data.StructLayout(self.inputs))),
            "sums": Out(stream.Signature(inner["sums"].shape)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self._array
        array.fault = self.fault
        beat = self.beats.payload
        m.d.comb += [
            self.beats.ready.eq(1),
            array.activations.eq(beat.activations),
            array.codes.eq(beat.codes),
            array.valid.eq(self.beats.valid & (beat.valid | (self.fault == ArrayFault.IDLE_BEAT_COUNTS))),
            array.first.eq(beat.first & beat.valid & (self.fault != ArrayFault.SUM_NOT_CLEARED)),
            array.last.eq(beat.last & beat.valid),
            self.sums.payload.eq(array.sums),
            self.sums.valid.eq(array.captured),
        ]
        return m


class ScatterFault(enum.IntEnum):
    """Faults of the scatter form."""

    NONE = 0
    BUCKET_NOT_CLEARED = 1
    BUCKET_0_FOLDED_IN = 2
    HAZARD_ON_EQUAL_CODES = 3
    SIGN_OF_A_CODE = 4
    SKIP_IGNORED = 5


class _FaultyScatter(RsrScatterPE):
    """A scatter element with a ``fault``, set before it is elaborated."""

    def _choose(self, m, magnitude, write):
        chosen = super()._choose(m, magnitude, write)
        return chosen | (write & (magnitude == 0) & (self.fault == ScatterFault.BUCKET_0_FOLDED_IN))

    def _old(self, m, buckets, chosen, swap):
        """Perhaps a read that is a cycle late, or one that misses the beginning of a vector."""
        late = [delay(m, bucket, 1, f"late_{t}") for t, bucket in enumerate(buckets)]
        with_hazard = super()._old(m, late, chosen, swap)
        right = super()._old(m, buckets, chosen, swap & (self.fault != ScatterFault.BUCKET_NOT_CLEARED))
        return Mux(self.fault == ScatterFault.HAZARD_ON_EQUAL_CODES, with_hazard, right)


class ScatterTop(wiring.Component):
    """A scatter element, a cycle a beat of ``beats``, whether it is valid or not; the outputs of each vector come out."""

    def __init__(self, block: int, max_k: int):
        self._scatter = _FaultyScatter(block, max_k)
        outputs = self._scatter.signature.members["outputs"].shape
        self.inputs = {"activation": signed(8), "code": folded_bits(block), "valid": 1, "skip": 1, "last": 1}
        super().__init__({
            "fault": In(ScatterFault),
            "beats": In(stream.Signature(data.StructLayout(self.inputs))),
            "vectors": Out(stream.Signature(outputs)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.scatter = scatter = self._scatter
        scatter.fault = self.fault
        beat = self.beats.payload
        wrong_sign = (self.fault == ScatterFault.SIGN_OF_A_CODE) & (beat.code[:-1] == 2)
        m.d.comb += [
            self.beats.ready.eq(1),
            scatter.activation.eq(beat.activation),
            scatter.code.eq(Cat(beat.code[:-1], beat.code[-1] ^ wrong_sign)),
            scatter.valid.eq(self.beats.valid & beat.valid),
            scatter.skip.eq(beat.skip & (self.fault != ScatterFault.SKIP_IGNORED)),
            scatter.last.eq(beat.last),
            self.vectors.payload.eq(scatter.outputs),
            self.vectors.valid.eq(scatter.done),
        ]
        return m


class EngineFault(enum.IntEnum):
    """Faults of the shell and of the core's wiring."""

    NONE = 0
    RESULTS_NOT_AWAITED = 1
    ROWS_SHARE_A_SCALE = 2
    CONSTANTS_OF_THE_TILE_BEFORE = 3
    PAUSE_COUNTS_AS_BEAT = 4


class _FaultyCore(RsrCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(EngineFault)
        self.fault = Signal(EngineFault)


class FaultyEngine(RsrEngine):
    """An RSR engine with the port ``fault``."""

    CORE = _FaultyCore

    def _undrained(self, sequencer, drain):
        return super()._undrained(sequencer, drain) & (self.fault != EngineFault.RESULTS_NOT_AWAITED)

    def _offer_constants(self, m, drain):
        super()._offer_constants(m, drain)
        before = Signal.like(drain.constants)
        with m.If(drain.leaves):
            m.d.sync += before.eq(self.constants.payload)
        with m.If(self.fault == EngineFault.ROWS_SHARE_A_SCALE):
            m.d.comb += drain.tokens.rows[-1].eq(self.tokens.payload.rows[0])
        with m.If(self.fault == EngineFault.CONSTANTS_OF_THE_TILE_BEFORE):
            m.d.comb += drain.constants.eq(before)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.fault == EngineFault.PAUSE_COUNTS_AS_BEAT):
            m.d.comb += self.core.step.valid.eq(self.weights.valid)
        return m
