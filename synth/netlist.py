# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Is the mapped netlist still the design? It as a simulator takes it, and the proof that it is the same.

The netlist is the one that :func:`subbyte.synth.asic.measure` leaves, buffer trees included: the text that OpenSTA reads. What
a cell does is what Yosys reads in the library; ABC, which chose the cells, reads it by itself.
"""

import re

from ..tools.yosys import DEFAULT, run_yosys

__all__ = ["NETLIST", "prove_equal", "simulated"]

NETLIST = "netlist.v"
"""The netlist in a design's folder, ports split into bits."""
_DEPTH = 8
"""Cycles of the induction: registers that mapping merged are equal only through what came before them."""
_PORT = re.compile(r"^  (input|output) \\?(\w+)(?:\[(\d+)\])? ?;", re.MULTILINE)


def _read(design, library):
    """Commands that read the netlist, with a module for each cell that it has."""
    return [*(f"read_liberty -ignore_miss_func ../{file}" for file in library.files), f"read_verilog {NETLIST}",
            f"hierarchy -check -top {design.name}"]


def simulated(design, library, *, yosys=DEFAULT):
    """The netlist as Verilog with the design's own ports, and with its cells.

    Parameters
    ----------
    design : subbyte.synth.designs.Design
        Measured, so that its folder holds the netlist.
    library : subbyte.synth.library.Library
    yosys : str
        See :func:`~subbyte.tools.yosys.run_yosys`.

    Returns
    -------
    str
        Registers have no initial values, and no gate a delay.
    """
    folder, inner = library.folder / design.name, f"{design.name}__gates"
    run_yosys([*_read(design, library), f"rename {design.name} {inner}", "write_verilog -noattr simulated.v"], folder,
              "simulated", yosys=yosys)
    gates, netlist = ((folder / file).read_text(encoding="utf-8") for file in ("simulated.v", NETLIST))
    return gates + _around(design.name, inner, netlist)


def prove_equal(design, library, *, yosys=DEFAULT, limit=None):
    """Prove that the netlist does what the design's Verilog says, for all inputs and all time.

    By induction over everything that has a name in both, registers above all: what was equal for some cycles is equal in the
    next. Reset is one of the inputs, free in every cycle, so that another state after a reset would show; initial values
    count for nothing.

    Parameters
    ----------
    design, library, yosys
        As for :func:`simulated`.
    limit : float, optional
        Seconds.

    Raises
    ------
    TimeExceeded
        If the proof does not end in its time.
    ToolError
        If there is none: the netlist is another circuit, or equal for a reason that induction does not see.
    """
    run_yosys([
        "read_verilog -sv design.v", f"hierarchy -check -top {design.name}", "proc", "flatten", "opt -full", "memory_map",
        "setattr -unset init w:*", "dffunmap", "opt_clean -purge", "splitnets -ports",  # names as the flow leaves them
        f"rename {design.name} gold", "design -stash gold",
        *_read(design, library), "flatten", "opt_clean", f"rename {design.name} gate", "design -stash gate",
        "design -copy-from gold -as gold gold", "design -copy-from gate -as gate gate",
        "equiv_make gold gate equiv", "hierarchy -top equiv", "opt_clean",
        "equiv_simple", f"equiv_induct -seq {_DEPTH}", "equiv_status -assert",
    ], library.folder / design.name, "equivalence", yosys=yosys, limit=limit)


def _around(name, inner, netlist):
    """The module whose ports are the design's, around the one whose ports are single bits."""
    directions, highest, pins = {}, {}, []
    for direction, port, bit in _PORT.findall(netlist):
        directions[port], highest[port] = direction, max(int(bit or -1), highest.get(port, -1))
        pins.append(f"    .\\{port}[{bit}] ({port}[{bit}])" if bit else f"    .{port}({port})")
    declared = [f"  {direction} {f'[{highest[port]}:0] ' * (highest[port] >= 0)}{port};"
                for port, direction in directions.items()]
    return "\n".join([f"module {name}({', '.join(directions)});", *declared, f"  {inner} gates (", ",\n".join(pins), "  );",
                      "endmodule", ""])
