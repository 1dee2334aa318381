# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An accelerator's memory form, Verilated, in front of a DRAM of given latency and bandwidth: a backend for `host`."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from ..host.accelerator import Backend
from ..tools.toolchain import Failed, build_root
from ..top import emit
from ..top.memory_accelerator import MemoryAccelerator
from ..top.registers import register_map
from .cocotb_run import resolve_seed
from .verilate import build

__all__ = ["SimulatedAccelerator"]

_DRIVER = "memory_driver.cpp"
_LIMIT = 20_000_000
"""Cycles that a driver waits at a time."""


class SimulatedAccelerator(Backend):
    """A compiled accelerator and its memory; a process of its own, which ends with :meth:`close`.

    Parameters
    ----------
    scheme : Scheme
    config : EngineConfig
    latency : int
        Cycles from a burst's address to its first beat, and from its last to the response of a write.
    bandwidth : float
        Bytes a cycle that the memory gives and takes, together; 0: a beat of the bus in each direction.
    size : int
        Bytes of memory.
    parameters
        Of :class:`~subbyte.top.memory_accelerator.MemoryAccelerator`.
    """

    def __init__(self, scheme, config, *, latency=0, bandwidth=0.0, size=1 << 24, seed=None, **parameters):
        accelerator = MemoryAccelerator(scheme.part("engine").make(config), scheme.name, **parameters)
        self.scheme, self.config, self.layout, self.registers = scheme, config, accelerator.layout, register_map()
        top = f"{scheme.name}_accelerator"
        sources = {_DRIVER: Path(__file__).with_name(_DRIVER).read_text(),
                   "bus.h": f"#include <algorithm>\nstatic constexpr int BUS_BYTES = {accelerator.bus_bytes};\n"}
        self.folder = build(emit.to_verilog(accelerator, top), top, kind="stream", sources=sources)
        build_root().mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=build_root(), suffix=".memory")
        self._file.truncate(size)
        self.memory = np.memmap(self._file.name, np.uint8, "r+")
        self._process = subprocess.Popen(
            [self.folder / "model", self._file.name, str(latency), str(bandwidth), str(resolve_seed(seed) % (2**31 - 1) + 1)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the process; the memory is gone."""
        self._process.communicate()
        self._file.close()

    def _ask(self, command):
        to_model, from_model = self._process.stdin, self._process.stdout
        if to_model is None or from_model is None:
            raise Failed("the simulated accelerator was closed")
        to_model.write(command + "\n")
        to_model.flush()
        answer = from_model.readline()
        if not answer.strip().isdigit():
            raise Failed(f"the simulated accelerator must answer {command!r}, not {answer.strip() or 'end'!r}")
        return int(answer)

    def read(self, address):
        return self._ask(f"r {address}")

    def write(self, address, value):
        self._ask(f"w {address} {value}")

    def wait(self, address, mask):
        return self._ask(f"u {address} {mask} {_LIMIT}")

    @property
    def cycle(self):
        """Cycles since reset."""
        return self._ask("c")
