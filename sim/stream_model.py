# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a design's streams at the speed of C++: words in from arrays, words out to arrays, cycles counted.

cocotb is for benches that look at single cycles; this is for whole layers. No Python runs while the model does. A payload
is noise in each cycle in which its stream offers no beat.
"""

import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..tools.toolchain import Failed, build_root
from . import coverage
from .cocotb_run import resolve_seed
from .verilate import build, port_widths, waves_format

__all__ = ["RunResult", "StreamError", "StreamModel"]

_DRIVER = "stream_driver.cpp"


class StreamError(Failed):
    """The model broke the stream protocol, sent too much, or stopped moving; the message says which and where."""


@dataclass(frozen=True)
class RunResult:
    """What came out of a run. Cycles count from the first one after reset, which is cycle 0.

    Attributes
    ----------
    outputs : dict of str to ndarray
        Words of each output stream, uint8 `[beats, ceil(bits / 8)]`.
    cycles : int
        From the first cycle in which every input stream with beats has offered one, to that of the last output
        beat, both included.
    first_cycle, last_cycle : int
        These two cycles.
    status : dict of str to int
        Values of the status ports at the end.
    output_cycles, input_cycles : dict of str to ndarray
        Cycle of each beat's transfer, uint64 `[beats]`.
    seconds : float
        Wall time of the run, without building.
    total_cycles : int
        All cycles simulated after the last reset.
    folder : Path or None
        Where the trace is, when one was asked for.
    """

    outputs: dict
    cycles: int
    first_cycle: int
    last_cycle: int
    status: dict
    output_cycles: dict = field(repr=False)
    input_cycles: dict = field(repr=False)
    seconds: float
    total_cycles: int
    folder: Path | None = None


class StreamModel:
    """A compiled model whose streams are driven from arrays.

    Parameters
    ----------
    verilog : str
        Verilog text with ports `clk`, `rst` and, for each stream, `NAME__payload`, `NAME__valid`, `NAME__ready`.
    top : str
        The top module.
    inputs, outputs : dict of str to int
        Stream name to payload width in bits.
    status : dict of str to int, optional
        Plain output ports to read at the end, name to width.
    waves : bool, optional
        Trace every signal. By default `WAVES=1` in the environment decides.

    Attributes
    ----------
    build_seconds : float
        Time spent to build the model, or to find it built.

    Raises
    ------
    ValueError
        If a port is missing or has another width or direction.
    BuildError, MissingTool
        See `subbyte.sim.verilate.build`.
    """

    def __init__(self, verilog, top, *, inputs, outputs, status=None, waves=None):
        self.top, self.inputs, self.outputs, self.status = top, dict(inputs), dict(outputs), dict(status or {})
        ports = port_widths(verilog, top)
        self._check_ports(ports)
        self._plain_inputs = {
            name: bits for name, (direction, bits) in sorted(ports.items())
            if direction == "input" and name not in ("clk", "rst")
            and name.removesuffix("__payload").removesuffix("__valid") not in self.inputs
            and name.removesuffix("__ready") not in self.outputs}
        started = time.perf_counter()
        self._waves = waves_format(waves)
        sources = {_DRIVER: Path(__file__).with_name(_DRIVER).read_text(), "ports.h": self._ports_header()}
        self.folder = build(verilog, top, kind="stream", sources=sources, waves=self._waves)
        self.build_seconds = time.perf_counter() - started

    def run(self, streams, expected_beats, *, idle=0.0, backpressure=0.0, ready_waits=False, hold=None, seed=None,
            reset_at=None, progress=None, timeout_cycles=20000, reset_cycles=4, tail_cycles=32):
        """Reset the model, send all beats, and stop when all have been taken and all expected ones have come.

        Parameters
        ----------
        streams : dict of str to ndarray
            For each input stream its words, uint8 `[beats, ceil(bits / 8)]`, little-endian.
        expected_beats : dict of str to int
            Number of beats each output stream will send.
        idle, backpressure : float or dict of str to float
            Probability that an input with a beat to offer pauses, and that an output is not ready, per cycle.
        ready_waits : bool
            Outputs are ready only for a beat that was offered in the cycle before: a model that waits for ready stops here.
        hold : dict of str to int, optional
            Values at which inputs that belong to no stream are held; those not named are held at zero.
        seed : int, optional
            Seeds pauses, idle payloads and power-up state; see `resolve_seed`.
        reset_at : int, optional
            Reset once more in this cycle, in the middle of everything, and start all over: the result is that of
            the second run.
        progress : callable, optional
            Called now and then with the share of beats done (0 to 1) and the number of cycles.
        timeout_cycles : int
            So many cycles without any transfer are a deadlock.
        reset_cycles, tail_cycles : int
            Length of a reset; cycles to watch for surplus beats afterwards.

        Returns
        -------
        RunResult

        Raises
        ------
        StreamError
            On a deadlock, a surplus beat, or a waiting beat that changes; the message holds the seed.
        """
        seed = resolve_seed(seed)
        words = {name: self._words(name, streams) for name in self.inputs}
        _check_names("expected_beats", expected_beats, self.outputs)
        held = self._held(hold or {})
        idle, backpressure = _knob("idle", idle, self.inputs), _knob("backpressure", backpressure, self.outputs)
        arguments = [seed, reset_cycles, -1 if reset_at is None else reset_at, timeout_cycles, tail_cycles,
                     *idle.values()]
        for name in self.outputs:
            arguments += [backpressure[name], int(ready_waits), int(expected_beats[name])]
        with self._run_folder() as folder:
            for name, array in words.items():
                array.tofile(folder / f"{name}.in")
            for name, bits in self._plain_inputs.items():
                (folder / f"{name}.in").write_bytes(held.get(name, 0).to_bytes(_bytes(bits), "little"))
            started = time.perf_counter()
            first, total = self._execute(arguments, folder, progress, seed)
            coverage.collect(folder, self.folder)
            return self._result(folder, first, total, time.perf_counter() - started)

    def _execute(self, arguments, folder, progress, seed):
        """Run the program; returns the cycle of the first full offer and the number of cycles."""
        command = [self.folder / "model", *map(str, arguments)]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as process:
            try:
                for line in process.stdout or ():
                    kind, _, rest = line.rstrip().partition(" ")
                    if kind == "done":
                        first, total = map(int, rest.split())
                        return first, total
                    if kind == "error":
                        raise StreamError(f"{self.top}: {rest} (SEED={seed})")
                    if kind == "progress" and progress is not None:
                        cycles, beats, all_beats = map(int, rest.split())
                        progress(beats / max(all_beats, 1), cycles)
            finally:
                # Whoever interrupts, or raises in `progress`, must not leave a simulation running behind.
                process.kill()
        raise StreamError(f"{self.top}: the model ended early with code {process.returncode} (SEED={seed})")

    def _result(self, folder, first, total, seconds):
        outputs, output_cycles, input_cycles, status = {}, {}, {}, {}
        for name, bits in self.outputs.items():
            outputs[name] = np.fromfile(folder / f"{name}.out", np.uint8).reshape(-1, _bytes(bits))
            output_cycles[name] = np.fromfile(folder / f"{name}.cycles", np.uint64)
        for name in self.inputs:
            input_cycles[name] = np.fromfile(folder / f"{name}.cycles", np.uint64)
        for name in self.status:
            status[name] = int.from_bytes((folder / f"{name}.out").read_bytes(), "little")
        last = max((int(cycles[-1]) for cycles in output_cycles.values() if cycles.size), default=first - 1)
        return RunResult(outputs, last - first + 1, first, last, status, output_cycles, input_cycles, seconds, total,
                         folder if self._waves else None)

    @contextmanager
    def _run_folder(self):
        if self._waves:
            folder = build_root() / "waves" / self.top
            folder.mkdir(parents=True, exist_ok=True)
            yield folder
        else:
            with tempfile.TemporaryDirectory(dir=self.folder, prefix="run-") as folder:
                yield Path(folder)

    def _words(self, name, streams):
        _check_names("streams", streams, self.inputs)
        bits, words = self.inputs[name], np.ascontiguousarray(streams[name])
        if words.dtype != np.uint8 or words.ndim != 2 or words.shape[1] != _bytes(bits):
            raise ValueError(f"streams[{name!r}] must be uint8 [beats, {_bytes(bits)}] for {bits} bits, "
                             f"not {words.dtype} {list(words.shape)}")
        if bits % 8 and (words[:, -1] >> bits % 8).any():
            raise ValueError(f"streams[{name!r}] must be zero above its {bits} bits")
        return words

    def _held(self, hold):
        for name, value in hold.items():
            if name not in self._plain_inputs:
                raise ValueError(f"hold may name the inputs {sorted(self._plain_inputs)} only, not {name!r}")
            if not 0 <= value < 1 << self._plain_inputs[name]:
                raise ValueError(f"hold[{name!r}] must fit {self._plain_inputs[name]} bits, not {value!r}")
        return hold

    def _check_ports(self, ports):
        expected = {}
        for streams, forward, backward in ((self.inputs, "input", "output"), (self.outputs, "output", "input")):
            for name, bits in streams.items():
                expected |= {f"{name}__payload": (forward, bits), f"{name}__valid": (forward, 1),
                             f"{name}__ready": (backward, 1)}
        expected |= {name: ("output", bits) for name, bits in self.status.items()}
        for name, port in ({"clk": ("input", 1), "rst": ("input", 1)} | expected).items():
            if ports.get(name) != port:
                found = f"is an {ports[name][0]} of {ports[name][1]} bits" if name in ports else "is absent"
                raise ValueError(f"module {self.top!r} must have {name!r} as an {port[0]} of {port[1]} bits: "
                                 f"it {found}")

    def _ports_header(self):
        def stream(name, bits):
            port = f"{name}__".replace("__", "___05F")  # Verilator's spelling of a double underscore
            return (f'{{"{name}", reinterpret_cast<uint8_t*>(&top.{port}payload), {bits}, {_bytes(bits)}, '
                    f"&top.{port}valid, &top.{port}ready}},")

        def plain(name, bits):
            port = name.replace("__", "___05F")
            return f'{{"{name}", reinterpret_cast<uint8_t*>(&top.{port}), {bits}, {_bytes(bits)}, nullptr, nullptr}},'

        lists = {"input_ports": [stream(*item) for item in self.inputs.items()],
                 "output_ports": [stream(*item) for item in self.outputs.items()],
                 "plain_inputs": [plain(*item) for item in self._plain_inputs.items()],
                 "status_ports": [plain(*item) for item in self.status.items()]}
        text = ("// Generated. Values of all widths lie in memory with the least significant byte first.\n"
                "struct Port { const char* name; uint8_t* payload; size_t bits, bytes; CData* valid; CData* ready; };\n")
        for function, entries in lists.items():
            text += (f"static std::vector<Port> {function}([[maybe_unused]] Vtop& top) {{\n    return {{"
                     + "\n        ".join(["", *entries]) + "\n    };\n}\n")
        return text


def _bytes(bits):
    return (bits + 7) // 8


def _check_names(what, given, wanted):
    if set(given) != set(wanted):
        raise ValueError(f"{what} must have exactly the streams {sorted(wanted)}, not {sorted(given)}")


def _knob(what, value, streams):
    """One probability for each stream, in order."""
    if isinstance(value, dict):
        if not set(value) <= set(streams):
            raise ValueError(f"{what} may name the streams {sorted(streams)} only, not {sorted(value)}")
        knobs = {name: float(value.get(name, 0)) for name in streams}
    else:
        knobs = dict.fromkeys(streams, float(value))
    if not all(0 <= knob < 1 for knob in knobs.values()):
        raise ValueError(f"{what} must be probabilities of at least 0 and below 1, not {value!r}")
    return knobs
