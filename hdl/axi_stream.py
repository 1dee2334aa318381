# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Between AXI4-Stream's whole bytes and words of any width: skid buffer, receiver, sender.

A word takes a *slot* of whole bytes, its bit 0 in bit 0 of byte 0, the rest zero or ignored: as many whole beats as it needs,
or, if it is shorter than a beat, the smallest power of two of bytes that holds it, so that slots fill beats evenly.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Receiver", "Sender", "Skid", "beat_layout", "slot_bytes"]


def slot_bytes(bits: int, bus_bytes: int) -> int:
    """Bytes that a word of so many bits takes on a bus."""
    if bits > 8 * bus_bytes:
        return -(-bits // (8 * bus_bytes)) * bus_bytes
    return 1 << (-(-bits // 8) - 1).bit_length()


def beat_layout(bus_bytes: int) -> data.StructLayout:
    """A beat without its handshake."""
    return data.StructLayout({"data": 8 * bus_bytes, "keep": bus_bytes, "last": 1})


def _word_layout(bits):
    return data.StructLayout({"data": bits, "last": 1})


class Skid(wiring.Component):
    """A buffer of two: ``i.ready``, ``o.valid`` and ``o.payload`` are registers, a beat a cycle passes, a cycle later."""

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        spare = Signal.like(self.i.payload.as_value(), reset_less=True)
        kept = Signal()
        free = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(~kept)
        with m.If(free):
            m.d.sync += [
                self.o.payload.eq(Mux(kept, spare, self.i.payload.as_value())),
                self.o.valid.eq(kept | self.i.valid),
                kept.eq(0),
            ]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(self.i.payload.as_value()), kept.eq(1)]
        return m


class Receiver(wiring.Component):
    """Beats to words.

    Parameters
    ----------
    bits : int
        Of a word.
    bus_bytes : int
        Of a beat.

    Members
    -------
    i : In(stream of beat_layout(bus_bytes))
    o : Out(stream)
        ``data``, and ``last`` with the last word of a packet.
    broken : Out(1)
        A beat is taken in this cycle that ends its packet within a word, or lacks bytes of one.
    """

    def __init__(self, bits: int, bus_bytes: int):
        self.bits, self.bus_bytes, self.slot = bits, bus_bytes, slot_bytes(bits, bus_bytes)
        super().__init__({"i": In(stream.Signature(beat_layout(bus_bytes))), "o": Out(stream.Signature(_word_layout(bits))),
                          "broken": Out(1)})

    def elaborate(self, platform):
        m = Module()
        (self._gather if self.slot > self.bus_bytes else self._split)(m)
        return m

    def _gather(self, m):
        """The first parts of a word wait in a register, the last one on the bus."""
        beat, parts = self.i.payload, self.slot // self.bus_bytes
        held = Signal(8 * self.bus_bytes * (parts - 1), reset_less=True)
        index = Signal(range(parts))
        at_last = index == parts - 1
        needed = -(-self.bits // 8) - self.bus_bytes * (parts - 1)
        m.d.comb += [
            self.o.payload.data.eq(Cat(held, beat.data)),
            self.o.payload.last.eq(beat.last),
            self.o.valid.eq(self.i.valid & at_last),
            self.i.ready.eq(~at_last | self.o.ready),
            self.broken.eq(self.i.valid & self.i.ready & Mux(at_last, ~beat.keep[:needed].all(), beat.last | ~beat.keep.all())),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += index.eq(Mux(at_last, 0, index + 1))
            with m.If(~at_last):
                m.d.sync += held.eq(Cat(held, beat.data)[8 * self.bus_bytes:])

    def _split(self, m):
        """A beat stays on the bus until its words are taken."""
        beat, slots, size = self.i.payload, self.bus_bytes // self.slot, -(-self.bits // 8)
        index = Signal(range(max(slots, 2)))
        word = Signal(self.bits)
        keep = Signal(size)
        more = Signal()
        with m.Switch(index):
            for slot in range(slots):
                start = slot * self.slot
                with m.Case(slot):
                    m.d.comb += [
                        word.eq(beat.data[8 * start:8 * start + self.bits]),
                        keep.eq(beat.keep[start:start + size]),
                        more.eq(beat.keep[start + self.slot:].any()),
                    ]
        taken = self.i.valid & self.o.ready
        m.d.comb += [
            self.o.payload.data.eq(word),
            self.o.payload.last.eq(beat.last & ~more),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & ~more),
            self.broken.eq(taken & ~keep.all()),
        ]
        with m.If(taken):
            m.d.sync += index.eq(Mux(more, index + 1, 0))


class Sender(wiring.Component):
    """Words to beats; bytes beyond a word's are zero and kept, slots beyond a packet's last word are not kept.

    Members
    -------
    i : In(stream)
        ``data``, and ``last`` with the last word of a packet.
    o : Out(stream of beat_layout(bus_bytes))
    """

    def __init__(self, bits: int, bus_bytes: int):
        self.bits, self.bus_bytes, self.slot = bits, bus_bytes, slot_bytes(bits, bus_bytes)
        super().__init__({"i": In(stream.Signature(_word_layout(bits))), "o": Out(stream.Signature(beat_layout(bus_bytes)))})

    def elaborate(self, platform):
        m = Module()
        (self._split if self.slot > self.bus_bytes else self._gather)(m)
        return m

    def _split(self, m):
        parts, width = self.slot // self.bus_bytes, 8 * self.bus_bytes
        index = Signal(range(parts))
        at_last = index == parts - 1
        m.d.comb += [
            self.o.payload.data.eq(self.i.payload.data.word_select(index, width)),
            self.o.payload.keep.eq(~0),
            self.o.payload.last.eq(self.i.payload.last & at_last),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & at_last),
        ]
        with m.If(self.i.valid & self.o.ready):
            m.d.sync += index.eq(Mux(at_last, 0, index + 1))

    def _gather(self, m):
        """Words wait in a register until a beat is full, or its packet ends."""
        slots, width = self.bus_bytes // self.slot, 8 * self.slot
        held = Signal(8 * self.bus_bytes)
        index = Signal(range(max(slots, 2)))
        whole = Signal(8 * self.bus_bytes)
        complete = (index == slots - 1) | self.i.payload.last
        m.d.comb += [
            whole.eq(held | (self.i.payload.data << (index * width))),
            self.o.payload.data.eq(whole),
            self.o.payload.keep.eq(Cat((index >= slot if slot else Const(1)).replicate(self.slot) for slot in range(slots))),
            self.o.payload.last.eq(self.i.payload.last),
            self.o.valid.eq(self.i.valid & complete),
            self.i.ready.eq(self.o.ready | ~complete),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [index.eq(Mux(complete, 0, index + 1)), held.eq(Mux(complete, 0, whole))]
