# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make coverage`: how much of the generated Verilog the engines' benches ran, by unit, and a page that shows the rest."""

import fnmatch
import html
import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import click

from ..sim.coverage import KINDS, Point, read_runs
from ..tools.toolchain import build_root

__all__ = ["Exceptions", "main", "page", "tally"]

EXCEPTIONS = Path(__file__).parents[1] / "sim" / "uncovered.json"
BENCHES = {
    "bcq": ("test_engine[small-asic]", "test_extremes", "test_constants_of_any_significand"),
    "bipolar": ("test_engine[integers]", "test_every_precision[asic]", "test_every_operand"),
    "bitmod": ("test_engine[default_formats-asic]", "test_special_value_registers_are_programmable"),
    "bitmod_dense": ("test_engine[all_formats]", "test_extremes", "test_every_code", "test_every_special_value"),
    "rsr": ("test_engine[lookup]", "test_engine[tree]"),
    "tender": ("test_engine[int4]", "test_real_layer"),
}
"""Benches of whole engines, without kept faults, in `tb/test_<name>.py`: one small config each, two of RSR."""
GOALS = {"line": 98, "branch": 95, "toggle": 98}
"""Shares of all units together, in percent, that are asked for."""


class Exceptions:
    """What need not be covered, and why: patterns (of `fnmatch`) for module, text of the line and, of toggles, the signal.

    Each entry of the file is an object with `module`, `line` or `signal`, and `why`.
    """

    def __init__(self, entries):
        self._entries, self._used = entries, set()

    def why(self, point: Point, text: str) -> str | None:
        """The reason for which a point that was not covered need not be; None if there is none."""
        for number, entry in enumerate(self._entries):
            kind, what = ("signal", point.what.rpartition(":")[0]) if point.kind == "toggle" else ("line", text.strip())
            if kind in entry and _matches(point.module, entry["module"]) and _matches(what, entry[kind]):
                self._used.add(number)
                return entry["why"]
        return None

    @property
    def idle(self):
        """Entries that excused nothing: what they name is covered, or is there no more."""
        return [entry for number, entry in enumerate(self._entries) if number not in self._used]


def _matches(text, pattern):
    """`fnmatch` in which brackets, of which signals are full, stand for themselves."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def tally(counts, texts, exceptions):
    """Count points by module, and collect those that are holes.

    Parameters
    ----------
    counts, texts
        Of `subbyte.sim.coverage.read_runs`.
    exceptions : Exceptions

    Returns
    -------
    units : dict of str to Counter
        By module: `(kind, "covered" | "excused" | "hole")`. A line counts once, whatever begins in it.
    holes : dict of (str, str) to list of (Point, str or None)
        By module and digest: the points that were not covered, and why they need not be.
    """
    units, holes, lines = defaultdict(Counter), defaultdict(list), {}
    for point, count in counts.items():
        why = None if count else exceptions.why(point, texts[point.module, point.text][point.line - 1])
        state = "covered" if count else "excused" if why else "hole"
        if point.kind != "line":
            units[point.module][point.kind, state] += 1
        # Where a branch was decided, either way, its line was run: Verilator names that line with the first way only.
        for line in {point.line, *point.lines} if point.kind != "toggle" else ():
            # The alphabet's order: covered before excused before a hole.
            known = lines.get((point.module, point.text, line), state)
            lines[point.module, point.text, line] = min(known, state)
        if not count:
            holes[point.module, point.text].append((point, why))
    for (module, _, _), state in lines.items():
        units[module]["line", state] += 1
    return dict(units), dict(holes)


def share(counter, kind):
    """Covered of what need be, in percent."""
    needed = counter[kind, "covered"] + counter[kind, "hole"]
    return 100 * counter[kind, "covered"] / needed if needed else 100.0


def _row(name, counter):
    cells = []
    for kind in KINDS:
        excused = counter[kind, "excused"]
        cells.append(f"{share(counter, kind):6.2f} of {counter[kind, 'covered'] + counter[kind, 'hole']:6d}"
                     + (f" + {excused:5d}" if excused else " " * 8))
    return f"{name:44s}" + "".join(f"{cell:>28s}" for cell in cells)


def table(units):
    """Lines of a table: units, then all."""
    yield f"{'unit':44s}" + "".join(f"{f'{kind}, %, of + excused':>28s}" for kind in KINDS)
    for name in sorted(units):
        yield _row(name, units[name])
    yield _row("all", sum(units.values(), Counter()))


def page(units, holes, texts):
    """The table, and each module's text where something in it was not covered, as HTML."""
    parts = ["<!doctype html><meta charset=utf-8><title>Coverage</title><style>body{font:14px sans-serif;margin:2em}"
             "pre{background:#f6f6f6;padding:.6em}.hole{background:#fcc}.excused{background:#ffd}i{color:#555}</style>"
             "<h1>Coverage of generated Verilog</h1><pre>", html.escape("\n".join(table(units))), "</pre>"]
    for (module, digest), found in sorted(holes.items()):
        parts.append(f"<h2>{html.escape(module)} <small>{digest}</small></h2><pre>")
        by_line = defaultdict(list)
        for point, why in found:
            by_line[point.line].append((point, why))
        for line, points in sorted(by_line.items()):
            open_ = any(why is None for _, why in points)
            what = " ".join(sorted({point.what if point.kind == "toggle" else f"{point.kind} {point.what}"
                                    for point, _ in points}))
            reasons = "; ".join(sorted({why for _, why in points if why}))
            parts.append(f'<span class={"hole" if open_ else "excused"}>{line:5d} '
                         f"{html.escape(texts[module, digest][line - 1])}</span>\n"
                         f"      <i>{html.escape(what[:2000])}{' &mdash; ' + html.escape(reasons) if reasons else ''}</i>\n")
        parts.append("</pre>")
    return "".join(parts)


@click.command()
@click.argument("schemes", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option("--jobs", type=int, default=1, help="Benches side by side.")
@click.option("--keep", is_flag=True, help="Add to what earlier runs counted.")
@click.option("--again", is_flag=True, help="Run nothing: show what was counted.")
def main(schemes, jobs, keep, again):
    """Run small engines of SCHEMES (without: all) at their benches, print what was covered, write build/coverage/index.html.

    Fails where a bench does, below the goals, and where an exception is needed no more.
    """
    folder = build_root() / "coverage" / "runs"
    if not again:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        _run(schemes or BENCHES, folder, jobs)
    exceptions = Exceptions(json.loads(EXCEPTIONS.read_text()))
    counts, texts = read_runs(folder)
    units, holes = tally(counts, texts, exceptions)
    if not units:
        raise SystemExit(f"error: {folder} holds no runs")
    written = folder.with_name("index.html")
    written.write_text(page(units, holes, texts))
    print("\n".join(table(units)))
    print(f"holes with their lines: {written}")
    whole = sum(units.values(), Counter())
    problems = [f"{kind}: {share(whole, kind):.2f} % of {goal} %" for kind, goal in GOALS.items() if share(whole, kind) < goal]
    if not schemes and not again:
        problems += [f"excuses nothing, and must go: {json.dumps(entry)}" for entry in exceptions.idle]
    if problems:
        raise SystemExit("\n".join(f"error: {problem}" for problem in problems))


def _run(schemes, folder, jobs):
    """The benches, with counting models."""
    tests = [f"tb/test_{scheme}.py::{test}" for scheme in schemes for test in BENCHES[scheme]]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "", *(["-n", str(jobs)] if jobs > 1 else ["-p", "no:xdist"]), *tests]
    if subprocess.run(command, cwd=EXCEPTIONS.parents[1], env={**os.environ, "RTL_COVERAGE": str(folder)}).returncode:
        raise SystemExit("error: a bench failed")


if __name__ == "__main__":
    main()
