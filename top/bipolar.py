# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bipolar engine: the array of its elements, its core, and the core in the shell."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..dequant.bipolar import BipolarOutput, GroupDequantizer
from ..golden.bipolar import BipolarConfig
from ..hdl.layouts import payload_layout
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.bipolar import BipolarPE, PlaneRegister, PlaneSlicer, XorCount, controls_of
from .core import Core
from .engine import Engine

__all__ = ["BipolarArray", "BipolarCore", "BipolarEngine"]


class BipolarArray(wiring.Component):
    """Operand registers of rows and columns, and an element for each pair of them.

    * Latency: as :class:`~subbyte.pe.bipolar.BipolarPE`. Throughput: a pair of planes of each row and column a cycle.

    Parameters
    ----------
    config : BipolarConfig
    slices : bool
        With the rows' slicers in front: ``activations`` are whole ones then, and there is a ``plane`` to say which.
    capture : bool
        With shadow registers; without, ``results`` are the accumulators.

    Members
    -------
    activations : In(ArrayLayout(lanes or bits_a * lanes, rows))
    weights : In(ArrayLayout(lanes, cols))
    plane : In(config.plane_shape)
    valid, first, last, shift : In
        As of :class:`~subbyte.pe.bipolar.BipolarPE`.
    results : Out(ArrayLayout(ArrayLayout(config.partial, cols), rows))
    done : Out(1)
        The sums of a tile, or group, are there; they stay until those of the next are.
    """

    def __init__(self, config: BipolarConfig, *, slices: bool = True, capture: bool = True):
        self.config, self.slices, self.with_capture = config, slices, capture
        super().__init__({
            "activations": In(data.ArrayLayout(config.lanes * (config.bits_a if slices else 1), config.rows)),
            "weights": In(data.ArrayLayout(config.lanes, config.cols)),
            **({"plane": In(config.plane_shape)} if slices else {}),
            **{name: In(1) for name in ("valid", "first", "last")},
            "shift": In(config.shift_shape),
            "results": Out(data.ArrayLayout(data.ArrayLayout(payload_layout(config.partial), config.cols), config.rows)),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        controls = controls_of(m, config, valid=self.valid, first=self.first, last=self.last, shift=self.shift)
        rows = [self._place_row(m, platform, r) for r in range(config.rows)]
        columns = [self._register(m, platform, f"column_{c}", self.weights[c]) for c in range(config.cols)]
        for r in range(config.rows):
            for c in range(config.cols):
                element = place(m, platform, f"element_{r}_{c}", "element", XorCount, config, capture=self.with_capture)
                m.d.comb += [
                    element.activations.eq(rows[r]),
                    element.weights.eq(columns[c]),
                    *(getattr(element, name).eq(value) for name, value in controls.items() if hasattr(element, name)),
                    self.results[r][c].eq(element.result),
                ]
        m.d.comb += self.done.eq(delay(m, self.valid & self.last, BipolarPE.latency_of(config), "done", reset=True))
        return m

    def _place_row(self, m, platform, number):
        """The plane that a row's elements share."""
        bits = self.activations[number]
        if self.slices:
            slicer = place(m, platform, f"slicer_{number}", "slicer", PlaneSlicer, self.config)
            m.d.comb += [slicer.activations.eq(bits), slicer.plane.eq(self.plane)]
            bits = slicer.bits
        return self._register(m, platform, f"row_{number}", bits)

    def _register(self, m, platform, name, bits):
        register = place(m, platform, name, "plane", PlaneRegister, self.config)
        m.d.comb += register.bits.eq(bits)
        return register.plane


class BipolarCore(Core):
    """The array behind the shell's streams.

    A group is a beat of activations: each pass takes a plane of weights, each term a plane of the activations, which their
    stream holds until the last pass. Where groups have scales, their sums leave the elements, and a dequantizer a column takes
    them on.
    """

    CONFIG = BipolarConfig

    @property
    def latency(self) -> int:
        """That of an element with its operand registers, and of a dequantizer."""
        return BipolarPE.latency_of(self.config) + GroupDequantizer.LATENCY * self.config.has_groups

    @property
    def interval(self) -> int:
        """Sums may be taken in every cycle; with groups when all rows have been visited, and the group's codes moved on."""
        return max(self.config.rows, BipolarPE.latency_of(self.config)) if self.config.has_groups else 1

    def output_unit(self) -> BipolarOutput:
        """Adds constants and corrections, and scales the results unless they stay integers."""
        return BipolarOutput(self.config)

    def figures(self) -> dict[str, object]:
        """Widths of counts and sums."""
        return {"count_bits": self.config.count_bits, "accumulator_bits": self.config.accumulator_bits}

    def usage(self) -> dict[str, dict]:
        """Planes of weights, codes of activations, and what the constants make of a sum."""
        config = self.config
        finished = "addend: added to minus twice the sum of XORs" + (
            "; scale: what the result is multiplied by" if config.has_scales else "; halvings: how often the result is halved")
        return {
            "codes": {
                "weight": "n bits a weight, bit i stands for 2**i if 1 and -2**i if 0; two's complement v of n bits is the "
                          "code v + 2**(n-1), which stands for 2 * v + 1: addends take the rest back",
                "activation": "likewise, m bits, in the low bits of its field",
                "format": "(m - 1) * 8 + n - 1",
                "padding": "zeros on both sides: no XOR counts them",
                "addend": "those of a result's column and row together: K * (2**m - 1) * (2**n - 1) and the corrections",
                **({"scale": f"{config.scale_bits} bits, unsigned: the group's sum counts so often, and what addends take back"}
                   if config.has_groups else {}),
                "beats_per_tile": "of weights n * ceil(K / lanes), of activations ceil(K / lanes)",
            },
            "beats": {
                "weights": f"a plane of {config.lanes} weights of each of {config.cols} columns, the lowest plane first, all n "
                           "of them for each beat of activations",
                "activations": f"{config.lanes} codes of each of {config.rows} rows, held for n planes",
                **({"scales": f"a code for each of {config.cols} columns, a beat for each of activations"}
                   if config.has_groups else {}),
                "constants": finished,
                "tokens": finished,
            },
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self._array()
        index, whole = self.step.index, "group" if self.config.has_groups else "tile"
        m.d.comb += [
            array.activations.eq(self.activations.data),
            array.weights.eq(self.weights.planes),
            array.plane.eq(index.term),
            array.shift.eq(index.term + index["pass"]),
            array.valid.eq(self.step.valid),
            array.first.eq(self.step.first[whole]),
            array.last.eq(self.step.last[whole]),
        ]
        if self.config.has_groups:
            self._dequantize(m, platform, array)
        else:
            m.d.comb += [self.results.eq(array.results), self.done.eq(array.done)]
        return m

    def _dequantize(self, m, platform, array):
        """The columns' dequantizers; each visits the rows' sums in turn."""
        config, captured = self.config, BipolarPE.latency_of(self.config)
        visit = [array.done]
        for row in range(1, config.rows):
            visit.append(delay(m, visit[-1], 1, f"visit_{row}", reset=True))
        facts = self._keep_facts(m, captured)
        for c in range(config.cols):
            dequant = place(m, platform, f"dequant_{c}", "dequant", GroupDequantizer, config)
            m.d.comb += [
                dequant.visit.eq(Cat(visit)),
                dequant.scale_code.eq(facts.codes[c]),
                dequant.starts_tile.eq(facts.starts_tile),
                dequant.ends_tile.eq(facts.ends_tile),
                *(dequant.partials[r].eq(array.results[r][c]) for r in range(config.rows)),
                *(self.results[r][c].eq(dequant.sums[r]) for r in range(config.rows)),
            ]
        done = self.step.valid & self.step.last.tile
        m.d.comb += self.done.eq(delay(m, done, self.latency, "tile_done", reset=True))

    def _keep_facts(self, m, captured):
        """A group's facts wait until its sums are captured, and stay while these are visited."""
        facts = data.StructLayout({"codes": data.ArrayLayout(self.config.scale_bits, self.config.cols),
                                   "starts_tile": 1, "ends_tile": 1})
        left, visited = Signal(facts, reset_less=True), Signal(facts, reset_less=True)
        ends = self.step.valid & self.step.last.group
        with m.If(ends):
            m.d.sync += [
                left.codes.eq(self.scales.codes),
                left.starts_tile.eq(self.step.index.group == 0),
                left.ends_tile.eq(self.step.last.tile),
            ]
        with m.If(delay(m, ends, captured, "visits", reset=True)):
            m.d.sync += visited.eq(left)
        return visited

    def _array(self) -> BipolarArray:
        return BipolarArray(self.config)


class BipolarEngine(Engine):
    """The bipolar engine: weights and activations of 1 to 8 bits, each tile of its own precision.

    * Throughput: ``rows * cols * lanes`` bit products a cycle, n * m of them a product.
    """

    CORE = BipolarCore
