# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The toy's processing element: a dot product, an accumulator, and a register that keeps finished sums."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.toy import ToyConfig
from ..hdl.pipeline import delay

__all__ = ["ToyPE"]


class ToyPE(wiring.Component):
    """Sums products over the beats of a tile.

    * Latency: ``LATENCY`` cycles from a tile's last beat to ``sum``. Throughput: a beat of ``lanes`` products a cycle.

    Members
    -------
    activations, codes : In(ArrayLayout(signed(8), lanes))
    valid, first, last : In(1)
        There is a beat; it is the tile's first, its last.
    sum : Out(signed(32))
        Of the last finished tile.
    """

    LATENCY = 3

    def __init__(self, config: ToyConfig | None = None):
        self.config = config or ToyConfig()
        operands = data.ArrayLayout(signed(8), self.config.lanes)
        super().__init__({
            "activations": In(operands), "codes": In(operands),
            **{name: In(1) for name in ("valid", "first", "last")},
            "sum": Out(signed(32)),
        })

    def describe(self):
        """Figures for the manifest, in cycles."""
        return {"terms": {"INT8": 1}, "latency_last_term_to_done": self.LATENCY, "shortest_distance_of_group_ends": 1}

    def elaborate(self, platform):
        m = Module()
        dot, total = Signal(signed(32), reset_less=True), Signal(signed(32), reset_less=True)
        first = delay(m, self.valid & self.first, 1, "first", reset=True)
        valid = delay(m, self.valid, 1, "valid", reset=True)
        last = delay(m, self.valid & self.last, 2, "last", reset=True)
        m.d.sync += dot.eq(sum(a * w for a, w in zip(self.activations, self.codes, strict=True)))
        with m.If(valid):
            m.d.sync += total.eq(Mux(first, 0, total) + dot)
        with m.If(last):
            m.d.sync += self.sum.eq(total)
        return m
