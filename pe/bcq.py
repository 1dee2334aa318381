# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bcq's parts: a row's tables of sums, a column's keys, an element that reads and accumulates.

nuQmm's table of ``mu`` activations holds all their signed sums; half of them suffice, since the others are their negatives
(FIGLUT, HPCA 2025, hFFLUT). A row makes its tables once for all columns, a column decodes its keys once for all rows.
"""

from dataclasses import replace
from itertools import product

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.alignment import EXPONENT_BITS
from ..golden.bcq import BcqConfig
from ..golden.bcq.config import EDGE_STAGES, MAC_STAGES
from ..hdl.bit_heap import BitHeap, Term
from ..hdl.floating import Float16
from ..hdl.group_aligner import GroupAligner
from ..hdl.pipeline import delay
from ..hdl.saved_carry import chain_bits, resolve, saved_carry_sum

__all__ = ["BcqElement", "BcqPE", "Keys", "KeyDecoder", "TableCopy", "TableEdge", "Tables", "entries_of"]


def entries_of(mu: int) -> list[tuple[int, ...]]:
    """Signs of the activations in each entry of a half table, by the low ``mu - 1`` bits of a key whose top bit is 1."""
    return [tuple(-1 if sign == 0 else 1 for sign in (*reversed(low), 1)) for low in product((0, 1), repeat=mu - 1)]


class Keys(data.StructLayout):
    """What a column's elements read of a table: which entry, one-hot, or none; negated or not."""

    def __init__(self, config: BcqConfig):
        super().__init__({"select": 1 << config.mu - 1, "negate": 1})


class Tables(data.ArrayLayout):
    """A row's half tables."""

    def __init__(self, config: BcqConfig):
        super().__init__(data.ArrayLayout(signed(config.entry_bits), 1 << config.mu - 1), config.tables)


class TableEdge(wiring.Component):
    """Aligns a row's beats to the exponent of the group, and makes the half tables of each ``mu`` activations.

    * Latency: ``EDGE_STAGES`` cycles from ``beat`` to ``tables``. Throughput: one beat a cycle.

    Members
    -------
    beat : In(ArrayLayout(Float16, lanes))
    group_exponent, first, exponent, nonfinite, too_low
        As of :class:`~subbyte.hdl.group_aligner.GroupAligner`.
    tables : Out(Tables)
    """

    def __init__(self, config: BcqConfig):
        self.config = config
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, config.lanes)),
            "group_exponent": In(EXPONENT_BITS),
            "first": In(1),
            "exponent": Out(EXPONENT_BITS),
            "nonfinite": Out(1),
            "too_low": Out(1),
            "tables": Out(Tables(config)),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.aligner = aligner = GroupAligner(config.lanes, config.guard_bits)
        m.d.comb += [
            aligner.beat.eq(self.beat),
            aligner.group_exponent.eq(self.group_exponent),
            aligner.first.eq(self.first),
            *(getattr(self, name).eq(getattr(aligner, name)) for name in ("exponent", "nonfinite", "too_low")),
        ]
        for number in range(config.tables):
            lanes = range(number * config.mu, min((number + 1) * config.mu, config.lanes))
            self._make_table(m, number, [aligner.aligned[lane] for lane in lanes])
        return m

    def _make_table(self, m, number, activations):
        """In two ranks: sums and differences of the low one or two and of the rest, then of both; no number is negated."""
        config, bits = self.config, self.config.aligned_bits + 1
        activations += [0] * (config.mu - len(activations))
        half, sums = config.mu // 2 + config.mu % 2, {}
        for name, (first, *second) in (("low", activations[:half]), ("high", reversed(activations[half:]))):
            for sign in (1, -1)[: 1 + len(second)]:
                total = Signal(signed(bits), name=f"{name}_{number}_{len(sums)}", reset_less=True)
                m.d.sync += total.eq(first if not second else first + second[0] if sign > 0 else first - second[0])
                sums[name, sign] = total
        for index, signs in enumerate(entries_of(config.mu)):
            low = sums["low", signs[0] * signs[1] if half == 2 else 1]
            high = sums["high", signs[2] if config.mu == 4 else 1]
            m.d.sync += self.tables[number][index].eq(high + low if signs[0] > 0 else high - low)


class TableCopy(wiring.Component):
    """A copy of a row's tables, a cycle later, for some of the columns.

    Members
    -------
    tables : In(Tables)
    copied : Out(Tables)
    """

    def __init__(self, config: BcqConfig):
        super().__init__({"tables": In(Tables(config)), "copied": Out(Tables(config))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.copied.eq(delay(m, self.tables, 1, "copied"))
        return m


class KeyDecoder(wiring.Component):
    """Decodes a column's plane, ``mu`` bits a table, and counts the negated reads of a pass: what ones' complements lack.

    A key's bit t belongs to activation t, 1 is plus. With the top bit 1 it names an entry; with 0 its complement does, negated.

    * Latency: ``config.edge_stages`` cycles from ``plane`` to ``keys``. Throughput: ``lanes`` bits a cycle.

    Members
    -------
    plane : In(lanes)
    valid : In(1)
        Otherwise nothing is read.
    first, capture : In(1)
        The count starts anew with these ``keys``; it is kept for the visits, a cycle after the last ones.
    twice : In(1)
        With ``first``, where planes merge: the count is doubled instead.
    keys : Out(ArrayLayout(Keys, tables))
    negations : Out
        Of the pass that was captured.
    """

    def __init__(self, config: BcqConfig):
        self.config = config
        super().__init__({
            "plane": In(config.lanes),
            "valid": In(1),
            "first": In(1),
            **({"twice": In(1)} if config.merges else {}),
            "capture": In(1),
            "keys": Out(data.ArrayLayout(Keys(config), config.tables)),
            "negations": Out(range(config.most_negations + 1)),
        })

    def elaborate(self, platform):
        m = Module()
        decoded, mu = Signal(self.keys.shape()), self.config.mu
        for number in range(self.config.tables):
            bits = self.plane[number * mu : (number + 1) * mu]
            key = Cat(bits, 1 if len(bits) < mu else ())
            minus, low = ~key[-1], Signal(mu - 1, name=f"low_{number}")
            m.d.comb += [low.eq(key[:-1] ^ minus.replicate(mu - 1)), decoded[number].negate.eq(minus & self.valid)]
            m.d.comb += decoded[number].select.eq(Cat((low == entry) & self.valid for entry in range(1 << mu - 1)))
        m.d.comb += self.keys.eq(delay(m, decoded, self.config.edge_stages, "keys"))
        count = delay(m, sum(key.negate for key in self.keys), 1, "count")
        total, kept = Signal.like(self.negations, reset_less=True), Signal.like(self.negations, reset_less=True)
        first, capture = (delay(m, value, 1, name, reset=True) for name, value in
                          (("first", self.first), ("capture", self.capture)))
        started = Mux(delay(m, self.twice, 1, "twice", reset=True), total << 1, 0) if self.config.merges else 0
        m.d.sync += total.eq(Mux(first, started, total) + count)
        with m.If(capture):
            m.d.sync += kept.eq(total)
        m.d.comb += self.negations.eq(kept)
        return m


class BcqElement(wiring.Component):
    """Reads an entry of each table and sums them over a pass; its sums leave down a chain of elements.

    * Latency: 2 cycles from ``tables`` to the sum, another to ``below``. Throughput: ``lanes`` one-bit weights a cycle.
    * Width: ``config.accumulator_bits``; the sum cannot overflow.

    Members
    -------
    tables, keys : In
        Of the row's edge, of the column's.
    first : In(1)
        The sum starts anew with these tables.
    twice : In(1)
        With ``first``, where planes merge: the sum is doubled instead.
    capture : In(1)
        A cycle after the last tables: the chain takes the sum; otherwise what comes from above.
    above : In(chain_bits(config.accumulator_bits))
    below : Out
        Likewise: the sum, less the negations, and above it the saved carries (:mod:`subbyte.hdl.saved_carry`).
    """

    def __init__(self, config: BcqConfig):
        self.config = config
        super().__init__({
            "tables": In(Tables(config)),
            "keys": In(data.ArrayLayout(Keys(config), config.tables)),
            "first": In(1),
            **({"twice": In(1)} if config.merges else {}),
            "capture": In(1),
            "above": In(chain_bits(config.accumulator_bits)),
            "below": Out(chain_bits(config.accumulator_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        config, width = self.config, self.config.accumulator_bits
        m.submodules.heap = heap = BitHeap([Term(config.entry_bits, signed=True)] * config.tables, width=width, rows=2)
        for number in range(config.tables):
            m.d.comb += heap.terms[number].eq(self._read(self.tables[number], self.keys[number]))
        rows = [Signal(width, name=f"row_{i}", reset_less=True) for i in range(2)]
        m.d.sync += [row.eq(addend) for row, addend in zip(rows, heap.addends, strict=True)]
        # Controls of the whole array end in flip-flops of each element: the buffers before them have a cycle of their own.
        first, capture = (delay(m, value, 1, name, reset=True) for name, value in
                          (("first", self.first & ~self.twice if config.merges else self.first), ("capture", self.capture)))
        doubled = [delay(m, self.twice, 1, "twice", reset=True)] if config.merges else []
        total = saved_carry_sum(m, rows, first, *doubled)
        m.d.sync += self.below.eq(Mux(capture, total, self.above))
        return m

    def _read(self, table, key):
        """An AND-OR of the entries, its ones' complement if negated."""
        bits, chosen = self.config.entry_bits, 0
        for index in range(1 << self.config.mu - 1):
            chosen = chosen | (table[index].as_unsigned() & key.select[index].replicate(bits))
        return chosen ^ key.negate.replicate(bits)


class BcqPE(wiring.Component):
    """One processing element by itself, with the tables and keys that a row and a column share in an engine.

    * Latency: ``LATENCY`` cycles from a pass's last beat to ``done``. Throughput: ``lanes`` one-bit weights a cycle.

    Members
    -------
    beat : In(ArrayLayout(Float16, lanes))
    group_exponent : In(5)
        The largest exponent of the group, with the first beat.
    plane : In(lanes)
    valid, first, last : In(1)
        There is a beat; it is the pass's first, its last.
    twice : In(1)
        With ``first``, where planes merge: the sum goes on, doubled.
    sum : Out(signed(accumulator_bits))
        Of the pass, in units of the group's exponent; with ``done``.
    done : Out(1)
    """

    LATENCY = EDGE_STAGES + MAC_STAGES + 2

    def __init__(self, config: BcqConfig | None = None):
        config = config or BcqConfig()
        self.config = config = replace(config, readers=config.cols)
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, config.lanes)),
            "group_exponent": In(EXPONENT_BITS),
            "plane": In(config.lanes),
            **{name: In(1) for name in ("valid", "first", "last")},
            **({"twice": In(1)} if config.merges else {}),
            "sum": Out(signed(config.accumulator_bits)),
            "done": Out(1),
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        return {"latency_last_term_to_done": self.LATENCY, "accumulator_bits": self.config.accumulator_bits,
                "entry_bits": self.config.entry_bits}

    def elaborate(self, platform):
        m = Module()
        m.submodules.row = row = TableEdge(self.config)
        m.submodules.keys = keys = KeyDecoder(self.config)
        m.submodules.element = element = BcqElement(self.config)
        first = delay(m, self.valid & self.first, EDGE_STAGES, "first", reset=True)
        if self.config.merges:
            twice = delay(m, self.valid & self.first & self.twice, EDGE_STAGES, "twice", reset=True)
        capture = delay(m, self.valid & self.last, EDGE_STAGES + MAC_STAGES - 1, "capture", reset=True)
        m.d.comb += [
            row.beat.eq(self.beat),
            row.group_exponent.eq(self.group_exponent),
            row.first.eq(self.valid & self.first),
            keys.plane.eq(self.plane),
            keys.valid.eq(self.valid),
            element.tables.eq(row.tables),
            element.keys.eq(keys.keys),
            *(part.first.eq(first) for part in (keys, element)),
            *([part.twice.eq(twice) for part in (keys, element)] if self.config.merges else []),
            *(part.capture.eq(capture) for part in (keys, element)),
            self.done.eq(delay(m, capture, 3, "done", reset=True)),
        ]
        m.d.sync += self.sum.eq(resolve(element.below, self.config.accumulator_bits) + keys.negations)
        return m
