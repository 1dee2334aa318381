# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands around an engine in its default accelerator, beside the engine: `python -m subbyte.synth.wrapper [SCHEME...]`.

Both are mapped to the project's own library, memories (buffers, queues) left aside: what is around as one netlist, the engine
module by module, so that a cell of its array is mapped once and counted as often as it stands there.
"""

import re
import sys
from collections.abc import Sequence

from ..schemes import engines, scheme
from ..tools.toolchain import build_root, prepare_environment
from ..tools.yosys import run_yosys
from ..top import emit
from ..top.memory_accelerator import MemoryAccelerator
from .generic import FILE, liberty_text

__all__ = ["LARGEST_SHARE", "main", "wrapper_area"]

LARGEST_SHARE = 0.15
"""Above it :func:`main` fails."""
_MAPPING = ("memory -nomap", "opt_clean", "techmap", "opt -fast", f"dfflibmap -liberty {FILE}", f"abc -liberty {FILE}",
            "opt_clean")


def wrapper_area(name: str) -> tuple[float, float]:
    """Gate equivalents around the engine of a scheme's default accelerator, and of the engine."""
    found, top = scheme(name), f"{name}_accelerator"
    engine, around = found.accelerator
    accelerator = MemoryAccelerator(found.part("engine").make(found.Config(**engine)), name, **around)
    folder = build_root() / "wrapper" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.v").write_text(emit.to_verilog(accelerator, top))
    (folder / FILE).write_text(liberty_text())
    # The engine stays a cell that nothing maps, and its own cells go. What a memory is offered while it does not write may be
    # anything: without -mux_undef that is a zero, by a gate for each bit.
    outer = [f"hierarchy -top {top}", f"blackbox {top}.engine", f"delete {top}__*", "proc", "flatten", "opt -mux_undef"]
    inner = [f"hierarchy -top {top}.engine", "proc", "setattr -unset init */w:*", "opt"]  # silicon has no initial values
    return (_area(folder, "around", outer, f"module '?\\\\{top}'?"), _area(folder, "engine", inner, "top module .*"))


def _area(folder, name, steps, what):
    run_yosys(["read_verilog design.v", *steps, *_MAPPING, f"tee -o {name}.txt stat -liberty {FILE}"], folder, name)
    return float(re.findall(rf"Chip area for {what}: ([\d.]+)", (folder / f"{name}.txt").read_text())[-1])


def main(names: Sequence[str]) -> int:
    """Print a table; returns the exit code, 1 if a share is above :data:`LARGEST_SHARE`."""
    prepare_environment()
    print("| scheme | around, GE | engine, GE | share |\n|---|---|---|---|")
    largest = 0.0
    for name in names or engines():
        around, engine = wrapper_area(name)
        largest = max(largest, around / engine)
        print(f"| {name} | {around:,.0f} | {engine:,.0f} | {around / engine:.1%} |", flush=True)
    return int(largest > LARGEST_SHARE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
