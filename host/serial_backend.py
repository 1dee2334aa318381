# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An engine behind the serial host, as a backend of the driver: its streams over a line."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from .accelerator import AcceleratorError, Backend, PackedProduct, failure
from .serial import HOST_FLAGS, VERSION, SerialError, SerialPorts, SerialSession, bytes_of

__all__ = ["SerialDevice", "SerialLine"]

_HALTING = ("k_mismatch", "k_too_long", "scales_order", "format_changed", "format_unsupported", *HOST_FLAGS)
"""Flags after which results are none; the others say what is in them."""
_SILENT = "the device is silent: is it the right port, the baud rate of its clock, the bitstream of this engine?"


class SerialLine(Protocol):
    """What is needed of a line, by the names of pyserial's ``Serial``, which is one if it has a ``timeout``."""

    @property
    def in_waiting(self) -> int:
        """Bytes that have come and were not read."""
        ...

    def read(self, size: int) -> bytes:
        """So many bytes, or after a timeout fewer."""
        ...

    def write(self, data: bytes) -> Any:
        """Send bytes."""
        ...

    def send_break(self, duration: float) -> None:
        """Hold the line low for so many seconds."""
        ...

    def reset_input_buffer(self) -> None:
        """Forget what has come."""
        ...


class SerialDevice(Backend):
    """A bare engine behind :class:`subbyte.top.serial_host.SerialTop`: no registers, no memory, a product at a time.

    Parameters
    ----------
    line : SerialLine
    ports : SerialPorts
        Of the engine, as ``serial.json`` beside a bitstream has them; the device reports an identity made of them.
    scheme, config
        See :class:`~subbyte.host.accelerator.Backend`.
    patience : int
        Reads in a row that may end without a byte before the device counts as dead.
    """

    def __init__(self, line: SerialLine, ports: SerialPorts, *, scheme: Any, config: Any, patience: int = 100):
        self.line, self.ports, self.scheme, self.config, self.patience = line, ports, scheme, config, patience
        self._session, self._sent, self._received = SerialSession(ports), 0, 0

    def check(self) -> None:
        """Raise AcceleratorError if ``ports`` are not those of ``config``; whether they are the device's, a reset finds out."""
        wanted = {name: sum(item.width * item.count for item in fields) for name, fields in self.config.streams.items()}
        found = {**self.ports.inputs, **self.ports.outputs}
        if found != wanted:
            raise AcceleratorError(f"ports must be streams of {wanted} bits, not {found}: give the backend the engine's config")

    def reset(self) -> None:
        """A break: the device begins anew and says who it is."""
        self._session, self._sent, self._received = SerialSession(self.ports), 0, 0
        self.line.reset_input_buffer()
        self.line.send_break(0.01)
        self._demand(lambda: self._session.identified)

    def info(self) -> dict[str, Any]:
        """Scheme and sizes, which the identity vouches for, and the protocol."""
        names = ("rows", "cols", "lanes", "drain", "largest_k")
        return {"scheme": self.scheme.name, "protocol": VERSION, "identity": f"{self.ports.identity:08x}",
                **{name: getattr(self.config, name) for name in names}}

    def counters(self) -> dict[str, int]:
        """Bytes on the line since the last reset."""
        return {"bytes_sent": self._sent, "bytes_received": self._received}

    @property
    def words(self) -> int:
        """What the engine's sums hold."""
        return self.config.largest_k // self.config.lanes

    def lay(self, inputs: Mapping[str, np.ndarray], m: int, n: int) -> Any:
        """The words as they are."""
        return inputs

    def run(self, products: Iterable[PackedProduct]) -> list[np.ndarray]:
        """Results of packed products, one after the other."""
        return [self._compute(product) for product in products]

    def _compute(self, product):
        session, tiles = self._session, self.config.tiles(product.m, product.n)
        words = session.outputs["outputs"]
        session.queue(product.parts)
        ended = self._until(lambda: session.done and len(words) >= len(tiles.places) * tiles.beats)
        self._refuse_flags()
        if not ended:
            raise AcceleratorError(_SILENT)
        size = bytes_of(self.ports.outputs["outputs"])
        octets = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8).reshape(-1, size)
        words.clear()
        return self.scheme.results(octets, product.m, product.n, self.config)[0]

    def _refuse_flags(self):
        """Raise what the device reports; flags that say what is in results are cleared."""
        session = self._session
        session.status = None
        session.ask_status()
        self._demand(lambda: session.status is not None)
        raised = [name for name, value in (session.status or {}).items() if value]
        session.clear_errors()
        if causes := [name.upper() for name in raised if name in _HALTING]:
            self.reset()
            raise failure(causes)

    def _demand(self, done: Callable[[], bool]):
        if not self._until(done):
            raise AcceleratorError(_SILENT)

    def _until(self, done: Callable[[], bool]) -> bool:
        """Send and receive until the session is as wanted; False if the device says nothing for too long."""
        line, session, silent = self.line, self._session, 0
        while not done():
            if data := session.to_send():
                line.write(data)
            came = line.read(max(line.in_waiting, 1))
            silent = 0 if came else silent + 1
            if silent > self.patience:
                return False
            self._sent, self._received = self._sent + len(data), self._received + len(came)
            try:
                session.feed(came)
            except SerialError as error:
                raise AcceleratorError(f"the line: {error}") from None
        return True
