# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What output units share that scale an integer sum: the scales of weight and token are multiplied, then the sum by both."""

from ..hdl.floating import Float32, FloatScale
from ..hdl.int_to_float import IntToFloat
from ..hdl.pipeline import delay
from ..hdl.place import place
from .output_unit import OutputUnit

__all__ = ["ScaledOutput"]


class ScaledOutput(OutputUnit):
    """Base of these units; ``config.product_stages`` are the ranks of each product.

    The scales' product is rounded to binary32, the sum too if it is wider, and the product of both to the results' format.
    """

    @property
    def _product_latency(self):
        return self.config.product_stages + FloatScale.ROUNDING_STAGES

    @property
    def _scale_latency(self):
        """Cycles from a sum to its result: the product of the scales beside the sum's conversion, and the product of both."""
        return 2 * self._product_latency

    def _multiply_scales(self, m, platform, name, column, row, behind):
        """Weight scale times token scale, as many cycles ``behind`` their product as the sum is behind its operands."""
        product = place(m, platform, name, "scale_product", FloatScale, Float32, product_stages=self.config.product_stages)
        m.d.comb += [product.enable.eq(self.enable), product.sum.eq(column), product.scale.eq(row)]
        return delay(m, product.y, behind, name)

    def _scale(self, m, platform, index, total, scale):
        """A sum times its scale, and whether that overflows."""
        convert = place(m, platform, f"convert_{index}", "convert", IntToFloat, len(total))
        unit = place(m, platform, f"product_{index}", "product", FloatScale, self.payload.data.shape().elem_shape,
                     product_stages=self.config.product_stages)
        wait = self._product_latency - IntToFloat.latency_of(len(total))
        m.d.comb += [
            convert.enable.eq(self.enable),
            convert.value.eq(delay(m, total, wait, f"waiting_{index}")),
            unit.enable.eq(self.enable),
            unit.sum.eq(convert.y),
            unit.scale.eq(scale),
        ]
        return unit.y, unit.overflow
