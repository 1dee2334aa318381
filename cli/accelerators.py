# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written of an accelerator: Verilog and manifest, the files of its registers, the driver, FuseSoC's core."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..hdl.target import ASIC
from ..schemes import Scheme
from ..sim.memory_testbench import write_memory_testbench
from ..sim.testbench import write_testbench
from ..tools.outputs import write_whole
from ..top import emit
from ..top.accelerator import StreamAccelerator
from ..top.fusesoc import core_file
from ..top.memory_accelerator import MemoryAccelerator
from ..top.registers import write_driver, write_files

__all__ = ["ACCELERATORS", "make_accelerator", "split_settings", "write_accelerator", "write_engine_bench"]

ACCELERATORS = ("accelerator", "accelerator_stream")
"""What every engine is written behind buses as, with the files of its registers: in front of a memory, between streams."""
_AROUND = {"accelerator": ("bus_bytes", "queue", "burst", "outstanding", "buffer"),
           "accelerator_stream": ("bus_bytes", "queue")}


def split_settings(form: str, settings: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """Texts ``key=value`` that are an engine's, and as numbers those of what stands around it."""
    around, engine = {}, []
    for setting in settings:
        key, _, text = setting.partition("=")
        if key in _AROUND[form]:
            if not text.strip().isdecimal():
                raise ValueError(f"{key} must be an integer, not {text!r}")
            around[key] = int(text)
        else:
            engine.append(setting)
    return engine, around


def make_accelerator(found: Scheme, form: str, config: Any, around: Mapping[str, int] | None = None) -> Any:
    """The component of one of :data:`ACCELERATORS`; ``around``: parameters of it that are not the engine's."""
    engine = found.part("engine").make(config)
    if form == ACCELERATORS[0]:
        return MemoryAccelerator(engine, found.name, **{**found.accelerator[1], **(around or {})})
    return StreamAccelerator(engine, found.name, **(around or {}))


def write_accelerator(
    found: Scheme, form: str, config: Any, name: str, path: Path, *, around: Mapping[str, int] | None = None,
    target: str = ASIC, testbench: bool = False,
) -> list[Path]:
    """Write all of it beside ``path``, a file ``.v`` or a folder; returns the paths. The memory form may have a testbench."""
    accelerator = make_accelerator(found, form, config, around)
    source, manifest = emit.write(accelerator, name, path, config, target=target)
    bench = write_memory_testbench(found, config, accelerator, name, source) if testbench else []
    about = "in front of a memory (AXI4)" if form == ACCELERATORS[0] else "between streams (AXI4-Stream)"
    core = _write_core(source, name, f"{found.title} engine {about}, registers on AXI4-Lite", bench)
    driver = write_driver(source.parent) if form == ACCELERATORS[0] else []
    return [source, manifest, core, *bench, *write_files(source.parent, source.stem), *driver]


def write_engine_bench(found: Scheme, config: Any, engine: Any, name: str, source: Path) -> list[Path]:
    """Write an engine's testbench, and FuseSoC's core for both, beside its Verilog; returns the paths."""
    bench = write_testbench(found, config, engine, name, source)
    return [*bench, _write_core(source, name, f"{found.title} engine and its testbench", bench)]


def _write_core(source, name, description, bench):
    core = source.with_suffix(".core")
    write_whole(core, core_file(name, source.name, description, [path.name for path in bench]))
    return core
