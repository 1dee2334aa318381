# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A column's dequantizer of BitMoD's dense form: one group sum a cycle, all rows in turn."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..golden.bitmod.config import DENSE_READ_STAGE, DENSE_SUM_STAGES, EXPONENT_BITS
from ..hdl.adders import carry_save, split_add
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, saved_carries
from ..hdl.selection import one_hot_select
from .visits import repeat

__all__ = ["ColumnDequantizer"]


class ColumnDequantizer(wiring.Component):
    """Scales group sums of a column and adds them over the groups of a tile in fixed point, one row a cycle.

    * Latency: ``LATENCY`` cycles from a row's turn to ``results``. Throughput: one row a cycle; a row again after
      ``DENSE_SUM_STAGES - DENSE_READ_STAGE + 1`` cycles.
    * Rounding: towards minus infinity to the running exponent.

    Parameters
    ----------
    rows : int
        That it serves, of those of the column.

    Members
    -------
    chain : In
        ``below`` of the first of their elements.
    correction : In(accumulator_bits)
        Of the column's edge.
    scale_code : In(scale_bits)
    starts_tile, ends_tile : In(1)
        The group is the first, the last one of its tile; as long as rows have their turn, as ``scale_code``.
    begin : In(1)
        It is the first row's turn; the others follow. One bit, so that little reaches all columns.
    lower, rise : In(5)
        Of :class:`Visits`.
    results : Out(ArrayLayout(signed(sum_bits), rows))
        Sums of the last finished tile.
    """

    LATENCY = DENSE_SUM_STAGES + 2

    def __init__(self, config: BitModConfig, rows: int):
        self.config, self.rows = config, rows
        super().__init__({
            "chain": In(chain_bits(config.accumulator_bits)),
            "correction": In(config.accumulator_bits),
            "scale_code": In(config.scale_bits),
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

        def visits(cycles):
            """The rows' turns, one-hot, so many cycles late."""
            return Cat(line[cycles : cycles + self.rows])

        scale = Signal.like(self.scale_code, reset_less=True)
        with m.If(line[DENSE_READ_STAGE]):
            m.d.sync += scale.eq(self.scale_code)
        total = delay(m, self._resolve(m, platform), 1, "total")
        moved = delay(m, total >> self.lower, 1, "moved")
        sums, results = (Signal(self.results.shape(), name=name, reset_less=True) for name in ("sums", "finished"))
        earlier = delay(m, one_hot_select(sums, visits(DENSE_READ_STAGE)).as_signed(), 1, "earlier")
        starts = delay(m, self.starts_tile, DENSE_READ_STAGE + 1, "starts")
        kept = delay(m, Mux(starts, 0, earlier >> self.rise), 1, "kept")
        joined = split_add(m, *carry_save(kept.as_unsigned(), *self._multiply(m, moved, scale)), "sum", platform)
        last = delay(m, self.ends_tile, self.LATENCY - 1, "last")
        for row, (here, next_here) in enumerate(zip(visits(DENSE_SUM_STAGES), visits(self.LATENCY - 1), strict=True)):
            with m.If(here):
                m.d.sync += sums[row].eq(joined)
            with m.If(next_here & last):
                m.d.sync += results[row].eq(sums[row])
        m.d.comb += self.results.eq(results)
        return m

    def _resolve(self, m, platform):
        """The sum of the chain's chunks, saved carries and the correction, a cycle later."""
        width = self.config.accumulator_bits
        total, carries = self.chain[:width], saved_carries(self.chain, width)
        return split_add(m, *carry_save(total, carries, self.correction), "resolved", platform).as_signed()

    def _multiply(self, m, moved, scale):
        """Two addends of the product, a cycle later."""
        width = self.config.sum_bits
        terms = [Term(len(moved), signed=True, weight=place, delay=0.5) for place in range(len(scale))]
        m.submodules.heap = heap = BitHeap(terms, width=width, rows=2, budget=least_budget(terms, width, 1, rows=2))
        m.d.comb += [heap.terms[place].eq(moved & bit.replicate(len(moved))) for place, bit in enumerate(scale)]
        addends = delay(m, Cat(heap.addends), 1 - heap.latency, "addends")
        return addends[:width], addends[width:]
