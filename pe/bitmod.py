# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's processing element: bit-serial products of aligned activations, summed over a group.

BitMoD (HPCA 2025), section IV and Fig. 5, with two changes that docs/bitmod.md explains: the exponents of the activations
alone set the alignment, so that it is done once for all columns of a row, and the running maximum moves the partial sum,
so that nothing is normalised inside the loop. :class:`TermEncoder` belongs to a column, :class:`GroupMac` to a pair of row
and column, :class:`BitModPE` is one of each with the alignment and the dequantizer, as the paper draws it.
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..golden.formats import code_points, terms
from ..hdl.bit_heap import BitHeap, Term
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from .special import SpecialTerms, WeightTerm, float_formats, term_fields

__all__ = ["GroupMac", "TermEncoder", "plane_shifts"]

SELECT_BITS = 4

def plane_shifts(config: BitModConfig) -> tuple[int, ...]:
    """The shifts that whole dot products can need, by the formats: Booth digits 0, 2, 4, 6, floating point 0, 1."""
    shifts = {0}
    for fmt in config.formats:
        shifts |= {0, 1} if fmt.is_float else set(range(0, 2 * fmt.terms, 2))
    return tuple(sorted(shifts))


class TermEncoder(wiring.Component):
    """Decodes a column's weights into the terms of one cycle: Booth digits of integers, two terms of FP4 and FP3.

    * Latency: 2 cycles, as the aligner. Throughput: one term of ``lanes`` weights a cycle.
    * Source: BitMoD section IV-A and Fig. 4; the special value replaces the code of negative zero.

    Members
    -------
    codes : In(ArrayLayout(code_bits, lanes))
    format : In(3)
        A :class:`~subbyte.golden.formats.Format`.
    term : In(2)
        Number of the term, least significant first.
    special : In(ArrayLayout(ArrayLayout(SpecialTerms, 4), number of float formats))
        The special-value registers.
    selector : In(2)
        Which of them the group uses; taken when ``load`` is set.
    load : In(1)
        The term is the first of its group.
    terms : Out(ArrayLayout(WeightTerm, lanes))
    negations : Out(range(lanes + 1))
        How many terms are negated: what the ones' complements in :class:`GroupMac` lack.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "codes": In(data.ArrayLayout(config.code_bits, config.lanes)),
            "format": In(3),
            "term": In(2),
            "special": In(data.ArrayLayout(data.ArrayLayout(SpecialTerms, 4), len(float_formats(config)))),
            "selector": In(2),
            "load": In(1),
            "terms": Out(data.ArrayLayout(WeightTerm, config.lanes)),
            "negations": Out(range(config.lanes + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        decoded = Signal(data.ArrayLayout(WeightTerm, self.config.lanes))
        special = self._special(m)
        for i in range(self.config.lanes):
            with m.Switch(self.format):
                for fmt in self.config.formats:
                    with m.Case(fmt.value):
                        if fmt.is_float:
                            self._decode_float(m, decoded[i], self.codes[i], fmt, special)
                        else:
                            self._decode_booth(m, decoded[i], self.codes[i])
        early = delay(m, decoded, 1, "decoded")
        m.d.comb += [
            self.terms.eq(delay(m, early, 1, "terms")),
            self.negations.eq(delay(m, sum(early[i].negate for i in range(self.config.lanes)), 1, "negations")),
        ]
        return m

    def _special(self, m):
        """The term of the group's special value that this cycle needs; registers may not change within a group."""
        group = Signal(SpecialTerms)
        held = Signal(SpecialTerms, reset_less=True)
        for i, fmt in enumerate(float_formats(self.config)):
            with m.If(self.format == fmt.value):
                m.d.comb += group.as_value().eq(Array(terms.as_value() for terms in self.special[i])[self.selector])
        with m.If(self.load):
            m.d.sync += held.eq(group)
        with m.Else():
            m.d.comb += group.eq(held)
        return Mux(self.term[0], group.high, group.low)

    def _decode_booth(self, m, term, code):
        """Radix-4 Booth digit of the triplet b(2k+1) b(2k) b(2k-1); integers are sign-extended in their slot."""
        padded = Cat(Const(0, 1), code, code[-1].replicate(9 - len(code)))
        triplet = Signal(3)
        m.d.comb += [
            triplet.eq(Array(padded[2 * k : 2 * k + 3] for k in range(4))[self.term]),
            term.select[0].eq(triplet[0] ^ triplet[1]),
            term.select[1].eq((triplet == 0b011) | (triplet == 0b100)),
            term.negate.eq(triplet[2] & ~triplet[:2].all()),
        ]

    def _decode_float(self, m, term, code, fmt, special):
        with m.Switch(code[: fmt.bits]):
            for value, point in enumerate(code_points(fmt)):
                with m.Case(value):
                    if value == fmt.negative_zero:
                        m.d.comb += term.eq(special)
                    else:
                        low, high = (WeightTerm.const(term_fields(*t[:3])) for t in terms(point, fmt))
                        m.d.comb += term.eq(Mux(self.term[0], high, low))


class GroupMac(wiring.Component):
    """Multiplies aligned activations by one term of each weight and adds them to the group's partial sum.

    The products are ones' complements; ``negations`` brings the missing ones, so a column counts them once for its rows.

    * Latency: 3 cycles from ``aligned`` to ``sum``. Throughput: one term of ``lanes`` products a cycle.
    * Width: ``config.accumulator_bits``; the sum cannot overflow for any codes and activations.

    Members
    -------
    aligned : In(ArrayLayout(signed(aligned_bits), lanes))
    terms : In(ArrayLayout(WeightTerm, lanes))
    negations : In(range(lanes + 1))
    shift : In(len(plane_shifts(config)))
        Which plane shift the term has, one-hot, or zero to add nothing; one cycle after ``aligned``.
    rise : In(5)
        The sum is shifted right by this before the term is added (towards minus infinity); two cycles after ``aligned``.
    first : In(1)
        The sum starts anew; two cycles after ``aligned``.
    sum : Out(signed(accumulator_bits))
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "aligned": In(data.ArrayLayout(signed(config.aligned_bits), config.lanes)),
            "terms": In(data.ArrayLayout(WeightTerm, config.lanes)),
            "negations": In(range(config.lanes + 1)),
            "shift": In(len(plane_shifts(config))),
            "rise": In(5),
            "first": In(1),
            "sum": Out(signed(config.accumulator_bits)),
        })

    @property
    def dot_bits(self) -> int:
        """Width of the dot product of one term."""
        return (self.config.max_aligned * 8 * self.config.lanes).bit_length() + 1

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.lanes
        product_bits = self.config.aligned_bits + SELECT_BITS - 1
        negations = Term(len(self.negations))
        m.submodules.heap = heap = BitHeap(
            [*(Term(product_bits, signed=True) for _ in range(lanes)), negations], width=self.dot_bits, rows=2, register_output=True
        )
        for i in range(lanes):
            m.d.comb += heap.terms[i].eq(self._product(self.aligned[i], self.terms[i]))
        m.d.comb += heap.terms[lanes].eq(self.negations)

        dot = Signal(signed(self.dot_bits))
        plane = Signal(signed(self.config.accumulator_bits), reset_less=True)
        m.d.comb += dot.eq((heap.addends[0] + heap.addends[1])[: self.dot_bits])
        shifted = [Signal(signed(self.config.accumulator_bits), name=f"dot_{i}") for i in plane_shifts(self.config)]
        m.d.comb += [option.eq(dot << i) for option, i in zip(shifted, plane_shifts(self.config), strict=True)]
        m.d.sync += plane.eq(one_hot_select(shifted, self.shift))
        total = Signal.like(self.sum, reset_less=True)
        m.d.sync += total.eq(Mux(self.first, 0, total >> self.rise) + plane)
        m.d.comb += self.sum.eq(total)
        return m

    def _product(self, aligned, term):
        """The selected multiple, ones' complement if negated: an AND-OR of four shifts."""
        width = self.config.aligned_bits + SELECT_BITS - 1
        multiple = 0
        for i in range(SELECT_BITS):
            extended = Cat(Const(0, i), aligned, aligned[-1].replicate(SELECT_BITS - 1 - i))
            multiple = multiple | (extended & term.select[i].replicate(width))
        return multiple ^ term.negate.replicate(width)
