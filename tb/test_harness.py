# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The harness passes a good design and goes red, with a report worth reading, on each kind of fault."""

import numpy as np
import pytest

from subbyte.sim.cocotb_run import run_bench
from subbyte.tb.harness import to_ints, to_words
from subbyte.tb.stream_adder import Fault, StreamAdder
from subbyte.top.emit import to_verilog

BENCH = "subbyte.tb.bench_harness"
BEATS, PLACE = 120, 57


def data(fault=None):
    """Random operands and their sums, with a fault requested at beat PLACE."""
    rng = np.random.default_rng(5)
    a = [int(value) for value in rng.integers(0, 0xF0, BEATS)]
    b = [int.from_bytes(rng.bytes(9), "little") >> 2 for _ in range(BEATS)]
    if fault is not None:
        a[PLACE] = int(fault)
    return {"a": to_words(a, 8), "b": to_words(b, 70), "sums": to_words([x + y for x, y in zip(a, b)], 71)}


@pytest.fixture(scope="module")
def verilog():
    return to_verilog(StreamAdder(), "stream_adder")


def run(verilog, testcase, fault=None, simulator="verilator", **parameters):
    run_bench(verilog, "stream_adder", BENCH, testcase=testcase, seed=7, limit_s=60, simulator=simulator,
              parameters={**data(fault), "seed": 7, **parameters})


@pytest.mark.parametrize("testcase", ["clean", "repeatable", "reset_in_between", "power_up"])
def test_good_design(verilog, testcase):
    run(verilog, testcase)


def test_first_difference(verilog):
    expected = to_ints(data(Fault.WRONG)["sums"])[PLACE]
    with pytest.raises(AssertionError) as caught:
        run(verilog, "once", Fault.WRONG)
    message = str(caught.value)
    for part in (f"first difference in sums: beat {PLACE} (tile 5, column 7)", f"cycle    {PLACE + 1} ",
                 f"expected 0x{expected:x}", f"got      0x{expected + 1:x}", "seed     7", "SEED=7",
                 "simulation.log"):
        assert part in message


@pytest.mark.parametrize("fault, message", [
    (Fault.CHANGES, f"sums: the payload of waiting beat {PLACE} changed in cycle"),
    (Fault.WITHDRAWN, f"sums: the design withdrew waiting beat {PLACE} in cycle"),
    (Fault.DROPPED, f"first difference in sums: beat {PLACE} "),
    (Fault.DOUBLED, f"first difference in sums: beat {PLACE + 1} "),
])
def test_protocol_faults(verilog, fault, message):
    with pytest.raises(AssertionError, match=message.replace("(", r"\(")):
        run(verilog, "once", fault, backpressure=0.9)


def test_leak_of_an_idle_payload(verilog):
    run(verilog, "once", Fault.LEAKS)
    with pytest.raises(AssertionError, match="first difference in sums: beat"):
        run(verilog, "once", Fault.LEAKS, idle=0.3)


def test_undefined_idle_payloads(verilog, icarus):
    run(verilog, "once", simulator="icarus", idle=0.3, idle_payload="x")
    with pytest.raises(AssertionError, match="sums__payload has undefined bits in cycle"):
        run(verilog, "once", Fault.LEAKS, "icarus", idle=0.3, idle_payload="x")


def test_missing_beat_is_a_deadlock(verilog):
    given = data()
    given["b"] = given["b"][:-2]
    with pytest.raises(AssertionError, match=r"no transfer for 100 cycles: a took 118 of 120; b took 118 of 118; "
                                             r"sums gave 118 of 120"):
        run(verilog, "once", **given, patience=100)


def test_surplus_beat(verilog):
    given = data()
    given["sums"] = given["sums"][:-1]
    with pytest.raises(AssertionError, match="sums: beat 119 in cycle 120 is one too many"):
        run(verilog, "once", **given)


def test_words_round_trip():
    values = [0, 1, (1 << 70) - 1, 12345]
    words = to_words(values, 70)
    assert words.shape == (4, 9) and words.dtype == np.uint8
    assert to_ints(words) == values
    assert to_ints(to_words([-1], 70)) == [(1 << 70) - 1]
