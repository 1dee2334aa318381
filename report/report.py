# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""One report of all measurements, to compare engines, textbook designs and published ones: HTML, Markdown and JSON.

What it says is put together here, as tables and plots; how it looks is in `templates/`.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import jinja2

from ..schemes import engines
from ..synth.fpga_results import FpgaReport, FpgaRow
from ..synth.results import OK, AreaReport, AreaRow
from ..tools.outputs import write_whole
from . import bars, plots

__all__ = ["PAGE_MARKS", "Report", "Table", "page_plot", "page_table", "write", "write_page"]

PAGE_MARKS = ("<!-- area: `make figures` writes what follows -->", "<!-- end of area -->")
"""Lines of docs/figures.md between which its table stands."""

_UNITS = {"um2": "µm²", "GE": "GE", "ps": "ps", "FO4": "FO4"}
_TIMING = {"opensta": "OpenSTA", "abc": "ABC, estimate", None: ""}
_KINDS = {"pe": "PE", "part": "part", "array": "array", "engine": "engine", "baseline": "textbook", "file": "file"}


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes
    ----------
    area : sequence of AreaReport
        Results of ``subbyte area``, for any number of libraries.
    fpga : sequence of FpgaReport
        Results of ``subbyte fpga``.
    """

    area: Sequence[AreaReport] = ()
    fpga: Sequence[FpgaReport] = ()


@dataclass(frozen=True)
class Table:
    """A table, its cells as text.

    Attributes
    ----------
    header : tuple of str
        The first column names the row, the others are set flush right if ``numeric``.
    numeric : tuple of bool
    rows : tuple of (str, tuple of str)
        What kind of row it is ("", "published" or "failed"), and its cells.
    """

    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def label(row: AreaRow | FpgaRow) -> str:
    """A design's name, short enough for a plot."""
    return row.name.removeprefix("baseline_").replace("_", " ")


def figure(value: float | None, digits: int = 3) -> str:
    """A number for people: so many digits that count, thousands apart; a dash for none."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{float(f'{value:.{digits}g}'):,g}"


def _first_line(status: str) -> str:
    return next(iter(status.splitlines()), "failed")


def _axes(row: AreaRow) -> plots.Axes:
    """Units in which rows of a library are compared."""
    if (row.unit, row.time_unit) == ("um2", "ps"):
        return plots.Axes("µm²", "TMAC/s/mm²", "ns", 1e3)
    return plots.Axes(_UNITS[row.unit], f"MAC/{row.time_unit}/1000 {_UNITS[row.unit]}", _UNITS[row.time_unit], 1e3)


def _per_area(row: AreaRow, precision: str) -> float | None:
    """Throughput per area in the unit of :func:`_axes`, be the period OpenSTA's or an estimate."""
    if not row.period or not row.area:
        return None
    scale = 1e6 if row.time_unit == "ps" else 1e3
    return row.macs[precision] / row.period / row.area * scale


def _libraries(report: Report) -> dict[str, list[AreaRow]]:
    rows = {}
    for area in report.area:
        for row in area.rows:
            rows.setdefault(row.library, []).append(row)
    return rows


def _precisions(rows: Sequence[AreaRow]) -> dict[str, str]:
    """Precisions of the rows and a title for each, those with most designs first.

    Precisions for which the same designs do the same number of MACs, and for which nothing is published, are one.
    """
    alike = {}
    for precision in dict.fromkeys(precision for row in rows for precision in row.macs):
        macs = tuple((row.name, row.macs[precision]) for row in rows if precision in row.macs)
        published = precision if any(bar.precision == precision for bar in bars.BARS) else None
        alike.setdefault((macs, published), []).append(precision)
    ordered = sorted(alike.items(), key=lambda item: -len(item[0][0]))
    return {names[0]: ", ".join(names) for _, names in ordered}


def _bars(library: str, precision: str) -> list[bars.Bar]:
    return [bar for bar in bars.BARS if library == bars.LIBRARY and bar.precision == precision]


def design_table(rows: Sequence[AreaRow]) -> Table:
    """Every design with what it costs; one that could not be measured with the reason."""
    silicon, time = rows[0].unit == "um2", _UNITS[rows[0].time_unit]
    columns = {
        "design": label,
        "kind": lambda row: _KINDS[row.kind],
        "what": lambda row: ", ".join(filter(None, (row.title, row.config))),
        "cells": lambda row: figure(row.cells, 1),
        **({"area (µm²)": lambda row: figure(row.area, 4)} if silicon else {}),
        "GE": lambda row: figure(row.ge, 4),
        "flip-flops": lambda row: figure(row.flipflops, 1),
        "depth (cells)": lambda row: figure(row.depth, 1),
        f"logic ({time})": lambda row: figure(row.comb_delay),
        f"period ({time})": lambda row: figure(row.period),
        **({"MHz": lambda row: figure(row.frequency_mhz)} if silicon else {}),
        "timing": lambda row: _TIMING[row.timing] if row.status == OK else _first_line(row.status),
    }
    numeric = tuple(name not in ("design", "kind", "what", "timing") for name in columns)
    lines = (("" if row.status == OK else "failed", tuple(cell(row) for cell in columns.values())) for row in rows)
    return Table(tuple(columns), numeric, tuple(lines))


def precision_table(rows: Sequence[AreaRow], library: str, precision: str) -> Table:
    """Designs and published ones for one precision, the smallest first."""
    axes = _axes(rows[0])
    header = ("design", "MAC/cycle", f"{axes.area} per MAC/cycle", axes.density, "note")
    lines = []
    for row in rows:
        if precision in row.macs and row.area is not None:
            claimed = row.timing == "opensta" and row.status == OK
            note = "a part of what the job takes" if row.kind == "part" else "" if claimed else "no period to rely on"
            lines.append((row.area_per_mac[precision], "", (
                label(row), figure(row.macs[precision]), figure(row.area_per_mac[precision], 4),
                figure(_per_area(row, precision) if claimed else None), note)))
    for bar in _bars(library, precision):
        note = ", ".join(filter(None, ("published", bar.note)))
        lines.append((bar.area_per_mac, "published", (bar.design, "", figure(bar.area_per_mac, 4), figure(bar.density), note)))
    lines.sort(key=lambda line: line[0])
    return Table(header, (False, True, True, True, False), tuple(line[1:] for line in lines))


def _points(rows: Sequence[AreaRow], library: str, precision: str) -> list[plots.Point]:
    """Points of a scatter plot, without mere parts; ours first, since they get the better places for labels."""
    ours = [plots.Point(label(row), row.scheme, row.kind, row.area_per_mac[precision], density, row.timing != "opensta")
            for row in rows if precision in row.macs and row.kind != "part"
            and (density := _per_area(row, precision)) is not None]
    return ours + [plots.Point(bar.design, "published", "published", bar.area_per_mac, bar.density)
                   for bar in _bars(library, precision)]


def _section(library: str, rows: Sequence[AreaRow]) -> dict:
    """What the templates show of one library."""
    prefix = "".join(letter for letter in library if letter.isalnum())
    broken_down = [(label(row), dict(row.breakdown)) for row in rows if row.breakdown]
    precisions = []
    for number, (precision, title) in enumerate(_precisions(rows).items()):
        points = _points(rows, library, precision)
        plot = plots.scatter(points, _axes(rows[0]), f"{prefix}-{number}") if len(points) > 1 else ""
        precisions.append({"name": title, "table": precision_table(rows, library, precision), "plot": plot})
    return {
        "library": library,
        "id": prefix,
        "designs": design_table(rows),
        "failed": [(label(row), row.status) for row in rows if row.status != OK],
        "precisions": precisions,
        "bars": library == bars.LIBRARY,
        "estimated": any(row.timing == "abc" for row in rows),
        "breakdown": plots.breakdown_bars(broken_down, _UNITS[rows[0].unit], f"{prefix}-breakdown") if broken_down else "",
        "breakdown_table": breakdown_table(broken_down, _UNITS[rows[0].unit]),
    }


def breakdown_table(rows: Sequence[tuple[str, Mapping[str, float]]], unit: str) -> Table:
    """Area by category."""
    categories = tuple(dict.fromkeys(category for _, areas in rows for category in areas))
    lines = ((name, *(figure(areas.get(category), 4) for category in categories), figure(sum(areas.values()), 4))
             for name, areas in rows)
    header = ("design", *(f"{category} ({unit})" for category in categories), f"sum ({unit})")
    return Table(header, (False, *[True] * (len(categories) + 1)), tuple(("", line) for line in lines))


def fpga_table(rows: Sequence[FpgaRow]) -> Table:
    """Every design on every device with what it takes; one that failed with the reason."""
    columns = {
        "design": label,
        "device": lambda row: row.device,
        "what": lambda row: ", ".join(filter(None, (row.title, row.config, row.ports))),
        "LUTs": lambda row: figure(row.luts, 1),
        "of the device": lambda row: "–" if row.utilization is None else f"{row.utilization:.1%}",
        "flip-flops": lambda row: figure(row.flipflops, 1),
        "block RAMs": lambda row: figure(row.brams, 1),
        "DSPs": lambda row: figure(row.dsps, 1),
        "MHz, median": lambda row: figure(row.median_mhz),
        "spread": lambda row: figure(row.spread_mhz),
        "seeds": lambda row: figure(len(row.fmax_mhz), 1),
        "state": lambda row: "placed and routed" if row.status == OK else _first_line(row.status),
    }
    numeric = tuple(name not in ("design", "device", "what", "state") for name in columns)
    lines = (("" if row.status == OK else "failed", tuple(cell(row) for cell in columns.values())) for row in rows)
    return Table(tuple(columns), numeric, tuple(lines))


def _content(report: Report) -> dict:
    parts, tools = [*report.area, *report.fpga], {}
    for part in parts:
        tools |= part.tools
    fpga = [row for part in report.fpga for row in part.rows]
    return {
        "sections": [_section(library, rows) for library, rows in _libraries(report).items()],
        "recipe": bars.RECIPE,
        "tools": Table(("tool", "version"), (False, False), tuple(("", item) for item in sorted(tools.items()))),
        "commands": list(dict.fromkeys(part.command for part in parts)),
        "fpga": fpga_table(fpga) if fpga else None,
        "fpga_failed": [(f"{label(row)} on {row.device}", row.status) for row in fpga if row.status != OK],
        "colours": plots.LIGHT,
        "dark": plots.DARK,
    }


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("subbyte.report"),
        autoescape=jinja2.select_autoescape(["html"]), undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True)
    return environment


def _headline(report: Report) -> tuple[str, list[AreaRow], dict[str, str]]:
    """For docs/figures.md: the first library, rows that are more than parts, precisions for which an engine stands there."""
    library, rows = next(iter(_libraries(report).items()), ("", []))
    rows = [row for row in rows if row.kind != "part" and row.area is not None]
    ours = {precision for row in rows if row.scheme in engines() for precision in row.macs}
    return library, rows, {key: title for key, title in _precisions(rows).items() if key in ours}


def page_table(report: Report) -> str:
    """Markdown for docs/figures.md: the first library's engines, elements and textbook designs, and the published front.

    Raises
    ------
    ValueError
        If no row is of a scheme.
    """
    library, rows, precisions = _headline(report)
    if not precisions:
        raise ValueError("area must hold a processing element or an engine of some scheme")
    tables = []
    for precision, title in precisions.items():
        best = {point.label for point in plots.pareto_front(
            plots.Point(bar.design, "published", "published", bar.area_per_mac, bar.density)
            for bar in _bars(library, precision))}
        table = precision_table(rows, library, precision)
        lines = tuple((kind, (title, *cells)) for kind, cells in table.rows if kind != "published" or cells[0] in best)
        tables.append(dataclasses.replace(
            table, header=("operands", *table.header), numeric=(False, *table.numeric), rows=lines))
    merged = dataclasses.replace(tables[0], rows=tuple(line for table in tables for line in table.rows))
    return cast(Any, _templates().get_template("table.md").module).show(merged).strip() + "\n"


def page_plot(report: Report) -> str:
    """SVG beside docs/figures.md: up to four precisions of the first library, those with most to compare."""
    library, rows, precisions = _headline(report)
    panels = [(title, _points(rows, library, precision)) for precision, title in precisions.items()]
    rivals = {title: len({point.scheme for point in points}) for title, points in panels}
    compared = [panel for panel in panels if rivals[panel[0]] > 1] or panels
    return plots.scatters(sorted(compared, key=lambda panel: -rivals[panel[0]])[:4], _axes(rows[0]))


def write_page(report: Report, page, plot):
    """Put :func:`page_table` between the page's marks and :func:`page_plot` into a file.

    Raises
    ------
    ValueError
        If the marks are missing.
    """
    page, plot = Path(page), Path(plot)
    before, start, rest = page.read_text(encoding="utf-8").partition(PAGE_MARKS[0])
    _, end, after = rest.partition(PAGE_MARKS[1])
    if not end:
        raise ValueError(f"{page} must hold the lines {PAGE_MARKS[0]!r} and {PAGE_MARKS[1]!r}")
    text, drawing = f"{before}{start}\n{page_table(report)}{end}{after}", page_plot(report)
    write_whole(plot, drawing)
    write_whole(page, text)


def to_html(report: Report) -> str:
    """One page that needs nothing else: no network, no script."""
    return _templates().get_template("report.html").render(_content(report))


def to_markdown(report: Report) -> str:
    """The same tables as Markdown, without the plots."""
    return _templates().get_template("report.md").render(_content(report))


def to_json(report: Report) -> str:
    """The figures behind both, and the published ones."""
    data = dataclasses.asdict(report) | {"published": {
        "recipe": bars.RECIPE, "library": bars.LIBRARY, "rows": [dataclasses.asdict(bar) for bar in bars.BARS]}}
    return json.dumps(data, indent=2) + "\n"


def write(report: Report, folder) -> list[Path]:
    """Write ``report.html``, ``report.md`` and ``report.json``; the folder is made.

    Raises
    ------
    ValueError
        If there is nothing to report.
    """
    if not any(part.rows for part in (*report.area, *report.fpga)):
        raise ValueError("area and fpga must hold at least one row: run `subbyte area --json FILE` first")
    folder, written = Path(folder), []
    for name, make in (("report.html", to_html), ("report.md", to_markdown), ("report.json", to_json)):
        write_whole(folder / name, make(report))
        written.append(folder / name)
    return written
