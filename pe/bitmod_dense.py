# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of BitMoD's dense form: a weight of up to four bits a cycle, as a sign and one of nine shared multiples.

BitMoD (HPCA 2025) writes every data type as radix-4 Booth terms; here the same idea has radix 16. The row's edge aligns a beat
and makes the multiples, the column's edge decodes the weights, and an element selects and adds (docs/bitmod.md).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..golden.bitmod.config import (
    DENSE_EDGE_STAGES,
    DENSE_SPECIAL_MAGNITUDES,
    EXPONENT_BITS,
    FORMAT_BITS,
    SELECTOR_BITS,
)
from ..golden.bitmod.formats import Format, code_points
from ..hdl.bit_heap import BitHeap, Term
from ..hdl.floating import Float16
from ..hdl.group_aligner import GroupAligner
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, saved_carry_sum
from .bitmod_special import SpecialWrite

__all__ = ["ColumnEdge", "Element", "Leg", "Multiples", "RowEdge", "SpecialLegs"]

LEGS = (1, 2, 4, 8, 3, 6, 12)
"""Multiples that are selected in every format; the two behind them depend on it."""
FLOAT_LEGS, INTEGER_LEGS = (*LEGS, 10, 16), (*LEGS, 5, 7)


class Leg(data.Struct):
    """A decoded weight or digit: which multiple, one-hot, or none; negated or not."""

    select: len(FLOAT_LEGS)
    negate: 1


def _leg(value: int, legs=FLOAT_LEGS) -> dict[str, int]:
    return {"select": 1 << legs.index(abs(value)) if value else 0, "negate": int(value < 0)}


class Multiples(data.StructLayout):
    """An aligned activation, three times it, and the two multiples P and Q that depend on the format: 10, 16 or 5, 7."""

    def __init__(self, config: BitModConfig):
        bits = config.aligned_bits
        super().__init__({"one": signed(bits), "three": signed(bits + 2), "p": signed(bits + 4), "q": signed(bits + 4)})


class RowEdge(wiring.Component):
    """Aligns a row's beats to the exponent of the group, and makes the multiples of each activation.

    * Latency: ``DENSE_EDGE_STAGES`` cycles from ``beat`` to ``multiples``. Throughput: one beat a cycle.
    * Rounding: once, half away from zero, on the magnitude. An exponent of 31 counts as zero and is reported.

    Members
    -------
    beat : In(ArrayLayout(Float16, lanes))
    group_exponent : In(5)
        The largest exponent of the row's group, with its first beat.
    first : In(1)
        The beat is the group's first.
    integer : In(1)
        P and Q are 5 and 7 times the activation, not 10 and 16.
    exponent : Out(5)
        Of the group of this beat; combinational.
    nonfinite, too_low : Out(1)
        The beat holds an infinity or NaN; an exponent above the group's, and the result is wrong; combinational.
    multiples : Out(ArrayLayout(Multiples, lanes))
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, config.lanes)),
            "group_exponent": In(EXPONENT_BITS),
            "first": In(1),
            "integer": In(1),
            "exponent": Out(EXPONENT_BITS),
            "nonfinite": Out(1),
            "too_low": Out(1),
            "multiples": Out(data.ArrayLayout(Multiples(config), config.lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.aligner = aligner = GroupAligner(self.config.lanes, self.config.guard_bits)
        integer = delay(m, self.integer, DENSE_EDGE_STAGES - 1, "integer")
        m.d.comb += [
            aligner.beat.eq(self.beat),
            aligner.group_exponent.eq(self.group_exponent),
            aligner.first.eq(self.first),
            *(getattr(self, name).eq(getattr(aligner, name)) for name in ("exponent", "nonfinite", "too_low")),
        ]
        for i in range(self.config.lanes):
            aligned = aligner.aligned[i]
            bits = len(aligned)
            m.d.sync += [
                self.multiples[i].one.eq(aligned),
                self.multiples[i].three.eq(aligned + (aligned << 1)),
                self.multiples[i].p.eq(Mux(integer, aligned + (aligned << 2), (aligned << 3) + (aligned << 1))[:bits + 4]),
                self.multiples[i].q.eq(Mux(integer, (aligned << 3) - aligned, aligned << 4)[:bits + 4]),
            ]
        return m


class SpecialLegs(wiring.Component):
    """The special-value registers of the dense form: each holds a leg.

    Members
    -------
    write : In(SpecialWrite)
    refused : Out(1)
        The write of this cycle is not taken: no leg has the value, or the engine not the format.
    legs : Out(ArrayLayout(ArrayLayout(Leg, 4), number of float formats))
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "write": In(SpecialWrite),
            "refused": Out(1),
            "legs": Out(data.ArrayLayout(data.ArrayLayout(Leg, 4), len(config.float_formats))),
        })

    def elaborate(self, platform):
        m = Module()
        decoded, known, formats = Signal(Leg), Signal(), self.config.float_formats
        with m.Switch(self.write.value):
            for value in sorted({sign * magnitude for magnitude in DENSE_SPECIAL_MAGNITUDES for sign in (1, -1)}):
                with m.Case(value):
                    m.d.comb += [known.eq(1), decoded.eq(Leg.const(_leg(value)))]
        named = [self.write.fp4 == (fmt is Format.FP4) for fmt in formats]
        m.d.comb += self.refused.eq(self.write.enable & ~(known & Cat(named).any()))
        for i, fmt in enumerate(formats):
            for selector, value in enumerate(self.config.special_values[fmt]):
                register = Signal(Leg, name=f"{fmt.name.lower()}_{selector}", init=_leg(value))
                m.d.comb += self.legs[i][selector].eq(register)
                with m.If(self.write.enable & known & named[i] & (self.write.selector == selector)):
                    m.d.sync += register.eq(decoded)
        return m


class ColumnEdge(wiring.Component):
    """Decodes a column's weights into legs, and counts the negated ones of a group: what the elements' ones' complements lack.

    Integers of more than four bits take two cycles, a digit each, low first: ``w = 16 * high + low`` with low of -8 to 7 and
    high of -8 to 8.

    * Latency: ``DENSE_EDGE_STAGES`` cycles from ``codes`` to ``legs``. Throughput: ``lanes`` weights or digits a cycle.

    Members
    -------
    codes : In(ArrayLayout(code_bits, lanes))
    format : In(3)
    valid : In(1)
        Otherwise all legs are zero.
    high : In(1)
        The digit.
    special : In(ArrayLayout(ArrayLayout(Leg, 4), number of float formats))
        The special-value registers. This and the next two: if the config has formats with special values.
    selector : In(2)
        Which of them the group uses; taken when ``load`` is set.
    load : In(1)
        The beat is the first of its group.
    first, high_count, capture : In(1)
        The count starts anew; it counts sixteenfold; both one cycle after ``legs``. It is kept for the visits; a cycle later.
    legs : Out(ArrayLayout(Leg, lanes))
    negations : Out
        Of the group that was captured.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        registers = data.ArrayLayout(data.ArrayLayout(Leg, 4), len(config.float_formats))
        super().__init__({
            "codes": In(data.ArrayLayout(config.code_bits, config.lanes)),
            "format": In(FORMAT_BITS),
            "valid": In(1),
            "high": In(1),
            **({"special": In(registers), "selector": In(SELECTOR_BITS), "load": In(1)} if config.float_formats else {}),
            "first": In(1),
            "high_count": In(1),
            "capture": In(1),
            "legs": Out(data.ArrayLayout(Leg, config.lanes)),
            "negations": Out(range(17 * config.group_size + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        decoded = Signal(self.legs.shape())
        special = self._special(m) if self.config.float_formats else None
        for i in range(self.config.lanes):
            with m.If(self.valid), m.Switch(self.format):
                for fmt in self.config.float_formats:
                    with m.Case(fmt.value):
                        self._decode_float(m, decoded[i], self.codes[i], fmt, special)
                with m.Default():
                    self._decode_digit(m, decoded[i], self.codes[i])
        m.d.comb += self.legs.eq(delay(m, decoded, DENSE_EDGE_STAGES, "legs"))
        count = delay(m, sum(leg.negate for leg in self.legs), 1, "count")
        total, kept = Signal.like(self.negations, reset_less=True), Signal.like(self.negations, reset_less=True)
        m.d.sync += total.eq(Mux(self.first, 0, total) + Mux(self.high_count, count << 4, count))
        with m.If(self.capture):
            m.d.sync += kept.eq(total)
        m.d.comb += self.negations.eq(kept)
        return m

    def _special(self, m):
        """The leg of the group's special value."""
        group, held = Signal(Leg), Signal(Leg, reset_less=True)
        with m.If(self.load):
            for i, fmt in enumerate(self.config.float_formats):
                with m.If(self.format == fmt.value):
                    m.d.comb += group.eq(self.special[i][self.selector])
            m.d.sync += held.eq(group)
        with m.Else():
            m.d.comb += group.eq(held)
        return group

    def _decode_float(self, m, leg, code, fmt, special):
        with m.Switch(code[: fmt.bits]):
            for value, point in enumerate(code_points(fmt)):
                with m.Case(value):
                    m.d.comb += leg.eq(special if value == fmt.negative_zero else Leg.const(_leg(point)))

    def _decode_digit(self, m, leg, code):
        wide, digit = Signal(signed(8)), Signal(signed(5))
        m.d.comb += [
            wide.eq(code.as_signed()),
            digit.eq(Mux(self.high, (wide >> 4) + wide[3], wide[:4].as_signed())),
        ]
        with m.Switch(digit):
            for value in range(-8, 9):
                with m.Case(value):
                    m.d.comb += leg.eq(Leg.const(_leg(value, INTEGER_LEGS)))


class Element(wiring.Component):
    """Selects a multiple for each weight and sums them over a group; its sums leave down a chain of elements.

    The accumulator's chunks add, beside their operands, the carry that the chunk below has saved the cycle before: all work in
    the same cycle. What is captured is the chunks and the saved carries; who reads them adds up.

    * Latency: 2 cycles from ``multiples`` to the sum, another to ``below``. Throughput: ``lanes`` products a cycle.
    * Width: ``config.accumulator_bits``; the sum cannot overflow.

    Members
    -------
    multiples : In(ArrayLayout(Multiples, lanes))
    legs : In(ArrayLayout(Leg, lanes))
    high : In(1)
        The products count sixteenfold; with ``legs``.
    first : In(1)
        The sum starts anew; a cycle later.
    capture : In(1)
        The chain takes the sum; otherwise what comes from above.
    above : In(chain_bits(config.accumulator_bits))
    below : Out
        Likewise: the sum, less the negations, and above it the saved carries, which stand at the chunks' starts.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "multiples": In(data.ArrayLayout(Multiples(config), config.lanes)),
            "legs": In(data.ArrayLayout(Leg, config.lanes)),
            "high": In(1),
            "first": In(1),
            "capture": In(1),
            "above": In(chain_bits(config.accumulator_bits)),
            "below": Out(chain_bits(config.accumulator_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width = config.accumulator_bits
        product = Term(config.aligned_bits + 4, signed=True)
        m.submodules.heap = heap = BitHeap([product] * config.lanes, width=width, rows=2)
        for i in range(config.lanes):
            m.d.comb += heap.terms[i].eq(self._product(self.multiples[i], self.legs[i]))
        rows = [Signal(width, name=f"row_{i}", reset_less=True) for i in range(2)]
        m.d.sync += [row.eq(Mux(self.high, addend << 4, addend)) for row, addend in zip(rows, heap.addends, strict=True)]
        total = saved_carry_sum(m, rows, self.first)
        m.d.sync += self.below.eq(Mux(self.capture, total, self.above))
        return m

    def _product(self, multiples, leg):
        """An AND-OR of nine legs, ones' complement if negated."""
        width = self.config.aligned_bits + 4
        one, three = multiples.one, multiples.three
        chosen = 0
        values = (one, *(one.shift_left(i) for i in (1, 2, 3)), three, *(three.shift_left(i) for i in (1, 2)), multiples.p,
                  multiples.q)
        for i, value in enumerate(values):
            extended = Cat(value, value[-1].replicate(width - len(value)))
            chosen = chosen | (extended & leg.select[i].replicate(width))
        return chosen ^ leg.negate.replicate(width)
