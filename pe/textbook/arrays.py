# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrays of products: what an engine's array is compared with, since operands are shared in both.

Operands stand in registers at the edges, once a row and once a column. An element multiplies with ``*`` into registers, adds a
few at a time with ``+`` into registers until one sum is left, and adds that to an accumulator in chunks: a carry chain of 32
bits would limit all. How many at a time, and whether Booth's products help, was tried (docs/synth.md).
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...hdl.pipeline import delay
from ...hdl.place import place
from ...hdl.saved_carry import chunks_of, saved_carry_sum
from .reduction import TernaryTree

__all__ = ["IntegerArray", "IntegerDot", "TernaryArray", "products_of", "ranks_of", "sum_by"]


def products_of(m, activations, weights):
    """The products of all lanes, in registers. Signals are kept, or Yosys makes of them and the sums one adder of all signs."""
    products = []
    for i, (a, w) in enumerate(zip(activations, weights, strict=True)):
        product = Signal(signed(len(a) + len(w)), name=f"product_{i}", attrs={"keep": True})
        m.d.comb += product.eq(a * w)
        products.append(delay(m, product, 1, f"product_{i}"))
    return products


def sum_by(m, operands, values):
    """Sum of the values, so many a rank of registers."""
    rank = 0
    while len(values) > 1:
        values = [delay(m, sum(values[i : i + operands]), 1, f"sum_{rank}_{i}") for i in range(0, len(values), operands)]
        rank += 1
    return values[0]


def ranks_of(operands, count):
    """Ranks of :func:`sum_by`."""
    return 0 if count == 1 else 1 + ranks_of(operands, -(-count // operands))


class IntegerDot(wiring.Component):
    """``acc <- (0 if first else acc) + sum over lanes of a * w``.

    * Latency: ``latency`` cycles; `acc` is whole then if nothing follows, in a sum its chunks are a cycle apart.
    * Throughput: ``lanes`` products a cycle; operands of zero leave the sum alone.

    Parameters
    ----------
    lanes, bits_a, bits_w, accumulator_bits : int
    operands : int
        Of each addition of products.

    Members
    -------
    activations : In(ArrayLayout(signed(bits_a), lanes))
    weights : In(ArrayLayout(signed(bits_w), lanes))
    first : In(1)
    acc : Out(signed(accumulator_bits))
    """

    def __init__(self, lanes: int, bits_a: int, bits_w: int, operands: int, accumulator_bits: int = 32):
        self._lanes, self._operands, self._width = lanes, operands, accumulator_bits
        super().__init__({
            "activations": In(data.ArrayLayout(signed(bits_a), lanes)),
            "weights": In(data.ArrayLayout(signed(bits_w), lanes)),
            "first": In(1),
            "acc": Out(signed(accumulator_bits)),
        })

    @property
    def latency(self) -> int:
        """The products, their sums, the accumulator's chunks."""
        return 1 + ranks_of(self._operands, self._lanes) + len(chunks_of(self._width))

    def elaborate(self, platform):
        m = Module()
        row = Signal(signed(self._width))
        m.d.comb += row.eq(sum_by(m, self._operands, products_of(m, self.activations, self.weights)))
        first = delay(m, self.first, 1 + ranks_of(self._operands, self._lanes), "first")
        m.d.comb += self.acc.eq(saved_carry_sum(m, [row.as_unsigned()], first)[: self._width])
        return m


class IntegerArray(wiring.Component):
    """Rows of activations times columns of weights, ``lanes`` of each a cycle.

    * Latency: ``latency`` cycles. Throughput: ``rows * cols * lanes`` products a cycle.

    Parameters
    ----------
    rows, cols : int
    dot : int
        Parameters of :class:`IntegerDot`, in its order.

    Members
    -------
    activations : In(ArrayLayout(ArrayLayout(signed(bits_a), lanes), rows))
    weights : In(ArrayLayout(ArrayLayout(signed(bits_w), lanes), cols))
    first : In(1)
        The sums start anew with these operands.
    acc : Out(ArrayLayout(ArrayLayout(signed(accumulator_bits), cols), rows))
    """

    DOT = IntegerDot

    def __init__(self, rows: int, cols: int, *dot: int):
        self._dot = dot
        unit = self.DOT(*dot)
        unit._MustUse__silence = True  # asked for its members and latency alone
        self.latency = 1 + unit.latency
        members = unit.signature.members
        super().__init__({
            "activations": In(data.ArrayLayout(members["activations"].shape, rows)),
            "weights": In(data.ArrayLayout(members["weights"].shape, cols)),
            "first": In(1),
            "acc": Out(data.ArrayLayout(data.ArrayLayout(members["acc"].shape, cols), rows)),
        })

    def elaborate(self, platform):
        m = Module()
        activations, weights = delay(m, self.activations, 1, "activations"), delay(m, self.weights, 1, "weights")
        first = delay(m, self.first, 1, "first")
        cell = "_".join([type(self).__name__, *map(str, self._dot), "dot"])
        for r, row in enumerate(activations):
            for c, column in enumerate(weights):
                dot = place(m, platform, f"dot_{r}_{c}", cell, self.DOT, *self._dot)
                m.d.comb += [dot.activations.eq(row), dot.weights.eq(column), dot.first.eq(first), self.acc[r][c].eq(dot.acc)]
        return m


class SharedTernaryTree(TernaryTree):
    """A tree whose operands stand in registers elsewhere."""

    OPERAND_REGISTERS = 0


class TernaryArray(IntegerArray):
    """Likewise for weights of -1, 0, 1: a carry-save tree (:class:`~.reduction.TernaryTree`) an element."""

    DOT = SharedTernaryTree
