# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Real weights from real model files: GGUF, safetensors, npz and npy; one file, or the folder of a checkpoint.

One interface for all: float32 matrices in [N, K] order, or the codes of what is quantized already, and errors that say what is
wrong with the file.
"""

import contextlib
import functools
import json
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .array_files import Npy, Npz, Safetensors
from .gguf_file import GgufFile
from .quantized import QuantizedTensor
from .reader import Reader, WeightFileError
from .split_gguf import SplitGguf

__all__ = ["list_tensors", "load_quantized", "load_tensor", "open_file"]

_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf$")


def list_tensors(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """Return the name and the NumPy shape of each tensor of a file, in the file's order.

    Raises
    ------
    WeightFileError
        If the file is missing, truncated or of no known format.
    """
    return open_file(path).shapes()


def load_tensor(
    path: str | os.PathLike, name: str, ndim: int = 2, rows: slice = slice(None), expert: int | None = None
) -> np.ndarray:
    """Load one tensor as float32, dequantized if the file holds it quantized.

    Parameters
    ----------
    path : path of a GGUF, safetensors, npz or npy file, of a checkpoint's folder or index
    name : str
    ndim : int
        The number of axes that the tensor must have: 2 for a matrix [N, K], whose rows are outputs.
    rows : slice, optional
        Rows to load; what is in others does not matter.
    expert : int, optional
        Which matrix of a three-dimensional tensor of experts [experts, N, K].

    Raises
    ------
    WeightFileError
        If the file or the tensor cannot be read, or the tensor has other axes, no elements, or elements that are not
        finite.
    """
    reader = open_file(path)
    return reader.load(name, _index(reader, name, ndim, rows, expert))


def load_quantized(
    path: str | os.PathLike, name: str, rows: slice = slice(None), expert: int | None = None
) -> QuantizedTensor | None:
    """Load a matrix as the codes that the file holds; None if it holds numbers, or codes that are no integers with scales.

    Parameters are those of :func:`load_tensor`.
    """
    reader = open_file(path)
    return reader.codes(name, _index(reader, name, 2, rows, expert))


def _index(reader, name, ndim, rows, expert):
    """Which part of a tensor is meant."""
    shape = reader.shape(name)
    if len(shape) == 3 and ndim == 2 and 0 not in shape:
        if expert is None:
            raise WeightFileError(
                f"{reader.path}: tensor {name!r} must have 2 axes, not the shape {shape!r}; --expert 0 to "
                f"{shape[0] - 1} chooses one of its matrices"
            )
        if not 0 <= expert < shape[0]:
            raise WeightFileError(f"{reader.path}: tensor {name!r} has experts 0 to {shape[0] - 1}, not {expert}")
        return expert, rows
    if expert is not None:
        raise WeightFileError(f"{reader.path}: tensor {name!r} has no experts: --expert is for three axes, not {shape!r}")
    if len(shape) != ndim:
        raise WeightFileError(f"{reader.path}: tensor {name!r} must have {ndim} axes, not the shape {shape!r}")
    return rows


def open_file(path) -> Reader:
    """Open a weight file or checkpoint, or find it still open: a GGUF's vocabulary takes seconds to read."""
    path = Path(path)
    if not path.exists():
        raise WeightFileError(f"{path}: no such file")
    files = _files_of(path)
    for file in files:
        if not file.is_file():
            raise WeightFileError(f"{path}: {file.name} is missing" if file != path else f"{path}: not a file")
    states = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _open(str(path), states)


def _files_of(path):
    """All files of a checkpoint: those of a folder, of an index, of a split GGUF."""
    if path.is_dir():
        indices = sorted(path.glob("*.safetensors.index.json"))
        found = indices[:1] or sorted(path.glob("*.safetensors")) or sorted(path.glob("*.gguf"))
        if not found:
            raise WeightFileError(f"{path}: not a file, and a folder without .safetensors or .gguf files")
        if found[0].suffix == ".gguf":
            firsts = [file for file in found if not (part := _SPLIT.match(file.name)) or part[2] == "00001"]
            if len(firsts) != 1:
                raise WeightFileError(f"{path}: name one of its models: {', '.join(file.name for file in firsts or found)}")
            return _files_of(firsts[0])
        return _files_of(found[0]) if found[0].suffix == ".json" else found
    if path.name.endswith(".index.json"):
        try:
            names = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise WeightFileError(f"{path}: must be an index of a checkpoint with a weight_map ({error!r})") from None
        return [path.parent / name for name in sorted(names)]
    split = _SPLIT.match(path.name)
    if split:
        return [path.parent / f"{split[1]}-{number:05d}-of-{split[3]}.gguf" for number in range(1, int(split[3]) + 1)]
    return [path]


@functools.lru_cache(maxsize=2)
def _open(path: str, states: tuple[tuple[str, int, int], ...]) -> Reader:
    """Open a file as what its first bytes say it is."""
    files = [name for name, *_ in states]
    kinds = {file: _kind(file) for file in files}
    kind = kinds[files[0]]
    if len(set(kinds.values())) > 1:
        raise WeightFileError(f"{path}: the files of a checkpoint must be of one kind, not {kinds}")
    with _intact(path, kind):
        if len(files) == 1:
            return _KINDS[kind](files[0])
        return Safetensors(path, files) if kind == "safetensors" else SplitGguf(path, files)


_KINDS = {"GGUF": GgufFile, "npz": Npz, "npy": Npy, "safetensors": Safetensors}
_MAGIC = {b"GGUF": "GGUF", b"PK\x03\x04": "npz", b"\x93NUM": "npy"}


def _kind(path):
    with open(path, "rb") as file:
        head = file.read(9)
    kind = _MAGIC.get(head[:4], "safetensors" if head[8:] == b"{" else None)
    if kind is None:
        raise WeightFileError(f"{path}: neither a GGUF, a safetensors nor an npz file (it begins with {head!r})")
    return kind


@contextlib.contextmanager
def _intact(path: str, kind: str) -> Iterator[None]:
    """Turn what the packages raise on a damaged file into one error."""
    try:
        yield
    except WeightFileError:
        raise
    except (
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        MemoryError,
        EOFError,
        OSError,
        NotImplementedError,
        struct.error,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise WeightFileError(f"{path}: truncated or damaged {kind} file ({error})") from error
