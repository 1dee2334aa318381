# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Layers that a checkpoint holds as several arrays: GPTQ, AWQ, BitNet of Hugging Face, integers with a scale beside them.

The arrays' names and shapes tell which it is. Layouts: `docs/weights.md`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .quantized import QuantizedTensor
from .reader import Index

__all__ = ["FLOATS", "Array", "Layer", "find_layers"]

FLOATS = ("F16", "BF16", "F32", "F64", "float16", "float32", "float64", "bfloat16")
"""Types of numbers, as safetensors and NumPy name them."""
_INTEGERS = ("I8", "U8", "int8", "uint8", "int16", "int32", "int64")
"""Types of codes; NumPy's wider ones, too, since they are what its functions give."""
_SCALES = ("_scale", "_scales", ".scale", ".scales")
_ZEROS = ("_zero", "_zeros", ".zero", ".zeros")
_AWQ_ORDER = (0, 4, 1, 5, 2, 6, 3, 7)
"""Place in a word of 8 neighbouring columns: word bits 4p.. hold column `order.index(p)`."""


@dataclass(frozen=True)
class Array:
    """An array of a file: what it is, and its contents when asked for."""

    dtype: str
    shape: tuple[int, ...]
    bits: Callable[[], np.ndarray]

    @property
    def is_float(self) -> bool:
        """Whether it holds floating-point numbers of a type that is read."""
        return self.dtype in FLOATS

    def read(self, index: Any = ...) -> np.ndarray:
        """The array, or part of it; bfloat16, which NumPy does not know, as float32."""
        array = self.bits()[index]
        return (array.astype(np.uint32) << 16).view(np.float32) if self.dtype in ("BF16", "bfloat16") else array


@dataclass(frozen=True)
class Layer(ABC):
    """A weight matrix [N, K] out of several arrays.

    Attributes
    ----------
    shape : (int, int)
    parts : mapping of str to Array
    names : tuple of str
        Of the arrays that it is made of.
    settings : mapping
        What the checkpoint's configuration says about quantization.
    """

    shape: tuple[int, int]
    parts: Mapping[str, Array]
    names: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    @abstractmethod
    def type(self) -> str:
        """What it is, for people."""

    @abstractmethod
    def codes(self, rows: Index) -> QuantizedTensor:
        """The matrix, or some rows of it; ValueError if it cannot be read."""

    def _read(self, name: str) -> np.ndarray:
        return self.parts[name].read()


class Gptq(Layer):
    """Codes packed along K, zeros along N, both as one little-endian string of bits; groups by ``g_idx``."""

    @property
    def bits(self) -> int:
        """Of a code."""
        return 32 * self.parts["qzeros"].shape[1] // self.shape[0]

    @property
    def type(self):
        return f"GPTQ {self.bits} bits"

    def codes(self, rows):
        if self.settings.get("checkpoint_format", "gptq") not in ("gptq", "gptq_v2"):
            raise ValueError(f"checkpoint_format must be gptq or gptq_v2, not {self.settings['checkpoint_format']!r}")
        n, k = self.shape
        codes = _unpack(self._read("qweight").T[rows], self.bits)[:, :k]
        stored = _unpack(self._read("qzeros"), self.bits)[:, :n].T[rows].astype(np.int16)
        zeros = stored + (self.settings.get("checkpoint_format") != "gptq_v2")  # the first version stores zero - 1
        scales = self._read("scales").T[rows].astype(np.float32)
        groups, order = scales.shape[1], None
        size = self.settings.get("group_size") or 0
        size = size if 0 < size <= k and -(-k // size) == groups else -(-k // groups)
        if "g_idx" in self.parts and self.settings.get("desc_act") is not False:  # else some files hold nothing but zeros there
            index = self._read("g_idx").astype(np.int64)
            if not np.array_equal(index, np.arange(k) // size):
                order = np.argsort(index, kind="stable")
                if not np.array_equal(index[order], np.arange(k) // size):
                    sizes = sorted(set(np.bincount(index).tolist()))
                    raise ValueError(
                        f"g_idx must have groups of {size} inputs, so that sorting makes them neighbours, not of {sizes}"
                    )
                codes = codes[:, order]
        return QuantizedTensor(np.ascontiguousarray(codes), self.bits, scales, size, self.type, zeros, order=order)


class Awq(Layer):
    """Codes and zeros of 4 bits packed along N, eight a word in an order of its own."""

    @property
    def type(self):
        return "AWQ 4 bits"

    def codes(self, rows):
        codes = _unpack_awq(self._read("qweight")).T[rows]
        zeros = _unpack_awq(self._read("qzeros")).T[rows].astype(np.int16)
        scales = self._read("scales").T[rows].astype(np.float32)
        return QuantizedTensor(np.ascontiguousarray(codes), 4, scales, self.shape[1] // scales.shape[1], self.type, zeros)


class BitNet(Layer):
    """Trits plus 1, two bits each: row ``i R + r`` of 4 R is bits ``2 i`` of row r."""

    @property
    def type(self):
        return "BitNet"

    @property
    def divides(self) -> bool:
        """Whether products are divided by the scale, as `BitLinear` does it, or multiplied, as `AutoBitLinear` does."""
        return self.settings.get("linear_class", "bitlinear") != "autobitlinear"

    def codes(self, rows):
        packed = self._read("weight")
        codes = np.concatenate([packed >> shift & 3 for shift in (0, 2, 4, 6)])[rows]
        if codes.max() > 2:
            raise ValueError("trits must be 0, 1 or 2 in their two bits, not 3")
        scale = np.float32(self._read("scale").astype(np.float32).reshape(()))
        if self.divides and not scale:
            raise ValueError("weight_scale must not be zero: products are divided by it")
        shape = len(codes), 1
        return QuantizedTensor(
            codes,
            2,
            np.full(shape, 1 / scale if self.divides else scale, np.float32),
            self.shape[1],
            self.type,
            np.full(shape, 1, np.int16),
        )


class Integers(Layer):
    """Integers [N, K] with a scale for all, for a row, or for a group, and zeros likewise, if they have any."""

    @property
    def type(self):
        return self.parts["weight"].dtype

    def codes(self, rows):
        scales = self._read("scale").astype(np.float32) if "scale" in self.parts else np.float32(1)
        tensor = QuantizedTensor.from_values(self._read("weight"), _by_rows(scales, self.shape[0]), self.type)
        if "zero" in self.parts:
            zeros = _by_rows(self._read("zero").astype(np.int16), self.shape[0])
            tensor = QuantizedTensor(
                tensor.codes, tensor.bits, tensor.scales, tensor.group_size, tensor.source, tensor.zeros + zeros
            )
        return tensor.rows(rows)


def _by_rows(array, n):
    """One for all [1, 1], one a row [N, 1], or [N, groups]."""
    array = np.asarray(array)
    return array if array.ndim == 2 else array.reshape(n if array.size == n else -1, 1)


def _unpack(words, bits):
    """Codes of so many bits out of the last axis of int32 words, which is one string of bits, lowest first."""
    data = np.ascontiguousarray(words).astype("<i4", copy=False).view(np.uint8)
    string = np.unpackbits(data, axis=-1, bitorder="little")
    count = string.shape[-1] // bits
    digits = string[..., : count * bits].reshape(*words.shape[:-1], count, bits)
    return np.packbits(digits, axis=-1, bitorder="little")[..., 0]


def _unpack_awq(words):
    return _unpack(words, 4).reshape(len(words), -1, 8)[..., _AWQ_ORDER].reshape(len(words), -1)


def find_layers(arrays: Mapping[str, Array], settings: Mapping[str, object]) -> dict[str, Layer]:
    """The layers that arrays make, by the name of their weight."""
    layers = {}
    for name in arrays:
        for find in (_find_columns, _find_bitnet, _find_integers):
            found = find(name, arrays)
            if found is not None:
                weight, kind, shape, names = found
                parts = {role: arrays[part] for role, part in names.items()}
                layers[weight] = kind(shape, parts, tuple(names.values()), settings)
                break
    return layers


def _find_columns(name, arrays):
    """GPTQ, AWQ: `qweight` [K in words, N] or [K, N in words], beside `qzeros` [groups, N in words], `scales` [groups, N]."""
    stem, _, last = name.rpartition(".")
    names = {part: f"{stem}.{part}" for part in ("qweight", "qzeros", "scales", "g_idx") if f"{stem}.{part}" in arrays}
    if (
        last != "qweight"
        or not {"qzeros", "scales"} <= set(names)
        or any(len(arrays[names[part]].shape) != 2 for part in ("qweight", "qzeros", "scales"))
    ):
        return None
    (height, width), (groups, n), packed = arrays[name].shape, arrays[names["scales"]].shape, arrays[names["qzeros"]].shape
    if arrays[name].dtype not in ("I32", "int32") or packed[0] != groups or not n:
        return None
    weight = f"{stem}.weight" if stem else "weight"
    if width == n:
        bits, rest = divmod(32 * packed[1], n)
        if not rest and bits in (2, 3, 4, 8):
            k = arrays[names["g_idx"]].shape[0] if "g_idx" in names else 32 * height // bits
            return weight, Gptq, (n, k), names
    if 8 * width == n and packed[1] == width and height % groups == 0:
        return weight, Awq, (n, height), names
    return None


def _find_bitnet(name, arrays):
    array, scale = arrays[name], f"{name}_scale"
    if array.dtype != "U8" or len(array.shape) != 2 or scale not in arrays:
        return None
    if np.prod(arrays[scale].shape) != 1 or not arrays[scale].is_float:
        return None
    return name, BitNet, (4 * array.shape[0], array.shape[1]), {"weight": name, "scale": scale}


def _find_integers(name, arrays):
    array = arrays[name]
    if not _is_codes(array):
        return None
    names = {"weight": name}
    stems = [name, name.removesuffix(".weight")]
    if sum(map(_is_codes, arrays.values())) == 1:
        stems.append("")  # the only one: what is called `scales` is its own
    for role, suffixes in (("scale", _SCALES), ("zero", _ZEROS)):
        candidates = [stem + suffix if stem else suffix[1:] for stem in stems for suffix in suffixes]
        found = [part for part in candidates if part in arrays]
        names |= {role: found[0]} if found else {}
    return name, Integers, array.shape, names


def _is_codes(array):
    return array.dtype in _INTEGERS and len(array.shape) == 2
