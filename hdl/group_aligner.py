# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Floating point to block floating point, where the exponent of a row's group is known beforehand."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.alignment import EXPONENT_BITS, MANTISSA_BITS
from .floating import Float16
from .pipeline import delay

__all__ = ["GroupAligner"]



class GroupAligner(wiring.Component):
    """Shifts the significands of a beat of binary16 numbers to the exponent of their group.

    * Latency: ``LATENCY`` cycles from ``beat`` to ``aligned``. Throughput: one beat a cycle.
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
    group_exponent : In(5)
        The largest exponent of the group, with its first beat.
    first : In(1)
        The beat is the group's first.
    exponent : Out(5)
        Of the group of this beat; combinational.
    nonfinite, too_low : Out(1)
        The beat holds an infinity or NaN; an exponent above the group's, and the result is wrong; a cycle later.
    aligned : Out(ArrayLayout(signed(12 + guard_bits), lanes))
    """

    LATENCY = 2

    def __init__(self, lanes: int, guard_bits: int):
        self._lanes, self._guard_bits = lanes, guard_bits
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, lanes)),
            "group_exponent": In(EXPONENT_BITS),
            "first": In(1),
            "exponent": Out(EXPONENT_BITS),
            "nonfinite": Out(1),
            "too_low": Out(1),
            "aligned": Out(data.ArrayLayout(signed(MANTISSA_BITS + 1 + guard_bits), lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        held = Signal.like(self.exponent, name="held", reset_less=True)
        m.d.sync += held.eq(self.exponent)
        m.d.comb += self.exponent.eq(Mux(self.first, self.group_exponent, held))
        infinite, above = [], []
        for i in range(self._lanes):
            number = self.beat[i]
            normal, finite = number.exponent.any(), ~number.exponent.all()
            exponent = Mux(normal, number.exponent, 1)
            infinite.append(~finite)
            above.append(finite & (exponent > self.exponent))
            significand = Mux(finite, Cat(number.fraction, normal), 0) << self._guard_bits + 1
            m.d.comb += self.aligned[i].eq(self._shifted(m, number.sign, significand, exponent, i))
        m.d.sync += [self.nonfinite.eq(Cat(infinite).any()), self.too_low.eq(Cat(above).any())]
        return m

    def _shifted(self, m, sign, significand, exponent, i):
        """The aligned number, two cycles later."""
        bits = MANTISSA_BITS + 1 + self._guard_bits
        shift = Signal(EXPONENT_BITS, name=f"shift_{i}")
        magnitude = Signal(bits, name=f"magnitude_{i}", reset_less=True)
        aligned = Signal(signed(bits), name=f"aligned_{i}", reset_less=True)
        m.d.comb += shift.eq(self.exponent - exponent)
        m.d.sync += magnitude.eq(significand >> shift)
        sign = delay(m, sign, 1, f"sign_{i}")
        # The bit below the unit rounds; it and the sign's unit never both carry.
        inverted = Cat(magnitude[1:] ^ sign.replicate(len(magnitude) - 1), sign)
        m.d.sync += aligned.eq(inverted + (magnitude[0] ^ sign))
        return aligned
