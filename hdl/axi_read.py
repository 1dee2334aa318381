# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""AXI4 reads: arrays as streams of beats, several of them behind one master."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ArrayReader", "ReadArbiter", "burst_length", "burst_layout"]

PAGE = 4096


def burst_layout(address_bits: int, burst: int) -> data.StructLayout:
    """A burst: the number of its first beat in memory, and its length less one."""
    return data.StructLayout({"beat": address_bits, "more": range(burst)})


def burst_length(m: Module, beat, left, burst: int):
    """Length less one of the longest burst from here: it ends where a multiple of ``burst`` beats does, so within its page."""
    more = Signal(range(burst), name="more")
    to_end = Signal(range(burst), name="to_end")
    m.d.comb += [to_end.eq(~beat[:len(to_end)]), more.eq(Mux(left > to_end, to_end, left - 1))]
    return more


class ArrayReader(wiring.Component):
    """An array in memory as a stream of beats, read as often as asked. It asks ahead for as much as it has room for.

    * Throughput: a beat a cycle, once ``outstanding`` bursts hide the memory's latency.

    Parameters
    ----------
    bus_bits, address_bits : int
        Of a beat, and of a beat's number in memory.
    burst : int
        Longest burst in beats, a power of two of no more than a page.
    outstanding : int
        Bursts that may be on their way; with their beats that wait they fill the buffer.

    Members
    -------
    job : In(stream)
        ``beat``, the first one's number, ``beats`` of the array, ``passes`` over it; none of these zero.
    request : Out(stream)
        Bursts.
    data : In
        ``valid`` with ``data``, which is always taken.
    o : Out(stream)
        ``data``, and ``last`` with the last beat of a pass.
    """

    def __init__(self, bus_bits: int, address_bits: int, burst: int, outstanding: int):
        self.bus_bits, self.address_bits, self.burst, self.outstanding = bus_bits, address_bits, burst, outstanding
        self.depth = burst * outstanding
        self.job_layout = data.StructLayout({"beat": address_bits, "beats": address_bits, "passes": 16})
        super().__init__({
            "job": In(stream.Signature(self.job_layout)),
            "request": Out(stream.Signature(burst_layout(address_bits, burst))),
            "data": In(stream.Signature(bus_bits, always_ready=True)),
            "o": Out(stream.Signature(data.StructLayout({"data": bus_bits, "last": 1}))),
        })

    def elaborate(self, platform):
        m = Module()
        # A burst's last beat ends a pass or does not: known when it is asked for, needed when it comes.
        m.submodules.ends = ends = fifo.SyncFIFO(width=len(Signal(range(self.burst))) + 1, depth=self.outstanding)
        m.submodules.waiting = waiting = fifo.SyncFIFOBuffered(width=self.bus_bits + 1, depth=self.depth)
        self._ask(m, ends, waiting)
        received = Signal(range(self.burst))
        more, is_pass_end = ends.r_data[:-1], ends.r_data[-1]
        at_end = received == more
        m.d.comb += [
            waiting.w_data.eq(Cat(self.data.payload, at_end & is_pass_end)), waiting.w_en.eq(self.data.valid),
            ends.r_en.eq(self.data.valid & at_end),
            self.o.payload.eq(waiting.r_data), self.o.valid.eq(waiting.r_rdy), waiting.r_en.eq(self.o.ready),
        ]
        with m.If(self.data.valid):
            m.d.sync += received.eq(Mux(at_end, 0, received + 1))
        return m

    def _ask(self, m, ends, waiting):
        """Bursts of the job, as long as there is room for all their beats."""
        job = Signal(self.job_layout)
        active = Signal()
        beat = Signal(self.address_bits)
        left = Signal(self.address_bits)
        free = Signal(range(self.depth + 1), init=self.depth)
        more = burst_length(m, beat, left, self.burst)
        asked, read = self.request.valid & self.request.ready, waiting.r_rdy & waiting.r_en
        at_end = left == more + 1
        m.d.comb += [
            self.job.ready.eq(~active),
            self.request.payload.beat.eq(beat), self.request.payload.more.eq(more),
            self.request.valid.eq(active & (free > more) & ends.w_rdy),
            ends.w_data.eq(Cat(more, at_end)), ends.w_en.eq(asked),
        ]
        m.d.sync += free.eq(free + read - Mux(asked, more + 1, 0))
        with m.If(self.job.valid & ~active):
            m.d.sync += [job.eq(self.job.payload), active.eq(1)]
            m.d.sync += [beat.eq(self.job.payload.beat), left.eq(self.job.payload.beats)]
        with m.Elif(asked):
            m.d.sync += [beat.eq(beat + more + 1), left.eq(left - more - 1)]
            with m.If(at_end):
                m.d.sync += [beat.eq(job.beat), left.eq(job.beats), job.passes.eq(job.passes - 1), active.eq(job.passes != 1)]


class ReadArbiter(wiring.Component):
    """Bursts of several readers on one address channel, in turns; a reader's number is its ID on the bus.

    Members
    -------
    requests : array of In(stream)
    blocked : In(1)
        No further burst is begun; one that stands on the channel stays.
    allowed : In(1)
        The burst in ``chosen`` may be; else it is taken and begun nowhere, and ``refused`` is high for a cycle.
    chosen : Out
        The burst that would be next.
    ar : Out(stream)
        ``beat``, ``more``, ``id``.
    refused : Out(1)
    """

    def __init__(self, readers: int, address_bits: int, burst: int):
        self.readers = readers
        layout = burst_layout(address_bits, burst)
        super().__init__({
            "requests": In(stream.Signature(layout)).array(readers),
            "blocked": In(1), "allowed": In(1), "refused": Out(1),
            "chosen": Out(layout),
            "ar": Out(stream.Signature(data.StructLayout({"burst": layout, "id": range(max(readers, 2))}))),
        })

    def elaborate(self, platform):
        m = Module()
        turn = Signal(range(self.readers))
        number = Signal(range(self.readers))
        may = Signal()
        offered = Signal()
        valid = Cat(request.valid for request in self.requests)
        with m.Switch(turn):
            for first in range(self.readers):
                with m.Case(first):
                    for index in reversed([(first + step) % self.readers for step in range(self.readers)]):
                        with m.If(valid[index]):
                            m.d.comb += number.eq(index)
        m.d.comb += [offered.eq(valid.any()), may.eq(~self.blocked & (~self.ar.valid | self.ar.ready)),
                     self.refused.eq(may & offered & ~self.allowed)]
        with m.Switch(number):
            for index, request in enumerate(self.requests):
                with m.Case(index):
                    m.d.comb += [self.chosen.eq(request.payload), request.ready.eq(may & self.allowed)]
        with m.If(self.ar.ready):
            m.d.sync += self.ar.valid.eq(0)
        with m.If(may & offered & self.allowed):
            m.d.sync += [self.ar.valid.eq(1), self.ar.payload.burst.eq(self.chosen), self.ar.payload.id.eq(number),
                         turn.eq(Mux(number == self.readers - 1, 0, number + 1))]
        return m
