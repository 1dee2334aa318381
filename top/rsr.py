# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The RSR engine: the array of its elements, its core, and the core in the shell."""

from amaranth.hdl import Cat, Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..dequant.rsr import RsrOutput
from ..golden.rsr import RsrConfig
from ..golden.rsr.codes import trits_of_bytes
from ..golden.rsr.streams import excess_of_terms
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..hdl.shift_accumulator import ShiftAccumulator
from ..pe.rsr import element
from ..pe.rsr_edge import ActivationTable, FoldedDecoder, TritDecoder, select_layout
from .core import Core
from .engine import Engine

__all__ = ["RsrArray", "RsrCore", "RsrEngine"]


class RsrArray(wiring.Component):
    """The elements and, once for each row and once for all columns, what stands at the edge.

    * Latency: :meth:`latency_of` the config from a tile's last beat to ``captured``. Throughput: a beat a cycle.

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

    @staticmethod
    def latency_of(config: RsrConfig) -> int:
        """Cycles from a tile's last beat to its sums: operand registers, the terms' sum, the accumulator."""
        accumulator = ShiftAccumulator.latency_of(config.accumulator_bits, config.accumulator_chunk, capture=True)
        return ActivationTable.LATENCY + config.dot_stages + accumulator

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
        return {
            "terms": {work.name: work.terms for work in self.config.formats_taken.values()},
            "latency_last_term_to_done": self.latency_of(self.config),
        }

    def elaborate(self, platform):
        m = Module()
        config = self.config
        tables = self._place_tables(m, platform)
        selects = self._place_decoders(m, platform)
        stages = ActivationTable.LATENCY + config.dot_stages
        first = delay(m, self.valid & self.first, stages, "first", reset=True)
        capture = delay(m, self.valid & self.last, stages, "capture", reset=True)
        sums = []
        for r in range(config.rows):
            for c in range(config.cols):
                pe = place(m, platform, f"element_{r}_{c}", "element", element, config)
                m.d.comb += [
                    pe.tables.eq(tables[r]),
                    pe.selects.eq(selects[c]),
                    pe.first.eq(first),
                    pe.capture.eq(capture),
                ]
                sums.append(pe.sum)
        # At once: an assignment for each element would go through the whole array's bits for each.
        m.d.comb += [self.sums.as_value().eq(Cat(sums)), self.captured.eq(pe.captured)]
        return m

    def _place_tables(self, m, platform):
        """A row's tables each."""
        tables = []
        for r in range(self.config.rows):
            table = place(m, platform, f"table_{r}", "table", ActivationTable, self.config)
            m.d.comb += table.activations.eq(self.activations[r])
            tables.append(table.tables)
        return tables

    def _place_decoders(self, m, platform):
        """What each column selects."""
        config, selects = self.config, []
        if config.has_trit_bytes:
            for i in range(0, config.codes_per_beat, 2):
                decoder = place(m, platform, f"decoder_{i}", "decoder", TritDecoder, config)
                m.d.comb += [decoder.codes.eq(self.codes.as_value()[8 * i:8 * i + 16]), decoder.valid.eq(self.valid)]
                selects.append(decoder.selects)
        else:
            for i in range(config.codes_per_beat):
                decoder = place(m, platform, f"decoder_{i}", "decoder", FoldedDecoder, config)
                m.d.comb += [decoder.code.eq(self.codes[i]), decoder.valid.eq(self.valid)]
                selects.append(decoder.select)
        flat = Cat(selects)
        size = config.lanes // config.term_weights * select_layout(config).size
        return [flat[c * size:(c + 1) * size] for c in range(config.cols)]


class RsrCore(Core):
    """The array behind the shell's streams. A tile is one group; a beat takes one cycle."""

    CONFIG = RsrConfig

    @property
    def latency(self) -> int:
        """That of the array."""
        return RsrArray.latency_of(self.config)

    @property
    def interval(self) -> int:
        """A sum is taken before the next one reaches its chunk."""
        return ShiftAccumulator.skew_of(self.config.accumulator_bits, self.config.accumulator_chunk) + 1

    def output_unit(self) -> RsrOutput:
        """Adds the columns' offsets, and scales the sums unless they stay integers."""
        return RsrOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Width of the sums, and what a weight takes of its stream."""
        config = self.config
        return {
            "accumulator_bits": config.accumulator_bits,
            "weight_bits": config.code_bits * config.codes_per_beat / (config.cols * config.lanes),
        }

    def usage(self) -> dict[str, dict]:
        """Codes of trits, and the offsets that the array's arithmetic needs."""
        config = self.config
        if config.has_trit_bytes:
            even, odd = (["".join("-0+"[trit + 1] for trit in row) for row in rows] for rows in trits_of_bytes())
            codes = {"weight": "the trits of a beat, columns in order and in each the lanes, five a byte, those at even and at "
                     "odd places by a table each", "trits_of_even_bytes": even, "trits_of_odd_bytes": odd}
        else:
            codes = {"weight": f"{config.mu} trits a code, columns in order and in each the lanes: the magnitude of the base-3 "
                     "number with these digits -1, 0, 1, the first most significant, and above it its sign"}
        offset = (f"the sum, over the row's terms of {config.term_weights} trits, of -excess[s][m], modulo "
                  f"2**{config.accumulator_bits}; m, s: magnitude and sign of the term as a base-3 number")
        finished = "offset: added to the sum" + ("; then the result times scale" if config.has_scales else "")
        return {
            "codes": {**codes, "offset": offset, "excess": excess_of_terms(config).T.tolist()},
            "beats": {"constants": finished, "tokens": "the scales of the rows: a result is the sum times scale times this"},
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = RsrArray(self.config)
        m.d.comb += [
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
    """

    CORE = RsrCore
