# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The project's own cell library, which belongs to no technology: areas in gate equivalents, delays in FO4.

A cell is a chain of static CMOS gates, each given by its series-parallel network of transistors. Everything else follows:

* Area: a cell is as wide as its transistor pairs and one gap, ``(pairs + 1) / 3`` with a two-input NAND as the unit. Pairs
  are counted on the schematic; a gate of drive n has n fingers.
* Delay: the method of logical effort (Sutherland, Sproull, Harris: Logical Effort, 1999, chapters 3 and 4) with pMOS twice
  as wide as nMOS: ``d = p + C / n`` in units of tau, where the load C counts in inputs of an inverter, an input of a gate
  weighs its logical effort times n, and p is the gate's own diffusion. An inverter that drives four takes 5 tau: one FO4.
* The flip-flop is the usual master-slave pair of clocked inverters behind two clock inverters: 13 pairs, and gaps worth two
  more since clocked pairs share no diffusion with their neighbours. Clock to output is 18 tau, setup 8 tau, by the same method.

Slews and wires do not exist here. docs/synth.md compares the result with open libraries.
"""

from dataclasses import dataclass

__all__ = ["FILE", "FO4_PS", "liberty_text"]

FILE = "subbyte_generic.lib"
FO4_PS = 1000.0
"""One FO4 in the file's unit of time; large, since ABC reports whole ps."""
TAU_PS = FO4_PS / 5


@dataclass(frozen=True)
class Gate:
    """A static CMOS gate of the inputs' groups.

    Attributes
    ----------
    kind : "aoi" or "oai"
        NOT of an OR of ANDs, or of an AND of ORs.
    groups : tuple of tuple of str
        Nets by AND or OR.
    """

    kind: str
    groups: tuple[tuple[str, ...], ...]

    @property
    def pairs(self):
        """Transistor pairs, one for each input."""
        return sum(map(len, self.groups))

    @property
    def parasitic(self):
        """Width of the transistors at the output over that of an inverter: all branches of one side, one of the other."""
        sizes = [len(group) for group in self.groups]
        branches, series = (1, 2) if self.kind == "aoi" else (2, 1)
        return (branches * sum(sizes) + series * min(sizes) * len(sizes)) / 3

    def effort(self, net):
        """Logical effort of all inputs that the net drives."""
        branches, series = (1, 2) if self.kind == "aoi" else (2, 1)
        return sum(group.count(net) * (branches * len(group) + series * len(self.groups)) / 3 for group in self.groups)

    def function(self, of_net):
        """Its function in Liberty, `of_net` giving that of a net."""
        inner, outer = (" & ", " | ") if self.kind == "aoi" else (" | ", " & ")
        groups = (inner.join(map(of_net, group)) for group in self.groups)
        return "!(" + outer.join(f"({group})" if " " in group else group for group in groups) + ")"


def aoi(*groups):
    """AND-OR-invert of strings of one-letter nets."""
    return Gate("aoi", tuple(map(tuple, groups)))


def oai(*groups):
    """OR-AND-invert of strings of one-letter nets."""
    return Gate("oai", tuple(map(tuple, groups)))


# Cell: its gates by the net that each drives, inputs first. "Z" is the output.
CELLS = {
    "INV": {"Z": aoi("A")},
    "BUF": {"n": aoi("A"), "Z": aoi("n")},
    "NAND2": {"Z": aoi("AB")},
    "NAND3": {"Z": aoi("ABC")},
    "NAND4": {"Z": aoi("ABCD")},
    "NOR2": {"Z": aoi("A", "B")},
    "NOR3": {"Z": aoi("A", "B", "C")},
    "NOR4": {"Z": aoi("A", "B", "C", "D")},
    "AND2": {"n": aoi("AB"), "Z": aoi("n")},
    "AND3": {"n": aoi("ABC"), "Z": aoi("n")},
    "AND4": {"n": aoi("ABCD"), "Z": aoi("n")},
    "OR2": {"n": aoi("A", "B"), "Z": aoi("n")},
    "OR3": {"n": aoi("A", "B", "C"), "Z": aoi("n")},
    "OR4": {"n": aoi("A", "B", "C", "D"), "Z": aoi("n")},
    "AOI21": {"Z": aoi("AB", "C")},
    "AOI22": {"Z": aoi("AB", "CD")},
    "AOI211": {"Z": aoi("AB", "C", "D")},
    "AOI221": {"Z": aoi("AB", "CD", "E")},
    "AOI222": {"Z": aoi("AB", "CD", "EF")},
    "OAI21": {"Z": oai("AB", "C")},
    "OAI22": {"Z": oai("AB", "CD")},
    "OAI211": {"Z": oai("AB", "C", "D")},
    "OAI221": {"Z": oai("AB", "CD", "E")},
    "OAI222": {"Z": oai("AB", "CD", "EF")},
    "XOR2": {"n": aoi("A", "B"), "Z": aoi("AB", "n")},
    "XNOR2": {"n": aoi("AB"), "Z": oai("AB", "n")},
    "MUX2": {"s": aoi("S"), "n": aoi("As", "BS"), "Z": aoi("n")},
}
DRIVES = {"INV": (1, 2, 4, 8, 16), "BUF": (1, 2, 4, 8, 16)}
OTHER_DRIVES = (1, 2, 4)

# Flip-flop: transistor pairs with the gaps; what its state needs beside the clock and D. A clear or preset makes NANDs of
# two inverters.
FLIPFLOPS = {
    "DFF": (15, {}),
    "DFFR": (17, {"clear": "!RN"}),
    "DFFS": (17, {"preset": "!SN"}),
}
CLK_TO_Q, SETUP = 18, 8


class Cell:
    """A combinational cell of some drive: its last gate has it, those before half of it."""

    def __init__(self, gates, drive):
        self.gates = gates
        self.drives = {net: drive if net == "Z" else max(1, drive // 2) for net in gates}
        self.pins = sorted({pin for gate in gates.values() for group in gate.groups for pin in group} - set(gates))

    @property
    def pairs(self):
        """Transistor pairs, fingers counted."""
        return sum(gate.pairs * self.drives[net] for net, gate in self.gates.items())

    def load(self, net):
        """What a net of the cell drives, in inputs of an inverter."""
        return sum(gate.effort(net) * self.drives[driven] for driven, gate in self.gates.items())

    def paths(self, net):
        """Delay in tau without the output's load, and number of gates, of every path from a net to the output."""
        for driven, gate in self.gates.items():
            if gate.effort(net) and driven == "Z":
                yield gate.parasitic, 1
            elif gate.effort(net):
                for delay, gates in self.paths(driven):
                    yield gate.parasitic + self.load(driven) / self.drives[driven] + delay, gates + 1

    def function(self, net="Z"):
        """Function of a net in Liberty."""
        return self.gates[net].function(self.function) if net in self.gates else net


def liberty_text():
    """The library as Liberty, always the same text."""
    cells = []
    for name, gates in CELLS.items():
        for drive in DRIVES.get(name, OTHER_DRIVES):
            cells += _combinational(f"{name}_X{drive}", Cell(gates, drive), drive)
    for name, (pairs, state) in FLIPFLOPS.items():
        cells += _flipflop(name, pairs, state)
    return "\n".join([
        "/* subbyte's generic cell library: areas in gate equivalents, delays in FO4 / 1000 (docs/synth.md).",
        "   SPDX-FileCopyrightText: 2026 subbyte contributors",
        "   SPDX-License-Identifier: Apache-2.0 */",
        "library (subbyte_generic) {",
        "  delay_model : table_lookup;",
        '  time_unit : "1ps";',
        "  capacitive_load_unit (1, ff);  /* 1 is an input of the smallest inverter */",
        '  voltage_unit : "1V";',
        '  current_unit : "1mA";',
        '  pulling_resistance_unit : "1kohm";',
        '  leakage_power_unit : "1nW";',
        *(f"  {kind}_threshold_pct_{edge} : 50;" for kind in ("input", "output") for edge in ("rise", "fall")),
        *(f"  slew_{side}_threshold_pct_{edge} : {share};" for side, share in (("lower", 20), ("upper", 80))
          for edge in ("rise", "fall")),
        "  lu_table_template (linear) {",
        "    variable_1 : input_net_transition;",
        "    variable_2 : total_output_net_capacitance;",
        '    index_1 ("0, 1000");',
        '    index_2 ("0, 100");',
        "  }",
        *cells,
        "}", "",
    ])


def _combinational(name, cell, drive):
    lines = [f"  cell ({name}) {{", f"    area : {_area(cell.pairs)};"]
    for pin in cell.pins:
        lines += _input(pin, cell.load(pin))
    lines += ["    pin (Z) {", "      direction : output;", f'      function : "{cell.function()}";']
    for pin in cell.pins:
        paths = list(cell.paths(pin))
        inverted = {gates % 2 for _, gates in paths}
        sense = "non_unate" if len(inverted) > 1 else "negative_unate" if 1 in inverted else "positive_unate"
        lines += _arc(pin, f"timing_sense : {sense};", max(paths)[0], drive)
    return [*lines, "    }", "  }"]


def _flipflop(name, pairs, state):
    lines = [f"  cell ({name}) {{", f"    area : {_area(pairs)};", "    ff (IQ, IQN) {", '      clocked_on : "CK";',
             '      next_state : "D";', *(f'      {kind} : "{value}";' for kind, value in state.items()), "    }"]
    lines += _input("CK", 1, "      clock : true;")
    constraint = [f'        {edge}_constraint (scalar) {{ values ("{SETUP * TAU_PS:g}"); }}' for edge in ("rise", "fall")]
    lines += _input("D", 2, "      timing () {", '        related_pin : "CK";', "        timing_type : setup_rising;",
                    *constraint, "      }")
    lines += ["    pin (Q) {", "      direction : output;", '      function : "IQ";']
    lines += _arc("CK", "timing_type : rising_edge;", CLK_TO_Q, 1)
    for kind, value in state.items():
        sense = "positive_unate" if kind == "clear" else "negative_unate"
        lines += _arc(value[1:], f"timing_type : {kind}; timing_sense : {sense};", CLK_TO_Q, 1)
    lines += ["    }"]
    for value in state.values():
        lines += _input(value[1:], 3)
    return [*lines, "  }"]


def _input(pin, load, *more):
    return [f"    pin ({pin}) {{", "      direction : input;", f"      capacitance : {load:.4f};", *more, "    }"]


def _arc(pin, kind, parasitic, drive):
    """Timing of a path: the same for both edges, linear in the load, whatever the input's slew."""
    row = f"{parasitic * TAU_PS:.2f}, {(parasitic + 100 / drive) * TAU_PS:.2f}"
    tables = [f'        {table} (linear) {{ values ("{row}", "{row}"); }}'
              for table in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")]
    return ["      timing () {", f'        related_pin : "{pin}";', f"        {kind}", *tables, "      }"]


def _area(pairs):
    return f"{(pairs + 1) / 3:.4f}"
