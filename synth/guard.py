# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make area-check`: processing elements and parts must not grow unnoticed.

Gate equivalents and depth at default parameters, in the project's own library, stand in ``schemes/area.json``. A change that
moves one by more than 3 % has to change the file too, up or down, so that the file stays true and the growth is seen.
"""

import argparse
import json
import sys
from pathlib import Path

from ..tools.process import ToolError
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from ..top import emit
from . import asic, designs, results
from .library import load_library

__all__ = ["FILE", "TOLERANCE", "compare", "main", "record"]

FILE = Path(__file__).parents[1] / "schemes" / "area.json"
TOLERANCE = 0.03
KINDS = ("pe", "part")


def record(rows, versions):
    """What the file holds for these rows.

    Raises
    ------
    ToolError
        If a row was not measured.
    """
    for row in rows:
        if row.status != results.OK:
            raise ToolError(f"{row.name}: {row.status}")
    return {"yosys": versions["yosys"], "designs": {row.name: {"ge": row.ge, "depth": row.depth} for row in rows}}


def compare(recorded, measured):
    """Differences beyond the tolerance, a line each."""
    found = []
    for name in recorded["designs"].keys() | measured["designs"].keys():
        before, now = recorded["designs"].get(name), measured["designs"].get(name)
        if before is None or now is None:
            found.append(f"{name} is {'not in the file' if before is None else 'in the file and no design any more'}")
            continue
        for figure in before.keys() | now.keys():
            if abs(now[figure] - before[figure]) > TOLERANCE * before[figure]:
                word = "grew" if now[figure] > before[figure] else "shrank"
                found.append(f"{name}: {figure} {word} from {before[figure]:g} to {now[figure]:g} "
                             f"({now[figure] / before[figure] - 1:+.1%})")
    if found and recorded["yosys"] != measured["yosys"]:
        found.append(f"the file is of Yosys {recorded['yosys']}, this is {measured['yosys']}")
    return sorted(found)


def main(arguments=None):
    """Measure and compare, or with ``--update`` write the file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write what is measured instead of comparing with it")
    update = parser.parse_args(arguments).update
    folder = build_root() / "area-check"
    library = load_library((), folder)
    rows = []
    for design in designs.designs(kinds=KINDS):
        rows.append(asic.measure(design, library))
        print(f"{design.name}: {rows[-1].ge} GE, depth {rows[-1].depth}", flush=True)
    try:
        measured = record(rows, asic.tool_versions(DEFAULT, folder))
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if update:
        FILE.write_text(emit.to_json(measured) + "\n", encoding="utf-8")
        print(f"wrote {FILE}")
        return 0
    found = compare(json.loads(FILE.read_text(encoding="utf-8")), measured)
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        print(f"{FILE} must tell of it in the same change: make area-check UPDATE=1", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
