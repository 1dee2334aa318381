# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a whole matrix product through an engine's Verilated RTL and compare every output with golden, bit for bit.

Knows streams and tiles, and no scheme: that comes as a `subbyte.schemes.Scheme`, and what to compute as its `Product`.
"""

import json
import time
from dataclasses import dataclass, field

import numpy as np

from ..schemes import Product
from ..tools import toolchain
from ..tools.kept import digest, is_sealed, seal
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
    product : Product
        What was to be computed.
    y : ndarray [M, N]
        The engine's answer.
    mismatches : int
        Outputs whose bits differ.
    difference : Difference or None
        The first of them.
    wrong_beats : int
        Beats on ``outputs`` whose words differ, what fills up tiles included.
    flags : dict of str to bool ndarray [M tiles, N tiles]
    status : dict of str to int
        The engine's error flags after the run, as ``port.flag``.
    predictable : bool
        Whether no stream was made to pause, so that the cycles must be the predicted ones.
    run : RunResult
        What the model did: cycles, wall time.
    """

    product: Product = field(repr=False)
    y: np.ndarray = field(repr=False)
    mismatches: int
    difference: Difference | None
    wrong_beats: int
    flags: dict = field(repr=False)
    status: dict
    predictable: bool
    run: RunResult = field(repr=False)

    @property
    def problems(self):
        """Everything in which the RTL is not golden, a line each; empty when all is well."""
        found, flags = [], self.product.flags
        if self.difference is not None:
            found.append(f"{self.mismatches} of {self.y.size} outputs differ from golden; {self.difference}")
        for name, mask in flags.items():
            if not np.array_equal(mask, self.flags[name]):
                tile = tuple(int(i) for i in np.argwhere(mask != self.flags[name])[0])
                found.append(f"flag {name} of tile {tile} must be {mask[tile]}, not {self.flags[name][tile]}")
        if self.wrong_beats and not found:
            found.append(f"{self.wrong_beats} beats differ from golden's words in what fills up tiles, or in a flag")
        raised = {name.rpartition(".")[2] for name, value in self.status.items() if value}
        found += [f"the engine must not raise {name}" for name in sorted(raised - self.product.errors)]
        found += [f"the engine must raise {name}" for name in sorted(self.product.errors - raised)]
        if self.predictable and self.run.cycles != self.timeline.cycles:
            found.append(f"the product must take the predicted {self.timeline.cycles} cycles, not {self.run.cycles}")
        return found

    @property
    def timeline(self):
        """Predicted cycles, busy cycles, utilization, occupancy."""
        return self.product.timeline

    @property
    def error(self):
        """Rms of the error against float64 over the rms of the product itself."""
        exact = self.product.reference
        return rms(self.y.astype(np.float64) * self.product.unit - exact) / (rms(exact) or 1.0)

    @property
    def cycles_per_second(self):
        """Simulated cycles per second of wall time."""
        return self.run.total_cycles / self.run.seconds


class EngineModel:
    """An engine's RTL, compiled, ready to compute products.

    Parameters
    ----------
    scheme : Scheme
    config : EngineConfig
        Of the scheme.
    engine, verilog : Engine and str, optional
        Another engine than the scheme's own, and its text.
    waves : bool, optional
        See `subbyte.sim.stream_model.StreamModel`.

    Attributes
    ----------
    verilog : str
        What is simulated: the text that `subbyte verilog` writes.
    build_seconds : float
        Wall time of generating and compiling; both are skipped for what was generated and compiled before.
    """

    def __init__(self, scheme, config, *, engine=None, verilog=None, waves=None):
        started = time.perf_counter()
        toolchain.check_build_folder()  # before anything is generated
        self.scheme, self.config = scheme, config
        if engine is None:
            self.verilog, described = _generate(scheme, config)
        else:
            self.verilog, described = verilog, emit.manifest(engine, f"{scheme.name}_engine", config)
        inputs, outputs, self._status = _ports(described)
        self.model = StreamModel(self.verilog, described["name"], inputs=inputs, outputs=outputs, waves=waves,
                                 status={port["name"]: port["width"] for port in self._status})
        self.build_seconds = time.perf_counter() - started

    def run(self, product, *, progress=None, seed=None, **knobs):
        """Compute a product.

        Parameters
        ----------
        product : Product
            As the scheme's `product` makes it for this config.
        progress : callable, optional
            Called with the share of the work done (0 to 1) and the number of cycles.
        seed : int, optional
        knobs
            ``idle``, ``backpressure``, ``ready_waits``, ``reset_at``, ... of `StreamModel.run`.

        Returns
        -------
        EngineRun

        Raises
        ------
        StreamError
            If the RTL breaks the stream protocol or stops.
        """
        seed, (m, n) = resolve_seed(seed), product.y.shape
        run = self.model.run(product.inputs, {"outputs": len(product.outputs)}, seed=seed, progress=progress, **knobs)
        y, flags = self.scheme.results(run.outputs["outputs"], m, n, self.config)
        mismatches, difference = _compare(product.y, y, self.config, run, seed)
        wrong = np.flatnonzero((run.outputs["outputs"] != product.outputs).any(axis=1))
        return EngineRun(
            product, y, mismatches, difference, len(wrong), flags, _decode(self._status, run.status),
            predictable=not any(_pauses(knobs.get(name)) for name in ("idle", "backpressure", "ready_waits")), run=run)


def _generate(scheme, config):
    """Verilog and manifest of an engine, kept in the build folder: making them takes longer than a layer.

    A scheme from elsewhere, whose sources are not known, is generated each time.
    """
    source = toolchain.build_root() / "sim" / f"{scheme.name}_engine-{digest(scheme.name, config)}.v"
    side = source.with_suffix(".json")
    if not is_sealed(source, side) or not scheme.Config.__module__.startswith("subbyte."):
        engine, name = scheme.component("engine", config)
        emit.write(engine, name, source, config)
        seal(source, side)
    return source.read_text(), json.loads(side.read_text())


def _pauses(knob):
    """Whether a knob, for all streams or for each, makes any stream pause."""
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
    beat = config.tiles(*golden.shape).beat_of(row, col)
    first = np.lexsort((col, beat))[0]
    m, n = int(row[first]), int(col[first])
    return len(wrong), Difference((m // config.rows, n // config.cols), (m, n),
                                  int(run.output_cycles["outputs"][beat[first]]), golden[m, n], y[m, n], seed)


def _hex(number):
    return f"0x{int(number.view(f'u{number.itemsize}')):0{2 * number.itemsize}x}"
