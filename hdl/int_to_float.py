# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of an integer sum to binary32, exact."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import ripple_chunks
from .float_format import Float32
from .pipeline import delay

__all__ = ["IntToFloat"]

_DIGITS = 24
_BIAS = 127


class IntToFloat(wiring.Component):
    """Convert a signed integer of up to 25 bits to binary32; zero gives +0.

    * Latency: 3 cycles in which `enable` is high. Throughput: one result per such cycle; in others all state stays.
    * Legal input: all but the most negative number.

    Parameters
    ----------
    width : 2 to 25
        Bits of the integer, sign included.

    Members
    -------
    enable : In(1)
    value : In(signed(width))
    y : Out(Float32)
    """

    latency = 3

    def __init__(self, width: int):
        if width not in range(2, _DIGITS + 2):
            raise ValueError(f"width must be 2 to {_DIGITS + 1}, whose numbers binary32 holds, not {width!r}")
        self._width = width
        super().__init__({"enable": In(1), "value": In(signed(width)), "y": Out(Float32)})

    def elaborate(self, platform):
        m = Module()
        sign = self.value[-1]
        magnitude = ripple_chunks(self.value[:-1] ^ sign.replicate(self._width - 1), sign)
        magnitude = delay(m, Cat(Const(0, _DIGITS - self._width + 1), magnitude), 1, "magnitude")
        shift = []
        # The leading one to the top: by 16 and 8 places in one cycle, by 4, 2, 1 in the next.
        for places in (16, 8):
            magnitude = self._shift(m, magnitude, places, shift)
        magnitude = delay(m, magnitude, 1, "coarse")
        shift = [delay(m, bit, 1, f"by_{places}") for bit, places in zip(shift, (16, 8), strict=True)]
        for places in (4, 2, 1):
            magnitude = self._shift(m, magnitude, places, shift)
        nonzero = magnitude[-1]
        exponent = _BIAS + self._width - 2 - Cat(reversed(shift))
        m.d.comb += [
            self.y.fraction.eq(delay(m, magnitude[:-1], 1, "fraction")),
            self.y.exponent.eq(delay(m, Mux(nonzero, exponent, 0)[:8], 1, "exponent")),
            self.y.sign.eq(delay(m, sign, self.latency, "sign")),
        ]
        return EnableInserter(self.enable)(m)

    def _shift(self, m, magnitude, places, shift):
        """Shift left if the top is empty, and note it."""
        empty, shifted = Signal(name=f"empty_{places}"), Signal(len(magnitude), name=f"shifted_{places}")
        m.d.comb += [
            empty.eq(~magnitude[-places:].any()),
            shifted.eq(Mux(empty, Cat(Const(0, places), magnitude[:-places]), magnitude)),
        ]
        shift.append(empty)
        return shifted
