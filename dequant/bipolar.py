# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT's last steps: scale codes of groups; constants and corrections minus twice the sum, halved or scaled."""

from itertools import accumulate

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bipolar import BipolarConfig
from ..golden.bipolar.config import DEQUANT_STAGES
from ..hdl.adders import add_chunks, carry_select_add, ripple_chunks
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.chunk_accumulator import resolved
from ..hdl.layouts import payload_layout
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from .scaled_output import ScaledOutput

__all__ = ["BipolarOutput", "GroupDequantizer"]


class GroupDequantizer(wiring.Component):
    """A column's: group sums times the group's scale code, added over the groups of a tile; exact, a row a cycle.

    * Latency: ``LATENCY`` cycles from ``visit`` to ``sums``. Throughput: a row a cycle.

    Members
    -------
    partials : In(ArrayLayout(config.partial, rows))
        The column's sums.
    visit : In(rows)
        Whose turn it is, one-hot or none.
    scale_code : In(scale_bits)
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile. They and the code from the cycle after the first row's visit on until
        the cycle after the last one's.
    sums : Out(ArrayLayout(config.result, rows))
        Of the last finished tile, until the next one's.
    """

    LATENCY = DEQUANT_STAGES

    def __init__(self, config: BipolarConfig):
        self.config = config
        super().__init__({
            "partials": In(data.ArrayLayout(payload_layout(config.partial), config.rows)),
            "visit": In(config.rows),
            "scale_code": In(config.scale_bits),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "sums": Out(data.ArrayLayout(payload_layout(config.result), config.rows)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        chosen = Signal(payload_layout(config.partial), reset_less=True)
        m.d.sync += chosen.eq(one_hot_select(self.partials, self.visit))
        product = self._multiply(m, chosen)
        visit = Signal(config.rows)
        m.d.comb += visit.eq(delay(m, self.visit, self.LATENCY - 1, "turn", reset=True))
        starts, ends = (delay(m, value, 3, name) for name, value in (("starts", self.starts_tile), ("ends", self.ends_tile)))
        self._accumulate(m, product, visit, starts, ends)
        return m

    def _multiply(self, m, chosen) -> Value:
        """The sum and each of its waiting carries times each bit of the code, in one heap."""
        config = self.config
        numbers = [(chosen.sum, 0)]
        if len(config.chunks) > 1:
            numbers += zip(chosen.carries, accumulate(config.chunks))
        operands = [(number & bit.replicate(len(number)), start + place)
                    for number, start in numbers for place, bit in enumerate(self.scale_code)]
        terms = [Term(len(operand), weight=weight, delay=0.5) for operand, weight in operands]
        width = config.accumulator_bits + config.scale_bits
        m.submodules.heap = heap = BitHeap(terms, width=width, register_output=True, budget=least_budget(terms, width, 2))
        m.d.comb += [heap.terms[number].eq(operand) for number, (operand, _) in enumerate(operands)]
        return delay(m, heap.sum, self.LATENCY - 2 - heap.latency, "product")

    def _accumulate(self, m, product, visit, starts, ends):
        """Running sums of the rows in chunks, and copies of those of a finished tile for the drain."""
        layout = data.ArrayLayout(payload_layout(self.config.result), self.config.rows)
        running, finished = (Signal(layout, name=name, reset_less=True) for name in ("running", "finished"))
        before = Signal(layout.elem_shape)
        joined, carry, carries, start = Signal(layout.elem_shape), Const(0, 1), [], 0
        m.d.comb += [Value.cast(before).eq(Mux(starts, 0, one_hot_select(running, visit))), self.sums.eq(finished)]
        for number, size in enumerate(self.config.result_chunks):
            part = slice(start, start + size)
            total = Signal(size + 1, name=f"total_{number}")
            m.d.comb += [total.eq(before.sum[part] + product[part] + carry), joined.sum[part].eq(total)]
            carries.append(total[size])
            carry, start = before.carries[number] if number < len(self.config.result_chunks) - 1 else None, part.stop
        if len(carries) > 1:
            m.d.comb += joined.carries.eq(Cat(carries[:-1]))
        for row in range(self.config.rows):
            with m.If(visit[row]):
                m.d.sync += running[row].eq(joined)
            with m.If(visit[row] & ends):
                m.d.sync += finished[row].eq(joined)


class BipolarOutput(ScaledOutput):
    """Makes products of ``drain`` sums: the addends of column and row less twice the sum; then halved, or scaled.

    Arithmetic is modulo ``2**total_bits``, which every product of a legal K fits, with all that its halvings take away.
    """

    @property
    def latency(self) -> int:
        """Operands and resolved carries, their sum in two, halved; then its scale."""
        return 3 + (self._scale_latency if self.config.has_scales else 0)

    def elaborate(self, platform):
        m = Module()
        overflows, row = [], self._register(m, self.row.addend, "row")
        if self.config.has_scales:
            row_scale = delay(m, self.row.scale, 1, "row_scale")
        for i in range(self.config.drain):
            total = self._total(m, platform, i, row)
            if not self.config.has_scales:
                m.d.comb += self.payload.data[i].eq(total)
                continue
            column_scale = delay(m, self.columns[i].scale, 1, f"column_scale_{i}")
            scale = self._multiply_scales(m, platform, f"scale_{i}", column_scale, row_scale, 2)
            y, overflow = self._scale(m, platform, i, total, scale)
            m.d.comb += self.payload.data[i].eq(y)
            overflows.append(overflow)
        if self.config.has_scales:
            m.d.comb += self.payload.overflow.eq(Cat(overflows).any())
        return EnableInserter(self.enable)(m)

    def _register(self, m, value, name) -> Value:
        """All bits of a number, a cycle later."""
        return delay(m, _extended(value, self.config.total_bits), 1, name)

    def _total(self, m, platform, index, row) -> Value:
        """The product of integers: column + row - twice, the last as its complement and 1; halved unless its scale does it."""
        column = self._register(m, self.columns[index].addend, f"column_{index}")
        parts = (_extended(part, self.config.total_bits) for part in resolved(self.results[index], self.config.result_chunks))
        twice = delay(m, Cat(Const(0, 1), carry_select_add(m, *parts, platform=platform)[:-1]), 1, f"twice_{index}")
        carries = column & row | (column ^ row) & ~twice
        chunks = add_chunks(column ^ row ^ ~twice, Cat(Const(1, 1), carries[:-1]), Const(0, 1))
        chunks = {name: delay(m, value, 1, f"{name}_{index}") for name, value in chunks.items()}
        total = Signal(signed(self.config.total_bits), name=f"total_{index}")
        m.d.comb += total.eq(ripple_chunks(chunks["parts"], Const(0, 1), chunks["carries"], chunks["ones"]))
        if not self.config.has_scales:
            halvings = delay(m, self.common.halvings, 2, f"halvings_{index}")
            total = Mux(halvings[1], total >> 2, Mux(halvings[0], total >> 1, total))
        return delay(m, total, 1, f"product_{index}")


def _extended(value: Value, width: int) -> Value:
    """Exactly so many bits of a number, by its sign if it has one."""
    value = Value.cast(value)
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(max(width - len(value), 0)))[:width]
