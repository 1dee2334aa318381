# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is proved of the bus masters, to a depth of cycles; each proof is seen to fail on a planted fault."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from subbyte.hdl import axi_read, axi_write
from subbyte.hdl.axi_read import ArrayReader, ReadArbiter
from subbyte.hdl.axi_write import ArrayWriter
from subbyte.tools.process import ToolError
from subbyte.tools.toolchain import build_root

from .proofs import prove, stable

pytestmark = pytest.mark.formal
BITS, BURST = 5, 2
"""Numbers of beats have so many bits. A burst that stays within its multiple stays within a page, which is one, too."""


def within(burst):
    """Within a multiple of the longest burst."""
    return burst.beat[:1] + burst.more < BURST


class Reads(wiring.Component):
    """A reader, the arbiter, and a memory that answers what it was asked, whenever it likes."""

    def __init__(self, fault=None):
        self.fault = fault
        super().__init__({"taken": In(1), "comes": In(1), "ready": In(1), "blocked": In(1), "beat": In(BITS), "beats": In(3),
                          "passes": In(2), "start": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = ArrayReader(2, BITS, BURST, 2)
        m.submodules.arbiter = arbiter = ReadArbiter(1, BITS, BURST)
        promised = reader.depth
        if self.fault == "room":
            reader.depth += BURST
        wiring.connect(m, reader.request, arbiter.requests[0])
        ar, owed, out = arbiter.ar, Signal(8), Signal(8)
        valid = ar.valid & (~self.blocked if self.fault == "withdrawn" else 1)
        beats = Mux(valid & ar.ready, ar.payload.burst.more + 1, 0)
        m.d.comb += [
            reader.job.payload.beat.eq(self.beat), reader.job.payload.beats.eq(self.beats),
            reader.job.payload.passes.eq(self.passes), reader.job.valid.eq(self.start),
            Assume((self.beats != 0) & (self.passes != 0)),
            arbiter.allowed.eq(1), arbiter.blocked.eq(self.blocked), ar.ready.eq(self.taken),
            reader.data.valid.eq(self.comes & (owed != 0)), reader.o.ready.eq(self.ready),
        ]
        m.d.sync += [owed.eq(owed + beats - reader.data.valid),
                     out.eq(out + beats - (reader.o.valid & reader.o.ready))]
        # All that is asked for has room, whenever it comes; no more comes out than was asked for.
        m.d.comb += [Assert(~ar.valid | within(ar.payload.burst)), Assert(out <= promised)]
        stable(m, "ar", valid, ar.ready, ar.payload.as_value())
        return m


class Writes(wiring.Component):
    """The writer, whose bursts must be whole."""

    def __init__(self, fault=None):
        self.fault = fault
        flags = ("aw_ready", "w_ready", "comes", "answers", "last", "blocked", "start")
        super().__init__({**dict.fromkeys(flags, In(1)), "beat": In(BITS), "beats": In(3)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.writer = writer = ArrayWriter(1, BITS, BURST, 2 * BURST)
        aw, w, left, unanswered, stood, now = writer.aw, writer.w, Signal(4), Signal(4), Signal(), Signal(4)
        aw_valid = aw.valid & (~self.blocked if self.fault == "withdrawn" else 1)
        last = w.payload.last & (~self.blocked if self.fault == "last" else 1)
        first, beat = aw.valid & ~stood, w.valid & w.ready
        m.d.comb += [
            writer.job.payload.beat.eq(self.beat), writer.job.payload.beats.eq(self.beats), writer.job.valid.eq(self.start),
            Assume(self.beats != 0), writer.allowed.eq(1), writer.blocked.eq(self.blocked),
            aw.ready.eq(self.aw_ready), w.ready.eq(self.w_ready), writer.i.valid.eq(self.comes),
            writer.i.payload.last.eq(self.last), writer.answered.eq(self.answers & (unanswered != 0)),
            now.eq(left + Mux(first, aw.payload.more + 1, 0)),  # beats that the burst on its way still owes
        ]
        m.d.sync += [stood.eq(aw.valid & ~aw.ready), left.eq(now - beat),
                     unanswered.eq(unanswered + (beat & w.payload.last) - writer.answered)]
        m.d.comb += [
            Assert(~aw.valid | within(aw.payload)), Assert(~first | (left == 0)), Assert(~w.valid | (now != 0)),
            Assert(~w.valid | (last == (now == 1))), Assert(~writer.done | (unanswered == 0) & (left == 0)),
        ]
        stable(m, "aw", aw_valid, aw.ready, aw.payload.as_value())
        stable(m, "w", w.valid, w.ready, w.payload.as_value())
        return m


def without_pages(m, beat, left, burst):
    """The planted fault: bursts of full length from anywhere."""
    more = Signal(range(burst), name="more")
    m.d.comb += more.eq(Mux(left > burst, burst - 1, left - 1))
    return more


@pytest.mark.parametrize("made, depth", [(Reads, 12), (Writes, 12)])
def test_masters(made, depth):
    """Offers stay, bursts stay within their page and are whole, what was asked for has room, answers are counted."""
    prove(made(), build_root() / "proof" / made.__name__, depth)


@pytest.mark.parametrize("made, fault", [
    (Reads, "withdrawn"), (Reads, "room"), (Reads, "page"), (Writes, "withdrawn"), (Writes, "last"), (Writes, "page")])
def test_faults_are_found(made, fault, monkeypatch):
    if fault == "page":
        monkeypatch.setattr(axi_read, "burst_length", without_pages)
        monkeypatch.setattr(axi_write, "burst_length", without_pages)
    with pytest.raises(ToolError):
        prove(made(fault), build_root() / "proof" / f"{made.__name__}_{fault}", 12)
