# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Models are built once, refuse what lint finds, run streams exactly, and every failure says what happened."""

import os
import subprocess
import sys

import numpy as np
import pytest

from subbyte.sim import cocotb_run, stream_model, verilate
from subbyte.tb.harness import to_ints, to_words
from subbyte.tb.stream_adder import Fault, StreamAdder
from subbyte.tools import toolchain
from subbyte.top.emit import to_verilog

BEATS, PLACE = 400, 57
PORTS = {"inputs": {"a": 8, "b": 70}, "outputs": {"sums": 71}, "status": {"errors": 4}}


def data(fault=None, beats=BEATS):
    """Random operands, with a fault requested at beat PLACE, and their sums."""
    rng = np.random.default_rng(5)
    a = rng.integers(0, 0xF0, (beats, 1), dtype=np.uint8)
    if fault is not None:
        a[PLACE] = fault
    b = rng.integers(0, 256, (beats, 9), dtype=np.uint8)
    b[:, -1] &= 0x3F
    return {"a": a, "b": b}, to_words([x + y for x, y in zip(to_ints(a), to_ints(b))], 71)


@pytest.fixture(scope="module")
def verilog():
    return to_verilog(StreamAdder(), "stream_adder")


@pytest.fixture(scope="module")
def model(verilog):
    return stream_model.StreamModel(verilog, "stream_adder", **PORTS)


def test_exact_words_and_cycles(model):
    streams, sums = data()
    result = model.run(streams, {"sums": BEATS})
    assert np.array_equal(result.outputs["sums"], sums)
    assert (result.cycles, result.first_cycle, result.last_cycle) == (BEATS + 1, 0, BEATS)
    assert np.array_equal(result.input_cycles["a"], np.arange(BEATS))
    assert np.array_equal(result.output_cycles["sums"], np.arange(BEATS) + 1)
    assert result.status == {"errors": 0}


@pytest.mark.parametrize("knobs, least", [
    ({"idle": 0.4}, 1.5), ({"idle": {"b": 0.5}}, 1.8), ({"backpressure": 0.5}, 1.8),
    ({"idle": 0.3, "backpressure": {"sums": 0.3}}, 1.5), ({"idle": 0.3, "backpressure": 0.3, "reset_at": 101}, 1.5),
])
def test_pauses_change_cycles_and_nothing_else(model, knobs, least):
    streams, sums = data()
    first, again, other = (model.run(streams, {"sums": BEATS}, seed=seed, **knobs) for seed in (3, 3, 4))
    for result in (first, again, other):
        assert np.array_equal(result.outputs["sums"], sums)
        assert result.cycles > least * BEATS
        assert result.cycles == result.last_cycle - result.first_cycle + 1
    assert np.array_equal(first.output_cycles["sums"], again.output_cycles["sums"])
    assert not np.array_equal(first.output_cycles["sums"], other.output_cycles["sums"])


def test_held_inputs(model):
    streams, sums = data()
    held = model.run(streams, {"sums": BEATS}, hold={"offset": 9}).outputs["sums"]
    assert to_ints(held) == [value + 9 for value in to_ints(sums)]
    with pytest.raises(ValueError, match=r"hold may name the inputs \['offset'\] only, not 'a'"):
        model.run(streams, {"sums": BEATS}, hold={"a": 1})
    with pytest.raises(ValueError, match=r"hold\['offset'\] must fit 4 bits, not 16"):
        model.run(streams, {"sums": BEATS}, hold={"offset": 16})


def test_cycles_count_from_the_last_first_offer(model):
    streams, _ = data()
    result = model.run(streams, {"sums": BEATS}, idle={"b": 0.97}, seed=2)
    assert result.first_cycle == result.input_cycles["b"][0] > 3


def test_reset_clears_status(model):
    streams, sums = data(Fault.FLAGGED)
    assert model.run(streams, {"sums": BEATS}).status == {"errors": 1}
    assert model.run(streams, {"sums": BEATS}, reset_at=PLACE + 20).status == {"errors": 1}


@pytest.mark.parametrize("fault, knobs, message", [
    (Fault.CHANGES, {"backpressure": 0.9}, "changed the payload of a waiting beat of sums in cycle"),
    (Fault.WITHDRAWN, {"backpressure": 0.9}, "withdrew a waiting beat of sums in cycle"),
    (Fault.DOUBLED, {}, f"more than the expected {BEATS} beats of sums: one more in cycle {BEATS + 1}"),
    (Fault.DROPPED, {"timeout_cycles": 100}, f"no transfer for 100 cycles: a took {BEATS} of {BEATS}; b took {BEATS} "
                                             rf"of {BEATS}; sums gave {BEATS - 1} of {BEATS} \(waits for valid\)"),
])
def test_protocol_faults(model, fault, knobs, message):
    with pytest.raises(stream_model.StreamError, match=message + r".*\(SEED=9\)"):
        model.run(data(fault)[0], {"sums": BEATS}, seed=9, **knobs)


def test_idle_payloads_are_noise(model):
    streams, sums = data(Fault.LEAKS)
    assert np.array_equal(model.run(streams, {"sums": BEATS}).outputs["sums"], sums)
    leaked = [model.run(streams, {"sums": BEATS}, idle={"a": 0.5}, seed=seed).outputs["sums"] for seed in (3, 3, 4)]
    assert np.array_equal(leaked[0], leaked[1]) and not np.array_equal(leaked[0], leaked[2])
    assert not np.array_equal(leaked[0], sums)


def test_deadlock_says_who_waits(model):
    streams, _ = data()
    streams["b"] = streams["b"][:-2]
    with pytest.raises(stream_model.StreamError, match=r"no transfer for 50 cycles: a took 398 of 400 \(waits for "
                                                       r"ready\); b took 398 of 398; sums gave 398 of 400"):
        model.run(streams, {"sums": BEATS}, timeout_cycles=50)


def test_progress_and_interruption(model):
    beats, calls = 300_000, []
    streams, _ = data(beats=1000)
    streams = {name: np.tile(words, (beats // 1000, 1)) for name, words in streams.items()}
    model.run(streams, {"sums": beats}, progress=lambda share, cycles: calls.append((share, cycles)))
    assert len(calls) == 2 and 0.4 < calls[0][0] < 0.5 and calls[1][1] > 2 * 130_000

    def interrupt(share, cycles):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.run(streams, {"sums": beats}, progress=interrupt)
    assert not list(model.folder.glob("run-*"))


@pytest.mark.parametrize("change, message", [
    ({"inputs": {"a": 9, "b": 70}}, "must have 'a__payload' as an input of 9 bits: it is an input of 8 bits"),
    ({"outputs": {"sums": 71, "more": 3}}, "must have 'more__payload' as an output of 3 bits: it is absent"),
    ({"status": {"a__valid": 1}}, "must have 'a__valid' as an output of 1 bits: it is an input of 1 bits"),
])
def test_ports_must_match(verilog, change, message):
    with pytest.raises(ValueError, match=message):
        stream_model.StreamModel(verilog, "stream_adder", **{**PORTS, **change})


def test_words_must_match(model):
    streams, _ = data()
    for name, words, message in (("a", streams["b"], r"streams\['a'\] must be uint8 \[beats, 1\] for 8 bits"),
                                 ("b", streams["b"] | 0x80, r"streams\['b'\] must be zero above its 70 bits")):
        with pytest.raises(ValueError, match=message):
            model.run({**streams, name: words}, {"sums": BEATS})
    with pytest.raises(ValueError, match=r"streams must have exactly the streams \['a', 'b'\], not \['a'\]"):
        model.run({"a": streams["a"]}, {"sums": BEATS})
    with pytest.raises(ValueError, match="idle must be probabilities of at least 0 and below 1, not 1.0"):
        model.run(streams, {"sums": BEATS}, idle=1.0)


def test_trace(verilog, monkeypatch):
    monkeypatch.setenv("WAVES", "1")
    model = stream_model.StreamModel(verilog, "stream_adder", **PORTS)
    result = model.run(data()[0], {"sums": BEATS})
    dump = result.folder / f"dump.{verilate.waves_format()}"
    assert dump.stat().st_size > 10_000


def test_build_is_reused_and_completed(verilog, model):
    marker = model.folder / "model.sha256"
    before = marker.stat().st_mtime_ns
    again = stream_model.StreamModel(verilog, "stream_adder", **PORTS)
    assert again.folder == model.folder and marker.stat().st_mtime_ns == before
    assert again.build_seconds < 0.5
    marker.unlink()  # as if it had been interrupted
    stream_model.StreamModel(verilog, "stream_adder", **PORTS)
    assert marker.stat().st_mtime_ns > before


BAD = "module bad(input clk, input [7:0] a, output reg [3:0] y);\n  {}\nendmodule\n"


@pytest.mark.parametrize("body, message", [
    ("always @(posedge clk) y <= 0; always @(negedge clk) y <= a[3:0];",
     "Verilator warns about the design.*\n%Warning-MULTIDRIVEN"),
    ("always @* if (clk) y = a[3:0];", "Verilator warns about the design.*\n%Warning-LATCH"),
    ("always @(posedge clk) y <= b;", "verilator_bin failed.*\n%Error.*'b'"),
])
def test_lint_findings_fail_the_build(body, message):
    with pytest.raises(verilate.BuildError, match=message):
        verilate.build(BAD.format(body), "bad", kind="stream")


def test_initial_values():
    text = "\n".join([
        r"  reg \$always$1  = 0;", "  reg [7:0] sum = 8'h00;", r"  reg signed [3:0] \a.b[0]  = 4'h1;",
        r"  reg \$signal$16  = 1'h0;", "  reg [7:0] memory [3:0];", "    memory[0] = 8'h11;"])
    assert verilate.without_initial_values(text) == "\n".join([
        r"  reg \$always$1  = 0;", "  reg [7:0] sum;", r"  reg signed [3:0] \a.b[0] ;",
        r"  reg \$signal$16 ;", "  reg [7:0] memory [3:0];", "    memory[0] = 8'h11;"])


def test_missing_tools(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(toolchain.MissingTool, match=r"C\+\+ compiler .*apt install g\+\+; .*dnf install gcc-c\+\+"):
        verilate.build("module fresh(input clk);\nendmodule", "fresh")
    for name in ("c++", "g++"):
        (tmp_path / name).symlink_to("/bin/true")
    with pytest.raises(toolchain.MissingTool, match=r"the program 'make' .*apt install make") as caught:
        toolchain.check_tools()
    assert "\n" not in str(caught.value)


def test_environment_is_prepared_once(monkeypatch):
    monkeypatch.setenv("VERILATOR_ROOT", "/elsewhere")
    toolchain.prepare_environment()
    first = dict(os.environ)
    toolchain.prepare_environment()
    assert dict(os.environ) == first
    assert first["VERILATOR_ROOT"].endswith("site-packages/verilator")


def test_imports_need_no_compiler():
    code = "import subbyte.sim.cocotb_run, subbyte.sim.stream_model, subbyte.tools.toolchain, subbyte.sim.verilate"
    subprocess.run([sys.executable, "-c", code], env={"PATH": ""}, check=True)


def test_seed_from_environment(monkeypatch):
    monkeypatch.delenv("SEED", raising=False)
    assert (cocotb_run.resolve_seed(), cocotb_run.resolve_seed(5)) == (1, 5)
    monkeypatch.setenv("SEED", "77")
    assert (cocotb_run.resolve_seed(), cocotb_run.resolve_seed(5)) == (77, 5)
    monkeypatch.setenv("SEED", "abc")
    with pytest.raises(ValueError, match="^SEED must be an integer, not 'abc'$"):
        cocotb_run.resolve_seed()


@pytest.mark.parametrize("bench, arguments, message", [
    ("bench_hang", {"limit_s": 3}, "the simulator did not end within 3 s"),
    ("bench_absent", {}, "ended early|without results"),
    ("bench_hang", {"testcase": "absent"}, "no cocotb test ran|without results|ended early"),
])
def test_benches_cannot_fail_silently(verilog, tmp_path, monkeypatch, bench, arguments, message):
    (tmp_path / "bench_hang.py").write_text("import cocotb\n@cocotb.test()\nasync def hang(dut):\n"
                                            "    while True:\n        pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError, match=message):
        cocotb_run.run_bench(verilog, "stream_adder", bench, **arguments)
