# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte report`: all measurements in one page."""

from pathlib import Path

import click

from subbyte.cli.area import area as measure_area
from subbyte.sim.toolchain import build_root
from subbyte.synth import results
from subbyte.synth.fpga_results import FpgaReport
from subbyte.synth.report import Report, write, write_readme

__all__ = ["report"]


@click.command()
@click.option("--area", "area_files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
              help="What `subbyte area --json FILE` wrote; repeat for more libraries. Default: build/area.json, measured now "
                   "if it is not there.")
@click.option("--fpga", "fpga_files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
              help="What `subbyte fpga --json FILE` wrote; repeat for more. Default: those of `make fpga`, build/fpga/*.json.")
@click.option("-o", "folder", metavar="FOLDER", type=click.Path(path_type=Path),
              help="Where report.html, report.md and report.json go. Default: build/report.")
@click.option("--readme", metavar="FILE", type=click.Path(path_type=Path),
              help="Also renew the table between this file's marks, and docs/images/area_throughput.svg beside it.")
def report(area_files, fpga_files, folder, readme):
    """Compare all designs in one page that needs nothing else: HTML, and the same as Markdown and JSON.

    \b
    Example:
      subbyte report --area build/nangate45.json --area build/sky130.json -o build/report
    """
    folder = folder or build_root() / "report"
    area, fpga = area_files or _measured_area(), fpga_files or _measured_fpga()
    made = Report([results.load(results.AreaReport, path) for path in area],
                  [results.load(FpgaReport, path) for path in fpga])
    for path in write(made, folder):
        click.echo(f"wrote {path}", err=True)
    if readme is not None:
        plot = readme.parent / "docs" / "images" / "area_throughput.svg"
        write_readme(made, readme, plot)
        click.echo(f"renewed {readme} and {plot}", err=True)


def _measured_area():
    """The default file; the step runs if it is missing."""
    path = build_root() / "area.json"
    if path.exists():
        click.echo(f"area: as measured before, from {path}; `make area` measures again", err=True)
        return [path]
    click.echo("area: not measured yet; measuring all designs (minutes)", err=True)
    try:
        measure_area.main(["--json", str(path)], prog_name="subbyte area", standalone_mode=False)
    except SystemExit:
        click.echo("area: some designs could not be measured; the report says which", err=True)
    return [path]


def _measured_fpga():
    """Files of `make fpga`, which takes too long, and more tools, to be run by the way."""
    paths = sorted((build_root() / "fpga").glob("*.json"))
    if paths:
        click.echo(f"fpga: as measured before, from {', '.join(map(str, paths))}; `make fpga` measures again", err=True)
    else:
        click.echo("fpga: not measured, the report goes without; `make fpga` measures", err=True)
    return paths
