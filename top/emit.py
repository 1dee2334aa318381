# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Component to Verilog-2005 and its JSON manifest.

Three needs of whoever takes the RTL elsewhere are met here and only here: the same input gives the same bytes
on every machine, identical cells of an array appear once, and what Verilog's flat ports hide (the layout of a
payload, the parameters, the latency) is written beside it.
"""

import dataclasses
import enum
import functools
import gc
import importlib.metadata
import json
import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal, Shape, Value
from amaranth.lib import data
from amaranth.lib.wiring import In

from .. import __version__
from ..hdl.place import CellPlatform
from ..hdl.target import ASIC, TARGETS
from ..tools import toolchain, yosys
from ..tools.hints import near
from ..tools.outputs import write_whole

__all__ = ["LINT_OFF", "VerilogCells", "layout", "manifest", "to_json", "to_verilog", "write"]

LINT_OFF = {
    "WIDTHEXPAND": "a + b with narrow operands where the result is wider; Verilog extends them",
    "WIDTHTRUNC": "x == 0 as !x for any width, and an indexed part select as a wide shift; both mean what they say",
    "CASEINCOMPLETE": "a case whose default is assigned before it",
}
"""Verilator's warnings that each file takes back for itself: what the writer writes that raises them. Any other is a fault."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What differs between two builds of the tool and says nothing about the circuit: its first comment (which holds a
# path of its build machine) and its own source line in the names of its helper registers.
_TOOL_HEADER = re.compile(r"\A\s*/\*.*?\*/\s*", re.DOTALL)
_TOOL_NAMES = re.compile(r"\$auto\$verilog_backend\.cc:\d+:dump_module\$")
_MODULE = re.compile(r"^(?:\(\*.*\*\)\n)*module (\S+?) ?\(.*?^endmodule\n", re.MULTILINE | re.DOTALL)
_CLOCKING = re.compile(r"^  wire width 1 input \d+ +\\(clk|rst)$", re.MULTILINE)


class VerilogCells(CellPlatform):
    """The platform that collects an array's cells while it is converted; each name becomes one Verilog module.

    The module of a cell is named ``<top>__<cell>``, also where one cell holds another. Amaranth names all others
    ``<top>.<path>`` or ``<top>__<cell>.<path>``. No top's name has two underscores in a row or one at its end, so
    files of different tops have no module in common.

    Parameters
    ----------
    top : str
        Name of the module being converted.
    target : str
        See :mod:`subbyte.hdl.target`.
    """

    def __init__(self, top, target=ASIC):
        if target not in TARGETS:
            raise ValueError(f"target must be one of {', '.join(TARGETS)}, not {target!r}{near(target, TARGETS)}")
        self.top, self.target = _top_name(top), target
        self._cells = {}

    @property
    def modules(self):
        """RTLIL of each collected cell, sorted by its name."""
        return [cell.text for _, cell in sorted(self._cells.items())]

    def instance(self, name, make, arguments, options):
        """An interface like that of ``make(*arguments, **options)``, and the ``Instance`` of its module bound to it."""
        module = f"{self.top}__{_identifier(name)}"
        if name not in self._cells:
            self._cells[name] = _Cell.convert(module, make, arguments, options, self)
        cell = self._cells[name]
        if (cell.make, cell.arguments, cell.options) != (make, arguments, options):
            raise ValueError(f"cell {name!r} must stand for one circuit, but is used for two: name them apart")
        interface = cell.signature.create(path=())
        ports = {f"{'i' if flow == In else 'o'}_{port}": value for port, flow, value in _ports(interface)}
        return interface, Instance(module, **ports, **cell.clocking())


@dataclasses.dataclass(frozen=True)
class _Cell:
    """A converted cell: what it was made from, and its RTLIL."""

    make: object
    arguments: tuple
    options: dict
    signature: object
    text: str

    @classmethod
    def convert(cls, name, make, arguments, options, platform):
        component = make(*arguments, **options)
        return cls(make, arguments, options, component.signature, _to_rtlil(component, name, platform))

    def clocking(self):
        """Connections of clock and reset; a cell without state has none."""
        own, _, _ = self.text.partition("\nend\n")
        return {f"i_{port}": {"clk": ClockSignal, "rst": ResetSignal}[port]() for port in _CLOCKING.findall(own)}


def to_verilog(component, name, *, cells=True, target=ASIC):
    """Verilog-2005 of a component: byte-identical for the same component and tools; no path, no date.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
    name : str
        Name of the top module. Ports are named by their path in the signature, joined by ``__``; they come in
        the netlist's order, so bind them by name. ``clk`` and ``rst`` (synchronous, active high) are added.
    cells : bool
        Write each :func:`~subbyte.hdl.place.place` once and instantiate it (default), or repeat it at every place.
    target : str
        Spell arithmetic for gates, or for carry chains and multipliers; answers and cycles are the same. With ``cells``.
    """
    collector = VerilogCells(name, target) if cells else None
    with _without_garbage_collection():
        top = _to_rtlil(component, _top_name(name), collector)
    modules = yosys.to_verilog("\n".join([top, *(collector.modules if cells else [])]))
    header = [f"// {name}: generated by subbyte {__version__}",
              "// SPDX-FileCopyrightText: 2026 subbyte contributors",
              "// SPDX-License-Identifier: Apache-2.0",
              "",
              "// verilator lint_save"]
    for code, reason in LINT_OFF.items():
        header += [f"// Yosys writes {reason}.", f"// verilator lint_off {code}"]
    return "\n".join([*header, "", *_in_order(modules), "// verilator lint_restore", ""])


def manifest(component, name, config=None, *, target=ASIC):
    """What the Verilog does not say, as JSON-ready data in a stable order.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
        What its ``describe()`` returns, if it has one, becomes ``figures`` (latency and the like), and what its ``usage()``
        does, if it has one, how it is driven.
    name : str
        Name of the top module.
    config : dataclass, optional
        The parameters; ``component.config`` where left out and present.
    target : str
        Of :func:`to_verilog`.
    """
    config = getattr(component, "config", None) if config is None else config
    parameters = {} if config is None else {"class": type(config).__name__, **dataclasses.asdict(config)}
    describe = getattr(component, "describe", dict)
    return {
        "name": _identifier(name),
        "generator": {"subbyte": __version__, **_tool_versions()},
        "target": target,
        "parameters": _plain(parameters),
        "clocking": {"clock": "clk", "edge": "rising", "reset": "rst", "reset_kind": "synchronous, active high"},
        "ports": [_describe_port(*port) for port in _ports(component)],
        "streams": _streams(component),
        "figures": _plain(describe()),
        **({"usage": _plain(component.usage())} if hasattr(component, "usage") else {}),
    }


def write(component, name, path, config=None, *, target=ASIC):
    """Write Verilog and, beside it, the manifest as ``.json``; return both paths.

    A ``path`` that ends in ``.v`` is the file, another is the folder, made if missing, for ``<name>.v``.
    """
    source = Path(path) if Path(path).suffix == ".v" else Path(path) / f"{name}.v"
    side = source.with_suffix(".json")
    text = to_verilog(component, name, target=target)
    described = to_json(manifest(component, name, config, target=target)) + "\n"
    write_whole(source, text)
    write_whole(side, described)
    return source, side


def to_json(value, indent=0):
    """Text of a manifest: what fits on a line stands on one, the rest is indented by two spaces a level."""
    line = json.dumps(value)
    if indent and indent + len(line) <= 110 or not isinstance(value, (dict, list)) or not value:
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(key)}: {to_json(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + to_json(item, indent + 2) for item in value) + "\n" + " " * indent + "]"


def layout(shape):
    """Leaves of a payload shape from bit 0 up, each a dict of ``path``, ``offset``, ``width``, ``signed``.

    Members of a structure join with ``.``, elements of an array with ``[i]``; the leaf of an enumeration adds its
    ``values``; a shape without structure is one leaf with an empty path.
    """
    return list(_leaves(shape, "", 0))


def _leaves(shape, path, offset):
    if isinstance(shape, data.Layout) or isinstance(shape, type) and issubclass(shape, (data.Struct, data.Union)):
        for key, field in data.Layout.cast(shape):
            step = f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
            yield from _leaves(field.shape, path + step, offset + field.offset)
        return
    plain = Shape.cast(shape)
    leaf = {"path": path, "offset": offset, "width": plain.width, "signed": plain.signed}
    if isinstance(shape, enum.EnumMeta):
        leaf["values"] = {member.name: member.value for member in shape}
    yield leaf


def _describe_port(name, flow, value):
    plain = Value.cast(value).shape()
    port = {"name": name, "direction": "input" if flow == In else "output", "width": plain.width,
            "signed": plain.signed}
    fields = layout(value.shape())
    if len(fields) != 1 or fields[0]["path"] or "values" in fields[0]:
        port["fields"] = fields
    return port


def _streams(component):
    flows = {name: flow for name, flow, _ in _ports(component)}
    parts = ("payload", "valid", "ready")
    names = [name.removesuffix("__payload") for name in flows if name.endswith("__payload")]
    return [{"name": name, "direction": "input" if flows[f"{name}__payload"] == In else "output",
             **{part: f"{name}__{part}" for part in parts}}
            for name in names if all(f"{name}__{part}" in flows for part in parts)]


def _ports(component):
    """Flat name, flow and value of every port, in the order of the signature."""
    for path, member, value in component.signature.flatten(component):
        yield "__".join(map(str, path)), member.flow, value


def _identifier(name):
    if not isinstance(name, str) or not _IDENTIFIER.match(name):
        raise ValueError(f"name must be a Verilog identifier, not {name!r}")
    return name


def _top_name(name):
    if "__" in _identifier(name) or name.endswith("_"):
        raise ValueError(f"name must have no two underscores in a row and none at its end, which set off the names of cells, "
                         f"not {name!r}")
    return name


def _to_rtlil(component, name, platform):
    return rtlil.convert(component, name=name, platform=platform, emit_src=False)


@contextmanager
def _without_garbage_collection():
    """A netlist is millions of objects that all stay: to look through them again and again takes as long as to make them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _in_order(verilog):
    """The modules of a text: the top and what is below it, then each cell likewise, by name."""
    text = _TOOL_NAMES.sub("$always$", _TOOL_HEADER.sub("", verilog))
    return [text for _, text in sorted((match[1].lstrip("\\"), match[0]) for match in _MODULE.finditer(text))]


@functools.cache
def _tool_versions():
    toolchain.prepare_environment()
    yosys = subprocess.run([os.environ["YOSYS"], "-V"], capture_output=True, text=True, check=True)
    return {"amaranth": importlib.metadata.version("amaranth"), "yosys": toolchain.yosys_release(yosys.stdout)}


def _plain(value):
    """JSON-ready copy: an enumeration member becomes its name, a set a sorted list."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    return value.item() if hasattr(value, "item") else value
