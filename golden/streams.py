# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Stream words: fields to beats and back.

A stream's beats are uint8 ``[beats, ceil(payload bits / 8)]``, little-endian: payload bit 0 is bit 0 of byte 0. A payload is
a list of fields, least significant first, each of ``count`` elements of ``width`` bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Field", "pack_beats", "payload_bits", "unpack_beats"]


@dataclass(frozen=True)
class Field:
    """``count`` elements of ``width`` bits, element 0 least significant."""

    name: str
    width: int
    count: int = 1


def payload_bits(fields: Sequence[Field]) -> int:
    """Width of the payload."""
    return sum(field.width * field.count for field in fields)


def pack_beats(fields: Sequence[Field], **values: np.ndarray) -> np.ndarray:
    """Pack integer arrays ``[beats, count]`` (``[beats]`` for a count of one) into words; negative ones in two's complement."""
    if set(values) != {field.name for field in fields}:
        raise ValueError(f"values must be given for {[f.name for f in fields]}, not {sorted(values)}")
    bits = []
    for field in fields:
        array = np.asarray(values[field.name])
        beats = array.reshape(len(array), field.count).astype(np.int64)
        if np.any((beats >> field.width != 0) & (beats >> (field.width - 1) != -1)):
            raise ValueError(f"{field.name} must fit {field.width} bits, not reach {beats.min()} or {beats.max()}")
        positions = np.arange(field.width)
        bits.append((beats[:, :, None] >> positions & 1).astype(np.uint8).reshape(len(beats), -1))
    return np.packbits(np.concatenate(bits, axis=1), axis=1, bitorder="little")


def unpack_beats(fields: Sequence[Field], words: np.ndarray) -> dict[str, np.ndarray]:
    """Undo :func:`pack_beats`: unsigned int64 ``[beats, count]`` by name."""
    width = payload_bits(fields)
    if words.dtype != np.uint8 or words.ndim != 2 or words.shape[1] != -(-width // 8):
        raise ValueError(f"words must be uint8 [beats, {-(-width // 8)}], not {words.dtype} {words.shape}")
    bits = np.unpackbits(words, axis=1, bitorder="little")
    values, start = {}, 0
    for field in fields:
        stop = start + field.width * field.count
        elements = bits[:, start:stop].reshape(len(words), field.count, field.width).astype(np.int64)
        values[field.name] = (elements << np.arange(field.width)).sum(axis=2)
        start = stop
    return values
