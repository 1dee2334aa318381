# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender's processing element: integer dot products, and the accumulator that shifts when a channel group begins.

Tender (ISCA 2024), Fig. 6, with the changes that docs/tender.md explains: ``lanes`` products share an accumulator, and the
shift is fused with the addition, so that it costs no cycle. :class:`ActivationPairs` belongs to a row, :class:`PairSelects`
to a column, :class:`ShiftMac` to a pair of row and column; :class:`TenderPE` is one of each. :class:`PublishedPE` is the
element as the paper draws it, with its bubble, for comparison.
"""

from math import ceil

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.tender import TenderConfig
from ..hdl.bit_heap import BitHeap, Term, least_budget
from ..hdl.pipeline import delay
from ..hdl.shift_accumulator import ShiftAccumulator

__all__ = [
    "ActivationPairs",
    "PairSelects",
    "PublishedPE",
    "ShiftMac",
    "TenderPE",
    "controls_of",
    "pair_layout",
    "select_layout",
]


def pair_layout(config: TenderConfig) -> data.ArrayLayout:
    """What a row's registers hold of each pair of activations: both, and their sum, one bit wider than an activation."""
    width = config.bits_a + 1
    return data.ArrayLayout(data.StructLayout({"first": width, "second": width, "sum": width}), ceil(config.lanes / 2))


def select_layout(config: TenderConfig) -> data.ArrayLayout:
    """What a column's registers hold of each pair of weights and bit plane: which of first, second, sum; none: zero."""
    return data.ArrayLayout(data.ArrayLayout(3, config.bits_w), ceil(config.lanes / 2))


class ActivationPairs(wiring.Component):
    """A row's operand registers: what all its elements share.

    * Latency: ``LATENCY``, a cycle, as that of :class:`PairSelects`.

    Members
    -------
    activations : In(ArrayLayout(bits_a, lanes))
    is_unsigned : In(1)
        They count from 0; otherwise they are two's complement.
    pairs : Out(pair_layout(config))
    """

    LATENCY = 1

    def __init__(self, config: TenderConfig):
        self.config = config
        super().__init__({
            "activations": In(data.ArrayLayout(config.bits_a, config.lanes)),
            "is_unsigned": In(1),
            "pairs": Out(pair_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        pairs = Signal(pair_layout(self.config), reset_less=True)
        for i in range(pairs.shape().length):
            first, second = (self._extended(lane) for lane in (2 * i, 2 * i + 1))
            m.d.sync += [pairs[i].first.eq(first), pairs[i].second.eq(second), pairs[i].sum.eq(first + second)]
        m.d.comb += self.pairs.eq(pairs)
        return m

    def _extended(self, lane):
        """An activation with a bit more; zero for the lane that an odd number of lanes lacks."""
        if lane == self.config.lanes:
            return 0
        activation = self.activations[lane]
        return Cat(activation, activation[-1] & ~self.is_unsigned)


class PairSelects(wiring.Component):
    """A column's operand registers: each pair of weights, bit plane by bit plane, as a choice among sums of activations.

    * Latency: 1 cycle.

    Members
    -------
    codes : In(ArrayLayout(bits_w, lanes))
    valid : In(1)
        Otherwise nothing is chosen, and the dot products are zero.
    selects : Out(select_layout(config))
    """

    def __init__(self, config: TenderConfig):
        self.config = config
        super().__init__({
            "codes": In(data.ArrayLayout(config.bits_w, config.lanes)),
            "valid": In(1),
            "selects": Out(select_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        selects = Signal(select_layout(self.config), reset_less=True)
        for i in range(selects.shape().length):
            first = self.codes[2 * i]
            second = self.codes[2 * i + 1] if 2 * i + 1 < self.config.lanes else first & 0
            for plane in range(self.config.bits_w):
                one, other = first[plane], second[plane]
                chosen = Cat(one & ~other, other & ~one, one & other)
                m.d.sync += selects[i][plane].eq(chosen & self.valid.replicate(3))
        m.d.comb += self.selects.eq(selects)
        return m


class ShiftMac(wiring.Component):
    """Dot products of activations and weights, added to an accumulator that can be doubled first.

    ``acc <- wrap(((0 if first else acc) << shift) + dot)``. Each bit plane of a pair of weights picks one of four sums of
    the pair's activations; signs are inverted bits and constants.

    * Latency: ``config.dot_latency`` cycles from ``pairs`` and ``selects`` to ``first`` and ``shift``; from there as
      :class:`~subbyte.hdl.shift_accumulator.ShiftAccumulator`. Throughput: one beat of ``lanes`` products a cycle.

    Parameters
    ----------
    config : TenderConfig
    shift : bool
        With the shift; without it is what the shift's cost is measured against.
    capture : bool
        With shadow registers, which an engine's drain needs.

    Members
    -------
    pairs : In(pair_layout(config))
    selects : In(select_layout(config))
    is_signed : In(1)
        The activations are two's complement; with ``pairs``.
    first, shift : In(1)
    value : Out(signed(accumulator_bits))
        The accumulator; chunk by chunk, each a cycle later.
    overflow : Out(1)
    capture : In(1)
        This and the next two as in :class:`~subbyte.hdl.shift_accumulator.ShiftAccumulator`.
    result : Out(signed(accumulator_bits))
    captured : Out(1)
    """

    def __init__(self, config: TenderConfig, *, shift: bool = True, capture: bool = True):
        self.config, self.with_shift, self.with_capture = config, shift, capture
        width = config.accumulator_bits
        super().__init__({
            "pairs": In(pair_layout(config)),
            "selects": In(select_layout(config)),
            "is_signed": In(1),
            "first": In(1),
            **({"shift": In(1)} if shift else {}),
            "value": Out(signed(width)),
            "overflow": Out(1),
            **({"capture": In(1), "result": Out(signed(width)), "captured": Out(1)} if capture else {}),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.heap = heap = self._heap()
        m.submodules.accumulator = accumulator = ShiftAccumulator(
            config.accumulator_bits, config.dot_bits, max_shift=int(self.with_shift), chunk=config.accumulator_chunk,
            capture=self.with_capture, overflow=True)
        planes = [(i, plane) for i in range(len(self.selects)) for plane in range(config.bits_w)]
        for number, (i, plane) in enumerate(planes):
            chosen = self._choose(self.pairs[i], self.selects[i][plane])
            # The top plane counts negatively: its complement enters, and a constant.
            m.d.comb += heap.terms[number].eq(~chosen if plane == config.bits_w - 1 else chosen)
        for number, _ in enumerate(_set_bits(len(self.selects)), len(planes)):
            m.d.comb += heap.terms[number].eq(self.is_signed)
        m.d.comb += [
            accumulator.operand.eq(delay(m, heap.sum, config.dot_latency - heap.latency, "dot").as_signed()),
            accumulator.first.eq(self.first),
            self.value.eq(accumulator.value),
            self.overflow.eq(accumulator.overflow),
        ]
        if self.with_shift:
            m.d.comb += accumulator.shift.eq(self.shift)
        if self.with_capture:
            m.d.comb += [
                accumulator.capture.eq(self.capture),
                self.result.eq(accumulator.result),
                self.captured.eq(accumulator.captured),
            ]
        return m

    def _heap(self) -> BitHeap:
        """The adder of a beat's planes.

        A chosen sum of signed activations has its top bit inverted, so it is too large by that bit's weight. The planes of a
        pair, the top one negative, weigh -1 together: the excess is made good by as much, once a pair.
        """
        config = self.config
        pairs, width = len(self.selects), config.bits_a + 1
        terms = [Term(width, weight=plane, delay=1.0) for _ in range(pairs) for plane in range(config.bits_w)]
        terms += [Term(1, weight=config.bits_a + bit) for bit in _set_bits(pairs)]
        constant = -pairs * ((1 << width) - 1 << config.bits_w - 1)
        return BitHeap(terms, width=config.dot_bits, constant=constant, register_output=True,
                       budget=least_budget(terms, config.dot_bits, config.dot_latency - 1, constant=constant))

    def _choose(self, pair, select):
        """One of the pair's sums, or zero; the top bit inverted if they are signed."""
        width = self.config.bits_a + 1
        options = zip((pair.first, pair.second, pair.sum), select, strict=True)
        chosen = 0
        for option, here in options:
            chosen = chosen | (option & here.replicate(width))
        return Cat(chosen[:-1], chosen[-1] ^ self.is_signed)


def _set_bits(number: int) -> list[int]:
    """Places of the ones of a number."""
    return [place for place in range(number.bit_length()) if number >> place & 1]


def controls_of(m, config: TenderConfig, *, valid, is_unsigned, first, last, shift) -> dict[str, Value]:
    """The controls of :class:`ShiftMac` for a beat on the inputs of :class:`ActivationPairs` and :class:`PairSelects`.

    Without a beat they mean nothing. Either sign would do then, as the heap takes away what it adds, but an undefined one does
    not cancel itself.
    """
    cycles = ActivationPairs.LATENCY + config.dot_latency
    given = {"first": valid & first, "shift": valid & shift, "capture": valid & last}
    return {
        "is_signed": ~delay(m, valid & is_unsigned, ActivationPairs.LATENCY, "unsigned"),
        **{name: delay(m, value, cycles, name, reset=True) for name, value in given.items()},
    }


class TenderPE(wiring.Component):
    """One processing element by itself, with the operand registers that a row and a column share in an engine.

    * Latency: :meth:`latency_of` the config from a tile's last beat to ``done``.
    * Throughput: a beat of ``lanes`` products a cycle; last beats keep :meth:`interval_of` the config apart.

    Members
    -------
    activations : In(ArrayLayout(bits_a, lanes))
    codes : In(ArrayLayout(bits_w, lanes))
    is_unsigned, valid, first, last, shift : In(1)
        Of the beat: how activations count; that there is one; the tile's first, last; double the sum before.
    result : Out(signed(accumulator_bits))
        With ``done``, until the next.
    done : Out(1)
    overflow : Out(1)
        The operation of the beat a cycle less than the latency ago left the signed range.
    """

    @staticmethod
    def latency_of(config: TenderConfig) -> int:
        """Cycles from a tile's last beat to its sum: operand registers, dot product, accumulator."""
        accumulator = ShiftAccumulator.latency_of(config.accumulator_bits, config.accumulator_chunk, capture=True)
        return ActivationPairs.LATENCY + config.dot_latency + accumulator

    @staticmethod
    def interval_of(config: TenderConfig) -> int:
        """Shortest distance between the last beats of two tiles: a sum is taken before the next one reaches its chunk."""
        return ShiftAccumulator.skew_of(config.accumulator_bits, config.accumulator_chunk) + 1

    def __init__(self, config: TenderConfig | None = None):
        self.config = config = config or TenderConfig()
        super().__init__({
            "activations": In(data.ArrayLayout(config.bits_a, config.lanes)),
            "codes": In(data.ArrayLayout(config.bits_w, config.lanes)),
            **{name: In(1) for name in ("is_unsigned", "valid", "first", "last", "shift")},
            "result": Out(signed(config.accumulator_bits)),
            "done": Out(1),
            "overflow": Out(1),
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        config = self.config
        return {
            "terms": {work.name: work.terms for work in config.formats_taken.values()},
            "latency_last_term_to_done": self.latency_of(config),
            "shortest_distance_of_group_ends": self.interval_of(config),
            "accumulator_bits": config.accumulator_bits,
            "dot_bits": config.dot_bits,
        }

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = ActivationPairs(self.config)
        m.submodules.column = column = PairSelects(self.config)
        m.submodules.mac = mac = ShiftMac(self.config)
        controls = controls_of(m, self.config, valid=self.valid, is_unsigned=self.is_unsigned, first=self.first,
                               last=self.last, shift=self.shift)
        m.d.comb += [
            row.activations.eq(self.activations),
            row.is_unsigned.eq(self.is_unsigned),
            column.codes.eq(self.codes),
            column.valid.eq(self.valid),
            mac.pairs.eq(row.pairs),
            mac.selects.eq(column.selects),
            *(getattr(mac, name).eq(value) for name, value in controls.items()),
            self.result.eq(mac.result),
            self.done.eq(mac.captured),
            self.overflow.eq(mac.overflow),
        ]
        return m


class PublishedPE(wiring.Component):
    """The element as published: one product a cycle, or, with ``rescale``, a doubling instead of it.

    Operands and ``rescale`` are forwarded to the neighbours. What the figure leaves open is decided here: ``clear`` starts
    a sum with the product of its cycle, activations are signed or unsigned as ``is_unsigned`` says, sums wrap.

    * Latency: 2 cycles from the operands to ``value``. Throughput: one product a cycle, less a bubble for each doubling.

    Members
    -------
    activation : In(bits_a)
    weight : In(signed(bits_w))
    is_unsigned, rescale, clear : In(1)
    activation_out, weight_out, rescale_out : Out
        A cycle later.
    value : Out(signed(accumulator_bits))
    """

    def __init__(self, config: TenderConfig | None = None):
        self.config = config = config or TenderConfig()
        super().__init__({
            "activation": In(config.bits_a),
            "weight": In(signed(config.bits_w)),
            **{name: In(1) for name in ("is_unsigned", "rescale", "clear")},
            "activation_out": Out(config.bits_a),
            "weight_out": Out(signed(config.bits_w)),
            "rescale_out": Out(1),
            "value": Out(signed(config.accumulator_bits)),
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        return {"accumulator_bits": self.config.accumulator_bits, "latency": 2}

    def elaborate(self, platform):
        m = Module()
        operand = Signal(signed(self.config.bits_a + 1), reset_less=True)
        clear = delay(m, self.clear, 1, "clear")
        # Kept, or synthesis merges product and sum into one large adder of partial products.
        product = Signal(signed(self.config.bits_a + self.config.bits_w + 1), attrs={"keep": 1})
        m.d.sync += [
            operand.eq(Cat(self.activation, self.activation[-1] & ~self.is_unsigned).as_signed()),
            self.weight_out.eq(self.weight),
            self.rescale_out.eq(self.rescale),
            self.value.eq(Mux(self.rescale_out, self.value << 1, Mux(clear, 0, self.value) + product)),
        ]
        m.d.comb += [product.eq(operand * self.weight_out), self.activation_out.eq(operand)]
        return m
