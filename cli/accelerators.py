# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written of an accelerator: Verilog and manifest, the files of its registers, the driver, FuseSoC's core."""

from pathlib import Path
from typing import Any

from ..schemes import Scheme
from ..tools.outputs import write_whole
from ..top import emit
from ..top.accelerator import StreamAccelerator
from ..top.fusesoc import core_file
from ..top.memory_accelerator import MemoryAccelerator
from ..top.registers import write_driver, write_files

__all__ = ["ACCELERATORS", "make_accelerator", "write_accelerator"]

ACCELERATORS = ("accelerator", "accelerator_stream")
"""What every engine is written behind buses as, with the files of its registers: in front of a memory, between streams."""


def make_accelerator(found: Scheme, form: str, config: Any) -> Any:
    """The component of one of :data:`ACCELERATORS`."""
    engine = found.part("engine").make(config)
    if form == ACCELERATORS[0]:
        return MemoryAccelerator(engine, found.name, **found.accelerator[1])
    return StreamAccelerator(engine, found.name)


def write_accelerator(found: Scheme, form: str, config: Any, name: str, path: Path, target: str = "asic") -> list[Path]:
    """Write all of it beside ``path``, a file ``.v`` or a folder; returns the paths."""
    source, manifest = emit.write(make_accelerator(found, form, config), name, path, config, target=target)
    core = source.with_suffix(".core")
    about = "in front of a memory (AXI4)" if form == ACCELERATORS[0] else "between streams (AXI4-Stream)"
    write_whole(core, core_file(name, source.name, f"{found.title} engine {about}, registers on AXI4-Lite"))
    driver = write_driver(source.parent) if form == ACCELERATORS[0] else []
    return [source, manifest, core, *write_files(source.parent, source.stem), *driver]
