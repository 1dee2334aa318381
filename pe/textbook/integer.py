# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Multiply-accumulate elements for integers: what every integer engine is compared with."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hdl.bit_heap import BitHeap, Term
from ...hdl.pipeline import delay
from ...hdl.shift_accumulator import ShiftAccumulator

__all__ = ["IntegerMac", "TunedIntegerMac"]


class IntegerMac(wiring.Component):
    """``acc <- 0 if clear else acc + a * w``, written as in a textbook: ``*``, a product register, ``+``.

    * Latency: ``latency`` cycles. Throughput: one MAC per cycle.

    Parameters
    ----------
    bits_a, bits_w : int
        Bits of the signed operands.
    accumulator_bits : int
        Bits of the sum, which wraps.

    Members
    -------
    a : In(signed(bits_a))
    w : In(signed(bits_w))
    enable : In(1)
        The operands count; otherwise `acc` keeps its value.
    clear : In(1)
        In place of adding a product, start from 0.
    a_out, w_out
        The operands a cycle later, for a neighbour in a systolic array.
    acc : Out(signed(accumulator_bits))
    """

    def __init__(self, bits_a: int, bits_w: int, accumulator_bits: int = 32):
        self.bits_a, self.bits_w, self.accumulator_bits = bits_a, bits_w, accumulator_bits
        super().__init__({
            "a": In(signed(bits_a)),
            "w": In(signed(bits_w)),
            "enable": In(1),
            "clear": In(1),
            "a_out": Out(signed(bits_a)),
            "w_out": Out(signed(bits_w)),
            "acc": Out(signed(accumulator_bits)),
        })

    @property
    def latency(self) -> int:
        """Cycles from operands to the sum that includes them: operand registers, product, accumulator."""
        return 3

    def elaborate(self, platform):
        m = Module()
        # Kept as a signal, or Yosys fuses product and sum into one wide adder that extends the signs of all rows.
        product = Signal(signed(self.bits_a + self.bits_w), attrs={"keep": True})
        acc = Signal.like(self.acc, reset_less=True)
        m.d.comb += [
            self.a_out.eq(delay(m, self.a, 1, "a")),
            self.w_out.eq(delay(m, self.w, 1, "w")),
            product.eq(self.a_out * self.w_out),
            self.acc.eq(acc),
        ]
        enable, clear = delay(m, self.enable, 2, "enable"), delay(m, self.clear, 2, "clear")
        late = delay(m, product, 1, "product")
        # Cleared behind the adder, not before it: the loop is the critical path.
        with m.If(clear):
            m.d.sync += acc.eq(0)
        with m.Elif(enable):
            m.d.sync += acc.eq(acc + late)
        return m


class TunedIntegerMac(IntegerMac):
    """The same, written for speed: the product's bits in a compressor with registers, the accumulator in skewed chunks.

    Signs follow C. R. Baugh and B. A. Wooley, "A two's complement parallel array multiplication algorithm", IEEE Trans.
    Computers C-22(12), 1973: products of a sign bit and another enter inverted, and a constant makes up for it.

    `acc` is whole ``latency`` cycles after the operands if none follow; in a sum its chunks are one cycle apart.

    Parameters
    ----------
    bits_a, bits_w, accumulator_bits
        As in :class:`IntegerMac`.
    budget : float or None
        Full-adder delays between registers of the product (:class:`~subbyte.hdl.bit_heap.BitHeap`).
    """

    def __init__(self, bits_a: int, bits_w: int, accumulator_bits: int = 32, *, budget: float | None = None):
        super().__init__(bits_a, bits_w, accumulator_bits)
        rows = [Term(bits_a, weight=row, delay=0.5) for row in range(bits_w)]
        constant = -sum(1 << i + row for row in range(bits_w) for i in range(bits_a) if self._is_negative(i, row))
        self._product = BitHeap(rows, width=bits_a + bits_w, constant=constant, budget=budget, register_output=True)
        self._accumulator = ShiftAccumulator(accumulator_bits, bits_a + bits_w, max_shift=0)

    def _is_negative(self, i, row):
        return (i == self.bits_a - 1) != (row == self.bits_w - 1)

    @property
    def latency(self) -> int:
        """Cycles from operands to the whole sum that includes them."""
        return 1 + self._product.latency + self._accumulator.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.product = product = self._product
        m.submodules.accumulator = accumulator = self._accumulator
        a, w = delay(m, self.a, 1, "a"), delay(m, self.w, 1, "w")
        for row in range(self.bits_w):
            bits = ((a[i] & w[row]) ^ self._is_negative(i, row) for i in range(self.bits_a))
            m.d.comb += product.terms[row].eq(Cat(bits))
        enable = delay(m, self.enable & ~self.clear, 1 + product.latency, "enable")
        m.d.comb += [
            self.a_out.eq(a),
            self.w_out.eq(w),
            accumulator.operand.eq(product.sum & enable.replicate(product.width)),
            accumulator.first.eq(delay(m, self.clear, 1 + product.latency, "clear")),
            self.acc.eq(accumulator.value),
        ]
        return m
