# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The BitMoD engine: its core, and the core in the shell."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In

from ..dequant.bitmod import BitSerialDequantizer, ColumnSum, Readout
from ..dequant.sum_output import SumOutput
from ..golden.bitmod import BitModConfig
from ..golden.bitmod.formats import code_points
from ..hdl.aligner import Aligner
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.bitmod import BitModPE, GroupMac, TermEncoder, plane_shifts
from ..pe.bitmod_special import SpecialValues, SpecialWrite
from .bitmod_dense import BitModDenseCore
from .core import Core
from .engine import Engine

__all__ = ["BitModCore", "BitModEngine"]


class BitModCore(Core):
    """The array: an aligner a row, an encoder and a cross-group sum a column, a MAC and a dequantizer a pair.

    Members beside those of every core
    -------
    special_values : In(SpecialWrite)
        Writes a special-value register; counts for groups whose first beat comes in a later cycle.
    """

    CONFIG = BitModConfig

    def __init__(self, config: BitModConfig):
        special = bool(config.float_formats)
        super().__init__(config, error_names=("nonfinite", *(["special_value"] if special else [])),
                         settings={"special_values": In(SpecialWrite)} if special else {})

    @classmethod
    def of(cls, config: BitModConfig) -> Core:
        """This one, or that of the dense form."""
        return BitModDenseCore(config) if config.is_dense else cls(config)

    @property
    def latency(self) -> int:
        """The group's sum, its capture, its scaling, the sum over groups."""
        return BitModPE.SUM_AFTER + 1 + BitSerialDequantizer.latency_of(self.config) + ColumnSum.latency_of(self.config)

    @property
    def interval(self) -> int:
        """A column visits all rows' products before new ones come, a scale has left its register, a row's sum is written."""
        config = self.config
        return max(BitSerialDequantizer.latency_of(config) + config.rows - 1, BitModPE.SUM_AFTER + config.scale_bits,
                   ColumnSum.latency_of(config))

    def output_unit(self) -> SumOutput:
        """Scales the sums."""
        return SumOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Widths of the sums."""
        return {"accumulator_bits": self.config.accumulator_bits, "product_bits": self.config.product_bits}

    def usage(self) -> dict[str, dict]:
        """Formats, registers, what is not finite."""
        config = self.config
        codes = {fmt.name: {"bits": fmt.bits, "code_points": code_points(fmt)} for fmt in config.formats}
        for fmt in config.float_formats:
            codes[fmt.name] |= {"special_code": fmt.negative_zero, "special_values": config.special_values[fmt]}
        if config.float_formats:
            codes["selectors"] = ("special_code is special_values[selector], by the column's selector in the group's first "
                                  "beat; special_values are those after a reset")
        return {
            "codes": {"weight": "code point * scale code of the group * channel scale; codes are in their slots' low bits",
                      **codes},
            "beats": {"constants": "channel scales: a result is the sum over groups times this",
                      "scales": f"unsigned scale codes of {config.scale_bits} bits"},
            "errors": {"nonfinite": ("an activation is infinite or not a number, and counted as zero",
                                     "send finite activations"),
                       "special_value": ("a write to a special-value register that two terms cannot make; it was ignored",
                                         "write a sum or difference of one of 1 2 4 8 and one of 2 4 8 16")},
        }

    def elaborate(self, platform):
        m = Module()
        config = self.config
        aligners = self._place_aligners(m, platform)
        encoders = self._place_encoders(m, platform)
        m.submodules.readout = readout = Readout(config, BitModPE.SUM_AFTER)
        self._connect_readout(m, readout, aligners)
        rises = [delay(m, aligner.rise, GroupMac.SUM_AFTER, f"rise_{r}") for r, aligner in enumerate(aligners)]
        starts = self.step.valid & self.step.first.group
        first = delay(m, starts, Aligner.LATENCY + GroupMac.SUM_AFTER, "first", reset=True)
        shift = delay(m, self._plane_shift(), Aligner.LATENCY + GroupMac.SHIFT_AFTER, "shift", reset=True)
        columns = []
        for c in range(config.cols):
            column = place(m, platform, f"sum_{c}", "column_sum", ColumnSum, config)
            m.d.comb += [
                column.visit.eq(readout.visit),
                column.alignment.eq(readout.visited_alignment),
                column.first.eq(readout.first_group),
                column.last.eq(readout.last_group),
            ]
            for r in range(config.rows):
                mac = place(m, platform, f"mac_{r}_{c}", "mac", GroupMac, config)
                dequant = place(m, platform, f"dequant_{r}_{c}", "dequant", BitSerialDequantizer, config)
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
                ]
            columns.append(column)
        # At once: an assignment for each element would go through the whole array's bits for each.
        m.d.comb += self.results.as_value().eq(Cat(column.results[r] for r in range(config.rows) for column in columns))
        return m

    def _plane_shift(self):
        """One-hot plane shift of this cycle's term, zero without a term."""
        is_float = Cat(self.weights.format == fmt.value for fmt in self.config.float_formats).any()
        term = self.step.index.term
        amount = Mux(is_float, term, term << 1)
        return Cat(self.step.valid & (amount == shift) for shift in plane_shifts(self.config))

    def _place_aligners(self, m, platform):
        """One for each row; together they know whether the tile has met an infinity or NaN."""
        aligners = []
        for r in range(self.config.rows):
            aligner = place(m, platform, f"aligner_{r}", "aligner", Aligner, self.config.lanes, self.config.guard_bits)
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
            encoder = place(m, platform, f"encoder_{c}", "encoder", TermEncoder, self.config)
            m.d.comb += [
                encoder.codes.eq(self.weights.codes[c]),
                encoder.format.eq(self.weights.format),
                encoder.term.eq(self.step.index.term),
            ]
            encoders.append(encoder)
        if self.config.float_formats:
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
        m.d.comb += [readout.scale_codes[c].eq(self.scales.codes[c]) for c in range(self.config.cols)]
        m.d.comb += [readout.alignments[r].eq(aligner.alignment) for r, aligner in enumerate(aligners)]


class BitModEngine(Engine):
    """The BitMoD engine: weights in INT8 to INT3, FP4, FP3; binary16 activations.

    * Throughput: ``rows * cols * lanes`` products in as many cycles as the group's format has terms.
    """

    CORE = BitModCore
