# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens to a BitMoD partial sum after its group: bit-serial scaling, the sum over groups.

BitMoD (HPCA 2025), section IV-B: the group's scale multiplies the partial sum one bit a cycle, most significant first, while
the array works on the next group; a column then takes its rows' products one after the other.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..hdl.floating import Float32, FloatAccumulate
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select
from ..hdl.shift_accumulator import ShiftAccumulator

__all__ = ["BitSerialDequantizer", "ColumnSum", "Readout"]


class BitSerialDequantizer(wiring.Component):
    """Multiplies a group's partial sum by its scale code, exactly: ``product <- 2 * product + (bit ? sum : 0)``.

    * Latency: :meth:`latency_of` the config from ``first`` to ``product``. Throughput: one product in as many cycles.

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

    @staticmethod
    def latency_of(config: BitModConfig) -> int:
        """Cycles from the first scale bit to the product: the bits, and the skew of the chunks."""
        return config.scale_bits + ShiftAccumulator.skew_of(config.product_bits, config.dequant_chunk)

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

    * Latency: :meth:`latency_of` the config from ``visit`` to ``results``. Throughput: one row a cycle.
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

    @staticmethod
    def latency_of(config: BitModConfig) -> int:
        """Cycles from a visit to its result, the adder's and a register's; before, the row's sum must not be read again."""
        return config.sum_stages + 1

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
            config.product_bits, bias=config.exponent_bias, operands=config.max_groups, stages=config.sum_stages
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


class Readout(wiring.Component):
    """Controls of the dequantizers and of the cross-group sums: which scale bit, which row's turn, in which cycle.

    There is nothing to decide here: everything follows a fixed number of cycles after the group's last term, and the
    sequencer keeps group ends far enough apart. So this is a delay line with taps, and the registers it moves on.

    Parameters
    ----------
    config : BitModConfig
    sum_after : int
        Cycles from a term to the sum that holds it.

    Members
    -------
    group_end : In(1)
        The last term of a group is performed. With it: ``scale_codes``, ``starts_tile``, ``ends_tile``.
    scale_codes : In(ArrayLayout(scale_bits, cols))
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile.
    alignments : In(ArrayLayout(5, rows))
        Of the aligners, one cycle after their beat.
    capture, first_bit, active : Out(1)
        For the dequantizers.
    scale_bits : Out(cols)
        The columns' scale bits, most significant first.
    visit : Out(rows)
        Whose product is added now.
    visited_alignment, first_group, last_group : Out
        Facts about the product that is added.
    done : Out(1)
        The first row's result of a finished tile is there.
    """

    def __init__(self, config: BitModConfig, sum_after: int):
        self.config, self.sum_after = config, sum_after
        super().__init__({
            "group_end": In(1),
            "scale_codes": In(data.ArrayLayout(config.scale_bits, config.cols)),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "alignments": In(data.ArrayLayout(5, config.rows)),
            "capture": Out(1),
            "first_bit": Out(1),
            "active": Out(1),
            "scale_bits": Out(config.cols),
            "visit": Out(config.rows),
            "visited_alignment": Out(5),
            "first_group": Out(1),
            "last_group": Out(1),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        visits_begin = BitSerialDequantizer.latency_of(config)
        m.d.comb += self.capture.eq(delay(m, self.group_end, self.sum_after, "group_end", reset=True))
        taps = [delay(m, self.capture, 1, "first_bit", reset=True)]
        for i in range(1, visits_begin + config.rows):
            taps.append(delay(m, taps[-1], 1, f"tap_{i}", reset=True))
        m.d.comb += [
            self.first_bit.eq(taps[0]),
            self.active.eq(Cat(taps[: config.scale_bits]).any()),
            self.visit.eq(Cat(taps[visits_begin:])),
            self.done.eq(delay(m, self.visit[0] & self.last_group, ColumnSum.latency_of(config), "done", reset=True)),
        ]
        for c in range(config.cols):
            self._shift_scale(m, c)
        self._hold_facts(m)
        return m

    def _shift_scale(self, m, c):
        code = Signal(self.config.scale_bits, name=f"code_{c}", reset_less=True)
        with m.If(self.group_end):
            m.d.sync += code.eq(self.scale_codes[c])
        with m.Elif(self.active):
            m.d.sync += code.eq(code << 1)
        m.d.comb += self.scale_bits[c].eq(code[-1] & self.active)

    def _hold_facts(self, m):
        """The facts of a group wait until its products are complete; by then the next group may have left its own."""
        facts = data.StructLayout({"alignments": data.ArrayLayout(5, self.config.rows), "starts_tile": 1, "ends_tile": 1})
        left, visited = Signal(facts, reset_less=True), Signal(facts, reset_less=True)
        with m.If(self.group_end):
            m.d.sync += [left.starts_tile.eq(self.starts_tile), left.ends_tile.eq(self.ends_tile)]
        with m.If(delay(m, self.group_end, 1, "aligned", reset=True)):
            m.d.sync += left.alignments.eq(self.alignments)
        with m.If(self.first_bit):
            m.d.sync += visited.eq(left)
        m.d.comb += [
            self.visited_alignment.eq(one_hot_select(visited.alignments, self.visit)),
            self.first_group.eq(visited.starts_tile),
            self.last_group.eq(visited.ends_tile),
        ]
