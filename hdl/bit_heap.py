# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Sum of many short terms: one carry-save compressor for all their bits, pipelined to a delay budget.

Every engine of subbyte adds the partial products of all its lanes at once. Written with ``+``, each addition
costs a carry chain and a sign extension; as a heap of bits, three bits of one column become a sum and a carry
wherever they arrive first, signs cost one inverter and a constant, and registers go where the running delay
asks for them.

The schedule is plain Python (:func:`plan_heap`, tested without hardware); :class:`BitHeap` draws it. For
FPGAs, whose carry chains beat compressors built of look-up tables, ``style="carry_chain"`` gives the same
sums as a tree of adders, and so does every ``"compressor"`` on a platform for an FPGA, at its latency for silicon. Where terms
are single bits, trees of carry chains lose there too: ``style="counter"`` stays a compressor everywhere.

Column compression follows L. Dadda, "Some schemes for parallel multipliers", 1965; that the earliest bits are
added first is the three-greedy rule of P. Stelling et al., "Optimal circuits for parallel multipliers", IEEE
Trans. Computers 47(3), 1998.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .adders import carry_select_add
from .dual_table import dual_table
from .pipeline import delay
from .target import has_dual_tables, is_fpga

__all__ = ["ONE", "STYLES", "Adder", "BitHeap", "Leaf", "Plan", "Stage", "Term", "least_budget", "plan_heap"]

ONE = -1
"""The constant one among the numbered bits of a plan."""
STYLES = ("compressor", "carry_chain", "counter")


@dataclass(frozen=True)
class Term:
    """One operand of the sum; it contributes ``value * 2**weight``.

    Parameters
    ----------
    width : int
        Bits of the operand, at least 1.
    signed : bool
        Whether the top bit counts negatively.
    weight : int
        Column of the operand's lowest bit.
    delay : float
        When the operand arrives within its cycle, in full-adder delays (for logic between the last register
        and the heap).
    """

    width: int
    signed: bool = False
    weight: int = 0
    delay: float = 0.0

    def __post_init__(self):
        for name, low in (("width", 1), ("weight", 0)):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < low:
                raise ValueError(f"{name} must be at least {low}, not {value!r}")
        if self.delay < 0:
            raise ValueError(f"delay must not be negative, not {self.delay!r}")

    @property
    def shape(self) -> Shape:
        """Shape of the operand."""
        return Shape(self.width, self.signed)

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest contribution, weight included."""
        low = -(1 << self.width - 1) if self.signed else 0
        return low << self.weight, (low + (1 << self.width) - 1) << self.weight


class Leaf(NamedTuple):
    """A bit of an operand as it enters the heap; the sign bits enter inverted."""

    term: int
    bit: int
    inverted: bool


class Adder(NamedTuple):
    """A full adder (three inputs, the latest last) or a half adder (two); the top column has no carry."""

    inputs: tuple[int, ...]
    sum: int
    carry: int | None


class Stage(NamedTuple):
    """Between two registers: the adders, each behind those that feed it, and the bits they leave."""

    adders: tuple[Adder, ...]
    columns: tuple[tuple[int, ...], ...]
    delay: float


@dataclass(frozen=True)
class Plan:
    """Schedule of a heap, its bits numbered; bit ``i`` is ``leaves[i]``, and ``ONE`` the constant.

    A register follows every stage but the last, and the last too where the final adder has its ``own_stage``.
    """

    leaves: tuple[Leaf, ...]
    stages: tuple[Stage, ...]
    own_stage: bool = False

    @property
    def columns(self) -> tuple[tuple[int, ...], ...]:
        """The one or two bits left in each column."""
        return self.stages[-1].columns

    @property
    def registers(self) -> int:
        """Register levels between the operands and the sum."""
        return len(self.stages) - 1 + self.own_stage


class _Bit(NamedTuple):
    """A bit while it is being scheduled; sorts by time of arrival."""

    ready: float
    index: int


def _adder_delay(width: int) -> float:
    """Delay of :func:`~subbyte.hdl.adders.carry_select_add` after synthesis, in full-adder delays (fits 8 to 32 bits)."""
    return 1.5 + width / 8


def _arrival(inputs: Sequence[_Bit]) -> float:
    """When an adder is ready: its last input passes one XOR gate, half a full adder, the others two."""
    *_, early, last = inputs
    if len(inputs) == 2 or inputs[0].index == ONE:
        return last.ready + 0.5
    return max(early.ready + 1.0, last.ready + 0.5)


def _compress(columns: Sequence[Sequence[_Bit]], limit: float, fresh: Iterator[int],
              finish: bool) -> Stage | None:
    """Add within ``limit``, lowest column and earliest bits first, until no column holds more than two bits.

    With ``finish``, where the third of three bits comes too late for a full adder, a half adder takes the
    other two: so carries don't ripple. None if that does not suffice. Without, what misses ``limit`` is left
    for the next stage.
    """
    adders, left, carries, latest = [], [], [], 0.0
    for position, column in enumerate(columns):
        bits, carries = sorted([*column, *carries]), []
        while len(bits) > 2:
            taken = bits[:2] if finish and len(bits) == 3 and _arrival(bits) > limit else bits[:3]
            ready = _arrival(taken)
            if ready > limit:
                break
            total, carry = _Bit(ready, next(fresh)), None
            if position < len(columns) - 1:
                carry = next(fresh)
                carries.append(_Bit(ready, carry))
            adders.append(Adder(tuple(bit.index for bit in taken), total.index, carry))
            bits = sorted([*bits[len(taken):], total])
        if finish and len(bits) > 2:
            return None
        left.append(tuple(bit.index for bit in bits))
        latest = max([latest, *(bit.ready for bit in bits)])
    return Stage(tuple(adders), tuple(left), latest)


def _split(columns: Sequence[Sequence[int]]) -> int:
    """Lowest column with two bits: the columns below it are sum bits already and need no adder."""
    return next((position for position, column in enumerate(columns) if len(column) > 1), len(columns))


def plan_heap(terms: Sequence[Term], width: int, *, constant: int = 0, rows: int = 1,
              budget: float | None = None) -> Plan:
    """Decide which bits meet in which adder of which stage.

    A sign bit b counts as -b = (1 - b) - 1: it enters the heap inverted and its -1 joins the constant, so
    that signs are never extended. In each stage the running delay stays within ``budget``; all bits left at
    its end are registered together, so that the sum's bits belong together.

    Parameters
    ----------
    terms, width, constant, rows, budget
        As in :class:`BitHeap`.
    """
    leaves, columns = [], [[] for _ in range(width)]
    for number, term in enumerate(terms):
        for bit in range(min(term.width, width - term.weight)):
            inverted = term.signed and bit == term.width - 1
            constant -= inverted << term.weight + bit
            columns[term.weight + bit].append(_Bit(term.delay, len(leaves)))
            leaves.append(Leaf(number, bit, inverted))
    for position, column in enumerate(columns):
        if constant >> position & 1:
            column.append(_Bit(0.0, ONE))
    if budget is None:
        limits = (step / 2 for step in count())
    else:
        # A limit is used up: full adders remove bits, half adders don't. First leave room for the last adder.
        limits = [budget - _adder_delay(width), budget] if rows == 1 else [budget]
    fresh, stages = count(len(leaves)), []
    while True:
        attempts = (_compress(columns, limit, fresh, finish=True) for limit in limits)
        last = next((stage for stage in attempts if stage), None)
        if last:
            carry_chain = width - _split(last.columns)
            own_stage = (rows == 1 and budget is not None and carry_chain > 0 and last.delay > 0
                         and last.delay + _adder_delay(carry_chain) > budget)
            return Plan(tuple(leaves), (*stages, last), own_stage)
        stages.append(_compress(columns, budget, fresh, finish=False))
        columns = [[_Bit(0.0, index) for index in column] for column in stages[-1].columns]


def least_budget(terms: Sequence[Term], width: int, registers: int, **options) -> float | None:
    """The smallest ``budget``, in halves, with which a heap has at most so many register levels.

    None if one without registers is wanted. ``options``: ``constant`` and ``rows`` of :class:`BitHeap`.
    """
    if registers == 0:
        return None
    fitting = (half / 2 for half in count(2)
               if half / 2 >= max(term.delay for term in terms)
               and plan_heap(terms, width, budget=half / 2, **options).registers <= registers)
    return next(fitting)


class BitHeap(wiring.Component):
    """Sum of signed and unsigned terms of any weight, exact modulo ``2**width``.

    Latency: ``latency`` cycles. Throughput: one sum per cycle; free-running, no enable. The pipeline holds
    only data and is not reset: results of terms given before a reset still come out.

    Parameters
    ----------
    terms : sequence of Term
        The operands.
    width : int or None
        Bits of the result; None for what the exact sum needs.
    constant : int
        Added to the sum, at almost no cost.
    rows : 1 or 2
        1: the sum itself. 2: two addends whose sum modulo ``2**width`` it is, for a reader that adds anyway.
    budget : float or None
        Delay allowed per cycle, at least 1, in full-adder delays (``"compressor"``) or levels of the tree
        (``"carry_chain"``). None: combinational. A final adder that does not fit gets a cycle of its own and
        is not cut: where it limits the clock, take ``rows=2`` and a chunked accumulator.
    style : "compressor", "carry_chain" or "counter"
        Full adders bit by bit, for silicon, or a balanced tree of ``+``, for FPGAs; "counter": full adders there too. Sums are
        the same; with ``rows=2`` the addends differ, their sum does not.
    register_output : bool
        Put a register behind the result; adds 1 to the latency.

    Members
    -------
    terms : In
        A field per operand: ``heap.terms[i]``, signed or unsigned as ``Term.shape`` says.
    sum : Out(width)
        With ``rows=1``; signed if the exact sum can be negative.
    addends : Out(ArrayLayout(width, 2))
        With ``rows=2``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is out of its range.
    """

    def __init__(self, terms: Sequence[Term], *, width: int | None = None, constant: int = 0, rows: int = 1,
                 budget: float | None = None, style: str = "compressor", register_output: bool = False):
        terms = tuple(terms)
        if not terms or not all(isinstance(term, Term) for term in terms):
            raise TypeError(f"terms must be a non-empty sequence of Term, not {terms!r}")
        if width is not None and width < 1:
            raise ValueError(f"width must be None or at least 1, not {width!r}")
        if rows not in (1, 2):
            raise ValueError(f"rows must be 1 or 2, not {rows!r}")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(map(repr, STYLES))}, not {style!r}")
        latest = max(term.delay for term in terms)
        if budget is not None and budget < max(1, latest):
            raise ValueError(f"budget must be None or at least 1 and the latest term's delay, {latest!r}, "
                             f"not {budget!r}")
        low, high = (constant + sum(term.bounds[end] for term in terms) for end in (0, 1))
        exact = Shape.cast(range(low, high + 1))
        self._shape = exact if width is None else Shape(width, exact.signed)
        self._operands, self._constant, self._rows = terms, constant, rows
        self._budget, self._style, self._register_output = budget, style, register_output
        self.plan = plan_heap(terms, self.width, constant=constant, rows=rows, budget=budget)
        *offsets, size = accumulate((term.width for term in terms), initial=0)
        fields = {index: data.Field(term.shape, offsets[index]) for index, term in enumerate(terms)}
        super().__init__({
            "terms": In(data.FlexibleLayout(size, fields)),
            **({"sum": Out(self._shape)} if rows == 1 else {"addends": Out(data.ArrayLayout(self.width, 2))}),
        })

    @property
    def width(self) -> int:
        """Bits of the result."""
        return self._shape.width

    @property
    def latency(self) -> int:
        """Cycles from ``terms`` to the result."""
        if self._style != "carry_chain":
            return self.plan.registers + self._register_output
        # A register stands behind every ``budget`` levels of the tree that others follow.
        inner = 0 if self._budget is None else max(self._levels - 1, 0) // int(self._budget)
        return inner + self._register_output

    @property
    def _levels(self) -> int:
        """Levels of the tree."""
        return max((len(self._operands) + (self._constant != 0) - 1).bit_length() - (self._rows - 1), 0)

    def elaborate(self, platform):
        m = Module()
        tree = self._style == "carry_chain" or self._style == "compressor" and is_fpga(platform)
        results = self._draw_tree(m) if tree else self._draw_compressor(m, platform)
        if self._register_output:
            results = [delay(m, value, 1, "result") for value in results]
        outputs = [self.sum] if self._rows == 1 else [self.addends[0], self.addends[1]]
        m.d.comb += [output.eq(value) for output, value in zip(outputs, results, strict=True)]
        return m

    def _draw_compressor(self, m, platform) -> list[Value]:
        """Draw the plan; returns the sum or the two addends."""
        bits = {ONE: Const(1, 1)}
        for index, (term, bit, inverted) in enumerate(self.plan.leaves):
            value = self.terms[term][bit]
            bits[index] = ~value if inverted else value
        for level, stage in enumerate(self.plan.stages):
            if level:
                _register_bits(m, bits, self.plan.stages[level - 1].columns)
            for adder in stage.adders:
                _draw_adder(m, platform, bits, adder)
        columns, low = self.plan.columns, _split(self.plan.columns)
        if self.plan.own_stage:
            _register_bits(m, bits, columns)
        first, second = (Cat(bits[column[row]] if row < len(column) else Const(0, 1) for column in columns)
                         for row in range(2))
        if self._rows == 2:
            return [first, second]
        return [Cat(first[:low], carry_select_add(m, first[low:], second[low:], platform=platform))]

    def _draw_tree(self, m) -> list[Value]:
        """Draw a balanced tree of adders; returns the sum or the two addends."""
        values = [self.terms[index] << term.weight for index, term in enumerate(self._operands)]
        if self._constant:
            values.append(Const(self._constant))
        stages = self.latency - self._register_output + 1
        ends = [-(-self._levels * stage // stages) for stage in range(1, stages)]
        for level in range(self._levels + 1):
            values = [delay(m, value, ends.count(level), f"level{level}_{i}") for i, value in enumerate(values)]
            if level == self._levels:
                return [*values, *[Const(0)] * (self._rows - len(values))]
            values = [sum(values[i + 1:i + 2], values[i]) for i in range(0, len(values), 2)]
            values = [value if len(value) <= self.width else value[:self.width] for value in values]


def _register_bits(m, bits: dict[int, Value], columns: Sequence[Sequence[int]]):
    """Delay by one cycle the bits that are left in the columns; all others are spent."""
    live = [index for column in columns for index in column if index != ONE]
    bits.update(zip(live, delay(m, Cat(bits[index] for index in live), 1, "heap"), strict=True))


def _draw_adder(m, platform, bits: dict[int, Value], adder: Adder):
    """Draw a full or half adder in gates: from ``a + b + c`` synthesis would build something else."""
    a, b, *late = (bits[index] for index in adder.inputs)
    if has_dual_tables(platform) and adder.carry is not None:
        bits[adder.sum], bits[adder.carry] = dual_table(
            m, f"adder{adder.sum}", [a, b, *late], upper=sum, lower=lambda row: sum(row[:2 + len(late)]) >> 1)
        return
    total, carry = Signal(name=f"sum{adder.sum}"), Signal(name=f"carry{adder.sum}")
    if late:
        half = Signal(name=f"half{adder.sum}")
        m.d.comb += [half.eq(a ^ b), total.eq(half ^ late[0]), carry.eq((a & b) | (half & late[0]))]
    else:
        m.d.comb += [total.eq(a ^ b), carry.eq(a & b)]
    bits[adder.sum] = total
    if adder.carry is not None:
        bits[adder.carry] = carry
