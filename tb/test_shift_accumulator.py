# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The chunked accumulator equals a plain one: proved by induction at small widths, simulated at real ones."""

import os
import random
import subprocess

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.sim import Simulator

from subbyte.hdl import shift_accumulator
from subbyte.hdl.pipeline import delay
from subbyte.hdl.shift_accumulator import ShiftAccumulator

SMALL = {
    "plain": dict(width=6, operand_width=3, chunk=None),
    "two": dict(width=6, operand_width=3, chunk=3),
    "three": dict(width=6, operand_width=5, chunk=2),
    "ragged": dict(width=5, operand_width=5, chunk=2),
    "one bit": dict(width=3, operand_width=1, chunk=1),
    "no shift": dict(width=6, operand_width=4, chunk=2, max_shift=0),
    "far shift": dict(width=6, operand_width=3, chunk=3, max_shift=3),
    "rows": dict(width=4, operand_width=4, chunk=2, operand_rows=2),
    "held": dict(width=6, operand_width=3, chunk=2, hold_operand=True),
    "overflow": dict(width=5, operand_width=4, chunk=2, overflow=True),
    "overflow far": dict(width=4, operand_width=4, chunk=4, max_shift=2, overflow=True),
}


def rows_of(dut):
    """The operands, be they one or several."""
    return [dut.operand] if isinstance(dut.operand, Signal) else list(dut.operand)


def past(m, value, cycles):
    """The values of the last ``cycles`` cycles, latest first."""
    return [value := delay(m, value, 1, "past", reset=True) for _ in range(cycles)]


def agreement(dut):
    """A module whose ``equal`` says that each chunk and each result is what a plain accumulator had."""
    m = Module()
    m.submodules.dut = dut
    inputs = [getattr(dut, name) for name in ("first", "shift", "gate", "capture") if hasattr(dut, name)]
    rows = rows_of(dut)
    addend = Mux(dut.gate, rows[0], 0) if hasattr(dut, "gate") else sum(rows, 0)
    plain = Signal(signed(len(dut.value)))
    shift = dut.shift if hasattr(dut, "shift") else Const(0)
    exact = (Mux(dut.first, 0, plain) << shift) + addend
    m.d.sync += plain.eq(exact)
    history = [plain, *past(m, plain, dut.latency)]
    size = -(-len(dut.value) // (dut.skew + 1))  # of a chunk, in the cases here
    chunks = [slice(k * size, (k + 1) * size) for k in range(dut.skew + 1)]
    equal = Cat(dut.value[bits] == history[k][bits] for k, bits in enumerate(chunks))
    if hasattr(dut, "overflow"):
        left = past(m, exact != exact[:len(plain)].as_signed(), dut.skew + 1)[-1]
        equal = Cat(equal, dut.overflow == left)
    broken = Const(0)  # the caller's part of the contract
    if hasattr(dut, "capture"):
        strobes = [dut.capture, *past(m, dut.capture, dut.latency)]
        broken |= dut.capture & Cat(strobes[1:dut.skew + 1]).any()
        equal = Cat(equal, dut.captured == strobes[-1], ~dut.captured | (dut.result == history[-2]))
    if hasattr(dut, "gate"):
        moved = dut.operand != past(m, dut.operand, 1)[0]
        broken |= moved & Cat(past(m, dut.gate, dut.skew)).any()
    was_broken, ok = Signal(), Signal(name="equal")
    m.d.sync += was_broken.eq(was_broken | broken)
    m.d.comb += ok.eq(equal.all() | was_broken)
    return m, [*inputs, *rows, ok]


def prove(folder, dut):
    """Whether Yosys proves the agreement for all inputs and all time, by induction from the initial state."""
    m, ports = agreement(dut)
    (folder / "proof.il").write_text(rtlil.convert(m, ports=ports, name="proof", emit_src=False))
    # The packaged Yosys sees files only below its working directory.
    script = ("read_rtlil proof.il; hierarchy -top proof; proc; flatten; opt; "
              f"sat -tempinduct -seq 1 -maxsteps {dut.latency + 6} -prove equal 1 -set rst 0 proof")
    run = subprocess.run([os.environ["YOSYS"], "-p", script], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    proved = "Induction step proven: SUCCESS!" in run.stdout
    assert proved or "SAT temporal induction proof finished - model found for base case: FAIL!" in run.stdout
    return proved


@pytest.mark.parametrize("capture", [False, True], ids=["value", "capture"])
@pytest.mark.parametrize("case", SMALL)
def test_equals_a_plain_accumulator_for_all_time(tmp_path, case, capture):
    assert prove(tmp_path, ShiftAccumulator(**SMALL[case], capture=capture))


@pytest.mark.parametrize("case, name", [
    ("three", "carry"), ("three", "from_below"), ("three", "first"), ("three", "shift"), ("three", "operand"),
    ("three", "capture_1"), ("held", "gate"), ("rows", "carry"), ("rows", "operand1"),
])
def test_proof_sees_a_register_that_is_missing(tmp_path, monkeypatch, case, name):
    def faulty(m, value, cycles, label, **options):
        return delay(m, value, 0 if label.startswith(name) else cycles, label, **options)
    monkeypatch.setattr(shift_accumulator, "delay", faulty)
    assert not prove(tmp_path, ShiftAccumulator(**SMALL[case], capture=True))


def test_proof_sees_a_lost_sign(tmp_path, monkeypatch):
    monkeypatch.setattr(shift_accumulator, "_upper", lambda operand, size: Cat(operand[size:], 0).as_signed())
    assert not prove(tmp_path, ShiftAccumulator(**SMALL["three"]))


def wrap(value, width):
    """Two's complement."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def operations(dut, rng, cycles, max_shift):
    """Random operations within the contract: ``first`` first, strobes far enough apart, operands held."""
    width, quiet, still = len(rows_of(dut)[0]), 0, 0
    operands = [0] * len(rows_of(dut))
    for cycle in range(cycles):
        if not hasattr(dut, "gate") or still == 0:
            words = (rng.choice([rng.getrandbits(width), 0, -1, 1 << width - 1]) for _ in operands)
            operands = [wrap(word, width) for word in words]
        gate = rng.random() < 0.7
        capture = quiet == 0 and rng.random() < 0.5
        still = dut.skew if gate else max(still - 1, 0)
        quiet = dut.skew if capture else max(quiet - 1, 0)
        first, shift = cycle == 0 or rng.random() < 0.1, rng.randint(0, max_shift)
        yield dict(operands=operands, gate=gate, capture=capture, first=first, shift=shift)


def simulate(dut, steps):
    """Perform the operations, then nothing; return [(cycle, result)] and the value at the end."""
    captured = []

    async def bench(ctx):
        for cycle, step in enumerate([*steps, *[dict(gate=0, capture=0, first=0, shift=0)] * dut.latency]):
            for name in ("gate", "capture", "first", "shift"):
                if hasattr(dut, name):
                    ctx.set(getattr(dut, name), int(step[name]))
            idle = [ctx.get(row) if hasattr(dut, "gate") else 0 for row in rows_of(dut)]
            for row, operand in zip(rows_of(dut), step.get("operands", idle), strict=True):
                ctx.set(row, operand)
            if ctx.get(dut.captured):
                captured.append((cycle - dut.latency, ctx.get(dut.result)))
            await ctx.tick()
        if ctx.get(dut.captured):
            captured.append((len(steps), ctx.get(dut.result)))
        captured.append(ctx.get(dut.value))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return captured[:-1], captured[-1]


@pytest.mark.parametrize("options", [
    dict(), dict(chunk=None), dict(chunk=5, max_shift=3), dict(hold_operand=True),
    dict(operand_width=32, operand_rows=2),
], ids=str)
def test_real_widths(options):
    dut = ShiftAccumulator(**{"width": 32, "operand_width": 19, "capture": True, **options})
    steps = list(operations(dut, random.Random(7), 400, options.get("max_shift", 1)))
    value, expected = 0, []
    for cycle, step in enumerate(steps):
        added = sum(step["operands"]) if step["gate"] or not hasattr(dut, "gate") else 0
        value = wrap(((0 if step["first"] else value) << step["shift"]) + added, 32)
        if step["capture"]:
            expected.append((cycle, value))
    assert len(expected) > 40
    assert simulate(dut, steps) == (expected, value)


def test_latency():
    assert [ShiftAccumulator(32, 19, chunk=chunk).skew for chunk in (None, 32, 8, 7)] == [0, 0, 3, 4]
    assert [ShiftAccumulator(32, 19, chunk=chunk).latency for chunk in (None, 8)] == [1, 4]
    assert [ShiftAccumulator(32, 19, chunk=chunk, capture=True).latency for chunk in (None, 8)] == [2, 5]


@pytest.mark.parametrize("options, message", [
    (dict(width=0), "width must be at least 1, not 0"),
    (dict(operand_width=33), "operand_width must be from 1 to width, 32, not 33"),
    (dict(max_shift=-1), "max_shift must not be negative, not -1"),
    (dict(max_shift=3, chunk=2), "chunk must be None or at least 1 and max_shift, 3, not 2"),
    (dict(operand_rows=0), "operand_rows must be at least 1, not 0"),
    (dict(overflow=True, hold_operand=True), "overflow must be False with several operand_rows or with hold_operand"),
    (dict(operand_rows=2), "operand_width must be width, 32, if there are several operand_rows, not 19"),
])
def test_bad_parameters(options, message):
    with pytest.raises(ValueError) as error:
        ShiftAccumulator(**{"width": 32, "operand_width": 19, **options})
    assert str(error.value) == message
