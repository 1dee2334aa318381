# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Products on an accelerator, whatever lies between: a simulation, a device mapped into memory, a serial line."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice
from typing import Any

import numpy as np

__all__ = ["Accelerator", "AcceleratorError", "Backend", "PackedProduct", "failure"]

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
    "OVERRUN": "the line lost bytes",
    "UNKNOWN_COMMAND": "the line lost bytes",
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


def failure(causes: Iterable[str]) -> AcceleratorError:
    """The error for causes of ERRORS, or a serial device's flags."""
    causes = list(causes)
    return AcceleratorError("; ".join(f"{cause}: {_REMEDIES.get(cause, 'reset')}" for cause in causes), causes)


@dataclass(frozen=True)
class PackedProduct:
    """A product's sizes, and what its backend sends for it."""

    m: int
    n: int
    k: int
    parts: Any = field(repr=False)
    further: tuple["PackedProduct", ...] = ()
    """Of the rest of K; results are added."""
    below: tuple["PackedProduct", ...] = ()
    """Of further rows; results follow these."""

    def jobs(self) -> Iterator["PackedProduct"]:
        """All of them, one after the other."""
        yield from (self, *self.further)
        for product in self.below:
            yield from product.jobs()

    def gather(self, found: Iterator[np.ndarray]) -> np.ndarray:
        """The whole product's results, of those of :meth:`jobs`."""
        rows = [_sum(list(islice(found, 1 + len(self.further)))), *(product.gather(found) for product in self.below)]
        return np.concatenate(rows) if self.below else rows[0]


class Backend(ABC):
    """What carries operands to an engine, and results back.

    Attributes
    ----------
    scheme, config
        What the hardware was built of: a :class:`subbyte.schemes.Scheme` and its config.
    """

    scheme: Any
    config: Any

    @abstractmethod
    def check(self) -> None:
        """Raise AcceleratorError if what answers was not built of ``scheme`` and ``config``."""

    @abstractmethod
    def reset(self) -> None:
        """Drop jobs, causes and counters."""

    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Scheme and sizes."""

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """Counts since the last reset."""

    @property
    @abstractmethod
    def words(self) -> int:
        """Words of activations that a tile of rows may have."""

    @abstractmethod
    def lay(self, inputs: Mapping[str, np.ndarray], m: int, n: int) -> Any:
        """A product's words, uint8 [beats, bytes] of each stream in the order ``n_outer``, as they are sent.

        Raises
        ------
        ValueError
            If they cannot be.
        """

    @abstractmethod
    def run(self, products: Iterable[PackedProduct]) -> list[np.ndarray]:
        """See :meth:`Accelerator.run`."""


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
        backend.check()
        backend.reset()

    def info(self) -> dict[str, Any]:
        """Scheme and sizes, and what else the backend can tell of the hardware."""
        return self.backend.info()

    def counters(self) -> dict[str, int]:
        """Counts since the last reset: of an accelerator's registers modulo 2**32, of a serial line its bytes."""
        return self.backend.counters()

    def reset(self) -> None:
        """Drop jobs, causes and counters."""
        self.backend.reset()

    def matmul(self, x: Any, qweight: Any, **terms: Any) -> np.ndarray:
        """``x @ qweight.T``, of any M, N and K: as golden's ``matmul`` gives it, to the bit.

        Where K is longer than sums or buffer hold, it is computed in parts (:meth:`subbyte.schemes.Scheme.parts_of`), whose
        results are added in binary32 from the first to the last, then rounded to the output's format; integers exactly.

        Raises
        ------
        AcceleratorError
            If the hardware finds something wrong, or cannot compute it; or a sum of integers overflows.
        """
        return self.matmul_all([(x, qweight)], [terms])[0]

    def matmul_all(
        self, operands: Iterable[tuple[Any, Any]], terms: Iterable[Mapping[str, Any]] | None = None
    ) -> list[np.ndarray]:
        """Several products, queued so that they follow each other without a gap."""
        operands = list(operands)
        pairs = zip(operands, terms or [{}] * len(operands), strict=True)
        return self.run([self.pack(x, qweight, **more) for (x, qweight), more in pairs])

    def pack(self, x: Any, qweight: Any, **terms: Any) -> PackedProduct:
        """A product as the backend sends it; packed once, it can be run again."""
        first, *below = [self._pack_rows(rows, qweight, more) for rows, more in self.backend.scheme.chunks_of(x, **terms)]
        return replace(first, below=tuple(below))

    def _pack_rows(self, x, qweight, terms):
        backend = self.backend
        try:
            parts = backend.scheme.parts_of(x, qweight, backend.config, backend.words, **terms)
        except ValueError as error:
            raise _none(error) from None
        first, *further = [self._pack(*part) for part in parts]
        return replace(first, further=tuple(further))

    def _pack(self, x, qweight, terms):
        backend, (n, k) = self.backend, qweight.shape
        inputs, m = backend.scheme.inputs(x, qweight, backend.config, **terms), _tokens(x)
        try:
            return PackedProduct(m, n, k, backend.lay(inputs, m, n))
        except ValueError as error:
            raise _none(error) from None

    def run(self, products: Iterable[PackedProduct]) -> list[np.ndarray]:
        """Results of packed products."""
        products = list(products)
        found = iter(self.backend.run([job for product in products for job in product.jobs()]))
        return [product.gather(found) for product in products]


def _none(error):
    return AcceleratorError(f"the product is none for this accelerator: {error}")


def _sum(parts):
    """Results of parts of K, added."""
    if len(parts) == 1:
        return parts[0]
    dtype = parts[0].dtype
    if dtype.kind == "f":
        return reduce(np.add, [part.astype(np.float32) for part in parts]).astype(dtype)
    total = np.sum([part.astype(np.int64) for part in parts], axis=0)
    if (total != total.astype(dtype)).any():
        raise AcceleratorError(f"DATA: the sum over parts of K overflows {dtype}", ["DATA"])
    return total.astype(dtype)


def _tokens(x):
    """M of any scheme's activations."""
    return x.rows if hasattr(x, "rows") else len(getattr(x, "values", getattr(x, "codes", x)))
