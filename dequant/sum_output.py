# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The output unit of engines whose sums are binary32 already: a constant of the column scales them."""

from amaranth.hdl import Cat, Module, Signal

from ..hdl.floating import FloatScale
from ..hdl.place import place
from .output_unit import OutputUnit

__all__ = ["SumOutput"]


class SumOutput(OutputUnit):
    """Multiplies ``drain`` sums by their channel scales, rounded once to the output format."""

    @property
    def latency(self) -> int:
        """That of a scaler."""
        return self._product_stages + FloatScale.ROUNDING_STAGES

    @property
    def _product_stages(self):
        return self.config.output_stages - FloatScale.ROUNDING_STAGES

    def elaborate(self, platform):
        m = Module()
        out_format = self.payload.data.shape().elem_shape
        overflows = []
        for i in range(self.config.drain):
            scale = place(m, platform, f"scale_{i}", "scale", FloatScale, out_format,
                          product_stages=self._product_stages)
            m.d.comb += [
                scale.enable.eq(self.enable),
                scale.sum.eq(self.results[i]),
                scale.scale.eq(self.columns[i]),
                self.payload.data[i].eq(scale.y),
            ]
            overflows.append(scale.overflow)
        nonfinite = Signal(self.latency, reset_less=True)
        with m.If(self.enable):
            m.d.sync += nonfinite.eq(Cat(self.flags.nonfinite, nonfinite[:-1]))
        m.d.comb += [self.payload.overflow.eq(Cat(overflows).any()), self.payload.nonfinite.eq(nonfinite[-1])]
        return m
