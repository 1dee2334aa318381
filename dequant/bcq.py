# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A column's dequantizer of bcq: the sum of a plane, or of a group, a cycle, its rows in turn."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.alignment import EXPONENT_BITS
from ..golden.bcq import BcqConfig
from ..golden.bcq.config import PRODUCT_STAGES, READ_STAGE, SCALE_EXPONENT_BITS, SUM_STAGES
from ..golden.bcq.quantizer import SCALE_RANGE
from ..hdl.adders import add_chunks, ripple_chunks, split_add
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, resolve
from ..hdl.selection import one_hot_select
from .visits import repeat

__all__ = ["PlaneDequantizer"]


class PlaneDequantizer(wiring.Component):
    """Multiplies sums of a column by their scale and adds them over planes and groups in fixed point, one row a cycle.

    * Latency: ``LATENCY`` cycles from a row's turn to ``results``. Throughput: one row a cycle; a row again after
      ``SUM_STAGES - READ_STAGE + 1`` cycles.
    * Rounding: towards minus infinity to the running exponent.

    Parameters
    ----------
    rows : int
        That it serves, of those of the column.

    Members
    -------
    chain : In
        ``below`` of the first of their elements.
    negations : In
        Of the column's keys.
    significand : In(signed(scale_digits + 1))
    offset, row_sum : In
        Where planes merge: what is multiplied by the sum of the row's activations, and that, a cycle after the row's turn.
    scale_exponent : In(4)
    starts_tile, ends_tile : In(1)
        The pass is the first, the last one of its tile; as long as rows have their turn, as the scale is.
    begin : In(1)
        It is the first row's turn; the others follow. One bit, so that little reaches all columns.
    lower, rise : In(5)
        Of :class:`~subbyte.dequant.visits.Visits`.
    results : Out(ArrayLayout(signed(sum_bits), rows))
        Sums of the last finished tile.
    """

    LATENCY = SUM_STAGES + 2

    def __init__(self, config: BcqConfig, rows: int):
        self.config, self.rows = config, rows
        super().__init__({
            "chain": In(chain_bits(config.accumulator_bits)),
            "negations": In(range(config.most_negations + 1)),
            "significand": In(signed(config.scale_digits + 1)),
            **({"offset": In(signed(config.offset_bits)), "row_sum": In(signed(config.plane_bits))} if config.merges else {}),
            "scale_exponent": In(SCALE_EXPONENT_BITS),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "begin": In(1),
            "lower": In(EXPONENT_BITS),
            "rise": In(EXPONENT_BITS),
            "results": Out(data.ArrayLayout(signed(config.sum_bits), rows)),
        })

    def elaborate(self, platform):
        m = Module()
        line = repeat(m, self.begin, self.LATENCY - 1 + self.rows)

        def turns(cycles):
            """The rows' turns, one-hot, so many cycles late."""
            return Cat(line[cycles : cycles + self.rows])

        exponent = delay(m, self.scale_exponent, READ_STAGE, "exponent")
        down = delay(m, self.lower + (SCALE_RANGE - exponent)[:SCALE_EXPONENT_BITS], 1, "down")
        moved = delay(m, self._product(m) >> down, 1, "moved")
        sums, results = (Signal(self.results.shape(), name=name, reset_less=True) for name in ("sums", "finished"))
        earlier = delay(m, one_hot_select(sums, turns(READ_STAGE)).as_signed(), 1, "earlier")
        starts = delay(m, self.starts_tile, READ_STAGE + 1, "starts")
        kept = delay(m, Mux(starts, 0, earlier >> self.rise), 1, "kept")
        extended = Cat(moved, moved[-1].replicate(self.config.sum_bits - len(moved)))
        joined = split_add(m, kept.as_unsigned(), extended, "sum", platform)
        last = delay(m, self.ends_tile, self.LATENCY - 1, "last")
        for row, (here, next_here) in enumerate(zip(turns(SUM_STAGES), turns(self.LATENCY - 1), strict=True)):
            with m.If(here):
                m.d.sync += sums[row].eq(joined)
            with m.If(next_here & last):
                m.d.sync += results[row].eq(sums[row])
        m.d.comb += self.results.eq(results)
        return m

    def _product(self, m):
        """The sum times the scale's significand, and the row's times the offset.

        The sum is resolved in a rank; then there is a row for each bit of significand and offset, all in one heap.
        """
        config = self.config
        total = Signal(signed(config.accumulator_bits), reset_less=True)
        m.d.sync += total.eq(resolve(self.chain, config.accumulator_bits) + self.negations)
        factors = [(total, delay(m, self.significand, 1, "scale"))]
        if config.merges:
            factors.append((self.row_sum, delay(m, self.offset, 1, "offset")))
        terms, rows = [], []
        for multiplicand, multiplier in factors:
            *bits, sign = multiplier
            plain = multiplicand.as_unsigned()
            rows += [plain & bit.replicate(len(plain)) for bit in bits] + [~plain & sign.replicate(len(plain)), sign]
            terms += [Term(len(plain), signed=True, weight=place, delay=0.5) for place in range(len(multiplier))]
            terms.append(Term(1, weight=len(bits)))
        m.submodules.heap = heap = BitHeap(terms, width=config.product_bits, rows=2, register_output=True,
                                           budget=least_budget(terms, config.product_bits, PRODUCT_STAGES - 4, rows=2))
        m.d.comb += [heap.terms[number].eq(row) for number, row in enumerate(rows)]
        addends = [delay(m, row, PRODUCT_STAGES - 3 - heap.latency, f"row_{index}") for index, row in enumerate(heap.addends)]
        added = {name: delay(m, value, 1, name) for name, value in add_chunks(*addends, Const(0, 1)).items()}
        product = Signal(signed(config.product_bits), reset_less=True)
        m.d.sync += product.eq(ripple_chunks(added["parts"], Const(0, 1), added["carries"], added["ones"]))
        return product
