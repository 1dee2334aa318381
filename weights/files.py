# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Real weights from real model files: GGUF, safetensors and NumPy's npz.

The formats are read by their own packages (`gguf`, `safetensors`); what is added here is one interface, float32
matrices in [N, K] order, and errors that say what is wrong with the file.
"""

import contextlib
import difflib
import functools
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors import SafetensorError, safe_open

__all__ = ["GgufFile", "WeightFileError", "check_finite", "list_tensors", "load_tensor", "open_file"]

class WeightFileError(ValueError):
    """A weight file, or a tensor in it, cannot be used; the message says which and why."""


def list_tensors(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """Return the name and the NumPy shape of each tensor of a file, in the file's order.

    Raises
    ------
    WeightFileError
        If the file is missing, truncated or of no known format.
    """
    return open_file(path).shapes()


def load_tensor(path: str | os.PathLike, name: str, ndim: int = 2) -> np.ndarray:
    """Load one tensor as float32, dequantized if the file holds it quantized.

    Parameters
    ----------
    path : path of a GGUF, safetensors or npz file
    name : str
    ndim : int
        The number of axes that the tensor must have: 2 for a matrix [N, K], whose rows are outputs.

    Raises
    ------
    WeightFileError
        If the file or the tensor cannot be read, or the tensor has other axes, no elements, or elements that are not
        finite.
    """
    reader = open_file(path)
    shape = reader.shape(name)
    if len(shape) != ndim:
        raise WeightFileError(f"{path}: tensor {name!r} must have {ndim} axes, not the shape {shape!r}")
    return check_finite(reader.load(name), path, name)


def check_finite(array: np.ndarray, path, name: str) -> np.ndarray:
    """The array, if it has elements and all of them are finite."""
    if not array.size:
        raise WeightFileError(f"{path}: tensor {name!r} has no elements")
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise WeightFileError(f"{path}: tensor {name!r} must be finite, not {array[where]} at {where!r}")
    return array


class _Reader:
    """One open file: `shapes()` of its tensors and `load(name)`."""

    def __init__(self, path: str):
        self.path = path

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor that must exist."""
        shapes = self.shapes()
        if name not in shapes:
            by_lower_case = {known.lower(): known for known in shapes}
            near = difflib.get_close_matches(name.lower(), by_lower_case, n=5, cutoff=0.4)
            if near:
                hint = f"; near matches: {', '.join(by_lower_case[match] for match in near)}"
            else:
                hint = f"; it has {', '.join(shapes) if 0 < len(shapes) <= 12 else f'{len(shapes)} tensors'}"
            raise WeightFileError(f"{self.path}: no tensor {name!r}{hint}")
        return shapes[name]


class GgufFile(_Reader):
    """A GGUF file: its tensors, and the fields of its header."""

    def __init__(self, path):
        super().__init__(path)
        self._reader = GGUFReader(path)
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}

    def shapes(self):
        # GGUF lists the fastest axis first.
        return {name: tuple(tensor.shape[::-1].tolist()) for name, tensor in self._tensors.items()}

    def field(self, name, default=None):
        """Contents of a metadata field."""
        field = self._reader.get_field(name)
        return default if field is None else field.contents()

    def load(self, name, rows=slice(None)):
        self.shape(name)
        tensor = self._tensors[name]
        try:
            return dequantize(tensor.data[rows], tensor.tensor_type).astype(np.float32, copy=False)
        except NotImplementedError:
            raise WeightFileError(f"{self.path}: tensor {name!r} has the type {tensor.tensor_type.name}, "
                                  f"which the gguf package cannot dequantize") from None


class _Safetensors(_Reader):
    def __init__(self, path):
        super().__init__(path)
        with self._open() as file:
            slices = {name: file.get_slice(name) for name in file.offset_keys()}
            self._shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            self._dtypes = {name: part.get_dtype() for name, part in slices.items()}

    def _open(self):
        return safe_open(self.path, framework="numpy")

    def shapes(self):
        return self._shapes

    def load(self, name):
        dtype = self._dtypes[name]
        if dtype == "BF16":
            return (self._raw(name).view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(self.shape(name))
        if dtype not in ("F16", "F32", "F64"):
            raise WeightFileError(f"{self.path}: tensor {name!r} must be F16, BF16, F32 or F64, not {dtype}")
        with self._open() as file, np.errstate(over="ignore"):  # the caller checks for infinities
            return file.get_tensor(name).astype(np.float32)

    def _raw(self, name):
        """Bytes of a tensor whose type NumPy does not know; the package has validated the header."""
        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            start, end = json.loads(file.read(length))[name]["data_offsets"]
        return np.memmap(self.path, np.uint8, "r", 8 + length + start, (end - start,))


class _Npz(_Reader):
    def __init__(self, path):
        super().__init__(path)
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        self._arrays = {name: array for name, array in arrays.items()
                        if isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.floating)}

    def shapes(self):
        return {name: array.shape for name, array in self._arrays.items()}

    def load(self, name):
        with np.errstate(over="ignore"):
            return self._arrays[name].astype(np.float32)


_MAGIC = {b"GGUF": ("GGUF", GgufFile), b"PK\x03\x04": ("npz", _Npz)}


def open_file(path) -> _Reader:
    """Open a weight file, or find it still open: a GGUF's vocabulary takes seconds to read."""
    path = Path(path)
    if not path.is_file():
        raise WeightFileError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
    status = path.stat()
    return _open(str(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=1)
def _open(path: str, _mtime: int, _size: int) -> _Reader:
    """Open a file as what its first bytes say it is."""
    with open(path, "rb") as file:
        head = file.read(9)
    kind, reader = _MAGIC.get(head[:4], ("safetensors", _Safetensors) if head[8:] == b"{" else (None, None))
    if reader is None:
        raise WeightFileError(f"{path}: neither a GGUF, a safetensors nor an npz file (it begins with {head!r})")
    with _intact(path, kind):
        return reader(path)


@contextlib.contextmanager
def _intact(path: str, kind: str) -> Iterator[None]:
    """Turn what the packages raise on a damaged file into one error."""
    try:
        yield
    except (ValueError, LookupError, OverflowError, MemoryError, EOFError, OSError, zlib.error,
            zipfile.BadZipFile, SafetensorError) as error:
        raise WeightFileError(f"{path}: truncated or damaged {kind} file ({error})") from error
