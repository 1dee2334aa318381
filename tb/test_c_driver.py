# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bare-metal driver in C on the Verilated accelerator: products to the bit, the queue, the interrupt, each cause.

It compiles without a warning for this machine and for riscv32.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from subbyte.host.c_source import DRIVER, product_source
from subbyte.schemes import engines, scheme
from subbyte.sim import memory_model
from subbyte.sim.verilate import build
from subbyte.tb.test_memory_accelerator import cases_of, flat_outputs, small_config
from subbyte.tools.toolchain import compiler
from subbyte.top import emit
from subbyte.top.memory_accelerator import MemoryAccelerator
from subbyte.top.registers import register_map, write_driver

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Os", "-ffreestanding"]
RISCV = "riscv64-unknown-elf-gcc"
OK, PENDING, BUSY, TIMEOUT, UNKNOWN_JOB, CAUSE = 0, 1, 2, 6, 7, 16
CAUSES = {field.name: CAUSE + field.low for field in register_map()["ERRORS"].fields}
ARRAYS = ("weights", "activations", "scales", "constants", "tokens", "outputs")
PAGE = 4096


class Bench:
    """The driver's bench of an accelerator, and the memory."""

    def __init__(self, name, folder, latency=20, bandwidth=0.0, size=1 << 18):
        found, self.config = scheme(name), small_config(name)
        accelerator = MemoryAccelerator(found.part("engine").make(self.config), name, bus_bytes=8, burst=8, outstanding=4,
                                        buffer=32)
        self.layout, top = accelerator.layout, f"{name}_accelerator"
        written = write_driver(folder)
        sim = Path(memory_model.__file__)
        sources = {"driver_bench.cpp": Path(__file__).with_name("driver_bench.cpp").read_text(),
                   "memory_driver.inc": sim.with_name("memory_driver.cpp").read_text(),
                   "bus.h": f"#include <algorithm>\nstatic constexpr int BUS_BYTES = {accelerator.bus_bytes};\n",
                   **{path.name.replace("subbyte.c", "subbyte_c.inc"): path.read_text() for path in written}}
        model = build(emit.to_verilog(accelerator, top), top, kind="stream", sources=sources) / "model"
        file = folder / "memory"
        file.write_bytes(bytes(size))
        self.memory = np.memmap(file, np.uint8, "r+")
        self._process = subprocess.Popen([model, file, str(latency), str(bandwidth), "7"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def ask(self, command, *numbers):
        """The words of the answer."""
        self._process.stdin.write(" ".join(map(str, [command, *numbers])) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().split()

    def status(self, command, *numbers):
        return int(self.ask(command, *numbers)[0])

    def lay(self, k, product, at):
        """A product's arrays in memory from page ``at``; its job, and the end."""
        m, n = product.y.shape
        image, places = self.layout.image(product.inputs, m, n), {}
        for stream, array in image.images.items():
            self.memory[at:at + len(array)] = array
            places[stream] = at, len(array)
            at += -(-len(array) // PAGE) * PAGE
        places["outputs"] = at, image.output_bytes
        self.memory[at:at + image.output_bytes] = 0xA5
        job = {"m": m, "n": n, "k": k, "format": image.format, "weight_words": image.beats["weights"],
               "activation_words": image.beats["activations"], "scale_words": image.beats.get("scales", 0), **places}
        return job, at + -(-image.output_bytes // PAGE) * PAGE

    def came(self, job, product):
        """Whether its results are in memory, to the bit."""
        at, size = job["outputs"]
        return self.memory[at:at + size].tobytes() == flat_outputs(self.layout, product).tobytes()


def numbers_of(job, **changes):
    job = {**job, **changes}
    return [*(job[name] for name in list(job)[:7]), *(number for name in ARRAYS for number in job.get(name, (0, 0)))]


def done_of(product):
    """What a job that is done returns."""
    return CAUSES["DATA"] if product.errors or any(flags.any() for flags in product.flags.values()) else OK



@pytest.mark.long
@pytest.mark.parametrize("name", engines())
def test_driver(name, tmp_path):
    """Ragged products alone, queued, with the interrupt; then each cause that a program can bring about."""
    with Bench(name, tmp_path) as bench:
        config = bench.config
        cases = cases_of(scheme(name), config, np.random.default_rng(3))
        answer = bench.ask("open")
        sizes = [config.rows, config.cols, config.lanes, config.largest_k, 8, 2, 32]
        assert answer == ["0", name, *map(str, sizes)]
        jobs, at = [], 0
        for k, product in cases:
            job, at = bench.lay(k, product, at)
            jobs.append(job)
        for job, (_, product) in zip(jobs, cases, strict=True):
            assert bench.status("run", *numbers_of(job)) == done_of(product) and bench.came(job, product)
            bench.status("clear")
        check_queue(bench, jobs, [product for _, product in cases])
        check_interrupt(bench, jobs, [product for _, product in cases])
        check_causes(bench, jobs[1], cases[1][1])


def check_queue(bench, jobs, products):
    """All of them one after the other; numbers, and what is asked of others than jobs."""
    assert bench.status("reset") == OK
    for job in jobs:
        at, size = job["outputs"]
        bench.memory[at:at + size] = 0x5A
    for number, job in enumerate(jobs, 1):
        assert bench.ask("start", *numbers_of(job))[:2] == ["0", str(number)]
    assert bench.status("poll", len(jobs)) == PENDING
    assert bench.status("wait", len(jobs)) == max(map(done_of, products))
    assert all(bench.came(job, product) for job, product in zip(jobs, products, strict=True))
    assert bench.status("poll", 1) in (OK, CAUSES["DATA"])
    assert bench.status("poll", 0) == bench.status("poll", len(jobs) + 1) == UNKNOWN_JOB
    # A job that waits for a slow memory: more than the queue holds are refused, not lost.
    codes = [bench.status("try", *numbers_of(jobs[-1])) for _ in range(4)]
    assert codes[0] == OK and BUSY in codes
    assert bench.status("wait", len(jobs) + codes.count(OK)) == done_of(products[-1])


def check_interrupt(bench, jobs, products):
    """Without a poll in between a job is done when its interrupt came; without the interrupt nobody wakes up."""
    assert bench.status("reset") == OK and bench.status("interrupts", 1) == OK
    for number, (job, product) in enumerate(zip(jobs, products, strict=True), 1):
        assert bench.status("start", *numbers_of(job)) == OK
        assert bench.status("sleep", number) in (done_of(product), CAUSES["DATA"]) and bench.came(job, product)
    assert int(bench.ask("counters")[-1]) >= len(jobs)
    # A cause that stands until the reset interrupts once, not for ever; after the reset it would interrupt again.
    (at, size), job = jobs[1]["weights"], jobs[1]
    for _ in range(2):
        assert bench.status("reset") == OK and bench.ask("start", *numbers_of(job, weights=(at, size + 8)))[:2] == ["0", "1"]
        assert bench.status("sleep", 1) == CAUSES["LENGTH"] and bench.status("irq") == 0
    assert bench.status("reset") == OK
    events = int(bench.ask("counters")[-1])
    assert bench.status("interrupts", 0) == OK and bench.status("run", *numbers_of(jobs[0])) in (OK, CAUSES["DATA"])
    assert int(bench.ask("counters")[-1]) == events


def check_causes(bench, job, product):
    """Each leaves the device usable: at once if START was refused, after a reset if it halted."""
    (weights, size), k = job["weights"], job["k"]
    refused = {"SIZE": {"m": 0}, "ALIGNMENT": {"weights": (weights + 4, size)}, "BUFFER": {"activation_words": 33},
               "SETTINGS": {"k": bench.config.largest_k + 1}}
    halting = {"LENGTH": {"weights": (weights, size + 8)}, "READ": {"weights": (1 << 30, size)},
               "WRITE": {"outputs": (1 << 30, job["outputs"][1])}}
    assert bench.status("reset") == OK
    for cause, changes in refused.items():
        assert bench.status("run", *numbers_of(job, **changes)) == CAUSES[cause]
        assert bench.status("run", *numbers_of(job)) == done_of(product) and bench.came(job, product)
        bench.status("clear")
    for cause, changes in halting.items():
        assert bench.status("run", *numbers_of(job, **changes)) == CAUSES[cause], cause
        assert bench.status("start", *numbers_of(job)) == CAUSES[cause], "a halted device takes no job, and says why"
        assert bench.status("reset") == OK and bench.status("run", *numbers_of(job)) == done_of(product)
        assert bench.came(job, product)
    bench.status("window", 0, PAGE, 0)
    assert bench.status("run", *numbers_of(job, k=k, outputs=(8 * PAGE, job["outputs"][1]))) == CAUSES["WINDOW"]
    bench.status("window", 0, 0xFFFFFFFF, 0)
    assert bench.status("reset") == OK and bench.status("limit", 3) == OK
    assert bench.status("run", *numbers_of(job)) == TIMEOUT
    assert bench.status("limit", 0) == OK and bench.status("wait", 1) == done_of(product)
    assert bench.ask("text", CAUSES["BUFFER"])[0] == "BUFFER:" and bench.ask("text", 99) == ["unknown"]


def sources(folder):
    """The driver, a product, and the program of docs/system.md that uses them."""
    write_driver(folder)
    config, (k, product) = small_config("rsr"), cases_of(scheme("rsr"), small_config("rsr"), np.random.default_rng(1))[1]
    layout = memory_model.MemoryAccelerator(scheme("rsr").part("engine").make(config), "rsr", bus_bytes=8).layout
    image = layout.image(product.inputs, *product.y.shape)
    (folder / "product.c").write_text(product_source(image, k, "layer", flat_outputs(layout, product)))
    page = (Path(__file__).parents[1] / "docs" / "system.md").read_text()
    (folder / "program.c").write_text(page.split("```c\n")[1].split("```")[0])
    return [folder / "subbyte.c", folder / "product.c", folder / "program.c"]


@pytest.mark.parametrize("target", ["host", "riscv32"])
def test_it_compiles_without_a_warning(target, tmp_path):
    program, machine = shutil.which("gcc") or compiler(), []
    if target == "riscv32":
        if not shutil.which(RISCV):
            pytest.skip(f"{RISCV} is not installed (Debian: gcc-riscv64-unknown-elf)")
        program, machine = RISCV, ["-march=rv32i", "-mabi=ilp32"]
    for source in sources(tmp_path):
        done = subprocess.run([program, *machine, *WARNINGS, "-c", source, "-o", source.with_suffix(".o")], capture_output=True,
                              text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr
    if target == "riscv32":  # a register is read in one access, not byte by byte
        text = subprocess.run([program.replace("gcc", "objdump"), "-d", tmp_path / "subbyte.o"], capture_output=True, text=True,
                              check=True).stdout
        assert "lw\t" in text and "lbu\t" not in text and "lhu\t" not in text


def test_it_is_short_and_allocates_nothing():
    text = [path.read_text() for path in DRIVER]
    assert sum(len(part.splitlines()) for part in text) < 400
    assert not any(word in part for part in text for word in ("malloc(", "#include <stdlib", "#include <stdio"))
    assert all(f"SUBBYTE_{name}" in text[0] for name in CAUSES)


def test_a_product_of_other_results_is_refused():
    class Image:
        output_bytes = 8

    with pytest.raises(ValueError, match="expected must have the image's 8 bytes, not 4"):
        product_source(Image, 1, "layer", np.zeros(4, np.uint8))
