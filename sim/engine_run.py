# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a whole matrix product through an engine's Verilated RTL and compare every output with golden, bit for bit.

Knows streams and tiles, and no scheme: that comes as a `subbyte.cli.schemes.Scheme`, or anything with its attributes.
"""

import json
import os
import time
from dataclasses import dataclass, field

import numpy as np

from ..golden.schedule import Timeline
from ..tools import toolchain
from ..tools.kept import digest
from ..top import emit
from .cocotb_run import resolve_seed
from .stream_model import RunResult, StreamModel

__all__ = ["Difference", "EngineModel", "EngineRun", "rms"]


@dataclass(frozen=True)
class Difference:
    """The first output, in the order in which the engine sends them, that is not golden's.

    Attributes
    ----------
    tile : tuple of int
        Tile row and tile column.
    index : tuple of int
        Token and output channel.
    cycle : int
        Cycle of its beat's transfer.
    expected, got : scalar
        Golden's number and the engine's.
    seed : int
    """

    tile: tuple
    index: tuple
    cycle: int
    expected: np.generic
    got: np.generic
    seed: int

    def __str__(self):
        return (f"first difference: tile {self.tile}, output [{self.index[0]}, {self.index[1]}], cycle {self.cycle}: "
                f"expected {_hex(self.expected)} = {self.expected!s}, got {_hex(self.got)} = {self.got!s} "
                f"(SEED={self.seed})")


@dataclass(frozen=True)
class EngineRun:
    """One product, computed by the RTL and by golden.

    Attributes
    ----------
    y, golden : ndarray [M, N]
        The engine's answer and golden's.
    reference : float64 ndarray [M, N]
        Exact product of the quantized operands.
    mismatches : int
        Outputs whose bits differ.
    difference : Difference or None
        The first of them.
    flags, golden_flags : dict of str to bool ndarray [M tiles, N tiles]
    status : dict of str to int
        The engine's error flags after the run, as ``port.flag``; zero when the operands were well-formed.
    timeline : Timeline
        Predicted cycles, busy cycles, utilization, occupancy.
    predictable : bool
        Whether no stream was made to pause, so that the cycles must be the predicted ones.
    run : RunResult
        What the model did: cycles, wall time.
    """

    y: np.ndarray = field(repr=False)
    golden: np.ndarray = field(repr=False)
    reference: np.ndarray = field(repr=False)
    mismatches: int
    difference: Difference | None
    flags: dict = field(repr=False)
    golden_flags: dict = field(repr=False)
    status: dict
    timeline: Timeline
    predictable: bool
    run: RunResult = field(repr=False)

    @property
    def problems(self):
        """Everything in which the RTL is not golden, a line each; empty when all is well."""
        found = []
        if self.difference is not None:
            found.append(f"{self.mismatches} of {self.y.size} outputs differ from golden; {self.difference}")
        for name, mask in self.golden_flags.items():
            if not np.array_equal(mask, self.flags[name]):
                tile = tuple(int(i) for i in np.argwhere(mask != self.flags[name])[0])
                found.append(f"flag {name} of tile {tile} must be {mask[tile]}, not {self.flags[name][tile]}")
        raised = {name for name, mask in self.golden_flags.items() if mask.any()}
        found += [f"the engine must not raise {name}" for name, value in self.status.items()
                  if value and name.rpartition(".")[2] not in raised]
        if self.predictable and self.run.cycles != self.timeline.cycles:
            found.append(f"the product must take the predicted {self.timeline.cycles} cycles, not {self.run.cycles}")
        return found

    @property
    def error(self):
        """Rms of the error against float64 over the rms of the product itself."""
        return rms(self.y.astype(np.float64) - self.reference) / (rms(self.reference) or 1.0)

    @property
    def cycles_per_second(self):
        """Simulated cycles per second of wall time."""
        return self.run.total_cycles / self.run.seconds


class EngineModel:
    """An engine's RTL, compiled, ready to compute products.

    Parameters
    ----------
    scheme : Scheme
    config : the scheme's config
    waves : bool, optional
        See `subbyte.sim.stream_model.StreamModel`.

    Attributes
    ----------
    verilog : str
        What is simulated: the text that `subbyte verilog` writes.
    build_seconds : float
        Wall time of generating and compiling; both are skipped for what was generated and compiled before.
    """

    def __init__(self, scheme, config, waves=None):
        started = time.perf_counter()
        self.scheme, self.config = scheme, config
        self.verilog, described = _generate(scheme, config)
        inputs, outputs, self._status = _ports(described)
        self.model = StreamModel(self.verilog, described["name"], inputs=inputs, outputs=outputs, waves=waves,
                                 status={port["name"]: port["width"] for port in self._status})
        self.build_seconds = time.perf_counter() - started

    def run(self, x, qweight, *, progress=None, seed=None, **knobs):
        """Compute ``x @ W.T``.

        Parameters
        ----------
        x : operand [M, K]
            As the scheme's `activations` makes it.
        qweight : quantized weight [N, K]
        progress : callable, optional
            Called with the share of the work done (0 to 1) and the number of cycles.
        seed : int, optional
        knobs
            ``idle``, ``backpressure``, ``reset_at``, ... of `StreamModel.run`.

        Returns
        -------
        EngineRun

        Raises
        ------
        ValueError
            If operands and config do not fit.
        StreamError
            If the RTL breaks the stream protocol or stops.
        """
        scheme, config, seed = self.scheme, self.config, resolve_seed(seed)
        golden, golden_flags = scheme.golden(x, qweight, config)
        words = scheme.pack(x, qweight, config)
        m, n = golden.shape
        tiles = -(-m // config.rows) * -(-n // config.cols)
        run = self.model.run(words, {"outputs": tiles * config.rows * config.cols // config.drain}, seed=seed,
                             progress=progress, **knobs)
        y, flags = scheme.unpack(run.outputs, m, n, config)
        mismatches, difference = _compare(golden, y, config, run, seed)
        return EngineRun(
            y, golden, scheme.reference(x, qweight), mismatches, difference, flags, golden_flags,
            status=_decode(self._status, run.status), timeline=scheme.timeline(x, qweight, config),
            predictable=not any(_pauses(knobs.get(name)) for name in ("idle", "backpressure")), run=run)


def _generate(scheme, config):
    """Verilog and manifest of an engine, kept in the build folder: making them takes longer than a layer.

    A scheme from elsewhere, whose sources are not known, is generated each time.
    """
    source = toolchain.build_root() / "sim" / f"{scheme.name}_engine-{digest(scheme.name, config)}.v"
    if not source.exists() or not scheme.config.__module__.startswith("subbyte."):
        engine, name = scheme.component("engine", config)
        unfinished = source.with_stem(f"{source.stem}-{os.getpid()}")
        for written in reversed(emit.write(engine, name, unfinished, config)):  # the Verilog last: it says "complete"
            written.replace(source.with_suffix(written.suffix))
    return source.read_text(), json.loads(source.with_suffix(".json").read_text())


def _pauses(knob):
    """Whether a knob, one probability or one a stream, makes any stream pause."""
    return any(knob.values()) if isinstance(knob, dict) else bool(knob)


def rms(values):
    """Root mean square, in float64."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _ports(described):
    """Widths of input streams and output streams, and the other outputs, from a manifest."""
    widths = {port["name"]: port["width"] for port in described["ports"]}
    streams = {"input": {}, "output": {}}
    for entry in described["streams"]:
        streams[entry["direction"]][entry["name"]] = widths[entry["payload"]]
    handshakes = {entry[part] for entry in described["streams"] for part in ("payload", "valid", "ready")}
    status = [port for port in described["ports"]
              if port["direction"] == "output" and port["name"] not in handshakes]
    return streams["input"], streams["output"], status


def _decode(ports, values):
    """Values of ports as those of their fields."""
    return {f"{port['name']}.{leaf['path']}": values[port["name"]] >> leaf["offset"] & (1 << leaf["width"]) - 1
            for port in ports for leaf in port.get("fields", [{"path": "", "offset": 0, "width": port["width"]}])}


def _compare(golden, y, config, run, seed):
    """Number of outputs whose bits differ, and the first of them in the order of the stream."""
    bits = f"u{golden.dtype.itemsize}"
    wrong = np.argwhere(golden.view(bits) != y.view(bits))
    if not len(wrong):
        return 0, None
    row, col = wrong.T
    m_tiles = -(-golden.shape[0] // config.rows)
    # Tiles go n outer, m inner; in a tile rows in order, columns ascending, `drain` of them a beat.
    tile = col // config.cols * m_tiles + row // config.rows
    beat = (tile * config.rows + row % config.rows) * (config.cols // config.drain) + col % config.cols // config.drain
    first = np.lexsort((col, beat))[0]
    m, n = int(row[first]), int(col[first])
    return len(wrong), Difference((m // config.rows, n // config.cols), (m, n),
                                  int(run.output_cycles["outputs"][beat[first]]), golden[m, n], y[m, n], seed)


def _hex(number):
    return f"0x{int(number.view(f'u{number.itemsize}')):0{2 * number.itemsize}x}"
