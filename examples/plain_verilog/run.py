# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run an accelerator's Verilog in a plain Verilog bench with Icarus Verilog.

Writes ``rsr_accelerator_stream.v``, the beats of a ragged ternary product and ``words.vh`` into a folder, and runs ``bench.v``
there.
"""

import subprocess
import sys
from pathlib import Path

import click
import numpy as np

from subbyte.golden import rsr
from subbyte.golden.streams import unpack_beats
from subbyte.hdl.axi_stream import slot_bytes
from subbyte.schemes import scheme
from subbyte.tools.toolchain import check_icarus
from subbyte.top import RsrEngine, emit
from subbyte.top.accelerator import StreamAccelerator
from subbyte.top.registers import MagicId, register_map

BENCH = Path(__file__).with_name("bench.v")
BUS_BYTES = 8


def beats_of(accelerator, name, words):
    """A stream's words on its bus, as hexadecimal {tlast, tkeep, tdata}: a packet a tile."""
    slot = slot_bytes(accelerator.bits(name), BUS_BYTES)
    values = unpack_beats(accelerator.config.streams[name], words)
    last = values.get("last", np.ones(len(words), bool)).astype(bool)
    octets = np.zeros((len(words), slot), np.uint8)
    payload = -(-accelerator.bits(name) // 8)
    octets[:, :payload] = words[:, :payload]
    if "last" in values and accelerator.bits(name) % 8:  # `last`, the payload's top bit, is TLAST on the bus
        octets[:, payload - 1] &= (1 << accelerator.bits(name) % 8) - 1
    lines = []
    for packet in np.split(octets, np.flatnonzero(last)[:-1] + 1):
        packet = packet.tobytes()
        for start in range(0, len(packet), BUS_BYTES):
            beat = packet[start:start + BUS_BYTES]
            is_last, keep = start + BUS_BYTES >= len(packet), (1 << len(beat)) - 1
            lines.append(f"{is_last << 72 | keep << 64 | int.from_bytes(beat, 'little'):019x}")
    return lines


def prepare(folder):
    """Write the Verilog, the beats and the sizes."""
    config = rsr.RsrConfig(rows=2, cols=4, lanes=16, drain=2)
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((10, 200)).astype(np.float32), rng.standard_normal((3, 200)).astype(np.float32)
    product = scheme("rsr").product(rsr.quantize_activations(x), rsr.quantize(weight, config.granularity), config)
    accelerator = StreamAccelerator(RsrEngine(config), "rsr", bus_bytes=BUS_BYTES)
    emit.write(accelerator, "rsr_accelerator_stream", folder / "rsr_accelerator_stream.v")
    registers = register_map()
    sizes = {name: f"7'h{registers[name].address:x}" for name in ("ID", "INTERRUPT_ENABLE", "M", "N", "CONTROL", "ERRORS")}
    sizes |= {"START": registers["CONTROL"].field("START").mask, "MAGIC": f"32'h{MagicId:x}"}
    sizes |= {"ROWS": len(x), "COLUMNS": len(weight)}
    for name, words in {**product.inputs, "outputs": product.outputs}.items():
        lines = beats_of(accelerator, name, words)
        (folder / f"{name}.hex").write_text("\n".join(lines) + "\n")
        sizes[name.upper()] = len(lines)
    (folder / "words.vh").write_text("".join(f"`define {name} {value}\n" for name, value in sizes.items()))


@click.command()
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), default=Path("build/plain_verilog"),
              show_default=True, help="Where all of it goes.")
def main(folder):
    """Generate, compile, run.

    Example: python examples/plain_verilog/run.py
    """
    check_icarus()
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder)
    sources = [BENCH.resolve(), "rsr_accelerator_stream.v"]
    subprocess.run(["iverilog", "-g2005", "-o", "bench.vvp", *sources], cwd=folder, check=True)
    printed = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True).stdout
    print(printed, end="")
    sys.exit("PASS" not in printed)


if __name__ == "__main__":
    main()
