# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Cell libraries: Liberty is read right or refused with its line; the project's own follows from its circuits."""

import gzip
import re

import pytest

from subbyte.synth import generic, liberty
from subbyte.synth.generic import CELLS, Cell, aoi, oai
from subbyte.synth.library import load_library
from subbyte.tests.recordings import SHARED

LIBRARIES = SHARED / "liberty"

SMALL = """
/* a comment
   of two lines { */
library ("small") {
  time_unit : "1ns";
  capacitive_load_unit (1, pf);
  define (dont_like, cell, string);
  cell (ND2) {
    area : 2.5 ;
    pin (A) { direction : input; capacitance : 0.001; }
    pin (B) { direction : input; capacitance : 0.001; }
    pin (Y) { direction : output; function : "(A B)'"; }
  }
  cell ("INVA") { area : 1; pin(A) { direction : input; capacitance : 0.002; } pin(Y) { direction : output; function : "!A"; } }
  cell (BUFA) { area : 3; pin(A) { direction : input; } pin(Y) { direction : output; function : "A"; } }
  cell (BUFB) { area : 4; pin(A) { direction : input; } pin(Y) { direction : output; function : "(A)"; } }
  cell (FF) {
    area : 12;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (D) { direction : input; timing () { related_pin : CK; timing_type : setup_rising;
      rise_constraint (t) { index_1 ("0.1, 0.2"); values ("0.03, 0.04", \\
        "0.05, 0.06"); } } }
    pin (Q) { direction : output; function : "IQ"; timing () { related_pin : CK; timing_type : rising_edge;
      cell_rise (t) { index_1 ("0.1, 0.2"); index_2 ("0.001, 0.01"); values ("0.5, 0.7", "0.8, 0.9"); } } }
  }
}
"""


def small(tmp_path, text=SMALL, name="small.lib"):
    path = tmp_path / name
    path.write_text(text)
    return load_library([path], tmp_path / "build")


def test_figures_come_from_the_file(tmp_path):
    library = small(tmp_path)
    assert (library.name, library.files, library.units) == ("small", ("small.lib",), ("um2", "ps"))
    assert (library.nand2, library.driver, library.load, library.time_unit) == (2.5, "BUFB", pytest.approx(8.0), 1000)
    # The smallest slew; the load of four inverters, 8 fF, is seven ninths of the way from 1 fF to 10 fF.
    assert library.flipflops["FF"].clk_to_q == pytest.approx(500 + 200 * 7 / 9)
    assert library.flipflops["FF"].setup == pytest.approx(30)
    assert library.repeater.pins == ("A", "Y") and library.loads["ND2"] == {"A": 0.5, "B": 0.5}


@pytest.mark.parametrize("change, message", [
    (lambda text: text.replace("cell (ND2) {", "cell (ND2) {{"), "line 8 must have a statement, not '{ area : 2.5"),
    (lambda text: text.rstrip()[:-1], "must have the end of library (small)"),
    (lambda text: text + "}", "must have a statement, not '}'"),
    (lambda text: "just some text", "line 1 must have a statement, not 'just some text'"),
    (lambda text: "x : 1;", "it must hold one library"),
    (lambda text: text.replace("(A B)'", "A + B"), "library small must have a two-input NAND with an area; it has 5 cells"),
    (lambda text: text.replace("ff (IQ", "latch (IQ"), "library small must have a flip-flop; it has 5 cells"),
    (lambda text: text.replace("1ns", "one"), "time_unit of library small must be a number and one of fs, ps, ns, us, not"),
])
def test_what_is_no_library_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        small(tmp_path, change(SMALL))


def test_gzip_is_unpacked_and_a_broken_one_is_refused(tmp_path):
    path = tmp_path / "small.lib.gz"
    path.write_bytes(gzip.compress(SMALL.encode()))
    library = load_library([path], tmp_path / "build")
    assert (library.folder / "small.lib").read_text() == SMALL
    path.write_bytes(gzip.compress(SMALL.encode())[:-20])
    with pytest.raises(ValueError, match="small.lib.gz is not a whole gzip file"):
        load_library([path], tmp_path / "build")


@pytest.mark.parametrize("function, expected", [
    ("!(A & B)", "1110"), ("(A B)'", "1110"), ("(!A) | (!B)", "1110"), ("A'+B'", "1110"), ("A ^ B", "0110"),
    ("A * !B + B !A", "0110"), ("A | B & A", "0011"), ("!A'", "0011"), ("1", "1111"),
])
def test_functions_are_read_as_liberty_writes_them(function, expected):
    assert "".join(str(int(value)) for value in liberty.truth_table(function, ["A", "B"])) == expected


def test_a_function_of_other_operands_is_none():
    assert liberty.truth_table("IQ", ["A"]) is None


@pytest.mark.parametrize("gate, pairs, efforts, parasitic", [
    # Logical effort, tables 1.1 and 1.2 and section 4.5: in thirds.
    (aoi("A"), 1, {"A": 3}, 3),
    (aoi("AB"), 2, {"A": 4, "B": 4}, 6),
    (aoi("ABC"), 3, {"B": 5}, 9),
    (aoi("A", "B"), 2, {"A": 5, "B": 5}, 6),
    (aoi("A", "B", "C"), 3, {"C": 7}, 9),
    (aoi("AB", "C"), 3, {"A": 6, "C": 5}, 7),
    (aoi("AB", "CD"), 4, {"A": 6, "D": 6}, 12),
    (oai("A", "B"), 2, {"A": 4}, 6),
])
def test_gates_have_the_logical_effort_of_the_book(gate, pairs, efforts, parasitic):
    assert gate.pairs == pairs and gate.parasitic == pytest.approx(parasitic / 3)
    for net, effort in efforts.items():
        assert gate.effort(net) == pytest.approx(effort / 3)


@pytest.mark.parametrize("name, expected", [
    ("AND3", "00000001"), ("NOR2", "1000"), ("XOR2", "0110"), ("XNOR2", "1001"), ("OAI21", "11101010"),
    ("MUX2", "00100111"),  # A, B, S: S chooses B
])
def test_cells_compute_what_they_are_called(name, expected):
    cell = Cell(CELLS[name], 1)
    values = liberty.truth_table(cell.function(), cell.pins)
    if name == "MUX2":
        assert [values[4 * a + 2 * b + s] for a in (0, 1) for b in (0, 1) for s in (0, 1)] == [
            bool(b if s else a) for a in (0, 1) for b in (0, 1) for s in (0, 1)]
    elif name == "OAI21":
        assert list(values) == [not ((a or b) and c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    else:
        assert "".join(str(int(value)) for value in values) == expected


def test_an_inverter_that_drives_four_is_the_unit_of_delay():
    cell = Cell(CELLS["INV"], 1)
    ((parasitic, gates),) = cell.paths("A")
    assert gates == 1 and (parasitic + 4 * cell.load("A")) * generic.TAU_PS == generic.FO4_PS


def test_the_generic_library_is_one_that_the_flow_takes(tmp_path):
    library = load_library([], tmp_path)
    assert library.generic and library.units == ("GE", "FO4") and library.nand2 == 1
    assert library.driver == "BUF_X2" and library.repeater.name == "BUF_X4"
    assert library.delay(library.flipflops["DFF"].clk_to_q) == pytest.approx((generic.CLK_TO_Q + 4) / 5)
    assert generic.liberty_text() == generic.liberty_text()


@pytest.mark.skipif(not LIBRARIES.is_dir(), reason="the open cell libraries (../shared/liberty) are not here")
@pytest.mark.parametrize("pattern, name, nand2, driver, flipflop", [
    ("nangate45*", "NangateOpenCellLibrary", 0.798, "BUF_X2", "DFF_X1"),
    ("sky130hd*", "sky130_fd_sc_hd__tt_025C_1v80", 3.7536, "sky130_fd_sc_hd__buf_2", "sky130_fd_sc_hd__dfxtp_1"),
    ("sg13g2*", "sg13g2_stdcell_typ_1p20V_25C", 7.2576, "sg13g2_buf_2", "sg13g2_dfrbpq_1"),
    ("asap7*", "asap7sc7p5t", 0.05832, "BUFx2_ASAP7_75t_R", "DFFHQNx1_ASAP7_75t_R"),
])
def test_open_libraries_are_understood(tmp_path, pattern, name, nand2, driver, flipflop):
    library = load_library(sorted(LIBRARIES.glob(pattern + ".lib.gz")), tmp_path)
    assert (library.name, library.nand2, library.driver) == (name, nand2, driver)
    figures = library.flipflops[flipflop]
    assert 5 < figures.setup < 200 and 20 < figures.clk_to_q < 500


@pytest.mark.skipif(not LIBRARIES.is_dir(), reason="the open cell libraries (../shared/liberty) are not here")
def test_generic_areas_are_those_of_a_real_library():
    """Two in three cells have exactly Nangate45's area in gate equivalents; none of drive 1 is further off than 13 %."""
    text = gzip.decompress((LIBRARIES / "nangate45_typ.lib.gz").read_bytes()).decode()
    real = {cell.arguments: float(cell.attributes["area"]) / 0.798 for cell in liberty.parse(text, "nangate45").find("cell")}
    own = {cell.arguments: float(cell.attributes["area"]) for cell in liberty.parse(generic.liberty_text(), "own").find("cell")}
    ratios = {name: area / real[name] for name, area in own.items() if name in real}
    assert sum(abs(ratio - 1) < 0.001 for ratio in ratios.values()) > len(ratios) * 2 / 3
    assert all(0.87 < ratio < 1.13 for name, ratio in ratios.items() if name.endswith("_X1"))
