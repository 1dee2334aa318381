# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is proved of the shell for all pauses of all streams, to a depth of cycles; each proof is seen to fail on a fault.

The core numbers what it is given: beats, groups, tiles. So a beat that is lost, comes twice or in another's place shows in a
number. `make formal` runs this.
"""

from dataclasses import dataclass

import pytest
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from subbyte.dequant.output_unit import OutputUnit
from subbyte.golden.config import EngineConfig, Work
from subbyte.golden.schedule import Timing
from subbyte.golden.streams import Field, unsigned
from subbyte.tools.process import ToolError
from subbyte.tools.toolchain import build_root
from subbyte.top.core import Core
from subbyte.top.engine import Engine

from .proofs import offered, prove, stable

BITS = 3
"""Of all numbers, which wrap."""
DEPTH = 20
"""Cycles: several tiles of the shortest kind, one of the longest and its drain."""
pytestmark = pytest.mark.formal


@dataclass(frozen=True)
class NumberedConfig(EngineConfig):
    """The smallest engine that has all waits of the shell."""

    kept: int = 1
    interval: int = 2
    rows: int = 1
    cols: int = 2
    lanes: int = 1
    drain: int = 1
    group_beats: int = 2
    max_groups: int = 2

    result = unsigned(BITS)

    @property
    def formats_taken(self):
        return {0: Work("one"), 1: Work("two", 2)}

    @property
    def streams(self):
        return {
            "weights": (Field("number", BITS), Field("format", 1), Field("last")),
            "activations": (Field("number", BITS), Field("last")),
            "scales": (Field("number", BITS), Field("last")),
            "constants": (Field("columns", BITS, self.cols),),
            "outputs": (Field("data", 2 * BITS, self.drain), Field("last")),
        }

    @property
    def timing(self):
        return Timing(self.interval, result=self.kept, output=1, drain_beats=self.drain_beats, kept=self.kept)

    def schedule(self, qweight, activations=None):
        raise NotImplementedError


class NumberedOutput(OutputUnit):
    """A result, and its column's constant, side by side."""

    latency = 1

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.payload.data[0].eq(Cat(self.results[0], self.columns[0]))
        return m


class PlainCore(Core):
    """A tile's results are its number."""

    CONFIG = NumberedConfig
    latency = 1

    @property
    def interval(self):
        return self.config.interval

    def output_unit(self):
        return NumberedOutput(self.config)

    def elaborate(self, platform):
        m = Module()
        step, tiles = self.step, Signal(BITS)
        m.d.sync += self.done.eq(step.valid & step.last.tile)
        with m.If(step.valid & step.last.tile):
            m.d.sync += [tiles.eq(tiles + 1), *(result.eq(tiles) for row in self.results for result in row)]
        return m


class NumberedCore(PlainCore):
    """Asserts that beats and scales come in order."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        step, beats, groups = self.step, Signal(BITS), Signal(BITS)
        m.d.sync += [beats.eq(beats + (step.valid & step.last.beat)), groups.eq(groups + (step.valid & step.last.group))]
        with m.If(step.valid):
            m.d.comb += [Assert(self.weights.number == beats), Assert(self.activations.number == beats)]
            m.d.comb += Assert(~step.last.group | (self.scales.number == groups))
        return m


class NumberedEngine(Engine):
    """It in the shell; with a fault, if wanted."""

    CORE = NumberedCore

    def __init__(self, config, fault=None):
        self.fault = fault
        super().__init__(config)

    def _undrained(self, sequencer, drain):
        return 0 if self.fault == "drain" else super()._undrained(sequencer, drain)

    def _lacks_scales(self):
        return 0 if self.fault == "scales" else super()._lacks_scales()

    def _too_close(self, m, ends):
        return Const(1) if self.fault == "stuck" else super()._too_close(m, ends)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        if self.fault == "constants":
            m.d.comb += self.constants.ready.eq(self.constants.valid)
        if self.fault == "withdrawn":
            withdrawn = Signal()
            m.d.sync += withdrawn.eq(self.outputs.valid & ~self.outputs.ready)
            m.d.comb += self.outputs.valid.eq(self.core.done & ~withdrawn)
        if self.fault == "errors":
            with m.If(self.errors.k_mismatch):
                m.d.sync += self.errors.k_mismatch.eq(0)
        return m


class Surroundings(wiring.Component):
    """Sources that number what they offer and pause whenever they like, a sink that does, and what must be seen of them."""

    def __init__(self, kept, fault=None):
        self.engine = NumberedEngine(NumberedConfig(kept=kept), fault)
        pauses = {f"{name}_valid": In(1) for name in ("weights", "activations", "scales", "constants")}
        super().__init__({**pauses, "outputs_ready": In(1), "clear": In(1), "calm": In(1), "format": In(1), "w_last": In(1),
                          "a_last": In(1), "s_last": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self.engine
        numbers = {name: Signal(BITS, name=f"{name}_number") for name in ("weights", "activations", "scales", "constants")}
        for name, number in numbers.items():
            port = getattr(engine, name)
            m.d.comb += port.valid.eq(getattr(self, f"{name}_valid"))
            m.d.sync += number.eq(number + (port.valid & port.ready))
            offered(m, name, port.valid, port.ready, port.payload.as_value())
        m.d.comb += [
            *(getattr(engine, name).payload.number.eq(numbers[name]) for name in ("weights", "activations", "scales")),
            *(column.eq(numbers["constants"]) for column in engine.constants.payload.columns),
            engine.weights.payload.format.eq(self.format),
            engine.weights.payload.last.eq(self.w_last), engine.activations.payload.last.eq(self.a_last),
            engine.scales.payload.last.eq(self.s_last),
            engine.outputs.ready.eq(self.outputs_ready), engine.clear_errors.eq(self.clear),
        ]
        self._see_tiles(m)
        self._see_progress(m)
        self._see_errors(m)
        return m

    def _see_tiles(self, m):
        """Every tile that ends leaves once, in order, with its constants and `last`; an offer stays."""
        engine, tiles_in, tiles_out, beat = self.engine, Signal(BITS + 2), Signal(BITS + 2), Signal()
        ends = engine.weights.valid & engine.weights.ready & (self.w_last | self.a_last)
        out, taken = engine.outputs, engine.outputs.valid & engine.outputs.ready
        m.d.sync += [tiles_in.eq(tiles_in + ends), tiles_out.eq(tiles_out + (taken & out.payload.last)), beat.eq(beat ^ taken)]
        number = tiles_out[:BITS]
        m.d.comb += [
            Assert(~out.valid | (tiles_out < tiles_in)),
            Assert(~out.valid | (Value.cast(out.payload.data[0]) == Cat(number, number))),
            Assert(~out.valid | (out.payload.last == beat)),
        ]
        stable(m, "outputs", out.valid, out.ready, out.payload.as_value())

    def _see_progress(self, m):
        """While nothing pauses a beat is taken every few cycles."""
        engine, waited = self.engine, Signal(5)
        all_there = Cat(getattr(self, name) for name in self.signature.members if name.endswith("_valid")).all()
        m.d.comb += [Assume(~self.calm | (all_there & self.outputs_ready)), Assert(waited <= 8)]
        m.d.sync += waited.eq(Mux(self.calm & ~engine.weights.ready, waited + 1, 0))

    def _see_errors(self, m):
        """A flag stays until it is cleared; ends that disagree raise one."""
        engine = self.engine
        errors, before, cleared, differ = engine.errors.as_value(), Signal(len(engine.errors.as_value())), Signal(), Signal()
        m.d.sync += [before.eq(errors), cleared.eq(self.clear)]
        m.d.sync += differ.eq(engine.weights.valid & engine.weights.ready & (self.w_last != self.a_last))
        m.d.comb += [Assert(cleared | ((before & ~errors) == 0)), Assert(~differ | engine.errors.k_mismatch)]


@pytest.mark.parametrize("kept", [1, 2])
def test_shell(kept):
    """No beat is lost, none comes twice, every tile leaves once, in order, nothing waits for ever, flags stay."""
    prove(Surroundings(kept), build_root() / "proof" / f"shell{kept}", DEPTH)


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("fault", ["drain", "scales", "stuck", "constants", "withdrawn", "errors"])
def test_faults_of_the_shell_are_found(kept, fault):
    with pytest.raises(ToolError):
        prove(Surroundings(kept, fault), build_root() / "proof" / f"shell{kept}_{fault}", DEPTH)


class PlainEngine(NumberedEngine):
    """An engine whose core asserts nothing."""

    CORE = PlainCore

    def elaborate(self, platform):
        m = super().elaborate(platform)
        if self.fault == "reset":
            forgotten = Signal(reset_less=True)
            m.d.sync += forgotten.eq(forgotten | self.outputs.valid)
            m.d.comb += self.outputs.valid.eq(forgotten)
        return m


class Reset(wiring.Component):
    """Two engines with the same inputs, the registers of one of which begin with anything; the first cycle resets both."""

    def __init__(self, kept, fault=None):
        self.fresh, self.used = (PlainEngine(NumberedConfig(kept=kept), fault) for _ in range(2))
        self.names = [name for name in self.fresh.signature.members if name not in ("errors", "clear_errors", "outputs")]
        super().__init__({
            **{name: In(1 + len(Value.cast(getattr(self.fresh, name).payload))) for name in self.names},
            "ready": In(1), "clear": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.fresh, m.submodules.used = self.fresh, self.used
        begun = Signal(reset_less=True)
        m.d.sync += begun.eq(1)
        m.d.comb += Assume(ResetSignal() == ~begun)
        for engine in (self.fresh, self.used):
            m.d.comb += [engine.outputs.ready.eq(self.ready), engine.clear_errors.eq(self.clear)]
            for name in self.names:
                port = getattr(engine, name)
                m.d.comb += Cat(port.valid, port.payload.as_value()).eq(getattr(self, name))
        fresh, used = self.fresh.outputs, self.used.outputs
        alike = [getattr(self.fresh, name).ready == getattr(self.used, name).ready for name in self.names]
        alike += [fresh.valid == used.valid, self.fresh.errors.as_value() == self.used.errors.as_value(),
                  ~fresh.valid | (fresh.payload.as_value()[-1] == used.payload.as_value()[-1])]
        m.d.comb += Assert(~begun | Cat(alike).all())
        return m


@pytest.mark.parametrize("kept", [1, 2])
def test_reset(kept):
    """A cycle of reset makes of any state one that behaves like the first; payloads beside, which mean something later."""
    prove(Reset(kept), build_root() / "proof" / f"reset{kept}", DEPTH, unset="proof.used*")


def test_a_register_without_reset_is_found():
    with pytest.raises(ToolError):
        prove(Reset(1, "reset"), build_root() / "proof" / "reset_fault", DEPTH, unset="proof.used*")
