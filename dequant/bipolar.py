# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT's last steps: groups' sums scaled and added; constants and corrections minus twice the sum, halved or scaled."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bipolar import BipolarConfig
from ..golden.bipolar.config import GROUP_STAGES, SCALE_CODE_BITS
from ..hdl.adders import add_chunks, carry_select_add, ripple_chunks
from ..hdl.chunk_accumulator import resolved
from ..hdl.layouts import payload_layout
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from .scaled_output import ScaledOutput

__all__ = ["BipolarOutput", "GroupSums"]


class GroupSums(wiring.Component):
    """A column's dequantizer: each group's sums times their code, added over the groups of a tile, a row a cycle. Exact.

    * Latency: :attr:`LATENCY` cycles from ``visit`` to ``results``. Throughput: a row a cycle.

    Members
    -------
    sums : In(ArrayLayout(config.element_result, rows))
        Of a group; they stay until all rows had their turn.
    code : In(8)
        The group's, likewise.
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile; likewise.
    visit : In(rows)
        Whose turn it is, one-hot or none.
    results : Out(ArrayLayout(config.result, rows))
        Sums of the last finished tile, a row after the other.
    """

    LATENCY = GROUP_STAGES

    def __init__(self, config: BipolarConfig):
        self.config = config
        super().__init__({
            "sums": In(data.ArrayLayout(payload_layout(config.element_result), config.rows)),
            "code": In(SCALE_CODE_BITS),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "visit": In(config.rows),
            "results": Out(data.ArrayLayout(payload_layout(config.result), config.rows)),
        })

    def elaborate(self, platform):
        m = Module()
        config, width = self.config, self.config.group_sum_bits
        chosen = data.View(payload_layout(config.element_result), one_hot_select(self.sums, self.visit))
        total, product = Signal(config.accumulator_bits), Signal(width)
        rows = data.ArrayLayout(width, config.rows)
        sums, results = (Signal(rows, name=name, reset_less=True) for name in ("kept", "finished"))
        joined, earlier = Signal(width), Signal(width)
        visit = self.visit
        for stage in range(self.LATENCY - 1):
            visit = delay(m, visit, 1, f"visit_{stage}", reset=True)
        code = delay(m, self.code, 1, "code")
        starts, ends = (delay(m, value, self.LATENCY - 1, name) for value, name in
                        ((self.starts_tile, "starts"), (self.ends_tile, "ends")))
        m.d.comb += [
            earlier.eq(one_hot_select(sums, visit)),
            joined.eq(Mux(starts, 0, earlier) + product),
            self.results.as_value().eq(results),
        ]
        m.d.sync += [total.eq(sum(resolved(chosen, config.chunks))), product.eq(total * code)]
        for row in range(config.rows):
            with m.If(visit[row]):
                m.d.sync += sums[row].eq(joined)
            with m.If(visit[row] & ends):
                m.d.sync += results[row].eq(joined)
        return m


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
        overflows = []
        row = Const(0, self.config.total_bits) if self.config.has_groups else self._register(m, self.row.addend, "row")
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
