# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""safetensors, npz and npy: files of named arrays, some of which together are a quantized layer."""

import functools
import json
import math
import zipfile
from abc import abstractmethod
from pathlib import Path

import numpy as np

from .packed import Array, find_layers
from .reader import Reader, WeightFileError

__all__ = ["Npy", "Npz", "Safetensors"]

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F16": "<f2",
    "BF16": "<u2",
    "F32": "<f4",
    "F64": "<f8",
}
"""NumPy's types of those of safetensors; BF16 as its bits."""


class _ArrayFile(Reader):
    """Arrays by name, and the layers that they make."""

    settings: dict = {}

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """All arrays that have a shape and a type."""

    @functools.cached_property
    def _layers(self):
        return find_layers(self.arrays(), self.settings)

    @functools.cached_property
    def _aliases(self):
        """Other names of a layer: those of its codes, and its module."""
        return {
            alias: name
            for name, layer in self._layers.items()
            if name not in layer.names
            for alias in (layer.names[0], name.removesuffix(".weight"))
        }

    def known(self, name):
        return super().known(self._aliases.get(name, name))

    @functools.cached_property
    def _shapes(self):
        used = {part for layer in self._layers.values() for part in layer.names}
        places = {layer.names[0]: name for name, layer in self._layers.items()}
        shapes = {}
        for name, array in self.arrays().items():
            if name in places:
                shapes[places[name]] = self._layers[places[name]].shape
            elif name not in used:
                shapes[name] = array.shape
        return shapes

    def shapes(self):
        return self._shapes

    def type_of(self, name):
        name = self.known(name)
        return self._layers[name].type if name in self._layers else self.arrays()[name].dtype

    def _load(self, name, index):
        codes = self._codes(name, index)
        if codes is not None:
            return codes.unsorted()
        array = self.arrays()[name]
        if not array.is_float:
            raise WeightFileError(f"{self.path}: tensor {name!r} must be F16, BF16, F32 or F64, not {array.dtype}")
        return array.read(index)

    def _codes(self, name, index):
        if name not in self._layers:
            return None
        try:
            return self._layers[name].codes(index)
        except ValueError as error:
            raise WeightFileError(f"{self.path}: tensor {name!r}, {self._layers[name].type}: {error}") from None


class Safetensors(_ArrayFile):
    """One file, or all files of a checkpoint."""

    kind = "safetensors"

    def __init__(self, path, files=None):
        super().__init__(path)
        self.files = tuple(files or (path,))
        self._arrays, self.metadata = {}, {}
        for file in self.files:
            arrays, metadata = _header(file)
            twice = sorted(set(arrays) & set(self._arrays))
            if twice:
                raise WeightFileError(f"{file}: tensor {twice[0]!r} is in another file of the checkpoint, too")
            self._arrays |= arrays
            self.metadata |= metadata
        self.settings = _settings(Path(self.files[0]).parent)

    def arrays(self):
        return self._arrays


def _header(path):
    """Arrays of a file by name, and its metadata; the header is a length in 8 bytes and JSON."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = Path(path).stat().st_size
        if 8 + length > size:
            raise ValueError(f"its header of {length} bytes is not whole")
        entries = json.loads(file.read(length))
    metadata = entries.pop("__metadata__", None) or {}
    arrays, end = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        (start, stop), shape, dtype = entry["data_offsets"], tuple(entry["shape"]), entry["dtype"]
        if start != end or stop < start or any(axis < 0 for axis in shape):
            raise ValueError(f"the place of tensor {name!r} is wrong")
        if dtype in _DTYPES and np.dtype(_DTYPES[dtype]).itemsize * math.prod(shape) != stop - start:
            raise ValueError(f"tensor {name!r} has {stop - start} bytes, which {dtype} {shape} does not")
        arrays[name], end = Array(dtype, shape, functools.partial(_read, path, dtype, 8 + length + start, shape)), stop
    if 8 + length + end != size:
        raise ValueError(f"its tensors take {end} bytes, not {size - 8 - length}")
    return arrays, metadata


def _read(path, dtype, offset, shape):
    if not math.prod(shape):
        return np.zeros(shape, _DTYPES[dtype])
    return np.memmap(path, _DTYPES[dtype], "r", offset, shape)


def _settings(folder):
    """What a checkpoint's configuration says about quantization."""
    settings = {}
    for name in ("config.json", "quant_config.json", "quantize_config.json"):
        path = folder / name
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                found = found.get("quantization_config") if name == "config.json" else found
                settings |= found or {}
            except (ValueError, AttributeError, TypeError, OSError) as error:
                raise WeightFileError(f"{path}: must be JSON that describes the checkpoint ({error})") from None
    return settings


class Npz(_ArrayFile):
    """An archive of arrays, each of which is read when it is asked for."""

    kind = "npz"

    def __init__(self, path):
        super().__init__(path)
        self._arrays = {}
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            if broken:
                raise ValueError(f"{broken} is damaged")
            for member in archive.namelist():
                with archive.open(member) as file:
                    found = _npy_header(file)
                if found is not None:
                    name = member.removesuffix(".npy")
                    self._arrays[name] = Array(*found, functools.partial(self._member, member))

    def arrays(self):
        return self._arrays

    def _member(self, member):
        with zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
            return _numbers(np.lib.format.read_array(file, allow_pickle=False))


class Npy(_ArrayFile):
    """A single array, by the name of the file."""

    kind = "npy"

    def __init__(self, path):
        super().__init__(path)
        with open(path, "rb") as file:
            found = _npy_header(file)
        if found is None:
            raise WeightFileError(f"{path}: must hold numbers, not objects or text")
        self._arrays = {Path(path).stem: Array(*found, lambda: _numbers(np.load(path, mmap_mode="r", allow_pickle=False)))}
        self._arrays[Path(path).stem].read()

    def arrays(self):
        return self._arrays


def _npy_header(file):
    """Type and shape of a .npy file's array; None for objects and texts."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        return None
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.kind == "V":  # NumPy writes types that are not its own without a name
        return "bfloat16" if dtype.itemsize == 2 else f"void of {dtype.itemsize} bytes", shape
    return (dtype.name, shape) if dtype.kind in "fiubc" else None


def _numbers(array):
    """In this machine's byte order; bfloat16, which NumPy writes as two bytes without a meaning, as its bits."""
    return array.view("<u2") if array.dtype == "V2" else array.astype(array.dtype.newbyteorder("="), copy=False)
