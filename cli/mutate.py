# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte mutate`: how many faults of the RTL the benches notice."""

import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ..mutate import run as mutation
from ..mutate.campaigns import campaigns_of
from ..schemes import scheme
from ..tools.outputs import write_whole
from ..tools.toolchain import tool_versions
from ..tools.yosys import DEFAULT
from . import complete
from .recorded import RecordedCommand, command_line

__all__ = ["mutate"]

SAMPLE = 400
_LOG_WIDTH = 150  # of a table that goes to a file


@click.command(cls=RecordedCommand)
@click.argument("name", metavar="SCHEME|all", shell_complete=complete.schemes)
@click.option("--sample", metavar="N", type=click.IntRange(1, 60000), default=SAMPLE, show_default=True,
              help="Mutants of each scheme, spread evenly over its units.")
@click.option("--seed", metavar="S", type=click.IntRange(min=0), default=1, show_default=True,
              help="Draws the mutants; SEED=n in the environment is the benches' own.")
@click.option("--campaign", "names", metavar="NAME", multiple=True,
              help="Only this one of the scheme's campaigns; repeat for more. An unknown one lists all.")
@click.option("--jobs", metavar="N", type=click.IntRange(1, 256), default=2, show_default=True, help="Tests side by side.")
@click.option("--yosys", metavar="PROGRAM", default=DEFAULT, show_default=True,
              help="Another Yosys: a program, or pyosys for the Python package; a native one is faster.")
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write the rows to a file as well.")
@click.option("--check", is_flag=True, help="Fail if a mutant is alive.")
def mutate(name, sample, seed, names, jobs, yosys, output, check):
    """Put faults into the RTL, one at a time, and say which of them the benches notice.

    Faults (mutants) are bits of the design's word-level cells that are stuck or inverted, drawn by Yosys. Of each unit: how
    many were drawn; killed, that is, a bench fails; equivalent, so that none can, proved by Yosys or argued in
    mutate/judged.json; alive. Needs a checkout of the repository, whose tb/ has the benches.

    \b
    Example:
      subbyte mutate {engine} --sample 100 --seed 7 --json build/mutate.json
      subbyte mutate all
    """
    chosen = _chosen(name, names)
    rows, started = [], time.monotonic()

    def say(text):
        click.echo(f"{time.monotonic() - started:6.0f} s  {text}", err=True)

    how = mutation.How(seed, jobs, yosys, say)
    for campaigns in chosen:
        for row in mutation.run(campaigns, sample, how):
            rows.append(row)
            if output is not None:  # each time: campaigns take long
                write_whole(output, json.dumps({
                    "rows": [row.to_dict() for row in rows], "sample": sample, "seed": seed, "tools": tool_versions(),
                    "command": command_line()}, indent=2) + "\n")
    _show(rows)
    alive = sum(len(row.alive) for row in rows)
    if check and alive:
        click.echo(f"error: {alive} mutants are alive: give a bench what kills them, or argue in mutate/judged.json why "
                   "nothing can", err=True)
        raise SystemExit(1)


def _chosen(name, names):
    """Lists of campaigns, each of which shares a sample: a scheme's."""
    if name != "all":
        scheme(name)  # says which there are
    own = campaigns_of(name)
    if not own:
        raise ValueError(f"{name} has no campaign yet: mutate/campaigns.py lists them")
    known = [campaign.name for campaign in own]
    unknown = [given for given in names if given not in known]
    if unknown:
        raise ValueError(f"--campaign must be one of {', '.join(known)}, not {unknown[0]!r}")
    own = [campaign for campaign in own if not names or campaign.name in names]
    groups = {}
    for campaign in own:
        groups.setdefault(campaign.schemes if name == "all" else name, []).append(campaign)
    return list(groups.values())


def _show(rows):
    """Print the table, and what is alive."""
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH, highlight=False)
    table = Table("unit")
    for column in ("sampled", "killed", "equivalent", "of them proved", "alive", "killed of the rest"):
        table.add_column(column, justify="right")
    sums = {part: sum(getattr(row, part) for row in rows) for part in ("sampled", "killed", "proved", "argued")}
    total = mutation.Row("all", **sums, alive=[mutant for row in rows for mutant in row.alive])
    for row in [*rows, total]:
        score = "-" if row.score is None else f"{row.score:.1%}"
        table.add_row(row.unit, *map(str, (row.sampled, row.killed, row.equivalent, row.proved, len(row.alive))), score)
    console.print(table)
    for row in rows:
        for mutant in row.alive:
            click.echo(f"alive, {row.unit}: {mutant['mode']} of {mutant['wire']} in {mutant['module']}")
            click.echo(f"    at {mutant['at']}")
