# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands around an engine in its default accelerator, in gate equivalents: `python -m subbyte.synth.wrapper SCHEME...`.

Everything but the engine and the memories (buffers, queues) is mapped, flattened, to the project's own library.
"""

import re
import sys

from ..schemes import scheme
from ..tools.toolchain import build_root, prepare_environment
from ..tools.yosys import run_yosys
from ..top import emit
from ..top.memory_accelerator import MemoryAccelerator
from .generic import FILE, liberty_text

__all__ = ["main", "wrapper_area"]


def wrapper_area(name: str) -> float:
    """Gate equivalents of the default accelerator of a scheme without its engine and memories."""
    found, top = scheme(name), f"{name}_accelerator"
    engine, around = found.accelerator
    accelerator = MemoryAccelerator(found.part("engine").make(found.Config(**engine)), name, **around)
    folder = build_root() / "wrapper" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.v").write_text(emit.to_verilog(accelerator, top))
    (folder / FILE).write_text(liberty_text())
    # Memories stay cells that nothing maps, and so does the engine, whose own cells go.
    run_yosys([
        "read_verilog design.v", f"hierarchy -top {top}", f"blackbox {top}.engine", f"delete {top}__*", "proc", "flatten",
        "opt", "memory -nomap", "opt_clean", "techmap", "opt -fast", f"dfflibmap -liberty {FILE}",
        f"abc -liberty {FILE}", "opt_clean", f"tee -o area.txt stat -liberty {FILE}"], folder, "wrapper")
    return float(re.findall(r"Chip area for module .*: ([\d.]+)", (folder / "area.txt").read_text())[-1])


def main(names: list[str]) -> int:
    """Print the area for each scheme; returns the exit code."""
    prepare_environment()
    for name in names:
        print(f"{name}: {wrapper_area(name):,.0f} GE around the engine, memories aside", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
