# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender's index buffer: reads operands that stand in memory in their own order, channel group by channel group.

An alternative to packing in the engine's order, for engines of one lane: Tender (ISCA 2024), section IV, has one index a
cycle address the banks of activations and of weights alike.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..golden.tender import TenderConfig
from ..hdl.layouts import payload_layout

__all__ = ["Reorder"]


class Reorder(wiring.Component):
    """An index buffer of two halves, one filled while the other is read, in front of a Tender engine of one lane.

    The banks are outside: memories with a synchronous read port and a read enable, a channel of ``rows`` activations or of
    ``cols`` weights a word, at ``base + channel``.

    * Latency: 2 cycles from a tile to its first beat. Throughput: a beat a cycle, and a cycle more for each tile; it stalls
      with the engine.

    Parameters
    ----------
    config : TenderConfig
        With ``lanes`` 1.
    address_width : int
        Bits of the banks' addresses.

    Members
    -------
    entries : In(stream)
        A chunk's order, a beat each: ``channel``, or ``empty`` for the beat of an empty group; ``shift`` of the beat;
        ``last``, which ends the chunk. At most ``config.max_beats``; it waits while both halves are in use.
    tiles : In(stream)
        A tile: the bases of its operands, ``unsigned``, and ``last`` for the last tile that takes the oldest order.
    address_a, address_w : Out(address_width)
        For the banks, with ``read``.
    read : Out(1)
    data_a, data_w : In
        The banks' words, a cycle later, held until the next ``read``.
    activations, weights : Out(stream)
        The engine's; both are to be accepted together, as it does.

    Raises
    ------
    ValueError
        If the config has several lanes, or ``address_width`` is not positive.
    """

    def __init__(self, config: TenderConfig, address_width: int = 16):
        if config.lanes != 1:
            raise ValueError(f"config must have lanes 1, since a buffer gives an index a cycle, not {config.lanes}")
        if address_width < 1:
            raise ValueError(f"address_width must be at least 1, not {address_width!r}")
        self.config, self.address_width = config, address_width
        words_a = data.ArrayLayout(config.bits_a, config.rows)
        words_w = data.ArrayLayout(config.bits_w, config.cols)
        self.entry = data.StructLayout({"channel": address_width, "empty": 1, "shift": 1, "last": 1})
        tile = data.StructLayout({"base_a": address_width, "base_w": address_width, "unsigned": 1, "last": 1})
        super().__init__({
            "entries": In(stream.Signature(self.entry)),
            "tiles": In(stream.Signature(tile)),
            "address_a": Out(address_width),
            "address_w": Out(address_width),
            "read": Out(1),
            "data_a": In(words_a),
            "data_w": In(words_w),
            **{name: Out(stream.Signature(payload_layout(config.streams[name]))) for name in ("activations", "weights")},
        })

    def elaborate(self, platform):
        m = Module()
        depth = 1 << max((self.config.max_beats - 1).bit_length(), 1)
        m.submodules.buffer = buffer = Memory(shape=self.entry, depth=2 * depth, init=[])
        fill, take = buffer.write_port(), buffer.read_port()
        full = Signal(2)
        writing, reading = Signal(), Signal()
        position, index = Signal(range(depth)), Signal(range(depth))
        move, entry_there, word_there = Signal(), Signal(), Signal()
        stored = self.entries.valid & self.entries.ready
        m.d.comb += [
            self.entries.ready.eq(~full.bit_select(writing, 1)),
            fill.addr.eq(position | writing << (len(position))),
            fill.data.eq(self.entries.payload),
            fill.en.eq(stored),
            move.eq(~word_there | self.weights.ready & self.activations.ready),
        ]
        with m.If(stored):
            m.d.sync += position.eq(Mux(self.entries.payload.last, 0, position + 1))
            with m.If(self.entries.payload.last):
                m.d.sync += [full.bit_select(writing, 1).eq(1), writing.eq(~writing)]

        # An entry is fetched with its tile; the tile leaves with the entry that is its last.
        entry, held = take.data, Signal(self.tiles.payload.shape(), reset_less=True)
        ends = entry_there & entry.last
        fetch = self.tiles.valid & full.bit_select(reading, 1) & ~ends
        m.d.comb += [
            take.addr.eq(index | reading << len(index)),
            take.en.eq(move),
            self.tiles.ready.eq(move & ends),
        ]
        with m.If(move):
            m.d.sync += [
                entry_there.eq(fetch),
                index.eq(Mux(ends, 0, Mux(fetch, index + 1, index))),
                word_there.eq(entry_there),
                held.eq(self.tiles.payload),
            ]
            with m.If(ends & self.tiles.payload.last):
                m.d.sync += [full.bit_select(reading, 1).eq(0), reading.eq(~reading)]
        self._send(m, entry, held, move & entry_there, word_there)
        return m

    def _send(self, m, entry, tile, read, word_there):
        """Address the banks, and put what they give on the engine's streams."""
        late = Signal(self.entry, reset_less=True)
        with m.If(read):
            m.d.sync += late.eq(entry)
        m.d.comb += [
            self.read.eq(read),
            self.address_a.eq(self.tiles.payload.base_a + entry.channel),
            self.address_w.eq(self.tiles.payload.base_w + entry.channel),
            self.activations.valid.eq(word_there),
            self.activations.payload.data.eq(Mux(late.empty, 0, self.data_a.as_value())),
            self.activations.payload.shift.eq(late.shift),
            self.activations.payload.unsigned.eq(tile.unsigned),
            self.activations.payload.last.eq(late.last),
            self.weights.valid.eq(word_there),
            self.weights.payload.codes.eq(Mux(late.empty, 0, self.data_w.as_value())),
            self.weights.payload.last.eq(late.last),
        ]
