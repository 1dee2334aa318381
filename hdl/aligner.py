# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Floating point to block floating point: aligns the activations of a row, beat by beat.

What depends on the activations alone is done here, once for all columns. The alignment is a running maximum, so no
activation waits for its group to be complete; the accumulators behind it follow each rise with a right shift. A part that
knows the whole group's maximum beforehand can take this one's place: its rises are zero.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.alignment import EXPONENT_BITS
from .floating import Float16

__all__ = ["Aligner"]



class Aligner(wiring.Component):
    """Shifts the significands of a beat of binary16 numbers to the largest exponent of the group so far.

    * Latency: 2 cycles for ``aligned``; ``alignment`` after 1.
    * Throughput: one beat a cycle. A beat held for several cycles gives the same result in each, without further rise.
    * Rounding: once, half away from zero, on the magnitude. An exponent of 31 counts as zero and is reported.

    Parameters
    ----------
    lanes : int
        Numbers per beat.
    guard_bits : int
        Bits kept below the significand.

    Members
    -------
    beat : In(ArrayLayout(Float16, lanes))
    valid : In(1)
        ``beat`` counts; otherwise everything aligned is zero and the alignment stays.
    first : In(1)
        The beat starts a group: the alignment starts from 1.
    aligned : Out(ArrayLayout(signed(12 + guard_bits), lanes))
        ``significand * 2**(guard_bits + exponent - alignment)``, rounded.
    rise : Out(5)
        By how much the alignment of this beat exceeds the one before, with ``aligned``; 0 in a group's first beat.
    alignment : Out(5)
        The largest exponent so far, at least 1.
    nonfinite : Out(1)
        The beat holds an infinity or NaN; combinational.
    """

    LATENCY = 2
    """Cycles from ``beat`` to ``aligned``."""

    def __init__(self, lanes: int, guard_bits: int):
        self.lanes = lanes
        self.guard_bits = guard_bits
        self.width = 12 + guard_bits
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, lanes)),
            "valid": In(1),
            "first": In(1),
            "aligned": Out(data.ArrayLayout(signed(self.width), lanes)),
            "rise": Out(EXPONENT_BITS),
            "alignment": Out(EXPONENT_BITS),
            "nonfinite": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        of_beat = Signal(EXPONENT_BITS)
        highest = Signal(EXPONENT_BITS)
        rise = Signal(EXPONENT_BITS)
        starts = self.valid & self.first
        exponents = []
        for i in range(self.lanes):
            special = self.beat[i].exponent.all()
            exponent = Signal(EXPONENT_BITS, name=f"exponent_{i}")
            m.d.comb += exponent.eq(Mux(self.beat[i].exponent.any() & ~special, self.beat[i].exponent, 1))
            exponents.append(exponent)
            significand = Cat(self.beat[i].fraction, self.beat[i].exponent.any()) & (self.valid & ~special).replicate(11)
            self._align_lane(m, i, self.beat[i].sign, exponent, significand)
        m.d.comb += [
            of_beat.eq(_largest(exponents)),
            # The valid signal comes late; a beat's exponents are at least 1.
            highest.eq(Mux(self.valid & (self.first | (of_beat > self.alignment)), of_beat, self.alignment)),
            self.nonfinite.eq(self.valid & Cat(self.beat[i].exponent.all() for i in range(self.lanes)).any()),
        ]
        m.d.sync += [
            self.alignment.eq(highest),
            rise.eq(Mux(starts, 0, highest - self.alignment)),
            self.rise.eq(rise),
        ]
        return m

    def _align_lane(self, m, i, sign, exponent, significand):
        """Second stage of a lane: y = magnitude >> shift and the first bit shifted out, r; then (y ^ -sign) + (r ^ sign)
        rounds and negates with one incrementer, because -(y + r) = ~y + (1 - r)."""
        late = Signal(data.StructLayout({"exponent": EXPONENT_BITS, "significand": 11, "sign": 1}), name=f"lane_{i}")
        m.d.sync += [late.exponent.eq(exponent), late.significand.eq(significand), late.sign.eq(sign)]
        shift = Signal(EXPONENT_BITS, name=f"shift_{i}")
        shifted = Signal(self.width, name=f"shifted_{i}")
        m.d.comb += [
            shift.eq(self.alignment - late.exponent),
            shifted.eq((late.significand << self.guard_bits << 1) >> shift),
        ]
        inverted = Cat(shifted[1:] ^ late.sign.replicate(self.width - 1), late.sign)
        m.d.sync += self.aligned[i].eq((inverted + (shifted[0] ^ late.sign))[: self.width])


def _largest(values):
    """Maximum of several signals, as a tree."""
    while len(values) > 1:
        merged = []
        for a, b in zip(values[::2], values[1::2], strict=False):
            merged.append(Mux(a > b, a, b))
        values = merged + values[len(merged) * 2 :]
    return values[0]
