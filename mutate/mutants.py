# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw faults of a design with Yosys' ``mutate``, and write all of them into one Verilog text, to be chosen when it runs.

A fault is a bit of a port of a word-level cell ($add, $mux, $dff, ...) that is stuck, inverted, or inverted where another
bit of the module is 1 (or 0). Yosys draws evenly over modules, cells, wires and bits. Before that it merges what Amaranth
writes once for each use and drops bits that nothing reads, of which a fault would mean nothing.
"""

import random
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..tools.process import ToolError
from ..tools.yosys import DEFAULT, run_yosys

__all__ = ["CHOICE", "DESIGN", "Mutant", "draw", "modules", "share", "units", "write"]

CHOICE = "SUBBYTE_MUTANT"
"""The environment variable by which a running model takes a mutant's number; 0, or none, is the design as it is."""
DESIGN = "design.il"
"""Yosys' netlist of which mutants are drawn, in the folder where they were."""
_CONTROL, _WIDTH = "subbyte_mutant", 16
# Yosys splits vectors into bits, which Verilator may take for a loop, writes parallel cases as overlapping ones, and takes
# constant bits away from operands.
_ALLOWED = ("UNOPTFLAT", "CASEOVERLAP", "WIDTH", "UNSIGNED", "CMPCONST")
_SPARE = 8
"""Drawn beyond what is asked for, to replace what is no logic."""


@dataclass(frozen=True)
class Mutant:
    """A fault of a design.

    Attributes
    ----------
    number : int
        Its number in the text that holds it, from 1.
    unit : str
    module, mode : str
        As Yosys has them, the module without a number that Amaranth gave it.
    wire : str
        The bit's name with its index, such as ``total[3]``; of a wire without a name ``$``.
    at : str
        Where it is: the port and bit of a cell, and the statement that made the cell, without numbers of wires.
    line : str
        The command of Yosys that makes it.
    """

    number: int
    unit: str
    module: str
    mode: str
    wire: str
    at: str
    line: str = field(repr=False)

    @property
    def key(self) -> dict[str, str]:
        """What a change of the RTL elsewhere does not move."""
        return {"module": self.module, "wire": self.wire, "mode": self.mode, "at": self.at}


def modules(text: str) -> list[str]:
    """Names of a text's modules, without Verilog's backslash."""
    return [name.removeprefix("\\") for name in re.findall(r"^module (\S+?)\s*\(", text, re.MULTILINE)]


def units(names: Sequence[str], top: str) -> dict[str, list[str]]:
    """Modules by unit: what is called ``<top>.<unit>...`` and ``<top>__<unit>...``; what stands around them is the shell.

    Amaranth gives a module its path's name, and so does :mod:`subbyte.top.emit` to modules that several instances share.
    """
    found = {}
    for name in names:
        rest = re.match(rf"{re.escape(top)}(?:(?:\.|__)([A-Za-z]\w*)|$)", name)
        if rest:
            found.setdefault(rest[1] or "shell", []).append(name)
    return found


def share(names: Sequence[str], total: int, seed: int) -> dict[str, int]:
    """So many mutants spread evenly over units; chance says which get one more."""
    names = list(names)
    each, more = divmod(total, len(names))
    lucky = set(random.Random(seed).sample(names, more))
    return {name: each + (name in lucky) for name in names}


def draw(text: str, top: str, sample: Mapping[str, tuple[Sequence[str], int]], seed: int, folder: Path,
         yosys: str = DEFAULT) -> list[Mutant]:
    """Draw mutants of the units of a design.

    Parameters
    ----------
    text : str
        Verilog.
    top : str
        Its top module.
    sample : mapping of str to (sequence of str, int)
        Units: their modules, and how many mutants of them.
    seed : int
        The same seed draws the same ones.
    folder : pathlib.Path
        For the files of Yosys, :data:`DESIGN` among them.
    yosys : str
        See :func:`subbyte.tools.yosys.run_yosys`.

    Returns
    -------
    list of Mutant
        Fewer than asked for of a unit that has no more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "original.v").write_text(text)
    clean = ["opt -full", "wreduce", "opt_hier"]
    script = ["read_verilog original.v", f"hierarchy -top {top}", "proc -norom", *clean, *clean, "opt -full", "opt_clean",
              f"write_rtlil {DESIGN}"]
    chosen = {unit: entry for unit, entry in sample.items() if entry[1]}
    for index, (names, count) in enumerate(chosen.values()):
        script += ["select -none", *(f"select -add {_quoted(name)}" for name in names),
                   f"mutate -list {count + _SPARE} -seed {seed % 2**30 + index} -o drawn-{index}.txt %", "select -clear"]
    run_yosys(script, folder, "draw", yosys=yosys)
    found = []
    for index, (unit, (_, count)) in enumerate(chosen.items()):
        path = folder / f"drawn-{index}.txt"
        # A memory's initial content is no logic, and Yosys could not write its mutant down.
        lines = [line for line in dict.fromkeys(path.read_text().splitlines()) if "-cell $meminit" not in line][:count]
        found += [_mutant(len(found) + number, unit, line, text.splitlines()) for number, line in enumerate(lines, 1)]
        path.unlink()
    return found


def _quoted(name):
    """A module's name in a selection."""
    return name if name.startswith("$") else f"\\{name}"


def _mutant(number, unit, line, text):
    words = [word.removeprefix("\\") for word in shlex.split(line.replace("\\", "\\\\"))]
    given = dict(zip(words[1::2], words[2::2], strict=True))
    wire = given.get("-wire", "$")
    wire = "$" if re.match(r"\$\d", wire) or wire == "$" else f"{wire}[{given['-wirebit']}]"
    place = re.match(r"original\.v:(\d+)", given.get("-src", ""))  # the cell's: the last one named
    row = int(place[1]) if place else 0
    statement = " ".join(text[row - 1 : row + text[row - 1].strip().startswith("always")]) if row else given["-cell"]
    statement = " ".join(re.sub(r"\\?\$\d+", "$", statement).split())
    return Mutant(number, unit, re.sub(r"\$\d+", "", given["-module"]), given["-mode"], wire,
                  f"{given['-port']}[{given['-portbit']}]: {statement}", line)


def write(top: str, mutants: Sequence[Mutant], folder: Path, yosys: str = DEFAULT) -> str:
    """The design with all mutants in it, of the folder where they were drawn.

    :data:`CHOICE` in a model's environment chooses one of them when it starts.
    """
    script = [f"read_rtlil {DESIGN}", *(f"{mutant.line} -ctrl {_CONTROL} {_WIDTH} {mutant.number}" for mutant in mutants),
              "write_verilog -noattr mutated.v"]
    run_yosys(script, folder, "write", yosys=yosys)
    allowed = "".join(f"/* verilator lint_off {warning} */\n" for warning in _ALLOWED)
    return allowed + _chosen_inside((folder / "mutated.v").read_text(), top)


def _chosen_inside(text, top):
    """Make the port that chooses the mutant a register of the top, which reads the environment."""
    start = re.search(rf"^module {re.escape(top)}\s*\(", text, re.MULTILINE)
    if start is None:
        raise ToolError(f"Yosys lost the module {top}")
    end = text.index(");", start.end())
    ports = [port.strip() for port in text[start.end():end].split(",")]
    ports.remove(_CONTROL)
    body_end = text.index("\nendmodule", end)
    body = re.sub(rf"^\s*(input|wire) \[{_WIDTH - 1}:0\] {_CONTROL} ?;\n", "", text[end:body_end], flags=re.MULTILINE)
    declared = (f");\n  reg [31:0] {_CONTROL}_all;\n  wire [{_WIDTH - 1}:0] {_CONTROL};\n"
                f"  assign {_CONTROL} = {_CONTROL}_all[{_WIDTH - 1}:0];\n"
                f'  initial {_CONTROL}_all = $c32("(std::getenv(\\"{CHOICE}\\") ? '
                f'std::atoi(std::getenv(\\"{CHOICE}\\")) : 0)");\n')
    return text[:start.end()] + ", ".join(ports) + declared + body.removeprefix(");") + text[body_end:]
