# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sends the results of a tile: rows in order, columns ascending, ``drain`` neighbours a beat."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.selection import one_hot_select

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Walks over a finished tile and sends each ``drain`` results through the core's output unit.

    * Latency: that of the output unit. Throughput: a beat a cycle; it stalls when ``outputs`` does, and loses nothing.

    Parameters
    ----------
    core : Component
        Gives the shapes, and makes the output unit; see :class:`subbyte.top.engine.Engine`.

    Members
    -------
    begin : In(1)
        The last term of a tile is performed: its results will come.
    done : In(1)
        The first row of results is there; the others follow, a row a cycle or faster. If the core keeps two tiles, all are.
    constants, tokens, load : In
        The constants of the tile and of its rows (if the scheme has any). With group scales they are taken when ``load`` is
        set; without, they are held by the streams: ``load`` says that they are offered, until ``leaves``.
    results : In(ArrayLayout(ArrayLayout(result_shape, cols), rows))
        They stay until the tile has left; if the core keeps two tiles, until those of the next are done.
    flags : In(core.flags_layout)
        Facts about the tile for the output unit, if the core has any.
    busy : Out(1)
        The last term of another tile must wait: as many as the core keeps are between it and ``outputs``.
    leaves : Out(1)
        The last results of a tile are on their way.
    outputs : Out(stream)
    """

    def __init__(self, core):
        self.core = core
        self.rows, self.cols, self.drain = core.config.rows, core.config.cols, core.config.drain
        self.has_tokens = core.constants.row is not None
        self.has_flags = core.flags_layout.size > 0
        super().__init__({
            "begin": In(1),
            "done": In(1),
            "constants": In(core.constants.of_tile(self.cols)),
            **({"tokens": In(core.constants.of_rows(self.rows))} if self.has_tokens else {}),
            "load": In(1),
            "results": In(data.ArrayLayout(data.ArrayLayout(core.result_shape, self.cols), self.rows)),
            **({"flags": In(core.flags_layout)} if self.has_flags else {}),
            "busy": Out(1),
            "leaves": Out(1),
            "outputs": Out(stream.Signature(data.StructLayout({**core.output_fields, "last": 1}))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.core.output_unit()
        free, issue = Signal(), Signal()
        row, part, last = self._walk(m, issue)
        constants, tokens, loaded = self._take_constants(m)
        take = self._take_results if self.core.tiles_kept == 1 else self._buffer_results
        results, flags, there = take(m, issue, row, part)
        m.d.comb += [
            free.eq(~self.outputs.valid | self.outputs.ready),
            issue.eq(there & loaded & free),
            self.leaves.eq(issue & last),
            unit.enable.eq(free),
            unit.results.as_value().eq(results),
        ]
        if self.has_flags:
            m.d.comb += unit.flags.eq(flags)
        self._connect_constants(m, unit, constants, tokens, row, part)
        for name in self.core.output_fields:
            m.d.comb += self.outputs.payload[name].eq(unit.payload[name])
        # A token for each beat walks beside it: bit 0 of a mark is the beat just issued, the top bit the one on outputs.
        valid = Signal(unit.latency)
        final = Signal(unit.latency, reset_less=True)
        with m.If(free):
            m.d.sync += [valid.eq(Cat(issue, valid[:-1])), final.eq(Cat(last, final[:-1]))]
        m.d.comb += [self.outputs.valid.eq(valid[-1]), self.outputs.payload.last.eq(final[-1])]
        return m

    def _take_results(self, m, issue, row, part):
        """The next results, flags, and whether they are there: one tile, out of the core's registers."""
        active = Signal()
        with m.If(self.done):
            m.d.sync += active.eq(1)
        with m.If(self.leaves):
            m.d.sync += [active.eq(0), self.busy.eq(0)]
        with m.If(self.begin):
            m.d.sync += self.busy.eq(1)
        chosen = one_hot_select(self.results, row)
        return one_hot_select(_parts(chosen, self.cols // self.drain), part), self._flags, active | self.done

    def _buffer_results(self, m, issue, row, part):
        """Likewise for two tiles: one leaves out of registers that shift, the core's hold the next."""
        size = len(self.results.as_value()) // (self.rows * self.cols // self.drain)
        buffer = Signal(len(self.results.as_value()), reset_less=True)
        active, waiting, arrived, move = Signal(), Signal(), Signal(), Signal()
        tiles = Signal(2)
        m.d.comb += [
            arrived.eq(self.done | waiting),
            move.eq(arrived & (~active | self.leaves)),
            self.busy.eq(tiles[1]),
        ]
        m.d.sync += [
            waiting.eq(arrived & ~move),
            active.eq(move | active & ~self.leaves),
            tiles.eq(tiles + self.begin - self.leaves),
        ]
        with m.If(move):
            m.d.sync += buffer.eq(self.results)
        with m.Elif(issue):
            m.d.sync += buffer.eq(Cat(buffer[size:], Const(0, size)))
        flags = None
        if self.has_flags:
            flags = Signal.like(self.flags, name="kept_flags", reset_less=True)
            with m.If(move):
                m.d.sync += flags.eq(self.flags)
        return buffer[:size], flags, active

    @property
    def _flags(self):
        return self.flags if self.has_flags else None

    def _take_constants(self, m):
        """Constants, those of rows, and whether they are there."""
        tokens = self.tokens if self.has_tokens else None
        if self.core.constants.group is None:
            return self.constants, tokens, self.load
        loaded = Signal()
        with m.If(self.leaves):
            m.d.sync += loaded.eq(0)
        with m.If(self.load):
            m.d.sync += loaded.eq(1)
        return self._kept(m, self.constants, "constants"), self._kept(m, tokens, "tokens") if self.has_tokens else None, loaded

    def _connect_constants(self, m, unit, constants, tokens, row, part):
        """Gives the unit the constants of the results it takes."""
        columns = _parts(constants.columns.as_value(), self.cols // self.drain)
        m.d.comb += unit.columns.as_value().eq(one_hot_select(columns, part))
        if self.core.constants.tile is not None:
            m.d.comb += unit.common.eq(constants.common)
        if self.has_tokens:
            m.d.comb += Value.cast(unit.row).eq(one_hot_select(tokens, row))

    def _kept(self, m, value, name):
        kept = Signal(value.shape(), name=f"kept_{name}", reset_less=True)
        with m.If(self.load):
            m.d.sync += kept.eq(value)
        return kept

    def _walk(self, m, issue):
        """One-hot row and part of it, stepping with ``issue``, and whether they are the tile's last."""
        row = Signal(self.rows, init=1)
        part = Signal(self.cols // self.drain, init=1)
        with m.If(issue):
            m.d.sync += part.eq(Cat(part[-1], part[:-1]))
            with m.If(part[-1]):
                m.d.sync += row.eq(Cat(row[-1], row[:-1]))
        return row, part, row[-1] & part[-1]


def _parts(word, count):
    size = len(word) // count
    return [word[i * size : (i + 1) * size] for i in range(count)]
