# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The Tender engine: its array, its core, and the core in the shell."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..dequant.tender import TenderOutput
from ..golden.tender import TenderConfig
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.tender import ActivationPairs, PairSelects, ShiftMac, TenderPE, controls_of
from .core import Core
from .engine import Engine

__all__ = ["TenderArray", "TenderCore", "TenderEngine"]


class TenderArray(wiring.Component):
    """Operand registers of rows and columns, and a MAC for each pair of them.

    * Latency: as :class:`~subbyte.pe.tender.TenderPE`. Throughput: a beat of ``lanes`` products of each pair a cycle.

    Parameters
    ----------
    config : TenderConfig
    shift, capture : bool
        See :class:`~subbyte.pe.tender.ShiftMac`; synthesis compares arrays without them.

    Members
    -------
    activations : In(ArrayLayout(ArrayLayout(bits_a, lanes), rows))
    codes : In(ArrayLayout(ArrayLayout(bits_w, lanes), cols))
    is_unsigned, valid, first, last, shift : In(1)
        As of :class:`~subbyte.pe.tender.TenderPE`.
    values : Out(ArrayLayout(ArrayLayout(signed(accumulator_bits), cols), rows))
        The sums: with ``capture`` those of a finished tile, from ``captured`` on, else the accumulators.
    captured : Out(1)
    overflow : Out(1)
        Any element's, a cycle later than theirs.
    """

    def __init__(self, config: TenderConfig, *, shift: bool = True, capture: bool = True):
        self.config, self.options = config, {"shift": shift, "capture": capture}
        super().__init__({
            "activations": In(data.ArrayLayout(data.ArrayLayout(config.bits_a, config.lanes), config.rows)),
            "codes": In(data.ArrayLayout(data.ArrayLayout(config.bits_w, config.lanes), config.cols)),
            **{name: In(1) for name in ("is_unsigned", "valid", "first", "last", "shift")},
            "values": Out(data.ArrayLayout(data.ArrayLayout(signed(config.accumulator_bits), config.cols), config.rows)),
            "captured": Out(1),
            "overflow": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        controls = controls_of(m, config, valid=self.valid, is_unsigned=self.is_unsigned, first=self.first, last=self.last,
                               shift=self.shift)
        rows, columns = self._place_edges(m, platform)
        values, overflows = [], []
        for r in range(config.rows):
            for c in range(config.cols):
                mac = self._place_mac(m, platform, f"mac_{r}_{c}")
                m.d.comb += [
                    mac.pairs.eq(rows[r].pairs),
                    mac.selects.eq(columns[c].selects),
                    *(getattr(mac, name).eq(value) for name, value in controls.items() if hasattr(mac, name)),
                ]
                values.append(mac.result if self.options["capture"] else mac.value)
                overflows.append(mac.overflow)
        # At once: an assignment for each element would go through the whole array's bits for each.
        m.d.comb += self.values.as_value().eq(Cat(values))
        m.d.sync += self.overflow.eq(Cat(overflows).any())
        if self.options["capture"]:
            m.d.comb += self.captured.eq(mac.captured)
        return m

    def _place_mac(self, m, platform, name):
        return place(m, platform, name, "mac", ShiftMac, self.config, **self.options)

    def _place_edges(self, m, platform):
        """The operand registers of each row and each column."""
        rows, columns = [], []
        for r in range(self.config.rows):
            rows.append(row := place(m, platform, f"row_{r}", "row", ActivationPairs, self.config))
            m.d.comb += [row.activations.eq(self.activations[r]), row.is_unsigned.eq(self.is_unsigned)]
        for c in range(self.config.cols):
            columns.append(column := place(m, platform, f"column_{c}", "column", PairSelects, self.config))
            m.d.comb += [column.codes.eq(self.codes[c]), column.valid.eq(self.valid)]
        return rows, columns


class TenderCore(Core):
    """The array, and the flag of its tile. A tile is one group of the shell's schedule."""

    CONFIG = TenderConfig

    def __init__(self, config: TenderConfig):
        super().__init__(config, error_names=("overflow",))

    @property
    def latency(self) -> int:
        """The operand registers, the dot product, the accumulator; what collects overflows waits as long."""
        return TenderPE.latency_of(self.config)

    @property
    def interval(self) -> int:
        """That of an element."""
        return TenderPE.interval_of(self.config)

    def output_unit(self) -> TenderOutput:
        """Scales the sums, and requantizes them if the engine does so."""
        return TenderOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Widths of the sums."""
        return {"accumulator_bits": self.config.accumulator_bits, "dot_bits": self.config.dot_bits}

    def usage(self) -> dict[str, dict]:
        """Channel groups and overflow."""
        config = self.config
        beat = (f"{config.lanes} channels of K of each of %s, all of one channel group; groups go from the largest scale to "
                "the smallest, and what a group's last beat lacks is zero")
        finished = "scale: that of the last channel group times the column's; constant: added to the product" + (
            "; divisor: what the result is divided by before it is rounded" if config.requantizes else "")
        return {
            "codes": {"weight": f"two's complement of {config.bits_w} bits",
                      "activation": f"{config.bits_a} bits, two's complement, or from 0 up where `unsigned` is set",
                      "shift": "the sums double before the beat is added: set once for each step to the next smaller scale, "
                               "and a scale without channels has a beat of zeros",
                      "beats_per_tile": "the sum over channel groups of ceil(channels / lanes)"},
            "beats": {"weights": beat % f"{config.cols} columns", "activations": beat % f"{config.rows} rows",
                      "constants": finished},
            "errors": {"overflow": (f"a sum did not fit {config.accumulator_bits} bits, and wrapped",
                                    "generate an engine with more accumulator_bits")},
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self._array()
        m.d.comb += [
            array.activations.eq(self.activations.data),
            array.is_unsigned.eq(self.activations.unsigned),
            array.shift.eq(self.activations.shift),
            array.codes.eq(self.weights.codes),
            array.valid.eq(self.step.valid),
            array.first.eq(self.step.first.tile),
            array.last.eq(self.step.last.tile),
            self.results.eq(array.values),
        ]
        self._watch_overflow(m, array)
        return m

    def _array(self) -> TenderArray:
        return TenderArray(self.config)

    def _watch_overflow(self, m, array):
        """Collect the tile's overflows; each comes ``late`` cycles behind its beat, and the results are there with the last."""
        late = self.latency
        starts = delay(m, self.step.valid & self.step.first.tile, late, "starts", reset=True)
        ends = delay(m, self.step.valid & self.step.last.tile, late, "ends", reset=True)
        so_far, met, kept = Signal(reset_less=True), Signal(), Signal(reset_less=True)
        m.d.comb += [
            met.eq(array.overflow | so_far & ~starts),
            self.flags.overflow.eq(Mux(ends, met, kept)),
            self.errors.overflow.eq(ends & met),
            self.done.eq(ends),
        ]
        m.d.sync += [so_far.eq(met), kept.eq(self.flags.overflow)]


class TenderEngine(Engine):
    """The Tender engine: weights and activations in INT4 or INT8, channel groups whose scales are a factor 2 apart.

    * Throughput: ``rows * cols * lanes`` products a cycle; a shift costs none.
    """

    CORE = TenderCore
