# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Map a design to a cell library: one recipe for every row, so that rows compare.

docs/synth.md states the recipe with its reasons, and what the figures do not hold.
"""

import fnmatch
import json
import re
import time
from collections import Counter
from dataclasses import replace

from .. import __version__
from ..tools.process import TimeExceeded, ToolError
from ..tools.yosys import DEFAULT, run_yosys, yosys_version
from . import timing
from .fanout import insert_trees
from .results import AreaRow

__all__ = ["FANOUT", "LIMIT", "MODULES", "longest_path", "measure", "recipe", "summarize", "tool_versions"]

LIMIT = 600.0
"""Seconds that a tool may take for one design."""

FANOUT = "buffer trees"
"""Category of the trees that distribute signals over an array."""

MODULES = "modules.v"
"""File of the netlist before modules that keep their borders are flattened."""

# What Yosys 0.70 gives to ABC for `-constr` and `-D`, stated here so that it cannot change by itself. Only the last -d is
# ours: it leaves the delay in stats.txt, since the packaged Yosys loses what ABC prints.
_ABC = ("strash; &get -n; &fraig -x; &put; scorr; dc2; dretime; retime -o {D}; strash; &get -n; &dch -f; &nf {D}; &put; "
        "buffer; upsize {D}; dnsize {D}; stime -p -d")


def measure(design, library, *, yosys=DEFAULT, limit=LIMIT, flatten=False, booth=False):
    """Map one design and measure it, in a folder of its own beside the library's files.

    Parameters
    ----------
    design : subbyte.synth.designs.Design
    library : subbyte.synth.library.Library
    yosys : str
        See :func:`~subbyte.tools.yosys.run_yosys`.
    limit : float
        Seconds that each tool may take.
    flatten : bool
        Give up the borders of all modules; the row then has no breakdown.
    booth : bool
        Let Yosys make Booth multipliers of ``*``, for all designs.

    Returns
    -------
    AreaRow
        Where a tool failed or exceeded the limit, the row's status says so.

    Raises
    ------
    MissingTool
        If Yosys is not installed.
    """
    started = time.monotonic()
    area_unit, time_unit = library.units
    row = AreaRow(design.name, design.scheme, design.kind, design.title, design.config, design.macs,
                  library.name, area_unit, time_unit)
    folder, categories = library.folder / design.name, {} if flatten else design.breakdown
    results = {}
    try:
        _map(design, library, recipe(design, library, categories, booth or design.booth), folder, yosys, limit)
        results, flipflops = summarize((folder / "stat.json").read_text(encoding="utf-8"), library, categories)
        results["depth"] = longest_path((folder / "ltp.txt").read_text(encoding="utf-8"))
        if categories:
            results |= _buffered(design, library, results, folder)
        results |= _timing(design, library, flipflops, folder, limit)
    except TimeExceeded:
        results["status"] = f"exceeded {limit:g} s"
    except ToolError as error:
        results["status"] = str(error)
    return replace(row, **results, seconds=round(time.monotonic() - started, 1))


def tool_versions(yosys, folder):
    """Versions of what measures; OpenSTA is left out where it is not installed."""
    versions = {"subbyte": __version__, "yosys": yosys_version(yosys, folder)}
    return versions | ({"opensta": timing.opensta_version(folder)} if timing.has_opensta() else {})


def recipe(design, library, categories, booth=False):
    """The Yosys script, for a folder beside the library's files.

    Parameters
    ----------
    categories : mapping of str to str
        The patterns of modules that keep their borders; see :class:`~subbyte.synth.designs.Design`.
    """
    name, files = design.name, [f"../{file}" for file in library.files]
    liberty = " ".join(f"-liberty {file}" for file in files)
    mapping = " ".join([liberty, *(f"-dont_use {pattern}" for pattern in library.dont_use)])
    kept = " ".join(pattern for pattern in categories if pattern)
    flipflops = " ".join(f"t:{cell}" for cell in library.flipflops)
    return [
        "read_verilog -sv design.v",
        *(f"chparam -set {parameter} {value} {name}" for parameter, value in design.parameters.items()),
        f"hierarchy -check -top {name}",
        *([f"setattr -mod -set keep_hierarchy 1 {kept}"] if kept else []),
        f"synth -flatten{' -booth' * booth}",
        "check",
        f"dfflibmap {mapping}",
        "opt",
        f"abc {mapping} -constr constr -D 1 -script +{_ABC.replace(' ', ',')}",
        "opt_clean -purge",
        f"tee -q -o stat.json stat -json {liberty}",
        *([f"write_verilog -norename -noattr -noexpr -simple-lhs {MODULES}"] if kept else []),
        # What OpenSTA reads, and what has one longest path: flat, without vectors on the left.
        *(["setattr -mod -unset keep_hierarchy *", "flatten", "opt_clean -purge"] if kept else []),
        "splitnets -ports",
        "write_verilog -norename -noattr -noexpr -simple-lhs netlist.v",
        *(f"read_liberty -lib -ignore_miss_func -overwrite {file}" for file in files),
        f"tee -q -o ltp.txt ltp {name}/* {flipflops} {'%u ' * (len(library.flipflops) - 1)}%d",
    ]


def _map(design, library, script, folder, yosys, limit):
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():  # of the run before
        file.unlink()
    (folder / "design.v").write_text(design.verilog(), encoding="utf-8")
    constraints = f"set_driving_cell {library.driver}\nset_load {library.load:g} [all_outputs]\n"
    (folder / "constr").write_text(constraints, encoding="utf-8")
    run_yosys(script, folder, "map", yosys=yosys, limit=limit)


def summarize(statistics, library, categories):
    """What Yosys's ``stat -json`` says.

    Returns
    -------
    dict
        Fields of the row: cells, area, ge, flipflops and breakdown.
    list of FlipFlop
        Those that are used.
    """
    statistics = json.loads(statistics)
    total = statistics["design"]
    counts = {cell: total["num_cells_by_type"][cell] for cell in library.flipflops if cell in total["num_cells_by_type"]}
    area = total["area"]
    fields = {
        "cells": total["num_cells"],
        "area": round(area, 3),
        "ge": _gate_equivalents(area, library),
        "flipflops": sum(counts.values()),
        "breakdown": _breakdown(statistics["modules"], categories) if categories else {},
    }
    return fields, [library.flipflops[cell] for cell in counts]


def _breakdown(modules, categories):
    """Area by category: each module's own, times the number of its instances."""
    modules = {name.removeprefix("\\"): module for name, module in modules.items()}
    inner = {name: {cell: count for cell, count in module["num_cells_by_type"].items() if cell in modules}
             for name, module in modules.items()}
    (top,) = set(modules).difference(*inner.values())
    areas = Counter(dict.fromkeys(categories.values(), 0.0))

    def add(name, instances):
        pattern = next((pattern for pattern in categories if pattern and fnmatch.fnmatchcase(name, pattern)), "")
        areas[categories[pattern]] += instances * modules[name]["area"]
        for child, count in inner[name].items():
            areas[categories[pattern]] -= instances * count * modules[child]["area"]
            add(child, instances * count)

    add(top, 1)
    return {category: round(area, 3) for category, area in areas.items()}


def _gate_equivalents(area, library):
    return round(area / library.nand2, 1)


def _buffered(design, library, results, folder):
    """Fields of the row with trees for what is broadcast to modules that keep their borders; the netlist gets them too."""
    path = folder / "netlist.v"
    netlist, inserted = insert_trees(path.read_text(encoding="utf-8"), library, design.clock)
    path.write_text(netlist, encoding="utf-8")
    trees = round(inserted * library.repeater.area, 3)
    area = round(results["area"] + trees, 3)
    return {
        "cells": results["cells"] + inserted,
        "area": area,
        "ge": _gate_equivalents(area, library),
        "breakdown": {**results["breakdown"], FANOUT: trees},
    }


def longest_path(report):
    """Cells on the longest path in the report of Yosys's ``ltp``."""
    length = re.search(r"\(length=(-?\d+)\)", report)
    return max(0, int(length[1])) if length else None


def _timing(design, library, flipflops, folder, limit):
    """Fields of the row: comb_delay, period, timing."""
    statistics = folder / "stats.txt"
    delay = timing.abc_delay(statistics.read_text(encoding="utf-8")) if statistics.exists() else None
    if flipflops and timing.has_opensta():
        source, period = "opensta", timing.opensta_period(design.name, design.clock, library, folder, limit)
    else:
        source, period = "abc", timing.estimate(delay, flipflops)
    scaled = {"comb_delay": delay, "period": period}
    return {
        **{name: None if ps is None else round(library.delay(ps), 4) for name, ps in scaled.items()},
        "timing": None if period is None else source,
    }
