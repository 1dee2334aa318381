# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a memory accelerator's jobs go through: the queue, words of column streams, results."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.axi_stream import Sender, beat_layout
from ..hdl.gearbox import Gearbox

__all__ = ["JobQueue", "Results", "TileWords"]

COUNTS = data.StructLayout({"m": 16, "n": 16})


class JobQueue(wiring.Component):
    """Jobs for units that each take theirs when they are done with the one before: a queue a unit, filled at once.

    Tiles of a job are counted behind its start, in ``ceil(M / rows)`` and ``ceil(N / cols)`` cycles side by side; units take
    it then.

    Parameters
    ----------
    rows, cols : int
        Of a tile.
    units : mapping of str to mapping of str to int
        Of each unit, the settings that it takes, and their bits.
    depth : int
        Jobs that may wait.

    Members
    -------
    start : In(1)
        Queue a job, unless ``full``.
    m, n : In
        Its sizes, not zero.
    settings : In(StructLayout)
    full : Out(1)
    jobs__NAME : Out(stream)
        ``settings`` and ``tiles`` (``m``, ``n``).
    """

    def __init__(self, rows: int, cols: int, units: Mapping[str, Mapping[str, int]], depth: int):
        self.rows, self.cols, self.depth = rows, cols, depth
        self.layouts = {name: data.StructLayout(settings) for name, settings in units.items()}
        with_settings = {name: layout for name, layout in self.layouts.items() if layout.size}
        payloads = {name: data.StructLayout({"tiles": COUNTS, **({"settings": layout} if layout.size else {})})
                    for name, layout in self.layouts.items()}
        super().__init__({
            "start": In(1), "m": In(16), "n": In(24), "full": Out(1),
            "settings": In(data.StructLayout(with_settings)),
            **{f"jobs__{name}": Out(stream.Signature(payload)) for name, payload in payloads.items()},
        })

    def elaborate(self, platform):
        m = Module()
        counting = Signal()
        left_m = Signal(16)
        left_n = Signal(24)
        tiles = Signal(COUNTS)
        accept = Signal()
        counted = Signal()
        rooms = []
        for name, layout in self.layouts.items():
            port = getattr(self, f"jobs__{name}")
            m.submodules[f"{name}_tiles"] = counts = fifo.SyncFIFO(width=COUNTS.size, depth=self.depth)
            m.d.comb += [counts.w_data.eq(tiles), counts.w_en.eq(counted), counts.r_en.eq(port.valid & port.ready),
                         port.payload.tiles.eq(counts.r_data), port.valid.eq(counts.r_rdy)]
            rooms.append(counts.w_rdy)
            if layout.size:
                m.submodules[f"{name}_settings"] = settings = fifo.SyncFIFO(width=layout.size, depth=self.depth)
                m.d.comb += [settings.w_data.eq(self.settings[name]), settings.w_en.eq(accept),
                             settings.r_en.eq(port.valid & port.ready), port.payload.settings.eq(settings.r_data)]
        m.d.comb += [
            self.full.eq(counting | ~Cat(rooms).all()),
            accept.eq(self.start & ~self.full),
            counted.eq(counting & (left_m <= self.rows) & (left_n <= self.cols)),
        ]
        with m.If(accept):
            m.d.sync += [counting.eq(1), left_m.eq(self.m), left_n.eq(self.n), tiles.m.eq(1), tiles.n.eq(1)]
        with m.If(counted):
            m.d.sync += counting.eq(0)
        with m.If(counting & (left_m > self.rows)):
            m.d.sync += [left_m.eq(left_m - self.rows), tiles.m.eq(tiles.m + 1)]
        with m.If(counting & (left_n > self.cols)):
            m.d.sync += [left_n.eq(left_n - self.cols), tiles.n.eq(tiles.n + 1)]
        return m


class TileWords(wiring.Component):
    """A column stream's words from its beats: tile after tile, all tiles of columns for each tile of rows.

    Parameters
    ----------
    unit, beat, sizes, hold
        As of :class:`~subbyte.hdl.gearbox.Gearbox`.
    format_bits : int
        Of what a job says of its words beside their size.

    Members
    -------
    job : In(stream)
        ``size`` in units, ``format``, ``beats`` of a tile, tiles ``m`` and ``n``.
    i : In(stream)
        Beats; ``last`` with a pass's.
    o : Out(stream)
        ``data``, ``format``, and ``last`` with a tile's last word.
    length : Out(1)
        High while words and beats of a pass do not end together; no more words come then.
    """

    def __init__(self, unit: int, beat: int, sizes: Sequence[int], hold: int = 1, format_bits: int = 0):
        self.gearbox = Gearbox(unit, beat, sizes, hold)
        formats = {"format": format_bits} if format_bits else {}
        self.job_layout = data.StructLayout({"size": range(max(sizes) + 1), **formats, "beats": 24, "tiles": COUNTS})
        super().__init__({
            "job": In(stream.Signature(self.job_layout)),
            "i": In(stream.Signature(self.gearbox.i.payload.shape())),
            "o": Out(stream.Signature(data.StructLayout({"data": unit * max(sizes), **formats, "last": 1}))),
            "length": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.gearbox = gearbox = self.gearbox
        wiring.connect(m, wiring.flipped(self.i), gearbox.i)
        job = Signal(self.job_layout)
        active = Signal()
        word = Signal(24)
        tile = Signal(16)
        row = Signal(16)
        wrong = Signal()
        last, last_tile = word + 1 == job.beats, tile + 1 == job.tiles.n
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            self.job.ready.eq(~active), gearbox.size.eq(job.size), gearbox.final.eq(last & last_tile),
            wrong.eq(gearbox.short | gearbox.surplus), self.length.eq(active & wrong),
            self.o.payload.data.eq(gearbox.o.payload), self.o.payload.last.eq(last),
            self.o.valid.eq(gearbox.o.valid & active & ~wrong), gearbox.o.ready.eq(self.o.ready & active & ~wrong),
        ]
        if "format" in self.job_layout.members:
            m.d.comb += self.o.payload.format.eq(job.format)
        with m.If(self.job.valid & ~active):
            m.d.sync += [job.eq(self.job.payload), active.eq(1), row.eq(0)]
        with m.If(taken):
            m.d.sync += word.eq(Mux(last, 0, word + 1))
            with m.If(last):
                m.d.sync += tile.eq(Mux(last_tile, 0, tile + 1))
            with m.If(last & last_tile):
                m.d.sync += [row.eq(row + 1), active.eq(row + 1 != job.tiles.m)]
        return m


class Results(wiring.Component):
    """An engine's results as beats; a job's end with ``last``.

    Members
    -------
    job : In(stream)
        Tiles ``m`` and ``n``.
    i : In(stream)
        ``data``, and ``last`` with a tile's last.
    o : Out(stream of beat_layout(bus_bytes))
    """

    def __init__(self, bits: int, bus_bytes: int):
        self.bits, self.bus_bytes = bits, bus_bytes
        self.sender = Sender(bits, bus_bytes)
        super().__init__({
            "job": In(stream.Signature(COUNTS)),
            "i": In(stream.Signature(self.sender.i.payload.shape())),
            "o": Out(stream.Signature(beat_layout(bus_bytes))),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sender = sender = self.sender
        wiring.connect(m, sender.o, wiring.flipped(self.o))
        tiles = Signal(COUNTS)
        active = Signal()
        column = Signal(16)
        ends = self.i.payload.last & (column == 1)
        at_end = ends & (tiles.m == 1)
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.job.ready.eq(~active),
            sender.i.payload.data.eq(self.i.payload.data), sender.i.payload.last.eq(at_end),
            sender.i.valid.eq(self.i.valid & active), self.i.ready.eq(sender.i.ready & active),
        ]
        with m.If(self.job.valid & ~active):
            m.d.sync += [tiles.eq(self.job.payload), column.eq(self.job.payload.n), active.eq(1)]
        with m.If(taken & self.i.payload.last):
            m.d.sync += column.eq(Mux(ends, tiles.n, column - 1))
        with m.If(taken & ends):
            m.d.sync += [tiles.m.eq(tiles.m - 1), active.eq(~at_end)]
        return m
