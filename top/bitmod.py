# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The BitMoD engine: its core, and the core in the shell."""

from math import ceil

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from ..dequant.bitmod import BitSerialDequantizer, ColumnSum, OutputUnit, Readout, out_format
from ..dequant.constants import Constants
from ..golden.bitmod import BitModConfig
from ..golden.bitmod.formats import Format
from ..hdl.aligner import Aligner
from ..hdl.floating import Float16, Float32
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.bitmod import GroupMac, TermEncoder, plane_shifts
from ..pe.bitmod_special import SpecialValues, SpecialWrite, float_formats
from .engine import Engine, core_members

__all__ = ["BitModCore", "BitModEngine"]


class BitModCore(wiring.Component):
    """The array: an aligner a row, an encoder and a cross-group sum a column, a MAC and a dequantizer a pair.

    Members beside the shell's (:func:`subbyte.top.engine.core_members`)
    -------
    special_values : In(SpecialWrite)
        Writes a special-value register; counts for groups whose first beat comes in a later cycle.
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        self.group_beats = config.group_beats
        self.max_terms = max(fmt.terms for fmt in config.formats)
        self.max_passes = 1
        self.max_groups = config.max_groups
        self.interval = config.timing.interval
        self.tiles_kept = config.timing.kept
        has_special_values = bool(float_formats(config))
        self.weights_layout = data.StructLayout({
            "codes": data.ArrayLayout(data.ArrayLayout(config.code_bits, config.lanes), config.cols),
            **({"selectors": data.ArrayLayout(2, config.cols)} if has_special_values else {}),
            "format": Format,
        })
        self.activations_layout = data.StructLayout({
            "data": data.ArrayLayout(data.ArrayLayout(Float16, config.lanes), config.rows),
        })
        scale = data.StructLayout({"scale_code": config.scale_bits, "unused": 32 - config.scale_bits})
        self.constants = Constants(column=Float32, group=scale)
        self.result_shape = Float32
        self.flags_layout = data.StructLayout({"nonfinite": 1})
        # golden's output_fields names the same
        self.output_fields = {"data": data.ArrayLayout(out_format(config), config.drain), "nonfinite": 1, "overflow": 1}
        self.errors_layout = data.StructLayout({
            "format_changed": 1,
            "format_unsupported": 1,
            "nonfinite": 1,
            **({"special_value": 1} if has_special_values else {}),
        })
        self.settings = {"special_values": In(SpecialWrite)} if has_special_values else {}
        super().__init__({**core_members(self), **self.settings})

    def output_unit(self) -> OutputUnit:
        """What the drain sends results through."""
        return OutputUnit(self)

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        timing = self.config.timing
        return {
            "terms": {fmt.name: fmt.terms for fmt in self.config.formats},
            "accumulator_bits": self.config.accumulator_bits,
            "product_bits": self.config.product_bits,
            "shortest_group_without_stall": timing.interval,
            "latency_last_term_to_first_output": timing.result + timing.output,
            "largest_k": self.config.max_groups * self.config.group_size,
            "shortest_k_that_hides_the_drain": {fmt.name: self._hiding_k(fmt) for fmt in self.config.formats},
        }

    def _hiding_k(self, fmt):
        """Shortest K, in whole beats, whose tiles last as long as the drain of one; a short group lasts an interval."""
        timing, config = self.config.timing, self.config
        needed = timing.result + timing.drain_beats
        full = max(config.group_beats * fmt.terms, timing.interval)
        groups, rest = divmod(needed, full)
        beats = 0 if rest == 0 else 1 if rest <= timing.interval else ceil(rest / fmt.terms)
        return groups * config.group_size + beats * config.lanes

    def elaborate(self, platform):
        m = Module()
        config = self.config
        self._watch_format(m)
        aligners = self._place_aligners(m, platform)
        encoders = self._place_encoders(m, platform)
        m.submodules.readout = readout = Readout(config)
        self._connect_readout(m, readout, aligners)
        rises = [delay(m, aligner.rise, GroupMac.SUM_AFTER, f"rise_{r}") for r, aligner in enumerate(aligners)]
        starts = self.step.valid & self.step.first.group
        first = delay(m, starts, config.ALIGN_STAGES + GroupMac.SUM_AFTER, "first", reset=True)
        shift = delay(m, self._plane_shift(), config.ALIGN_STAGES + GroupMac.SHIFT_AFTER, "shift", reset=True)
        for c in range(config.cols):
            column = place(m, platform, f"sum_{c}", "bitmod_column_sum", ColumnSum, config)
            m.d.comb += [
                column.visit.eq(readout.visit),
                column.alignment.eq(readout.visited_alignment),
                column.first.eq(readout.first_group),
                column.last.eq(readout.last_group),
            ]
            for r in range(config.rows):
                mac = place(m, platform, f"mac_{r}_{c}", "bitmod_mac", GroupMac, config)
                dequant = place(m, platform, f"dequant_{r}_{c}", "bitmod_dequant", BitSerialDequantizer, config)
                m.d.comb += [
                    mac.aligned.eq(aligners[r].aligned),
                    mac.rise.eq(rises[r]),
                    mac.terms.eq(encoders[c].terms),
                    mac.negations.eq(encoders[c].negations),
                    mac.shift.eq(shift),
                    mac.first.eq(first),
                    dequant.sum.eq(mac.sum),
                    dequant.capture.eq(readout.capture),
                    dequant.first.eq(readout.first_bit),
                    dequant.active.eq(readout.active),
                    dequant.scale_bit.eq(readout.scale_bits[c]),
                    column.products[r].eq(dequant.product),
                    self.results[r][c].eq(column.results[r]),
                ]
        return m

    def _watch_format(self, m):
        """Terms of the format, and what is wrong with it."""
        fmt = Signal(3, reset_less=True)
        with m.If(self.step.valid):
            m.d.sync += fmt.eq(self.weights.format)
        m.d.comb += [
            self.passes.eq(1),
            self.errors.format_changed.eq(self.step.valid & ~self.step.first.group & (self.weights.format != fmt)),
        ]
        with m.Switch(self.weights.format):
            for supported in self.config.formats:
                with m.Case(supported.value):
                    m.d.comb += self.terms.eq(supported.terms)
            with m.Default():
                m.d.comb += [self.terms.eq(1), self.errors.format_unsupported.eq(self.step.valid)]

    def _plane_shift(self):
        """One-hot plane shift of this cycle's term, zero without a term."""
        is_float = Cat(self.weights.format == fmt.value for fmt in float_formats(self.config)).any()
        term = self.step.index.term
        amount = Mux(is_float, term, term << 1)
        return Cat(self.step.valid & (amount == shift) for shift in plane_shifts(self.config))

    def _place_aligners(self, m, platform):
        """One for each row; together they know whether the tile has met an infinity or NaN."""
        aligners = []
        for r in range(self.config.rows):
            aligner = place(m, platform, f"aligner_{r}", "bitmod_aligner", Aligner, self.config.lanes, self.config.guard_bits)
            m.d.comb += [
                aligner.beat.eq(self.activations.data[r]),
                aligner.valid.eq(self.step.valid),
                aligner.first.eq(self.step.first.group),
            ]
            aligners.append(aligner)
        met, so_far = Signal(), Signal()
        m.d.comb += [
            self.errors.nonfinite.eq(Cat(aligner.nonfinite for aligner in aligners).any()),
            met.eq(self.errors.nonfinite | so_far & ~self.step.first.tile),
        ]
        with m.If(self.step.valid):
            m.d.sync += so_far.eq(met)
            with m.If(self.step.last.tile):
                m.d.sync += self.flags.nonfinite.eq(met)
        return aligners

    def _place_encoders(self, m, platform):
        """One for each column; the special-value registers are common to all."""
        encoders = []
        for c in range(self.config.cols):
            encoder = place(m, platform, f"encoder_{c}", "bitmod_encoder", TermEncoder, self.config)
            m.d.comb += [
                encoder.codes.eq(self.weights.codes[c]),
                encoder.format.eq(self.weights.format),
                encoder.term.eq(self.step.index.term),
            ]
            encoders.append(encoder)
        if float_formats(self.config):
            self._connect_special_values(m, encoders)
        return encoders

    def _connect_special_values(self, m, encoders):
        m.submodules.special = special = SpecialValues(self.config)
        m.d.comb += [special.write.eq(self.special_values), self.errors.special_value.eq(special.refused)]
        for c, encoder in enumerate(encoders):
            m.d.comb += [
                encoder.special.eq(special.terms),
                encoder.selector.eq(self.weights.selectors[c]),
                encoder.load.eq(self.step.valid & self.step.first.group),
            ]

    def _connect_readout(self, m, readout, aligners):
        m.d.comb += [
            readout.group_end.eq(self.step.valid & self.step.last.group),
            readout.starts_tile.eq(self.step.index.group == 0),
            readout.ends_tile.eq(self.step.last.tile),
            self.done.eq(readout.done),
        ]
        m.d.comb += [readout.scale_codes[c].eq(self.scales[c].scale_code) for c in range(self.config.cols)]
        m.d.comb += [readout.alignments[r].eq(aligner.alignment) for r, aligner in enumerate(aligners)]


class BitModEngine(Engine):
    """The BitMoD engine: weights in INT8 to INT3, FP4, FP3; binary16 activations.

    * Throughput: ``rows * cols * lanes`` products in as many cycles as the group's format has terms.
    * Cycles: ``config.cycles``, exactly.

    Parameters
    ----------
    config : BitModConfig
    """

    def __init__(self, config: BitModConfig | None = None):
        self.config = config or BitModConfig()
        super().__init__(BitModCore(self.config))
