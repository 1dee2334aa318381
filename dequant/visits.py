# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Turns of a column's rows before its dequantizers, and the running exponents of their sums in fixed point."""

from math import ceil

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.alignment import EXPONENT_BITS
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select

__all__ = ["Visits", "relay", "repeat", "shares"]


def shares(rows: int, dequantizers: int) -> list[range]:
    """The rows that each dequantizer of a column serves."""
    each = ceil(rows / min(dequantizers, rows))
    return [range(start, min(start + each, rows)) for start in range(0, rows, each)]


def repeat(m: Module, begin: Value, count: int) -> Value:
    """``begin``, and it again in each of the ``count - 1`` cycles that follow: a bit for each."""
    line = [begin]
    for i in range(1, count):
        line.append(delay(m, line[-1], 1, f"turn_{i}", reset=True))
    return Cat(line)


def relay(m: Module, facts: data.View, end: Value, wait: int, interval: int) -> data.View:
    """``facts``, there from the cycle after ``end`` on, ``wait`` cycles later; ends keep a distance of ``interval``.

    They move on as often as it takes, so that none of two groups that are waiting overtakes the other.
    """
    waited = 0
    for move in [*range(interval, wait, interval), wait]:
        end, waited = delay(m, end, move - waited, f"end_{waited}", reset=True), move
        moved = Signal(facts.shape(), name=f"after_{waited}", reset_less=True)
        with m.If(end):
            m.d.sync += moved.eq(facts)
        facts = moved
    return facts


class Visits(wiring.Component):
    """Whose turn it is, and the running exponents of the rows: once for all columns.

    Parameters
    ----------
    rows : int
        That take turns, of those of the array.
    read_stage : int
        Cycles from a row's turn until its sum is read.

    Members
    -------
    begin : In(1)
        The sums are captured in this cycle; the first row's turn is the next.
    exponents : In(ArrayLayout(5, rows))
        Of the groups; they and the next stay from the cycle after ``begin`` until all rows had their turn.
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile.
    visit : Out(1)
        It is the first row's turn; the others follow.
    lower : Out(5)
        How far the group's exponent is below the running one; ``read_stage`` cycles after a row's turn.
    rise : Out(5)
        How far the running exponent rises; a cycle later.
    finished : Out(ArrayLayout(5, rows))
        The running exponents at the end of the last tile.
    """

    def __init__(self, rows: int, read_stage: int):
        self.rows, self.read_stage = rows, read_stage
        super().__init__({
            "begin": In(1),
            "exponents": In(data.ArrayLayout(EXPONENT_BITS, rows)),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "visit": Out(1),
            "lower": Out(EXPONENT_BITS),
            "rise": Out(EXPONENT_BITS),
            "finished": Out(data.ArrayLayout(EXPONENT_BITS, rows)),
        })

    def elaborate(self, platform):
        m = Module()
        line = repeat(m, self.begin, self.rows + 2)
        visit, late = line[1:-1], line[2:]
        running, finished = (Signal(self.finished.shape(), name=name, reset_less=True) for name in ("running", "ended"))
        own, before, risen = (Signal(EXPONENT_BITS, name=name, reset_less=True) for name in ("own", "before", "risen"))
        m.d.comb += [
            self.visit.eq(visit[0]),
            risen.eq(Mux(own > before, own, before)),
            self.lower.eq(delay(m, (risen - own)[:EXPONENT_BITS], self.read_stage - 1, "lower")),
            self.rise.eq(delay(m, (risen - before)[:EXPONENT_BITS], self.read_stage, "rise")),
            self.finished.eq(finished),
        ]
        m.d.sync += [
            own.eq(one_hot_select(self.exponents, visit)),
            before.eq(one_hot_select([Mux(self.starts_tile, new, old) for new, old in
                                      zip(self.exponents, running, strict=True)], visit)),
        ]
        last = delay(m, self.ends_tile, 1, "last")
        for row in range(self.rows):
            with m.If(late[row]):
                m.d.sync += running[row].eq(risen)
                with m.If(last):
                    m.d.sync += finished[row].eq(risen)
        return m
