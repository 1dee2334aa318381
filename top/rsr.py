# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The RSR engine: the array of its elements, its core, and the core in the shell."""

from math import ceil

from amaranth.hdl import Cat, EnableInserter, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.rsr import RsrConfig
from ..hdl.adders import carry_select_add
from ..hdl.floating import Float16, Float32, FloatScale
from ..hdl.int_to_float import IntToFloat
from ..hdl.pipeline import delay
from ..pe.rsr import element
from ..pe.rsr_edge import ActivationTable, FoldedDecoder, TritDecoder, select_layout
from .constants import Constants, unit_members
from .emit import place
from .engine import Engine, core_members

__all__ = ["OutputUnit", "RsrArray", "RsrCore", "RsrEngine"]


class OutputUnit(wiring.Component):
    """Adds its column's offset to each of ``drain`` sums and, unless they stay integers, scales it.

    The scales of weight and token are multiplied first, rounded to binary32; then the sum by their product, rounded once.
    """

    def __init__(self, core):
        self.config = core.config
        super().__init__(unit_members(core))

    @property
    def latency(self) -> int:
        """Cycles from ``results`` to ``payload``."""
        return self.config.output_stages

    def elaborate(self, platform):
        m = Module()
        per_tensor = self.config.granularity == "tensor"
        common = self._multiply_scales(m, platform, "scale", self.common.scale) if self._scaled and per_tensor else None
        overflows = []
        for i in range(self.config.drain):
            total = self._offset(m, platform, i)
            if not self._scaled:
                m.d.comb += self.payload.data[i].eq(total)
                continue
            scale = common if per_tensor else self._multiply_scales(m, platform, f"scale_{i}", self.columns[i].scale)
            y, overflow = self._scale(m, platform, i, total, scale)
            m.d.comb += self.payload.data[i].eq(y)
            overflows.append(overflow)
        if self._scaled:
            m.d.comb += self.payload.overflow.eq(Cat(overflows).any())
        return EnableInserter(self.enable)(m)

    @property
    def _scaled(self):
        return self.config.has_scales

    def _offset(self, m, platform, index):
        """The sum proper, registered."""
        total = Signal(signed(self.config.accumulator_bits), name=f"total_{index}")
        columns = self.columns[index].offset if self._scaled and self.config.granularity == "channel" else self.columns[index]
        m.d.comb += total.eq(carry_select_add(m, self.results[index].as_unsigned(), columns.as_unsigned(),
                                            platform=platform))
        return delay(m, total, 1, f"total_{index}")

    def _multiply_scales(self, m, platform, name, scale):
        """Weight scale times token scale, there a cycle later than the product of operands that were."""
        product = place(m, platform, name, "rsr_scale_product", FloatScale, Float32,
                        product_stages=self.config.product_stages)
        m.d.comb += [product.enable.eq(self.enable), product.sum.eq(scale), product.scale.eq(self.row)]
        return delay(m, product.y, 1, name)

    def _scale(self, m, platform, index, total, scale):
        """A sum times its scale."""
        convert = place(m, platform, f"convert_{index}", "rsr_convert", IntToFloat, self.config.accumulator_bits)
        unit = place(m, platform, f"product_{index}", "rsr_product", FloatScale, out_format(self.config),
                     product_stages=self.config.product_stages)
        m.d.comb += [
            convert.enable.eq(self.enable),
            convert.value.eq(delay(m, total, unit_latency(self.config) - IntToFloat.latency, f"waiting_{index}")),
            unit.enable.eq(self.enable),
            unit.sum.eq(convert.y),
            unit.scale.eq(scale),
        ]
        return unit.y, unit.overflow


def unit_latency(config: RsrConfig) -> int:
    """Latency of a :class:`~subbyte.hdl.floating.FloatScale` of the config."""
    return config.product_stages + 2


def out_format(config: RsrConfig):
    """The format of scaled results."""
    return Float32 if config.output == "float32" else Float16


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
