# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sends the results of a tile: rows in order, columns ascending, ``drain`` neighbours a beat."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.schedule import DRAIN_STAGES
from ..hdl.layouts import payload_layout
from ..hdl.selection import one_hot_select
from .core import Core

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Walks over a finished tile and sends each ``drain`` results through the core's output unit.

    * Latency: ``latency`` cycles from ``done`` until the first results are chosen, a register, then that of the unit.
      Throughput: a beat a cycle; it stalls when ``outputs`` does, and loses nothing.

    Parameters
    ----------
    core : Core
        Gives the shapes, and makes the output unit.

    Members
    -------
    begin : In(1)
        The last term of a tile is performed: its results will come.
    done : In(1)
        The first row of results is there; the others follow, a row a cycle or faster. If two tiles are kept, all are.
    constants, tokens : In
        The constants of the tile and of its rows (if the scheme has any), held by their streams until ``leaves``.
    offered : In(1)
        They are there.
    results : In(ArrayLayout(ArrayLayout(config.result, cols), rows))
        They stay until the tile has left; if two tiles are kept, until those of the next are done.
    flags : In(StructLayout)
        Facts about the tile for the output unit, if there are any.
    busy : Out(1)
        The last term of another tile must wait: as many as are kept are between it and ``outputs``.
    leaves : Out(1)
        The last results of a tile are on their way.
    outputs : Out(stream)
    """

    def __init__(self, core: Core):
        self.config = config = core.config
        self.unit = core.output_unit()
        members, streams = core.signature.members, config.streams
        super().__init__({
            "begin": In(1),
            "done": In(1),
            "constants": In(payload_layout(streams["constants"])),
            **({"tokens": In(payload_layout(streams["tokens"]))} if "tokens" in streams else {}),
            "offered": In(1),
            "results": In(members["results"].shape),
            **({"flags": In(members["flags"].shape)} if config.tile_flags else {}),
            "busy": Out(1),
            "leaves": Out(1),
            "outputs": Out(stream.Signature(payload_layout(streams["outputs"]))),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``done`` until the first results can be sent."""
        return self.config.timing.kept - 1

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self.unit
        free, issue = Signal(), Signal()
        row, part, last = self._walk(m, issue)
        take = self._take_results if self.config.timing.kept == 1 else self._buffer_results
        results, flags, there = take(m, issue, row, part)
        m.d.comb += [
            free.eq(~self.outputs.valid | self.outputs.ready),
            issue.eq(there & self.offered & free),
            self.leaves.eq(issue & last),
            unit.enable.eq(free),
        ]
        # What is chosen for the unit stands in a register first: the choice among all results takes most of a cycle.
        chosen = {"results": results, **self._choose_constants(row, part), **({"flags": flags} if flags is not None else {})}
        for name, value in chosen.items():
            port = Value.cast(getattr(unit, name))
            held = Signal(len(port), name=f"chosen_{name}", reset_less=True)
            with m.If(free):
                m.d.sync += held.eq(value)
            m.d.comb += port.eq(held)
        for name in unit.payload.shape().members:
            m.d.comb += self.outputs.payload[name].eq(unit.payload[name])
        # A token for each beat walks beside it: bit 0 of a mark is the beat just issued, the top bit the one on outputs.
        valid = Signal(DRAIN_STAGES + unit.latency)
        final = Signal.like(valid, reset_less=True)
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
        return one_hot_select(_parts(chosen, self._parts_of_row), part), self._flags, active | self.done

    def _buffer_results(self, m, issue, row, part):
        """Likewise for two tiles: one leaves out of registers that shift, the core's hold the next."""
        size = len(self.results.as_value()) // self.config.drain_beats
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
        if self.config.tile_flags:
            flags = Signal.like(self.flags, name="kept_flags", reset_less=True)
            with m.If(move):
                m.d.sync += flags.eq(self.flags)
        return buffer[:size], flags, active

    @property
    def _flags(self):
        return self.flags if self.config.tile_flags else None

    def _choose_constants(self, row, part):
        """The constants of the results that are chosen, by their ports of the unit."""
        chosen = {"columns": one_hot_select(_parts(Value.cast(self.constants.columns), self._parts_of_row), part)}
        if "common" in self.constants.shape().members:
            chosen["common"] = self.constants.common
        if "tokens" in self.config.streams:
            chosen["row"] = one_hot_select(self.tokens.rows, row)
        return chosen

    @property
    def _parts_of_row(self):
        return self.config.cols // self.config.drain

    def _walk(self, m, issue):
        """One-hot row and part of it, stepping with ``issue``, and whether they are the tile's last."""
        row = Signal(self.config.rows, init=1)
        part = Signal(self._parts_of_row, init=1)
        with m.If(issue):
            m.d.sync += part.eq(Cat(part[-1], part[:-1]))
            with m.If(part[-1]):
                m.d.sync += row.eq(Cat(row[-1], row[:-1]))
        return row, part, row[-1] & part[-1]


def _parts(word, count):
    size = len(word) // count
    return [word[i * size : (i + 1) * size] for i in range(count)]
