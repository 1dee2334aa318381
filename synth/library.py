# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A cell library as the flow needs it: files that the tools can read, and the few figures that come from it."""

import fnmatch
import gzip
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import generic, liberty

__all__ = ["DONT_USE", "Buffer", "FlipFlop", "Library", "load_library"]

DONT_USE = ("*maj3*", "MAJ*")
"""Cells that mapping must avoid: Yosys and ABC turn adder trees into ripple carries where a majority cell is on offer."""

_LOADS = {"NangateOpenCellLibrary": 3, "sky130_fd_sc_hd*": 10}
"""Load of an output in fF where published figures that ours are compared with fix it; elsewhere four inverters."""

_TIME = {"fs": 1e-3, "ps": 1.0, "ns": 1e3, "us": 1e6}
_CAPACITANCE = {"ff": 1.0, "pf": 1e3}
_INVERTER, _BUFFER, _NAND2 = (True, False), (False, True), (True, True, True, False)


@dataclass(frozen=True)
class FlipFlop:
    """Delay from the clock to the output, and setup time, in ps, at the smallest slews and the library's load."""

    clk_to_q: float
    setup: float


@dataclass(frozen=True)
class Buffer:
    """A buffer: its cell, area, and names of its input and output."""

    name: str
    area: float
    pins: tuple[str, str]


@dataclass(frozen=True)
class Library:
    """A cell library.

    Attributes
    ----------
    name : str
    folder : pathlib.Path
        Where the files are.
    files : tuple of str
        Names of the Liberty files, unpacked.
    generic : bool
        Whether it is the project's own, which knows gate equivalents and FO4 but no um2 and ps.
    time_unit : float
        Unit of time of the first file, in ps: that of OpenSTA.
    energy_unit : float
        Unit of energy of the first file, in J.
    nand2 : float
        Area of the smallest two-input NAND, which is one gate equivalent.
    driver : str
        The buffer that drives inputs.
    load : float
        Load of an output in fF.
    flipflops : mapping of str to FlipFlop
    loads : mapping of str to mapping of str to float
        By cell and input, in inputs of the smallest inverter.
    repeater : Buffer
        What trees of buffers are made of.
    dont_use : tuple of str
        Patterns of cells that mapping avoids.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    generic: bool
    time_unit: float
    energy_unit: float
    nand2: float
    driver: str
    load: float
    flipflops: Mapping[str, FlipFlop]
    loads: Mapping[str, Mapping[str, float]]
    repeater: Buffer
    dont_use: tuple[str, ...]

    @property
    def units(self) -> tuple[str, str]:
        """Units of area and of delay in results."""
        return ("GE", "FO4") if self.generic else ("um2", "ps")

    def delay(self, ps):
        """A delay of the tools as a result."""
        return ps / generic.FO4_PS if self.generic else ps


def load_library(paths, folder, dont_use=()):
    """Unpack a library and read what the flow needs of it.

    Parameters
    ----------
    paths : sequence of path-like
        Liberty files (``.lib`` or ``.lib.gz``) that make up one library; none: the project's own.
    folder : pathlib.Path
        Where the unpacked files go: the packaged Yosys reads neither gzip nor every path.
    dont_use : sequence of str
        Patterns of cells to avoid, beside :data:`DONT_USE`.

    Raises
    ------
    ValueError
        If a file is not a Liberty file, or the library lacks what every flow needs.
    OSError
        If a file cannot be read.
    """
    texts = {Path(path).name.removesuffix(".gz"): _read(Path(path)) for path in paths} or {generic.FILE: generic.liberty_text()}
    groups = [liberty.parse(text, name) for name, text in texts.items()]
    name = groups[0].arguments if len(groups) == 1 else os.path.commonprefix([g.arguments for g in groups]).rstrip("_-")
    folder = folder / (name or "library")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    cells = [_Cell(cell, group) for group in groups for cell in group.find("cell")]
    (inverter,) = _smallest(cells, _INVERTER, "an inverter", name).capacitances.values()
    load = next((load for pattern, load in _LOADS.items() if fnmatch.fnmatch(name, pattern)), 4 * inverter)
    return Library(
        name=name, folder=folder, files=tuple(texts), generic=not paths, time_unit=_time_unit(groups[0]),
        energy_unit=_farad(groups[0]) * 1e-15,
        nand2=_smallest(cells, _NAND2, "a two-input NAND", name).area, driver=_driver(cells, name), load=load,
        flipflops=_flipflops(cells, load, name), repeater=_repeater(cells, name), dont_use=(*DONT_USE, *dont_use),
        loads={cell.name: {pin: farad / inverter for pin, farad in cell.capacitances.items()} for cell in cells},
    )


def _read(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path} is not a whole gzip file: {error}") from None
    return data.decode("utf-8", errors="replace")


def _time_unit(library):
    unit = re.fullmatch(r"([\d.]+)\s*(\w+)", library.attributes.get("time_unit", "1ns"))
    if unit is None or unit[2].lower() not in _TIME:
        raise ValueError(f"time_unit of library {library.arguments} must be a number and one of {', '.join(_TIME)}, "
                         f"not {library.attributes['time_unit']!r}")
    return float(unit[1]) * _TIME[unit[2].lower()]


def _farad(library):
    """Unit of capacitance in fF, which is that of energy in fJ where voltages are in V."""
    amount, unit = library.attributes.get("capacitive_load_unit", "1, pf").split(",")
    return float(amount) * _CAPACITANCE[unit.strip().lower()]


class _Cell:
    """A cell, in um2, ps and fF."""

    def __init__(self, group, library):
        self.name = group.arguments
        self.area = float(group.attributes.get("area", 0))
        self._group, self._time = group, _time_unit(library)
        self._farad = _farad(library)
        self._loads = {template.arguments: template.attributes.get("index_2") for template in library.find("lu_table_template")}
        self.pins = {direction: [pin for pin in group.find("pin") if pin.attributes.get("direction") == direction]
                     for direction in ("input", "output")}

    @property
    def is_flipflop(self):
        return bool(self._group.find("ff"))

    @property
    def capacitances(self):
        """By input."""
        return {pin.arguments: float(pin.attributes.get("capacitance", 0)) * self._farad for pin in self.pins["input"]}

    def computes(self, table):
        """Whether it is combinational, has one output and this truth table."""
        inputs, outputs = self.pins["input"], self.pins["output"]
        if len(outputs) != 1 or 2 ** len(inputs) != len(table) or "function" not in outputs[0].attributes:
            return False
        return liberty.truth_table(outputs[0].attributes["function"], [pin.arguments for pin in inputs]) == table

    def worst(self, direction, timing_type, tables, load):
        """Largest entry of the timing tables of a type, at the smallest slews and the load."""
        timings = [timing for pin in self.pins[direction] for timing in pin.find("timing")
                   if timing.attributes.get("timing_type") == timing_type]
        found = [table for timing in timings for kind in tables for table in timing.find(kind)]
        values = [self._entry(table, load / self._farad) for table in found]
        return max(values, default=0.0) * self._time

    def _entry(self, table, load):
        """First row of a table: its first entry for a constraint, what the load gives for a delay."""
        row = liberty.numbers(table.attributes.get("values", "0"))
        loads = table.attributes.get("index_2") or self._loads.get(table.arguments)
        if "constraint" in table.kind or loads is None:
            return row[0]
        loads = liberty.numbers(loads)
        return float(np.interp(load, loads, row[: len(loads)]))


def _smallest(cells, table, what, library):
    found = [cell for cell in cells if cell.area > 0 and cell.computes(table)]
    if not found:
        raise ValueError(f"library {library} must have {what} with an area; it has {len(cells)} cells")
    return min(found, key=lambda cell: (cell.area, len(cell.name), cell.name))


def _driver(cells, library):
    """The second smallest buffer, as in the recipe (BUF_X2, buf_2); of one size that of the shortest name, not a clock's."""
    smallest = _smallest(cells, _BUFFER, "a buffer", library)
    larger = [cell for cell in cells if cell.area > smallest.area]
    return (_smallest(larger, _BUFFER, "a second buffer", library) if larger else smallest).name


def _repeater(cells, library):
    """The largest buffer of at most two and a half times the area of the smallest: about four times its drive."""
    limit = 2.5 * _smallest(cells, _BUFFER, "a buffer", library).area
    cell = max((cell for cell in cells if 0 < cell.area <= limit and cell.computes(_BUFFER)),
               key=lambda cell: (cell.area, -len(cell.name)))
    return Buffer(cell.name, cell.area, tuple(cell.pins[direction][0].arguments for direction in ("input", "output")))


def _flipflops(cells, load, library):
    found = {
        cell.name: FlipFlop(cell.worst("output", "rising_edge", ("cell_rise", "cell_fall"), load),
                            cell.worst("input", "setup_rising", ("rise_constraint", "fall_constraint"), load))
        for cell in cells if cell.is_flipflop
    }
    if not found:
        raise ValueError(f"library {library} must have a flip-flop; it has {len(cells)} cells")
    return found
