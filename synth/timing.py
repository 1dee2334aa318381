# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Shortest period of a mapped netlist: by OpenSTA where it is installed, else an estimate from what ABC saw."""

import re
import shutil

from ..tools.process import ToolError, excerpt, run_tool

__all__ = ["OPENSTA", "abc_delay", "estimate", "has_opensta", "opensta_period", "opensta_version", "parse_period"]

OPENSTA = "sta"


def has_opensta() -> bool:
    """Whether OpenSTA is on the path."""
    return shutil.which(OPENSTA) is not None


def opensta_version(folder) -> str:
    """Its version."""
    return run_tool([OPENSTA, "-version"], folder, "version.log").strip()


def opensta_period(top, clock, library, folder, limit=None):
    """Longest path from register to register, clk-to-q and setup included, as a period in ps.

    Parameters
    ----------
    top : str
        The top module.
    clock : str
        Port of the one clock; its rising edges count.
    library : subbyte.synth.library.Library
    folder : pathlib.Path
        Beside the library's files; it holds ``netlist.v``.
    limit : float, optional
        Seconds.

    Returns
    -------
    float or None
        None if no path leads from a register to a register.

    Raises
    ------
    ToolError
        If the clock is no input, or OpenSTA fails.
    """
    netlist = (folder / "netlist.v").read_text(encoding="utf-8")
    if not re.search(rf"^  input {re.escape(clock)} *;", netlist, re.MULTILINE):
        raise ToolError(f"clock {clock!r} is no input of {top}")
    script = [
        *(f"read_liberty ../{file}" for file in library.files),
        "read_verilog netlist.v",
        f"link_design {top}",
        f"create_clock -name clock -period 1 [get_ports {clock}]",
        "report_checks -path_delay max -digits 6 -from [all_registers -clock_pins] -to [all_registers -data_pins]",
        "exit",
    ]
    (folder / "sta.tcl").write_text("\n".join([*script, ""]), encoding="utf-8")
    text = run_tool([OPENSTA, "-exit", "sta.tcl"], folder, "sta.log", limit)
    return parse_period(text, folder / "sta.log", library.time_unit)


def parse_period(report, log, time_unit):
    """The period, in ps, of a report of OpenSTA for a clock whose period is one unit of time."""
    slack = re.search(r"(-?[\d.]+)\s+slack", report)
    if slack:
        return (1 - float(slack[1])) * time_unit
    if "No paths found" in report:
        return None
    raise ToolError(f"{OPENSTA} found no path; {excerpt(report, log)}")


def abc_delay(statistics):
    """Longest delay, in ps, in the statistics that ABC's ``stime -d`` leaves of all modules that it mapped.

    A line holds a network's name, inputs, outputs, nodes, area and delay. An ABC that maps several networks adds the others to
    that line, each as nodes, area, delay (percent of the first) and time.
    """
    delays = []
    for line in statistics.splitlines():
        fields = line.split()
        if fields:
            first = float(fields[5])
            delays += [first, *(first * float(percent) / 100 for percent in fields[8::4])]
    return max(delays, default=None)


def estimate(comb_delay, flipflops):
    """A period from ABC's delay and the flip-flops' own figures, in ps: loads and slews at the registers are not theirs."""
    if comb_delay is None or not flipflops:
        return None
    return comb_delay + max(cell.clk_to_q for cell in flipflops) + max(cell.setup for cell in flipflops)
