# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bcq engine: its core, and the core in the shell."""

from dataclasses import replace
from math import ceil

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data

from ..dequant.bcq import PlaneDequantizer
from ..dequant.sum_output import FixedSumOutput
from ..dequant.visits import Visits, relay, shares
from ..golden.alignment import EXPONENT_BITS
from ..golden.bcq import BcqConfig
from ..golden.bcq.config import READ_STAGE, SUM_STAGES
from ..golden.bcq.quantizer import SCALE_RANGE
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..hdl.saved_carry import resolve
from ..pe.bcq import BcqElement, KeyDecoder, TableCopy, TableEdge
from .core import Core
from .engine import Engine
from .row_errors import tell_row_errors

__all__ = ["BcqCore", "BcqEngine"]


class BcqCore(Core):
    """The array: tables for each row, keys and a dequantizer for each column, an element a pair.

    A pass takes one plane through the beats of a group, which the edge keeps; its sums leave with the plane's scales. Where
    planes merge, elements double what they have of those before; a column more, of ones alone, sums the activations.
    """

    CONFIG = BcqConfig

    def __init__(self, config: BcqConfig):
        super().__init__(config, error_names=("nonfinite", "exponent"))

    @property
    def latency(self) -> int:
        """The pass's sum, its capture, the dequantizer."""
        return self.config.capture_stages + 1 + PlaneDequantizer.LATENCY

    @property
    def interval(self) -> int:
        """All rows are visited before the next sums are captured, and a row's sum is there before it is read again."""
        return max(ceil(self.config.rows / self.config.dequantizers), SUM_STAGES - READ_STAGE + 1)

    def output_unit(self) -> FixedSumOutput:
        """Makes the sums binary32 numbers and scales them."""
        return FixedSumOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Widths of tables' entries and of sums."""
        return {"entry_bits": self.config.entry_bits, "accumulator_bits": self.config.accumulator_bits,
                "sum_bits": self.config.sum_bits}

    def usage(self) -> dict[str, dict]:
        """Planes, exponents, scales."""
        config = self.config
        return {
            "errors": {
                "nonfinite": "an activation is an infinity or NaN; it counts as zero",
                "exponent": "an activation's exponent is above its group's; the results are wrong",
            },
            "codes": {
                "weight": "a bit a plane, 1 is plus, 0 is minus the plane's alpha; "
                          + ("the plane of most weight first" if config.merges else "an offset's plane is of ones"),
                "format": f"planes of the group,{'' if config.merges else ' an offset counted,'} less 1",
                "scale": f"significand * 2**(exponent - {SCALE_RANGE + config.scale_digits}), times the column's constant"
                         + ("; of the last plane; offset likewise" if config.merges else ""),
                "exponents": "the largest biased exponent of a row's activations in the group, at least 1",
                "padding": "zeros in the activations",
                "beats_per_tile": "of weights, for each group: planes * ceil(elements / lanes); of scales one for each "
                                  + ("group" if config.merges else "plane"),
            },
            "beats": {
                "weights": f"a plane of {config.lanes} weights of {config.cols} columns; all of a group, then its next plane",
                "activations": f"{config.lanes} of each of {config.rows} rows, once a group; and the rows' exponents",
                "scales": (f"scale and offset of a group of {config.cols} columns" if config.merges
                           else f"a plane's alpha, or the offset, of {config.cols} columns"),
                "constants": "a power of two for each column",
            },
        }

    def elaborate(self, platform):
        m = Module()
        config, step = self.config, self.step
        starts = step.valid & step.first["pass"]
        first = delay(m, starts, config.edge_stages, "first", reset=True)
        twice = delay(m, starts & ~step.first["group"], config.edge_stages, "twice", reset=True) if config.merges else None
        captures = delay(m, step.valid & step.last[config.timing.scaled], config.capture_stages - 1, "captures", reset=True)
        capture = delay(m, captures, 1, "capture", reset=True)
        rows = self._place_rows(m, platform, starts)
        facts = self._keep_facts(m, rows)
        copies = self._copy_tables(m, platform, rows)
        columns = [self._place_keys(m, platform, c, first, twice, captures) for c in range(config.cols)]
        for part in shares(config.rows, config.dequantizers):
            m.submodules[f"visits_{part.start}"] = visits = Visits(len(part), READ_STAGE)
            m.d.comb += [
                visits.begin.eq(capture),
                *(visits.exponents[i].eq(facts.exponents[r]) for i, r in enumerate(part)),
                *(getattr(visits, name).eq(getattr(facts, name)) for name in ("starts_tile", "ends_tile")),
            ]
            if part.start == 0:
                m.d.comb += self.done.eq(
                    delay(m, visits.visit & facts.ends_tile, PlaneDequantizer.LATENCY, "done", reset=True))
            row_sum = self._sum_rows(m, platform, part, copies[0], first, captures) if config.merges else None
            for c, keys in enumerate(columns):
                above = 0
                for r in reversed(part):
                    element = place(m, platform, f"element_{r}_{c}", "element", BcqElement, config)
                    m.d.comb += [
                        element.tables.eq(copies[c // config.readers][r]),
                        element.keys.eq(keys.keys),
                        element.first.eq(first),
                        *([element.twice.eq(twice)] if config.merges else []),
                        element.capture.eq(captures),
                        element.above.eq(above),
                    ]
                    above = element.below
                dequant = place(m, platform, f"dequant_{part.start}_{c}", f"dequant_{len(part)}", PlaneDequantizer, config,
                                len(part))
                m.d.comb += [
                    dequant.chain.eq(above),
                    dequant.negations.eq(keys.negations),
                    dequant.significand.eq(facts.alphas[c].significand),
                    dequant.scale_exponent.eq(facts.alphas[c].exponent),
                    *([dequant.offset.eq(facts.alphas[c].offset), dequant.row_sum.eq(row_sum)] if config.merges else []),
                    *(getattr(dequant, name).eq(getattr(facts, name)) for name in ("starts_tile", "ends_tile")),
                    dequant.begin.eq(visits.visit),
                    *(getattr(dequant, name).eq(getattr(visits, name)) for name in ("lower", "rise")),
                ]
                for i, r in enumerate(part):
                    m.d.comb += [self.results[r][c].sum.eq(dequant.results[i]),
                                 self.results[r][c].exponent.eq(visits.finished[i])]
        return m

    def _copy_tables(self, m, platform, rows):
        """The rows' tables, for each ``readers`` columns anew."""
        if self.config.copies == 1:
            return [[row.tables for row in rows]]
        copies = []
        for i in range(self.config.copies):
            copies.append([])
            for r, row in enumerate(rows):
                copy = place(m, platform, f"copy_{r}_{i}", "copy", TableCopy, self.config)
                m.d.comb += copy.tables.eq(row.tables)
                copies[-1].append(copy.copied)
        return copies

    def _sum_rows(self, m, platform, part, tables, first, capture):
        """The sum of activations of the row visited a cycle ago: of entries that are all plus."""
        valid = delay(m, self.step.valid, self.config.edge_stages, f"read_{part.start}", reset=True)
        above, config = 0, replace(self.config, form="planes")
        for r in reversed(part):
            element = place(m, platform, f"ones_{r}", "ones", BcqElement, config)
            m.d.comb += [
                element.tables.eq(tables[r]),
                *(key.select[-1].eq(valid) for key in element.keys),
                element.first.eq(first),
                element.capture.eq(capture),
                element.above.eq(above),
            ]
            above = element.below
        total = Signal(signed(config.plane_bits), reset_less=True, name=f"row_sum_{part.start}")
        m.d.sync += total.eq(resolve(above, config.plane_bits))
        return total

    def _place_keys(self, m, platform, c, first, twice, capture):
        """The decoder of a column's keys."""
        keys = place(m, platform, f"keys_{c}", "keys", KeyDecoder, self.config)
        m.d.comb += [
            keys.plane.eq(self.weights.plane[c]),
            keys.valid.eq(self.step.valid),
            keys.first.eq(first),
            *([keys.twice.eq(twice)] if self.config.merges else []),
            keys.capture.eq(capture),
        ]
        return keys

    def _place_rows(self, m, platform, starts):
        """An edge for each row."""
        edges = []
        for r in range(self.config.rows):
            edge = place(m, platform, f"row_{r}", "row", TableEdge, self.config)
            m.d.comb += [
                edge.beat.eq(self.activations.data[r]),
                edge.group_exponent.eq(self.activations.exponents[r]),
                edge.first.eq(starts),
            ]
            edges.append(edge)
        tell_row_errors(m, self, edges)
        return edges

    def _keep_facts(self, m, rows):
        """The facts of a pass wait until its sums are captured; by then the next passes may have left their own."""
        facts = data.StructLayout({
            "alphas": self.scales.alphas.shape(),
            "exponents": data.ArrayLayout(EXPONENT_BITS, self.config.rows),
            "starts_tile": 1,
            "ends_tile": 1,
        })
        end, left = self.step.valid & self.step.last[self.config.timing.scaled], Signal(facts, reset_less=True)
        with m.If(end):
            m.d.sync += [
                left.alphas.eq(self.scales.alphas),
                *(left.exponents[r].eq(edge.exponent) for r, edge in enumerate(rows)),
                left.starts_tile.eq((self.step.index.group == 0)
                                    & (1 if self.config.merges else self.step.index["pass"] == 0)),
                left.ends_tile.eq(self.step.last.tile),
            ]
        return relay(m, left, end, self.config.capture_stages, self.interval)


class BcqEngine(Engine):
    """The bcq engine: binary-coded weights of 1 to 8 planes, FP16 activations.

    * Throughput: ``rows * cols * lanes`` one-bit weights a cycle, one for each plane of a weight and for an offset.
    """

    CORE = BcqCore
