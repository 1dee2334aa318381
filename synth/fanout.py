# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Buffer trees for nets that cross the borders of modules, as every layout flow inserts them.

ABC sizes and buffers a module at a time. A signal that an array's edge broadcasts to modules that keep their borders would
otherwise be one flip-flop driving thousands of gates, and its delay that of nothing real.
"""

import re
from collections import defaultdict
from typing import NamedTuple

__all__ = ["LIMIT", "insert_trees"]

LIMIT = 24
"""Most that a net across borders drives, in inputs of the smallest inverter."""

_INSTANCE = re.compile(r"^  (\S+) (\\\S+|\w+) +\(\n((?:    \.\w+\(.*\),?\n)+)  \);\n", re.MULTILINE)
_PIN = re.compile(r"\.(\w+)\((.*)\)")


class _Sink(NamedTuple):
    """A place in the text where an input names its net."""

    start: int
    end: int
    load: float


def insert_trees(netlist, library, ideal, limit=LIMIT):
    """Insert trees of the library's repeater.

    Parameters
    ----------
    netlist : str
        Flat Verilog of library cells as Yosys writes it with ``-norename``, nets of one bit. The module that a cell comes
        from is the part of its name before the last ``.$``.
    library : subbyte.synth.library.Library
    ideal : str
        Net that is left alone: the clock.
    limit : float
        Most load of a net, in inputs of the smallest inverter; one sink may exceed it.

    Returns
    -------
    netlist : str
    inserted : int
        Number of repeaters.
    """
    sinks, modules = defaultdict(list), defaultdict(set)
    for instance in _INSTANCE.finditer(netlist):
        loads, module = library.loads[instance[1]], instance[2].rpartition(".$")[0]
        for pin in _PIN.finditer(instance[3]):
            modules[pin[2]].add(module)
            if pin[1] in loads and "'" not in pin[2]:
                start = instance.start(3) + pin.start(2)
                sinks[pin[2]].append(_Sink(start, start + len(pin[2]), loads[pin[1]]))
    edits, added = [], []
    for net, places in sinks.items():
        if net != ideal and len(modules[net]) > 1:
            leaves = _tree(net, [sink.load for sink in places], library, limit, added)
            edits += [(sink.start, sink.end, leaf) for sink, leaf in zip(places, leaves)]
    pieces, position = [], 0
    for start, end, leaf in sorted(edits):
        pieces += [netlist[position:start], leaf]
        position = end
    body, end_of_module, rest = netlist[position:].rpartition("endmodule")
    return "".join([*pieces, body, *added, end_of_module, rest]), len(added)


def _tree(net, loads, library, limit, added):
    """Net of each of the sinks, neighbours sharing one; the repeaters are added to a list."""
    if sum(loads) <= limit or len(loads) == 1:
        return [net] * len(loads)
    groups, room = [], 0.0
    for load in loads:
        if load > room or not groups:
            groups.append(0)
            room = limit
        groups[-1] += 1
        room -= load
    cell, (input_pin, output_pin) = library.repeater, library.repeater.pins
    leaves = []
    for group, source in zip(groups, _tree(net, [library.loads[cell.name][input_pin]] * len(groups), library, limit, added)):
        leaf = f"fanout_{len(added)}"
        added.append(f"  wire {leaf};\n  {cell.name} {leaf}_buffer ( .{input_pin}({source}), .{output_pin}({leaf}) );\n")
        leaves += [leaf] * group
    return leaves
