# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Cycles and bytes of a model's layers on engines with a memory.

Cycles are those of ``config.cycles``, to the cycle, bytes those of an accelerator in its memory form
(:mod:`subbyte.golden.memory`). A layer is a job that begins when the one before is done. Short ones are followed to the cycle
(:mod:`subbyte.golden.job_cycles`); of others engine and bus overlap, and what comes before and behind is added. What is
modelled and what is exact stands in docs/explore.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from ..golden.job_cycles import Surroundings, job_cycles
from ..golden.memory import COLUMN_STREAMS, MemoryImage, MemoryLayout
from ..golden.schedule import Schedule, engine_timeline
from ..golden.tiles import Tiles
from ..schemes import Scheme
from .shapes import Layer, Shape

__all__ = ["Bound", "LayerCost", "Machine", "ModelCost", "cost_of", "engine_cycles", "layer_bytes", "mixed_cost"]

_SAMPLE, _PERIODS = 96, 8
"""Tiles after which an engine's waits repeat themselves, and after how many tiles they do, at most."""
_FOLLOWED = 20_000
"""Cycles of a layer, at most, that are followed one by one; beyond, what begins and ends it matters little."""


class Bound(Enum):
    """What a layer's time is made of."""

    ARRAY = "array"
    DRAIN = "drain"
    WEIGHTS = "weights"
    ACTIVATIONS = "activations"


@dataclass(frozen=True)
class Machine:
    """Engines, all alike, that share a memory; each takes its share of a layer's output channels.

    Attributes
    ----------
    scheme : Scheme
    fmt : str
        Format of the weights.
    config : EngineConfig
    clock : float
        Hz.
    engines : int
    bandwidth : float
        Bytes a second, of reads and writes together.
    latency : int
        Cycles from a read to its first beat.
    bus_bytes : int
        Of a beat of each engine's bus.
    around : Surroundings
        What else stands around each engine.
    """

    scheme: Scheme
    fmt: str
    config: Any
    clock: float = 500e6
    engines: int = 1
    bandwidth: float = 25.6e9
    latency: int = 100
    bus_bytes: int = 32
    around: Surroundings = Surroundings()

    @property
    def name(self) -> str:
        """Scheme, format, size."""
        return f"{self.scheme.name} {self.fmt} {self.config.rows} x {self.config.cols} x {self.config.lanes}"

    @property
    def bytes_per_cycle(self) -> float:
        """What the memory, or the buses in one direction, let through."""
        return min(self.bandwidth / self.clock, self.engines * self.bus_bytes)

    def bus_cycles(self, read: int, written: int) -> int:
        """Cycles of these bytes: buses have a channel for each direction, the memory has its bandwidth for both."""
        return ceil(max((read + written) * self.clock / self.bandwidth, max(read, written) / (self.engines * self.bus_bytes)))

    def tile(self, k: int) -> "_Tile":
        """The work and the words of a tile; of Tender for random channels, which a calibration would group otherwise."""
        return _tile(self.scheme, self.fmt, self.config, self.bus_bytes, k)


class _Tile(NamedTuple):
    """What a tile is, as a product of random operands shows.

    ``beats`` are words of each stream, ``fmt`` is the code of the weights' format.
    """

    schedule: Schedule
    layout: MemoryLayout
    beats: Mapping[str, int]
    fmt: int


@lru_cache(maxsize=256)
def _tile(scheme, fmt, config, bus_bytes, k):
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((1, k)), rng.standard_normal((1, k)) * np.exp(rng.standard_normal(k))
    qweight = scheme.quantize(weight.astype(np.float32), fmt, config)
    operand = scheme.activations(x.astype(np.float32), config)
    schedule = config.schedule(qweight, operand)
    product = scheme.product(operand, qweight, config, **scheme.derived(operand, qweight, config)[0])
    layout = MemoryLayout(config, bus_bytes)
    image = layout.image(product.inputs, 1, 1)
    return _Tile(schedule if isinstance(schedule, Schedule) else schedule[0], layout, image.beats, image.format)


def engine_cycles(config: Any, m: int, n: int, schedule: Schedule) -> int:
    """``config.cycles(m, n, k, schedule)``, in a time that does not grow with the number of tiles.

    An engine's waits repeat themselves after a few tiles; what a sample of them shows is continued.
    """
    return _cycles(config.timing, config.tiles(m, n), schedule, config.lanes)


def _cycles(timing, tiles, schedule, lanes):
    total = tiles.m_tiles * tiles.n_tiles
    if total <= _SAMPLE:
        return engine_timeline(tiles, schedule, timing, lanes).cycles
    return _steady(timing, schedule, lanes, tiles.rows, tiles.cols, tiles.drain).after(total)


@dataclass(frozen=True)
class _Steady:
    """Cycles after so many tiles of a sample, and how they go on."""

    ends: tuple[int, ...]
    period: int
    step: int

    def after(self, tiles):
        """Cycles of more tiles than the sample has."""
        periods = ceil((tiles - len(self.ends)) / self.period)
        return self.ends[tiles - periods * self.period - 1] + periods * self.step


@lru_cache(maxsize=256)
def _steady(timing, schedule, lanes, rows, cols, drain):
    sample = engine_timeline(Tiles(rows, _SAMPLE * cols, rows, cols, drain), schedule, timing, lanes)
    parts = sum(len(group.parts(timing.scaled)) for group in schedule.groups)
    drained, ends = 0, []
    for last in sample.ends[parts - 1::parts]:
        drained = max(last + timing.result, drained) + timing.drain_beats
        ends.append(drained + timing.to_outputs)
    for period in range(1, _PERIODS + 1):
        steps = {after - before for before, after in zip(ends[_SAMPLE // 2:], ends[_SAMPLE // 2 + period:])}
        if len(steps) == 1:
            return _Steady(tuple(ends), period, steps.pop())
    raise RuntimeError(f"the waits of {timing} must repeat themselves within {_PERIODS} tiles")


@dataclass(frozen=True)
class LayerCost:
    """A product of ``m`` tokens with a layer's weights, on all engines.

    Attributes
    ----------
    layer : Layer
    m : int
    cycles : int
        Of the layer.
    engine_cycles, undrained : int
        Of an engine that never waits for memory, and if its drain took no time either.
    bus_cycles : int
        Of the bytes, at the memory's or the buses' pace.
    busy : int
        Cycles in which an engine performs a term.
    weight_bytes, other_bytes : int
        On all buses: weights with scales and constants; activations and results.
    engines : int
    peak : float
        Multiply-accumulates of an engine's busy cycle, at most.
    """

    layer: Layer
    m: int
    cycles: int
    engine_cycles: int
    undrained: int
    bus_cycles: int
    busy: int
    weight_bytes: int
    other_bytes: int
    engines: int
    peak: float

    @property
    def bytes(self) -> int:
        """All that crosses the buses."""
        return self.weight_bytes + self.other_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates that are wanted."""
        return self.m * self.layer.n * self.layer.k

    @property
    def bound(self) -> Bound:
        """What the time goes to."""
        if self.bus_cycles > self.engine_cycles:
            return Bound.WEIGHTS if self.weight_bytes >= self.other_bytes else Bound.ACTIVATIONS
        return Bound.DRAIN if self.engine_cycles > 1.02 * self.undrained else Bound.ARRAY

    @property
    def utilization(self) -> float:
        """Share of the cycles in which an engine performs a term."""
        return self.busy / self.cycles

    @property
    def occupancy(self) -> float:
        """Wanted multiply-accumulates over the peak of the busy cycles."""
        return self.macs / (self.engines * self.busy * self.peak)


@dataclass(frozen=True)
class ModelCost:
    """A pass of ``m`` tokens through all blocks."""

    machine: Machine
    shape: Shape
    m: int
    layers: tuple[LayerCost, ...]

    @property
    def cycles(self) -> int:
        """Of the linear layers of all blocks, one after the other."""
        return self.shape.blocks * sum(layer.cycles for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Likewise."""
        return self.shape.blocks * sum(layer.bytes for layer in self.layers)

    @property
    def tokens_per_second(self) -> float:
        """Of linear layers alone."""
        return self.m * self.machine.clock / self.cycles


def cost_of(machine: Machine, shape: Shape, m: int) -> ModelCost:
    """What a pass of ``m`` tokens takes."""
    return ModelCost(machine, shape, m, tuple(_layer_costs(machine, shape, m)))


def mixed_cost(machines: Mapping[str, Machine], formats: Mapping[str, str], shape: Shape, m: int) -> ModelCost:
    """What a pass of ``m`` tokens takes if each layer, such as ``blk.0.attn_q``, has a format of its own, and its machine.

    The cost has all blocks' layers one by one, under these names.
    """
    known, costs = {}, []
    for block in range(shape.blocks):
        for layer in shape.layers:
            fmt = formats[f"blk.{block}.{layer.name}"]
            if (fmt, layer) not in known:
                known[fmt, layer] = next(_layer_costs(machines[fmt], replace(shape, layers=(layer,)), m))
            costs.append(replace(known[fmt, layer], layer=replace(layer, name=f"blk.{block}.{layer.name}")))
    whole = replace(shape, blocks=1, layers=tuple(cost.layer for cost in costs))
    return ModelCost(next(iter(machines.values())), whole, m, tuple(costs))


def _layer_costs(machine, shape, m) -> Iterator[LayerCost]:
    config, timing = machine.config, machine.config.timing
    for layer in shape.layers:
        if layer.k > config.largest_k:
            raise ValueError(f"K of {layer.name} must be at most the engine's {config.largest_k}, not {layer.k}: set max_k")
        tile, share = machine.tile(layer.k), ceil(ceil(layer.n / config.cols) / machine.engines) * config.cols
        tiles = config.tiles(m, share)
        cycles = _cycles(timing, tiles, tile.schedule, config.lanes)
        undrained = _cycles(replace(timing, result=0, output=0, drain_beats=0), tiles, tile.schedule, config.lanes)
        weight_bytes, row_bytes, written = _bytes(tile, config, m, layer.n)
        on_bus = machine.bus_cycles(weight_bytes + row_bytes, written)
        work = tile.schedule.groups[0]
        yield LayerCost(
            layer, m, _job(machine, m, share, layer.k, cycles, on_bus), cycles, undrained, on_bus,
            tiles.m_tiles * tiles.n_tiles * tile.schedule.cycles, weight_bytes, row_bytes + written, machine.engines,
            config.rows * config.cols * config.lanes / (work.terms * work.passes))


@lru_cache(maxsize=4096)
def _job(machine, m, n, k, cycles, on_bus):
    """Cycles of a layer from its start until its results are in memory."""
    tile, pace = machine.tile(k), max(1.0, machine.engines * machine.bus_bytes / machine.bytes_per_cycle)
    if max(cycles, on_bus) <= _FOLLOWED:
        job = MemoryImage(m, n, tile.fmt, tile.beats, {}, 0)
        return job_cycles(tile.layout, [job], machine.around, latency=machine.latency, pace=pace).cycles
    # Tiles are counted; then activations come, and in turn with them what other streams have room for; at the end the last
    # tile's results leave the engine, a burst of them is gathered, sent, and answered.
    tiles, timing, around = machine.config.tiles(m, n), machine.config.timing, machine.around
    counted = max(tiles.m_tiles, tiles.n_tiles)
    ahead = sum(_beats_ahead(tile, tiles, name, around) for name in tile.layout.inputs)
    last = timing.result + timing.drain_beats + timing.to_outputs
    return counted + 2 * machine.latency + around.burst + max(ceil(pace * ahead) + cycles, on_bus + last)


def _beats_ahead(tile, tiles, name, around):
    """Beats of a stream that come until the first activations are there."""
    layout, of_tile = tile.layout, tile.layout.pass_bytes("activations", tile.beats["activations"], tile.fmt)
    words = tile.beats[name] * (tiles.n_tiles if name in COLUMN_STREAMS else 1)
    room = around.burst * (around.outstanding if name in ("weights", "activations") else 2)
    beats = layout.pass_bytes(name, words, tile.fmt) // layout.bus_bytes
    return beats if name == "activations" else min(beats, room, of_tile // layout.bus_bytes)


def layer_bytes(machine: Machine, m: int, n: int, k: int) -> tuple[int, int]:
    """Bytes of a layer's weights with what goes with them, once a tile of rows; and of activations, once, and results."""
    weight_bytes, row_bytes, result_bytes = _bytes(machine.tile(k), machine.config, m, n)
    return weight_bytes, row_bytes + result_bytes


def _bytes(tile, config, m, n):
    """Bytes read of weights with what goes with them, once a tile of rows; of activations, once; of results."""
    layout, columns, rows = tile.layout, ceil(n / config.cols), ceil(m / config.rows)
    weight_bytes = rows * sum(layout.pass_bytes(name, columns * tile.beats[name], tile.fmt) for name in layout.columns)
    row_bytes = sum(layout.pass_bytes(name, rows * tile.beats[name], tile.fmt) for name in layout.rows)
    return weight_bytes, row_bytes, layout.outputs_bytes(m, n)
