# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The core of BitMoD's dense form."""

from math import ceil
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In

from ..dequant.bitmod_dense import ColumnDequantizer
from ..dequant.sum_output import FixedSumOutput
from ..dequant.visits import Visits, relay, shares
from ..golden.bitmod import BitModConfig
from ..golden.bitmod.config import DENSE_EDGE_STAGES, DENSE_MAC_STAGES, DENSE_READ_STAGE, DENSE_SUM_STAGES, EXPONENT_BITS
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..hdl.saved_carry import chunks_of
from ..pe.bitmod_dense import ColumnEdge, Element, RowEdge, SpecialLegs
from ..pe.bitmod_special import SpecialWrite
from .core import Core
from .lookahead import Lookahead
from .row_errors import tell_row_errors

__all__ = ["BitModDenseCore"]

CAPTURE = DENSE_EDGE_STAGES + DENSE_MAC_STAGES
"""Cycles from a group's last term to the capture of its sums; the first row is visited a cycle later."""


class _Controls(NamedTuple):
    """Of all elements and columns, each a cycle before it acts: the digit, the first sum by chunks, the sum's capture."""

    high: Value
    high_count: Value
    first: Value
    capture: Value


class _Part(NamedTuple):
    """The rows that the first, or the second, dequantizer of each column serves; the facts of the group that they visit."""

    rows: range
    facts: data.View
    visits: Visits


class BitModDenseCore(Core):
    """The array: an edge a row, an edge and one or two dequantizers a column, an element a pair.

    Members beside those of every core
    -------
    special_values : In(SpecialWrite)
        Writes a special-value register; counts for groups whose first beat comes in a later cycle.
    """

    CONFIG = BitModConfig
    ROW_EDGE, COLUMN_EDGE, ELEMENT = RowEdge, ColumnEdge, Element
    """Classes of its parts."""

    def __init__(self, config: BitModConfig):
        special = bool(config.float_formats)
        super().__init__(config, error_names=("nonfinite", *(["exponent"] if config.exponents == "given" else []),
                                              *(["special_value"] if special else [])),
                         settings={"special_values": In(SpecialWrite)} if special else {})

    def make_edge(self) -> Lookahead | None:
        """Finds the groups' exponents, unless they are given."""
        return Lookahead(self.config) if self.config.exponents == "found" else None

    @property
    def latency(self) -> int:
        """The group's sum, its capture, the dequantizer."""
        return CAPTURE + 1 + ColumnDequantizer.LATENCY

    @property
    def interval(self) -> int:
        """All rows are visited before the next sums are captured, and a row's sum is there before it is read again."""
        return max(ceil(self.config.rows / self.config.dequantizers), DENSE_SUM_STAGES - DENSE_READ_STAGE + 1)

    def output_unit(self) -> FixedSumOutput:
        """Makes the sums binary32 numbers and scales them."""
        return FixedSumOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Widths of the sums."""
        return {"accumulator_bits": self.config.accumulator_bits, "sum_bits": self.config.sum_bits}

    def elaborate(self, platform):
        m = Module()
        starts = self.step.valid & self.step.first.group
        controls = self._controls(m, starts)
        rows = self._place_rows(m, platform)
        parts = self._place_visits(m, self._keep_facts(m, rows), delay(m, controls.capture, 1, "capture", reset=True))
        special = self._place_special(m) if self.config.float_formats else None
        for c in range(self.config.cols):
            edge = self._place_edge(m, platform, c, controls, special, starts)
            for part in parts:
                self._place_part(m, platform, c, part, rows, edge, controls)
        return m

    def _place_edge(self, m, platform, c, controls, special, starts):
        """The edge of a column."""
        edge = place(m, platform, f"column_edge_{c}", "column_edge", self.COLUMN_EDGE, self.config)
        m.d.comb += [
            edge.codes.eq(self.weights.codes[c]),
            edge.format.eq(self.weights.format),
            edge.valid.eq(self.step.valid),
            edge.high.eq(self.step.index.term[0]),
            edge.first.eq(controls.first[0]),
            edge.high_count.eq(controls.high_count),
            edge.capture.eq(controls.capture),
        ]
        if special is not None:
            m.d.comb += [edge.special.eq(special.legs), edge.selector.eq(self.weights.selectors[c]), edge.load.eq(starts)]
        return edge

    def _place_part(self, m, platform, c, part, rows, edge, controls):
        """A dequantizer of a column and the elements that it serves."""
        above = 0
        for r in reversed(part.rows):
            element = place(m, platform, f"element_{r}_{c}", "element", self.ELEMENT, self.config)
            m.d.comb += [
                element.multiples.eq(rows[r].multiples),
                element.legs.eq(edge.legs),
                element.high.eq(controls.high),
                element.first.eq(controls.first),
                element.capture.eq(controls.capture),
                element.above.eq(above),
            ]
            above = element.below
        count, facts, visits = len(part.rows), part.facts, part.visits
        dequant = place(m, platform, f"dequant_{part.rows.start}_{c}", f"column_dequant_{count}",
                        ColumnDequantizer, self.config, count)
        m.d.comb += [
            dequant.chain.eq(above),
            dequant.correction.eq(edge.correction),
            dequant.scale_code.eq(facts.scale_codes[c]),
            *(getattr(dequant, name).eq(getattr(facts, name)) for name in ("starts_tile", "ends_tile")),
            dequant.begin.eq(visits.visit),
            *(getattr(dequant, name).eq(getattr(visits, name)) for name in ("lower", "rise")),
        ]
        for i, r in enumerate(part.rows):
            m.d.comb += [self.results[r][c].sum.eq(dequant.results[i]), self.results[r][c].exponent.eq(visits.finished[i])]

    def _place_visits(self, m, facts, capture):
        """The parts of the array that have a dequantizer a column, and what tells these of their rows' turns."""
        parts = []
        for rows in shares(self.config.rows, self.config.dequantizers):
            m.submodules[f"visits_{rows.start}"] = visits = Visits(len(rows), DENSE_READ_STAGE)
            m.d.comb += [
                visits.begin.eq(capture),
                *(visits.exponents[i].eq(facts.exponents[r]) for i, r in enumerate(rows)),
                *(getattr(visits, name).eq(getattr(facts, name)) for name in ("starts_tile", "ends_tile")),
            ]
            parts.append(_Part(rows, facts, visits))
        done = parts[0].visits.visit & facts.ends_tile
        m.d.comb += self.done.eq(delay(m, done, ColumnDequantizer.LATENCY, "done", reset=True))
        return parts

    def _controls(self, m, starts):
        step = self.step
        high = delay(m, step.valid & step.index.term[0], CAPTURE - 3, "high")
        first = delay(m, starts, CAPTURE - 2, "first", reset=True)
        return _Controls(
            high, delay(m, high, 1, "high_count"),
            first.replicate(len(chunks_of(self.config.accumulator_bits))),
            delay(m, step.valid & step.last.group, CAPTURE - 1, "last", reset=True),
        )

    def _place_rows(self, m, platform):
        """An edge for each row."""
        edges = []
        is_float = Cat(self.weights.format == fmt.value for fmt in self.config.float_formats).any()
        for r in range(self.config.rows):
            edge = place(m, platform, f"row_edge_{r}", "row_edge", self.ROW_EDGE, self.config)
            # The step's ``first.group``, in a register for each row: from the counters it is long on its way to all of them.
            first = Signal(name=f"first_{r}", init=1)
            with m.If(self.step.valid):
                m.d.sync += first.eq(self.step.last.group)
            m.d.comb += [
                edge.beat.eq(self.activations.data[r]),
                edge.group_exponent.eq(self.activations.exponents[r]),
                edge.first.eq(first),
                edge.integer.eq(~is_float),
            ]
            edges.append(edge)
        tell_row_errors(m, self, edges)
        return edges

    def _place_special(self, m):
        m.submodules.special = special = SpecialLegs(self.config)
        m.d.comb += [special.write.eq(self.special_values), self.errors.special_value.eq(special.refused)]
        return special

    def _keep_facts(self, m, rows):
        """The facts of a group wait until its sums are captured; by then the next group may leave its own."""
        config = self.config
        facts = data.StructLayout({
            "scale_codes": data.ArrayLayout(config.scale_bits, config.cols),
            "exponents": data.ArrayLayout(EXPONENT_BITS, config.rows),
            "starts_tile": 1,
            "ends_tile": 1,
        })
        end = self.step.valid & self.step.last.group
        left = Signal(facts, name="left", reset_less=True)
        with m.If(end):
            m.d.sync += [
                left.scale_codes.eq(self.scales.codes),
                *(left.exponents[r].eq(edge.exponent) for r, edge in enumerate(rows)),
                left.starts_tile.eq(self.step.index.group == 0),
                left.ends_tile.eq(self.step.last.tile),
            ]
        return relay(m, left, end, CAPTURE, self.interval)
