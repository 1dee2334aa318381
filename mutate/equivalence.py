# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Ask Yosys whether a mutant is equivalent: its module with and without the fault, for all inputs and all time.

By induction over what has the same name on both sides (``equiv_make``, ``equiv_simple``, ``equiv_induct``): wires and
registers that differ are taken out of the comparison until all that is left is equal, or an output is not. Submodules are
taken out of the module (``expose -evert`` of its cells alone: wires would become outputs), so that what goes into them must
be equal, and what comes from them is free; as unknown cells Yosys would take their outputs for undefined, and prove wrong
things. If that does not do, the module is tried with its submodules flattened, and then its parent.

The step of the induction alone is enough: reset is one of the inputs, free in every cycle, so a state after a reset that is
another one shows as a difference after equal cycles. Nothing is assumed of inputs; a mutant that differs for inputs that
never come is not proved, and is for a person to judge.
"""

import re
from pathlib import Path

from ..tools.process import ToolError
from ..tools.yosys import DEFAULT, run_yosys
from .mutants import DESIGN, Mutant

__all__ = ["prove"]

ROUNDS, DEPTH, LIMIT_S = 8, 6, 120


def prove(top: str, mutant: Mutant, folder: Path, yosys: str = DEFAULT) -> bool:
    """Whether Yosys proves a mutant equivalent.

    Parameters
    ----------
    top : str
        Top module of the design that it was drawn from.
    mutant : Mutant
    folder : pathlib.Path
        Where it was drawn.
    yosys : str
        See :func:`subbyte.tools.yosys.run_yosys`.

    Returns
    -------
    bool
        False also where no proof ends in its time.
    """
    parents = _parents((folder / DESIGN).read_text())
    module = mutant.line.partition(" -module ")[2].split()[0].removeprefix("\\")  # with its number, if it has one
    attempts, above = [(module, "expose -evert c:*")], parents.get(module, set())
    if any(module in users for users in parents.values()):
        attempts.append((module, "flatten"))
    if len(above) == 1 and (parent := next(iter(above))) != top:
        attempts.append((parent, "flatten"))
    for module, open_up in attempts:
        try:
            if _equal(top, mutant.line, module, open_up, folder, yosys):
                return True
        except ToolError:  # out of time, or a loop that the fault closes
            continue
    return False


def _parents(design):
    """From a module's name to those that instantiate it."""
    found, name = {}, ""
    for kind, of in re.findall(r"^(module|  cell) \\(\S+)", design, re.MULTILINE):
        if kind == "module":
            name = of
        else:
            found.setdefault(of, set()).add(name)
    return found


def _side(top, module, line, open_up, name):
    """Commands that put one of the two aside."""
    selected = module if module.startswith("$") else f"\\{module}"
    return [f"read_rtlil {DESIGN}", *line, f"setattr -mod -unset top {top}", f"hierarchy -top {selected}", open_up,
            "memory_map", "setundef -zero", "opt_clean", f"rename {selected} {name}", f"select -write {name}.ports {name}/o:*",
            f"design -stash {name}"]


def _equal(top, line, module, open_up, folder, yosys):
    """Whether the module is equal with and without the fault."""
    dropped: set[str] = set()
    for _ in range(ROUNDS):
        (folder / "dropped.txt").write_text("".join(f"\\{name}\n" for name in sorted(dropped)))
        # The mutated one first: names of cells hold a number that goes on counting with the next text.
        output = run_yosys([
            *_side(top, module, [line], open_up, "gate"), *_side(top, module, [], open_up, "gold"),
            "design -copy-from gold -as gold gold", "design -copy-from gate -as gate gate",
            "equiv_make -blacklist dropped.txt gold gate equiv", "hierarchy -top equiv", "opt_clean", "equiv_struct",
            "equiv_simple -ignore-unknown-cells", "equiv_simple -ignore-unknown-cells -seq 3",
            f"equiv_induct -ignore-unknown-cells -seq {DEPTH}", "equiv_status",
        ], folder, "equivalence", yosys=yosys, limit=LIMIT_S)
        differing = _unproven(output)
        if not differing:
            if "Equivalence successfully proven!" not in output:
                raise ToolError(f"Yosys ended without a verdict; see {folder / 'equivalence.log'}")
            return True
        outputs = {entry.partition("/")[2].lstrip("\\") for entry in (folder / "gold.ports").read_text().split()}
        fresh = differing - outputs - dropped
        if not fresh:
            return False
        dropped |= fresh
    return False


def _unproven(output):
    """Names under which the sides are compared of what is not proved."""
    bits = re.findall(r"^\s*Unproven \$equiv \S+: (\S+(?: \[\d+\])?) (.*)$", output, re.MULTILINE)
    failing = {token for bit in bits for side in bit for token in side.split() if token[0] in "\\$"}
    pairs = re.findall(r"^Presumably equivalent wires: (\S+)_gold \((.*?)\), \S+_gate \((.*?)\) -> ", output, re.MULTILINE)
    names = {name.lstrip("\\") for name, gold, gate in pairs if failing & {*gold.split(), *gate.split()}}
    names |= {token.lstrip("\\").removesuffix("_gold").removesuffix("_gate") for token in failing
              if token.endswith(("_gold", "_gate"))}
    return names or {token.lstrip("\\") for token in failing}
