# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The protocol of the serial host port: bytes to stream words and back, and who may send when.

The device is :class:`subbyte.top.serial_host.SerialHost`. :class:`SerialPorts` names its ports, :class:`SerialSession` is
the host's side of a run. It does no input or output itself: whoever has a serial line (pyserial, a simulator) moves the
bytes. docs/fpga.md describes the protocol.
"""

import json
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = ["HOST_FLAGS", "IDENTITY_BYTES", "VERSION", "Command", "Control", "Report", "SerialError", "SerialPorts",
           "SerialSession", "bytes_of"]

VERSION = 1
HOST_FLAGS = ("overrun", "unknown_command")
"""Errors of the host itself, bits 0 and up of a status report's first byte."""
IDENTITY_BYTES = 5
"""Of an identity report after its first byte: the version, and the identity, least significant byte first."""


class Command(IntEnum):
    """Top two bits of a command's first byte; the others are an index."""

    WORD = 0
    SETTING = 1
    CONTROL = 2


class Control(IntEnum):
    """Index of a :attr:`Command.CONTROL`."""

    STATUS = 0
    CLEAR_ERRORS = 1


class Report(IntEnum):
    """Top two bits of a report's first byte; the others are an index."""

    WORD = 0
    TAKEN = 1
    STATUS = 2
    IDENTITY = 3


_IDENTITY = bytes([Report.IDENTITY << 6, VERSION])


class SerialError(RuntimeError):
    """The device did not keep to the protocol, or is not the one expected."""


def bytes_of(bits: int) -> int:
    """Bytes that carry a word."""
    return (bits + 7) // 8


@dataclass(frozen=True)
class SerialPorts:
    """Ports of an engine behind a serial host, each group in the order of the engine's members: bits by name.

    Parameters
    ----------
    inputs, outputs : mapping of str to int
        Streams.
    settings : mapping of str to int
        Inputs that keep their last value.
    errors : sequence of str
        Sticky flags, bit 0 first.
    buffer_bytes : int
        Of each input stream.
    """

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    settings: Mapping[str, int]
    errors: tuple[str, ...]
    buffer_bytes: int

    def __post_init__(self):
        for kind in ("inputs", "outputs", "settings"):
            if len(getattr(self, kind)) > 64:
                raise ValueError(f"{kind} must be at most 64, the indices of a command, not {len(getattr(self, kind))}")
        longest = max(map(bytes_of, self.inputs.values()))
        if self.buffer_bytes < longest:
            raise ValueError(f"buffer_bytes must be at least {longest}, a word of the widest input, not {self.buffer_bytes!r}")

    @property
    def identity(self) -> int:
        """32 bits that change with any name, width or order of the ports."""
        text = json.dumps([list(self.inputs.items()), list(self.outputs.items()), list(self.settings.items()),
                           list(self.errors), self.buffer_bytes])
        return zlib.crc32(text.encode())

    @property
    def status_bytes(self) -> int:
        """Of a status report after its first byte: the host's flags, then the engine's."""
        return 1 + bytes_of(len(self.errors))

    def credits(self, name: str) -> int:
        """Words of a stream that may be on their way to the engine."""
        return self.buffer_bytes // bytes_of(self.inputs[name])

    def word(self, name: str, value: int) -> bytes:
        """The command that sends a word on an input stream."""
        return _command(Command.WORD, self.inputs, name, value)

    def setting(self, name: str, value: int) -> bytes:
        """The command that writes a setting; it keeps the value."""
        return _command(Command.SETTING, self.settings, name, value)


def _command(kind, ports, name, value):
    if name not in ports:
        raise ValueError(f"{kind.name.lower()} must be of {sorted(ports)}, not {name!r}")
    if value < 0 or value >> ports[name]:
        raise ValueError(f"{name} must be a word of {ports[name]} bits, not {value!r}")
    return bytes([kind << 6 | list(ports).index(name)]) + value.to_bytes(bytes_of(ports[name]), "little")


def control(what: Control) -> bytes:
    """A command without a word."""
    return bytes([Command.CONTROL << 6 | what])


class SerialSession:
    """The host's side: what to send next, and what has come.

    Drop what has come before and hold the line low (a break: it resets the device, which reports its identity); then, in
    turns, send what :meth:`to_send` gives and :meth:`feed` what comes.

    Parameters
    ----------
    ports : SerialPorts

    Attributes
    ----------
    outputs : dict of str to list of int
        Words that have come, by stream.
    status : dict of str to bool or None
        Flags of the last status report.
    identified : bool
        The device has reported the identity of ``ports``.
    """

    def __init__(self, ports: SerialPorts):
        self.ports = ports
        self.outputs = {name: [] for name in ports.outputs}
        self.status, self.identified = None, False
        self._waiting = {name: deque() for name in ports.inputs}
        self._credits = {name: ports.credits(name) for name in ports.inputs}
        self._commands, self._pending = bytearray(), bytearray()

    def queue(self, streams: Mapping[str, np.ndarray]) -> None:
        """Add words, uint8 ``[beats, bytes]`` as ``pack`` makes them, to what is to be sent on each stream."""
        for name, words in streams.items():
            if name not in self._waiting:
                raise ValueError(f"streams must be of {sorted(self._waiting)}, not {name!r}")
            self._waiting[name] += [int.from_bytes(bytes(word), "little") for word in words]

    def set(self, name: str, value: int) -> None:
        """Write a setting before any further word."""
        self._commands += self.ports.setting(name, value)

    def ask_status(self) -> None:
        """Have the device report its flags."""
        self._commands += control(Control.STATUS)

    def clear_errors(self) -> None:
        """Clear the sticky flags, the engine's and the host's."""
        self._commands += control(Control.CLEAR_ERRORS)

    @property
    def done(self) -> bool:
        """Everything queued has been sent and taken."""
        return not self._commands and all(
            not words and self._credits[name] == self.ports.credits(name) for name, words in self._waiting.items())

    def to_send(self) -> bytes:
        """Commands, and words of each stream in turn for which the device has room; nothing before it is identified."""
        if not self.identified:
            return b""
        parts, self._commands = [bytes(self._commands)], bytearray()
        while ready := [name for name, words in self._waiting.items() if words and self._credits[name]]:
            for name in ready:
                self._credits[name] -= 1
                parts.append(self.ports.word(name, self._waiting[name].popleft()))
        return b"".join(parts)

    def feed(self, data: bytes) -> None:
        """Take bytes from the device.

        Raises
        ------
        SerialError
            For a report that the protocol does not have, or another identity.
        """
        self._pending += data
        if not self.identified:
            # What was on its way before the break, its last byte cut short, comes first.
            start = self._pending.find(_IDENTITY)
            del self._pending[: len(self._pending) - 1 if start < 0 else start]
            if start < 0:
                return
        while self._pending and len(self._pending) > (size := self._size(self._pending[0])):
            head, body = self._pending[0], bytes(self._pending[1 : size + 1])
            del self._pending[: size + 1]
            self._take(Report(head >> 6), head & 63, body)

    def _size(self, head):
        """Bytes of a report after its first one."""
        kind, index, names = Report(head >> 6), head & 63, list(self.outputs)
        if kind is Report.WORD and index < len(names):
            return bytes_of(self.ports.outputs[names[index]])
        if kind is Report.TAKEN and index < len(self.ports.inputs):
            return 0
        if index == 0 and kind in (Report.STATUS, Report.IDENTITY):
            return self.ports.status_bytes if kind is Report.STATUS else IDENTITY_BYTES
        raise SerialError(f"the device sent {head:#04x}, which begins no report: is the baud rate right? A break resets it")

    def _take(self, kind, index, body):
        value = int.from_bytes(body, "little")
        if kind is Report.WORD:
            self.outputs[list(self.outputs)[index]].append(value)
        elif kind is Report.TAKEN:
            self._return_credit(list(self._credits)[index])
        elif kind is Report.STATUS:
            flags = value & 255, value >> 8
            names = HOST_FLAGS, self.ports.errors
            self.status = {name: bool(bits >> i & 1) for bits, group in zip(flags, names) for i, name in enumerate(group)}
        else:
            self._identify(body)

    def _return_credit(self, name):
        if self._credits[name] == self.ports.credits(name):
            raise SerialError(f"the device took a word of {name} that was not sent")
        self._credits[name] += 1

    def _identify(self, body):
        version, identity = body[0], int.from_bytes(body[1:], "little")
        if (version, identity) != (VERSION, self.ports.identity):
            raise SerialError(f"the device must have protocol {VERSION} and identity {self.ports.identity:08x}, "
                              f"not {version} and {identity:08x}: was it made with the same parameters?")
        if self.identified:
            raise SerialError("the device was reset")
        self.identified = True
