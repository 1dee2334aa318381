# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Finds the exponents of groups of activations, and keeps the beats until it knows them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered

from ..golden.alignment import EXPONENT_BITS
from ..golden.config import EngineConfig
from ..hdl.layouts import payload_layout
from ..hdl.pipeline import delay
from .edge import Edge

__all__ = ["Lookahead"]


class Lookahead(Edge):
    """Gives each beat the ``exponents`` of its group: for each row the largest of its finite activations, at least 1.

    * Latency: ``latency`` cycles from the last beat of a group until its first one is offered, as long as it is as the ones
      before or shorter. Throughput: a beat a cycle.
    * Size: a group of beats and a few more, in a memory with a synchronous read port.

    Parameters
    ----------
    config : EngineConfig
        Whose ``activations`` are binary16 ``data[rows][lanes]``.
    """

    gathers = True

    def __init__(self, config: EngineConfig):
        taken = payload_layout(config.streams["activations"])
        self.rows, self.lanes = config.rows, config.lanes
        self._exponents = data.ArrayLayout(EXPONENT_BITS, config.rows)
        super().__init__(taken, data.StructLayout({"data": taken["data"].shape, "exponents": self._exponents, "last": 1}),
                         config.group_beats)

    @property
    def latency(self) -> int:
        """A rank for the beat's exponents, for two levels of maxima each, for the group's; and its place in the queue."""
        return self._ranks + 2

    @property
    def _ranks(self):
        return 1 + self._levels // 2

    @property
    def _levels(self):
        return (self.lanes - 1).bit_length()

    def elaborate(self, platform):
        m = Module()
        taken = self.i.payload.shape()
        # The buffer is never full in a steady flow: a group, and what comes in while its exponents are being found.
        depth = self.depth + self.latency + 1
        m.submodules.beats = beats = SyncFIFOBuffered(width=taken.size + 1, depth=depth)
        m.submodules.exponents = exponents = SyncFIFO(width=self._exponents.size, depth=depth)
        position, ends, take = Signal(range(max(self.depth, 2))), Signal(), Signal()
        m.d.comb += [
            ends.eq(self.i.payload.last | (position == self.depth - 1)),
            take.eq(self.i.valid & beats.w_rdy),
            self.i.ready.eq(beats.w_rdy),
            beats.w_en.eq(self.i.valid),
            beats.w_data.eq(Cat(self.i.payload, ends)),
        ]
        with m.If(take):
            m.d.sync += position.eq(Mux(ends, 0, position + 1))
        self._find(m, take, ends, exponents)
        beat, group_ends = beats.r_data[:-1], beats.r_data[-1]
        of_beat = taken(beat)
        m.d.comb += [
            self.o.payload.data.eq(of_beat.data),
            self.o.payload.last.eq(of_beat.last),
            self.o.payload.exponents.as_value().eq(exponents.r_data),
            self.o.valid.eq(beats.r_rdy & exponents.r_rdy),
            beats.r_en.eq(self.o.valid & self.o.ready),
            exponents.r_en.eq(beats.r_en & group_ends),
        ]
        return m

    def _find(self, m, take, ends, exponents):
        """The exponents of the groups that came in, into their queue."""
        valid, ends = delay(m, take, self._ranks, "valid", reset=True), delay(m, ends, self._ranks, "ends")
        starts = Signal(init=1)
        so_far, highest = Signal(self._exponents, reset_less=True), Signal(self._exponents)
        for r in range(self.rows):
            of_beat = self._largest_of_beat(m, r)
            m.d.comb += highest[r].eq(Mux(starts | (of_beat > so_far[r]), of_beat, so_far[r]))
        with m.If(valid):
            m.d.sync += [so_far.eq(highest), starts.eq(ends)]
        m.d.comb += [
            exponents.w_data.eq(so_far),
            exponents.w_en.eq(delay(m, valid & ends, 1, "group", reset=True)),
        ]

    def _largest_of_beat(self, m, r):
        """Of a row's activations of the beat that came so many ranks ago."""
        values = []
        for i, number in enumerate(self.i.payload.data[r]):
            counts = number.exponent.any() & ~number.exponent.all()
            values.append(delay(m, Mux(counts, number.exponent, 1), 1, f"exponent_{r}_{i}"))
        for level in range(self._levels):
            pairs = zip(values[::2], values[1::2], strict=False)
            values = [*(Mux(a > b, a, b) for a, b in pairs), *values[len(values) // 2 * 2:]]
            values = [delay(m, value, level % 2, f"largest_{r}_{level}_{i}") for i, value in enumerate(values)]
        return values[0]
