# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR's processing elements: sums of INT8 activations that ternary weights select, one output each.

Two dual forms of the published algorithm (docs/rsr.md): :class:`RsrLookupPE` reads sums out of tables that all columns share
(RSR's transpose), :class:`~subbyte.pe.rsr_scatter.RsrScatterPE` adds activations into buckets of its own (RSR as published);
and what both must beat, the adder tree of :class:`TernaryTreePE`.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.rsr import RsrConfig
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from ..hdl.shift_accumulator import ShiftAccumulator
from .rsr_edge import select_layout, table_layout

__all__ = ["MuxLookupPE", "RsrLookupPE", "TernaryTreePE", "element"]


class _Element(wiring.Component):
    """Selects a term for each ``term_weights`` lanes, adds them up in a heap, and that to the accumulator.

    The sum lacks the column's offset: terms are in offset binary, complemented without a carry.

    * Latency: ``config.dot_stages`` cycles from operands to the accumulator, ``latency`` to ``captured``. Throughput: a beat
      a cycle; free-running, a beat that selects nothing changes nothing.
    * Width: ``config.accumulator_bits``, modulo 2 to that; with its offset the sum of up to ``max_k`` products fits.

    Members
    -------
    tables : In(table_layout(config))
        Of the row.
    selects : In(ArrayLayout(select_layout(config), lanes / term_weights))
        Of the column.
    first : In(1)
        The sum starts anew with the beat given ``dot_stages`` cycles ago.
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
            "selects": In(data.ArrayLayout(select_layout(config), config.lanes // config.term_weights)),
            "first": In(1),
            "capture": In(1),
            "sum": Out(signed(config.accumulator_bits)),
            "captured": Out(1),
        })
        self._heap = self._plan()
        self._accumulator = self._make_accumulator()

    @property
    def latency(self) -> int:
        """Cycles from a tile's last operands to ``captured``."""
        return self.config.dot_stages + self._accumulator.latency

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        return {
            "terms": {work.name: work.terms for work in self.config.formats_taken.values()},
            "latency_last_term_to_done": self.latency,
            "shortest_distance_of_group_ends": self._accumulator.skew + 1,
            "first_and_capture_after": self.config.dot_stages,
            "accumulator_bits": self.config.accumulator_bits,
        }

    def _plan(self) -> BitHeap:
        """The heap of all terms."""
        width = min(self.config.accumulator_bits, (255 * self.config.lanes).bit_length())
        return self._heap_of([self.config.term_bits] * (self.config.lanes // self.config.term_weights), self.config.dot_stages,
                             width=width, rows=2)

    def _heap_of(self, widths: Sequence[int], stages: int, *, width: int, **options) -> BitHeap:
        """A heap with the shortest cycle that the stages allow."""
        terms = [Term(bits, delay=self.TERM_DELAY) for bits in widths]
        budget = least_budget(terms, width, stages - 1, **options)
        return BitHeap(terms, width=width, budget=budget, register_output=True, **options)

    def _make_accumulator(self) -> ShiftAccumulator:
        """Of the heap's two addends."""
        width = self.config.accumulator_bits
        return ShiftAccumulator(width, width, max_shift=0, chunk=self.config.accumulator_chunk, operand_rows=2, capture=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.heap = self._heap
        m.submodules.accumulator = accumulator = self._accumulator
        self._add(m, accumulator)
        m.d.comb += [
            accumulator.first.eq(self.first),
            accumulator.capture.eq(self.capture),
            self.sum.eq(accumulator.result),
            self.captured.eq(accumulator.captured),
        ]
        return m

    def _add(self, m, accumulator):
        """From the operands to the accumulator's, in ``dot_stages`` cycles."""
        heap = self._heap
        for number, select in enumerate(self.selects):
            m.d.comb += heap.terms[number].eq(self._term(self.tables[number], select))
        for row in range(2):
            addend = delay(m, heap.addends[row], self.config.dot_stages - heap.latency, f"addend_{row}")
            m.d.comb += accumulator.operand[row].eq(Value.cast(addend).as_unsigned())


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


class MuxLookupPE(_Element):
    """The lookup form for FPGAs: a term's bit is a multiplexer of four and half of a bit of an adder.

    An adder's look-up table takes its carry chain's other operand and five inputs more: so eight terms are added one after
    another, each selected in the adder that adds it. Synthesis puts the operand that it must compute on the side that merges
    only if it is subtracted: ``a - ~b``, which is ``a + b + 1``; the ones are a constant.
    """

    TERM_DELAY = 0.0
    CHAIN = 8

    def _plan(self) -> BitHeap:
        terms = self.config.lanes // 2
        sizes = [min(self.CHAIN, terms - start) for start in range(0, terms, self.CHAIN)]
        self._widths = [self._chain_bits(size) for size in sizes]
        surplus = sum(max(size - 2, 0) for size in sizes)
        return self._heap_of(self._widths, self.config.dot_stages - 1, constant=-surplus,
                             width=(510 * terms).bit_length() + 1)

    def _chain_bits(self, terms: int) -> int:
        """Width of a sum of so many terms and the ones added with it."""
        return (512 * terms).bit_length()

    def _make_accumulator(self) -> ShiftAccumulator:
        return ShiftAccumulator(self.config.accumulator_bits, len(self._heap.sum), max_shift=0,
                                chunk=self.config.accumulator_chunk, capture=True)

    def _add(self, m, accumulator):
        heap = self._heap
        for number in range(len(self._widths)):
            terms = range(number * self.CHAIN, min((number + 1) * self.CHAIN, len(self.selects)))
            total = self._add_chain(m, [self._term(m, term) for term in terms], number)
            m.d.comb += heap.terms[number].eq(delay(m, total, 1, f"chain_{number}"))
        waits = self.config.dot_stages - 1 - heap.latency
        m.d.comb += accumulator.operand.eq(delay(m, heap.sum, waits, "sum"))

    def _add_chain(self, m, terms, number):
        total = terms[0]
        for index, term in enumerate(terms[1:]):
            width = self._chain_bits(index + 2)
            # Without ``keep`` synthesis makes one compressor of all of them.
            partial = Signal(width, name=f"partial_{number}_{index}", attrs={"keep": 1})
            wide = Cat(term, Const(0, width - len(term)))
            m.d.comb += partial.eq(total - ~wide if index else total + term)
            total = partial
        return total

    def _term(self, m, index):
        """A pair's term, bit by bit; the lowest and the highest need fewer inputs than the multiplexer has."""
        y, difference, x, total = (Value.cast(entry) for entry in self.tables[index])
        select = self.selects[index]
        chosen = Signal(8, name=f"chosen_{index}")
        term = Signal(9, name=f"term_{index}")
        middle = Mux(select.kind[1], Mux(select.kind[0], x, y), Mux(select.kind[0], difference, total))
        m.d.comb += [
            chosen.eq(middle),
            term.eq(Cat(
                (x[0] & select.x) ^ (y[0] & select.y) ^ select.odd,
                *(Mux(bit, select.plus, select.minus) for bit in chosen[1:]),
                (total[8] & select.total | difference[8] & select.difference) ^ select.minus,
            )),
        ]
        return term


def element(config: RsrConfig) -> RsrLookupPE | TernaryTreePE | MuxLookupPE:
    """The element of the config's form."""
    if config.form == "tree":
        return TernaryTreePE(config)
    return (MuxLookupPE if config.select == "binary" else RsrLookupPE)(config)
