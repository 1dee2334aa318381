# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make area-check`: processing elements and parts must not grow unnoticed.

Gate equivalents and depth at default parameters, in the project's own library, stand in ``schemes/area``, a file a scheme. A
change that moves one by more than 3 % has to change the file too, up or down, so that it stays true and the growth is seen.
"""

import argparse
import json
import sys
from pathlib import Path

from ..schemes import engines
from ..tools.outputs import write_whole
from ..tools.process import ToolError
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from ..top import emit
from . import asic, designs, results
from .library import load_library

__all__ = ["FOLDER", "TOLERANCE", "compare", "main", "record"]

FOLDER = Path(__file__).parents[1] / "schemes" / "area"
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
    """Measure and compare, or with ``--update`` write the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write what is measured instead of comparing with it")
    update = parser.parse_args(arguments).update
    folder = build_root() / "area-check"
    library = load_library((), folder)
    versions, failed = asic.tool_versions(DEFAULT, folder), False
    for name in engines():
        rows = []
        for design in designs.designs([name], KINDS):
            rows.append(asic.measure(design, library))
            print(f"{design.name}: {rows[-1].ge} GE, depth {rows[-1].depth}", flush=True)
        try:
            failed |= not _settle(FOLDER / f"{name}.json", record(rows, versions), update)
        except ToolError as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
    return int(failed)


def _settle(path, measured, update):
    """Write the file, or compare with it; whether all is well."""
    if update:
        write_whole(path, emit.to_json(measured) + "\n")
        print(f"wrote {path}")
        return True
    found = compare(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"designs": {}, "yosys": ""}, measured)
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        print(f"{path} must tell of it in the same change: make area-check UPDATE=1", file=sys.stderr)
    return not found


if __name__ == "__main__":
    sys.exit(main())
