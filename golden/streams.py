# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Stream words: fields to beats and back.

A payload is a tuple of :class:`Field`, least significant first. The same fields give the hardware its layouts
(:mod:`subbyte.hdl.layouts`), so that what a payload holds is written once. A stream's beats are uint8
``[beats, ceil(payload bits / 8)]``, little-endian: payload bit 0 is bit 0 of byte 0.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, cast

import numpy as np

__all__ = [
    "BINARY16", "BINARY32", "Field", "Number", "check_beats", "last_of", "pack_beats", "payload_bits", "signed", "unpack_beats",
    "unsigned",
]


@dataclass(frozen=True)
class Number:
    """What the ``width`` bits of an element stand for.

    ``kind``: a number without a sign, one in two's complement, or one of IEEE 754. ``names``: the enumeration whose members
    the values are, if they are.
    """

    width: int
    kind: Literal["unsigned", "signed", "float"] = "unsigned"
    names: type[enum.IntEnum] | None = None

    @property
    def dtype(self) -> np.dtype:
        """NumPy's type of unpacked values."""
        return np.dtype(f"float{self.width}") if self.kind == "float" else np.dtype(np.int64)

    def encode(self, values: np.ndarray, name: str) -> np.ndarray:
        """Bit patterns, integers. Integers pass for floating-point numbers as their bits; negative ones are taken anywhere."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            if self.kind != "float" or values.dtype != self.dtype:
                wanted = f"integers or {self.dtype}" if self.kind == "float" else "integers"
                raise TypeError(f"{name} must hold {wanted}, not {values.dtype}")
            return values.view(f"u{self.width // 8}")
        if values.size and not (int(values.min()) >= -(1 << self.width - 1) and int(values.max()) < 1 << self.width):
            raise ValueError(f"{name} must fit {self.width} bits, not reach {values.min()} or {values.max()}")
        return values

    def decode(self, bits: np.ndarray) -> np.ndarray:
        """Undo :meth:`encode`."""
        if self.kind == "float":
            return bits.astype(f"u{self.width // 8}").view(self.dtype)
        return bits - ((bits >> (self.width - 1)) << self.width) if self.kind == "signed" else bits


def unsigned(width: int, names: type[enum.IntEnum] | None = None) -> Number:
    """A number from 0 on, or a member of an enumeration."""
    return Number(width, names=names)


def signed(width: int) -> Number:
    """A number in two's complement."""
    return Number(width, "signed")


BINARY16, BINARY32 = Number(16, "float"), Number(32, "float")
"""IEEE 754's formats."""


@dataclass(frozen=True)
class Field:
    """A member of a payload: an array of ``shape``, its last axis fastest and element 0 least significant.

    Attributes
    ----------
    name : str
    element : Number, int or tuple of Field
        An int is an unsigned number of so many bits, a tuple a structure.
    shape : tuple of int, or int
        ``()`` is a single element; an int an array of one axis.
    """

    name: str
    element: "Number | int | tuple[Field, ...]" = 1
    shape: tuple[int, ...] | int = ()

    def __post_init__(self) -> None:
        if isinstance(self.element, int):
            object.__setattr__(self, "element", unsigned(self.element))
        if isinstance(self.shape, int):
            object.__setattr__(self, "shape", (self.shape,))

    @property
    def is_struct(self) -> bool:
        """Whether an element is a structure."""
        return isinstance(self.element, tuple)

    @property
    def axes(self) -> tuple[int, ...]:
        """The shape, one axis included."""
        return (self.shape,) if isinstance(self.shape, int) else self.shape

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.axes)

    @cached_property
    def width(self) -> int:
        """Bits of an element."""
        return payload_bits(self.element) if isinstance(self.element, tuple) else self._number.width

    @property
    def _number(self) -> Number:
        return cast(Number, self.element)  # what is no structure is one since __post_init__

    def encode(self, values, lead: tuple[int, ...]) -> np.ndarray:
        """Bits uint8 ``[*lead, bits of the field]`` of values ``[*lead, *shape]``; of a structure a mapping of such."""
        whole = (*lead, *self.axes)
        if isinstance(self.element, tuple):
            check_names(self.name, values, self.element)
            bits = np.concatenate([member.encode(values[member.name], whole) for member in self.element], axis=-1)
        else:
            narrow = np.dtype(f"u{1 << max((self.width - 1).bit_length() - 3, 0)}")  # the less memory, the faster
            numbers = self._number.encode(values, self.name).reshape(whole).astype(narrow)
            bits = (numbers[..., None] >> np.arange(self.width, dtype=narrow) & narrow.type(1)).astype(np.uint8)
        return bits.reshape(*lead, -1)

    def decode(self, bits: np.ndarray):
        """Undo :meth:`encode`."""
        bits = bits.reshape(*bits.shape[:-1], *self.axes, self.width)
        if isinstance(self.element, tuple):
            return _decode(self.element, bits)
        return self._number.decode((bits.astype(np.int64) << np.arange(self.width)).sum(axis=-1))


def payload_bits(fields: Sequence[Field]) -> int:
    """Width of the payload."""
    return sum(field.width * field.count for field in fields)


def check_names(what: str, values: Mapping, fields: Sequence[Field]) -> None:
    """Refuse values that are not given for exactly these fields."""
    if set(values) != {field.name for field in fields}:
        raise ValueError(f"{what} must be given for {[field.name for field in fields]}, not {sorted(values)}")


def pack_beats(fields: Sequence[Field], **values) -> np.ndarray:
    """Pack arrays ``[beats, *shape]`` into words; a structure is a mapping of such arrays."""
    check_names("values", values, fields)
    beats = len(next(iter(_leaves(values))))
    return np.packbits(np.concatenate([field.encode(values[field.name], (beats,)) for field in fields], axis=1), axis=1,
                       bitorder="little")


def unpack_beats(fields: Sequence[Field], words: np.ndarray) -> dict:
    """Undo :func:`pack_beats`: arrays ``[beats, *shape]`` by name, int64 or the floating-point type."""
    width = payload_bits(fields)
    if words.dtype != np.uint8 or words.ndim != 2 or words.shape[1] != -(-width // 8):
        raise ValueError(f"words must be uint8 [beats, {-(-width // 8)}], not {words.dtype} {words.shape}")
    return _decode(fields, np.unpackbits(words, axis=1, bitorder="little")[:, :width])


def _decode(fields, bits):
    values, start = {}, 0
    for field in fields:
        stop = start + field.width * field.count
        values[field.name] = field.decode(bits[..., start:stop])
        start = stop
    return values


def _leaves(values):
    for value in values.values():
        yield from _leaves(value) if isinstance(value, Mapping) else [value]


def last_of(beats: int, times: int = 1) -> np.ndarray:
    """The field ``last`` of several tiles of so many beats: set in the last one of each."""
    return np.tile(np.arange(beats) == beats - 1, times)


def check_beats(stream: str, words: Mapping[str, np.ndarray], beats: int) -> None:
    """Refuse a stream with another number of beats."""
    if len(words[stream]) != beats:
        raise ValueError(f"{stream} must have {beats} beats, not {len(words[stream])}")
