# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The driver, on the Verilated accelerator in front of a simulated DRAM, on a device mapped from files, on a serial line."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from subbyte.explore import NAMED, Machine, cost_of
from subbyte.golden import tender
from subbyte.golden.job_cycles import Surroundings, job_cycles
from subbyte.golden.memory import MemoryLayout
from subbyte.host import Accelerator, AcceleratorError, MappedDevice, SerialDevice
from subbyte.schemes import engines, scheme
from subbyte.sim.memory_model import SimulatedAccelerator
from subbyte.sim.serial_line import SimulatedLine
from subbyte.tb.test_job_cycles import Watched
from subbyte.tb.test_memory_accelerator import flat_outputs, small_config
from subbyte.top.registers import MagicId, register_map

SMALL = {"bus_bytes": 8, "burst": 8, "outstanding": 4, "buffer": 32}
SMOLLM2 = {"q": (576, 576), "k": (192, 576), "v": (192, 576), "o": (576, 576), "gate": (1536, 576), "up": (1536, 576),
           "down": (576, 1536)}
"""N and K of the linear layers of a block."""


def operands(found, config, rng, m, n, k):
    fmt = found.format_for(None, config)
    qweight = found.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
    return found.activations(rng.standard_normal((m, k)).astype(np.float32), config), qweight


def check_long_k(driver, x, qweight, **terms):
    """K beyond sums or buffer: the parts' results, each golden's to the bit, added one after the other."""
    backend = driver.backend
    found, config = backend.scheme, backend.config
    parts = found.parts_of(x, qweight, config, backend.words, **terms)
    assert len(parts) > 1 and max(found.words_of(*part, config) for *part, _ in parts) <= backend.words
    ys = [found.product(*part, config, **more).y for *part, more in parts]
    expected = ys[0]
    for y in ys[1:]:
        expected = (expected + y).astype(y.dtype)
    assert driver.matmul(x, qweight, **terms).tobytes() == expected.tobytes()


def test_driver():
    """Products of any size to the bit, queued and alone, slow memory and fast; causes as exceptions that leave it usable."""
    found, config, rng = scheme("tender"), small_config("tender"), np.random.default_rng(1)
    with SimulatedAccelerator(found, config, latency=40, bandwidth=5, size=1 << 18, **SMALL) as backend:
        driver = Accelerator(backend)
        assert driver.info() | {"version": ""} == {
            "scheme": "tender", "version": "", "rows": config.rows, "cols": config.cols, "lanes": config.lanes,
            "drain": config.drain, "largest_k": config.largest_k, "buffer_words": 32, "bus_bytes": 8, "queue": 2}
        shapes = (1, 1, 1), (5, 9, 30), (3, 30, 64), (2, 4, 4), (4, 8, 20)
        several = [operands(found, config, rng, *shape) for shape in shapes]
        for (x, qweight), y in zip(several, driver.matmul_all(several), strict=True):
            assert y.tobytes() == found.product(x, qweight, config).y.tobytes()
        counts = driver.counters()
        images = [image for pair in several for image, _, _ in driver.pack(*pair).parts]
        read, written = np.sum([backend.layout.traffic(image) for image in images], axis=0)
        assert (counts["bytes_read"], counts["bytes_written"], counts["bus_errors"]) == (read, written, 0)
        check_long_k(driver, *operands(found, config, rng, 5, 9, 400))
        rows = rng.standard_normal((9, 30)).astype(np.float32)
        chunks = tender.decompose(rows, 4, 8, chunk_size=4, channel_bias=False), several[1][1]
        assert len(chunks[0].xq) == 3
        assert driver.matmul(*chunks).tobytes() == found.product(*chunks, config).y.tobytes()
        whole, backend.memory = backend.memory, backend.memory[:5 << 12]  # too small: in parts
        parted = operands(found, config, rng, 7, 300, 60)
        assert len(driver.pack(*parted).parts) > 1
        assert driver.matmul(*parted).tobytes() == found.product(*parted, config).y.tobytes()
        backend.memory = backend.memory[:1 << 12]
        with pytest.raises(AcceleratorError, match="room must hold a tile's 16384 bytes, not 4096"):
            driver.matmul(*parted)
        backend.memory = whole
        backend.base = 1 << 30
        with pytest.raises(AcceleratorError, match="READ: the memory refused a read") as caught:
            driver.matmul(*several[0])
        assert caught.value.causes == ("READ",)
        backend.base = 0
        assert driver.matmul(*several[1]).tobytes() == found.product(*several[1], config).y.tobytes()


class StandIn(threading.Thread):
    """A device in two files that answers a job with what is right."""

    def __init__(self, folder, identity, outputs):
        super().__init__(daemon=True)
        self.registers, self.memory = folder / "registers", folder / "memory"
        self.registers.write_bytes(bytes(4096))
        self.memory.write_bytes(bytes(1 << 16))
        self.words, self.outputs = np.memmap(self.registers, "<u4"), outputs
        self.octets, self.stopped = np.memmap(self.memory, np.uint8), threading.Event()
        for name, value in identity.items():
            self.words[register_map()[name].address >> 2] = value

    def run(self):
        places = {name: register.address >> 2 for name, register in register_map().items()}
        while not self.stopped.wait(0.001):
            if self.words[places["CONTROL"]] & 1:
                self.words[places["CONTROL"]] = 0
                at = int(self.words[places["OUTPUTS_BASE"]]) - 0x10000000
                self.octets[at:at + len(self.outputs)] = self.outputs
                self.words[places["INTERRUPT"]] = 1


def test_mapped_device(tmp_path):
    """Registers and buffer in files, as /dev/uio0 and a contiguous buffer are."""
    found, config, rng = scheme("tender"), small_config("tender"), np.random.default_rng(1)
    layout = MemoryLayout(config, 8)
    x, qweight = operands(found, config, rng, 3, 6, 20)
    product = found.product(x, qweight, config)
    identity = {"ID": MagicId, "SCHEME_LOW": int.from_bytes(b"tend", "little"), "SCHEME_HIGH": int.from_bytes(b"er", "little"),
                "TILE": config.rows | config.cols << 16, "WORD": config.lanes, "CAPABILITIES": 8 << 8 | 1 << 18, "BUFFER": 32}
    device = StandIn(tmp_path, identity, flat_outputs(layout, product))
    device.start()
    about = {"config": config, "layout": layout, "registers": register_map()}
    backend = MappedDevice(device.registers, device.memory, 0x10000000, scheme=found, **about)
    driver = Accelerator(backend)
    packed = driver.pack(x, qweight)
    backend.write(register_map()["STATUS"].address, 1)  # busy until the stand-in is through
    threading.Timer(0.2, backend.write, (register_map()["STATUS"].address, 0)).start()
    assert driver.run([packed])[0].tobytes() == product.y.tobytes()
    device.stopped.set()
    with pytest.raises(AcceleratorError, match="must have .*'scheme': 'bcq'"):
        Accelerator(MappedDevice(device.registers, device.memory, 0, scheme=scheme("bcq"), **about))
    backend.write(0, 0)
    with pytest.raises(AcceleratorError, match="ID must be 0x53425954, not 0x0"):
        Accelerator(backend)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in engines() if name != "tender"])
def test_long_k(name):
    """As of Tender above."""
    found, config, rng = scheme(name), small_config(name), np.random.default_rng(1)
    with SimulatedAccelerator(found, config, latency=40, bandwidth=5, size=1 << 18, **SMALL) as backend:
        driver = Accelerator(backend)
        check_long_k(driver, *operands(found, config, rng, 3, 5, 5 * backend.words * config.lanes // 2))


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name == "tender" else pytest.mark.long) for name in engines()])
def test_serial_device(name):
    """The bare engine over a line, bit by bit: products of any size to the bit; a device that is another, or none."""
    found, config, rng = scheme(name), small_config(name), np.random.default_rng(1)
    with SimulatedLine(found, config) as line:
        backend = SerialDevice(line, line.ports, scheme=found, config=config)
        driver = Accelerator(backend)
        assert driver.info() == {
            "scheme": name, "protocol": 1, "identity": f"{line.ports.identity:08x}", "rows": config.rows, "cols": config.cols,
            "lanes": config.lanes, "drain": config.drain, "largest_k": config.largest_k}
        shapes = (1, 1, 1), (config.rows + 1, 2 * config.cols + 1, min(3 * config.lanes + 1, config.largest_k))
        several = [operands(found, config, rng, *shape) for shape in shapes]
        for (x, qweight), y in zip(several, driver.matmul_all(several), strict=True):
            assert y.tobytes() == found.product(x, qweight, config).y.tobytes()
        words = [stream for pair in several for stream in driver.pack(*pair).parts.values()]
        assert driver.counters()["bytes_sent"] >= sum(len(stream) * (1 + stream.shape[1]) for stream in words)
        spoilt = driver.pack(*several[1])
        spoilt.parts["weights"] = np.concatenate([spoilt.parts["weights"][:1], spoilt.parts["weights"]])
        with pytest.raises(AcceleratorError, match="K_MISMATCH: weights and activations disagree") as caught:
            driver.run([spoilt])
        assert "K_MISMATCH" in caught.value.causes
        assert driver.matmul(*several[0]).tobytes() == found.product(*several[0], config).y.tobytes()
        line.write(line.ports.word("weights", 0) * (line.ports.credits("weights") + 2))
        with pytest.raises(AcceleratorError, match="took a word of weights that was not sent|OVERRUN: the line lost bytes"):
            driver.matmul(*several[0])
        with pytest.raises(AcceleratorError, match="must have protocol 1 and identity"):
            Accelerator(SerialDevice(line, replace(line.ports, buffer_bytes=4096), scheme=found, config=config))
        with pytest.raises(AcceleratorError, match="ports must be streams of"):
            other = next(other for other in engines() if other != name)
            Accelerator(SerialDevice(line, line.ports, scheme=scheme(other), config=small_config(other)))
        line.send_break = lambda duration: None  # nobody hears it
        with pytest.raises(AcceleratorError, match="the device is silent"):
            driver.reset()


@pytest.mark.long
@pytest.mark.parametrize("name", engines())
def test_seven_layers(name):
    """SmolLM2's layers at 8 tokens, queued, 100 cycles of latency: 95 % of what engine and bus allow, both predicted; what the
    driver's Python takes beside the model's process."""
    found, rng = scheme(name), np.random.default_rng(1)
    parameters, around = found.accelerator
    config = found.Config(**parameters)
    with Watched(found, config, latency=100, size=1 << 24, **around) as backend:
        driver = Accelerator(backend)
        several = [operands(found, config, rng, 8, *shape) for shape in SMOLLM2.values()]
        driver.reset()
        backend.starts = ()
        packed = [driver.pack(*pair) for pair in several]
        results = driver.run(packed)
        counts = driver.counters()
        starts = [start - backend.starts[0] for start in backend.starts]
        driver.reset()
        simulated, python = backend.seconds, time.process_time()
        driver.matmul(*several[-1])
        simulated, python = backend.seconds - simulated, time.process_time() - python
        alone = driver.counters()["cycles"]
    engine = bus = 0
    for (x, qweight), job, y in zip(several, packed, results, strict=True):
        product = found.product(x, qweight, config)
        assert y.tobytes() == product.y.tobytes()
        engine += config.timeline(*y.shape, config.schedule(qweight, x), "m_outer").cycles
        bus += backend.layout.traffic(job.parts[0][0])[0] // backend.layout.bus_bytes
    assert counts["read_beats"] == bus
    jobs, surroundings = [job.parts[0][0] for job in packed], Surroundings(buffer=around.get("buffer", 256))
    assert counts["cycles"] == job_cycles(backend.layout, jobs, surroundings, latency=100, starts=starts).cycles
    machine = Machine(found, found.format_for(None, config), config, bandwidth=1e12, bus_bytes=backend.layout.bus_bytes,
                      around=surroundings)
    planned = next(cost.cycles for cost in cost_of(machine, NAMED["SmolLM2-135M"], 8).layers if cost.layer.k == 1536)
    if name != "tender":  # the beats of its groups follow the activations
        assert abs(planned / alone - 1) < 0.02, (planned, alone)
    share = max(engine, bus) / counts["cycles"]
    print(f"{name}: engine {engine}, bus {bus}, measured {counts['cycles']} cycles: {share:.1%}; "
          f"processor time of a layer: model {simulated:.2f} s, Python {python:.3f} s, {python / simulated:.1%} of it")
    assert share >= 0.95
    assert python < 0.1 * simulated
