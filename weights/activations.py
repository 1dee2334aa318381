# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Activations that a real model computes, as far as its file alone gives them."""

import itertools
import os

import numpy as np

from .files import load_tensor, open_file
from .gguf_file import GgufFile
from .reader import Reader, WeightFileError

__all__ = ["TEXT", "activations", "model_activations"]

TEXT = (
    "The quick brown fox jumps over the lazy dog, while a small language model reads every word of the sentence "
    "and multiplies it by a few hundred million weights; in 2025 that was still an ordinary thing to do."
)
"""The sentence whose tokens `activations` takes when it is given none."""


def activations(path: str | os.PathLike, text: str | None, count: int, norm_tensor: str) -> np.ndarray:
    """Return activations that a real model computes: normalised embeddings of the tokens of a text.

    Rows of ``token_embd.weight``, divided by their root mean square and multiplied by the weights of a norm. With
    ``blk.0.attn_norm.weight`` that is the exact input of a Llama-like model's first linear layers; with another norm
    the contributions of the layers in between are missing, but not the norm's own outlier channels.

    Parameters
    ----------
    path : path of a GGUF file with a byte-level tokenizer
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
    reader = open_file(path)
    return _normalised(
        reader, list(itertools.islice(itertools.cycle(_tokenize(TEXT if text is None else text, reader)), count)), norm_tensor
    )


def model_activations(path: str | os.PathLike, count: int, norm_tensor: str) -> tuple[np.ndarray, str]:
    """What :func:`activations` gives for `TEXT`, or for token numbers from all over the vocabulary if the model's tokenizer is
    none that is known here; and where they are from, in words.

    Raises
    ------
    WeightFileError
        If the model has no token embedding, or no norm, that can be read.
    """
    reader = open_file(path)
    try:
        return activations(path, None, count, norm_tensor), "normalised embeddings of real tokens"
    except UnknownTokenizer as error:
        vocabulary = reader.shape(_embedding(reader))[0]
        tokens = [(1 + index * (vocabulary // 64 * 2 + 1)) % vocabulary for index in range(count)]
        listed = ", ".join(map(str, tokens[:3])) + (", ..." if count > 3 else "")
        return _normalised(reader, tokens, norm_tensor), f"normalised embeddings of tokens {listed} ({error})"


class UnknownTokenizer(WeightFileError):
    """A model's tokenizer is missing or of another kind than those that are known here."""


def _normalised(reader, tokens, norm_tensor):
    """Embeddings by their root mean square, times a norm's weights."""
    path = reader.path
    rows = reader.load(_embedding(reader), tokens).astype(np.float64)
    norm = load_tensor(path, norm_tensor, ndim=1)
    if norm.shape != rows.shape[1:]:
        raise WeightFileError(f"{path}: norm_tensor must have {rows.shape[1]} elements, not {norm_tensor!r} with {norm.size}")
    epsilon = 1e-5
    if isinstance(reader, GgufFile):
        epsilon = reader.field(f"{reader.field('general.architecture')}.attention.layer_norm_rms_epsilon", epsilon)
    x = rows / np.sqrt(np.square(rows).mean(axis=1, keepdims=True) + epsilon) * norm
    if np.abs(x).max() > np.finfo(np.float16).max:
        row, channel = np.unravel_index(np.abs(x).argmax(), x.shape)
        raise WeightFileError(
            f"{path}: activations must be within binary16, not {x[row, channel]:g} of token {tokens[row]}, "
            f"channel {channel}, behind {norm_tensor!r}"
        )
    return x.astype(np.float16)


def _embedding(reader):
    """Name of the token embedding."""
    for name in ("token_embd.weight", "model.embed_tokens.weight"):
        if name in reader.shapes():
            return name
    raise WeightFileError(
        f"{reader.path}: activations need a GGUF file's token_embd.weight or a safetensors file's model.embed_tokens.weight"
    )


def _tokenize(text: str, reader: Reader) -> list[int]:
    """Split a text into tokens of a byte-level vocabulary, the longest match first."""
    _embedding(reader)
    if not isinstance(reader, GgufFile):
        raise UnknownTokenizer(f"{reader.path}: a {reader.kind} file has no tokenizer")
    tokens = reader.field("tokenizer.ggml.tokens")
    if reader.field("tokenizer.ggml.model") != "gpt2" or not tokens:
        raise UnknownTokenizer(
            f"{reader.path}: tokenizer.ggml.model must be 'gpt2' (a byte-level vocabulary), "
            f"not {reader.field('tokenizer.ggml.model')!r}"
        )
    vocabulary = {token: index for index, token in enumerate(tokens)}
    longest = max(map(len, vocabulary))
    alphabet = _byte_alphabet()
    rest = "".join(alphabet[byte] for byte in text.encode())
    if not rest:
        raise ValueError("text must hold at least one character, not none")
    tokens = []
    while rest:
        match = next((rest[:size] for size in range(longest, 0, -1) if rest[:size] in vocabulary), None)
        if match is None:
            raise UnknownTokenizer(f"{reader.path}: the vocabulary has no token for {rest[0]!r}")
        tokens.append(vocabulary[match])
        rest = rest[len(match) :]
    return tokens


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each byte: itself where it is printable, else the next letter from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = itertools.count(0x100)
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]
