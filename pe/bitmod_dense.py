# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The parts of BitMoD's dense form: a weight of up to four bits a cycle, as a sign and one of nine shared multiples.

BitMoD (HPCA 2025) writes every data type as radix-4 Booth terms; here the same idea has radix 16. The row's edge aligns a beat
and makes the multiples, the column's edge decodes the weights, and an element selects and adds (docs/bitmod.md).
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
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
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.floating import Float16
from ..hdl.group_aligner import GroupAligner
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, chunks_of, saved_carry_sum
from .bitmod_special import SpecialWrite

__all__ = ["ColumnEdge", "Element", "Leg", "Multiples", "RowEdge", "SpecialLegs"]

LEGS = (1, 2, 4, 8, 3, 6, 12)
"""Multiples that are selected in every format; the two behind them depend on it."""
SELECTION_DELAY = 1.5
"""Of a multiple, in full-adder delays."""
FLOAT_LEGS, INTEGER_LEGS = (*LEGS, 10, 16), (*LEGS, 5, 7)


class Leg(data.Struct):
    """A decoded weight or digit: which multiple, one-hot, or none; negated or not."""

    select: len(FLOAT_LEGS)
    negate: 1


def _leg(value: int, legs=FLOAT_LEGS) -> dict[str, int]:
    return {"select": 1 << legs.index(abs(value)) if value else 0, "negate": int(value < 0)}


def _heap_bits(config: BitModConfig) -> int:
    """Of the sum of a beat's products, each with half its range too much."""
    return config.aligned_bits + 4 + (config.lanes - 1).bit_length()


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
        The beat holds an infinity or NaN; an exponent above the group's, and the result is wrong; a cycle later.
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
        for i, multiples in enumerate(self.multiples):
            aligned = aligner.aligned[i]
            one = delay(m, aligned, 1, f"one_{i}")
            three, five, seven = (self._multiple(m, aligned, one, places, less, f"{name}_{i}") for name, places, less in
                                  (("three", 1, False), ("five", 2, False), ("seven", 3, True)))
            m.d.sync += [
                multiples.one.eq(one),
                multiples.three.eq(three),
                multiples.p.eq(Mux(integer, five, five << 1)),
                multiples.q.eq(Mux(integer, seven, one << 4)),
            ]
        return m

    def _multiple(self, m, aligned, one, places, less, name):
        """``aligned << places`` plus or minus itself: the low half at once, the high half a cycle later, from ``one``."""
        half = len(aligned) // 2
        low = aligned[:half]
        shifted = Cat(Const(0, places), low)[:half]
        low = delay(m, (shifted + (~low if less else low) + less)[:half + 1], 1, name)
        high = (one << places)[half:].as_signed() + (~one if less else one)[half:].as_signed() + low[half]
        return Cat(low[:half], high[:len(aligned) + places - half + (not less)]).as_signed()


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
    """Decodes a column's weights into legs, and counts by how much the elements' sums of a group are off.

    A negated leg lacks a unit, and each product has half the range too much (:class:`Element`), in idle cycles too.

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
        Each ends in a register here, so that none need reach all columns within the cycle it acts in.
    legs : Out(ArrayLayout(Leg, lanes))
    correction : Out(accumulator_bits)
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
            "correction": Out(config.accumulator_bits),
        })

    def elaborate(self, platform):
        m = Module()
        # A digit has fewer bits than its leg, so it is the digit that waits for the row's edge.
        waits = DENSE_EDGE_STAGES - 1
        fmt, valid = delay(m, self.format, waits, "format"), delay(m, self.valid, waits, "valid")
        special = delay(m, self._special(m), waits, "special") if self.config.float_formats else None
        decoded = Signal(self.legs.shape())
        for i in range(self.config.lanes):
            digit = delay(m, self._digit(m, self.codes[i], i), waits, f"digit_{i}")
            with m.If(valid), m.Switch(fmt):
                for float_format in self.config.float_formats:
                    with m.Case(float_format.value):
                        self._decode_float(m, decoded[i], digit, float_format, special)
                with m.Default():
                    self._decode_digit(m, decoded[i], digit)
        m.d.sync += self.legs.eq(decoded)
        m.d.comb += self.correction.eq(self._count(m))
        return m

    def _count(self, m):
        """The negated legs of a group, and far above them, negative, the cycles."""
        config = self.config
        first, high, capture = (delay(m, value, 1, name) for name, value in
                                (("first", self.first), ("high_count", self.high_count), ("capture", self.capture)))
        negated = Cat(leg.negate for leg in self.legs)
        parts = [delay(m, sum(negated[i : i + 8]), 1, f"part_{i}") for i in range(0, len(negated), 8)]
        count = delay(m, sum(parts), 1, "count")
        place = _heap_bits(config) - 1
        layout = data.StructLayout({"negations": range(17 * config.group_size + 1),
                                    "cycles": max(config.accumulator_bits - place, 0)})
        total, kept = (Signal(layout, name=name, reset_less=True) for name in ("total", "kept"))
        m.d.sync += [
            total.negations.eq(Mux(first, 0, total.negations) + Mux(high, count << 4, count)),
            total.cycles.eq(Mux(first, 0, total.cycles) - Mux(high, 16, 1)),
        ]
        with m.If(capture):
            m.d.sync += kept.eq(total)
        return Cat(kept.negations, Const(0, place - len(kept.negations)), kept.cycles)

    def _digit(self, m, code, i):
        """A float's code, or the digit of an integer."""
        wide, digit = Signal(signed(8), name=f"wide_{i}"), Signal(signed(5), name=f"digit_{i}")
        is_float = Cat(self.format == fmt.value for fmt in self.config.float_formats).any()
        m.d.comb += [
            wide.eq(code.as_signed()),
            digit.eq(Mux(self.high, (wide >> 4) + wide[3], Mux(is_float, wide[:4], wide[:4].as_signed()))),
        ]
        return digit

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

    def _decode_digit(self, m, leg, digit):
        with m.Switch(digit):
            for value in range(-8, 9):
                with m.Case(value):
                    m.d.comb += leg.eq(Leg.const(_leg(value, INTEGER_LEGS)))


class Element(wiring.Component):
    """Selects a multiple for each weight and sums them over a group; its sums leave down a chain of elements.

    The accumulator's chunks add, beside their operands, the carry that the chunk below has saved the cycle before: all work in
    the same cycle. What is captured is the chunks and the saved carries; who reads them adds up.

    * Latency: ``DENSE_MAC_STAGES`` cycles from ``multiples`` to the sum, another to ``below``. Throughput: ``lanes``
      products a cycle.
    * Width: ``config.accumulator_bits``; the sum cannot overflow. A product's sign bit enters the heap inverted, as half the
      range too much: so rows are short, and no sign is extended.

    Members
    -------
    multiples : In(ArrayLayout(Multiples, lanes))
    legs : In(ArrayLayout(Leg, lanes))
    high : In(1)
        The products count sixteenfold; with ``legs``.
    first : In, a bit for each chunk of the accumulator
        The sum starts anew; a cycle later.
    capture : In(1)
        The chain takes the sum, two cycles later; otherwise what comes from above. This and the two before end in registers
        here, so that none need reach all elements within the cycle it acts in.
    above : In(chain_bits(config.accumulator_bits))
    below : Out
        Likewise: the sum less the column's ``correction``, and above it the saved carries, which stand at the chunks' starts.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "multiples": In(data.ArrayLayout(Multiples(config), config.lanes)),
            "legs": In(data.ArrayLayout(Leg, config.lanes)),
            "high": In(1),
            "first": In(len(chunks_of(config.accumulator_bits))),
            "capture": In(1),
            "above": In(chain_bits(config.accumulator_bits)),
            "below": Out(chain_bits(config.accumulator_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width, terms = _heap_bits(config), [Term(config.aligned_bits + 4, delay=SELECTION_DELAY)] * config.lanes
        # A little more than the least before its register saves a fifth of what is registered.
        budget = least_budget(terms, width, 1, rows=2) + 0.5
        m.submodules.heap = heap = BitHeap(terms, width=width, rows=2, budget=budget)
        for i in range(config.lanes):
            m.d.comb += heap.terms[i].eq(self._product(self.multiples[i], self.legs[i]))
        rows = [Signal(config.accumulator_bits, name=f"row_{i}", reset_less=True) for i in range(2)]
        high, first, capture = (delay(m, value, 1, name) for name, value in
                                (("high", self.high), ("first", self.first), ("capture", self.capture)))
        addends = delay(m, Cat(heap.addends), 1 - heap.latency, "addends")
        for row, addend in zip(rows, (addends[:width], addends[width:]), strict=True):
            m.d.sync += row.eq(Mux(high, addend << 4, addend))
        total = saved_carry_sum(m, rows, first)
        m.d.sync += self.below.eq(Mux(capture, total, self.above))
        return m

    def _product(self, multiples, leg):
        """An AND-OR of nine legs, ones' complement if negated; its sign bit inverted."""
        width = self.config.aligned_bits + 4
        one, three = multiples.one, multiples.three
        chosen = 0
        values = (one, *(one.shift_left(i) for i in (1, 2, 3)), three, *(three.shift_left(i) for i in (1, 2)), multiples.p,
                  multiples.q)
        for i, value in enumerate(values):
            extended = Cat(value, value[-1].replicate(width - len(value)))
            chosen = chosen | (extended & leg.select[i].replicate(width))
        return chosen ^ Cat(leg.negate.replicate(width - 1), ~leg.negate)
