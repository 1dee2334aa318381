# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Let a mapped engine compute, gate by gate, and count how often each net changes.

All gates are equally slow, so that nets change more than once in a cycle where paths of different lengths meet, as they do on
silicon; how often they would without that is counted beside it.
"""

import ctypes
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..tools.kept import is_sealed, seal
from ..tools.process import ToolError, run_tool
from ..tools.toolchain import build_root, compiler, file_lock
from . import liberty

__all__ = ["Activity", "GateModel", "run_streams"]

_LONGEST = 100_000  # steps after which a netlist counts as one that does not settle
_RESET_CYCLES = 4
_IDLE_CYCLES = 64
_PATIENCE = 5000  # cycles without a transfer


@dataclass(frozen=True)
class Activity:
    """What nets did in a window of cycles.

    Attributes
    ----------
    cycles : int
    transitions, settled : int64 [nets]
        Changes of each net, and changes from the end of a cycle to the end of the next.
    high : int64 [nets]
        Cycles that it ended high.

    The nets are those of a :class:`GateModel`, the netlist's first.
    """

    cycles: int
    transitions: np.ndarray = field(repr=False)
    settled: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)


class _Gates(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in
                ("first_input", "inputs", "output", "table", "tables", "first_reader", "readers")]


class GateModel:
    """A netlist that runs, its flip-flops all zero at first.

    Parameters
    ----------
    netlist : subbyte.synth.gates.Netlist
    groups : mapping of str to subbyte.synth.liberty.Group
        Library cells.
    clock : str
        The one clock, whose rising edges count.

    Attributes
    ----------
    netlist
    clock : int
        Its net.
    clock_pins : set of str
        Names of flip-flops' clock pins.
    clocked : list of (int, int, float)
        For each condition on which Liberty gives the energy of a flip-flop's clock pin: the cell's number, a net that is high
        where it holds, and that energy for both edges, at the smallest slew, in the library's unit.

    Raises
    ------
    ToolError
        If a cell is neither combinational nor a flip-flop at that clock whose set and reset, if any, are tied off.
    """

    def __init__(self, netlist, groups, clock):
        self.netlist = netlist
        self._nets = netlist.nets
        self.clock, self.clock_pins = netlist.inputs[clock], set()
        self._tables, self._table_of = bytearray(), {}
        gates, states, nexts, self.clocked = [], [], [], []
        for number, cell in enumerate(netlist.cells):
            group = groups[cell.kind]
            pins, state, outputs = dict(cell.pins), group.find("ff"), _outputs(group)
            if group.find("latch") or len(state) > 1:
                raise ToolError(f"{cell.kind} must be combinational or a flip-flop")
            for flipflop in state:
                self._check_flipflop(cell, flipflop.attributes)
                self.clock_pins.add(flipflop.attributes["clocked_on"])
                names = [name.strip() for name in flipflop.arguments.split(",")]
                held, inverse, after = self._new_net(), self._new_net(), self._new_net()
                pins |= {names[0]: held, names[1]: inverse}
                gates += [self._gate(f"!{names[0]}", pins, inverse), self._gate(flipflop.attributes["next_state"], pins, after)]
                states.append(held)
                nexts.append(after)
                pins = {pin: self._new_net() for pin in outputs} | pins
                for when, price in _clock_energies(group, flipflop.attributes["clocked_on"]):
                    condition = self._new_net()
                    gates.append(self._gate(when, pins, condition))
                    self.clocked.append((number, condition, price))
            gates += [self._gate(function, pins, pins[pin]) for pin, function in outputs.items() if pin in pins]
        self._states, self._nexts = np.array(states, np.int64), np.array(nexts, np.int64)
        self.value = np.zeros(self._nets, np.uint8)
        self.value[1] = 1
        for inputs, table, output in gates:
            if not inputs:
                self.value[output] = self._tables[table]
        self._transitions = np.zeros(self._nets, np.int64)
        self._arrange(gates)
        self._settle(np.arange(self._nets))

    def _check_flipflop(self, cell, attributes):
        clocked = cell.pins.get(attributes["clocked_on"])
        forced = any(_may_be_high(attributes.get(kind, "0"), cell.pins) for kind in ("clear", "preset"))
        if clocked != self.clock or forced:
            raise ToolError(f"{cell.kind} must be a flip-flop at rising edges of the clock, its set and reset tied off")

    def _new_net(self):
        self._nets += 1
        return self._nets - 1

    def _gate(self, function, pins, output):
        """A gate's inputs, the place of its table, its output."""
        used = liberty.operands(function)
        key = function, *used
        if key not in self._table_of:
            self._table_of[key] = len(self._tables)
            self._tables += bytes(liberty.truth_table(function, used) or ())  # never None: its operands are all there
        return [pins[pin] for pin in used], self._table_of[key], output

    def _arrange(self, gates):
        inputs = [net for nets, _, _ in gates for net in nets]
        sizes = np.array([len(nets) for nets, _, _ in gates])
        reader = np.repeat(np.arange(len(gates)), sizes)
        order = np.argsort(inputs, kind="stable")
        arrays = {
            "first_input": np.concatenate([[0], np.cumsum(sizes)]),
            "inputs": inputs,
            "output": [output for _, _, output in gates],
            "table": [table for _, table, _ in gates],
            "first_reader": np.concatenate([[0], np.cumsum(np.bincount(inputs, minlength=self._nets))]),
            "readers": reader[order],
        }
        self._arrays: dict[str, np.ndarray] = {name: np.ascontiguousarray(array, np.int32) for name, array in arrays.items()}
        self._arrays["tables"] = np.frombuffer(self._tables, np.uint8)
        self._gates = _Gates(**{name: array.ctypes.data for name, array in self._arrays.items()})
        self._queued = np.zeros(len(gates), np.uint8)
        self._library = _library()

    def _settle(self, changed):
        changed = np.ascontiguousarray(changed, np.int32)
        steps = self._library.settle(
            ctypes.byref(self._gates), *(ctypes.c_void_p(array.ctypes.data) for array in
                                         (self.value, self._transitions, self._queued, changed)),
            ctypes.c_int64(len(changed)), ctypes.c_int64(_LONGEST))
        if steps < 0:
            raise ToolError(f"a netlist must settle within {_LONGEST} steps: it has a loop")

    def cycle(self, nets=(), values=()):
        """One rising edge of the clock, at which these inputs change as well; then all settles."""
        nets = np.concatenate([self._states, np.asarray(nets, np.int64)])
        values = np.concatenate([self.value[self._nexts], np.asarray(values, np.uint8)])
        changed = self.value[nets] != values
        self.value[nets] = values
        self._transitions[nets[changed]] += 1
        before = self._before
        self._settle(nets[changed])
        self._settled += before != self.value
        self._before = self.value.copy()
        self._high += self.value
        self._cycles += 1

    def start(self):
        """Forget what was counted."""
        self._transitions[:] = 0
        self._settled, self._high = np.zeros((2, self._nets), np.int64)
        self._before, self._cycles = self.value.copy(), 0

    @property
    def activity(self) -> Activity:
        """What was counted since :meth:`start`; the clock's two changes a cycle are not."""
        return Activity(self._cycles, self._transitions.copy(), self._settled, self._high)


def run_streams(model, inputs, beats, output="outputs"):
    """Reset an engine, send all words as fast as it takes them, and take its results.

    Parameters
    ----------
    model : GateModel
    inputs : mapping of str to uint8 ndarray [beats, bytes]
        Words of each input stream.
    beats : int
        Number of beats to take.
    output : str
        The output stream.

    Returns
    -------
    words : uint8 ndarray [beats, bytes]
    activity : Activity
        From the first cycle in which beats are offered to that of the last result.
    idle : Activity
        Cycles before that, with no beat on offer.

    Raises
    ------
    ToolError
        If it stops.
    """
    ports = model.netlist.inputs
    offers = {name: _Stream(model.netlist, name, words) for name, words in inputs.items()}
    payload, valid = _bits(model.netlist.outputs, f"{output}__payload"), model.netlist.outputs[f"{output}__valid"]
    offered = [ports[f"{name}__valid"] for name in inputs]  # what a run before may have left
    model.start()
    for reset in (1,) * _RESET_CYCLES + (0,) * _RESET_CYCLES:
        model.cycle([ports["rst"], ports[f"{output}__ready"], *offered], [reset, 1, *[0] * len(offered)])
    model.start()
    for _ in range(_IDLE_CYCLES):
        model.cycle()
    idle = model.activity
    model.start()
    words, waited = [], 0
    while len(words) < beats:
        changes = [change for stream in offers.values() for change in stream.changes()]
        model.cycle(*(zip(*changes) if changes else ((), ())))
        moved = [stream.advance(model.value) for stream in offers.values()]
        if model.value[valid]:
            words.append(np.packbits(model.value[payload], bitorder="little"))
        waited = 0 if any(moved) or model.value[valid] else waited + 1
        if waited > _PATIENCE:
            raise ToolError(f"the netlist must send {beats} beats; it stopped after {len(words)}")
    return np.array(words), model.activity, idle


class _Stream:
    """An input stream that always offers its next beat; behind the last, the payload stays."""

    def __init__(self, netlist, name, words):
        self._payload = np.array(_bits(netlist.inputs, f"{name}__payload"))
        self._valid, self._ready = netlist.inputs[f"{name}__valid"], netlist.outputs[f"{name}__ready"]
        self._words, self._next, self._changed = words, 0, True

    def changes(self):
        """What the next clock edge brings, as (net, value)."""
        if not self._changed:
            return []
        self._changed = False
        if self._next == len(self._words):
            return [(self._valid, 0)]
        bits = np.unpackbits(self._words[self._next], bitorder="little")[: len(self._payload)]
        return [(self._valid, 1), *zip(self._payload.tolist(), bits.tolist())]

    def advance(self, value):
        """Whether the beat was taken in this cycle."""
        taken = bool(value[self._valid] and value[self._ready])
        self._next += taken
        self._changed |= taken
        return taken


def _outputs(group):
    """Functions of a cell's outputs."""
    return {pin.arguments: pin.attributes["function"] for pin in group.find("pin")
            if pin.attributes.get("direction") == "output" and "function" in pin.attributes}


def _may_be_high(function, pins):
    """Whether a function of nets is anything but a constant 0."""
    fixed = [pins.get(pin) for pin in liberty.operands(function)]
    table = liberty.truth_table(function, liberty.operands(function)) or ()
    return not set(fixed) <= {0, 1} or table[int("0" + "".join(map(str, fixed)), 2)]


def _clock_energies(group, clock):
    """Conditions and energies of a flip-flop's clock pin."""
    (pin,) = (pin for pin in group.find("pin") if pin.arguments == clock)
    for power in pin.find("internal_power"):
        tables = [table for kind in ("rise_power", "fall_power") for table in power.find(kind)]
        yield power.attributes.get("when", "1"), sum(liberty.numbers(table.attributes["values"])[0] for table in tables)


def _bits(ports, name):
    """Nets of a port, its lowest bit first."""
    if name in ports:
        return [ports[name]]
    return [ports[f"{name}[{i}]"] for i in range(sum(port.startswith(f"{name}[") for port in ports))]


def _library():
    source = Path(__file__).with_name("gates.cpp")
    command = [compiler(), "-O2", "-std=c++17", "-shared", "-fPIC", str(source)]
    digest = hashlib.sha256(repr((command, source.read_bytes())).encode()).hexdigest()[:16]
    built = build_root() / "sim" / f"gates-{digest}.so"
    built.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(built.with_suffix(".lock")):
        if not is_sealed(built):
            run_tool([*command, "-o", str(built)], built.parent, "gates.log")
            seal(built)
    library = ctypes.CDLL(str(built))
    library.settle.restype = ctypes.c_int64
    return library
