# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT's processing element: XOR of two planes, population count, and its place in the sum.

The planes of weights and activations meet pair by pair, and a count of differing bits belongs ``i + j`` places up. No order of
pairs that sends neither operand twice goes through these places in one direction, so the count is moved, not the accumulator:
15 places for 9 bits cost less than a second register to merge planes in (docs/bipolar.md).

:class:`PlaneRegister` belongs to a row or a column, :class:`XorCount` to a pair of them; :class:`BipolarPE` is one of each.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..golden.bipolar import BipolarConfig
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.chunk_accumulator import ChunkAccumulator
from ..hdl.dual_table import dual_table
from ..hdl.layouts import payload_layout
from ..hdl.pipeline import delay
from ..hdl.target import has_dual_tables

__all__ = ["BipolarPE", "PlaneRegister", "PlaneSlicer", "XorCount", "controls_of"]

CHAIN = 6
"""Tables that add the differences of two lanes each to one sum."""


class PlaneSlicer(wiring.Component):
    """A plane of a row's activations, for all its columns. No registers: the stream holds the activations through all planes.

    * Latency: none.

    Members
    -------
    activations : In(bits_a * lanes)
        [lanes][bits_a].
    plane : In(config.plane_shape)
    bits : Out(lanes)
    """

    def __init__(self, config: BipolarConfig):
        self.config = config
        super().__init__({
            "activations": In(config.bits_a * config.lanes),
            "plane": In(config.plane_shape),
            "bits": Out(config.lanes),
        })

    def elaborate(self, platform):
        m = Module()
        count = self.config.bits_a
        chosen = [Signal(name=f"plane_is_{j}") for j in range(count)]
        m.d.comb += [signal.eq(self.plane == j) for j, signal in enumerate(chosen)]
        for lane in range(self.config.lanes):
            activation = self.activations.word_select(lane, count)
            m.d.comb += self.bits[lane].eq((activation & Cat(chosen)).any())
        return m


class PlaneRegister(wiring.Component):
    """The operand register of a row or a column: a plane that all its elements share.

    * Latency: ``LATENCY``, a cycle.

    Members
    -------
    bits : In(lanes)
    plane : Out(lanes)
    """

    LATENCY = 1

    def __init__(self, config: BipolarConfig):
        super().__init__({"bits": In(config.lanes), "plane": Out(config.lanes)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.plane.eq(delay(m, self.bits, self.LATENCY, "plane"))
        return m


class XorCount(wiring.Component):
    """Differing bits of two planes, counted, moved to their place, and added to an unsigned accumulator.

    ``acc <- (0 if first else acc) + (popcount(weights ^ activations) << shift)``. Lanes in which both planes have equal bits
    add nothing, so what fills up K needs no mask.

    * Latency: ``config.dot_stages`` cycles from planes to count; controls come a cycle before it and end in registers here,
      next to what they control. Then as :class:`~subbyte.hdl.chunk_accumulator.ChunkAccumulator`. Throughput: a pair of planes
      a cycle.

    Parameters
    ----------
    config : BipolarConfig
    capture : bool
        With shadow registers, which an engine's drain needs.

    Members
    -------
    weights, activations : In(lanes)
    valid, first : In(1)
        There is a pair of planes; it is the tile's first.
    shift : In(config.shift_shape)
        Sum of the numbers of both planes.
    capture : In(1)
        It is the tile's last.
    result : Out(StructLayout)
        ``config.partial``.
    """

    def __init__(self, config: BipolarConfig, *, capture: bool = True):
        self.config, self.with_capture = config, capture
        super().__init__({
            "weights": In(config.lanes),
            "activations": In(config.lanes),
            "valid": In(1),
            "first": In(1),
            "shift": In(config.shift_shape),
            **({"capture": In(1)} if capture else {}),
            "result": Out(payload_layout(config.partial)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.heap = heap = self._heap(m, platform)
        m.submodules.accumulator = accumulator = ChunkAccumulator(
            config.chunks, config.count_bits + config.largest_shift, capture=self.with_capture)
        count = delay(m, heap.sum, config.dot_stages - heap.latency, "count")
        valid, shift = (delay(m, value, 1, name) for value, name in ((self.valid, "valid"), (self.shift, "shift")))
        m.d.comb += [
            accumulator.operand.eq(_moved(count & valid.replicate(len(count)), shift)),
            accumulator.first.eq(delay(m, self.first, 1, "first")),
            self.result.eq(accumulator.result),
        ]
        if self.with_capture:
            m.d.comb += accumulator.capture.eq(delay(m, self.capture, 1, "capture", reset=True))
        return m

    def _heap(self, m, platform) -> BitHeap:
        """The counter of differing bits, its terms connected."""
        config = self.config
        bits = self._pairs(m) if has_dual_tables(platform) else [(bit, 0, 0.5) for bit in self.weights ^ self.activations]
        terms = [Term(1, weight=weight, delay=late) for _, weight, late in bits]
        heap = BitHeap(terms, width=config.count_bits, style="counter", register_output=True,
                       budget=least_budget(terms, config.count_bits, config.dot_stages - 1))
        m.d.comb += [heap.terms[number].eq(bit) for number, (bit, _, _) in enumerate(bits)]
        return heap

    def _pairs(self, m) -> list[tuple[Value, int, float]]:
        """Bits that count the differences, their weights and delays: a table adds those of two lanes to the sum before it.

        Chains of ``CHAIN`` tables, so that their sums do not come too late.
        """
        bits, total = [], None
        for lane in range(0, self.config.lanes, 2):
            operands = [bit for pair in zip(self.weights[lane:lane + 2], self.activations[lane:lane + 2], strict=True)
                        for bit in pair]
            given, level = [*operands, *([] if total is None else [total])], lane // 2 % CHAIN

            def differing(row, lanes=len(operands) // 2, more=total is not None):
                return sum(row[2 * i] ^ row[2 * i + 1] for i in range(lanes)) + (row[2 * lanes] if more else 0)

            total, carry = dual_table(m, f"pair_{lane}", given, upper=differing, lower=lambda row, f=differing: f(row) >> 1)
            bits.append((carry, 1, level + 1.0))
            if level == CHAIN - 1 or lane + 2 >= self.config.lanes:
                bits.append((total, 0, level + 1.0))
                total = None
        return bits


def _moved(value: Value, places: Value) -> Value:
    """A value moved up, bit of ``places`` by bit, a multiplexer each."""
    for position, bit in enumerate(places):
        value = Mux(bit, value.shift_left(1 << position), value)
    return value


def controls_of(m, config: BipolarConfig, *, valid, first, last, shift) -> dict[str, Value]:
    """The controls of :class:`XorCount` for a pair of planes on the inputs of :class:`PlaneRegister`."""
    cycles = PlaneRegister.LATENCY + config.dot_stages - 1
    given = {"valid": valid, "first": valid & first, "capture": valid & last}
    return {
        "shift": delay(m, shift, cycles, "shift"),
        **{name: delay(m, value, cycles, name, reset=True) for name, value in given.items()},
    }


class BipolarPE(wiring.Component):
    """One processing element by itself, with the operand registers that a row and a column share in an engine.

    * Latency: :meth:`latency_of` the config from a tile's last pair of planes to ``done``. Throughput: a pair a cycle.

    Members
    -------
    weights, activations : In(lanes)
        A plane each.
    valid, first, last : In(1)
        There is a pair of planes; it is the tile's first, its last.
    shift : In(config.shift_shape)
        Sum of the numbers of both planes.
    result : Out(StructLayout)
        ``config.partial`` with ``done``, until the next.
    done : Out(1)
    """

    @staticmethod
    def latency_of(config: BipolarConfig) -> int:
        """Cycles from a tile's last pair of planes to its sum: operand registers, count, accumulator."""
        return PlaneRegister.LATENCY + config.dot_stages + ChunkAccumulator.LATENCY

    def __init__(self, config: BipolarConfig | None = None):
        self.config = config = config or BipolarConfig()
        super().__init__({
            "weights": In(config.lanes),
            "activations": In(config.lanes),
            **{name: In(1) for name in ("valid", "first", "last")},
            "shift": In(config.shift_shape),
            "result": Out(payload_layout(config.partial)),
            "done": Out(1),
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        return {
            "latency_last_term_to_done": self.latency_of(self.config),
            "accumulator_bits": self.config.accumulator_bits,
            "count_bits": self.config.count_bits,
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = PlaneRegister(self.config)
        m.submodules.column = column = PlaneRegister(self.config)
        m.submodules.element = element = XorCount(self.config)
        controls = controls_of(m, self.config, valid=self.valid, first=self.first, last=self.last, shift=self.shift)
        m.d.comb += [
            row.bits.eq(self.activations),
            column.bits.eq(self.weights),
            element.activations.eq(row.plane),
            element.weights.eq(column.plane),
            *(getattr(element, name).eq(value) for name, value in controls.items()),
            self.result.eq(element.result),
            self.done.eq(delay(m, self.valid & self.last, self.latency_of(self.config), "done", reset=True)),
        ]
        return m
