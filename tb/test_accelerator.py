# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Accelerators of all schemes, with clients of cocotbext-axi: whole ragged products to the bit, causes, soft resets."""

import importlib

import numpy as np
import pytest

from subbyte import __version__
from subbyte.golden.streams import pack_beats, payload_bits, unpack_beats
from subbyte.hdl.axi_stream import slot_bytes
from subbyte.schemes import engines, scheme
from subbyte.sim.cocotb_run import resolve_seed, run_bench
from subbyte.top.accelerator import StreamAccelerator
from subbyte.top.emit import to_verilog

BENCH = "subbyte.tb.bench_accelerator"
# Schemes side by side with widths of the bus: words longer than a beat, and several in one.
BUSES = (4, 16, 64)


def on_bus(config, name, words, bits, bus_bytes):
    """A stream's words as bytes in their slots, and where packets end (in words)."""
    fields = config.streams[name]
    slot, values = slot_bytes(bits, bus_bytes), unpack_beats(fields, words)
    if fields[-1].name == "last":
        ends = np.flatnonzero(values["last"]) + 1
        words = pack_beats(fields, **values | {"last": np.zeros_like(values["last"])})
    else:
        ends = np.arange(len(words)) + 1
    octets = np.zeros((len(words), slot), np.uint8)
    octets[:, :-(-bits // 8)] = words[:, :-(-bits // 8)]
    return octets, [int(size) * slot for size in np.diff(ends, prepend=0)]


def format_of(config):
    """Where the format is in a word of weights, the codes that are taken and one that is not; None if there is but one."""
    low = 0
    for item in config.streams["weights"]:
        width = payload_bits((item,))
        if item.name == "format":
            taken = list(config.formats_taken)
            unknown = next((code for code in range(1 << width) if code not in taken), None)
            return {"low": low, "width": width, "taken": taken, "unknown": unknown} if len(taken) > 1 else None
        low += width
    return None


def given_of(accelerator, cases):
    """Parameters of the bench."""
    config, bus = accelerator.config, accelerator.bus_bytes
    arrays, described = {}, []
    for index, case in enumerate(cases):
        cuts = {}
        for name, words in {**case.product.inputs, "outputs": case.product.outputs}.items():
            arrays[f"{name}_{index}"], cuts[name] = on_bus(config, name, words, accelerator.bits(name), bus)
        m, n = case.product.y.shape
        words = len(case.product.inputs["weights"])
        described.append({"name": case.name, "m": m, "n": n, "cuts": cuts, "words": words,
                          "beats": int(case.product.timeline.beats[0]),
                          "causes": ["DATA"] if case.product.errors else []})
    slots = {name: slot_bytes(accelerator.bits(name), bus) for name in config.streams}
    sizes = {name: -(-accelerator.bits(name) // 8) for name in config.streams}
    return {"cases": described, "format": format_of(config), "inputs": list(accelerator.inputs), "slots": slots, "sizes": sizes,
            "several_words": len(cases) - 1, **arrays}


@pytest.mark.long
@pytest.mark.parametrize("name, bus_bytes", [(name, BUSES[i % len(BUSES)]) for i, name in enumerate(engines())])
def test_streams(name, bus_bytes):
    tests, found, seed = importlib.import_module(f"subbyte.tb.test_{name}"), scheme(name), resolve_seed()
    config = next(iter(tests.CONFIGS.values()))
    cases = sorted(tests.engine_cases(config, np.random.default_rng(seed)), key=lambda case: case.product.timeline.cycles)
    long = next(case for case in cases if case.product.timeline.beats[0] > 2 and not case.product.errors)
    cases = [*(case for case in cases[:3] if case is not long), long]
    accelerator = StreamAccelerator(found.part("engine").make(config), name, bus_bytes=bus_bytes)
    top = f"{name}_accelerator_stream"
    major, minor, patch = map(int, __version__.split("."))
    identity = {"VERSION.MAJOR": major, "VERSION.MINOR": minor, "VERSION.PATCH": patch, "TILE.ROWS": config.rows,
                "SCHEME_LOW.NAME": int.from_bytes(name[:4].encode(), "little"), "TILE.COLS": config.cols,
                "CAPABILITIES.BUS_BYTES": bus_bytes, "LARGEST_K.ELEMENTS": config.largest_k}
    given = given_of(accelerator, cases)
    run_bench(to_verilog(accelerator, top), top, BENCH, seed=seed,
              parameters={"seed": seed, "identity": identity, **given})
