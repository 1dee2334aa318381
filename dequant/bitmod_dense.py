# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A column's dequantizer of BitMoD's dense form: one group sum a cycle, all rows in turn."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..golden.bitmod.config import DENSE_READ_STAGE, DENSE_SUM_STAGES, EXPONENT_BITS
from ..hdl.adders import carry_save, pipelined_add
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.floating import Float32
from ..hdl.int_to_float import IntToFloat
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, saved_carries
from ..hdl.selection import one_hot_select

__all__ = ["ColumnDequantizer", "Visits"]

SUM_CHUNKS = 4
"""Of the addition to the row's earlier sum, a cycle each."""


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
    visit : Out(1)
        It is the first row's turn; the others follow.
    lower : Out(5)
        How far the group's exponent is below the running one; ``DENSE_READ_STAGE`` cycles after a row's turn.
    rise : Out(5)
        How far the running exponent rises; a cycle later.
    exponent : Out(5)
        The running exponent, ``DENSE_SUM_STAGES`` cycles after a row's turn.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "begin": In(1),
            "exponents": In(data.ArrayLayout(EXPONENT_BITS, config.rows)),
            "starts_tile": In(1),
            "visit": Out(1),
            "lower": Out(EXPONENT_BITS),
            "rise": Out(EXPONENT_BITS),
            "exponent": Out(EXPONENT_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        line = _repeat(m, self.begin, self.config.rows + 2)
        visit, late = line[1:-1], line[2:]
        running = Signal(data.ArrayLayout(EXPONENT_BITS, self.config.rows), reset_less=True)
        own, before, risen = (Signal(EXPONENT_BITS, name=name, reset_less=True) for name in ("own", "before", "risen"))
        m.d.comb += [
            self.visit.eq(visit[0]),
            risen.eq(Mux(own > before, own, before)),
            self.lower.eq(delay(m, (risen - own)[:EXPONENT_BITS], DENSE_READ_STAGE - 1, "lower")),
            self.rise.eq(delay(m, (risen - before)[:EXPONENT_BITS], DENSE_READ_STAGE, "rise")),
            self.exponent.eq(delay(m, risen, DENSE_SUM_STAGES - 1, "exponent")),
        ]
        m.d.sync += [
            own.eq(one_hot_select(self.exponents, visit)),
            before.eq(one_hot_select([Mux(self.starts_tile, new, old) for new, old in
                                      zip(self.exponents, running, strict=True)], visit)),
        ]
        for row in range(self.config.rows):
            with m.If(late[row]):
                m.d.sync += running[row].eq(risen)
        return m


def _repeat(m: Module, begin: Value, count: int) -> Value:
    """``begin``, and it again in each of the ``count - 1`` cycles that follow: a bit for each."""
    line = [begin]
    for i in range(1, count):
        line.append(delay(m, line[-1], 1, f"turn_{i}", reset=True))
    return Cat(line)


class ColumnDequantizer(wiring.Component):
    """Scales a column's group sums and adds them over the groups of a tile in fixed point, one row a cycle.

    * Latency: :meth:`latency_of` the config from a row's turn to ``results``. Throughput: one row a cycle; a row again after
      ``DENSE_SUM_STAGES - DENSE_READ_STAGE + 1`` cycles.
    * Rounding: towards minus infinity to the running exponent; a finished sum once to binary32, to nearest even.

    Members
    -------
    chain : In
        ``below`` of the column's first element.
    negations : In
        Of the column's edge.
    scale_code : In(scale_bits)
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile; as long as rows have their turn, as ``scale_code``.
    begin : In(1)
        It is the first row's turn; the others follow. One bit, so that little reaches all columns.
    lower, rise, exponent : In(5)
        Of :class:`Visits`.
    results : Out(ArrayLayout(Float32, rows))
        Sums of the last finished tile.
    """

    @staticmethod
    def latency_of(config: BitModConfig) -> int:
        """Cycles from a row's turn to its result: the sum, its conversion, a register."""
        return DENSE_SUM_STAGES + config.conversion_stages + 1

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "chain": In(chain_bits(config.accumulator_bits)),
            "negations": In(range(17 * config.group_size + 1)),
            "scale_code": In(config.scale_bits),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "begin": In(1),
            "lower": In(EXPONENT_BITS),
            "rise": In(EXPONENT_BITS),
            "exponent": In(EXPONENT_BITS),
            "results": Out(data.ArrayLayout(Float32, config.rows)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        line = _repeat(m, self.begin, self.latency_of(config) - 1 + config.rows)

        def visits(cycles):
            """The rows' turns, one-hot, so many cycles late."""
            return Cat(line[cycles : cycles + config.rows])

        scale = Signal.like(self.scale_code, reset_less=True)
        with m.If(line[DENSE_READ_STAGE]):
            m.d.sync += scale.eq(self.scale_code)
        total = self._resolve(m)
        moved = delay(m, total >> self.lower, 1, "moved")
        sums = Signal(data.ArrayLayout(signed(config.sum_bits), config.rows), reset_less=True)
        earlier = delay(m, one_hot_select(sums, visits(DENSE_READ_STAGE)).as_signed(), 1, "earlier")
        starts = delay(m, self.starts_tile, DENSE_READ_STAGE + 1, "starts")
        kept = delay(m, Mux(starts, 0, earlier >> self.rise), 1, "kept")
        rows = delay(m, Cat(carry_save(kept.as_unsigned(), *self._multiply(m, moved, scale))), 1, "rows")
        joined = pipelined_add(m, rows[: config.sum_bits], rows[config.sum_bits :], SUM_CHUNKS, "sum").as_signed()
        for row, here in enumerate(visits(DENSE_SUM_STAGES)):
            with m.If(here):
                m.d.sync += sums[row].eq(joined)
        number = self._convert(m, joined)
        results = Signal(data.ArrayLayout(32, config.rows), reset_less=True)
        last = delay(m, self.ends_tile, self.latency_of(config) - 1, "last")
        for row, here in enumerate(visits(self.latency_of(config) - 1)):
            with m.If(here & last):
                m.d.sync += results[row].eq(number)
        m.d.comb += self.results.as_value().eq(results)
        return m

    def _resolve(self, m):
        """The sum of the chain's chunks, saved carries and the negations; ``DENSE_READ_STAGE`` cycles later."""
        width = self.config.accumulator_bits
        total, carries = self.chain[:width], saved_carries(self.chain, width)
        negations = Cat(self.negations, Const(0, width))[:width]
        return pipelined_add(m, *carry_save(total, carries, negations), DENSE_READ_STAGE, "total").as_signed()

    def _multiply(self, m, moved, scale):
        """Two addends of the product, a cycle later."""
        width = self.config.sum_bits
        terms = [Term(len(moved), signed=True, weight=place, delay=0.5) for place in range(len(scale))]
        m.submodules.heap = heap = BitHeap(terms, width=width, rows=2, budget=least_budget(terms, width, 1, rows=2))
        m.d.comb += [heap.terms[place].eq(moved & bit.replicate(len(moved))) for place, bit in enumerate(scale)]
        addends = delay(m, Cat(heap.addends), 1 - heap.latency, "addends")
        return addends[:width], addends[width:]

    def _convert(self, m, value):
        """To binary32: an integer, and the exponent of its unit added."""
        m.submodules.convert = convert = IntToFloat(self.config.sum_bits, deep=True)
        m.d.comb += [convert.enable.eq(1), convert.value.eq(value)]
        exponent = delay(m, self.exponent, IntToFloat.latency_of(self.config.sum_bits, deep=True), "unit")
        number = Signal(Float32, name="number", reset_less=True)
        m.d.sync += [
            number.eq(convert.y),
            number.exponent.eq(Mux(convert.y.exponent.any(), convert.y.exponent + exponent + self.config.exponent_bias, 0)),
        ]
        return number.as_value()
