# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens to a BitMoD partial sum after its group: bit-serial scaling, then the sum over groups.

BitMoD (HPCA 2025), section IV-B: the group's scale multiplies the partial sum one bit a cycle, most significant first, while
the array works on the next group; a column then takes its rows' products one after the other.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..hdl.floating import Float32, FloatAccumulate
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from ..hdl.shift_accumulator import ShiftAccumulator

__all__ = ["BitSerialDequantizer", "ColumnSum"]


class BitSerialDequantizer(wiring.Component):
    """Multiplies a group's partial sum by its scale code, exactly: ``product <- 2 * product + (bit ? sum : 0)``.

    * Latency: ``config.dequant_cycles`` from ``first`` to ``product``. Throughput: one product in as many cycles.

    Members
    -------
    sum : In(signed(accumulator_bits))
    capture : In(1)
        Take ``sum``; the first scale bit comes in the next cycle.
    first, active : In(1)
        The first scale bit, and any scale bit, is there.
    scale_bit : In(1)
        Bit of the scale code, most significant first; 0 unless ``active``.
    product : Out(signed(product_bits))
        Stays until the cycle after the next ``first``.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "sum": In(signed(config.accumulator_bits)),
            "capture": In(1),
            "first": In(1),
            "active": In(1),
            "scale_bit": In(1),
            "product": Out(signed(config.product_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        held = Signal.like(self.sum, reset_less=True)
        with m.If(self.capture):
            m.d.sync += held.eq(self.sum)
        m.submodules.shift_accumulator = accumulator = ShiftAccumulator(
            config.product_bits, config.accumulator_bits, chunk=config.dequant_chunk, hold_operand=True
        )
        m.d.comb += [
            accumulator.operand.eq(held),
            accumulator.first.eq(self.first),
            accumulator.shift.eq(self.active),
            accumulator.gate.eq(self.scale_bit),
            self.product.eq(accumulator.value),
        ]
        return m


class ColumnSum(wiring.Component):
    """Sums a column's products over the groups of a tile, in binary32, one row a cycle; keeps a finished tile for the drain.

    * Latency: ``config.sum_stages + 1`` from ``visit`` to ``results``. Throughput: one row a cycle.
    * Rounding: once a group, to nearest even (:class:`~subbyte.hdl.floating.FloatAccumulate`).

    Members
    -------
    products : In(ArrayLayout(signed(product_bits), rows))
    visit : In(rows)
        Whose turn it is, one-hot or none.
    alignment : In(5)
        Of the row that is visited.
    first, last : In(1)
        The visit belongs to the first, the last group of a tile.
    results : Out(ArrayLayout(Float32, rows))
        Sums of the last finished tile.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "products": In(data.ArrayLayout(signed(config.product_bits), config.rows)),
            "visit": In(config.rows),
            "alignment": In(5),
            "first": In(1),
            "last": In(1),
            "results": Out(data.ArrayLayout(Float32, config.rows)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.adder = adder = FloatAccumulate(
            config.product_bits, bias=config.exponent_bias, terms=config.max_groups, stages=config.sum_stages
        )
        sums = Signal(data.ArrayLayout(32, config.rows), reset_less=True)
        results = Signal(data.ArrayLayout(32, config.rows), reset_less=True)
        m.d.comb += [
            adder.operand.eq(one_hot_select(self.products, self.visit)),
            adder.exponent.eq(self.alignment),
            adder.sum_in.as_value().eq(Mux(self.first, 0, one_hot_select(sums, self.visit))),
            self.results.as_value().eq(results),
        ]
        write = delay(m, self.visit, config.sum_stages, "write", reset=True)
        last = delay(m, self.last, config.sum_stages, "last")
        for row in range(config.rows):
            with m.If(write[row]):
                m.d.sync += sums[row].eq(adder.sum_out.as_value())
            with m.If(write[row] & last):
                m.d.sync += results[row].eq(adder.sum_out.as_value())
        return m
