# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Models that read and write a token at a time, with what they have seen kept: a token costs one row of each linear layer."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..weights import load_tensor
from .decoder import LINEARS, Layer, Site, angles, normalised, rotated
from .files import open_model
from .tokenizer import open_tokenizer

__all__ = ["CharacterWriter", "LlamaWriter", "Writer", "open_writer"]

Together = Callable[[Iterable[Callable[[], np.ndarray]]], list[np.ndarray]]


def one_by_one(products: Iterable[Callable[[], np.ndarray]]) -> list[np.ndarray]:
    """Compute products of one input, in their order."""
    return [product() for product in products]


class Writer(ABC):
    """A decoder with its keys and values so far.

    Parameters
    ----------
    path : path
    layer : callable
        Makes the product of each linear layer, all of them before the first token; see :data:`subbyte.models.decoder.Layer`.
    together : callable
        Computes products that share an input: takes functions without arguments, gives their results.

    Attributes
    ----------
    blocks, context : int
        Decoder blocks; longest text trained on.
    """

    blocks: int
    context: int
    _heads: tuple[int, int, int]  # queries', keys' and values', elements of each
    _epsilon: float

    def __init__(self, path: str | os.PathLike, layer: Layer, together: Together = one_by_one):
        self._path, self._together = Path(path), together
        self._open()
        self._layers = {site: layer(site, self._weight(site)) for site in self.sites}
        self._seen: list[tuple[list, list]] = [([], []) for _ in range(self.blocks)]
        self._position = 0

    @property
    def sites(self) -> list[Site]:
        """All linear layers, in order."""
        return [Site(block, name) for block in range(self.blocks) for name in LINEARS]

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Tokens of a text.

        Raises
        ------
        ValueError
            If the model does not know some of it.
        """

    @abstractmethod
    def decode(self, tokens: Sequence[int]) -> str:
        """Their text."""

    def step(self, token: int) -> np.ndarray:
        """Read one more token; returns the logits float32 [vocabulary] of what follows."""
        x = self._embedded(token)
        for block in range(self.blocks):
            x = self._through(block, x)
        self._position += 1
        return self._logits(x)[0]

    @abstractmethod
    def _open(self) -> None:
        """Read what is no linear layer."""

    @abstractmethod
    def _weight(self, site: Site) -> np.ndarray:
        """Float32 [N, K]."""

    @abstractmethod
    def _embedded(self, token: int) -> np.ndarray:
        """A token's state, float32 [1, width]."""

    @abstractmethod
    def _through(self, block: int, x: np.ndarray) -> np.ndarray:
        """The state behind a block."""

    @abstractmethod
    def _logits(self, x: np.ndarray) -> np.ndarray:
        """Float32 [1, vocabulary]."""

    def _products(self, block, *wanted):
        """Products of layers and their inputs that do not depend on each other."""
        return self._together([partial(self._layers[Site(block, name)], x) for name, x in wanted])

    def _attention(self, block, q, k, v, rotation):
        """Of one token: its query sees all keys so far, its own included."""
        heads, kv_heads, width = self._heads
        q, k = rotated(q.reshape(1, heads, width), *rotation), rotated(k.reshape(1, kv_heads, width), *rotation)
        keys, values = self._seen[block]
        keys.append(k[0])
        values.append(v.reshape(kv_heads, width))
        share = heads // kv_heads
        seen, mixed = (np.repeat(np.stack(part, axis=1), share, axis=0) for part in (keys, values))  # [heads, T, width]
        scores = np.einsum("hd,htd->ht", q[0] / np.float32(np.sqrt(width)), seen)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.einsum("ht,htd->hd", scores / scores.sum(axis=1, keepdims=True), mixed).reshape(1, -1)


class LlamaWriter(Writer):
    """A model of the Llama family."""

    def _open(self):
        self._model, self._tokenizer = open_model(self._path), open_tokenizer(self._path)
        config = self._model.config
        self.blocks, self.context, self._epsilon = config.blocks, config.context, config.epsilon
        self._heads = config.heads, config.kv_heads, config.head_width
        self._embedding, self._head = self._model.weight("token_embd"), self._model.head()
        self._norms = {name: self._model.weight(name) for name in ("output_norm", *(
            f"blk.{block}.{norm}" for block in range(self.blocks) for norm in ("attn_norm", "ffn_norm")))}

    def encode(self, text):
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, tokens):
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)

    def _weight(self, site):
        return self._model.weight(site.tensor)

    def _embedded(self, token):
        return self._embedding[token][None]

    def _normal(self, x, name):
        return normalised(x, self._norms[name], self._epsilon)

    def _through(self, block, x):
        normal, config = self._normal(x, f"blk.{block}.attn_norm"), self._model.config
        q, k, v = self._products(block, *((name, normal) for name in ("attn_q", "attn_k", "attn_v")))
        rotation = (angles(config.rope_base, config.head_width, self._position, 1), config.interleaved)
        (o,) = self._products(block, ("attn_output", self._attention(block, q, k, v, rotation)))
        x = x + o
        normal = self._normal(x, f"blk.{block}.ffn_norm")
        gate, up = self._products(block, ("ffn_gate", normal), ("ffn_up", normal))
        (down,) = self._products(block, ("ffn_down", gate / (1 + np.exp(-gate)) * up))
        return x + down

    def _logits(self, x):
        return self._normal(x, "output_norm") @ self._head.T


_NAMES = dict(zip(LINEARS, ("q", "k", "v", "o", "gate", "up", "down")))
"""What a character model's file calls the layers."""


class CharacterWriter(Writer):
    """A character-level model in the manner of BitNet b1.58, an .npz file: ternary weights, a norm before each linear layer."""

    def _open(self):
        with np.load(self._path) as arrays:
            self._arrays = {name: array for name, array in arrays.items() if array.dtype != np.int8}
        width, self.blocks, heads, self.context, *_ = map(int, self._arrays["dims"])
        self._heads, self._epsilon = (heads, heads, width // heads), 1e-5
        self._alphabet = [chr(code) for code in self._arrays["vocab"]]

    def encode(self, text):
        unknown = sorted(set(text) - set(self._alphabet))
        if unknown:
            raise ValueError(f"--prompt must be of characters that the model knows, without {''.join(unknown)!r}")
        return [self._alphabet.index(character) for character in text]

    def decode(self, tokens):
        return "".join(self._alphabet[token] for token in tokens)

    @staticmethod
    def stored_name(site: Site) -> str:
        """What the file calls a layer's weight."""
        return f"blocks.{site.block}.{_NAMES[site.name]}.weight"

    def _weight(self, site):
        return load_tensor(self._path, self.stored_name(site))

    def _embedded(self, token):
        return self._arrays["emb.weight"][token][None]

    def _input(self, block, name, x):
        gain = self._arrays[f"blocks.{block}.{_NAMES[name]}.g"]
        return name, normalised(x, gain, self._epsilon)

    def _through(self, block, x):
        q, k, v = self._products(block, *(self._input(block, name, x) for name in ("attn_q", "attn_k", "attn_v")))
        rotation = (angles(10000.0, self._heads[2], self._position, 1), True)
        mixed = self._attention(block, q, k, v, rotation)
        (o,) = self._products(block, self._input(block, "attn_output", mixed))
        x = x + o
        gate, up = self._products(block, self._input(block, "ffn_gate", x), self._input(block, "ffn_up", x))
        (down,) = self._products(block, self._input(block, "ffn_down", np.square(np.maximum(gate, 0)) * up))
        return x + down

    def _logits(self, x):
        return normalised(x, self._arrays["gf"], self._epsilon) @ self._arrays["head.weight"].T


def open_writer(path: str | os.PathLike, layer: Layer, together: Together = one_by_one) -> Writer:
    """The writer of a file: an .npz archive is a character model, all else one of the Llama family; see :class:`Writer`."""
    return (CharacterWriter if Path(path).suffix == ".npz" else LlamaWriter)(path, layer, together)
