# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Quantized weights in a file: safetensors, whose metadata say of each tensor what it is, from what, by what."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_bytes

from .. import __version__
from ..tools.hints import near
from ..tools.outputs import whole_file, write_whole
from ..weights import open_file
from ..weights.array_files import Safetensors
from . import scheme

__all__ = ["Stored", "join", "load", "save", "stored_tensors"]

_FORMAT = 1
_PREFIX = "subbyte:"
"""Of a tensor's entry in the metadata; its arrays are ``<tensor>:<field>``."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A quantized weight, and what is to be known of it.

    Attributes
    ----------
    scheme : str
    tensor, fmt : str
        Names of the tensor and of its format.
    qweight : Any
        The scheme's quantized weight.
    settings : tuple of str
        Parameters of an engine that takes it, ``key=value``, beside the defaults.
    source : mapping
        Where it is from: file, type, digest of what was read; how it was taken, and with what loss.
    order : int64 [K] or None
        The engine's input i is the model's input ``order[i]``.
    version : str
        Of subbyte that wrote it.
    """

    scheme: str
    tensor: str
    fmt: str
    qweight: Any = field(repr=False)
    settings: tuple[str, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    order: np.ndarray | None = None
    version: str = __version__


def save(path: str | os.PathLike, stored: Stored) -> None:
    """Write one tensor; the file is there whole or not at all."""
    fields = {**scheme(stored.scheme).to_fields(stored.qweight), "order": stored.order}
    arrays = {name: np.ascontiguousarray(value) for name, value in fields.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in fields.items() if name not in arrays and name != "order"}
    entry = {
        "format": _FORMAT,
        "subbyte": stored.version,
        "scheme": stored.scheme,
        "weight_format": stored.fmt,
        "shape": list(stored.qweight.shape),
        "settings": stored.settings,
        "source": stored.source,
        "fields": plain,
    }
    write_whole(
        path,
        to_bytes(
            {f"{stored.tensor}:{name}": array for name, array in arrays.items()}, {_PREFIX + stored.tensor: json.dumps(entry)}
        ),
    )


def stored_tensors(path: str | os.PathLike) -> dict[str, dict]:
    """What is said of each quantized tensor of a file, by name; nothing if :func:`save` did not write it."""
    reader = open_file(path)
    if not isinstance(reader, Safetensors):
        return {}
    return {name.removeprefix(_PREFIX): json.loads(text) for name, text in reader.metadata.items() if name.startswith(_PREFIX)}


def load(path: str | os.PathLike, tensor: str | None = None) -> Stored:
    """Read a quantized tensor that :func:`save` or ``subbyte quantize`` wrote; its name may be left out if it is the only one.

    Raises
    ------
    ValueError
        If there is no such tensor, or a later version wrote it.
    """
    entries = stored_tensors(path)
    if not entries:
        raise ValueError(
            f"{path}: holds no tensor that subbyte quantized; `subbyte quantize ... -o FILE.safetensors` writes one"
        )
    tensor = next(iter(entries)) if tensor is None and len(entries) == 1 else tensor
    if tensor not in entries:
        asked = f"not {tensor!r}{near(tensor, entries)}" if tensor else "and one must be named"
        raise ValueError(f"{path}: holds {', '.join(list(entries)[:12])}{', ...' if len(entries) > 12 else ''}, {asked}")
    entry, reader = entries[tensor], open_file(path)
    if entry["format"] != _FORMAT:
        raise ValueError(
            f"{path}: tensor {tensor!r} must have format {_FORMAT}, not {entry['format']} of subbyte {entry['subbyte']}"
        )
    arrays = {
        name.removeprefix(f"{tensor}:"): np.array(array.read())
        for name, array in reader.arrays().items()
        if name.startswith(f"{tensor}:")
    }
    order = arrays.pop("order", None)
    qweight = scheme(entry["scheme"]).from_fields({**entry["fields"], **arrays})
    return Stored(
        entry["scheme"],
        tensor,
        entry["weight_format"],
        qweight,
        tuple(entry["settings"]),
        entry["source"],
        order,
        entry["subbyte"],
    )


def join(path: str | os.PathLike, parts: Sequence[Path]) -> None:
    """Join files of :func:`save` into one; no more than a part of one of them is in memory."""
    entries, metadata, offset, bodies = {}, {}, 0, []
    for part in parts:
        with part.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        metadata |= header.pop("__metadata__")
        for name, entry in header.items():
            entries[name] = {**entry, "data_offsets": [offset + place for place in entry["data_offsets"]]}
        bodies.append(8 + length)
        offset += part.stat().st_size - 8 - length
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path) as unfinished, unfinished.open("wb") as joined:
        joined.write(len(text).to_bytes(8, "little") + text)
        for part, start in zip(parts, bodies, strict=True):
            with part.open("rb") as file:
                file.seek(start)
                shutil.copyfileobj(file, joined)
