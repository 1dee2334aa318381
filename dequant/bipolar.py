# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT's last steps: constants and corrections minus twice the sum, halved or scaled."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed

from ..hdl.adders import add_chunks, carry_select_add, ripple_chunks
from ..hdl.chunk_accumulator import resolved
from ..hdl.pipeline import delay
from .scaled_output import ScaledOutput

__all__ = ["BipolarOutput"]


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
        parts = (_extended(part, self.config.total_bits) for part in resolved(self.results[index], self.config.chunks))
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
