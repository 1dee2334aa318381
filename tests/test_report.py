# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The report on recorded rows: nothing is left out, nothing is claimed that was not measured, nothing comes from elsewhere."""

import dataclasses
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import click.testing
import pytest
from matplotlib.figure import Figure

from subbyte import cli
from subbyte.report import bars, plots, report
from subbyte.report.labels import place_labels
from subbyte.report.plots import Point, pareto_front
from subbyte.synth import results
from subbyte.synth.fpga_results import FpgaReport, FpgaRow
from subbyte.tools.toolchain import MissingTool

RECORDED = Path(__file__).parent / "data" / "synth_area.json"


def point(area, density, **options):
    return Point(f"{area} {density}", "bitmod", "pe", area, density, **options)


@pytest.fixture(scope="module")
def area():
    """The recorded rows, one that ran out of time, one without OpenSTA; and one in the generic library."""
    recorded = results.load(results.AreaReport, RECORDED)
    slow = dataclasses.replace(recorded.rows[0], name="bitmod_slow", status="exceeded 600 s", area=None, cells=None, ge=None,
                               flipflops=None, depth=None, comb_delay=None, period=None, timing=None, breakdown={})
    guessed = dataclasses.replace(recorded.rows[0], name="bitmod_guessed", timing="abc")
    generic = dataclasses.replace(recorded.rows[0], library="subbyte_generic", unit="GE", time_unit="FO4", area=9000.0,
                                  period=40.0)
    return [dataclasses.replace(recorded, rows=(*recorded.rows, slow, guessed)),
            results.AreaReport((generic,), {"yosys": "0.70"}, "subbyte area bitmod")]


@pytest.fixture(scope="module")
def made(area):
    row = FpgaRow("bitmod_engine", "bitmod", "engine", "engine", "8 x 8 x 4", {}, "ecp5-85k", "out of context", "fpga",
                  luts=40_000, flipflops=21_000, brams=0, dsps=12, lut_capacity=83_640,
                  fmax_mhz={"1": 90.0, "2": 100.0, "3": 97.5})
    failed = FpgaRow("bitmod_engine", "bitmod", "engine", "engine", "8 x 8 x 4", {}, "ice40-hx8k", "in shift registers", "fpga",
                     status="routing failed: not enough logic cells\nsee fpga.log")
    return report.Report(area, [FpgaReport((row, failed), {"nextpnr-ecp5": "0.9"}, "subbyte fpga bitmod")])


@pytest.fixture(scope="module")
def texts(made):
    return {"html": report.to_html(made), "markdown": report.to_markdown(made)}


@pytest.mark.parametrize("points, front", [
    ([], []),
    ([(1, 1)], [(1, 1)]),
    ([(2, 2), (1, 1), (3, 3)], [(1, 1), (2, 2), (3, 3)]),  # more area buys more throughput
    ([(1, 3), (2, 2), (3, 1)], [(1, 3)]),  # the smallest is the best in all
    ([(1, 1), (2, 1), (1, 0.5)], [(1, 1)]),  # the same throughput for more area, less for the same
    ([(5, 4), (1, 1), (3, 5), (4, 5), (2, 0.5)], [(1, 1), (3, 5)]),
])
def test_pareto_front(points, front):
    assert [(p.area, p.density) for p in pareto_front(point(*each) for each in points)] == front


def test_of_equal_points_the_first_is_on_the_front():
    first, second = Point("first", "bitmod", "pe", 1, 1), Point("second", "bitmod", "pe", 1, 1)
    assert pareto_front([first, second]) == [first]


def test_an_estimate_is_not_on_the_front():
    corners = plots._front_line([point(1, 5, estimated=True), point(2, 2), point(3, 4)], right=9, bottom=0.1)
    assert corners == [(2, 0.1), (2, 2), (3, 2), (3, 4), (9, 4)]


@pytest.mark.parametrize("kind", ["html", "markdown"])
def test_every_row_appears(made, texts, kind):
    for part in made.area:
        for row in part.rows:
            assert report.label(row) in texts[kind]
            for precision in row.macs:
                assert precision in texts[kind]
            for category in row.breakdown:
                assert category in texts[kind]
        assert part.command in texts[kind]
    for bar in bars.BARS:
        if any(bar.precision in row.macs for row in made.area[0].rows):
            assert bar.design in texts[kind] and bar.note in texts[kind]


@pytest.mark.parametrize("kind", ["html", "markdown"])
def test_a_row_that_failed_says_so(texts, kind):
    assert "exceeded 600 s" in texts[kind]
    assert "Not measured" in texts[kind] and "bitmod slow" in texts[kind]
    assert texts[kind].count("routing failed: not enough logic cells") == 2  # in the table, and with its last lines
    assert texts[kind].count("see fpga.log") == 1


def cells(table, name):
    (found,) = [row for _, row in table.rows if row[0] == name]
    return dict(zip(table.header, found))


def test_nothing_is_claimed_from_an_estimated_period(area):
    rows = area[0].rows
    table = report.precision_table(rows, rows[0].library, "FP16 x INT4")
    guessed, measured = cells(table, "bitmod guessed"), cells(table, report.label(rows[0]))
    assert guessed["TMAC/s/mm²"] == "–" and guessed["note"]
    assert float(measured["TMAC/s/mm²"]) == pytest.approx(rows[0].density["FP16 x INT4"], rel=0.01)


def test_figures_are_those_of_the_rows(area):
    row = next(row for row in area[0].rows if row.name == "baseline_int4_fp16_fma")
    shown = cells(report.design_table(area[0].rows), "int4 fp16 fma")
    assert shown["area (µm²)"] == f"{row.area:,.0f}" and shown["period (ps)"] == f"{row.period:,.0f}"
    assert shown["flip-flops"] == str(row.flipflops) and shown["timing"] == "OpenSTA"


def test_parts_are_not_in_the_plots(area):
    labels = {point.label for point in report._points(area[0].rows, bars.LIBRARY, "FP16 x INT4")}
    assert "bitmod mac" not in labels and "bitmod engine" in labels


def test_published_designs_stand_only_beside_their_library(texts):
    generic, nangate = (texts["markdown"].index(f"## {name}") for name in ("subbyte_generic", bars.LIBRARY))
    start, end = sorted((generic, nangate))[0], max(generic, nangate)
    parts = {min(generic, nangate): texts["markdown"][start:end], end: texts["markdown"][end:]}
    assert "HardFloat" in parts[nangate] and "HardFloat" not in parts[generic]


def test_fpga_frequency_is_the_median_with_its_spread(made):
    shown = dict(zip(*[(table := report.fpga_table(made.fpga[0].rows)).header, table.rows[0][1]]))
    assert (shown["MHz, median"], shown["spread"], shown["of the device"]) == ("97.5", "10", "47.8%")


@pytest.mark.parametrize("value, digits, shown", [
    (None, 3, "–"), (0, 3, "0"), (12345.6, 3, "12,346"), (0.06294, 3, "0.0629"), (84.2, 3, "84.2"), (2138.64, 4, "2,139"),
    (583.604, 4, "583.6"), (7, 1, "7")])
def test_figure(value, digits, shown):
    assert report.figure(value, digits) == shown


class Links(HTMLParser):
    """Everything that a page would load, its identifiers, and whether its elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.ids, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs
                        if name in ("src", "href", "xlink:href", "srcset", "data") and not value.startswith("#")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_needs_nothing_else(texts):
    page = Links(texts["html"])
    assert not page.loaded and not page.open and "<script" not in texts["html"]
    assert not re.search(r"@import|url\((?!#)", texts["html"])
    assert len(page.ids) == len(set(page.ids)), "plots in one page must not share identifiers"


def test_colours_are_those_of_the_page(texts):
    assert "var(--bitmod)" in texts["html"] and not re.search("#0a0b..", texts["html"])
    assert "prefers-color-scheme: dark" in texts["html"]


def test_the_same_rows_give_the_same_bytes(made, texts):
    assert report.to_html(made) == texts["html"] and report.to_markdown(made) == texts["markdown"]
    assert report.page_plot(made) == report.page_plot(made)


def test_json_holds_the_rows_and_the_published_figures(made):
    data = json.loads(report.to_json(made))
    assert results.AreaReport.from_dict(data["area"][0]) == made.area[0]
    assert len(data["published"]["rows"]) == len(bars.BARS) and data["published"]["recipe"]


def test_names_are_escaped(area):
    rows = (dataclasses.replace(area[0].rows[0], title="<b>bold</b> a|b"),)
    odd = report.Report([dataclasses.replace(area[0], rows=rows)])
    assert "<b>bold" not in report.to_html(odd) and r"a\|b" in report.to_markdown(odd)


def test_labels_do_not_overlap():
    """Points of one spot, as close as a plot may hold them, and two alone."""
    figure = Figure()
    axes = figure.add_subplot()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    figure.draw_without_rendering()
    spots = [(5 + 0.2 * i, 5 + 0.1 * i) for i in range(6)] + [(0.2, 9.8), (9.8, 0.2)]
    boxes = place_labels(axes, [(x, y, f"a design {i}", "black") for i, (x, y) in enumerate(spots)], line_color="black")
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert axes.get_window_extent().contains(*box.min) and axes.get_window_extent().contains(*box.max)


@pytest.mark.parametrize("precision", ["FP16 x INT4", "INT8 x INT8", "INT8 x ternary"])
def test_plot_shows_every_point(area, precision):
    points = report._points(area[0].rows, bars.LIBRARY, precision)
    svg = plots.scatter(points, plots.Axes("µm²", "TMAC/s/mm²", "ns", 1e3), "plot")
    shown = {"".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {point.label for point in points} | {"area per MAC/cycle (µm²)", "throughput per area (TMAC/s/mm²)"} <= shown


def test_page(made, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{report.PAGE_MARKS[0]}\nold\n{report.PAGE_MARKS[1]}\nafter\n")
    report.write_page(made, readme, tmp_path / "docs" / "plot.svg")
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| FP16 x INT4 | int4 fp16 fma |" in text and "| FP16 x INT4 | HardFloat, FP16 sum |" not in text
    ElementTree.parse(tmp_path / "docs" / "plot.svg")
    report.write_page(made, readme, tmp_path / "docs" / "plot.svg")
    assert readme.read_text() == text
    textbook = tuple(row for row in made.area[0].rows if row.scheme == "baselines")
    with pytest.raises(ValueError, match="some scheme"):
        report.page_table(report.Report([dataclasses.replace(made.area[0], rows=textbook)]))
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="must hold the lines"):
        report.write_page(made, readme, tmp_path / "plot.svg")


def run(*arguments):
    return click.testing.CliRunner().invoke(cli.main, ["report", *map(str, arguments)])


def test_command_writes_all_three(tmp_path):
    done = run("--area", RECORDED, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "report.json", "report.md"]


@pytest.mark.parametrize("text, message", [
    ("{", "is not the JSON of an AreaReport"), ('{"rows": [], "tools": {}, "command": ""}', "at least one row")])
def test_command_says_what_is_wrong_with_a_file(tmp_path, text, message):
    (tmp_path / "area.json").write_text(text)
    done = run("--area", tmp_path / "area.json", "-o", tmp_path)
    assert done.exit_code == 2 and message in done.output


def record(monkeypatch, step, outcome):
    """Let a step write what was recorded, and end in this way."""
    def main(arguments, **_):
        if isinstance(outcome, Exception):
            raise outcome
        empty = {"rows": [], "tools": {}, "command": "subbyte fpga"}
        Path(arguments[-1]).write_text(RECORDED.read_text() if step == "area" else json.dumps(empty))
        return outcome

    monkeypatch.setattr(f"subbyte.cli.report.measure_{step}.main", main)


def test_command_runs_the_steps_that_did_not_run(tmp_path, monkeypatch):
    """What they leave is taken the next time."""
    monkeypatch.setattr("subbyte.cli.report.build_root", lambda: tmp_path)
    record(monkeypatch, "area", 0)
    record(monkeypatch, "fpga", 1)
    first, second = run(), run()
    assert first.exit_code == 0 and "area: not measured yet" in first.output and "fpga: not measured yet" in first.output
    assert "fpga: some designs could not be measured" in first.output
    for step in ("area", "fpga"):
        assert f"{step}: as measured before, from {tmp_path / step}.json; `make {step}` measures again" in second.output
    assert (tmp_path / "report" / "report.html").exists()


def test_command_names_the_step_that_cannot_run(tmp_path, monkeypatch):
    monkeypatch.setattr("subbyte.cli.report.build_root", lambda: tmp_path)
    record(monkeypatch, "area", 0)
    record(monkeypatch, "fpga", MissingTool("nextpnr is missing: install it"))
    done = run()
    assert done.exit_code == 0
    assert "fpga: did not run, and the report goes without: nextpnr is missing: install it" in done.output
