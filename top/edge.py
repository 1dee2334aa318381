# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands between the stream of activations and the array, once for all columns."""

from amaranth.hdl import Module, Mux, ShapeLike
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Edge", "Hold", "Replay"]


class Edge(wiring.Component):
    """Base of the edges: a stream in, a stream out, of the same beats in the same order. It counts its own beats, if it must.

    The shell takes a beat from ``o`` for each beat of each pass, and says which one it works on.

    Members
    -------
    i : In(stream)
        Of activations.
    o : Out(stream)
        For the array; its payload has ``last``, too.
    index : In(range(depth))
        Number of the beat within its pass.
    again, final : In(1)
        The pass is not the group's first; it is its last.
    """

    latency = 0
    """Cycles from the first beat offered on ``i`` until it stands on ``o``; with ``gathers``, from its group's last beat."""

    gathers = False
    """Whether it offers a group when it has the whole of it."""

    repeats = False
    """Whether it offers a group's beats again while ``again`` is set."""

    def __init__(self, taken: ShapeLike, given: ShapeLike, depth: int):
        self.depth = depth
        super().__init__({
            "i": In(stream.Signature(taken)),
            "o": Out(stream.Signature(given)),
            "index": In(range(max(depth, 2))),
            "again": In(1),
            "final": In(1),
        })


class Hold(Edge):
    """Where a group is a single beat: the stream itself holds it through all passes, and no buffer does.

    * Latency: none.
    """

    repeats = True

    def __init__(self, shape: ShapeLike):
        super().__init__(shape, shape, 1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & self.final),
        ]
        return m


class Replay(Edge):
    """Passes a group's beats through and keeps them, to offer them again in the passes after the first.

    * Latency: none; the buffer is read in the same cycle (registers or distributed memory).
    """

    repeats = True

    def __init__(self, shape: ShapeLike, depth: int):
        self.shape = shape
        super().__init__(shape, shape, depth)

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
