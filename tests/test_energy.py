# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Energies: transitions are those of gates, their price is the library's, and a whole engine's netlist computes a layer."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.synth import generic, timing
from subbyte.synth.activity import GateModel, run_streams
from subbyte.synth.energy import check_library, price
from subbyte.synth.gates import cell_groups, read_netlist
from subbyte.synth.library import load_library
from subbyte.tests.recordings import SHARED
from subbyte.tools.process import ToolError
from subbyte.tools.toolchain import MissingTool

NANGATE = SHARED / "liberty" / "nangate45_typ.lib.gz"
SLICE = "tests/data/smollm2_slice.npz"

# A bit that changes in each cycle, and its XOR with itself, a buffer later: a glitch for each change.
TOGGLE = r"""
module toggle(clk, d, \y[0] );
  input clk;
  input d;
  output \y[0] ;
  wire q;
  INV_X1 i (
    .A(q),
    .Z(\a.$n )
  );
  DFF \f.$slice  (
    .CK(clk),
    .D(\a.$n ),
    .Q(q)
  );
  BUF_X1 b (
    .A(q),
    .Z(late)
  );
  XOR2_X1 x (
    .A(q),
    .B(late),
    .Z(y0)
  );
  BUF_X1 p (
    .A(d),
    .Z(unread)
  );
  NAND2_X1 n (
    .A(q),
    .B(1'h0),
    .Z(high)
  );
  assign \y[0]  = y0;
endmodule
"""
POWER = """internal_power () { rise_power (scalar) { values ("2"); } fall_power (scalar) { values ("1"); } }
      direction : input;"""
"""fJ: 1.5 a transition of an input."""

CONDITIONS = """  operating_conditions (typical) { process : 1; voltage : 1; temperature : 25; }
  default_operating_conditions : typical;
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The project's own library, with power tables."""
    folder = tmp_path_factory.mktemp("energy")
    text = generic.liberty_text().replace("direction : input;", POWER)
    text = text.replace("    area :", "    cell_leakage_power : 3;\n    area :")
    text = text.replace("  delay_model", CONDITIONS + "  delay_model")
    (folder / "power.lib").write_text(text, encoding="utf-8")
    return load_library([folder / "power.lib"], folder)


@pytest.fixture(scope="module")
def toggled(library):
    """After eight cycles; the input changes in every other one."""
    groups = cell_groups(library)
    netlist = read_netlist(TOGGLE, groups)
    model = GateModel(netlist, groups, "clk")
    model.start()
    for i in range(8):
        model.cycle([netlist.inputs["d"]], [i // 2 % 2])
    return model, model.activity


def test_transitions_are_counted_with_and_without_glitches(toggled):
    model, activity = toggled
    netlist = model.netlist
    output = {cell.name: cell.pins.get("Z", cell.pins.get("Q")) for cell in netlist.cells}
    counted = {name: (activity.transitions[net], activity.settled[net], activity.high[net]) for name, net in output.items()}
    assert counted == {"i": (8, 8, 4), "f.$slice": (8, 8, 4), "b": (8, 8, 4), "x": (16, 0, 0), "p": (3, 3, 4),
                       "n": (0, 0, 8)}
    assert netlist.outputs == {"y[0]": output["x"]} and activity.cycles == 8


@pytest.mark.skipif(not timing.has_opensta(), reason="OpenSTA is not installed")
@pytest.mark.parametrize("settled", [False, True])
def test_transitions_cost_what_the_library_says(library, toggled, settled):
    model, activity = toggled
    folder = library.folder / "toggle"
    folder.mkdir(exist_ok=True)
    energies = price(model, 2000.0, library, folder, activity, settled) * 1e15
    loads = library.loads
    driven = [loads["DFF"]["D"], sum(loads[kind]["A"] for kind in ("INV_X1", "BUF_X1", "XOR2_X1", "NAND2_X1")),
              loads["XOR2_X1"]["B"], 0, 0, 0]
    changes = np.array([1, 1, 1, 0 if settled else 2, 3 / 8, 0])
    # The input's transitions, at the flip-flop D's and two of the clock.
    np.testing.assert_allclose(energies[:, 0], 1.5 * np.array([1, 1 + 2, 1, 2, 3 / 8, 1]), rtol=1e-6)
    np.testing.assert_allclose(energies[:, 1], changes * driven / 2, rtol=1e-6)
    np.testing.assert_allclose(energies[:, 2], 3e-9 * 2e-9 * 1e15, rtol=1e-6)


def test_a_netlist_that_cannot_be_simulated_is_refused(library):
    groups = cell_groups(library)
    with pytest.raises(ToolError, match="^netlist.v must hold cells of the library alone, not NAND9$"):
        read_netlist(TOGGLE.replace("NAND2_X1", "NAND9"), groups)
    with pytest.raises(ToolError, match="^DFF must be a flip-flop at rising edges of the clock, its set and reset tied off$"):
        GateModel(read_netlist(TOGGLE.replace(".CK(clk)", ".CK(late)"), groups), groups, "clk")
    resettable = TOGGLE.replace("DFF ", "DFFR ").replace(".D(", ".RN(1'h1),\n    .D(")
    GateModel(read_netlist(resettable, groups), groups, "clk")
    for reset in ("1'h0", "d"):
        with pytest.raises(ToolError, match="^DFFR must be a flip-flop at rising edges of the clock, its set and reset tied"):
            GateModel(read_netlist(resettable.replace("1'h1", reset), groups), groups, "clk")
    with pytest.raises(ToolError, match="^a netlist must settle within 100000 steps: it has a loop$"):
        GateModel(read_netlist(TOGGLE.replace(".A(q),\n    .Z(late)", ".A(y0),\n    .Z(late)").replace(
            "XOR2_X1 x (\n    .A(q)", "NAND2_X1 x (\n    .A(high)"), groups), groups, "clk")


def test_an_engine_that_stops_is_noticed(library):
    text = r"""
module stuck(clk, rst, \i__payload , i__valid, i__ready, \o__payload , o__valid, o__ready);
  input clk;
  input rst;
  input \i__payload ;
  input i__valid;
  output i__ready;
  output \o__payload ;
  output o__valid;
  input o__ready;
  assign i__ready = 1'h0;
  assign \o__payload  = \i__payload ;
  assign o__valid = 1'h0;
  INV_X1 i (
    .A(i__valid),
    .Z(n)
  );
endmodule
"""
    groups = cell_groups(library)
    model = GateModel(read_netlist(text, groups), groups, "clk")
    with pytest.raises(ToolError, match="^the netlist must send 1 beats; it stopped after 0$"):
        run_streams(model, {"i": np.ones((1, 1), np.uint8)}, 1, output="o")


def test_what_energies_need_is_named(library, tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "has_opensta", lambda: True)
    check_library(library)
    with pytest.raises(ValueError, match="^library subbyte_generic must have power tables for energies; --liberty names one"):
        check_library(load_library([], tmp_path))
    monkeypatch.setattr(timing, "has_opensta", lambda: False)
    with pytest.raises(MissingTool, match="^energies need OpenSTA, whose program is sta: apt install opensta$"):
        check_library(library)


@pytest.mark.long
@pytest.mark.skipif(not (timing.has_opensta() and NANGATE.is_file()), reason="OpenSTA or an open cell library is not here")
def test_a_netlist_computes_a_layer_and_has_an_energy(tmp_path):
    output = tmp_path / "energy.json"
    settings = [word for setting in ("rows=2", "cols=2", "lanes=4", "drain=2") for word in ("--set", setting)]
    result = CliRunner().invoke(cli.main, ["energy", "bitmod", "--weights", SLICE, "--tensor", "weight", "--rows", "0:2",
                                           "--tokens", "2", *settings, "--liberty", str(NANGATE), "--json", str(output)])
    assert result.exit_code == 0, result.output
    figures = json.loads(output.read_text(encoding="utf-8"))
    totals = {key: sum(part[kind] for part in parts.values() for kind in part) for key, parts in figures["per_cycle"].items()}
    assert totals["idle"] < totals["settled"] < totals["layer"] and figures["macs"] == 2 * 2 * 576
    assert {"PE array", "edge logic", "dequantization", "shell"} <= figures["per_cycle"]["layer"].keys()
    assert figures["per_mac"] * figures["macs"] == pytest.approx(totals["layer"] * figures["cycles"])
