# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR's processing elements: sums of INT8 activations that ternary weights select, one output each.

Two dual forms of the published algorithm (docs/rsr.md): :class:`RsrLookupPE` reads sums out of tables that all columns share
(RSR's transpose), :class:`~subbyte.pe.rsr_scatter.RsrScatterPE` adds activations into buckets of its own (RSR as published);
and what both must beat, the adder tree of :class:`TernaryTreePE`.
"""

from itertools import count

from amaranth.hdl import Cat, Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.rsr import RsrConfig
from ..hdl.bit_heap import BitHeap, Term, plan_heap
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from ..hdl.shift_accumulator import ShiftAccumulator
from .rsr_edge import select_layout, table_layout

__all__ = ["RsrLookupPE", "TernaryTreePE", "element"]


class _Element(wiring.Component):
    """Selects a term for each group of lanes, adds them up in a heap, and that to the accumulator.

    The sum lacks the column's offset: terms are in offset binary, complemented without a carry.

    * Latency: ``config.sum_stages`` cycles from operands to the accumulator, ``latency`` to ``captured``. Throughput: a beat
      a cycle; free-running, a beat that selects nothing changes nothing.
    * Width: ``config.accumulator_bits``, modulo 2 to that; with its offset the sum of up to ``max_k`` products fits.

    Members
    -------
    tables : In(table_layout(config))
        Of the row.
    selects : In(ArrayLayout(select_layout(config), lanes / group))
        Of the column.
    first : In(1)
        The sum starts anew with the beat given ``sum_stages`` cycles ago.
    capture : In(1)
        That beat is the sum's last; at least ``skew + 1`` cycles from one to the next.
    sum : Out(signed(accumulator_bits))
        The captured sum, until 2 cycles after the next ``capture``.
    captured : Out(1)
        High for one cycle: the sum is there.
    """

    TERM_DELAY: float
    """Delay of a select, in full adders."""

    def __init__(self, config: RsrConfig):
        self.config = config
        super().__init__({
            "tables": In(table_layout(config)),
            "selects": In(data.ArrayLayout(select_layout(config), config.lanes // config.group)),
            "first": In(1),
            "capture": In(1),
            "sum": Out(signed(config.accumulator_bits)),
            "captured": Out(1),
        })
        width = config.accumulator_bits
        self._accumulator = ShiftAccumulator(width, width, max_shift=0, chunk=config.chunk, operand_rows=2, capture=True)
        self._heap = self._plan()

    @property
    def latency(self) -> int:
        """Cycles from a tile's last operands to ``captured``."""
        return self.config.sum_stages + self._accumulator.latency

    def _plan(self) -> BitHeap:
        """The heap with the shortest cycle that the stages allow."""
        config = self.config
        terms = [Term(config.term_bits, delay=self.TERM_DELAY)] * (config.lanes // config.group)
        width = min(config.accumulator_bits, (255 * config.lanes).bit_length())
        budgets = (step / 2 for step in count(3))
        budget = next(budget for budget in budgets
                      if plan_heap(terms, width, rows=2, budget=budget).registers < config.sum_stages)
        return BitHeap(terms, width=width, rows=2, budget=budget, register_output=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.heap = heap = self._heap
        m.submodules.accumulator = accumulator = self._accumulator
        for group, select in enumerate(self.selects):
            m.d.comb += heap.terms[group].eq(self._term(self.tables[group], select))
        waits = self.config.sum_stages - heap.latency
        for row in range(2):
            addend = delay(m, heap.addends[row], waits, f"addend_{row}")
            m.d.comb += accumulator.operand[row].eq(Value.cast(addend).as_unsigned())
        m.d.comb += [
            accumulator.first.eq(self.first),
            accumulator.capture.eq(self.capture),
            self.sum.eq(accumulator.result),
            self.captured.eq(accumulator.captured),
        ]
        return m


class RsrLookupPE(_Element):
    """One output of the lookup form: each ``mu`` weights select a sum out of a table that all columns share.

    Source: the transpose of RSR (arXiv 2411.06360, section 3), with sign-folded ternary codes.
    """

    TERM_DELAY = 1.5

    def _term(self, table, select):
        return one_hot_select(table, select.index) ^ select.sign.replicate(self.config.term_bits)


class TernaryTreePE(_Element):
    """One output of the tree form, without sharing: each weight passes an activation, its complement, or nothing."""

    TERM_DELAY = 0.5

    def _term(self, table, select):
        return Cat(Mux(bit, select.plus, select.minus) for bit in Value.cast(table[0]))


def element(config: RsrConfig) -> RsrLookupPE | TernaryTreePE:
    """The element of the config's form."""
    return (RsrLookupPE if config.form == "lookup" else TernaryTreePE)(config)
