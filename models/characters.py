# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Character models out of .npz files, such as `examples/shakespeare_ternary.npz`: ternary weights, taken as they are."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from ..weights.files import WeightFileError, load_tensor
from .blocks import LINEARS, Block, ternary
from .files import Config, Model

__all__ = ["CharacterModel", "Characters"]

_NAMES = dict(zip(LINEARS, ("q", "k", "v", "o", "gate", "up", "down")))
"""What the file calls the layers."""
_OTHERS = {"token_embd": "emb.weight", "output_norm": "gf", "output": "head.weight"}


class CharacterModel(Model):
    """A character-level model in the manner of BitNet b1.58.

    Parameters
    ----------
    path : path of an .npz file
        Arrays ``dims`` (width, blocks, heads, context, hidden width, vocabulary), ``vocab`` (code points), ``emb.weight``,
        ``gf``, ``head.weight``, and of each block's layers ``blocks.B.NAME.weight``, its scale and its norm's weight ``.g``.

    Raises
    ------
    WeightFileError
        If they are not there.
    """

    quantized, shared = True, {}

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        try:
            with np.load(self.path) as arrays:
                self._arrays = {name: array for name, array in arrays.items() if array.dtype != np.int8}
            width, blocks, heads, context, hidden, vocabulary = map(int, self._arrays["dims"])
            self.characters = Characters(self._arrays["vocab"])
        except FileNotFoundError:
            raise WeightFileError(f"{path}: no such file") from None
        except (KeyError, ValueError):
            raise WeightFileError(f"{path}: a model must be a GGUF or a safetensors file, not npz without arrays dims and vocab"
                                  ", which a character model has") from None
        self.config = Config(
            blocks=blocks, width=width, hidden=hidden, vocabulary=vocabulary, context=context, heads=heads, kv_heads=heads,
            head_width=width // heads, epsilon=1e-5, rope_base=1e4, interleaved=True, tied=False)

    def stored(self, name: str) -> str:
        if name in _OTHERS:
            return _OTHERS[name]
        _, block, layer = name.split(".")
        return f"blocks.{block}.{_NAMES[layer]}.weight"

    def weight(self, name: str) -> np.ndarray:
        return self._arrays[_OTHERS[name]] if name in _OTHERS else load_tensor(self.path, self.stored(name))

    def block(self, number: int) -> Block:
        gains = {name: self._arrays[f"blocks.{number}.{short}.g"] for name, short in _NAMES.items()}
        return ternary(gains, self.config.epsilon)


class Characters:
    """A tokenizer whose tokens are characters, with what is used of those of `tokenizers`.

    Parameters
    ----------
    points : int [V]
        Unicode's numbers of the characters.
    """

    def __init__(self, points: np.ndarray):
        self._alphabet = [chr(point) for point in points]

    def encode(self, text: str, **_) -> SimpleNamespace:
        """``ids``: the tokens of a text.

        Raises
        ------
        ValueError
            If the model does not know some of it.
        """
        known = {character: token for token, character in enumerate(self._alphabet)}
        if unknown := sorted(set(text) - set(known)):
            raise ValueError(f"the text must be of characters that the model knows, without {''.join(unknown)!r}")
        return SimpleNamespace(ids=[known[character] for character in text])

    def decode(self, tokens: Sequence[int], **_) -> str:
        """Their text."""
        return "".join(self._alphabet[token] for token in tokens)
