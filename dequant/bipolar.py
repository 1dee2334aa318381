# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT's last steps: constants and corrections minus twice the sum, halved or scaled."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed

from ..hdl.adders import carry_select_add
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
        """Addends and carries, their difference; then its scale."""
        return 2 + (self._scale_latency if self.config.has_scales else 0)

    def elaborate(self, platform):
        m = Module()
        overflows = []
        for i in range(self.config.drain):
            total = self._total(m, platform, i)
            if not self.config.has_scales:
                m.d.comb += self.payload.data[i].eq(total)
                continue
            scale = self._multiply_scales(m, platform, f"scale_{i}", self.columns[i].scale, self.row.scale, 2)
            y, overflow = self._scale(m, platform, i, total, scale)
            m.d.comb += self.payload.data[i].eq(y)
            overflows.append(overflow)
        if self.config.has_scales:
            m.d.comb += self.payload.overflow.eq(Cat(overflows).any())
        return EnableInserter(self.enable)(m)

    def _total(self, m, platform, index) -> Value:
        """The product of integers, registered."""
        width = self.config.total_bits

        def add(first, second, name):
            return delay(m, carry_select_add(m, first, second, platform=platform), 1, f"{name}_{index}")

        addends = (_extended(value.addend, width) for value in (self.columns[index], self.row))
        fixed = add(*addends, "fixed")
        twice = add(*(_extended(Cat(Const(0, 1), part), width) for part in resolved(self.results[index], self.config.chunks)),
                    "twice")
        # a - b = ~(~a + b)
        total = Signal(signed(width), name=f"total_{index}")
        m.d.comb += total.eq(~carry_select_add(m, ~fixed, twice, platform=platform))
        if not self.config.has_scales:
            halvings = delay(m, self.common.halvings, 1, f"halvings_{index}")
            halved = Mux(halvings[0], total >> 1, total)
            total = Mux(halvings[1], total >> 2, halved)
        return delay(m, total, 1, f"total_{index}")


def _extended(value: Value, width: int) -> Value:
    """Exactly so many bits of a number, by its sign if it has one."""
    value = Value.cast(value)
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(max(width - len(value), 0)))[:width]
