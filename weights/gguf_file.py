# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""GGUF files: tensors as numbers, and as the codes that they hold.

The package `gguf` reads them. What is added: a tensor of a type that it does not know leaves the others readable, files of the
other byte order, and the codes of the types that are integers with a scale a block (layouts: `ggml-common.h` of llama.cpp,
`gguf.quants` of the package).
"""

from importlib import metadata

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFEndian, GGUFReader
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import MXFP4, dequantize

from .quantized import QuantizedTensor
from .reader import Reader, WeightFileError

__all__ = ["GgufFile"]

_SWAPPED_FIELDS = {Type.Q4_0: 1, Type.Q4_1: 2, Type.Q8_0: 1}
"""Binary16 numbers at the head of a block, of the types that are read from a file of the other byte order."""
_FORMER = {4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "I2_S of bitnet.cpp, or IQ4_NL_4_4"}
"""Types that there were, or are elsewhere."""
_PLAIN = {Type.F16: np.float16, Type.F32: np.float32, Type.F64: np.float64}


class _Tolerant(GGUFReader):
    """A reader that lists tensors of unknown types in `unknown` [name: (type, shape)]."""

    def _build_tensors(self, start_offs, fields):
        known, names, self.unknown = [], set(), {}
        for field in fields:
            if field.name in names:
                raise ValueError(f"Found duplicated tensor with name {field.name}")
            names.add(field.name)
            dims, number = field.parts[3], int(field.parts[4][0])
            if number not in Type._value2member_map_ or Type(number) not in GGML_QUANT_SIZES:
                self.unknown[field.name] = number, tuple(dims[::-1].tolist())
                continue
            block = GGML_QUANT_SIZES[Type(number)][0]
            if len(dims) and int(dims[0]) % block:
                raise ValueError(f"tensor {field.name!r} has rows of {int(dims[0])}, which blocks of {block} do not fill")
            super()._build_tensors(start_offs, [field])
            known += self.tensors
        self.tensors = known


class GgufFile(Reader):
    """A GGUF file: its tensors, and the fields of its header."""

    kind = "GGUF"

    def __init__(self, path):
        super().__init__(path)
        with open(path, "rb") as file:
            version = file.read(8)[4:]
        if version in (b"\1\0\0\0", b"\0\0\0\1"):
            raise WeightFileError(f"{path}: must be GGUF version 2 or 3, not 1; llama.cpp's gguf tools write version 3")
        self._reader = _Tolerant(path)
        self._swapped = self._reader.byte_order == "S"
        self.order = "big-endian" if self._reader.endianess == GGUFEndian.BIG else "little-endian"
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}

    def shapes(self):
        # GGUF lists the fastest axis first.
        known = {name: tuple(tensor.shape[::-1].tolist()) for name, tensor in self._tensors.items()}
        return known | {name: shape for name, (_, shape) in self._reader.unknown.items()}

    def type_of(self, name):
        if name in self._tensors:
            return self._tensors[name].tensor_type.name
        number = self._reader.unknown[name][0]
        return f"ggml type {number}" + (f" ({_FORMER[number]})" if number in _FORMER else "")

    def field(self, name, default=None):
        """Contents of a metadata field."""
        field = self._reader.get_field(name)
        return default if field is None else field.contents()

    def _load(self, name, rows):
        tensor = self._known(name)
        try:
            return dequantize(self._native(tensor, rows), tensor.tensor_type).astype(np.float32, copy=False)
        except NotImplementedError:
            raise WeightFileError(
                f"{self.path}: tensor {name!r} has the type {tensor.tensor_type.name}, which the gguf package cannot dequantize"
            ) from None

    def _codes(self, name, rows):
        tensor = self._tensors.get(name)
        if tensor is None or tensor.tensor_type not in _LAYOUTS:
            return None
        size, bytes_each = GGML_QUANT_SIZES[tensor.tensor_type]
        data = self._native(tensor, rows)
        blocks = data.reshape(-1, bytes_each)
        bits, codes, scales, zero, minima = _LAYOUTS[tensor.tensor_type](blocks)
        n, groups = len(data), data.shape[-1] // bytes_each
        return QuantizedTensor(
            np.ascontiguousarray(codes.reshape(n, -1)),
            bits,
            scales.reshape(n, groups),
            size,
            tensor.tensor_type.name,
            np.full((n, groups), zero, np.int16),
            None if minima is None else minima.reshape(n, groups),
        )

    def _known(self, name):
        if name in self._reader.unknown:
            version = metadata.version("gguf")
            raise WeightFileError(
                f"{self.path}: tensor {name!r} has the {self.type_of(name)}, which gguf {version} does not know; "
                "the file's other tensors can be read"
            )
        return self._tensors[name]

    def _native(self, tensor, rows):
        """A tensor's data in this machine's byte order."""
        data = tensor.data[rows]
        if not self._swapped:
            return data
        if tensor.tensor_type in _PLAIN or np.issubdtype(data.dtype, np.integer) and data.dtype.itemsize > 1:
            return data.astype(data.dtype.newbyteorder("="))
        if tensor.tensor_type == Type.BF16:
            return _swapped(data, data.shape[-1] // 2)
        if tensor.tensor_type not in _SWAPPED_FIELDS:
            raise WeightFileError(
                f"{self.path}: tensor {tensor.name!r} has the type {tensor.tensor_type.name} in a "
                f"{self.order} file, where F32, F16, BF16, Q4_0, Q4_1 and Q8_0 can be read; "
                "llama.cpp's gguf_convert_endian.py turns it"
            )
        blocks = data.reshape(-1, GGML_QUANT_SIZES[tensor.tensor_type][1])
        return _swapped(blocks, _SWAPPED_FIELDS[tensor.tensor_type]).reshape(data.shape)


def _swapped(data, count):
    """Bytes with those of the first `count` 16-bit numbers of the last axis swapped."""
    data = np.array(data)
    head = data[..., : 2 * count]
    head[...] = head.reshape(*head.shape[:-1], count, 2)[..., ::-1].reshape(head.shape)
    return data


def _halves(blocks, start):
    return np.ascontiguousarray(blocks[:, start : start + 2]).view(np.float16).astype(np.float32)


def _nibbles(data):
    """The low halves of all bytes, then the high ones."""
    return np.concatenate([data & 15, data >> 4], axis=1)


def _fifth(data):
    return np.unpackbits(np.ascontiguousarray(data), axis=1, bitorder="little") << 4


def _tq1_0(blocks):
    """Five trits a byte as a fraction of 3**5 in 256 parts, most significant first; the 16 last ones are four a byte."""
    parts = []
    for start, stop, digits in ((0, 32, 5), (32, 48, 5), (48, 52, 4)):
        data = blocks[:, None, start:stop] * np.array([1, 3, 9, 27, 81], np.uint8)[:digits, None]
        parts.append((data.astype(np.uint16) * 3 >> 8).astype(np.uint8).reshape(len(blocks), -1))
    return 2, np.concatenate(parts, axis=1), _halves(blocks, 52), 1, None


def _tq2_0(blocks):
    """Four trits a byte: the n-th ones of 32 bytes are neighbours."""
    parts = blocks[:, :64].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    return 2, parts.reshape(len(blocks), -1), _halves(blocks, 64), 1, None


def _mxfp4(blocks):
    """E2M1 numbers in half units, 0 to 12, and a power of two: integers."""
    points = np.array(MXFP4.kvalues, np.int8)[_nibbles(blocks[:, 1:])]
    return 5, (points + 12).astype(np.uint8), MXFP4.e8m0_to_fp32_half(blocks[:, 0]), 12, None


_LAYOUTS = {
    Type.Q4_0: lambda b: (4, _nibbles(b[:, 2:]), _halves(b, 0), 8, None),
    Type.Q4_1: lambda b: (4, _nibbles(b[:, 4:]), _halves(b, 0), 0, _halves(b, 2)),
    Type.Q5_0: lambda b: (5, _nibbles(b[:, 6:]) | _fifth(b[:, 2:6]), _halves(b, 0), 16, None),
    Type.Q5_1: lambda b: (5, _nibbles(b[:, 8:]) | _fifth(b[:, 4:8]), _halves(b, 0), 0, _halves(b, 2)),
    Type.Q8_0: lambda b: (8, b[:, 2:] ^ 128, _halves(b, 0), 128, None),
    Type.MXFP4: _mxfp4,
    Type.TQ1_0: _tq1_0,
    Type.TQ2_0: _tq2_0,
}
"""Of each type, from its blocks uint8 [blocks, bytes]: bits, codes, scales, the code of zero, minima."""
