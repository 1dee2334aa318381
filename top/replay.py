# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Repeats the activations of a group for the passes after the first."""

from amaranth.hdl import Module, Mux, ShapeLike
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Replay"]


class Replay(wiring.Component):
    """Passes a stream through and keeps what passes, to offer it again by index.

    * Latency: none; the buffer is read in the same cycle (registers or distributed memory).

    Members
    -------
    i : In(stream)
    o : Out(stream)
        In the first pass, ``i``; later, the beats that were taken from it.
    index : In(range(depth))
        Beat of the pass.
    again : In(1)
        The pass is not the first.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        self.shape = shape
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "index": In(range(depth)),
            "again": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        write = buffer.write_port()
        read = buffer.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(self.index),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            read.addr.eq(self.index),
            self.o.payload.eq(Mux(self.again, read.data, self.i.payload)),
            self.o.valid.eq(self.again | self.i.valid),
            self.i.ready.eq(~self.again & self.o.ready),
        ]
        return m
