# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules of the buses, proved of both forms of the accelerator as a whole, to a depth of cycles; seen to fail on planted faults.

The engine and the register block are replaced by ones whose outputs are anything in each cycle: what holds here holds whatever
an engine does, whatever software writes and whenever. The memory answers as AXI4 lets it: in any order of IDs, at any pace.
"""

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.golden.tender import TenderConfig
from subbyte.hdl import axi_read, axi_write
from subbyte.hdl.axi_read import PAGE, ArrayReader, ReadArbiter
from subbyte.hdl.axi_write import ArrayWriter
from subbyte.tools.process import ToolError
from subbyte.tools.toolchain import build_root
from subbyte.tools.yosys import run_yosys
from subbyte.top import accelerator, memory_accelerator
from subbyte.top.accelerator import StreamAccelerator
from subbyte.top.memory_accelerator import MemoryAccelerator
from subbyte.top.tender import TenderEngine

from .proofs import prove, stable
from .test_axi_proofs import without_pages

pytestmark = pytest.mark.formal
CONFIG = TenderConfig(rows=1, cols=1, lanes=1, drain=1, dot_stages=1)
BUS_BYTES, BURST, OUTSTANDING = 4, 2, 2
DEPTH = 12
"""Cycles: a job is done in six, as many bursts as may be under way are so in ten."""


class Free(wiring.Component):
    """In a component's place: its outputs are ``free``."""

    def __init__(self, component):
        super().__init__(component.signature)
        self._all = Cat(Value.cast(value) for _, member, value in self.signature.flatten(self) if member.flow == Out)
        self.free = Signal(len(self._all))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self._all.eq(self.free)
        return m


class FreeEngine(Free):
    """An engine that does anything."""

    def __init__(self, engine):
        super().__init__(engine)
        self.config, self.core, self.has_scales, self.has_tokens = engine.config, engine.core, False, False


class Bus(wiring.Component):
    """An accelerator between free things."""

    def __init__(self, made, inputs, **parameters):
        self.made = made(FreeEngine(TenderEngine(CONFIG)), "tender", queue=1, bus_bytes=BUS_BYTES, **parameters)
        self.made.registers = Free(self.made.registers)
        super().__init__({"engine": In(len(self.made.engine.free)), "registers": In(len(self.made.registers.free)),
                          **{name: In(width) for name, width in inputs.items()}})

    def elaborate(self, platform):
        m = Module()
        m.submodules.made = made = self.made
        m.d.comb += [made.engine.free.eq(self.engine), made.registers.free.eq(self.registers)]
        return m


class Memory(Bus):
    """The memory form, and a memory that answers what it was asked, whenever it likes."""

    def __init__(self):
        super().__init__(
            MemoryAccelerator, {"ar_ready": 1, "aw_ready": 1, "w_ready": 1, "comes": 1, "id": 2, "fails": 2, "answers": 1},
            burst=BURST, outstanding=OUTSTANDING, buffer=2)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        self._keep_window(m)
        idle = [self._read(m), self._write(m)]
        status, resetting = self.made.registers.status.STATUS, Signal()
        m.d.sync += resetting.eq(status.RESETTING)
        # What is reset owes nothing to the bus, and the bus nothing to it.
        m.d.comb += [Assert(~status.BUS_IDLE | Cat(idle).all()), Assert(~resetting | status.RESETTING | Cat(idle).all())]
        return m

    def _keep_window(self, m):
        """Software leaves the window alone."""
        values, began = self.made.registers.values, Signal()
        self.window = Cat(values.WINDOW_BASE.PAGE, values.WINDOW_LIMIT.PAGE)
        before = Signal.like(self.window)
        m.d.sync += [before.eq(self.window), began.eq(1)]
        m.d.comb += Assume(~began | (self.window == before))

    def _bus(self, channel, *parts):
        return [getattr(self.made, f"m_axi_{channel}{part}") for part in parts]

    def _address(self, m, channel, ready):
        """An offered burst stays, is within a page and the window, and is of whole beats in turn."""
        valid, address, length, size, kind, ready_in = self._bus(channel, "valid", "addr", "len", "size", "burst", "ready")
        values, page = self.made.registers.values, address[PAGE.bit_length() - 1:]
        m.d.comb += [
            ready_in.eq(ready),
            Assert(~valid | (address % PAGE + (length + 1) * BUS_BYTES <= PAGE)),
            Assert(~valid | (address % BUS_BYTES == 0) & (1 << size == BUS_BYTES) & (kind == 1) & (length < BURST)),
            Assert(~valid | (page >= values.WINDOW_BASE.PAGE) & (page <= values.WINDOW_LIMIT.PAGE)),
        ]
        stable(m, channel, valid, ready, Cat(*self._bus(channel, "addr", "len", "size", "burst", "id", "cache", "prot")))
        return valid & ready, length

    def _read(self, m):
        """Bursts that are owed, of each ID in turn; whether none is."""
        taken, length = self._address(m, "ar", self.ar_ready)
        chosen, valid, last, ready = self._bus("r", "id", "valid", "last", "ready")
        owed, ends = [], []
        for index in range(len(self.made.inputs)):
            lengths = Array(Signal(8, name=f"length_{index}_{place}") for place in range(OUTSTANDING))
            count, got = Signal(range(OUTSTANDING + 2), name=f"owed_{index}"), Signal(8, name=f"got_{index}")
            asked, beat = taken & (self.made.m_axi_arid == index), valid & (chosen == index)
            end = Signal(name=f"end_{index}")
            m.d.comb += end.eq(beat & (got == lengths[0]))
            m.d.sync += count.eq(count + asked - end)
            with m.If(beat):
                m.d.sync += got.eq(Mux(end, 0, got + 1))
            with m.If(end):
                m.d.sync += [lengths[place].eq(lengths[place + 1]) for place in range(OUTSTANDING - 1)]
            with m.If(asked):
                m.d.sync += lengths[count - end].eq(length)
            m.d.comb += Assert(count <= OUTSTANDING)
            owed.append(count)
            ends.append(end)
        waiting = Cat(count != 0 for count in owed)
        m.d.comb += [
            chosen.eq(self.id), valid.eq(self.comes & waiting.bit_select(self.id, 1)),
            last.eq(Cat(ends).any()), self.made.m_axi_rresp.eq(self.fails), Assert(ready),
            Assert(~self.made.m_axi_arvalid | (self.made.m_axi_arid < len(owed))),
        ]
        return ~self.made.m_axi_arvalid & ~waiting.any()

    def _write(self, m):
        """Each burst has its beats, and its response, and a job is done when all have come; whether nothing is owed."""
        self._address(m, "aw", self.aw_ready)
        offered, more = self._bus("aw", "valid", "len")
        valid, ready, last, data, strobes = self._bus("w", "valid", "ready", "last", "data", "strb")
        left, now, stood, unanswered = Signal(8), Signal(8), Signal(), Signal(8)
        first, beat = offered & ~stood, valid & ready
        response, taken = self._bus("b", "valid", "ready")
        # The memory answers a burst when it has taken its address and all its beats.
        complete = unanswered - (offered & (left == 0) & stood)
        m.d.comb += [
            ready.eq(self.w_ready), now.eq(left + Mux(first, more + 1, 0)),
            response.eq(self.answers & (complete != 0)), self.made.m_axi_bresp.eq(self.fails),
            Assert(~first | (left == 0)), Assert(~valid | (now != 0)), Assert(~valid | (last == (now == 1))), Assert(taken),
            Assert(~self.made.registers.set.INTERRUPT.DONE | (unanswered == 0) & (left == 0) & ~offered),
        ]
        m.d.sync += [stood.eq(offered & ~self.aw_ready), left.eq(now - beat),
                     unanswered.eq(unanswered + (beat & (now == 1)) - response)]
        stable(m, "w", valid, ready, Cat(data, strobes, last))
        return ~offered & ~valid & (left == 0) & (unanswered == 0)


class Streams(Bus):
    """The stream form: what it offers stays, a soft reset or not, and packets that begin end."""

    def __init__(self):
        names = [name for name in CONFIG.streams if name != "outputs"]
        super().__init__(StreamAccelerator, {**{f"{name}_valid": 1 for name in names}, "ready": 1, "beat": 37})

    def elaborate(self, platform):
        m = super().elaborate(platform)
        made = self.made
        for name in made.inputs:
            parts = [getattr(made, f"s_axis_{name}_t{part}") for part in ("data", "keep", "last")]
            m.d.comb += [Cat(parts).eq(self.beat), getattr(made, f"s_axis_{name}_tvalid").eq(getattr(self, f"{name}_valid"))]
        valid, ready, last = made.m_axis_outputs_tvalid, made.m_axis_outputs_tready, made.m_axis_outputs_tlast
        m.d.comb += ready.eq(self.ready)
        stable(m, "outputs", valid, ready, Cat(made.m_axis_outputs_tdata, made.m_axis_outputs_tkeep, last))
        return m


def hasty_reads(self, m, readers):
    """A soft reset that does not wait for what the memory owes."""
    connect_reads(self, m, readers)
    self._reads_quiet = Const(1)


connect_reads = MemoryAccelerator._connect_reads


class MoreReader(ArrayReader):
    """Asks for a burst too many."""

    def __init__(self, bus_bits, address_bits, burst, outstanding):
        super().__init__(bus_bits, address_bits, burst, outstanding + 1)


class ForgetfulArbiter(ReadArbiter):
    """Withdraws what it has offered when it is blocked."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.blocked):
            m.d.sync += self.ar.valid.eq(0)
        return m


class EndlessWriter(ArrayWriter):
    """Bursts whose last beat is none."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.w.payload.last.eq(0)
        return m


class ImpatientWriter(ArrayWriter):
    """Done with the last beat instead of its response."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.done.eq(self.w.valid & self.w.ready & self.w.payload.last)
        return m


class BareSkid(accelerator.Skid):
    """Lets go of what it holds."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(~self.i.valid):
            m.d.sync += self.o.valid.eq(0)
        return m


class OpenSkid(accelerator.Skid):
    """Nothing stands between the two sides."""

    def elaborate(self, platform):
        m = Module()
        wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        return m


FAULTS = {
    "page": [(axi_read, "burst_length", without_pages), (axi_write, "burst_length", without_pages)],
    "window": [(MemoryAccelerator, "_in_window", lambda self, beat: Const(1))],
    "hasty": [(MemoryAccelerator, "_connect_reads", hasty_reads)],
    "more": [(memory_accelerator, "ArrayReader", MoreReader)],
    "withdrawn": [(memory_accelerator, "ReadArbiter", ForgetfulArbiter)],
    "last": [(memory_accelerator, "ArrayWriter", EndlessWriter)],
    "early": [(memory_accelerator, "ArrayWriter", ImpatientWriter)],
    "skid": [(accelerator, "Skid", BareSkid)],
}


@pytest.mark.parametrize("made", [Memory, Streams])
def test_wrapper(made):
    """Offers stay, bursts keep page and window, all is answered and counted, a soft reset leaves nothing on the bus."""
    prove(made(), build_root() / "proof" / f"wrapper_{made.__name__}", DEPTH)


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(fault, monkeypatch):
    for place, name, faulty in FAULTS[fault]:
        monkeypatch.setattr(place, name, faulty)
    made = Streams if fault == "skid" else Memory
    with pytest.raises(ToolError, match="proof did fail"):
        prove(made(), build_root() / "proof" / f"wrapper_{fault}", DEPTH)


def check_paths(made):
    """Raise ToolError if, with a real engine, a way without a register leads from an input to a `ready` or a `valid`."""
    folder = build_root() / "proof" / f"paths_{made.__name__}"
    folder.mkdir(parents=True, exist_ok=True)
    whole = made(TenderEngine(CONFIG), "tender", bus_bytes=BUS_BYTES)
    (folder / "design.il").write_text(rtlil.convert(whole, name="design", emit_src=False))
    behind = "%co*:-$dff,$dffe,$sdff,$sdffe,$sdffce,$mem_v2"
    run_yosys(["read_rtlil design.il", "hierarchy -top design", "proc", "setattr -unset init */w:*", "flatten", "opt_clean",
               "memory_collect",
               f"select -assert-none i:* i:clk i:rst %u %d {behind} o:*valid o:*ready %u %i"], folder, "paths")


@pytest.mark.parametrize("made", [MemoryAccelerator, StreamAccelerator])
def test_no_path_from_bus_to_bus(made):
    check_paths(made)


def test_paths_are_found(monkeypatch):
    monkeypatch.setattr(accelerator, "Skid", OpenSkid)
    with pytest.raises(ToolError, match="selection is not empty"):
        check_paths(StreamAccelerator)
