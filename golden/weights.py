# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Real weights and activations from real model files: GGUF, safetensors and NumPy's npz.

The formats are read by their own packages (`gguf`, `safetensors`); what is added here is one interface, float32
matrices in [N, K] order, and errors that say what is wrong with the file.
"""

import contextlib
import difflib
import functools
import itertools
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

__all__ = ["TEXT", "WeightFileError", "activations", "list_tensors", "load_tensor"]

TEXT = ("The quick brown fox jumps over the lazy dog, while a small language model reads every word of the sentence "
        "and multiplies it by a few hundred million weights; in 2025 that was still an ordinary thing to do.")
"""The sentence whose tokens `activations` takes when it is given none."""


class WeightFileError(ValueError):
    """A weight file, or a tensor in it, cannot be used; the message says which and why."""


def list_tensors(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """Return the name and the NumPy shape of each tensor of a file, in the file's order.

    Raises
    ------
    WeightFileError
        If the file is missing, truncated or of no known format.
    """
    return _reader(path).shapes()


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
    reader = _reader(path)
    shape = reader.shape(name)
    if len(shape) != ndim:
        raise WeightFileError(f"{path}: tensor {name!r} must have {ndim} axes, not the shape {shape!r}")
    return _check_finite(reader.load(name), path, name)


def activations(path: str | os.PathLike, text: str | None, count: int, norm_tensor: str) -> np.ndarray:
    """Return activations that a real model computes: normalised embeddings of the tokens of a text.

    Rows of ``token_embd.weight``, divided by their root mean square and multiplied by the weights of a norm. With
    ``blk.0.attn_norm.weight`` that is the exact input of a Llama-like model's first linear layers; with another norm
    the contributions of the layers in between are missing, but not the norm's own outlier channels.

    Parameters
    ----------
    path : path of a GGUF file
        It holds the tokenizer and the embedding.
    text : str or None
        `TEXT` when None. Its tokens are repeated when it has fewer than `count`.
    count : int
        Number of tokens.
    norm_tensor : str
        Name of the norm's weights, such as ``blk.0.ffn_norm.weight``.

    Returns
    -------
    float16 [count, K]

    Notes
    -----
    Tokens are found by greedy longest match on the vocabulary, not by byte-pair merges: real tokens in a plausible
    order, sometimes other ones than the model's tokenizer gives.
    """
    if count < 1:
        raise ValueError(f"count must be positive, not {count!r}")
    reader = _reader(path)
    if not isinstance(reader, _Gguf):
        raise WeightFileError(f"{path}: activations need a GGUF file, which has a tokenizer and token embeddings")
    tokens = list(itertools.islice(itertools.cycle(_tokenize(TEXT if text is None else text, reader)), count))
    rows = _check_finite(reader.load("token_embd.weight", tokens), path, "token_embd.weight").astype(np.float64)
    norm = load_tensor(path, norm_tensor, ndim=1)
    if norm.shape != rows.shape[1:]:
        raise WeightFileError(f"{path}: norm_tensor must have {rows.shape[1]} elements, not {norm_tensor!r} "
                              f"with {norm.size}")
    epsilon = reader.field(f"{reader.field('general.architecture')}.attention.layer_norm_rms_epsilon", 1e-5)
    return (rows / np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + epsilon) * norm).astype(np.float16)


def _tokenize(text: str, reader: "_Gguf") -> list[int]:
    """Split a text into tokens of a byte-level vocabulary, the longest match first."""
    if reader.field("tokenizer.ggml.model") != "gpt2":
        raise WeightFileError(f"{reader.path}: tokenizer.ggml.model must be 'gpt2' (a byte-level vocabulary), "
                              f"not {reader.field('tokenizer.ggml.model')!r}")
    vocabulary = {token: index for index, token in enumerate(reader.field("tokenizer.ggml.tokens"))}
    longest = max(map(len, vocabulary))
    alphabet = _byte_alphabet()
    rest = "".join(alphabet[byte] for byte in text.encode())
    if not rest:
        raise ValueError("text must hold at least one character, not none")
    tokens = []
    while rest:
        match = next((rest[:size] for size in range(longest, 0, -1) if rest[:size] in vocabulary), None)
        if match is None:
            raise WeightFileError(f"{reader.path}: the vocabulary has no token for {rest[0]!r}")
        tokens.append(vocabulary[match])
        rest = rest[len(match):]
    return tokens


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each byte: itself where it is printable, else the next letter from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = itertools.count(0x100)
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def _check_finite(array: np.ndarray, path, name: str) -> np.ndarray:
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


class _Gguf(_Reader):
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


_MAGIC = {b"GGUF": ("GGUF", _Gguf), b"PK\x03\x04": ("npz", _Npz)}


def _reader(path) -> _Reader:
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
