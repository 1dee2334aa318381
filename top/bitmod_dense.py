# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The core of BitMoD's dense form."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In

from ..dequant.bitmod_dense import ColumnDequantizer, Visits
from ..dequant.sum_output import SumOutput
from ..golden.bitmod import BitModConfig
from ..golden.bitmod.config import DENSE_EDGE_STAGES, DENSE_MAC_STAGES, DENSE_READ_STAGE, DENSE_SUM_STAGES, EXPONENT_BITS
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.bitmod_dense import ColumnEdge, Element, RowEdge, SpecialLegs
from ..pe.bitmod_special import SpecialWrite
from .core import Core
from .row_errors import tell_row_errors

__all__ = ["BitModDenseCore"]

CAPTURE = DENSE_EDGE_STAGES + DENSE_MAC_STAGES
"""Cycles from a group's last term to the capture of its sums; the first row is visited a cycle later."""


class BitModDenseCore(Core):
    """The array: an edge a row, an edge and a dequantizer a column, an element a pair.

    Members beside those of every core
    -------
    special_values : In(SpecialWrite)
        Writes a special-value register; counts for groups whose first beat comes in a later cycle.
    """

    CONFIG = BitModConfig

    def __init__(self, config: BitModConfig):
        special = bool(config.float_formats)
        super().__init__(config, error_names=("nonfinite", "exponent", *(["special_value"] if special else [])),
                         settings={"special_values": In(SpecialWrite)} if special else {})

    @property
    def latency(self) -> int:
        """The group's sum, its capture, the dequantizer."""
        return CAPTURE + 1 + ColumnDequantizer.latency_of(self.config)

    @property
    def interval(self) -> int:
        """All rows are visited before the next sums are captured, a group's facts have moved on, and a row's sum is there."""
        return max(self.config.rows, CAPTURE, DENSE_SUM_STAGES - DENSE_READ_STAGE + 1)

    def output_unit(self) -> SumOutput:
        """Scales the sums."""
        return SumOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Widths of the sums."""
        return {"accumulator_bits": self.config.accumulator_bits, "sum_bits": self.config.sum_bits}

    def elaborate(self, platform):
        m = Module()
        config, step = self.config, self.step
        starts = step.valid & step.first.group
        high, first, last = self._controls(m, starts)
        capture = delay(m, last, 1, "capture", reset=True)
        high_count = delay(m, high, 1, "high_count")
        rows = self._place_rows(m, platform, starts)
        facts = self._keep_facts(m, rows, capture)
        m.submodules.visits = visits = Visits(config)
        m.d.comb += [
            visits.begin.eq(capture),
            visits.exponents.eq(facts.exponents),
            visits.starts_tile.eq(facts.starts_tile),
            self.done.eq(delay(m, visits.visit & facts.ends_tile, ColumnDequantizer.latency_of(config), "done", reset=True)),
        ]
        special = self._place_special(m) if config.float_formats else None
        for c in range(config.cols):
            edge = place(m, platform, f"column_edge_{c}", "column_edge", ColumnEdge, config)
            dequant = place(m, platform, f"dequant_{c}", "column_dequant", ColumnDequantizer, config)
            m.d.comb += [
                edge.codes.eq(self.weights.codes[c]),
                edge.format.eq(self.weights.format),
                edge.valid.eq(step.valid),
                edge.high.eq(step.index.term[0]),
                edge.first.eq(first),
                edge.high_count.eq(high_count),
                edge.capture.eq(last),
                dequant.negations.eq(edge.negations),
                dequant.scale_code.eq(facts.scale_codes[c]),
                dequant.starts_tile.eq(facts.starts_tile),
                dequant.ends_tile.eq(facts.ends_tile),
                dequant.begin.eq(visits.visit),
                *(getattr(dequant, name).eq(getattr(visits, name)) for name in ("lower", "rise", "exponent")),
            ]
            if special is not None:
                m.d.comb += [edge.special.eq(special.legs), edge.selector.eq(self.weights.selectors[c]), edge.load.eq(starts)]
            above = 0
            for r in reversed(range(config.rows)):
                element = place(m, platform, f"element_{r}_{c}", "element", Element, config)
                m.d.comb += [
                    element.multiples.eq(rows[r].multiples),
                    element.legs.eq(edge.legs),
                    element.high.eq(high),
                    element.first.eq(first.replicate(len(element.first))),
                    element.capture.eq(last),
                    element.above.eq(above),
                    self.results[r][c].eq(dequant.results[r]),
                ]
                above = element.below
            m.d.comb += dequant.chain.eq(above)
        return m

    def _controls(self, m, starts):
        """Of all elements, each a cycle before it acts: the digit of the heap's rows, the group's first sum, its capture."""
        step = self.step
        return (
            delay(m, step.valid & step.index.term[0], CAPTURE - 3, "high"),
            delay(m, starts, CAPTURE - 2, "first", reset=True),
            delay(m, step.valid & step.last.group, CAPTURE - 1, "last", reset=True),
        )

    def _place_rows(self, m, platform, starts):
        """An edge for each row."""
        edges = []
        is_float = Cat(self.weights.format == fmt.value for fmt in self.config.float_formats).any()
        for r in range(self.config.rows):
            edge = place(m, platform, f"row_edge_{r}", "row_edge", RowEdge, self.config)
            m.d.comb += [
                edge.beat.eq(self.activations.data[r]),
                edge.group_exponent.eq(self.activations.exponents[r]),
                edge.first.eq(starts),
                edge.integer.eq(~is_float),
            ]
            edges.append(edge)
        tell_row_errors(m, self, edges)
        return edges

    def _place_special(self, m):
        m.submodules.special = special = SpecialLegs(self.config)
        m.d.comb += [special.write.eq(self.special_values), self.errors.special_value.eq(special.refused)]
        return special

    def _keep_facts(self, m, rows, capture):
        """The facts of a group wait until its sums are captured; by then the next group may leave its own."""
        config = self.config
        facts = data.StructLayout({
            "scale_codes": data.ArrayLayout(config.scale_bits, config.cols),
            "exponents": data.ArrayLayout(EXPONENT_BITS, config.rows),
            "starts_tile": 1,
            "ends_tile": 1,
        })
        left, visited = Signal(facts, reset_less=True), Signal(facts, reset_less=True)
        with m.If(self.step.valid & self.step.last.group):
            m.d.sync += [
                left.scale_codes.eq(self.scales.codes),
                *(left.exponents[r].eq(edge.exponent) for r, edge in enumerate(rows)),
                left.starts_tile.eq(self.step.index.group == 0),
                left.ends_tile.eq(self.step.last.tile),
            ]
        with m.If(capture):
            m.d.sync += visited.eq(left)
        return visited
