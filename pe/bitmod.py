# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's processing element: bit-serial products of aligned activations, summed over a group.

BitMoD (HPCA 2025), section IV and Fig. 5, with two changes that docs/bitmod.md explains: the exponents of the activations
alone set the alignment, so that it is done once for all columns of a row, and the running maximum moves the partial sum,
so that nothing is normalised inside the loop. :class:`TermEncoder` belongs to a column, :class:`GroupMac` to a pair of row
and column, :class:`BitModPE` is one of each with the alignment and the dequantizer, as the paper draws it.
"""

from dataclasses import replace

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..dequant.bitmod import BitSerialDequantizer, Readout
from ..golden.bitmod import BitModConfig
from ..golden.bitmod.formats import code_points, terms
from ..hdl.adders import carry_select_add
from ..hdl.aligner import Aligner
from ..hdl.bit_heap import BitHeap, Term
from ..hdl.floating import Float16
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from .bitmod_special import SpecialTerms, WeightTerm, term_fields

__all__ = ["BitModPE", "GroupMac", "TermEncoder", "plane_shifts"]

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
        A :class:`~subbyte.golden.bitmod.formats.Format`.
    term : In(2)
        Number of the term, least significant first.
    special : In(ArrayLayout(ArrayLayout(SpecialTerms, 4), number of float formats))
        The special-value registers. This and the next two: if the config has formats with special values.
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
            **(self._special_members() if config.float_formats else {}),
            "terms": Out(data.ArrayLayout(WeightTerm, config.lanes)),
            "negations": Out(range(config.lanes + 1)),
        })

    def _special_members(self):
        registers = data.ArrayLayout(data.ArrayLayout(SpecialTerms, 4), len(self.config.float_formats))
        return {"special": In(registers), "selector": In(2), "load": In(1)}

    def elaborate(self, platform):
        m = Module()
        decoded = Signal(data.ArrayLayout(WeightTerm, self.config.lanes))
        special = self._special(m) if self.config.float_formats else None
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
        for i, fmt in enumerate(self.config.float_formats):
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
        one = triplet[0] ^ triplet[1]
        two = (triplet == 0b011) | (triplet == 0b100)
        negate = triplet[2] & ~triplet[:2].all()
        m.d.comb += [
            triplet.eq(Array(padded[2 * k : 2 * k + 3] for k in range(4))[self.term]),
            term.as_value().eq(Cat(one, two, Const(0, SELECT_BITS - 2), negate)),
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
        Which plane shift the term has, one-hot, or zero to add nothing; ``SHIFT_AFTER`` ``aligned``.
    rise : In(5)
        The sum is shifted right by this before the term is added (towards minus infinity); ``SUM_AFTER`` ``aligned``.
    first : In(1)
        The sum starts anew; ``SUM_AFTER`` ``aligned``.
    sum : Out(signed(accumulator_bits))
    """

    #: Cycles from ``aligned`` to the controls of the plane shift and of the sum.
    SHIFT_AFTER = 1
    SUM_AFTER = 2
    LATENCY = SUM_AFTER + 1
    """Cycles from ``aligned`` to ``sum``."""

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
            [*(Term(product_bits, signed=True) for _ in range(lanes)), negations],
            width=self.dot_bits, rows=2, register_output=True,
        )
        for i in range(lanes):
            m.d.comb += heap.terms[i].eq(self._product(self.aligned[i], self.terms[i]))
        m.d.comb += heap.terms[lanes].eq(self.negations)

        dot = Signal(signed(self.dot_bits))
        plane = Signal(signed(self.config.accumulator_bits), reset_less=True)
        m.d.comb += dot.eq(carry_select_add(m, *heap.addends, platform=platform))
        shifted = [Signal(signed(self.config.accumulator_bits), name=f"dot_{i}") for i in plane_shifts(self.config)]
        m.d.comb += [option.eq(dot << i) for option, i in zip(shifted, plane_shifts(self.config), strict=True)]
        m.d.sync += plane.eq(one_hot_select(shifted, self.shift))
        total = Signal.like(self.sum, reset_less=True)
        kept = Signal.like(total)
        m.d.comb += [kept.eq(Mux(self.first, 0, total >> self.rise)), self.sum.eq(total)]
        m.d.sync += total.eq(carry_select_add(m, kept, plane, platform=platform))
        return m

    def _product(self, aligned, term):
        """The selected multiple, ones' complement if negated: an AND-OR of four shifts."""
        width = self.config.aligned_bits + SELECT_BITS - 1
        multiple = 0
        for i in range(SELECT_BITS):
            extended = Cat(Const(0, i), aligned, aligned[-1].replicate(SELECT_BITS - 1 - i))
            multiple = multiple | (extended & term.select[i].replicate(width))
        return multiple ^ term.negate.replicate(width)


class BitModPE(wiring.Component):
    """One processing element by itself, as the paper draws it: alignment, bit-serial products, group sum, dequantizer.

    In an engine the alignment is a row's and the encoder a column's; here they are what a comparison of single
    elements must count (the paper too keeps the encoder outside).

    * Latency: ``latency`` cycles from a group's last term to ``done``.
    * Throughput: one term of ``lanes`` products a cycle; group ends keep the distance of a one-row array's
      ``config.timing.interval``.

    Members
    -------
    beat : In(ArrayLayout(Float16, lanes))
    valid, first, last : In(1)
        A term is performed; it is its group's first, last one.
    shift : In(len(plane_shifts(config)))
        Plane shift of the term, one-hot, with its beat.
    scale_code : In(scale_bits)
        With ``last``.
    terms : In(ArrayLayout(WeightTerm, lanes))
    negations : In(range(lanes + 1))
        Of the encoder, two cycles after their beat.
    product : Out(signed(product_bits))
    alignment : Out(5)
        With ``done``: the group's sum is ``product * 2**(alignment + config.exponent_bias)``.
    done : Out(1)
    """

    SUM_AFTER = Aligner.LATENCY + GroupMac.LATENCY
    """Cycles from a term to the sum that holds it."""

    def __init__(self, config: BitModConfig | None = None):
        self.config = config or BitModConfig()
        if self.config.is_dense:
            raise ValueError("form must be 'serial' for a processing element by itself, not 'dense': see --part element")
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, self.config.lanes)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "shift": In(len(plane_shifts(self.config))),
            "scale_code": In(self.config.scale_bits),
            "terms": In(data.ArrayLayout(WeightTerm, self.config.lanes)),
            "negations": In(range(self.config.lanes + 1)),
            "product": Out(signed(self.config.product_bits)),
            "alignment": Out(5),
            "done": Out(1),
        })

    @property
    def latency(self) -> int:
        """Cycles from a group's last term to ``done``."""
        return self.SUM_AFTER + 1 + BitSerialDequantizer.latency_of(self.config)

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        return {
            "terms": {fmt.name: fmt.terms for fmt in self.config.formats},
            "latency_last_term_to_done": self.latency,
            "shortest_distance_of_group_ends": replace(self.config, rows=1, cols=1, drain=1).timing.interval,
            "accumulator_bits": self.config.accumulator_bits,
        }

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.aligner = aligner = Aligner(config.lanes, config.guard_bits)
        m.submodules.mac = mac = GroupMac(config)
        m.submodules.dequant = dequant = BitSerialDequantizer(config)
        m.submodules.readout = readout = Readout(replace(config, rows=1, cols=1, drain=1), self.SUM_AFTER)
        starts = self.valid & self.first
        shift = Mux(self.valid, self.shift, 0)
        m.d.comb += [
            aligner.beat.eq(self.beat),
            aligner.valid.eq(self.valid),
            aligner.first.eq(self.first),
            mac.aligned.eq(aligner.aligned),
            mac.rise.eq(delay(m, aligner.rise, mac.SUM_AFTER, "rise")),
            mac.terms.eq(self.terms),
            mac.negations.eq(self.negations),
            mac.shift.eq(delay(m, shift, aligner.LATENCY + mac.SHIFT_AFTER, "shift", reset=True)),
            mac.first.eq(delay(m, starts, aligner.LATENCY + mac.SUM_AFTER, "first", reset=True)),
            readout.group_end.eq(self.valid & self.last),
            readout.scale_codes[0].eq(self.scale_code),
            readout.alignments[0].eq(aligner.alignment),
            dequant.sum.eq(mac.sum),
            dequant.capture.eq(readout.capture),
            dequant.first.eq(readout.first_bit),
            dequant.active.eq(readout.active),
            dequant.scale_bit.eq(readout.scale_bits[0]),
            self.product.eq(dequant.product),
            self.alignment.eq(readout.visited_alignment),
            self.done.eq(readout.visit[0]),
        ]
        return m
