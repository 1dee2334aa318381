# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Energy of a mapped engine at work: transitions of its own netlist, priced by OpenSTA with the library's power tables.

docs/energy.md states what the figures hold and what they do not.
"""

import fnmatch
import re
from dataclasses import dataclass

import numpy as np

from ..tools.process import ToolError, run_tool
from ..tools.toolchain import MissingTool
from . import asic, timing
from .activity import GateModel
from .gates import cell_groups, read_netlist
from .results import OK

__all__ = ["Energy", "MappedEngine", "check_library", "price"]

_INSTANCE = re.compile(r"^  (\S+) +(\\\S+|\w+) +\(", re.MULTILINE)
_MODULE = re.compile(r"^module (\\\S+|\w+)", re.MULTILINE)
_ROW = re.compile(r"^ *(\S+) +(\S+) +(\S+) +\S+ c(\d+)$", re.MULTILINE)
_BRACE = re.compile(r"[{}]")
_CONSTANTS = {0: "1'b0", 1: "1'b1"}


@dataclass(frozen=True)
class Energy:
    """Of an average cycle, in J.

    Attributes
    ----------
    internal, switching, leakage : float
        Inside cells, clock pins included; of nets; and what flows all the time, for a period of the clock.
    """

    internal: float
    switching: float
    leakage: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.internal + self.switching + self.leakage


def check_library(library) -> None:
    """Refuse a library, or a machine, that cannot price transitions.

    Raises
    ------
    MissingTool
        If OpenSTA is not installed.
    ValueError
        If no cell has power tables.
    """
    if not timing.has_opensta():
        raise MissingTool(f"energies need OpenSTA, whose program is {timing.OPENSTA}: apt install opensta")
    if not any("internal_power" in (library.folder / file).read_text(encoding="utf-8") for file in library.files):
        raise ValueError(f"library {library.name} must have power tables for energies; --liberty names one that has")


class MappedEngine:
    """A design, mapped and ready to run.

    Parameters
    ----------
    design : subbyte.synth.designs.Design
    library : subbyte.synth.library.Library
    options
        Of :func:`subbyte.synth.asic.measure`.

    Attributes
    ----------
    row : AreaRow
        Area and period; the latter is the cycle of all energies.
    model : GateModel

    Raises
    ------
    MissingTool, ValueError
        See :func:`check_library`.
    ToolError
        If it cannot be mapped.
    """

    def __init__(self, design, library, **options):
        check_library(library)
        self._design, self._library, self._folder = design, library, library.folder / design.name
        self.row = asic.measure(design, library, **options)
        if self.row.status != OK:
            raise ToolError(f"{design.name} must be mapped: {self.row.status}")
        groups = cell_groups(library)
        netlist = read_netlist((self._folder / "netlist.v").read_text(encoding="utf-8"), groups)
        self.model = GateModel(netlist, groups, design.clock)
        modules = self._folder / asic.MODULES
        paths = _paths(modules.read_text(encoding="utf-8"), design) if modules.exists() else {}
        self._categories = np.array([_category(cell.name, paths, design) for cell in netlist.cells])

    def energies(self, activity, settled=False) -> dict[str, Energy]:
        """Energy of an average cycle by category of the area's breakdown; see :func:`price` for the parameters."""
        priced = price(self.model, self.row.period, self._library, self._folder, activity, settled)
        return {str(category): Energy(*priced[self._categories == category].sum(0)) for category in np.unique(self._categories)}


def price(model, period, library, folder, activity, settled=False) -> np.ndarray:
    """Energy of an average cycle of each cell, in J: float64 [cells, (internal, switching, leakage)].

    OpenSTA 2.0.17 prices all but the inside of clock pins, whose transitions it counts twice and whose conditions it takes
    for independent of each other: these are known here exactly.

    Parameters
    ----------
    model : subbyte.synth.activity.GateModel
        That the activity is of.
    period : float
        In ps; only leakage depends on it.
    library : subbyte.synth.library.Library
    folder : pathlib.Path
        Beside the library's files.
    activity : subbyte.synth.activity.Activity
    settled : bool
        As if each net changed at most once in a cycle.

    Raises
    ------
    ToolError
        If OpenSTA fails, does not report each cell, or finds no voltage.
    """
    netlist = model.netlist
    (folder / "power.v").write_text(_renamed(netlist), encoding="utf-8")
    for file in library.files:
        text = (library.folder / file).read_text(encoding="utf-8")
        (folder / file).write_text(_without_clock_energies(text, model.clock_pins), encoding="utf-8")
    data = [f"p{net}" for net in netlist.inputs.values() if net != model.clock]
    counts = (activity.settled if settled else activity.transitions) / activity.cycles
    high = activity.high / activity.cycles
    script = [
        *(f"read_liberty {file}" for file in library.files),
        "read_verilog power.v",
        "link_design top",
        f"create_clock -name clock -period {period / library.time_unit:.9g} [get_ports p{model.clock}]",
        # Of inputs that belong to no clock, OpenSTA forgets what is set.
        f"set_input_delay 0 -clock clock [get_ports {{{' '.join(data)}}}]",
        # What is set before the first report is forgotten, and set_power_activity calls a procedure that does not exist:
        # what that would call is called here.
        "report_power > first.log",
        "proc a {pin activity duty} { sta::set_power_pin_activity [sta::find_pin $pin] $activity $duty }",
        "proc p {port activity duty} { sta::set_power_input_port_activity [get_ports $port] $activity $duty }",
        *(f"p p{net} {counts[net]:.9g} {high[net]:.9g}" for net in netlist.inputs.values() if net != model.clock),
        *(f"a c{index}/{pin} {counts[net]:.9g} {high[net]:.9g}"
          for index, cell in enumerate(netlist.cells) for pin, net in cell.pins.items() if net != model.clock),
        "report_power -instances [get_cells *] -digits 8",
        "exit",
    ]
    (folder / "power.tcl").write_text("\n".join([*script, ""]), encoding="utf-8")
    rows = _ROW.findall(run_tool([timing.OPENSTA, "-exit", "power.tcl"], folder, "power.log"))
    if len(rows) != len(netlist.cells):
        raise ToolError(f"{timing.OPENSTA} must report {len(netlist.cells)} cells, not {len(rows)}; "
                        f"its log is {folder / 'power.log'}")
    powers = np.zeros((len(rows), 3))
    powers[[int(row[-1]) for row in rows]] = [row[:-1] for row in rows]
    if not powers.any():
        raise ToolError(f"{timing.OPENSTA} must find a voltage: {library.name} has no default_operating_conditions")
    energies = powers * period * 1e-12
    for cell, condition, energy in model.clocked:
        energies[cell, 0] += high[condition] * energy * library.energy_unit
    return energies


def _without_clock_energies(text, pins):
    """A Liberty text whose pins of these names have no internal power: its groups get another name, which nobody knows."""
    pieces, position = [], 0
    for start in re.finditer(rf"\bpin\s*\(\s*\"?(?:{'|'.join(map(re.escape, pins))})\"?\s*\)\s*\{{", text):
        depth, end = 1, len(text)
        for brace in _BRACE.finditer(text, start.end()):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                end = brace.end()
                break
        pieces += [text[position:start.end()], text[start.end():end].replace("internal_power", "clock_power")]
        position = end
    return "".join([*pieces, text[position:]])


def _renamed(netlist):
    """The netlist with short names, which OpenSTA finds at once; the outputs' loads are none."""
    ports = sorted(netlist.inputs.values())
    lines = [f"module top ({', '.join(f'p{net}' for net in ports)});", *(f"  input p{net};" for net in ports)]
    names = {**_CONSTANTS, **{net: f"p{net}" for net in ports}}
    for index, cell in enumerate(netlist.cells):
        pins = ", ".join(f".{pin}({names.get(net, f'n{net}')})" for pin, net in cell.pins.items())
        lines.append(f"  {cell.kind} c{index} ({pins});")
    return "\n".join([*lines, "endmodule", ""])


def _paths(text, design):
    """Category of each instance of a module that kept its borders, by its path."""
    bodies = {}
    for body in text.split("endmodule"):
        name = _MODULE.search(body)
        if name:
            bodies[name[1]] = _INSTANCE.findall(body)
    found = {}

    def walk(module, prefix):
        for kind, instance in bodies[module]:
            if kind in bodies:
                path, plain = prefix + instance.removeprefix("\\"), kind.removeprefix("\\")
                pattern = next((key for key in design.breakdown if key and fnmatch.fnmatchcase(plain, key)), "")
                found[path] = design.breakdown[pattern]
                walk(kind, f"{path}.")

    walk(design.name, "")
    return found


def _category(cell, paths, design):
    """Of a cell by its name, which Yosys writes as ``$flatten\\core.\\mac_0_0.$abc$...`` where it is not of the top module."""
    if cell.startswith("fanout_"):
        return asic.FANOUT
    path = cell.rpartition(".$")[0].removeprefix("$flatten").replace("\\", "")
    return paths.get(path, design.breakdown.get("", design.kind))
