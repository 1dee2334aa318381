# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender's last steps: sums become results, and if wanted the next layer's integers by a true division.

The published quantizer divides in binary32 and rounds the quotient to an integer, ties to even: two roundings. Multiplying
by a reciprocal gives other integers near ties. Here a long division gives the integer part, the first bit behind it and
the remainder, and these tell both roundings.
"""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..golden.tender import TenderConfig
from ..hdl.adders import carry_select_add
from ..hdl.floating import Float32, FloatScaleAdd
from ..hdl.pipeline import delay
from ..hdl.place import place
from .output_unit import OutputUnit

__all__ = ["Requantizer", "Rescale", "TenderOutput"]

SIGNIFICAND = 24


class Rescale(wiring.Component):
    """A sum's way out: times its column's scale plus its constant, and requantized if the engine does so.

    * Latency: :meth:`latency_of` the config, in cycles in which `enable` is high. Throughput: one result per such cycle.

    Members
    -------
    enable : In(1)
    integer : In(signed(accumulator_bits))
    scale, constant : In(Float32)
    divisor : In(Float32)
        If ``config.requantizes``.
    y : Out(Float32), or Out(output_bits)
    """

    @staticmethod
    def latency_of(config: TenderConfig) -> int:
        """Cycles from a sum to its result: scaled, and divided if the engine requantizes."""
        return FloatScaleAdd.LATENCY + (Requantizer.latency_of(config.output_bits) if config.requantizes else 0)

    def __init__(self, config: TenderConfig):
        self.config = config
        super().__init__({
            "enable": In(1, init=1),
            "integer": In(signed(config.accumulator_bits)),
            "scale": In(Float32),
            "constant": In(Float32),
            **({"divisor": In(Float32)} if config.requantizes else {}),
            "y": Out(config.output_bits if config.requantizes else Float32),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.scale_add = scale_add = self._scale_add()
        m.d.comb += [
            scale_add.integer.eq(self.integer),
            scale_add.scale.eq(self.scale),
            scale_add.constant.eq(self.constant),
        ]
        if self.config.requantizes:
            m.submodules.requantizer = requantizer = Requantizer(
                self.config.output_bits, is_unsigned=self.config.output.startswith("u"))
            m.d.comb += [
                requantizer.value.eq(scale_add.y),
                requantizer.divisor.eq(delay(m, self.divisor, scale_add.LATENCY, "divisor")),
                self.y.eq(requantizer.q),
            ]
        else:
            m.d.comb += self.y.eq(scale_add.y)
        return EnableInserter(self.enable)(m)

    def _scale_add(self) -> FloatScaleAdd:
        return FloatScaleAdd(self.config.accumulator_bits)


class Requantizer(wiring.Component):
    """``q = clip(rint(round(value / divisor)))``: the division rounded to binary32, then to an integer, ties to even.

    With v the exact quotient, n + h/2 its floor in halves: ``round(v)`` can only matter where it *is* n + 1/2, which happens
    within half a unit in the last place, ``2**(k - 24)`` with ``2**k <= v < 2**(k+1)``, ends included. In terms of divisor
    significand S and remainder R that is ``(R if h else S - R) <= S >> (23 - k)``; then n or n + 1 is taken, the even one,
    and otherwise n + h.

    * Latency: `latency` cycles in which `enable` is high. Throughput: one result per such cycle; in others all state stays.
    * Legal input: `value` zero or a normal number, `divisor` +0 (then the result is 0) or a positive normal number.
    * Source: Tender (ISCA 2024), section III, and the published quantizer.

    Parameters
    ----------
    bits : 4 or 8
    is_unsigned : bool
        Results from 0 to ``2**bits - 1``, negative values becoming 0; otherwise two's complement.

    Members
    -------
    enable : In(1)
        High if nothing is connected.
    value, divisor : In(Float32)
    q : Out(bits), signed unless ``is_unsigned``
    """

    def __init__(self, bits: int = 8, *, is_unsigned: bool = False):
        if bits not in (4, 8):
            raise ValueError(f"bits must be 4 or 8, not {bits!r}")
        self.bits, self.is_unsigned = bits, is_unsigned
        super().__init__({
            "enable": In(1, init=1),
            "value": In(Float32),
            "divisor": In(Float32),
            "q": Out(bits if is_unsigned else signed(bits)),
        })

    @property
    def quotient_bits(self) -> int:
        """Bits of the quotient in halves; a larger one is clipped without a division."""
        return self.bits + 2

    @staticmethod
    def latency_of(bits: int) -> int:
        """Cycles from operands to a result of so many bits: alignment, a bit of the quotient in halves each, rounding."""
        return bits + 2 + 2

    @property
    def latency(self) -> int:
        """Cycles from operands to result."""
        return self.latency_of(self.bits)

    def elaborate(self, platform):
        m = Module()
        exponent, no_quotient, huge = Signal(signed(10)), Signal(), Signal()
        m.d.comb += [
            exponent.eq(self.value.exponent - self.divisor.exponent),
            # Less than a half; RN32 of it is so too, or is a half, which is even.
            no_quotient.eq((exponent < -1) | ~self.value.exponent.any() | ~self.divisor.exponent.any()),
            huge.eq((exponent > self.bits) & ~no_quotient),
        ]
        width = SIGNIFICAND + self.quotient_bits
        dividend = Signal(width)
        m.d.comb += dividend.eq(Cat(self.value.fraction, 1) << (exponent + 1)[:4])
        dividend = delay(m, Mux(no_quotient, 0, dividend), 1, "dividend")
        divisor = delay(m, Cat(self.divisor.fraction, Const(1, 1)), 1, "divisor")
        quotient, remainder, divisor = self._divide(m, platform, dividend, divisor)
        rest = self.quotient_bits + 1
        sign = delay(m, self.value.sign, rest, "sign")
        magnitude = self._round(m, quotient, remainder, divisor)
        m.d.comb += self.q.eq(delay(m, self._clip(m, magnitude, sign, delay(m, huge, rest, "huge")), 1, "clipped"))
        return EnableInserter(self.enable)(m)

    def _divide(self, m, platform, dividend, divisor):
        """Restoring division, a bit a cycle: quotient, remainder, and the divisor that belongs to them."""
        remainder, below = dividend[self.quotient_bits:], dividend[:self.quotient_bits]
        quotient = []
        for step in range(self.quotient_bits):
            raised = Cat(below[-1], remainder)
            difference = Signal(len(raised) + 1, name=f"difference_{step}")
            one = Const(1, 1)
            m.d.comb += difference.eq(carry_select_add(
                m, Cat(one, raised, Const(0, 1)), Cat(one, ~divisor, Const(3, 2)), platform=platform)[1:])
            fits = ~difference[-1]
            kept = Mux(fits, difference, raised)[:SIGNIFICAND]
            quotient = [fits, *quotient]
            if step < self.quotient_bits - 1:
                below = delay(m, below[:-1], 1, f"below_{step}")
            remainder, divisor = delay(m, kept, 1, f"remainder_{step}"), delay(m, divisor, 1, f"divisor_{step}")
            quotient = list(delay(m, Cat(quotient), 1, f"quotient_{step}"))
        return Cat(quotient), remainder, divisor

    def _round(self, m, quotient, remainder, divisor):
        """The magnitude as an integer."""
        half, whole = quotient[0], quotient[1:]
        distance, limit, tie = Signal(SIGNIFICAND + 1), Signal(self.bits + 1), Signal()
        m.d.comb += [
            distance.eq(Mux(half, remainder, divisor - remainder)),
            tie.eq(distance <= limit),
        ]
        for leading in range(1, self.quotient_bits):  # 2**(leading - 1) <= v: the divisor's upper bits
            with m.If(quotient[leading]):
                m.d.comb += limit.eq(divisor[SIGNIFICAND - leading:])
        magnitude = Signal(self.bits + 2)
        m.d.comb += magnitude.eq(whole + Mux(tie, whole[0], half))
        return magnitude

    def _clip(self, m, magnitude, sign, huge):
        """The result with its sign, within its range."""
        if self.is_unsigned:
            largest = (1 << self.bits) - 1
            return Mux(sign, 0, Mux(huge | (magnitude > largest), largest, magnitude))[:self.bits]
        limit = Signal(self.bits, name="limit_of_sign")
        bounded = Signal(self.bits, name="bounded")
        m.d.comb += [
            limit.eq((1 << self.bits - 1) - 1 + sign),
            bounded.eq(Mux(huge | (magnitude > limit), limit, magnitude)),
        ]
        return Mux(sign, -bounded, bounded)[:self.bits]


class TenderOutput(OutputUnit):
    """Turns ``drain`` sums into results: a :class:`Rescale` each."""

    @property
    def latency(self) -> int:
        """That of a rescale."""
        return Rescale.latency_of(self.config)

    def elaborate(self, platform):
        m = Module()
        for i in range(self.config.drain):
            rescale = self._place_rescale(m, platform, f"rescale_{i}")
            m.d.comb += [
                rescale.enable.eq(self.enable),
                rescale.integer.eq(self.results[i]),
                *(getattr(rescale, name).eq(self.columns[i][name]) for name in self.columns.shape().elem_shape.members),
                self.payload.data[i].eq(rescale.y),
            ]
        overflow = Signal(self.latency, reset_less=True)
        with m.If(self.enable):
            m.d.sync += overflow.eq(Cat(self.flags.overflow, overflow[:-1]))
        m.d.comb += self.payload.overflow.eq(overflow[-1])
        return m

    def _place_rescale(self, m, platform, name):
        return place(m, platform, name, "rescale", Rescale, self.config)
