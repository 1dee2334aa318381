# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make soc`: a LiteX SoC with a RISC-V core and two accelerators, simulated; its firmware runs products and checks them.

Each accelerator's master reaches two memories: one of its own, as wide as its bus, and whatever is on the SoC's bus.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SHAPES = (8, 64, 512), (8, 1536, 576)
"""M, N, K: eight tokens through a small layer, which the SoC's bus carries too, and through one of SmolLM2-135M."""
SCHEMES = "tender", "rsr"
SIZES = {"tender": {"rows": 4, "cols": 8, "lanes": 4, "drain": 4}, "rsr": {"rows": 4, "cols": 20, "lanes": 4, "drain": 4}}
"""Arrays that take a word of weights, 16 bytes, a cycle, and give a word of results of 16 bytes."""
AROUND = {"bus_bytes": 16, "buffer": 256}
"""The buffer holds the activations of a tile, K / lanes words."""
REGISTERS, OWN, RAM = 0x9000_0000, (0xA000_0000, 0xB000_0000), 0x4000_0000
GCC = "riscv64-unknown-elf-gcc"
CLOCK, ROM, MAIN, OWN_SIZE, LIMIT = 1_000_000, 0x4000, 0x10_0000, 0x20_0000, 100_000_000
"""Hertz, which nothing depends on; bytes of the ROM, of the SoC's RAM, of an accelerator's own memory; cycles."""
_USUAL = "WIDTH", "CASEINCOMPLETE", "COMBDLY", "BLKANDNBLK", "UNOPTFLAT", "PINMISSING", "MULTIDRIVEN", "UNSIGNED", "CMPCONST"
"""Warnings of Verilator about what LiteX and VexRiscv are written like; LiteX ignores all."""


def missing_tools():
    """Debian's packages that lack."""
    return [package for program, package in ((GCC, "gcc-riscv64-unknown-elf"), ("make", "make")) if not shutil.which(program)]


@dataclass(frozen=True)
class Product:
    """A product's parts of a memory, K, the results, and the engine's own cycles."""

    image: Any
    k: int
    expected: Any
    engine_cycles: int

    def operands(self):
        """Arrays one behind the other, each at a multiple of 64."""
        order = ("weights", "activations", "scales", "constants", "tokens")
        return b"".join(whole(self.image.images[name].tobytes()) for name in order if name in self.image.images)

    def room(self):
        """For the results."""
        return bytes(-(-self.image.output_bytes // 64) * 64)


def whole(octets):
    """Filled up to a multiple of 64 bytes."""
    return octets + bytes(-len(octets) % 64)


def prepare(name, build):
    """The Verilog of a scheme's accelerator, and its products."""
    from subbyte.cli.accelerators import write_accelerator
    from subbyte.schemes import scheme

    found = scheme(name)
    config = found.Config(**SIZES[name])
    write_accelerator(found, "accelerator", config, f"{name}_accelerator", build, around=AROUND)
    return [make_product(found, config, *shape) for shape in SHAPES]


def make_product(found, config, m, n, k):
    """Of random numbers."""
    import numpy as np

    from subbyte.golden.memory import MemoryLayout
    from subbyte.host.c_source import result_bytes

    rng, fmt = np.random.default_rng(1), found.format_for(None, config)
    qweight = found.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
    x = found.activations(rng.standard_normal((m, k)).astype(np.float32), config)
    product = found.product(x, qweight, config, **found.derived(x, qweight, config)[0])
    layout = MemoryLayout(config, AROUND["bus_bytes"])
    image = layout.image(product.inputs, m, n)
    cycles = config.timeline(m, n, config.schedule(qweight, x), "m_outer").cycles
    return Product(image, k, result_bytes(layout, product.outputs, m, n), cycles)


def numbers(octets, size):
    """Little-endian numbers of so many bytes."""
    return [int.from_bytes(octets[at:at + size], "little") for at in range(0, len(octets), size)]


def laid(parts, size):
    """Parts one behind the other in a memory of so many bytes: where each begins, and all of them."""
    places, octets = [], b""
    for part in parts:
        places.append(len(octets))
        octets += whole(part)
    if len(octets) > size:
        raise ValueError(f"the products must fit a memory of {size} bytes, not take {len(octets)}")
    return places, octets


def main_memory(products):
    """The SoC's RAM: for each product what must come, and of the first of a scheme operands and room for results."""
    parts = []
    for of_scheme in products.values():
        for product in of_scheme:
            parts += [product.expected.tobytes(), product.operands() + product.room() if product is of_scheme[0] else b""]
    return laid(parts, MAIN)


def own_memory(of_scheme):
    """An accelerator's: operands in the lower half; and where in the upper one the results of each product come."""
    half = OWN_SIZE // 2
    places, octets = laid([product.operands() for product in of_scheme], half)
    rooms, _ = laid([product.room() for product in of_scheme], half)
    return places, octets, [half + place for place in rooms]


def make_soc(build, products):
    """The SoC; its firmware is compiled when LiteX knows all addresses."""
    from litex.build.generic_platform import Pins, Subsignal
    from litex.build.sim import SimPlatform
    from litex.build.sim.platform import SimFinish
    from litex.gen import LiteXModule
    from litex.soc.integration.soc import SoCRegion
    from litex.soc.integration.soc_core import SoCCore
    from litex.soc.interconnect import axi
    from migen import ClockDomain
    from subbyte_litex import AcceleratorMemory, SubbyteAccelerator

    ends = [Subsignal(f"{side}_{part}", Pins(8 if part == "data" else 1))
            for side in ("source", "sink") for part in ("valid", "ready", "data")]
    platform = SimPlatform("SIM", [("sys_clk", 0, Pins(1)), ("sys_rst", 0, Pins(1)), ("serial", 0, *ends)])
    _, ram = main_memory(products)

    class Soc(SoCCore):
        """A RISC-V core with two accelerators, and a serial line that the simulation prints."""

        def __init__(self):
            self.crg = LiteXModule()
            self.crg.cd_sys = ClockDomain()
            clock, reset = platform.request("sys_clk"), platform.request("sys_rst")
            super().__init__(platform, CLOCK, cpu_type="vexriscv", uart_name="sim", timer_uptime=True,
                             integrated_rom_size=ROM, integrated_rom_init=[0], integrated_sram_size=0x2000,
                             integrated_main_ram_size=MAIN, integrated_main_ram_init=numbers(ram, 4))
            self.comb += [self.crg.cd_sys.clk.eq(clock), self.crg.cd_sys.rst.eq(reset), platform.trace.eq(0)]
            self.sim_finish = SimFinish()
            for number, (name, of_scheme) in enumerate(products.items()):
                self.add_accelerator(name, own_memory(of_scheme)[1], REGISTERS + (number << 16), OWN[number])

        def add_accelerator(self, name, octets, registers, origin):
            accelerator = SubbyteAccelerator(platform, build / f"{name}_accelerator.v")
            self.add_module(name, accelerator)
            width, ident = accelerator.memory.data_width, accelerator.memory.id_width
            near, far, port = (axi.AXIInterface(data_width=width, address_width=32, id_width=ident) for _ in range(3))
            memory = AcceleratorMemory(near, OWN_SIZE, numbers(octets, width // 8))
            self.add_module(f"{name}_memory", memory)
            top, low = origin >> 28, (width // 8).bit_length() - 1
            self.add_module(f"{name}_decoder", axi.AXIDecoder(port, [
                (lambda beat: beat[28 - low:] == top, near), (lambda beat: beat[28 - low:] != top, far)]))
            region = SoCRegion(origin=origin, size=OWN_SIZE, cached=False)
            self.bus.add_slave(f"{name}_memory", memory.bus, region)
            self.bus.add_master(f"{name}_far", far)
            accelerator.add_to(self, name, registers, port)

        def init_mems(self, **_):
            (build / "products.h").write_text(products_header(products))
            self.init_rom("rom", numbers(compile_firmware(build, build / "software/include"), 4))

    return Soc()


def products_header(products):
    """What the firmware knows of the products."""
    lines = ["#ifndef PRODUCTS_H", "#define PRODUCTS_H", "#include <generated/csr.h>", "#include <generated/soc.h>",
             '#include "subbyte.h"',
             "typedef struct {",
             "    subbyte_job job;",
             "    uint32_t engine_cycles, operands, results; /* in the accelerator's own memory */",
             "    uint32_t expected, far_operands, far_results; /* in the SoC's; 0: only expected is there */",
             "} product;",
             "typedef struct {",
             "    const char *name; uint32_t registers, interrupt; void (*enable)(void);",
             f"    product products[{len(SHAPES)}];",
             "} accelerator;",
             f"#define ACCELERATORS {len(products)}", f"#define PRODUCTS {len(SHAPES)}"]
    rows, places = [], iter(main_memory(products)[0])
    for number, (name, of_scheme) in enumerate(products.items()):
        lines.append(f"static void enable_{name}(void) {{ {name}_ev_enable_write(1); }}")
        rows.append(f'    {{"{name}", 0x{REGISTERS + (number << 16):x}, {name.upper()}_INTERRUPT, enable_{name}, {{')
        operands, _, results = own_memory(of_scheme)
        for which, product in enumerate(of_scheme):
            expected, far = (RAM + next(places) for _ in range(2))
            here = [product.engine_cycles, OWN[number] + operands[which], OWN[number] + results[which], expected,
                    *((far, far + len(product.operands())) if product is of_scheme[0] else (0, 0))]
            rows.append(f"     {{{job_source(product)},\n      {', '.join(f'0x{value:x}' for value in here)}}},")
        rows.append("    }},")
    return "\n".join([*lines, "static const accelerator accelerators[ACCELERATORS] = {", *rows, "};", "#endif", ""])


def job_source(product):
    """A job but for its addresses, as C has it."""
    image = product.image
    sizes = ", ".join(f".{stream} = {{0, {len(array)}}}" for stream, array in image.images.items())
    return (f"{{.m = {image.m}, .n = {image.n}, .k = {product.k}, .format = {image.format}, "
            f".weight_words = {image.beats['weights']}, .activation_words = {image.beats['activations']}, "
            f".scale_words = {image.beats.get('scales', 0)},\n      {sizes}, .outputs = {{0, {image.output_bytes}}}}}")


def compile_firmware(build, software):
    """The firmware's bytes."""
    import litex

    from subbyte.top.registers import write_driver

    packages = Path(litex.__file__).parent
    cpu, folder = packages / "soc/cores/cpu/vexriscv", build / "firmware"
    write_driver(folder)
    includes = [f"-I{path}" for path in (build, folder, software, cpu, packages / "soc/software/include")]
    machine = ["-march=rv32im_zicsr", "-mabi=ilp32"]
    own = [HERE / "firmware/main.c", folder / "subbyte.c"]
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-ffunction-sections", "-D__vexriscv__"]
    objects = []
    for source in (cpu / "crt0.S", *own):
        objects.append(folder / f"{source.stem}.o")
        run([GCC, *machine, *(flags if source.suffix == ".c" else []), *includes, "-c", source, "-o", objects[-1]])
    run([GCC, *machine, "-nostdlib", "-Wl,--gc-sections", f"-L{software}", "-T", HERE / "firmware/link.ld", *objects, "-lgcc",
         "-o", folder / "firmware.elf"])
    run([GCC.replace("gcc", "objcopy"), "-O", "binary", folder / "firmware.elf", folder / "firmware.bin"])
    octets = (folder / "firmware.bin").read_bytes()
    if len(octets) > ROM:
        raise ValueError(f"the firmware must fit the ROM of {ROM} bytes, not take {len(octets)}")
    return octets + bytes(ROM - len(octets))  # as long as the ROM, whose size LiteX else takes from it


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {command[0]} failed:\n{done.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="Example: python examples/litex/soc.py")
    parser.add_argument("--check", action="store_true", help="Only say which of Debian's packages lack.")
    parser.add_argument("--build", type=Path, default=Path("build/soc"), help="Where all of it goes; build/soc.")
    arguments = parser.parse_args()
    if lacking := missing_tools():
        sys.exit(f"error: make soc needs more programs. Debian/Ubuntu: apt install {' '.join(lacking)}")
    if arguments.check:
        return 0
    return simulate(arguments.build.resolve())


def simulate(build):
    """Build everything, run it; returns the exit code."""
    from subbyte.sim.verilate import build as compile_verilog
    from subbyte.tools.toolchain import build_root, prepare_environment

    begin = time.monotonic()

    def say(what):
        print(f"[{time.monotonic() - begin:4.0f} s] {what}", flush=True)

    prepare_environment()
    sys.path.insert(0, str(HERE))
    build.mkdir(parents=True, exist_ok=True)
    say(f"generating the accelerators of {' and '.join(SCHEMES)}, and products for each")
    products = {name: prepare(name, build) for name in SCHEMES}
    # LiteX looks for CPUs in the packages of the folder that it is imported in.
    os.environ["SUBBYTE_BUILD"] = str(build_root())
    os.chdir(build)
    from litex.soc.integration.builder import Builder

    say("making the SoC and its firmware")
    logging.disable(logging.INFO)  # LiteX describes the SoC at length
    soc = make_soc(build, products)
    Builder(soc, output_dir=str(build), compile_software=False).build(run=False)
    gateware = build / "gateware"
    say("compiling the simulation; it takes minutes")
    verilog = [gateware / "sim.v", *(Path(source) for source, *_ in soc.platform.sources if not source.endswith("sim.v"))]
    # LiteX writes the time into comments; without them the same SoC is compiled once.
    lines = [line for path in verilog for line in path.read_text().splitlines()
             if not line.startswith("//") or line.startswith("// verilator")]
    text = "\n".join([*(f"// verilator lint_off {code}" for code in _USUAL), *lines, ""])
    model = compile_verilog(text, "sim", kind="stream", sources={"main.cpp": (HERE / "main.cpp").read_text()},
                            random_power_up=False) / "model"
    say("running it; what follows is printed by the CPU")
    printed = ""
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with subprocess.Popen([model, str(LIMIT)], cwd=gateware, text=True, **pipes) as process:
        for line in process.stdout:
            print(line.rstrip(), flush=True)
            printed += line
    say("done")
    return 0 if "PASS" in printed and "FAIL" not in printed else 1


if __name__ == "__main__":
    sys.exit(main())
