# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Jobs of the memory form take exactly as long as predicted: all schemes, ragged shapes, alone and queued, any latency."""

from dataclasses import replace

import numpy as np
import pytest

from subbyte.golden.job_cycles import Surroundings, job_cycles
from subbyte.host import Accelerator
from subbyte.schemes import scheme
from subbyte.sim.memory_model import SimulatedAccelerator
from subbyte.tb import test_bitmod
from subbyte.tb.test_memory_accelerator import small_config

AROUND = {"burst": 8, "outstanding": 4, "buffer": 32}


class Watched(SimulatedAccelerator):
    """Remembers when jobs were started."""

    starts = ()

    def write(self, address, value):
        super().write(address, value)
        if address == self.registers["CONTROL"].address and value & 1:
            self.starts = (*self.starts, self.cycle)


def products(found, driver, config):
    """Packed products of ragged shapes, all formats of the engine in turn."""
    rng, rows, cols, lanes = np.random.default_rng(1), config.rows, config.cols, config.lanes
    formats = [fmt for fmt in found.formats if found.takes(fmt, config)]
    shapes = [(1, 1, 1), (2 * rows + 1, 2 * cols + 1, 3 * lanes - 1), (rows, 4 * cols, lanes),
              (rows + 1, 3 * cols, 6 * lanes + 1), (3 * rows, 5 * cols, 9 * lanes)]
    for index, (m, n, k) in enumerate(shapes):
        fmt, k = formats[index % len(formats)], min(k, config.largest_k)
        qweight = found.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
        x = found.activations(rng.standard_normal((m, k)).astype(np.float32), config)
        yield driver.pack(x, qweight, **found.derived(x, qweight, config)[0])


def check(found, config, bus_bytes, latency, pace=1.0):
    bandwidth = bus_bytes / pace
    with Watched(found, config, latency=latency, bandwidth=bandwidth, size=1 << 18, bus_bytes=bus_bytes, **AROUND) as backend:
        driver, around = Accelerator(backend), Surroundings(**AROUND)

        def predict(packed, **more):
            jobs = [part[0] for product in packed for part in product.parts]
            return job_cycles(backend.layout, jobs, around, **{"latency": latency, "pace": pace, **more})

        def measure(packed):
            driver.reset()
            backend.starts = ()
            driver.run(packed)
            counts = driver.counters()
            return counts["cycles"], counts["read_beats"]

        packed = list(products(found, driver, config))
        for product in packed:
            expected = predict([product])
            assert measure([product]) == (expected.cycles, expected.read_beats), f"{product.m} x {product.n} x {product.k}"
        found_cycles = measure(packed)
        starts = [start - backend.starts[0] for start in backend.starts]
        expected = predict(packed, starts=starts)
        assert found_cycles == (expected.cycles, expected.read_beats)
        assert len(expected.done) == len(packed) and list(expected.done) == sorted(expected.done)
        # A prediction of something else is not equal by chance.
        assert predict(packed, starts=starts, latency=latency + 2).cycles != expected.cycles


@pytest.mark.long
def test_cycles_of_tender():
    check(scheme("tender"), small_config("tender"), 8, 0)
    check(scheme("tender"), small_config("tender"), 8, 20, 2.5)
    with pytest.raises(ValueError, match="starts must leave room in the queue, not have 1 for job 1"):
        config = small_config("tender")
        found = scheme("tender")
        with Watched(found, config, size=1 << 18, bus_bytes=8, **AROUND) as backend:
            jobs = [next(products(found, Accelerator(backend), config)).parts[0][0]] * 2
            job_cycles(backend.layout, jobs, Surroundings(**AROUND), starts=(0, 1))


CASES = {
    "bitmod_serial": (test_bitmod.CONFIGS["default_formats"], 16, 0),
    "bitmod_dense": (small_config("bitmod"), 32, 60),  # several results a beat, the last one's answer waited for
    "bitmod_found": (replace(small_config("bitmod"), exponents="found"), 8, 25),
    "tender": (small_config("tender"), 4, 37),
    "rsr": (small_config("rsr"), 8, 0),
    "bipolar": (small_config("bipolar"), 8, 0),
    "bcq": (small_config("bcq"), 8, 100),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_cycles(name):
    config, bus_bytes, latency = CASES[name]
    check(scheme(name.split("_")[0]), config, bus_bytes, latency)
