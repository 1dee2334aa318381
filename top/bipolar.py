# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bipolar engine: the array of its elements, its core, and the core in the shell."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..dequant.bipolar import BipolarOutput, GroupSums
from ..golden.bipolar import BipolarConfig
from ..golden.bipolar.config import SCALE_CODE_BITS
from ..hdl.layouts import payload_layout
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.bipolar import BipolarPE, PlaneRegister, PlaneSlicer, XorCount, controls_of
from .core import Core
from .engine import Engine

__all__ = ["BipolarArray", "BipolarCore", "BipolarEngine", "BipolarGroupCore"]


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

    ``first`` and ``last`` are those of what is summed up: a tile, or a group if groups have scales.

    Members
    -------
    activations : In(ArrayLayout(lanes or bits_a * lanes, rows))
    weights : In(ArrayLayout(lanes, cols))
    plane : In(config.plane_shape)
    valid, first, last, shift : In
        As of :class:`~subbyte.pe.bipolar.BipolarPE`.
    results : Out(ArrayLayout(ArrayLayout(config.element_result, cols), rows))
    done : Out(1)
        The results of a tile, or group, are there; they stay until those of the next are.
    """

    def __init__(self, config: BipolarConfig, *, slices: bool = True, capture: bool = True):
        self.config, self.slices, self.with_capture = config, slices, capture
        super().__init__({
            "activations": In(data.ArrayLayout(config.lanes * (config.bits_a if slices else 1), config.rows)),
            "weights": In(data.ArrayLayout(config.lanes, config.cols)),
            **({"plane": In(config.plane_shape)} if slices else {}),
            **{name: In(1) for name in ("valid", "first", "last")},
            "shift": In(config.shift_shape),
            "results": Out(data.ArrayLayout(data.ArrayLayout(payload_layout(config.element_result), config.cols), config.rows)),
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
    stream holds until the last pass.
    """

    CONFIG = BipolarConfig

    @classmethod
    def of(cls, config: BipolarConfig) -> Core:
        """This one, or that with groups."""
        return BipolarGroupCore(config) if config.has_groups else cls(config)

    @property
    def latency(self) -> int:
        """That of an element with its operand registers."""
        return BipolarPE.latency_of(self.config)

    @property
    def interval(self) -> int:
        """Sums may be taken in every cycle."""
        return 1

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
        of_row = "scale: what the result is multiplied by" if config.has_groups else finished
        groups = {"scales": "codes: what a group's sum of XORs is multiplied by, of each column"} if config.has_groups else {}
        return {
            "codes": {
                "weight": "n bits a weight, bit i stands for 2**i if 1 and -2**i if 0; two's complement v of n bits is the "
                          "code v + 2**(n-1), which stands for 2 * v + 1: addends take the rest back",
                "activation": "likewise, m bits, in the low bits of its field",
                "format": "(m - 1) * 8 + n - 1",
                "padding": "zeros on both sides: no XOR counts them",
                "addend": "those of a result's column and row together: K * (2**m - 1) * (2**n - 1) and the corrections",
                "beats_per_tile": "of weights n * ceil(K / lanes), of activations ceil(K / lanes)",
            },
            "beats": {
                "weights": f"a plane of {config.lanes} weights of each of {config.cols} columns, the lowest plane first, all n "
                           "of them for each beat of activations",
                "activations": f"{config.lanes} codes of each of {config.rows} rows, held for n planes",
                "constants": finished,
                **groups,
                "tokens": of_row,
            },
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self._array()
        self._connect(m, array, self.step.first.tile, self.step.last.tile)
        m.d.comb += [self.results.eq(array.results), self.done.eq(array.done)]
        return m

    def _connect(self, m, array, first, last):
        """Operands, and the first and last terms of what the array sums up."""
        index = self.step.index
        m.d.comb += [
            array.activations.eq(self.activations.data),
            array.weights.eq(self.weights.planes),
            array.plane.eq(index.term),
            array.shift.eq(index.term + index["pass"]),
            array.valid.eq(self.step.valid),
            array.first.eq(first),
            array.last.eq(last),
        ]

    def _array(self) -> BipolarArray:
        return BipolarArray(self.config)


class BipolarGroupCore(BipolarCore):
    """The same with groups of ``lanes`` weights that have scales: a dequantizer a column adds up their sums, a row a cycle."""

    @classmethod
    def of(cls, config: BipolarConfig) -> Core:
        """This one."""
        return cls(config)

    @property
    def latency(self) -> int:
        """That of an element, and of the dequantizer."""
        return super().latency + GroupSums.LATENCY

    @property
    def interval(self) -> int:
        """All rows are visited before the next sums are captured, and a group's facts have moved on."""
        return max(self.config.rows, super().latency)

    def elaborate(self, platform):
        m = Module()
        config, step = self.config, self.step
        m.submodules.array = array = self._array()
        self._connect(m, array, step.first.group, step.last.group)
        facts = self._keep_facts(m)
        visits = [array.done]
        for row in range(1, config.rows):
            visits.append(delay(m, visits[-1], 1, f"visit_{row}", reset=True))
        m.d.comb += self.done.eq(delay(m, array.done & facts.ends_tile, GroupSums.LATENCY, "done", reset=True))
        for c in range(config.cols):
            dequant = place(m, platform, f"dequant_{c}", "dequant", GroupSums, config)
            m.d.comb += [
                dequant.visit.eq(Cat(visits)),
                dequant.code.eq(facts.codes[c]),
                dequant.starts_tile.eq(facts.starts_tile),
                dequant.ends_tile.eq(facts.ends_tile),
                *(dequant.sums[r].eq(array.results[r][c]) for r in range(config.rows)),
                *(self.results[r][c].eq(dequant.results[r]) for r in range(config.rows)),
            ]
        return m

    def _keep_facts(self, m):
        """The facts of a group wait until its sums are captured; by then the next group may leave its own."""
        codes = data.ArrayLayout(SCALE_CODE_BITS, self.config.cols)
        facts = data.StructLayout({"codes": codes, "starts_tile": 1, "ends_tile": 1})
        left, visited = Signal(facts, reset_less=True), Signal(facts, reset_less=True)
        ends = self.step.valid & self.step.last.group
        with m.If(ends):
            m.d.sync += [
                left.codes.eq(self.scales.codes),
                left.starts_tile.eq(self.step.index.group == 0),
                left.ends_tile.eq(self.step.last.tile),
            ]
        with m.If(delay(m, ends, super().latency - 1, "captured", reset=True)):
            m.d.sync += visited.eq(left)
        return visited


class BipolarEngine(Engine):
    """The bipolar engine: weights and activations of 1 to 8 bits, each tile of its own precision.

    * Throughput: ``rows * cols * lanes`` bit products a cycle, n * m of them a product.
    """

    CORE = BipolarCore
