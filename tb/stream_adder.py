# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A design for testing the test benches: it adds two streams, and misbehaves on request.

Certain values of `a` are requests for a fault, so that one build holds the good design and all its faults.
"""

import enum

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fault", "StreamAdder"]


class Fault(enum.IntEnum):
    """Values of `a` with an effect besides the sum."""

    WRONG = 0xF1
    """The sum is one too large."""
    CHANGES = 0xF2
    """The payload changes while the beat waits."""
    WITHDRAWN = 0xF3
    """The beat is withdrawn while it waits."""
    DROPPED = 0xF4
    """The beat never comes."""
    DOUBLED = 0xF5
    """The beat comes twice."""
    FLAGGED = 0xF6
    """The sum is right and `errors` counts one."""
    LEAKS = 0xF7
    """From here on what is on `a` while it is idle is added, too."""


class StreamAdder(wiring.Component):
    """Adds two streams and a constant, beat by beat. Latency one cycle, throughput one beat a cycle.

    Ready is combinational in both valids, and one port is wider than a machine word: what a driver may meet.

    Members
    -------
    a : In(stream.Signature(8))
    b : In(stream.Signature(70))
    offset : In(4)
    sums : Out(stream.Signature(71))
    errors : Out(4)
        Number of `Fault.FLAGGED` since reset.
    """

    def __init__(self):
        super().__init__({"a": In(stream.Signature(8)), "b": In(stream.Signature(70)),
                          "offset": In(4), "sums": Out(stream.Signature(71)), "errors": Out(4)})

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        waited = Signal()
        request = Signal(8)
        result = Signal(71)
        take = Signal()
        last = Signal()
        leaks = Signal()
        leaked = Signal(8)
        m.d.comb += [
            last.eq(self.sums.valid & self.sums.ready & (request != Fault.DOUBLED)),
            take.eq(self.a.valid & self.b.valid & (~full | last)),
            self.a.ready.eq(take),
            self.b.ready.eq(take),
            self.sums.valid.eq(full & ~(waited & (request == Fault.WITHDRAWN))),
            self.sums.payload.eq(result + (waited & (request == Fault.CHANGES))),
        ]
        m.d.sync += waited.eq(full & ~self.sums.ready)
        with m.If(leaks & ~self.a.valid):
            m.d.sync += leaked.eq(leaked + self.a.payload)
        with m.If(take):
            m.d.sync += [
                full.eq(self.a.payload != Fault.DROPPED),
                request.eq(self.a.payload),
                result.eq(self.a.payload + self.b.payload + self.offset + (self.a.payload == Fault.WRONG) + leaked),
                leaks.eq(leaks | (self.a.payload == Fault.LEAKS)),
                self.errors.eq(self.errors + (self.a.payload == Fault.FLAGGED)),
            ]
        with m.Elif(self.sums.valid & self.sums.ready):
            m.d.sync += [full.eq(~last), request.eq(Mux(last, request, 0))]
        return m
