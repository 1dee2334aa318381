# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Buffer trees for nets that many cells share, as every layout flow inserts them.

ABC sizes and buffers a module at a time. A signal that an array's edge broadcasts to modules that keep their borders would
otherwise be one register driving thousands of gates, and its delay that of nothing real.
"""

import re
from collections import defaultdict

__all__ = ["LIMIT", "insert_trees"]

LIMIT = 16
"""Most cells that a cell drives."""

_INSTANCE = re.compile(r"^  (\S+) (?:\\\S+|\w+) +\(\n((?:    \.\w+\(.*\),?\n)+)  \);\n", re.MULTILINE)
_PIN = re.compile(r"\.(\w+)\((.*)\)")


def insert_trees(netlist, library, ideal, limit=LIMIT):
    """Insert trees of the library's repeater.

    Parameters
    ----------
    netlist : str
        Flat Verilog of library cells as Yosys writes it, nets of one bit.
    library : subbyte.synth.library.Library
    ideal : str
        Net that is left alone: the clock.
    limit : int
        Most cells that a cell drives.

    Returns
    -------
    netlist : str
    inserted : int
        Number of repeaters.
    """
    sinks = defaultdict(list)
    for instance in _INSTANCE.finditer(netlist):
        outputs = library.outputs[instance[1]]
        for pin in _PIN.finditer(instance[2]):
            if pin[1] not in outputs and "'" not in pin[2] and pin[2] != ideal:
                start = instance.start(2) + pin.start(2)
                sinks[pin[2]].append((start, start + len(pin[2])))
    edits, added = [], []
    for net, places in sinks.items():
        if len(places) > limit:
            edits += [(*place, leaf) for place, leaf in zip(places, _tree(net, len(places), library, limit, added))]
    pieces, position = [], 0
    for start, end, leaf in sorted(edits):
        pieces += [netlist[position:start], leaf]
        position = end
    body, end_of_module, rest = netlist[position:].rpartition("endmodule")
    return "".join([*pieces, body, *added, end_of_module, rest]), len(added)


def _tree(net, count, library, limit, added):
    """Net of each of `count` sinks, neighbours sharing one; the repeaters are added to a list."""
    leaves = [net]
    if count > limit:
        groups = -(-count // limit)
        inputs = _tree(net, groups, library, limit, added)
        leaves = []
        for source in inputs:
            leaves.append(f"fanout_{len(added)}")
            cell, (input_pin, output_pin) = library.repeater.name, library.repeater.pins
            added.append(f"  wire {leaves[-1]};\n  {cell} {leaves[-1]}_buffer ( .{input_pin}({source}), "
                         f".{output_pin}({leaves[-1]}) );\n")
    return [leaves[i * len(leaves) // count] for i in range(count)]
