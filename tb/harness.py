# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The cocotb harness of all engines: clock and reset, stream drivers and monitors, and the first difference.

A bench gives words and expected words; the harness moves them with random pauses on either side, checks the
stream protocol, counts cycles, and reports the first wrong beat in the scheme's own terms. `run_streams` does all
of it in one call; its parts serve benches that need something else.

A payload means nothing while its `valid` is low. So there it is noise, other noise in each cycle, or undefined: during a
reset, before the first beat, in every pause and after the last beat. No bench can pass with a design that looks at it.

A cycle is numbered from the end of the last reset, which cycle 0 follows. Signals are read just before the rising
edge that ends a cycle (cocotb wakes a coroutine before the design sees the edge) and driven just after it.
"""

import random
from copy import copy
from dataclasses import dataclass

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import ClockCycles, RisingEdge

__all__ = ["Harness", "Report", "Scoreboard", "StreamDriver", "StreamMonitor", "run_streams", "to_ints", "to_words"]

_PERIOD_NS = 10
_tasks = {}  # clock or payload to the task that drives it: several harnesses may follow each other in one test


def to_ints(words):
    """Stream words as Python integers.

    Parameters
    ----------
    words : ndarray or iterable of int
        uint8 `[beats, bytes]`, little-endian; integers pass as they are.
    """
    if isinstance(words, np.ndarray) and words.dtype == np.uint8 and words.ndim == 2:
        return [int.from_bytes(row.tobytes(), "little") for row in words]
    return [int(word) for word in words]


def to_words(values, bits):
    """Integers as stream words, uint8 `[beats, ceil(bits / 8)]`, little-endian."""
    size = (bits + 7) // 8
    data = b"".join((int(value) & ((1 << bits) - 1)).to_bytes(size, "little") for value in values)
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def _start_clock(signal):
    """Start the clock unless it runs; cocotb ends it, with all tasks, at the end of a test."""
    if signal not in _tasks or _tasks[signal].done():
        _tasks[signal] = Clock(signal, _PERIOD_NS, unit="ns").start(start_high=False)


def _edges():
    """Number of the current clock edge, up to a constant."""
    return int(get_sim_time("ns")) // _PERIOD_NS


class _Stream:
    """The three signals of a stream, its random generator, and the edge that ends its cycle 0."""

    def __init__(self, dut, name, rng):
        self.name, self.rng, self.origin = name, rng or random.Random(name), 0
        self._clk, self._payload = dut.clk, getattr(dut, f"{name}__payload")
        self._valid, self._ready = getattr(dut, f"{name}__valid"), getattr(dut, f"{name}__ready")

    @property
    def cycle(self):
        """The cycle that ends with the current edge."""
        return _edges() - self.origin

    def _read(self, handle):
        value = handle.value
        try:
            return int(value)
        except ValueError:
            raise AssertionError(f"{handle._name} has undefined bits in cycle {self.cycle}: {value}") from None


class StreamDriver(_Stream):
    """Offers words on an input stream of the design; a word once offered stays until it is taken.

    Parameters
    ----------
    dut : cocotb.handle.HierarchyObject
        Design with ports `clk` and `NAME__payload`, `NAME__valid`, `NAME__ready`.
    name : str
        The stream.
    idle : float
        Probability per cycle that the driver pauses although it has a word.
    rng : random.Random
        Source of the pauses; the noise has one of its own, with a seed that is drawn from a copy of this.
    idle_payload : "noise" or "x"
        The payload while nothing is offered: random, or, for a simulator of four states, undefined.

    Attributes
    ----------
    sent, total : int
        Words taken by the design, and words to send.
    first_offer : int or None
        Cycle in which the first word was first offered.
    """

    def __init__(self, dut, name, *, idle=0.0, rng=None, idle_payload="noise"):
        super().__init__(dut, name, rng)
        if idle_payload not in ("noise", "x"):
            raise ValueError(f"idle_payload must be 'noise' or 'x', not {idle_payload!r}")
        self.idle, self.sent, self.total, self.first_offer = idle, 0, 0, None
        self._noise, self._width = random.Random(copy(self.rng).getrandbits(64)), len(str(self._payload.value))
        self._undefined = "X" * self._width if idle_payload == "x" else None
        self.stop()

    def start(self, words):
        """Send all words, starting in the cycle that has just begun."""
        words = to_ints(words)
        self.sent, self.total, self.first_offer = 0, len(words), None
        self._run(self._send(words))

    def stop(self):
        """Withdraw whatever is offered: allowed only together with a reset."""
        self._run(self._rest())

    def _run(self, task):
        """Drive the stream by a new task, instead of the one that did so, this driver's or another's."""
        if self._payload in _tasks:
            _tasks[self._payload].cancel()
        _tasks[self._payload] = cocotb.start_soon(task)

    def _offer_nothing(self):
        self._valid.value = 0
        self._payload.value = self._undefined or self._noise.getrandbits(self._width)

    async def _rest(self):
        edge = RisingEdge(self._clk)
        while True:
            self._offer_nothing()
            await edge

    async def _send(self, words):
        edge, valid, ready, payload = RisingEdge(self._clk), self._valid, self._ready, self._payload
        for index, word in enumerate(words):
            while self.idle and self.rng.random() < self.idle:
                self._offer_nothing()
                await edge
            payload.value = word
            if index == 0 or self.idle:
                valid.value = 1
            if index == 0:
                self.first_offer = self.cycle + 1
            await edge
            while not self._read(ready):
                await edge
            self.sent = index + 1
        await self._rest()


class StreamMonitor(_Stream):
    """Takes beats from an output stream of the design and checks that a waiting beat does not change.

    Parameters
    ----------
    dut, name, rng
        As for `StreamDriver`.
    backpressure : float
        Probability per cycle that the monitor is not ready.
    check : callable, optional
        Called with index, word and cycle of each beat, such as `Scoreboard.check`.

    Attributes
    ----------
    words, cycles : list of int
        Beats taken so far, and the cycle of each.
    """

    def __init__(self, dut, name, *, backpressure=0.0, rng=None, check=None):
        super().__init__(dut, name, rng)
        self.backpressure, self.check, self.words, self.cycles = backpressure, check, [], []
        self._ready.value = 0

    async def run(self):
        """Take beats for ever, starting in the cycle that has just begun."""
        edge, valid, waiting = RisingEdge(self._clk), self._valid, None
        self._ready.value = 1
        while True:
            ready = not (self.backpressure and self.rng.random() < self.backpressure)
            if self.backpressure:
                self._ready.value = int(ready)
            await edge
            if not self._read(valid):
                if waiting is not None:
                    raise AssertionError(f"{self.name}: the design withdrew waiting beat {len(self.words)} "
                                         f"in cycle {self.cycle}; it was 0x{waiting:x}")
                continue
            word = self._read(self._payload)
            if waiting is not None and word != waiting:
                raise AssertionError(f"{self.name}: the payload of waiting beat {len(self.words)} changed "
                                     f"in cycle {self.cycle} from 0x{waiting:x} to 0x{word:x}")
            waiting = None if ready else word
            if ready:
                self.words.append(word)
                self.cycles.append(self.cycle)
                if self.check:
                    self.check(len(self.words) - 1, word, self.cycles[-1])

    def stop(self):
        """Forget the beats taken so far."""
        self._ready.value = 0
        self.words, self.cycles = [], []


class Scoreboard:
    """Compares beats with expected ones as they come and stops at the first difference.

    Parameters
    ----------
    name : str
        The output stream.
    expected : ndarray or iterable of int
        Expected words.
    describe : callable, optional
        From a beat's index to text that says what it holds, such as `"tile 1, row 0, columns 4..7"`.
    decode : callable, optional
        From a word (int) to what a person wants to see of it, such as a list of signed results.
    seed : int, optional
        Named in the report.
    """

    def __init__(self, name, expected, *, describe=None, decode=None, seed=None):
        self.name, self.expected, self.seed = name, to_ints(expected), seed
        self.describe, self.decode = describe or (lambda index: ""), decode or (lambda word: f"0x{word:x}")

    def check(self, index, word, cycle):
        """Compare one beat.

        Raises
        ------
        AssertionError
            With tile, position, cycle, expected, got and seed.
        """
        if index >= len(self.expected):
            raise AssertionError(f"{self.name}: beat {index} in cycle {cycle} is one too many: {self.decode(word)}, "
                                 f"seed {self.seed}")
        if word == self.expected[index]:
            return
        place = self.describe(index)
        raise AssertionError("\n".join([
            f"first difference in {self.name}: beat {index}" + (f" ({place})" if place else ""),
            f"  cycle    {cycle} (at {get_sim_time('ns'):.0f} ns of the trace)",
            f"  expected {self.decode(self.expected[index])}",
            f"  got      {self.decode(word)}",
            f"  seed     {self.seed}"]))


@dataclass(frozen=True)
class Report:
    """Cycles of a clean run, counted as `subbyte.sim.stream_model.RunResult` does: 0 is the first after reset.

    Attributes
    ----------
    cycles : int
        From the first cycle in which every input stream with words has offered one, to that of the last output.
    first_cycle, last_cycle : int
        These two cycles.
    output_cycles : dict of str to list of int
        Cycle of each output beat.
    """

    cycles: int
    first_cycle: int
    last_cycle: int
    output_cycles: dict


class Harness:
    """A design with its clock running, nothing offered, ready to be reset and fed.

    Parameters
    ----------
    dut : cocotb.handle.HierarchyObject
        Design with `clk`, `rst` (synchronous, active high) and the streams.
    inputs, outputs : iterable of str
        Names of its streams.
    idle, backpressure : float or dict of str to float
        Probability per cycle that an input pauses, and that an output is not taken.
    hold : dict of str to int, optional
        Inputs that belong to no stream, and the values they start with. One that nobody drives is random.
    seed : int
        Every stream's pauses are derived from it, each independent of the others.
    idle_payload
        See `StreamDriver`.
    """

    def __init__(self, dut, inputs, outputs, *, idle=0.0, backpressure=0.0, hold=None, seed=1, idle_payload="noise"):
        self.dut, self.seed, self._tasks = dut, seed, []
        self.drivers = {name: StreamDriver(dut, name, idle=_knob(idle, name), rng=random.Random(f"{seed} {name}"),
                                           idle_payload=idle_payload) for name in inputs}
        self.monitors = {name: StreamMonitor(dut, name, backpressure=_knob(backpressure, name),
                                             rng=random.Random(f"{seed} {name}")) for name in outputs}
        for name, value in (hold or {}).items():
            getattr(dut, name).value = value
        _start_clock(dut.clk)

    async def reset(self, cycles=3):
        """Stop all traffic, hold `rst` for some cycles and release it; the next edge ends cycle 0."""
        self._cancel()
        for part in (*self.drivers.values(), *self.monitors.values()):
            part.stop()
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, cycles)
        self.dut.rst.value = 0
        for part in (*self.drivers.values(), *self.monitors.values()):
            part.origin = _edges() + 1

    def _cancel(self):
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def start(self, streams):
        """Begin to drive `streams` (name to words) and to take outputs."""
        for name, driver in self.drivers.items():
            driver.start(streams[name])
        self._tasks = [cocotb.start_soon(monitor.run()) for monitor in self.monitors.values()]

    async def finish(self, beats, *, patience=2000, tail=32):
        """Wait until all words are sent and `beats` (name to number) have come, then watch for surplus beats.

        Parameters
        ----------
        patience : int
            So many cycles without any transfer are a deadlock, reported with what each stream waits for.
        tail : int
            Cycles to watch after the last beat.
        """
        seen, quiet = -1, 0
        while (state := self._moved()) < sum(driver.total for driver in self.drivers.values()) + sum(beats.values()):
            if state == seen:
                quiet += 16
                if quiet > patience:
                    raise AssertionError(f"no transfer for {patience} cycles: {self._waiting(beats)}, "
                                         f"seed {self.seed}")
            seen, quiet = state, quiet if state == seen else 0
            await ClockCycles(self.dut.clk, 16)
        await ClockCycles(self.dut.clk, tail)
        self._cancel()
        surplus = {name: len(monitor.words) for name, monitor in self.monitors.items()
                   if len(monitor.words) != beats.get(name, 0)}
        if surplus:
            raise AssertionError(f"beats received {surplus}, expected {beats}, seed {self.seed}")
        return self._report()

    def _moved(self):
        return (sum(driver.sent for driver in self.drivers.values())
                + sum(len(monitor.words) for monitor in self.monitors.values()))

    def _waiting(self, beats):
        inputs = [f"{name} took {driver.sent} of {driver.total}" for name, driver in self.drivers.items()]
        outputs = [f"{name} gave {len(monitor.words)} of {beats.get(name, 0)}"
                   for name, monitor in self.monitors.items()]
        return "; ".join(inputs + outputs)

    def _report(self):
        first = max((driver.first_offer for driver in self.drivers.values() if driver.total), default=0)
        cycles = {name: list(monitor.cycles) for name, monitor in self.monitors.items()}
        last = max((stamps[-1] for stamps in cycles.values() if stamps), default=first - 1)
        return Report(last - first + 1, first, last, cycles)


async def run_streams(dut, streams, expected, *, idle=0.0, backpressure=0.0, hold=None, seed=1, idle_payload="noise",
                      describe=None, decode=None, reset_at=None, patience=2000, tail=32):
    """Reset, send `streams`, compare all outputs beat by beat, and count the cycles.

    A cocotb test may call this several times.

    Parameters
    ----------
    dut : cocotb.handle.HierarchyObject
        The design.
    streams, expected : dict of str to (ndarray or iterable of int)
        Words for each input stream and words expected of each output stream.
    idle, backpressure, hold, seed, idle_payload
        See `Harness`.
    describe, decode : callable or dict of str to callable, optional
        See `Scoreboard`; a dict gives one for each output stream.
    reset_at : int, optional
        First run until this cycle, reset in the middle of everything, and only then do the run that counts.
    patience, tail : int
        See `Harness.finish`.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        On the first wrong, missing, surplus, changing or undefined beat.
    """
    harness = Harness(dut, streams, expected, idle=idle, backpressure=backpressure, hold=hold, seed=seed,
                      idle_payload=idle_payload)
    for name, monitor in harness.monitors.items():
        monitor.check = Scoreboard(name, expected[name], describe=_of(describe, name), decode=_of(decode, name),
                                   seed=harness.seed).check
    await harness.reset()
    if reset_at is not None:
        harness.start(streams)
        await ClockCycles(dut.clk, max(reset_at, 1))
        await harness.reset()
    harness.start(streams)
    return await harness.finish({name: len(words) for name, words in expected.items()}, patience=patience, tail=tail)


def _knob(value, name):
    return value.get(name, 0.0) if isinstance(value, dict) else value


def _of(value, name):
    return value.get(name) if isinstance(value, dict) else value
