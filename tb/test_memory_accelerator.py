# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Accelerators in front of a memory, all schemes: whole ragged products to the bit, causes, windows, soft resets."""

import importlib

import numpy as np
import pytest
from amaranth.hdl import Const, Mux, Signal

from subbyte.hdl import axi_read
from subbyte.schemes import engines, scheme
from subbyte.sim.cocotb_run import resolve_seed, run_bench
from subbyte.top.emit import to_verilog
from subbyte.top.memory_accelerator import MemoryAccelerator

BENCH = "subbyte.tb.bench_memory_accelerator"
# Schemes side by side with widths of the bus.
BUSES = (4, 8, 16)


def small_config(name):
    """A small engine, BitMoD's dense."""
    tests = importlib.import_module(f"subbyte.tb.test_{'bitmod_dense' if name == 'bitmod' else name}")
    return next(iter(tests.CONFIGS.values()))


def product_of(found, config, rng, m, n, k, fmt=None):
    """A product of random numbers."""
    fmt = found.format_for(fmt, config)
    qweight = found.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
    x = found.activations(rng.standard_normal((m, k)).astype(np.float32), config)
    return found.product(x, qweight, config, **found.derived(x, qweight, config)[0])


def flat_outputs(layout, product):
    """Bytes of results as they lie in memory."""
    config, (m, n) = layout.config, product.y.shape
    tiles, bits = config.tiles(m, n), layout.word_bits("outputs")
    unit = layout.units("outputs") * layout.unit_bits("outputs")
    words = np.unpackbits(product.outputs, axis=1, bitorder="little")[:, :bits]
    words = np.pad(words, ((0, 0), (0, unit - bits))).reshape(tiles.n_tiles, tiles.m_tiles, -1).transpose(1, 0, 2).reshape(-1)
    return np.packbits(np.pad(words, (0, -len(words) % layout.bus_bits)), bitorder="little")


def given_of(layout, cases):
    """Parameters of the bench."""
    arrays, described = {}, []
    for index, (k, product) in enumerate(cases):
        m, n = product.y.shape
        image = layout.image(product.inputs, m, n)
        flagged = bool(product.errors) or any(flags.any() for flags in product.flags.values())
        described.append({"name": f"{m}x{n}x{k}", "m": m, "n": n, "k": k, "format": image.format, "beats": dict(image.beats),
                          "traffic": list(layout.traffic(image)), "causes": ["DATA"] if flagged else []})
        arrays |= {f"{name}_{index}": array for name, array in image.images.items()}
        arrays[f"outputs_{index}"] = flat_outputs(layout, product)
        assert len(arrays[f"outputs_{index}"]) == image.output_bytes
    return {"cases": described, "inputs": list(layout.inputs), "bus_bytes": layout.bus_bytes, **arrays}


def cases_of(found, config, rng):
    """Ragged shapes, and formats in turn."""
    rows, cols, lanes = config.rows, config.cols, config.lanes
    formats = [fmt for fmt in found.formats if found.takes(fmt, config)]
    shapes = [(1, 1, 1), (2 * rows + 1, 2 * cols + 1, 3 * lanes - 1), (rows, 4 * cols, lanes),
              (rows + 1, 3 * cols, min(6 * lanes + 1, config.largest_k))]
    return [(k, product_of(found, config, rng, m, n, k, formats[index % len(formats)]))
            for index, (m, n, k) in enumerate(shapes)]


def check(name, bus_bytes, testcase=None):
    """Run the bench on a small accelerator of a scheme."""
    found, config, seed = scheme(name), small_config(name), resolve_seed()
    cases = cases_of(found, config, np.random.default_rng(seed))
    accelerator = MemoryAccelerator(found.part("engine").make(config), name, bus_bytes=bus_bytes, burst=8, outstanding=4,
                                    buffer=32)
    top = f"{name}_accelerator"
    run_bench(to_verilog(accelerator, top), top, BENCH, seed=seed,
              parameters={"seed": seed, "largest": len(cases) - 1, "resets": 2, **given_of(accelerator.layout, cases)},
              testcase=testcase)


@pytest.mark.long
@pytest.mark.parametrize("name, bus_bytes", [(name, BUSES[i % len(BUSES)]) for i, name in enumerate(engines())])
def test_memory(name, bus_bytes):
    check(name, bus_bytes)


def _over_pages(m, beat, left, burst):
    """Bursts of full length from anywhere."""
    more = Signal(range(burst), name="more")
    m.d.comb += more.eq(Mux(left > burst, burst - 1, left - 1))
    return more


@pytest.mark.long
@pytest.mark.parametrize("fault, testcase", [("pages", "products"), ("window", "windows"), ("codes", "products")])
def test_faults_are_detected(fault, testcase, monkeypatch):
    """Bursts over the ends of pages, a window that nobody looks at, codes that stay as they lie in memory."""
    if fault == "pages":
        monkeypatch.setattr(axi_read, "burst_length", _over_pages)
    elif fault == "window":
        monkeypatch.setattr(MemoryAccelerator, "_in_window", lambda self, beat: Const(1))
    else:
        monkeypatch.setattr(MemoryAccelerator, "_codes", lambda self, word, width, fmt: word[:width])
    with pytest.raises(AssertionError, match="tests failed"):
        check("bitmod" if fault == "codes" else "tender", 8, testcase)
