# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A mapped netlist as data: nets with numbers, cells with what they compute."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..tools.process import ToolError
from . import liberty

__all__ = ["Cell", "Netlist", "cell_groups", "read_netlist"]

_PORT = re.compile(r"^  (input|output) (\\\S+|\w+) *;", re.MULTILINE)
_ASSIGN = re.compile(r"^  assign (\\\S+|\w+) *= (\\\S+|[\w']+) *;", re.MULTILINE)
_CELL = re.compile(r"^  (\w+) (\\\S+|\w+) +\(([^;]*)\);", re.MULTILINE)
_PIN = re.compile(r"\.(\w+)\((\\\S+|[\w']*) *\)")
_CONSTANTS = {"1'h0": 0, "1'h1": 1, "1'hx": 0}


@dataclass(frozen=True)
class Cell:
    """An instance: its name, its library cell, and the net at each pin; open pins are left out."""

    name: str
    kind: str
    pins: Mapping[str, int]


@dataclass(frozen=True)
class Netlist:
    """A flat netlist.

    Attributes
    ----------
    nets : int
        Number of nets; 0 and 1 are the constants.
    inputs, outputs : mapping of str to int
        Ports of one bit, by their names without escapes, such as ``weights__payload[3]``.
    cells : tuple of Cell
    """

    nets: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    cells: tuple[Cell, ...]


def cell_groups(library) -> dict[str, liberty.Group]:
    """The library's cells as Liberty has them, by name."""
    groups = [liberty.parse((library.folder / file).read_text(encoding="utf-8"), file) for file in library.files]
    return {cell.arguments: cell for group in groups for cell in group.find("cell")}


def read_netlist(text, kinds) -> Netlist:
    """The netlist that :mod:`.asic` leaves, flat, of nets of one bit.

    Parameters
    ----------
    text : str
    kinds : container of str
        Library cells.

    Raises
    ------
    ToolError
        If there is an instance of anything else.
    """
    names = dict(_CONSTANTS)
    aliases = {_plain(left): _plain(right) for left, right in _ASSIGN.findall(text)}

    def net(name):
        name = _plain(name)
        while name in aliases:
            name = aliases[name]
        return names.setdefault(name, len(names) - 1)  # two of the constants are one

    ports = [(direction, _plain(name), net(name)) for direction, name in _PORT.findall(text)]
    cells = []
    for kind, name, pins in _CELL.findall(text):
        if kind not in kinds:
            raise ToolError(f"netlist.v must hold cells of the library alone, not {kind}")
        cells.append(Cell(_plain(name), kind, {pin: net(wire) for pin, wire in _PIN.findall(pins) if wire}))
    inputs, outputs = ({name: number for way, name, number in ports if way == side} for side in ("input", "output"))
    return Netlist(len(names) - 1, inputs, outputs, tuple(cells))


def _plain(name):
    return name.removeprefix("\\")
