# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""AXI4 writes: a stream of beats into an array in memory."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .axi_read import burst_layout, burst_length
from .axi_stream import beat_layout

__all__ = ["ArrayWriter"]


class ArrayWriter(wiring.Component):
    """A job's packet of beats to an array. A burst is begun when all its beats are here, so it always ends.

    Parameters
    ----------
    bus_bytes, address_bits, burst, depth : int
        As of :class:`~subbyte.hdl.axi_read.ArrayReader`; ``depth`` at least twice ``burst``.

    Members
    -------
    job : In(stream)
        ``beat``, ``beats``.
    i : In(stream of beat_layout(bus_bytes))
    allowed, blocked : In(1)
        As of :class:`~subbyte.hdl.axi_read.ReadArbiter`.
    chosen : Out
        The burst that would be next.
    refused : Out(1)
    aw : Out(stream)
        Bursts.
    w : Out(stream of beat_layout(bus_bytes))
        ``last`` with a burst's.
    answered : In(1)
        A response has come.
    length : Out(1)
        The packet does not end with the array; high for a cycle.
    done : Out(1)
        All of a job is written and answered; high for a cycle.
    pending : Out(1)
        There are bursts to end or to be answered.
    """

    def __init__(self, bus_bytes: int, address_bits: int, burst: int, depth: int):
        self.bus_bytes, self.address_bits, self.burst, self.depth = bus_bytes, address_bits, burst, depth
        self.job_layout = data.StructLayout({"beat": address_bits, "beats": address_bits})
        layout, beat = burst_layout(address_bits, burst), beat_layout(bus_bytes)
        super().__init__({
            "job": In(stream.Signature(self.job_layout)),
            "i": In(stream.Signature(beat)),
            "allowed": In(1), "blocked": In(1), "refused": Out(1), "chosen": Out(layout),
            "aw": Out(stream.Signature(layout)), "w": Out(stream.Signature(beat)),
            "answered": In(1), "length": Out(1), "done": Out(1), "pending": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.waiting = waiting = fifo.SyncFIFOBuffered(width=9 * self.bus_bytes, depth=self.depth)
        active = Signal()
        beat = Signal(self.address_bits)
        left = Signal(self.address_bits)
        uncommitted = Signal(range(self.depth + 1))
        unanswered = Signal(range(256))
        more = burst_length(m, beat, left, self.burst)
        self._fill(m, waiting, active)
        sending = Signal(range(self.burst + 1))
        begin = Signal()
        written = Signal()
        may = Signal()
        m.d.comb += [
            self.job.ready.eq(~active),
            self.chosen.beat.eq(beat), self.chosen.more.eq(more),
            may.eq(active & (left != 0) & (uncommitted > more) & (sending == 0) & ~self.aw.valid & ~self.blocked
                   & (unanswered != 255)),
            begin.eq(may & self.allowed), self.refused.eq(may & ~self.allowed),
            self.w.payload.data.eq(waiting.r_data[:8 * self.bus_bytes]),
            self.w.payload.keep.eq(waiting.r_data[8 * self.bus_bytes:]),
            self.w.payload.last.eq(sending == 1),
            self.w.valid.eq((sending != 0) & waiting.r_rdy), waiting.r_en.eq(written), written.eq(self.w.valid & self.w.ready),
            self.done.eq(active & (left == 0) & (unanswered == 0) & (sending == 0)),
            self.pending.eq((unanswered != 0) | (sending != 0) | self.aw.valid),
        ]
        m.d.sync += [
            uncommitted.eq(uncommitted + (self.i.valid & self.i.ready) - Mux(begin, more + 1, 0)),
            unanswered.eq(unanswered + begin - self.answered),
            sending.eq(Mux(begin, more + 1, sending - written)),
        ]
        with m.If(self.aw.ready):
            m.d.sync += self.aw.valid.eq(0)
        with m.If(begin):
            m.d.sync += [self.aw.valid.eq(1), self.aw.payload.eq(self.chosen)]
            m.d.sync += [beat.eq(beat + more + 1), left.eq(left - more - 1)]
        with m.If(self.job.valid & ~active):
            m.d.sync += [active.eq(1), beat.eq(self.job.payload.beat), left.eq(self.job.payload.beats)]
        with m.Elif(self.done):
            m.d.sync += active.eq(0)
        return m

    def _fill(self, m, waiting, active):
        """Beats of the job that is written, as many as its array has."""
        room = Signal(self.address_bits)
        filled = Signal()
        pushed = self.i.valid & self.i.ready
        m.d.comb += [
            waiting.w_data.eq(Cat(self.i.payload.data, self.i.payload.keep)), waiting.w_en.eq(pushed),
            self.i.ready.eq(waiting.w_rdy & active & ~filled),
            self.length.eq(pushed & (self.i.payload.last != (room == 1))),
        ]
        with m.If(self.job.valid & ~active):
            m.d.sync += [room.eq(self.job.payload.beats), filled.eq(0)]
        with m.Elif(pushed):
            m.d.sync += [room.eq(room - 1), filled.eq(self.i.payload.last)]
