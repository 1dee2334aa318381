# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Coverage finds what no run did, in files that Verilator wrote, and excuses only what is named."""

import pytest

from subbyte.cli.coverage import Exceptions, page, table, tally
from subbyte.sim import coverage
from subbyte.sim.stream_model import StreamModel
from subbyte.tb.stream_adder import StreamAdder
from subbyte.tests.test_sim import BEATS, PORTS, data
from subbyte.top.emit import to_verilog

PLANTED = """
  reg planted = 1'h0;
  always @(posedge clk)
    if (a__valid & a__payload == 8'hff)
      planted <= 1'h1;
endmodule"""
"""Never runs: no operand of `data` without a fault is so large. Three holes, and a line."""
HOLES = {("branch", "if", "if (a__valid & a__payload == 8'hff)"),
         *(("toggle", f"planted:{way}", "reg planted;") for way in ("0->1", "1->0"))}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What two runs of an adder, with something in it that neither reaches, leave behind."""
    folder = tmp_path_factory.mktemp("coverage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTL_COVERAGE", str(folder))
        head, _, _ = to_verilog(StreamAdder(), "stream_adder").rpartition("endmodule")
        model = StreamModel(head + PLANTED, "stream_adder", **PORTS)
        for seed in (1, 2):
            model.run(data()[0], {"sums": BEATS}, seed=seed, idle=0.5, backpressure=0.3)
    return coverage.read_runs(folder)


def holes(runs, *entries):
    counts, texts = runs
    exceptions = Exceptions(entries)
    units, found = tally(counts, texts, exceptions)
    shown = {(point.kind, point.what, texts[place][point.line - 1].strip())
             for place, points in found.items() for point, why in points if why is None}
    return units, shown, exceptions


def test_what_is_planted_is_found(runs):
    units, found, _ = holes(runs)
    assert found >= HOLES
    counts, texts = runs
    line = next(i for lines in texts.values() for i, line in enumerate(lines, 1) if "planted <=" in line)
    assert units["stream_adder"]["line", "hole"] and not units["stream_adder"]["line", "excused"]
    assert any(point.kind == "branch" and line in point.lines and not count for point, count in counts.items())
    shown = page(units, tally(counts, texts, Exceptions(()))[1], texts)
    assert "planted:0-&gt;1" in shown and "a__payload == 8&#x27;hff" in shown


def test_what_runs_is_counted_over_all_runs(runs):
    """Each of the operand's bits rises in both runs; each beat that is taken moves at least one bit."""
    counts, _ = runs
    rises = [count for point, count in counts.items() if point.what.startswith("a__payload[") and point.what.endswith("0->1")]
    assert len(rises) == 8 and min(rises) > BEATS / 4
    assert {point.kind for point in counts} == set(coverage.KINDS)


def test_exceptions_name_a_reason_and_are_needed(runs):
    own = {"module": "stream_adder", "why": "planted"}
    signal, line, idle = {**own, "signal": "planted"}, {**own, "line": "if (a__valid &*"}, {**own, "signal": "a__payload[3]"}
    before, after = holes(runs)[1], holes(runs, signal, line, idle)
    assert before - after[1] == HOLES
    assert after[2].idle == [idle]
    assert after[0]["stream_adder"]["line", "excused"] == 1
    assert len(list(table(after[0]))) == len(after[0]) + 2


def test_spans_of_lines():
    assert list(coverage.lines_of("3-5,8")) == [3, 4, 5, 8] and list(coverage.lines_of("")) == []
