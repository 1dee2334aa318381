# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sums over many lanes whose products are a few gates each: ternary weights, and products of one bit.

The plain way: all bits of all lanes into one carry-save compressor, whose two rows a chunked accumulator adds. What
shares sums between outputs (tables, codes) has to be better than that.
"""

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...hdl.bit_heap import BitHeap, Term
from ...hdl.pipeline import delay
from ...hdl.shift_accumulator import ShiftAccumulator

__all__ = ["Ternary", "TernaryTree", "XnorPopcount"]


class Ternary(data.Struct):
    """A weight of 0, 1 or -1; `plus` and `minus` are never both set."""

    plus: 1
    minus: 1


class _Reduction(wiring.Component):
    """``acc <- (0 if first else acc) + sum over lanes``; subclasses say what a lane contributes.

    * Latency: ``latency`` cycles; `acc` is whole then if nothing follows, in a sum its chunks are one cycle apart.
    * Throughput: ``lanes`` products per cycle, operands in registers of their own. There is no enable: operands that
      contribute nothing leave the sum alone.
    """

    OPERAND_REGISTERS = 1
    """Ranks in front of the sum; none where operands are shared and stand in registers elsewhere."""

    def __init__(self, operands, terms, accumulator_bits, budget):
        self._heap = BitHeap(terms, width=accumulator_bits, rows=2, budget=budget, register_output=True)
        self._accumulator = ShiftAccumulator(accumulator_bits, accumulator_bits, max_shift=0, operand_rows=2)
        super().__init__({**operands, "first": In(1), "acc": Out(signed(accumulator_bits))})

    @property
    def latency(self) -> int:
        """Cycles from operands to the whole sum that includes them."""
        return self.OPERAND_REGISTERS + self._heap.latency + self._accumulator.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.heap = heap = self._heap
        m.submodules.accumulator = accumulator = self._accumulator
        activations, weights = (delay(m, operand, self.OPERAND_REGISTERS, name) for name, operand in
                                (("activations", self.activations), ("weights", self.weights)))
        for index, bits in enumerate(self._terms(activations, weights)):
            m.d.comb += heap.terms[index].eq(bits)
        m.d.comb += [
            accumulator.operand[0].eq(heap.addends[0].as_signed()),
            accumulator.operand[1].eq(heap.addends[1].as_signed()),
            accumulator.first.eq(delay(m, self.first, self.OPERAND_REGISTERS + heap.latency, "first")),
            self.acc.eq(accumulator.value),
        ]
        return m


class TernaryTree(_Reduction):
    """Sum of products of signed activations and ternary weights, and its accumulator.

    Parameters
    ----------
    lanes : int
        Products per cycle.
    bits_a : int
        Bits of an activation.
    accumulator_bits : int
        Bits of the sum, which wraps.
    budget : float
        Full-adder delays between registers.

    Members
    -------
    activations : In(ArrayLayout(signed(bits_a), lanes))
    weights : In(ArrayLayout(Ternary, lanes))
    first : In(1)
    acc : Out(signed(accumulator_bits))
    """

    def __init__(self, lanes: int = 64, bits_a: int = 8, accumulator_bits: int = 24, budget: float = 4):
        self.lanes, self.bits_a = lanes, bits_a
        # A negated activation is its complement, and the missing unit a bit of its own.
        terms = [Term(bits_a, signed=True, delay=0.5)] * lanes + [Term(1)] * lanes
        super().__init__({
            "activations": In(data.ArrayLayout(signed(bits_a), lanes)),
            "weights": In(data.ArrayLayout(Ternary, lanes)),
        }, terms, accumulator_bits, budget)

    def _terms(self, activations, weights):
        for a, weight in zip(activations, weights):
            yield (a & weight.plus.replicate(len(a))) | (~a & weight.minus.replicate(len(a)))
        yield from (weight.minus for weight in weights)


class XnorPopcount(_Reduction):
    """Number of lanes whose bits agree, and its accumulator: ``(lanes + sum of products) / 2`` for bits that mean -1 and +1.

    Parameters
    ----------
    lanes : int
        Products per cycle.
    accumulator_bits : int
        Bits of the sum, which wraps.
    budget : float
        Full-adder delays between registers.

    Members
    -------
    activations, weights : In(lanes)
    first : In(1)
    acc : Out(signed(accumulator_bits))
    """

    def __init__(self, lanes: int = 256, accumulator_bits: int = 32, budget: float = 4):
        self.lanes = lanes
        super().__init__({"activations": In(lanes), "weights": In(lanes)}, [Term(1, delay=0.5)] * lanes,
                         accumulator_bits, budget)

    def _terms(self, activations, weights):
        return (a == w for a, w in zip(activations, weights))
