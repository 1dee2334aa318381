# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Two short products in one multiplier: what the multiplier blocks of an FPGA give for operands of few bits.

The activations of two rows stand in one operand, ``(a1 << gap) + a0``, so far apart that their sums of products with the same
weights do not meet. Such a sum is parted once: its lower half has taken one from the upper half where it is negative. Y. Fu et
al., "Deep learning with INT8 optimization on Xilinx devices", WP486, 2016.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...hdl.pipeline import delay
from ...hdl.place import place
from ...hdl.saved_carry import chunks_of, saved_carry_sum
from .arrays import IntegerArray, products_of, ranks_of, sum_by

__all__ = ["PackedArray", "PackedDot"]


class PackedDot(wiring.Component):
    """Of two rows: ``acc[i] <- (0 if first else acc[i]) + sum over lanes of a_i * w``, with one multiplier a lane.

    * Latency: ``latency`` cycles; `acc` is whole then if nothing follows, in a sum its chunks are a cycle apart.
    * Throughput: ``2 * lanes`` products a cycle; operands of zero leave the sums alone.

    Parameters
    ----------
    lanes, bits_a, bits_w, operands, accumulator_bits : int
        As of :class:`~subbyte.pe.textbook.arrays.IntegerDot`.

    Members
    -------
    packed : In(ArrayLayout(signed(gap + bits_a + 1), lanes))
        ``(a1 << gap) + a0``, which a negative `a0` may bring below the range of `a1` alone.
    weights : In(ArrayLayout(signed(bits_w), lanes))
    first : In(1)
    acc : Out(ArrayLayout(signed(accumulator_bits), 2))
    """

    def __init__(self, lanes: int, bits_a: int, bits_w: int, operands: int, accumulator_bits: int = 32):
        self.gap = (lanes << bits_a + bits_w - 2).bit_length() + 1  # all operands most negative, and a sign
        self._operands, self._width = operands, accumulator_bits
        self._ranks = 2 + ranks_of(operands, lanes)  # products, their sums, the halves
        super().__init__({
            "packed": In(data.ArrayLayout(signed(self.gap + bits_a + 1), lanes)),
            "weights": In(data.ArrayLayout(signed(bits_w), lanes)),
            "first": In(1),
            "acc": Out(data.ArrayLayout(signed(accumulator_bits), 2)),
        })

    @property
    def latency(self) -> int:
        """The products, their sums, the halves, the accumulators' chunks."""
        return self._ranks + len(chunks_of(self._width))

    def elaborate(self, platform):
        m = Module()
        total = sum_by(m, self._operands, products_of(m, self.packed, self.weights))
        first = delay(m, self.first, self._ranks, "first")
        for i, half in enumerate(self._halves(total)):
            row = Signal(signed(self._width), name=f"row_{i}", reset_less=True)
            m.d.sync += row.eq(half)
            m.d.comb += self.acc[i].eq(saved_carry_sum(m, [row.as_unsigned()], first)[: self._width])
        return m

    def _halves(self, total):
        low = total[: self.gap].as_signed()
        return low, total[self.gap :].as_signed() + low[-1]


class PackedArray(IntegerArray):
    """An :class:`~subbyte.pe.textbook.arrays.IntegerArray` of an even number of rows, two of them a multiplier."""

    PAIR = PackedDot

    def __init__(self, rows: int, cols: int, *dot: int):
        if rows % 2:
            raise ValueError(f"rows must be even, not {rows}")
        super().__init__(rows, cols, *dot)
        unit = self.PAIR(*dot)
        unit._MustUse__silence = True  # asked for its latency and gap alone
        self.latency, self._gap = 2 + unit.latency, unit.gap

    def elaborate(self, platform):
        m = Module()
        activations, weights = delay(m, self.activations, 1, "activations"), delay(m, self.weights, 2, "weights")
        first = delay(m, self.first, 2, "first")
        cell = "_".join([type(self).__name__, *map(str, self._dot), "dot"])
        for r in range(0, len(activations), 2):
            packed = [delay(m, self._pack(m, r, lane, *pair), 1, f"packed_{r}_{lane}")
                      for lane, pair in enumerate(zip(activations[r], activations[r + 1]))]
            for c, column in enumerate(weights):
                dot = place(m, platform, f"dot_{r}_{c}", cell, self.PAIR, *self._dot)
                m.d.comb += [dot.packed[lane].eq(value) for lane, value in enumerate(packed)]
                m.d.comb += [dot.weights.eq(column), dot.first.eq(first)]
                m.d.comb += [self.acc[r + i][c].eq(dot.acc[i]) for i in range(2)]
        return m

    def _pack(self, m, row, lane, low, high):
        packed = Signal(signed(self._gap + len(low) + 1), name=f"pack_{row}_{lane}")
        m.d.comb += packed.eq((high << self._gap) + low)
        return packed
