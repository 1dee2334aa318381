# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The output units of engines that scale their sums by a constant of the column."""

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..hdl.floating import Float32, FloatScale
from ..hdl.int_to_float import IntToFloat
from ..hdl.pipeline import delay
from ..hdl.place import place
from .output_unit import OutputUnit

__all__ = ["FixedSumOutput", "FixedToFloat", "SumOutput"]


class SumOutput(OutputUnit):
    """Multiplies ``drain`` binary32 sums by their channel scales, rounded once to the output format."""

    @property
    def latency(self) -> int:
        """That of a scaler, behind what makes the sum."""
        return self._sum_stages + self.config.output_stages

    @property
    def _sum_stages(self):
        """Cycles in which :meth:`_sum` makes a result a binary32 number."""
        return 0

    def elaborate(self, platform):
        m = Module()
        out_format = self.payload.data.shape().elem_shape
        overflows = []
        for i in range(self.config.drain):
            scale = place(m, platform, f"scale_{i}", "scale", FloatScale, out_format,
                          product_stages=self.config.output_stages - FloatScale.ROUNDING_STAGES)
            m.d.comb += [
                scale.enable.eq(self.enable),
                scale.sum.eq(self._sum(m, platform, i)),
                scale.scale.eq(delay(m, self.columns[i], self._sum_stages, f"column_{i}")),
                self.payload.data[i].eq(scale.y),
            ]
            overflows.append(scale.overflow)
        m.d.comb += [
            self.payload.overflow.eq(Cat(overflows).any()),
            self.payload.nonfinite.eq(delay(m, self.flags.nonfinite, self.latency, "nonfinite")),
        ]
        return EnableInserter(self.enable)(m)

    def _sum(self, m, platform, i):
        return self.results[i]


class FixedSumOutput(SumOutput):
    """Likewise for sums in fixed point, rounded to binary32 first."""

    @property
    def _sum_stages(self):
        return FixedToFloat.latency_of(self.config.sum_bits)

    def _sum(self, m, platform, i):
        convert = place(m, platform, f"convert_{i}", "convert", FixedToFloat, self.config.sum_bits, self.config.exponent_bias)
        m.d.comb += [
            convert.enable.eq(self.enable),
            convert.value.eq(self.results[i].sum),
            convert.exponent.eq(self.results[i].exponent),
        ]
        return convert.y


class FixedToFloat(wiring.Component):
    """Round ``value * 2**(exponent + bias)`` to binary32, ties to even.

    * Latency: :meth:`latency_of` the width, in cycles in which ``enable`` is high. Throughput: one result per such cycle.
    * Legal input: what binary32 holds as a normal number, and zero.

    Members
    -------
    enable : In(1)
    value : In(signed(width))
    exponent : In(5)
    y : Out(Float32)
    """

    @staticmethod
    def latency_of(width: int) -> int:
        """An integer's conversion, and the exponent's sum."""
        return IntToFloat.latency_of(width, deep=True) + 1

    def __init__(self, width: int, bias: int):
        self._width, self._bias = width, bias
        super().__init__({"enable": In(1), "value": In(signed(width)), "exponent": In(5), "y": Out(Float32)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.convert = convert = IntToFloat(self._width, deep=True)
        exponent = delay(m, self.exponent, self.latency_of(self._width) - 1, "exponent")
        y = Signal(Float32, name="number", reset_less=True)
        m.d.comb += [convert.enable.eq(self.enable), convert.value.eq(self.value), self.y.eq(y)]
        m.d.sync += [
            y.eq(convert.y),
            y.exponent.eq(Mux(convert.y.exponent.any(), convert.y.exponent + exponent + self._bias, 0)),
        ]
        return EnableInserter(self.enable)(m)
