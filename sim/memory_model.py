# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An accelerator's memory form, Verilated, in front of a DRAM of given latency and bandwidth: a backend for `host`."""

import tempfile
from pathlib import Path

import numpy as np

from ..host.memory_backend import MemoryBackend
from ..tools.toolchain import build_root
from ..top import emit
from ..top.memory_accelerator import MemoryAccelerator
from ..top.registers import register_map
from .cocotb_run import resolve_seed
from .commanded import CommandedModel
from .verilate import build

__all__ = ["SimulatedAccelerator"]

_DRIVER = "memory_driver.cpp"
_LIMIT = 20_000_000
"""Cycles that a driver waits at most."""
_IDLE = 100
"""Cycles from one look to the next."""


class SimulatedAccelerator(MemoryBackend):
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
        self._model = CommandedModel(self.folder / "model", self._file.name, latency, bandwidth,
                                     resolve_seed(seed) % (2**31 - 1) + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the process; the memory is gone."""
        self._model.close()
        self._file.close()

    def _ask(self, *commands):
        return int(self._model.ask(*commands))

    def read(self, address):
        return self._ask(f"r {address}")

    def write(self, address, value):
        self._ask(f"w {address} {value}")

    def write_all(self, values):
        self._ask(*(f"w {address} {value}" for address, value in values.items()))

    def wait(self, address, mask):
        return self._ask(f"u {address} {mask} {_LIMIT}")

    def idle(self):
        self._ask(f"p {_IDLE}")

    @property
    def cycle(self):
        """Cycles since reset."""
        return self._ask("c")

    @property
    def seconds(self):
        """Processor time that the model has taken."""
        return self._ask("t") / 1e6
