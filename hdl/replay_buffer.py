# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Words that come once and are given several times: two banks, one filled while the other is given."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ReplayBuffer"]


class ReplayBuffer(wiring.Component):
    """Tiles of words, each given ``repeats`` times.

    * Latency: a tile is given from the second cycle after its last beat.
    * Throughput: a word a cycle, from tile to tile too.

    Parameters
    ----------
    bits : int
        Of a word; it comes in beats of its own.
    bus_bits : int
    depth : int
        Words of a tile, a power of two.

    Members
    -------
    job : In(stream)
        ``words`` of a tile, ``tiles``, and ``repeats`` of each; none of these zero.
    i : In(stream)
        Beats; ``last`` with the job's.
    o : Out(stream)
        ``data``, and ``last`` with a tile's last word.
    length : Out(1)
        Tiles and beats do not end together; high for a cycle.
    """

    def __init__(self, bits: int, bus_bits: int, depth: int):
        self.bits, self.bus_bits, self.depth, self.parts = bits, bus_bits, depth, -(-bits // bus_bits)
        self._words = range(depth + 1)
        self.job_layout = data.StructLayout({"words": self._words, "tiles": 16, "repeats": 16})
        super().__init__({
            "job": In(stream.Signature(self.job_layout)),
            "i": In(stream.Signature(data.StructLayout({"data": bus_bits, "last": 1}))),
            "o": Out(stream.Signature(data.StructLayout({"data": bits, "last": 1}))),
            "length": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # A memory for each beat of a word: with one of whole words, tools make an enable of each bit of it.
        writes, reads = [], []
        for part in range(self.parts):
            m.submodules[f"part_{part}"] = buffer = memory.Memory(shape=self.bus_bits, depth=2 * self.depth, init=[])
            writes.append(buffer.write_port())
            reads.append(buffer.read_port())
        kept = data.ArrayLayout(data.StructLayout({"words": self._words, "repeats": 16}), 2)
        banks = Signal(kept)
        full = Signal(2)
        filled = self._fill(m, writes, banks, full)
        given = self._give(m, reads, banks, full)
        m.d.sync += full.eq(full & ~given | filled)
        return m

    def _fill(self, m, ports, banks, full):
        """Beats to the bank in turn; returns which bank has its last."""
        job = Signal(self.job_layout)
        active = Signal()
        bank = Signal()
        part = Signal(range(max(self.parts, 2)))
        word = Signal(range(max(self.depth, 2)))
        filled = Signal(2)
        at_word, at_tile, at_end = part == self.parts - 1, word + 1 == job.words, job.tiles == 1
        taken = Signal()
        done = Signal()
        m.d.comb += [
            self.job.ready.eq(~active),
            self.i.ready.eq(active & ~full.bit_select(bank, 1)),
            taken.eq(self.i.valid & self.i.ready), done.eq(taken & at_word & at_tile),
            filled.eq(done << bank),
            self.length.eq(taken & (self.i.payload.last != (at_word & at_tile & at_end))),
        ]
        for index, port in enumerate(ports):
            m.d.comb += [port.addr.eq(Cat(word[:(self.depth - 1).bit_length()], bank)),
                         port.data.eq(self.i.payload.data), port.en.eq(taken & (part == index))]
        with m.If(self.job.valid & ~active):
            m.d.sync += [job.eq(self.job.payload), active.eq(1)]
        with m.If(taken):
            m.d.sync += part.eq(Mux(at_word, 0, part + 1))
            with m.If(at_word):
                m.d.sync += word.eq(Mux(at_tile, 0, word + 1))
        with m.If(done):
            m.d.sync += [banks[bank].words.eq(job.words), banks[bank].repeats.eq(job.repeats), bank.eq(~bank),
                         job.tiles.eq(job.tiles - 1), active.eq(~at_end)]
        return filled

    def _give(self, m, ports, banks, full):
        """Words of the bank in turn, read while the one before is taken; returns which bank is used up."""
        bank = Signal()
        word = Signal(range(max(self.depth, 2)))
        repeat = Signal(16)
        given = Signal(2)
        at_tile = word + 1 == banks[bank].words
        fetch = Signal()
        done = fetch & at_tile & (repeat + 1 == banks[bank].repeats)
        m.d.comb += [
            fetch.eq(full.bit_select(bank, 1) & (~self.o.valid | self.o.ready)),
            self.o.payload.data.eq(Cat(port.data for port in ports)), given.eq(done << bank),
        ]
        for port in ports:
            m.d.comb += [port.addr.eq(Cat(word[:(self.depth - 1).bit_length()], bank)), port.en.eq(fetch)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(fetch):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.last.eq(at_tile), word.eq(Mux(at_tile, 0, word + 1))]
            with m.If(at_tile):
                m.d.sync += repeat.eq(Mux(done, 0, repeat + 1))
        with m.If(done):
            m.d.sync += bank.eq(~bank)
        return given
