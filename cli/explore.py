# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte explore`: measure a space of engines, and show the best of them."""

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ..explore import MEASURES, PRESETS, Exploration, Store, Workers, front, load_space, search, sweep
from ..tools.hints import near
from ..tools.outputs import write_whole
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from .figures import save_figures
from .recorded import RecordedCommand, command_line

__all__ = ["explore"]

_LOG = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
_SHOWN = 40


def _presets():
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


@click.command(cls=RecordedCommand)
@click.argument("file", metavar="[SPACE.yaml|SPACE.py]", required=False, type=click.Path(path_type=Path))
@click.option("--preset", metavar="NAME", help="A space that comes along; an unknown one lists them.")
@click.option("--search", "way", type=click.Choice(["sweep", "optuna"]), default="sweep", show_default=True,
              help="All points, or those that a search for several objectives proposes.")
@click.option("--trials", metavar="N", type=click.IntRange(min=1), default=50, show_default=True,
              help="Points of --search optuna.")
@click.option("--seed", metavar="N", type=int, default=0, show_default=True, help="Of --search optuna.")
@click.option("--store", "database", metavar="FILE", type=click.Path(path_type=Path),
              help="SQLite file of results; what it has is not measured again. Default: build/explore.sqlite.")
@click.option("--retry", is_flag=True, help="Try again what failed before.")
@click.option("--workers", metavar="N", type=click.IntRange(min=1), help="On this machine. Default: as many as it has cores.")
@click.option("--scheduler", metavar="tcp://HOST:PORT", help="A Dask cluster's, whose workers then do the work.")
@click.option("--yosys", metavar="PROGRAM", default=DEFAULT, show_default=True,
              help="Another Yosys: a program, or pyosys for the Python package.")
@click.option("--page", metavar="FILE.html", type=click.Path(path_type=Path),
              help="Write a page to read and filter in a browser; it needs no network.")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path), help="Write all points to a file as well.")
def explore(file, preset, way, trials, seed, database, retry, workers, scheduler, yosys, page, figures):
    """Measure engines of a space on a model: area, period, error, bits, tokens a second; show those that none surpasses.

    A space names schemes, formats and parameters, constraints and objectives (docs/explore.md). A run that is broken off goes
    on where it was.

    \b
    Example:
      subbyte explore --preset smollm2 --page build/explore.html
      subbyte explore space.yaml --search optuna --trials 30 --scheduler tcp://127.0.0.1:8786
    """
    space = load_space(_file(file, preset))
    started, outcomes = time.perf_counter(), []
    with Store(database or build_root() / "explore.sqlite") as store, Workers(scheduler, workers, _LOG.print) as crew:
        if retry:
            _LOG.print(f"{store.forget_failures()} failures will be tried again")
        exploration = Exploration(space, store, crew, yosys, _tell)
        for outcome in search(exploration, trials, seed) if way == "optuna" else sweep(exploration):
            outcomes.append(outcome)
    best = front(space, outcomes)
    _show(space, outcomes, best)
    click.echo(f"{exploration.performed} tasks performed, {exploration.found} results found in {store.path}, "
               f"{time.perf_counter() - started:.1f} s")
    data = _data(space, outcomes, best)
    if figures is not None:
        save_figures(figures, data)
    if page is not None:
        from ..report.exploration import exploration_page

        write_whole(page, exploration_page({**data, "command": command_line()}))
        _LOG.print(f"wrote {page}")


def _file(file, preset):
    if (file is None) == (preset is None):
        raise ValueError("a space must be given, as a file or by --preset, and not by both")
    if preset is not None and preset not in _presets():
        raise ValueError(f"--preset must be one of {', '.join(_presets())}, not {preset!r}{near(preset, _presets())}")
    return file or PRESETS / f"{preset}.yaml"


def _tell(task, result, name):
    _LOG.print(f"{task.value} of {name}: {result.status}, {result.seconds:.1f} s")


def _data(space, outcomes, best):
    """All points, for programs and pages."""
    units = {"area": "um2" if space.library else "GE", "area_per_mac": "um2" if space.library else "GE",
             "period": "ps" if space.library else "FO4"}
    names = [name for name in MEASURES if any(name in outcome.figures for outcome in outcomes)]
    chosen = {id(outcome) for outcome in best}
    return {
        "space": space.name, "model": space.shape.name, "part": space.part, "machine": dict(space.machine), "fo4": space.fo4,
        "objectives": {name: better.value for name, better in space.objectives.items()},
        "constraints": {name: f"{'>=' if limit.above else '<='} {limit.value:g}" for name, limit in space.constraints.items()},
        "errors_of": "random operands" if space.weights is None else space.weights.name,
        "measures": {name: {"title": MEASURES[name].title, "unit": units.get(name, MEASURES[name].unit)} for name in names},
        "points": [{
            "name": outcome.name, "scheme": outcome.point.scheme.name if outcome.point else outcome.name.split()[0],
            "format": outcome.point.fmt if outcome.point else "", "status": outcome.status, "front": id(outcome) in chosen,
            "rows": outcome.point and outcome.point.config.rows, "cols": outcome.point and outcome.point.config.cols,
            "lanes": outcome.point and outcome.point.config.lanes, **outcome.figures,
        } for outcome in outcomes],
    }


def _show(space, outcomes, best):
    names = list(dict.fromkeys((*space.objectives, *space.constraints, "bits", "error")))
    first = next(iter(space.objectives))
    table = Table(title=f"{space.name}: {len(best)} of {len(outcomes)} points are surpassed by none", title_justify="left")
    table.add_column("engine", overflow="fold")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for outcome in sorted(best, key=lambda one: one.figures[first])[:_SHOWN]:
        table.add_row(outcome.name, *(f"{outcome.figures[name]:,.4g}" if name in outcome.figures else "-" for name in names))
    Console(width=None if Console().is_terminal else 150, highlight=False).print(table)
    failed = [outcome for outcome in outcomes if not outcome.point or outcome.status != "ok"]
    for outcome in failed[:_SHOWN]:
        click.echo(f"left out: {outcome.name}: {outcome.status}")
    if len(failed) > _SHOWN:
        click.echo(f"left out: {len(failed) - _SHOWN} more")
