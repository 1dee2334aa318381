# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bit heap adds: plans are checked as plans, small heaps are proved, large pipelined ones simulated."""

import dataclasses
import os
import random
import subprocess
from itertools import count

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from subbyte.hdl import bit_heap
from subbyte.hdl.adders import carry_select_add
from subbyte.hdl.bit_heap import ONE, BitHeap, Term, plan_heap
from subbyte.hdl.pipeline import delay

DELAYS = st.sampled_from([0, 0.5, 1])
TERMS = st.lists(st.builds(Term, st.integers(1, 9), st.booleans(), st.integers(0, 6), DELAYS),
                 min_size=1, max_size=12)
FORMS = [dict(rows=rows, style=style) for rows in (1, 2) for style in ("compressor", "carry_chain")]
SMALL = [
    dict(terms=[Term(3, True)] * 4, constant=0),
    dict(terms=[Term(3, True), Term(2), Term(4, True, 1), Term(1, True)], constant=-3),
    dict(terms=[Term(1, weight=i % 3) for i in range(11)], constant=5),
    dict(terms=[Term(4, True, 2), Term(3)], constant=1, width=5),
    dict(terms=[Term(2, True)] * 3, constant=0, width=9),
    dict(terms=[Term(1, True)], constant=0),
]
LANES = [Term(19, True)] * 4 + [Term(3)]
LARGE = [
    dict(terms=LANES, constant=0),
    dict(terms=LANES, constant=-12345, width=32),
    dict(terms=[Term(8, i % 2 == 0, i % 5) for i in range(24)], constant=77),
    dict(terms=[Term(1, weight=i % 2) for i in range(64)], constant=0),
]


def decode(term, bits):
    """Value of the bits of an operand, without its weight."""
    return bits - (1 << term.width) if term.signed and bits >> (term.width - 1) else bits


def total(terms, operands, constant):
    return constant + sum(decode(t, bits) << t.weight for t, bits in zip(terms, operands, strict=True))


def check_plan(plan, terms, width, budget):
    """Each bit is spent once, in its column and in time; at most two stay. Return the ones' columns."""
    place = {i: terms[leaf.term].weight + leaf.bit for i, leaf in enumerate(plan.leaves)}
    ready = {i: terms[leaf.term].delay for i, leaf in enumerate(plan.leaves)}
    ones, live = set(), set(place)
    for stage in plan.stages:
        for adder in stage.adders:
            columns = {place[bit] for bit in adder.inputs if bit != ONE}
            assert len(columns) == 1 and len(adder.inputs) in (2, 3)
            column = columns.pop()
            late = max(ready.get(bit, 0) for bit in adder.inputs) + 0.5
            for bit in adder.inputs:
                if bit == ONE:
                    assert column not in ones
                    ones.add(column)
                else:
                    live.remove(bit)
            if len(adder.inputs) == 3 and ONE not in adder.inputs:
                late = max(late, ready[adder.inputs[1]] + 1)
            assert budget is None or late <= budget
            assert (adder.carry is None) == (column == width - 1)
            for bit, position in ((adder.sum, column), (adder.carry, column + 1)):
                if bit is not None:
                    assert bit not in place
                    place[bit], ready[bit] = position, late
                    live.add(bit)
        left = [(bit, column) for column, bits in enumerate(stage.columns) for bit in bits]
        assert sorted(bit for bit, _ in left if bit != ONE) == sorted(live)
        assert all(place[bit] == column for bit, column in left if bit != ONE)
        ready = dict.fromkeys(live, 0)
    assert len(plan.columns) == width and all(len(bits) <= 2 for bits in plan.columns)
    return ones | {column for bit, column in left if bit == ONE}


@given(TERMS, st.integers(-300, 300), st.sampled_from([1, 2]), st.sampled_from([None, 1, 1.5, 3]),
       st.integers(1, 20))
def test_plan_spends_each_bit_once_and_in_time(terms, constant, rows, budget, width):
    plan = plan_heap(terms, width, constant=constant, rows=rows, budget=budget)
    ones = check_plan(plan, terms, width, budget)
    minuses = sum(1 << t.weight + t.width - 1 for t in terms if t.signed)
    assert sum(1 << column for column in ones) == (constant - minuses) % (1 << width)
    expected = [(i, bit, t.signed and bit == t.width - 1) for i, t in enumerate(terms)
                for bit in range(t.width) if t.weight + bit < width]
    assert [tuple(leaf) for leaf in plan.leaves] == expected


def corrupt(plan, fault):
    """The plan with one mistake."""
    stages = list(plan.stages)
    adder = stages[0].adders[0]
    if fault == "sign not inverted":
        leaves = [leaf._replace(inverted=leaf.inverted and leaf.term > 0) for leaf in plan.leaves]
        return dataclasses.replace(plan, leaves=tuple(leaves))
    if fault == "bit used twice":
        adder = adder._replace(inputs=(adder.inputs[0], *adder.inputs[:-1]))
    if fault == "sum and carry swapped":
        adder = adder._replace(sum=adder.carry, carry=adder.sum)
    if fault == "late input lost":
        adder = adder._replace(inputs=adder.inputs[:2])
    stages[0] = stages[0]._replace(adders=(adder, *stages[0].adders[1:]))
    return dataclasses.replace(plan, stages=tuple(stages))


FAULTS = ["bit used twice", "sum and carry swapped", "late input lost"]


@pytest.mark.parametrize("fault", FAULTS)
def test_plan_check_sees(fault):
    with pytest.raises((AssertionError, KeyError)):
        check_plan(corrupt(plan_heap(LANES, 22, budget=3), fault), LANES, 22, 3)


def prove(folder, equal_of):
    """Whether Yosys proves that ``equal_of(m, inputs)`` is always 1; only a counterexample is a no."""
    m = Module()
    inputs, equal = Signal(16, name="inputs"), Signal(name="equal")
    m.d.comb += equal.eq(equal_of(m, inputs))
    (folder / "proof.il").write_text(rtlil.convert(m, ports=[inputs, equal], name="proof", emit_src=False))
    # The packaged Yosys sees files only below its working directory.
    script = "read_rtlil proof.il; hierarchy -top proof; proc; flatten; opt; sat -prove equal 1 proof"
    run = subprocess.run([os.environ["YOSYS"], "-p", script], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    proved = "SAT proof finished - no model found: SUCCESS!" in run.stdout
    assert proved or "SAT proof finished - model found: FAIL!" in run.stdout, run.stdout
    return proved


def heap_equals_sum(m, inputs, heap, terms, constant):
    """Draw a heap and the plain sum of the same operands; return whether they agree."""
    m.submodules += heap
    m.d.comb += heap.terms.as_value().eq(inputs)
    result = heap.sum if hasattr(heap, "sum") else (heap.addends[0] + heap.addends[1])[:heap.width]
    expected = sum((heap.terms[i] << t.weight for i, t in enumerate(terms)), constant)
    reference = Signal.like(result)
    m.d.comb += reference.eq(expected)
    return result == reference


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form['style']}-{form['rows']}")
def test_small_heaps_are_proved(tmp_path, form):
    def equal(m, inputs):
        return Cat(heap_equals_sum(m, inputs, BitHeap(**case, **form), case["terms"], case["constant"])
                   for case in SMALL).all()
    assert prove(tmp_path, equal)


@pytest.mark.parametrize("fault", ["sign not inverted", *FAULTS])
def test_proof_sees(tmp_path, fault):
    def equal(m, inputs):
        heap = BitHeap(**SMALL[0])
        heap.plan = corrupt(heap.plan, fault)
        return heap_equals_sum(m, inputs, heap, **SMALL[0])
    assert not prove(tmp_path, equal)


@pytest.mark.parametrize("block", [1, 3, 5])
def test_carry_select_add_is_proved(tmp_path, block):
    assert prove(tmp_path, lambda m, x: carry_select_add(m, x[:8], x[8:], block) == (x[:8] + x[8:])[:8])


def stream(heap, terms, constant, cycles=60, seed=1):
    """Give new operands every cycle; return what came out from cycle ``latency`` on, and the exact sums."""
    rng = random.Random(seed)
    operands = [[rng.choice([rng.getrandbits(t.width), 0, (1 << t.width) - 1, 1 << t.width - 1])
                 for t in terms] for _ in range(cycles)]
    got = []

    async def bench(ctx):
        for cycle in range(cycles + heap.latency):
            word, offset = 0, 0
            for term, bits in zip(terms, operands[cycle % cycles], strict=True):
                word, offset = word | bits << offset, offset + term.width
            ctx.set(heap.terms.as_value(), word)  # at once: one by one is slow
            rows = [heap.sum] if hasattr(heap, "sum") else heap.addends
            got.append(sum(ctx.get(row) for row in rows))
            await ctx.tick()

    top = Module()
    top.submodules.heap = heap
    top.d.sync += Signal(name="any").eq(1)  # a combinational heap has no clock
    sim = Simulator(top)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return got[heap.latency:], [total(terms, words, constant) for words in operands]


@pytest.mark.parametrize("budget", [None, 1, 2.5])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form['style']}-{form['rows']}")
@pytest.mark.parametrize("case", LARGE, ids=range(len(LARGE)))
def test_large_heaps_stream(case, form, budget):
    heap = BitHeap(**case, **form, budget=budget, register_output=budget == 1)
    got, expected = stream(heap, case["terms"], case["constant"])
    assert [value % (1 << heap.width) for value in got] == [value % (1 << heap.width) for value in expected]
    if form["rows"] == 1:
        assert got == expected  # as a number, so the sign is right too


@pytest.mark.parametrize("skipped", range(3))
def test_streaming_sees_a_register_that_is_missing(monkeypatch, skipped):
    levels = count()
    monkeypatch.setattr(bit_heap, "delay", lambda m, value, cycles, name:
                        delay(m, value, cycles - (next(levels) == skipped), name))
    got, expected = stream(BitHeap(LANES, budget=1, register_output=True), LANES, 0)
    assert got != expected


def test_latency_follows_the_budget():
    def latency(**options):
        return BitHeap(LANES, **options).latency
    assert latency() == 0
    assert latency(register_output=True) == 1
    # Five bits in a column are three levels of full adders.
    assert [latency(rows=2, budget=budget) for budget in (1, 2, 3)] == [2, 1, 0]
    assert [latency(budget=budget) for budget in (1, 3, 8)] == [3, 1, 0]
    assert [latency(style="carry_chain", budget=budget) for budget in (1, 2, 3)] == [2, 1, 0]


def test_shape_is_that_of_the_exact_sum():
    assert BitHeap([Term(3)] * 2).sum.shape() == unsigned(4)
    assert BitHeap([Term(3)] * 2, constant=-14).sum.shape().signed
    assert BitHeap([Term(3, True)], width=7).sum.shape().width == 7


@pytest.mark.parametrize("options, message", [
    (dict(terms=[]), "terms must be a non-empty sequence of Term, not ()"),
    (dict(terms=[3]), "terms must be a non-empty sequence of Term, not (3,)"),
    (dict(width=0), "width must be None or at least 1, not 0"),
    (dict(rows=3), "rows must be 1 or 2, not 3"),
    (dict(style="lut"), "style must be one of 'compressor', 'carry_chain', 'counter', not 'lut'"),
    (dict(budget=0.5), "budget must be None or at least 1 and the latest term's delay, 0.0, not 0.5"),
    (dict(terms=[Term(1, delay=2)], budget=1),
     "budget must be None or at least 1 and the latest term's delay, 2, not 1"),
])
def test_bad_parameters(options, message):
    with pytest.raises((TypeError, ValueError)) as error:
        BitHeap(**{"terms": LANES, **options})
    assert str(error.value) == message


@pytest.mark.parametrize("options, message", [
    (dict(width=0), "width must be at least 1, not 0"),
    (dict(width=2.0), "width must be an integer, not 2.0"),
    (dict(width=1, weight=-1), "weight must be at least 0, not -1"),
    (dict(width=1, delay=-1), "delay must not be negative, not -1"),
])
def test_bad_terms(options, message):
    with pytest.raises((TypeError, ValueError)) as error:
        Term(**options)
    assert str(error.value) == message
