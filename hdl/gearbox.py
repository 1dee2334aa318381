# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""From beats of a bus to words of another, even a changing, width."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Gearbox"]


class Gearbox(wiring.Component):
    """Beats are pushed in above what is held, words are shifted out below.

    * Latency: a cycle; none where every word is a beat, which nothing holds then.
    * Throughput: a beat, or a word, a cycle; a word that stands for ``hold`` cycles lets beats in meanwhile.

    Parameters
    ----------
    unit : int
        Bits that beats and words are multiples of.
    beat : int
        Units of a beat.
    sizes : sequence of int
        Units that a word may have.
    hold : int
        Cycles for which a word is expected to stand.

    Members
    -------
    i : In(stream)
        ``data``, and ``last`` with the last beat of a packet, which begins a word.
    size : In
        Units of the words that come next; one of ``sizes``.
    o : Out(stream)
        A word's bits; above those of its size they mean nothing.
    final : In(1)
        The word on ``o`` is its packet's last: what is left is dropped with it.
    short, surplus : Out(1)
        The packet has ended, and holds no further word although none was its last; the word on ``o`` leaves whole beats, here
        or to come.
    """

    def __init__(self, unit: int, beat: int, sizes: Sequence[int], hold: int = 1):
        self.unit, self.beat, self.sizes = unit, beat, tuple(sorted(set(sizes)))
        largest = self.sizes[-1]
        self.capacity = max(largest + (min(hold, -(-largest // beat)) - 1) * beat, largest - 1 + beat)
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"data": unit * beat, "last": 1}))),
            "size": In(range(largest + 1)),
            "o": Out(stream.Signature(unit * largest)),
            "final": In(1), "short": Out(1), "surplus": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        if self.sizes == (self.beat,):
            self._pass_through(m)
        else:
            self._change_width(m)
        return m

    def _pass_through(self, m):
        m.d.comb += [
            self.o.payload.eq(self.i.payload.data), self.o.valid.eq(self.i.valid), self.i.ready.eq(self.o.ready),
            self.short.eq(self.i.valid & self.i.payload.last & ~self.final),
            self.surplus.eq(self.i.valid & self.final & ~self.i.payload.last),
        ]

    def _change_width(self, m):
        held = Signal(self.unit * self.capacity)
        count = Signal(range(self.capacity + 1))
        closing = Signal()
        taken = Signal()
        drop = Signal()
        room = Signal()
        rest = Signal.like(count)
        kept = Signal.like(held)
        size = self.size if len(self.sizes) > 1 else self.sizes[0]
        m.d.comb += [
            self.o.payload.eq(held), self.o.valid.eq(count >= size),
            taken.eq(self.o.valid & self.o.ready), drop.eq(taken & self.final),
            rest.eq(Mux(taken, count - size, count)), kept.eq(Mux(taken, self._without_word(m, held), held)),
            room.eq(rest <= self.capacity - self.beat),
            self.i.ready.eq(~closing & room),
            self.short.eq(closing & ~self.o.valid),
            self.surplus.eq(self.o.valid & self.final & (~closing | (count - size >= self.beat))),
        ]
        pushed = self.i.valid & self.i.ready
        m.d.sync += [
            held.eq(Mux(drop, 0, kept | Mux(pushed, self.i.payload.data << rest * self.unit, 0))),
            count.eq(Mux(drop, 0, rest + Mux(pushed, self.beat, 0))),
            closing.eq(~drop & (closing | pushed & self.i.payload.last)),
        ]

    def _without_word(self, m, held):
        """What is held, a word less."""
        if len(self.sizes) == 1:
            return held >> self.sizes[0] * self.unit
        below = Signal.like(held)
        with m.Switch(self.size):
            for size in self.sizes:
                with m.Case(size):
                    m.d.comb += below.eq(held[size * self.unit:])
        return below
