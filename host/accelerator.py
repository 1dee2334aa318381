# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Products on an accelerator's memory form, whatever lies between: a simulation, or a device mapped into memory."""

import mmap
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Accelerator", "AcceleratorError", "Backend", "MappedDevice"]

MAGIC = 0x53425954
_PAGE = 4096
_REMEDIES = {
    "SIZE": "a size or a number of bytes is zero",
    "QUEUE": "the queue is full: wait for a job to end",
    "DATA": "results hold infinities or overflowed: look at the operands",
    "LENGTH": "arrays do not fit the sizes: was it built with another config than the driver's?",
    "K_MISMATCH": "weights and activations disagree on K: was it built with another config than the driver's?",
    "K_TOO_LONG": "K is longer than the sums hold: build it with a larger max_k",
    "SCALES_ORDER": "scales do not end with their weights: was it built with another config than the driver's?",
    "FORMAT_CHANGED": "formats change within a group",
    "FORMAT_UNSUPPORTED": "build it with this format",
    "ALIGNMENT": "addresses and bytes must be multiples of the bus",
    "BUFFER": "a tile's activations do not fit the buffer: build it with a larger buffer, or split K",
    "SETTINGS": "K or format is none that it takes: build it with them",
    "WINDOW": "a buffer lies outside of WINDOW_BASE to WINDOW_LIMIT, which stay until a reset if they are locked",
    "READ": "the memory refused a read: is the buffer where the backend says?",
    "WRITE": "the memory refused a write: is the buffer where the backend says?",
}


class AcceleratorError(RuntimeError):
    """A job failed; the message says the causes and what to do.

    Attributes
    ----------
    causes : tuple of str
        Fields of ERRORS; empty if nothing answers in time.
    """

    def __init__(self, message: str, causes: Iterable[str] = ()):
        super().__init__(message)
        self.causes = tuple(causes)


class Backend(ABC):
    """What carries an accelerator's registers and memory.

    Attributes
    ----------
    scheme, config, layout
        What the accelerator was built of: a :class:`subbyte.schemes.Scheme`, its config, and the layout
        :class:`subbyte.golden.memory.MemoryLayout`.
    registers : mapping
        By name, as :func:`subbyte.top.registers.register_map` gives them.
    memory : uint8 array
        The buffer that both sides see.
    base : int
        The accelerator's address of its first byte, at the beginning of a page.
    """

    scheme: Any
    config: Any
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

    def wait(self, address: int, mask: int) -> int:
        """Read a register until it has a bit of the mask, or for a while; returns the last value."""
        for _ in range(10_000_000):
            if (value := self.read(address)) & mask:
                break
        return value


class MappedDevice(Backend):
    """A device whose registers and buffer are files that can be mapped: /dev/uio* and a contiguous buffer (u-dma-buf, CMA).

    Parameters
    ----------
    registers_file, memory_file : path
    base : int
        Physical address of the buffer.
    scheme, config, layout, registers
        See :class:`Backend`.
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


@dataclass(frozen=True)
class PackedProduct:
    """A product's sizes, and its parts: image, first row, first column."""

    m: int
    n: int
    k: int
    parts: list[tuple[Any, int, int]] = field(repr=False)


class Accelerator:
    """An accelerator that computes products.

    Parameters
    ----------
    backend : Backend

    Raises
    ------
    AcceleratorError
        If what answers is no accelerator of the backend's scheme and sizes.
    """

    def __init__(self, backend: Backend):
        self.backend = backend
        self._check()
        self.reset()

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

    def matmul(self, x: Any, qweight: Any, **terms: Any) -> np.ndarray:
        """``x @ qweight.T`` as golden's ``matmul`` gives it, to the bit: any M and N, and K up to the accelerator's."""
        return self.matmul_all([(x, qweight)], [terms])[0]

    def matmul_all(
        self, operands: Iterable[tuple[Any, Any]], terms: Iterable[Mapping[str, Any]] | None = None
    ) -> list[np.ndarray]:
        """Several products, queued so that they follow each other without a gap."""
        operands = list(operands)
        pairs = zip(operands, terms or [{}] * len(operands), strict=True)
        return self.run([self.pack(x, qweight, **more) for (x, qweight), more in pairs])

    def pack(self, x: Any, qweight: Any, **terms: Any) -> PackedProduct:
        """A product's arrays, in parts that the buffer holds; packed once, it can be run again."""
        backend = self.backend
        inputs = backend.scheme.inputs(x, qweight, backend.config, **terms)
        (n, k), m = qweight.shape, _tokens(x)
        try:
            return PackedProduct(m, n, k, backend.layout.images(inputs, m, n, len(backend.memory), _PAGE))
        except ValueError as error:
            raise AcceleratorError(f"the product is none for this accelerator: {error}") from None

    def run(self, products: Iterable[PackedProduct]) -> list[np.ndarray]:
        """Results of packed products, as many jobs at a time as the buffer holds."""
        jobs = [(index, product, part) for index, product in enumerate(products) for part in product.parts]
        found, running, at = [], deque(), 0
        for _, product, (image, _, _) in jobs:
            size = image.total_bytes(_PAGE)
            if at + size > len(self.backend.memory):
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
        backend = self.backend
        settings = {"M": image.m, "N": image.n, "K": k, "FORMAT": image.format, "BEATS": image.beats["weights"],
                    "ACTIVATION_BEATS": image.beats["activations"], "SCALE_BEATS": image.beats.get("scales", 0)}
        for name, array in image.images.items():
            backend.memory[at:at + len(array)] = array
            settings |= {f"{name.upper()}_BASE": backend.base + at, f"{name.upper()}_BYTES": len(array)}
            at += _whole(len(array))
        settings |= {"OUTPUTS_BASE": backend.base + at, "OUTPUTS_BYTES": image.output_bytes}
        while self._read("STATUS", "FULL") and not self._read("STATUS", "HALTED"):
            pass
        for register, value in settings.items():
            self._write(register, value)
        self._write("CONTROL", self._field("CONTROL", "START").mask)
        refused = [cause for cause in self._causes() if cause in ("SIZE", "QUEUE", "ALIGNMENT", "BUFFER", "SETTINGS")]
        if refused:
            self._fail(refused)
        return image, at

    def _collect(self, running):
        """Wait for all jobs; their results."""
        done, halted = self._field("INTERRUPT", "DONE").mask, self._field("INTERRUPT", "ERROR").mask
        while running and self._read("STATUS", "BUSY"):
            self.backend.wait(self.backend.registers["INTERRUPT"].address, done | halted)
            self._write("INTERRUPT", done | halted)
        causes = [cause for cause in self._causes() if cause != "DATA"]
        if causes:
            self._fail(causes)
        config, found = self.backend.config, []
        for image, at in running:
            words = self.backend.layout.results(self.backend.memory[at:at + image.output_bytes], image.m, image.n)
            found.append(self.backend.scheme.results(words, image.m, image.n, config)[0])
        running.clear()
        return found

    def _fail(self, causes):
        self.reset()
        raise AcceleratorError("; ".join(f"{cause}: {_REMEDIES.get(cause, 'reset')}" for cause in causes), causes)

    def _check(self):
        if self._read("ID") != MAGIC:
            raise AcceleratorError(
                f"ID must be {MAGIC:#x}, not {self._read('ID'):#x}: is the bitstream loaded, the address right?")
        found, config = self.info(), self.backend.config
        wanted = {"scheme": self.backend.scheme.name[:8], "rows": config.rows, "cols": config.cols, "lanes": config.lanes,
                  "bus_bytes": self.backend.layout.bus_bytes}
        if wrong := {name: found[name] for name in wanted if found[name] != wanted[name]}:
            raise AcceleratorError(f"the accelerator must have {wanted}, but has {wrong}: give the backend its config")
        if not self._read("CAPABILITIES", "HAS_MEMORY"):
            raise AcceleratorError("the accelerator is of the stream form: its operands come on streams, not by this driver")

    def _causes(self):
        value = self._read("ERRORS")
        return [field.name for field in self.backend.registers["ERRORS"].fields if value & field.mask]

    def _field(self, register, field):
        return self.backend.registers[register].field(field)

    def _read(self, register, field=None):
        value = self.backend.read(self.backend.registers[register].address)
        if field is None:
            return value
        found = self._field(register, field)
        return (value & found.mask) >> found.low

    def _write(self, register, value):
        self.backend.write(self.backend.registers[register].address, value)


def _whole(count):
    """Bytes in whole pages, so that arrays share none."""
    return -(-count // _PAGE) * _PAGE


def _tokens(x):
    """M of any scheme's activations."""
    return x.rows if hasattr(x, "rows") else len(getattr(x, "values", getattr(x, "codes", x)))
