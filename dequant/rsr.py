# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR's last steps: a sum gets its column's offset and, unless it stays an integer, its scales."""

from amaranth.hdl import Cat, EnableInserter, Module, Signal, signed

from ..hdl.adders import carry_select_add
from ..hdl.pipeline import delay
from .scaled_output import ScaledOutput

__all__ = ["RsrOutput"]


class RsrOutput(ScaledOutput):
    """Adds its column's offset to each of ``drain`` sums and, unless they stay integers, scales it.

    The scales of weight and token are multiplied first, rounded to binary32; then the sum by their product, rounded once.
    """

    @property
    def latency(self) -> int:
        """The sum with its offset; then its scale."""
        return 1 + (self._scale_latency if self._scaled else 0)

    def elaborate(self, platform):
        m = Module()
        per_tensor, overflows = self.config.granularity == "tensor", []
        if self._scaled and per_tensor:
            scale = self._multiply_scales(m, platform, "scale", self.common.scale, self.row, 1)
        for i in range(self.config.drain):
            total = self._offset(m, platform, i)
            if not self._scaled:
                m.d.comb += self.payload.data[i].eq(total)
                continue
            if not per_tensor:
                scale = self._multiply_scales(m, platform, f"scale_{i}", self.columns[i].scale, self.row, 1)
            y, overflow = self._scale(m, platform, i, total, scale)
            m.d.comb += self.payload.data[i].eq(y)
            overflows.append(overflow)
        if self._scaled:
            m.d.comb += self.payload.overflow.eq(Cat(overflows).any())
        return EnableInserter(self.enable)(m)

    @property
    def _scaled(self):
        return self.config.has_scales

    def _offset(self, m, platform, index):
        """The sum proper, registered."""
        total = Signal(signed(self.config.accumulator_bits), name=f"total_{index}")
        columns = self.columns[index].offset if self._scaled and self.config.granularity == "channel" else self.columns[index]
        m.d.comb += total.eq(carry_select_add(m, self.results[index].as_unsigned(), columns.as_unsigned(),
                                            platform=platform))
        return delay(m, total, 1, f"total_{index}")
