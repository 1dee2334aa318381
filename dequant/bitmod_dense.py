# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A column's dequantizer of BitMoD's dense form: one group sum a cycle, all rows in turn."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..golden.bitmod.config import DENSE_SUM_STAGES, EXPONENT_BITS
from ..hdl.floating import Float32, FloatAccumulate
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, resolve
from ..hdl.selection import one_hot_select

__all__ = ["ColumnDequantizer", "Visits"]


class Visits(wiring.Component):
    """Whose turn it is, and the running exponents of the rows: once for all columns.

    Members
    -------
    begin : In(1)
        The sums are captured in this cycle; the first row's turn is the next.
    exponents : In(ArrayLayout(5, rows))
        Of the groups; they and the next stay from the cycle after ``begin`` until all rows had their turn.
    starts_tile : In(1)
        The group is the first of its tile.
    visit : Out(rows)
        One-hot or none.
    lower : Out(5)
        How far the group's exponent is below the running one; a cycle after ``visit``.
    rise : Out(5)
        How far the running exponent rises; two cycles after ``visit``.
    exponent : Out(5)
        The running exponent, ``DENSE_SUM_STAGES`` cycles after ``visit``.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "begin": In(1),
            "exponents": In(data.ArrayLayout(EXPONENT_BITS, config.rows)),
            "starts_tile": In(1),
            "visit": Out(config.rows),
            "lower": Out(EXPONENT_BITS),
            "rise": Out(EXPONENT_BITS),
            "exponent": Out(EXPONENT_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        turns, turn = [], self.begin
        for row in range(self.config.rows):
            turn = delay(m, turn, 1, f"turn_{row}", reset=True)
            turns.append(turn)
        running = Signal(data.ArrayLayout(EXPONENT_BITS, self.config.rows), reset_less=True)
        own, before, risen = (Signal(EXPONENT_BITS, name=name) for name in ("own", "before", "risen"))
        m.d.comb += [
            self.visit.eq(Cat(turns)),
            own.eq(one_hot_select(self.exponents, self.visit)),
            before.eq(Mux(self.starts_tile, own, one_hot_select(running, self.visit))),
            risen.eq(Mux(own > before, own, before)),
            self.lower.eq(delay(m, (risen - own)[:EXPONENT_BITS], 1, "lower")),
            self.rise.eq(delay(m, (risen - before)[:EXPONENT_BITS], 2, "rise")),
            self.exponent.eq(delay(m, risen, DENSE_SUM_STAGES, "exponent")),
        ]
        for row in range(self.config.rows):
            with m.If(self.visit[row]):
                m.d.sync += running[row].eq(risen)
        return m


class ColumnDequantizer(wiring.Component):
    """Scales a column's group sums and adds them over the groups of a tile in fixed point, one row a cycle.

    * Latency: :meth:`latency_of` the config from ``visit`` to ``results``. Throughput: one row a cycle.
    * Rounding: towards minus infinity to the running exponent; a finished sum once to binary32, to nearest even.

    Members
    -------
    chain : In
        ``below`` of the column's first element.
    negations : In
        Of the column's edge.
    scale_code : In(scale_bits)
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile; with ``visit``, as ``scale_code`` is.
    visit : In(rows)
        Whose turn it is, one-hot or none.
    lower, rise, exponent : In(5)
        Of :class:`Visits`.
    results : Out(ArrayLayout(Float32, rows))
        Sums of the last finished tile.
    """

    @staticmethod
    def latency_of(config: BitModConfig) -> int:
        """Cycles from a visit to its result: the sum, its conversion, a register."""
        return DENSE_SUM_STAGES + config.sum_stages + 1

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "chain": In(chain_bits(config.accumulator_bits)),
            "negations": In(range(17 * config.group_size + 1)),
            "scale_code": In(config.scale_bits),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "visit": In(config.rows),
            "lower": In(EXPONENT_BITS),
            "rise": In(EXPONENT_BITS),
            "exponent": In(EXPONENT_BITS),
            "results": Out(data.ArrayLayout(Float32, config.rows)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        visits = [self.visit]
        for i in range(3):
            visits.append(delay(m, visits[-1], 1, f"visit_{i}", reset=True))
        starts = delay(m, self.starts_tile, 2, "starts")
        scale = delay(m, self.scale_code, 2, "scale")
        total = Signal(signed(config.accumulator_bits), reset_less=True)
        moved = Signal.like(total, reset_less=True)
        product = Signal(signed(config.product_bits), reset_less=True)
        sums = Signal(data.ArrayLayout(signed(config.sum_bits), config.rows), reset_less=True)
        earlier = Signal(signed(config.sum_bits))
        kept, joined, finished = (Signal.like(earlier, name=name, reset_less=True) for name in ("kept", "joined", "finished"))
        m.d.comb += [earlier.eq(one_hot_select(sums, visits[2])), joined.eq(kept + product)]
        m.d.sync += [
            total.eq(resolve(self.chain, config.accumulator_bits) + self.negations),
            moved.eq(total >> self.lower),
            product.eq(moved * scale),
            kept.eq(Mux(starts, 0, earlier >> self.rise)),
            finished.eq(joined),
        ]
        for row in range(config.rows):
            with m.If(visits[3][row]):
                m.d.sync += sums[row].eq(joined)
        self._convert(m, finished, delay(m, visits[3], 1, "finished_visit", reset=True))
        return m

    def _convert(self, m, finished, visit):
        """Finished sums to binary32: an addition to zero."""
        config = self.config
        m.submodules.convert = convert = FloatAccumulate(
            config.sum_bits, bias=config.exponent_bias, operands=1, stages=config.sum_stages)
        results = Signal(data.ArrayLayout(32, config.rows), reset_less=True)
        m.d.comb += [
            convert.operand.eq(finished),
            convert.exponent.eq(self.exponent),
            convert.sum_in.as_value().eq(0),
            self.results.as_value().eq(results),
        ]
        write = delay(m, visit, config.sum_stages, "write", reset=True)
        last = delay(m, self.ends_tile, DENSE_SUM_STAGES + config.sum_stages, "last")
        for row in range(config.rows):
            with m.If(write[row] & last):
                m.d.sync += results[row].eq(convert.sum_out.as_value())
