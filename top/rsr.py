# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The RSR engine: the array of its elements, its core, and the core in the shell."""

from math import ceil

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..dequant.constants import Constants
from ..dequant.rsr import OutputUnit, out_format
from ..golden.rsr import RsrConfig
from ..hdl.floating import Float32
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.rsr import element
from ..pe.rsr_edge import ActivationTable, FoldedDecoder, TritDecoder, select_layout
from .engine import Engine, core_members

__all__ = ["RsrArray", "RsrCore", "RsrEngine"]


class RsrArray(wiring.Component):
    """The elements and, once for each row and once for all columns, what stands at the edge.

    * Latency: ``config.timing.result - 1`` cycles from a tile's last beat to ``captured``. Throughput: a beat a cycle.

    Members
    -------
    activations : In(ArrayLayout(ArrayLayout(8, lanes), rows))
    codes : In(ArrayLayout(code_bits, codes_per_beat))
    valid : In(1)
        There is a beat.
    first, last : In(1)
        It is the tile's first, its last.
    sums : Out
        [rows][cols], without the offsets of columns.
    captured : Out(1)
        The sums of a tile are there; they stay until those of the next are.
    """

    def __init__(self, config: RsrConfig):
        self.config = config
        sums = data.ArrayLayout(data.ArrayLayout(signed(config.accumulator_bits), config.cols), config.rows)
        super().__init__({
            "activations": In(data.ArrayLayout(data.ArrayLayout(8, config.lanes), config.rows)),
            "codes": In(data.ArrayLayout(config.code_bits, config.codes_per_beat)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "sums": Out(sums),
            "captured": Out(1),
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles."""
        return {"terms": {"ternary": 1}, "latency_last_beat_to_captured": self.config.timing.result - 1}

    def elaborate(self, platform):
        m = Module()
        config = self.config
        tables = self._place_tables(m, platform)
        selects = self._place_decoders(m, platform)
        stages = 1 + config.sum_stages
        first = delay(m, self.valid & self.first, stages, "first", reset=True)
        capture = delay(m, self.valid & self.last, stages, "capture", reset=True)
        for r in range(config.rows):
            for c in range(config.cols):
                pe = place(m, platform, f"element_{r}_{c}", "rsr_element", element, config)
                m.d.comb += [
                    pe.tables.eq(tables[r]),
                    pe.selects.eq(selects[c]),
                    pe.first.eq(first),
                    pe.capture.eq(capture),
                    self.sums[r][c].eq(pe.sum),
                ]
                if r == c == 0:
                    m.d.comb += self.captured.eq(pe.captured)
        return m

    def _place_tables(self, m, platform):
        """A row's tables each."""
        tables = []
        for r in range(self.config.rows):
            table = place(m, platform, f"table_{r}", "rsr_table", ActivationTable, self.config)
            m.d.comb += table.activations.eq(self.activations[r])
            tables.append(table.tables)
        return tables

    def _place_decoders(self, m, platform):
        """What each column selects."""
        config, selects = self.config, []
        if config.has_trit_bytes:
            for i in range(0, config.codes_per_beat, 2):
                decoder = place(m, platform, f"decoder_{i}", "rsr_decoder", TritDecoder, config)
                m.d.comb += [decoder.codes.eq(self.codes.as_value()[8 * i:8 * i + 16]), decoder.valid.eq(self.valid)]
                selects.append(decoder.selects)
        else:
            for i in range(config.codes_per_beat):
                decoder = place(m, platform, f"decoder_{i}", "rsr_decoder", FoldedDecoder, config)
                m.d.comb += [decoder.code.eq(self.codes[i]), decoder.valid.eq(self.valid)]
                selects.append(decoder.select)
        flat = Cat(selects)
        size = config.lanes // config.group * select_layout(config).size
        return [flat[c * size:(c + 1) * size] for c in range(config.cols)]


class RsrCore(wiring.Component):
    """The array behind the shell's streams. A tile is one group; a beat takes one cycle."""

    def __init__(self, config: RsrConfig):
        self.config = config
        self.group_beats = config.max_beats
        self.max_terms = self.max_passes = self.max_groups = 1
        self.interval = config.timing.interval
        self.tiles_kept = config.timing.kept
        self.weights_layout = data.StructLayout({"codes": data.ArrayLayout(config.code_bits, config.codes_per_beat)})
        self.activations_layout = data.StructLayout({
            "data": data.ArrayLayout(data.ArrayLayout(8, config.lanes), config.rows),
        })
        self.constants = self._constants()
        self.result_shape = signed(config.accumulator_bits)
        self.flags_layout = self.errors_layout = data.StructLayout({})
        scaled = {"data": data.ArrayLayout(out_format(config), config.drain), "overflow": 1}
        # golden's output_fields names the same
        self.output_fields = scaled if config.has_scales else {"data": data.ArrayLayout(signed(32), config.drain)}
        self.settings = {}
        super().__init__(core_members(self))

    def _constants(self):
        """An offset a column; with scales one a token, and one a column or one a tile."""
        offset = signed(self.config.accumulator_bits)
        if not self.config.has_scales:
            return Constants(column=offset)
        if self.config.granularity == "channel":
            return Constants(column=data.StructLayout({"offset": offset, "scale": Float32}), row=Float32)
        return Constants(column=offset, tile=data.StructLayout({"scale": Float32}), row=Float32)

    def output_unit(self) -> OutputUnit:
        """What the drain sends results through."""
        return OutputUnit(self)

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        config, timing = self.config, self.config.timing
        beats = max(timing.interval, timing.drain_beats, ceil((timing.result + timing.drain_beats) / timing.kept))
        return {
            "terms": {"ternary": 1},
            "accumulator_bits": config.accumulator_bits,
            "weight_bits": config.code_bits * config.codes_per_beat / (config.cols * config.lanes),
            "latency_last_term_to_first_output": timing.result + timing.output,
            "largest_k": config.max_beats * config.lanes,
            "shortest_k_that_hides_the_drain": beats * config.lanes,
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = RsrArray(self.config)
        m.d.comb += [
            self.terms.eq(1),
            self.passes.eq(1),
            array.activations.eq(self.activations.data),
            array.codes.eq(self.weights.codes),
            array.valid.eq(self.step.valid),
            array.first.eq(self.step.first.tile),
            array.last.eq(self.step.last.tile),
            self.results.eq(array.sums),
            self.done.eq(array.captured),
        ]
        return m


class RsrEngine(Engine):
    """The RSR engine: ternary weights, INT8 activations.

    * Throughput: ``rows * cols * lanes`` products a cycle.
    * Cycles: ``config.cycles``, exactly.

    Parameters
    ----------
    config : RsrConfig
    """

    def __init__(self, config: RsrConfig | None = None):
        self.config = config or RsrConfig()
        super().__init__(RsrCore(self.config))
