# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The plan of the house: which room may import which, read from the sources."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    {"tools", "host"},
    {"weights"},
    {"models"},
    {"golden"},
    {"hdl"},
    {"dequant"},
    {"pe"},
    {"top"},
    {"schemes"},
    {"sim", "synth"},
    {"explore"},
    {"report", "mutate"},
    {"cli"},
    {"tb"},
)
"""Rooms from the ground up: a room imports from itself, and from the floors below its own."""
NARROW = {
    "tools": set(),
    "weights": {"tools"},
    "models": {"tools", "weights"},
    "host": set(),
    "golden": {"tools"},
    "hdl": {"tools", "golden"},
    "dequant": {"golden", "hdl"},
    "pe": {"golden", "hdl", "dequant"},
    "top": {"tools", "host", "golden", "hdl", "dequant", "pe"},
}
"""Rooms that may import less than their floor allows."""


def sources():
    """Modules of the rooms by name, as ``pe.bitmod``; pytest's own modules are none."""
    rooms = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
    files = [path for room in rooms for path in room.rglob("*.py") if not path.name.startswith("test_")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


MODULES = sources()


def imports_of(name):
    """What a module imports from us, wherever in it: (module, its name for the import, line)."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name.split(".")[0] != "subbyte", f"{path}:{node.lineno} must import from a relative path"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module.split(".")[0] != "subbyte", f"{path}:{node.lineno} must import from a relative path"
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                yield (full if full in MODULES else base), alias.name, node.lineno


def test_every_room_has_a_floor():
    assert {name.split(".")[0] for name in MODULES} == set().union(*FLOORS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_down(name):
    room = name.split(".")[0]
    floor = next(number for number, rooms in enumerate(FLOORS) if room in rooms)
    below = NARROW.get(room, set().union(*FLOORS[:floor]))
    for module, imported, line in imports_of(name):
        other = module.split(".")[0]
        assert other in ("", room, *below), f"{MODULES[name]}:{line} imports {module}, but {room} may use {sorted(below)}"
        private = imported.startswith("_") and not imported.startswith("__")
        assert not private, f"{MODULES[name]}:{line} imports {imported}, a name of its module's own"


def test_no_circle():
    """Not even within a room, or hidden in a function."""
    graph = {name: {module for module, _, _ in imports_of(name) if module and module != name} for name in MODULES}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(error.args[1])}")
    assert set(order) >= set(MODULES)
