# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of an integer sum to binary32."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import CHUNK, ripple_chunks
from .float_format import Float32
from .pipeline import delay

__all__ = ["IntToFloat"]

_DIGITS = 24
_BIAS = 127
_LARGEST = 65
"""The leading one of what is wider would have to move further."""


class IntToFloat(wiring.Component):
    """Convert a signed integer to binary32: exact up to 25 bits, beyond that rounded, ties to even; zero gives +0.

    * Latency: :meth:`latency_of` the width, 3 or, where it rounds, 4 cycles in which `enable` is high. Throughput: one result
      per such cycle; in others all state stays.
    * Legal input: all but the most negative number.

    Parameters
    ----------
    width : 2 to 65
        Bits of the integer, sign included.
    deep : bool
        The carries of negation and rounding and the longest shift have a cycle of their own: two more of latency, or three
        where it rounds.

    Members
    -------
    enable : In(1)
    value : In(signed(width))
    y : Out(Float32)
    """

    @staticmethod
    def latency_of(width: int, deep: bool = False) -> int:
        """Cycles from an integer of so many bits to its number."""
        return 3 + 2 * deep + (width > _DIGITS + 1) * (1 + deep)

    def __init__(self, width: int, deep: bool = False):
        if width not in range(2, _LARGEST + 1):
            raise ValueError(f"width must be 2 to {_LARGEST}, not {width!r}")
        self._width, self._deep = width, deep
        super().__init__({"enable": In(1), "value": In(signed(width)), "y": Out(Float32)})

    def elaborate(self, platform):
        m = Module()
        sign = self.value[-1]
        magnitude = self._add_carry(m, self.value[:-1] ^ sign.replicate(self._width - 1), sign, "inverted")
        magnitude = delay(m, Cat(Const(0, max(_DIGITS - self._width + 1, 0)), magnitude), 1, "magnitude")
        shift = []
        # The leading one to the top: by 16 and 8 places (wide ones by 32, too) in one cycle, by 4, 2, 1 in the next.
        coarse = (16, 8) if self._width <= 33 else (32, 16, 8)
        for places in coarse:
            magnitude = self._shift(m, magnitude, places, shift)
            if self._deep and len(shift) == 1:
                magnitude, shift[0] = delay(m, magnitude, 1, "first"), delay(m, shift[0], 1, "by_first")
        magnitude = delay(m, magnitude, 1, "coarse")
        shift = [delay(m, bit, 1, f"by_{places}") for bit, places in zip(shift, coarse, strict=True)]
        for places in (4, 2, 1):
            magnitude = self._shift(m, magnitude, places, shift)
        nonzero = magnitude[-1]
        exponent = _BIAS + self._width - 2 - Cat(reversed(shift))
        number = delay(m, Cat(magnitude[:-1], Mux(nonzero, exponent, 0)[:8]), 1, "number")
        below = len(magnitude) - _DIGITS
        if below:
            # A carry out of the fraction goes on into the exponent, as it should.
            number = delay(m, self._add_carry(m, number[below:], _up(number, below), "unrounded"), 1, "rounded")
        m.d.comb += [
            Cat(self.y.fraction, self.y.exponent).eq(number),
            self.y.sign.eq(delay(m, sign, self.latency_of(self._width, self._deep), "sign")),
        ]
        return EnableInserter(self.enable)(m)

    def _add_carry(self, m, value, carry, name):
        """Value plus carry; with ``deep`` a cycle later: the carry, and which chunks hand it on, are known first."""
        ones = Cat(value[low : low + CHUNK].all() for low in range(0, len(value), CHUNK))
        value, carry, ones = (delay(m, signal, self._deep, f"{name}{suffix}") for signal, suffix in
                              ((value, ""), (carry, "_carry"), (ones, "_ones")))
        return ripple_chunks(value, carry, ones=ones)

    def _shift(self, m, magnitude, places, shift):
        """Shift left if the top is empty, and note it."""
        empty, shifted = Signal(name=f"empty_{places}"), Signal(len(magnitude), name=f"shifted_{places}")
        m.d.comb += [
            empty.eq(~magnitude[-places:].any()),
            shifted.eq(Mux(empty, Cat(Const(0, places), magnitude[:-places]), magnitude)),
        ]
        shift.append(empty)
        return shifted


def _up(number, below):
    """Whether to round up: more than half of a unit is below, or half of one and the number is odd."""
    return number[below - 1] & (number[below] | number[:below - 1].any())
