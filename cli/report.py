# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte report`: all measurements in one page."""

from pathlib import Path

import click

from ..report.report import Report, write, write_page
from ..schemes import engines
from ..synth import results
from ..synth.fpga_results import FpgaReport
from ..tools.toolchain import MissingTool, build_root
from .area import area as measure_area
from .fpga import fpga as measure_fpga

__all__ = ["report"]


@click.command()
@click.option("--area", "area_files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
              help="What `subbyte area --json FILE` wrote; repeat for more libraries.")
@click.option("--fpga", "fpga_files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
              help="What `subbyte fpga --json FILE` wrote; repeat for more.")
@click.option("-o", "folder", metavar="FOLDER", type=click.Path(path_type=Path),
              help="Where report.html, report.md and report.json go. Default: build/report.")
@click.option("--page", metavar="FILE", type=click.Path(path_type=Path),
              help="Also renew the table between this file's marks, and images/area_throughput.svg beside it.")
def report(area_files, fpga_files, folder, page):
    """Compare all designs in one page that needs nothing else: HTML, and the same as Markdown and JSON.

    Without --area and --fpga it takes build/area.json and build/fpga*.json, and runs a step (minutes) that has not left any.

    \b
    Example:
      subbyte report --area build/nangate45.json --area build/sky130.json -o build/report
    """
    root = build_root()
    folder = folder or root / "report"
    if not (area_files or fpga_files):
        area_files = _measured("area", measure_area, sorted(root.glob("area.json")))
        fpga_files = _measured("fpga", measure_fpga, sorted(root.glob("fpga*.json")), engines())
    made = Report([results.load(results.AreaReport, path) for path in area_files],
                  [results.load(FpgaReport, path) for path in fpga_files])
    for path in write(made, folder):
        click.echo(f"wrote {path}", err=True)
    if page is not None:
        plot = page.parent / "images" / "area_throughput.svg"
        write_page(made, page, plot)
        click.echo(f"renewed {page} and {plot}", err=True)


def _measured(step, command, found, arguments=()):
    """Files of a step: those that are there, or what it gives now."""
    if found:
        click.echo(f"{step}: as measured before, from {', '.join(map(str, found))}; `make {step}` measures again", err=True)
        return found
    path = build_root() / f"{step}.json"
    click.echo(f"{step}: not measured yet; measuring (minutes)", err=True)
    try:
        code = command.main([*arguments, "--json", str(path)], prog_name=f"subbyte {step}", standalone_mode=False)
    except SystemExit as stopped:
        code = stopped.code
    except MissingTool as error:
        click.echo(f"{step}: did not run, and the report goes without: {error}", err=True)
        return []
    if code:
        click.echo(f"{step}: some designs could not be measured; the report says which", err=True)
    return [path]
