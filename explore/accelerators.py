# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Default accelerators in figures: `python -m subbyte.explore.accelerators [SCHEME...]` prints docs/accelerator.md's tables.

SmolLM2's layers as one list of jobs against what engine and bus allow; a layer in every format against what the memory gives.
Every number is predicted (:mod:`subbyte.golden.job_cycles`), exactly, for random operands.
"""

import sys
from collections.abc import Iterator, Sequence

from ..golden.job_cycles import Surroundings, job_cycles
from ..golden.memory import MemoryImage
from ..schemes import Scheme, engines, scheme
from .performance import Machine
from .shapes import NAMED, Layer

__all__ = ["job_list", "main", "roofline_rows"]

TOKENS, LATENCY = 8, 100
_BANDWIDTHS = (64, 32, 16, 8)


def _machine(found: Scheme, fmt: str) -> Machine:
    """The default accelerator for a format."""
    parameters, around = found.accelerator
    config = found.config_of(fmt, **parameters)
    surroundings = Surroundings(**{name: value for name, value in around.items() if name != "bus_bytes"})
    return Machine(found, fmt, config, bus_bytes=around["bus_bytes"], around=surroundings)


def _job(machine: Machine, layer: Layer, m: int) -> MemoryImage:
    tile = machine.tile(layer.k)
    return MemoryImage(m, layer.n, tile.fmt, tile.beats, {}, tile.layout.outputs_bytes(m, layer.n))


def _needs(machine: Machine, layer: Layer, m: int) -> tuple[int, int, int]:
    """Cycles of the engine, beats read, beats written."""
    tile, layout = machine.tile(layer.k), machine.tile(layer.k).layout
    tiles = machine.config.tiles(m, layer.n, "m_outer")
    cycles = machine.config.timeline(m, layer.n, tile.schedule, "m_outer").cycles
    read = sum(layout.pass_bytes(name, tiles.n_tiles * tile.beats[name], tile.fmt) * tiles.m_tiles for name in layout.columns)
    read += sum(layout.pass_bytes(name, tiles.m_tiles * tile.beats[name], tile.fmt) for name in layout.rows)
    return cycles, read // layout.bus_bytes, layout.outputs_bytes(m, layer.n) // layout.bus_bytes


def job_list(found: Scheme) -> tuple[int, int, int, float]:
    """Cycles of the engine, beats read and cycles of SmolLM2's layers as one list of jobs; their share of the larger."""
    machine = _machine(found, found.format_for(None, found.Config(**found.accelerator[0])))
    layers = NAMED["SmolLM2-135M"].layers
    needs = [_needs(machine, layer, TOKENS) for layer in layers]
    engine, read = sum(need[0] for need in needs), sum(need[1] for need in needs)
    jobs = [_job(machine, layer, TOKENS) for layer in layers]
    cycles = job_cycles(machine.tile(576).layout, jobs, machine.around, latency=LATENCY).cycles
    return engine, read, cycles, max(engine, read) / cycles


def roofline_rows(found: Scheme) -> Iterator[tuple[str, int, float, list[int]]]:
    """Of each format, a layer of 576 x 576: cycles of the engine, bytes a cycle that keep it busy, cycles by bandwidth.

    Formats of the same figures are one.
    """
    config, layer, alike = found.Config(**found.accelerator[0]), Layer("q", 576, 576), {}
    for fmt in found.formats:
        if found.takes(fmt, config):
            machine = _machine(found, fmt)
            alike.setdefault(_needs(machine, layer, TOKENS), (machine, []))[1].append(fmt)
    for (cycles, read, written), (machine, formats) in alike.items():
        size, job = machine.bus_bytes, _job(machine, layer, TOKENS)
        taken = [job_cycles(machine.tile(576).layout, [job], machine.around, latency=LATENCY,
                            pace=size / min(size, bandwidth)).cycles for bandwidth in _BANDWIDTHS]
        yield ", ".join(formats), cycles, (read + written) * size / cycles, taken


def main(names: Sequence[str]) -> int:
    """Print the tables; returns the exit code."""
    chosen = [scheme(name) for name in names or engines()]
    print(f"| scheme | engine | bus | cycles at {TOKENS} tokens, latency {LATENCY} | share of the larger |")
    print("|---|---|---|---|---|")
    for found in chosen:
        engine, read, cycles, share = job_list(found)
        print(f"| {found.name} | {engine:,} | {read:,} | {cycles:,} | {share:.1%} |", flush=True)
    print("\n| scheme | format | engine | bytes a cycle | " + " | ".join(f"{bandwidth} B" for bandwidth in _BANDWIDTHS) + " |")
    print("|---|---|---|---|" + "---|" * len(_BANDWIDTHS))
    for found in chosen:
        for fmt, cycles, needed, taken in roofline_rows(found):
            by_bandwidth = " | ".join(f"{count:,}" for count in taken)
            print(f"| {found.name} | {fmt} | {cycles:,} | {needed:.1f} | {by_bandwidth} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
