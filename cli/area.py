# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte area`: what designs cost in a cell library."""

import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..schemes import priced
from ..synth import asic, designs, results
from ..synth.library import load_library
from ..tools.settings import parse_settings
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from . import complete
from .recorded import RecordedCommand, command_line

__all__ = ["area"]

_LOG_WIDTH = 150  # of a table that goes to a file


@click.command(cls=RecordedCommand)
@click.argument("names", nargs=-1, shell_complete=complete.schemes, metavar="[SCHEME|DESIGN|FILE.v]...")
@click.option("--top", metavar="MODULE", help="Top module of Verilog files; with it the arguments are files.")
@click.option("--param", "parameters", metavar="NAME=VALUE", multiple=True, help="A parameter of --top; repeat for more.")
@click.option("--clock", metavar="PORT", default="clk", show_default=True, help="Clock of --top.")
@click.option("--part", "parts", metavar="PART", multiple=True, shell_complete=complete.parts,
              help="What of one scheme (see `subbyte list`), by itself and with --set; repeat for more.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True,
              help="A parameter of the parts; repeat for more. An unknown one lists all.")
@click.option("--kind", "kinds", metavar="KIND", multiple=True,
              help=f"Only designs of this kind ({', '.join(designs.KINDS[:-1])}); repeat for more.")
@click.option("--liberty", "files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
              help="Cell library, .lib or .lib.gz; repeat for one of several files. Default: the project's own, which needs "
                   "no PDK and counts in gate equivalents and FO4.")
@click.option("--dont-use", metavar="CELL", multiple=True, help="A cell, or a pattern, to avoid; repeat for more. Majority "
              "cells always are.")
@click.option("--flatten", is_flag=True, help="Flatten arrays and engines too: slow, and without a breakdown.")
@click.option("--booth", is_flag=True, help="Let Yosys make Booth multipliers; rows no longer compare with others.")
@click.option("--yosys", metavar="PROGRAM", default=DEFAULT, show_default=True,
              help="Another Yosys: a program, or pyosys for the Python package; a native one is faster.")
@click.option("--limit", metavar="SECONDS", type=click.FloatRange(min=1), default=asic.LIMIT, show_default=True,
              help="Most time of a tool for one design; a design that takes longer is a row that says so.")
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write the rows to a file as well.")
def area(names, top, parameters, clock, parts, settings, kinds, files, dont_use, flatten, booth, yosys, limit, output):
    """Map designs to a cell library: area, gate equivalents, depth, period, and what a MAC costs.

    Without arguments all designs are measured: engines, arrays, processing elements, parts, textbook baselines. The period
    is OpenSTA's where `sta` is on the path, otherwise an estimate, marked with ~.

    \b
    Example:
      subbyte area {engine} --kind pe --liberty nangate45_typ.lib.gz
      subbyte area {engine} --part array --set rows=4 --set lanes=8 --json array.json
      subbyte area mac.v --top mac --param WIDTH=8 --liberty nangate45_typ.lib.gz
    """
    if top:
        chosen = _from_files(names, top, parameters, clock)
    elif parts or settings:
        chosen = _of_parts(names, parts, settings)
    else:
        chosen = designs.designs(names, kinds or designs.KINDS)
    folder = build_root() / "area"
    library = load_library(files, folder, dont_use)
    versions = asic.tool_versions(yosys, folder)
    rows = []
    with _progress(len(chosen)) as step:
        for design in chosen:
            step(design.name)
            rows.append(asic.measure(design, library, yosys=yosys, limit=limit, flatten=flatten, booth=booth))
    report = results.AreaReport(tuple(rows), versions, command_line())
    if output is not None:
        results.save(report, output)
    show(report)
    failed = [row for row in rows if row.status != results.OK and not row.status.startswith("exceeded")]
    for row in failed:
        click.echo(f"error: {row.name}: {row.status}", err=True)
    if failed:
        raise SystemExit(1)


def _from_files(names, top, parameters, clock):
    if not names:
        raise ValueError(f"--top {top} must come with the Verilog files that hold it")
    for parameter in parameters:
        if "=" not in parameter:
            raise ValueError(f"--param must be NAME=VALUE, not {parameter!r}")
    return [designs.from_files(names, top, dict(parameter.split("=", 1) for parameter in parameters), clock)]


def _of_parts(names, parts, settings):
    """Parts of one scheme with parameters; without a name the engine."""
    if len(names) != 1:
        raise ValueError(f"--part and --set must come with one scheme, not {', '.join(names) or 'none'}")
    owner = priced(names[0])
    given = parse_settings(owner.Config, settings) if owner.Config else dict(setting.split("=", 1) for setting in settings)
    return [designs.design_of(owner, owner.part(part), given) for part in parts or ["engine"]]


@contextmanager
def _progress(total):
    """A function to call with the name of each design: a spinner on a terminal, a line elsewhere."""
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), TextColumn("{task.completed}/{task.total}"), TextColumn("{task.description}"),
                  TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, completed=-1)

        def step(name):
            bar.update(task, advance=1, description=name)
            if not console.is_terminal:
                click.echo(f"mapping {name}", err=True)

        yield step


def show(report):
    """Print a report's tables."""
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH, highlight=False)
    row = report.rows[0]
    tools = ", ".join(f"{name} {version}" for name, version in report.tools.items())
    click.secho(f"{row.library} ({tools})", bold=True)
    for table in (_designs(report.rows), _macs(report.rows), _breakdowns(report.rows)):
        if table.row_count:
            console.print(table)
    if any(row.timing == "abc" for row in report.rows):
        console.print("~ estimated: ABC's delay and the flip-flop's own figures; OpenSTA (sta on the path) would measure it")


def _table(*columns):
    table = Table()
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 2 else "right")
    return table


def _designs(rows):
    unit, time_unit = rows[0].unit, rows[0].time_unit
    silicon = unit != "GE"
    table = _table("design", "what", *([unit] if silicon else []), "GE", "cells", "flip-flops", "depth",
                   f"period, {time_unit}", *(["MHz"] if silicon else []))
    for row in rows:
        what = ", ".join(filter(None, (row.title, row.config)))
        if row.status != results.OK:
            what = f"{what}: {row.status.splitlines()[0]}"
        period = ("~" if row.timing == "abc" else "") + _number(row.period, 0 if silicon else 1)
        table.add_row(row.name, what, *([_number(row.area)] if silicon else []), _number(row.ge), _number(row.cells),
                      _number(row.flipflops), _number(row.depth), period, *([_number(row.frequency_mhz)] if silicon else []))
    return table


def _macs(rows):
    """What a MAC costs; precisions that cost the same share a line."""
    table = _table("design", "precision", "MAC/cycle", f"{rows[0].unit} per MAC/cycle", "TMAC/s/mm2")
    for row in rows:
        same = defaultdict(list)
        for precision, macs in row.macs.items():
            same[macs].append(precision)
        for macs, precisions in same.items():
            first = precisions[0]
            table.add_row(row.name, ", ".join(precisions), f"{macs:g}" if macs == int(macs) else f"{macs:.2f}",
                          _number(row.area_per_mac.get(first)), _number(row.density.get(first), 3))
    return table


def _breakdowns(rows):
    table = _table("design", "where the area goes", rows[0].unit, "share")
    for row in rows:
        for category, part in sorted(row.breakdown.items(), key=lambda item: -item[1]):
            table.add_row(row.name, category, _number(part), f"{part / row.area:.1%}")
    return table


def _number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"
