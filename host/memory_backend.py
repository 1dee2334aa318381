# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An accelerator's memory form by its registers and a buffer that both sides see."""

import mmap
import os
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .accelerator import AcceleratorError, Backend, PackedProduct, failure

__all__ = ["MappedDevice", "MemoryBackend"]

MAGIC = 0x53425954
_PAGE = 4096


class MemoryBackend(Backend):
    """Registers and a buffer, of whatever kind.

    Attributes
    ----------
    scheme, config
        See :class:`~subbyte.host.accelerator.Backend`.
    layout
        The accelerator's :class:`subbyte.golden.memory.MemoryLayout`.
    registers : mapping
        By name, as :func:`subbyte.top.registers.register_map` gives them.
    memory : uint8 array
        The buffer that both sides see.
    base : int
        The accelerator's address of its first byte, at the beginning of a page.
    """

    layout: Any
    registers: Mapping[str, Any]
    memory: np.ndarray
    base: int = 0

    @abstractmethod
    def read(self, address: int) -> int:
        """A register's value."""

    @abstractmethod
    def write(self, address: int, value: int) -> None:
        """Write a register."""

    def write_all(self, values: Mapping[int, int]) -> None:
        """Write registers by their addresses, in this order."""
        for address, value in values.items():
            self.write(address, value)

    def wait(self, address: int, mask: int) -> int:
        """Read a register until it has a bit of the mask, or for a while; returns the last value."""
        for _ in range(10_000_000):
            if (value := self.read(address)) & mask:
                break
            self.idle()
        return value

    def idle(self) -> None:
        """Called before a register is read again: others may run; a simulation lets time pass."""
        time.sleep(0)

    def check(self) -> None:
        """Raise AcceleratorError if the identification registers hold other than ``scheme`` and sizes."""
        if self._read("ID") != MAGIC:
            raise AcceleratorError(
                f"ID must be {MAGIC:#x}, not {self._read('ID'):#x}: is the bitstream loaded, the address right?")
        found, config = self.info(), self.config
        wanted = {"scheme": self.scheme.name[:8], "rows": config.rows, "cols": config.cols, "lanes": config.lanes,
                  "bus_bytes": self.layout.bus_bytes}
        if wrong := {name: found[name] for name in wanted if found[name] != wanted[name]}:
            raise AcceleratorError(f"the accelerator must have {wanted}, but has {wrong}: give the backend its config")
        if not self._read("CAPABILITIES", "HAS_MEMORY"):
            raise AcceleratorError("the accelerator is of the stream form: its operands come on streams, not by this driver")

    def info(self) -> dict[str, Any]:
        """What the identification registers say."""
        letters = self._read("SCHEME_LOW") | self._read("SCHEME_HIGH") << 32
        fields = {"rows": ("TILE", "ROWS"), "cols": ("TILE", "COLS"), "lanes": ("WORD", "LANES"), "drain": ("WORD", "DRAIN"),
                  "largest_k": ("LARGEST_K", "ELEMENTS"), "buffer_words": ("BUFFER", "WORDS"),
                  "bus_bytes": ("CAPABILITIES", "BUS_BYTES"), "queue": ("CAPABILITIES", "QUEUE")}
        version = ".".join(str(self._read("VERSION", part)) for part in ("MAJOR", "MINOR", "PATCH"))
        return {"scheme": letters.to_bytes(8, "little").rstrip(b"\0").decode("ascii", "replace"), "version": version,
                **{name: self._read(*place) for name, place in fields.items()}}

    def counters(self) -> dict[str, int]:
        """Counts since the last reset, modulo 2**32; bytes beside beats."""
        names = ("CYCLES", "BUSY_CYCLES", "WEIGHT_STALLS", "ACTIVATION_STALLS", "SCALE_STALLS", "OUTPUT_STALLS", "WEIGHT_WORDS",
                 "OUTPUT_WORDS", "READ_BEATS", "WRITE_BEATS", "BUS_ERRORS")
        counts = {name.lower(): self._read(name) for name in names}
        size = self._read("CAPABILITIES", "BUS_BYTES")
        return {**counts, "bytes_read": counts["read_beats"] * size, "bytes_written": counts["write_beats"] * size}

    def reset(self) -> None:
        """Soft reset: drops jobs, causes and counters."""
        self._write("CONTROL", self._field("CONTROL", "SOFT_RESET").mask)
        for _ in range(100_000):
            if not self._read("STATUS", "RESETTING"):
                return
        raise AcceleratorError("a soft reset does not end: the memory owes an answer; reset the hardware")

    @property
    def words(self) -> int:
        """What its buffer holds, and its sums."""
        return min(self._read("BUFFER", "WORDS"), self.config.largest_k // self.config.lanes)

    def lay(self, inputs: Mapping[str, np.ndarray], m: int, n: int) -> Any:
        """Images, in parts that the buffer holds."""
        return self.layout.images(inputs, m, n, len(self.memory), _PAGE)

    def run(self, products: Iterable[PackedProduct]) -> list[np.ndarray]:
        """Results of packed products, as many jobs at a time as the buffer holds."""
        jobs = [(index, product, part) for index, product in enumerate(products) for part in product.parts]
        found, running, at = [], deque(), 0
        for _, product, (image, _, _) in jobs:
            size = image.total_bytes(_PAGE)
            if at + size > len(self.memory):
                found += self._collect(running)
                at = 0
            running.append(self._start(image, product.k, at))
            at += size
        found += self._collect(running)
        results: dict[int, np.ndarray] = {}
        for (index, product, (image, row, col)), y in zip(jobs, found, strict=True):
            whole = results.setdefault(index, np.empty((product.m, product.n), y.dtype))
            whole[row:row + image.m, col:col + image.n] = y
        return list(results.values())

    def _start(self, image, k, at):
        settings = {"M": image.m, "N": image.n, "K": k, "FORMAT": image.format, "BEATS": image.beats["weights"],
                    "ACTIVATION_BEATS": image.beats["activations"], "SCALE_BEATS": image.beats.get("scales", 0)}
        for name, array in image.images.items():
            self.memory[at:at + len(array)] = array
            settings |= {f"{name.upper()}_BASE": self.base + at, f"{name.upper()}_BYTES": len(array)}
            at += _whole(len(array))
        settings |= {"OUTPUTS_BASE": self.base + at, "OUTPUTS_BYTES": image.output_bytes}
        full, halted = self._field("STATUS", "FULL").mask, self._field("STATUS", "HALTED").mask
        while self._read("STATUS") & (full | halted) == full:
            self.idle()
        self.write_all({self.registers[register].address: value for register, value in settings.items()})
        self._write("CONTROL", self._field("CONTROL", "START").mask)
        refused = [cause for cause in self._causes() if cause in ("SIZE", "QUEUE", "ALIGNMENT", "BUFFER", "SETTINGS")]
        if refused:
            self._fail(refused)
        return image, at

    def _collect(self, running):
        """Wait for all jobs; their results."""
        done, halted = self._field("INTERRUPT", "DONE").mask, self._field("INTERRUPT", "ERROR").mask
        while running and self._read("STATUS", "BUSY"):
            self.wait(self.registers["INTERRUPT"].address, done | halted)
            self._write("INTERRUPT", done | halted)
        causes = [cause for cause in self._causes() if cause != "DATA"]
        if causes:
            self._fail(causes)
        config, found = self.config, []
        for image, at in running:
            words = self.layout.results(self.memory[at:at + image.output_bytes], image.m, image.n)
            found.append(self.scheme.results(words, image.m, image.n, config)[0])
        running.clear()
        return found

    def _fail(self, causes):
        self.reset()
        raise failure(causes)

    def _causes(self):
        value = self._read("ERRORS")
        return [field.name for field in self.registers["ERRORS"].fields if value & field.mask]

    def _field(self, register, field):
        return self.registers[register].field(field)

    def _read(self, register, field=None):
        value = self.read(self.registers[register].address)
        if field is None:
            return value
        found = self._field(register, field)
        return (value & found.mask) >> found.low

    def _write(self, register, value):
        self.write(self.registers[register].address, value)


class MappedDevice(MemoryBackend):
    """A device whose registers and buffer are files that can be mapped: /dev/uio* and a contiguous buffer (u-dma-buf, CMA).

    Parameters
    ----------
    registers_file, memory_file : path
    base : int
        Physical address of the buffer.
    scheme, config, layout, registers
        See :class:`MemoryBackend`.
    """

    def __init__(self, registers_file: str | Path, memory_file: str | Path, base: int, *, scheme: Any, config: Any, layout: Any,
                 registers: Mapping[str, Any]):
        self.scheme, self.config, self.layout, self.registers, self.base = scheme, config, layout, registers, base
        self._words = np.frombuffer(_map(registers_file, _PAGE), "<u4")
        self.memory = np.frombuffer(_map(memory_file), np.uint8)

    def read(self, address: int) -> int:
        return int(self._words[address >> 2])

    def write(self, address: int, value: int) -> None:
        self._words[address >> 2] = value


def _map(path, size=None):
    handle = os.open(path, os.O_RDWR | getattr(os, "O_SYNC", 0))
    try:
        return mmap.mmap(handle, size or os.fstat(handle).st_size)
    finally:
        os.close(handle)


def _whole(count):
    """Bytes in whole pages, so that arrays share none."""
    return -(-count // _PAGE) * _PAGE
