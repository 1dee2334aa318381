# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sends the results of a tile: rows in order, columns ascending, ``drain`` neighbours a beat."""

from amaranth.hdl import Cat, Module, Signal, Value
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
        The last term of a tile is performed: the results before are gone, those of this tile will come.
    done : In(1)
        The first row of results is there; the others follow, a row a cycle or faster.
    constants, tokens, load : In
        The constants of the tile and of its rows (if the scheme has any), taken when ``load`` is set.
    results : In(ArrayLayout(ArrayLayout(result_shape, cols), rows))
    flags : In(core.flags_layout)
        Facts about the tile for the output unit.
    busy : Out(1)
        From ``begin`` until the last result is on its way.
    outputs : Out(stream)
    """

    def __init__(self, core):
        self.core = core
        self.rows, self.cols, self.drain = core.config.rows, core.config.cols, core.config.drain
        self.has_tokens = core.constants.row is not None
        super().__init__({
            "begin": In(1),
            "done": In(1),
            "constants": In(core.constants.of_tile(self.cols)),
            **({"tokens": In(core.constants.of_rows(self.rows))} if self.has_tokens else {}),
            "load": In(1),
            "results": In(data.ArrayLayout(data.ArrayLayout(core.result_shape, self.cols), self.rows)),
            "flags": In(core.flags_layout),
            "busy": Out(1),
            "outputs": Out(stream.Signature(data.StructLayout({**core.output_fields, "last": 1}))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.core.output_unit()
        free = Signal()
        m.d.comb += [free.eq(~self.outputs.valid | self.outputs.ready), unit.enable.eq(free)]

        loaded = Signal()
        with m.If(self.load):
            m.d.sync += loaded.eq(1)
        active = Signal()
        issue = Signal()
        row, part, last = self._walk(m, issue)
        m.d.comb += issue.eq((active | self.done) & loaded & free)
        with m.If(self.done):
            m.d.sync += active.eq(1)
        with m.If(issue & last):
            m.d.sync += [active.eq(0), loaded.eq(0), self.busy.eq(0)]
        with m.If(self.begin):
            m.d.sync += self.busy.eq(1)

        chosen = one_hot_select(self.results, row)
        m.d.comb += [
            unit.results.as_value().eq(one_hot_select(_parts(chosen, self.cols // self.drain), part)),
            unit.flags.eq(self.flags),
        ]
        self._connect_constants(m, unit, row, part)
        for name in self.core.output_fields:
            m.d.comb += self.outputs.payload[name].eq(unit.payload[name])
        # A token for each beat walks beside it: bit 0 of a mark is the beat just issued, the top bit the one on outputs.
        valid = Signal(unit.latency)
        final = Signal(unit.latency, reset_less=True)
        with m.If(free):
            m.d.sync += [valid.eq(Cat(issue, valid[:-1])), final.eq(Cat(last, final[:-1]))]
        m.d.comb += [self.outputs.valid.eq(valid[-1]), self.outputs.payload.last.eq(final[-1])]
        return m

    def _connect_constants(self, m, unit, row, part):
        """Keeps the tile's constants, and gives the unit those of the results it takes."""
        constants = self._kept(m, self.constants, "constants")
        columns = _parts(constants.columns.as_value(), self.cols // self.drain)
        m.d.comb += unit.columns.as_value().eq(one_hot_select(columns, part))
        if self.core.constants.tile is not None:
            m.d.comb += unit.common.eq(constants.common)
        if self.has_tokens:
            m.d.comb += Value.cast(unit.row).eq(one_hot_select(self._kept(m, self.tokens, "tokens"), row))

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
