# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR's last steps: a sum gets its column's offset and, unless it stays an integer, its scales."""

from amaranth.hdl import Cat, EnableInserter, Module, Signal, signed

from ..hdl.adders import carry_select_add
from ..hdl.floating import Float32, FloatScale
from ..hdl.int_to_float import IntToFloat
from ..hdl.pipeline import delay
from ..hdl.place import place
from .output_unit import OutputUnit

__all__ = ["RsrOutput"]


class RsrOutput(OutputUnit):
    """Adds its column's offset to each of ``drain`` sums and, unless they stay integers, scales it.

    The scales of weight and token are multiplied first, rounded to binary32; then the sum by their product, rounded once.
    """

    @property
    def latency(self) -> int:
        """The sum with its offset; then the product of the scales beside the sum's conversion, and the product of both."""
        return 1 + (2 * self._product_latency if self._scaled else 0)

    @property
    def _product_latency(self):
        return self.config.product_stages + FloatScale.ROUNDING_STAGES

    def elaborate(self, platform):
        m = Module()
        per_tensor = self.config.granularity == "tensor"
        common = self._multiply_scales(m, platform, "scale", self.common.scale) if self._scaled and per_tensor else None
        overflows = []
        for i in range(self.config.drain):
            total = self._offset(m, platform, i)
            if not self._scaled:
                m.d.comb += self.payload.data[i].eq(total)
                continue
            scale = common if per_tensor else self._multiply_scales(m, platform, f"scale_{i}", self.columns[i].scale)
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

    def _multiply_scales(self, m, platform, name, scale):
        """Weight scale times token scale, there a cycle later than the product of operands that were."""
        product = place(m, platform, name, "scale_product", FloatScale, Float32,
                        product_stages=self.config.product_stages)
        m.d.comb += [product.enable.eq(self.enable), product.sum.eq(scale), product.scale.eq(self.row)]
        return delay(m, product.y, 1, name)

    def _scale(self, m, platform, index, total, scale):
        """A sum times its scale."""
        convert = place(m, platform, f"convert_{index}", "convert", IntToFloat, self.config.accumulator_bits)
        unit = place(m, platform, f"product_{index}", "product", FloatScale, self.payload.data.shape().elem_shape,
                     product_stages=self.config.product_stages)
        m.d.comb += [
            convert.enable.eq(self.enable),
            convert.value.eq(delay(m, total, self._product_latency - IntToFloat.latency, f"waiting_{index}")),
            unit.enable.eq(self.enable),
            unit.sum.eq(convert.y),
            unit.scale.eq(scale),
        ]
        return unit.y, unit.overflow
