# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A column's dequantizer of bcq: a plane's sum a cycle, all rows in turn; and its output unit."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bcq import BcqConfig
from ..golden.bcq.config import PRODUCT_STAGES, SCALE_EXPONENT_BITS
from ..hdl.adders import add_chunks, ripple_chunks
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.floating import Float32, FloatAccumulate
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, resolve
from ..hdl.selection import one_hot_select

__all__ = ["PlaneDequantizer"]


class PlaneDequantizer(wiring.Component):
    """Multiplies a column's plane sums by their scale and adds them over planes and groups in binary32, one row a cycle.

    * Latency: :meth:`latency_of` the config from ``visit`` to ``results``. Throughput: one row a cycle.
    * Rounding: once a plane and group, to nearest even (:class:`~subbyte.hdl.floating.FloatAccumulate`).

    Members
    -------
    chain : In
        ``below`` of the column's first element.
    negations : In
        Of the column's keys.
    significand : In(signed(scale_digits + 1))
    offset, row_sum : In
        Where planes merge: what is multiplied by the sum of the row's activations, and that, a cycle after the visit.
    scale_exponent : In(4)
    starts_tile, ends_tile : In(1)
        The pass is the first, the last one of its tile; from the first visit on until after the last one, as the scale is.
    visit : In(rows)
        Whose turn it is, one-hot or none.
    row_exponent : In(5)
        Of the row that is visited.
    results : Out(ArrayLayout(Float32, rows))
        Sums of the last finished tile.
    """

    @staticmethod
    def latency_of(config: BcqConfig) -> int:
        """Cycles from a visit to its result: the product, the sum, a register."""
        return PRODUCT_STAGES + config.sum_stages + 1

    def __init__(self, config: BcqConfig):
        self.config = config
        super().__init__({
            "chain": In(chain_bits(config.accumulator_bits)),
            "negations": In(range(config.most_negations + 1)),
            "significand": In(signed(config.scale_digits + 1)),
            **({"offset": In(signed(config.offset_bits)), "row_sum": In(signed(config.plane_bits))} if config.merges else {}),
            "scale_exponent": In(SCALE_EXPONENT_BITS),
            "starts_tile": In(1),
            "ends_tile": In(1),
            "visit": In(config.rows),
            "row_exponent": In(5),
            "results": Out(data.ArrayLayout(Float32, config.rows)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.adder = adder = FloatAccumulate(
            config.product_bits, exponent_max=config.largest_exponent, bias=config.exponent_bias, operands=config.max_visits,
            stages=config.sum_stages)
        visit = delay(m, self.visit, PRODUCT_STAGES, "visit", reset=True)
        starts, ends = (delay(m, value, PRODUCT_STAGES, name) for name, value in
                        (("starts", self.starts_tile), ("ends", self.ends_tile)))
        sums, results = (Signal(data.ArrayLayout(32, config.rows), name=name, reset_less=True) for name in ("sums", "finished"))
        m.d.comb += [
            adder.operand.eq(self._product(m)),
            adder.exponent.eq(delay(m, self.row_exponent + self.scale_exponent, PRODUCT_STAGES, "exponent")),
            adder.sum_in.as_value().eq(Mux(starts, 0, one_hot_select(sums, visit))),
            self.results.as_value().eq(results),
        ]
        write = delay(m, visit, config.sum_stages, "write", reset=True)
        last = delay(m, ends, config.sum_stages, "last")
        for row in range(config.rows):
            with m.If(write[row]):
                m.d.sync += sums[row].eq(adder.sum_out.as_value())
            with m.If(write[row] & last):
                m.d.sync += results[row].eq(adder.sum_out.as_value())
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
