# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A model that reads and writes a token at a time, with what it has seen kept: a token costs one row of each linear layer."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from .blocks import LINEARS, Site, normalised
from .decoder import Layer, angles, rotated
from .files import Model
from .opening import open_model
from .tokenizer import open_tokenizer

__all__ = ["Together", "Writer"]

Together = Callable[[Iterable[Callable[[], np.ndarray]]], list[np.ndarray]]
"""Computes products that share an input: takes functions without arguments, gives their results."""


def one_by_one(products: Iterable[Callable[[], np.ndarray]]) -> list[np.ndarray]:
    """Compute products of one input, in their order."""
    return [product() for product in products]


class Writer:
    """A decoder with its keys and values so far.

    Parameters
    ----------
    model : Model or path
    layer : callable
        Makes the product of each linear layer, all of them before the first token; see :data:`subbyte.models.decoder.Layer`.
    together : callable
        See :data:`Together`.
    """

    def __init__(self, model: Model | str | os.PathLike, layer: Layer, together: Together = one_by_one):
        self.model, self._together = model if isinstance(model, Model) else open_model(model), together
        self._tokenizer, blocks = open_tokenizer(self.model.path), range(self.model.config.blocks)
        self._embedding, self._head = self.model.weight("token_embd"), self.model.head()
        self._norm = self.model.weight("output_norm")
        self._layers = {site: layer(site, self.model.weight(site.tensor)) for block in blocks for name in LINEARS
                        for site in [Site(block, name)]}
        self._blocks, self._seen = [self.model.block(block) for block in blocks], [([], []) for _ in blocks]
        self._position = 0

    @property
    def context(self) -> int:
        """Tokens of the longest text trained on."""
        return self.model.config.context

    def encode(self, text: str) -> list[int]:
        """Tokens of a text.

        Raises
        ------
        ValueError
            If the model does not know some of it.
        """
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Their text."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=False)

    def step(self, token: int) -> np.ndarray:
        """Read one more token; returns the logits float32 [vocabulary] of what follows."""
        x = self._embedding[token][None]
        for block, through in enumerate(self._blocks):
            x = through(x, partial(self._products, block), partial(self._attention, block))
        self._position += 1
        return (normalised(x, self._norm, self.model.config.epsilon) @ self._head.T)[0]

    def _products(self, block, *wanted):
        return self._together([partial(self._layers[Site(block, name)], x) for name, x in wanted])

    def _attention(self, block, q, k, v):
        """Of one token: its query sees all keys so far, its own included."""
        config, (keys, values) = self.model.config, self._seen[block]
        rotation = (angles(config.rope_base, config.head_width, self._position, 1), config.interleaved)
        q, k, v = (part.reshape(1, -1, config.head_width) for part in (q, k, v))
        q, k = rotated(q, *rotation), rotated(k, *rotation)
        keys.append(k[0])
        values.append(v[0])
        share = config.heads // config.kv_heads
        seen, mixed = (np.repeat(np.stack(part, axis=1), share, axis=0) for part in (keys, values))  # [heads, T, width]
        scores = np.einsum("hd,htd->ht", q[0] / np.float32(np.sqrt(config.head_width)), seen)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.einsum("ht,htd->hd", scores / scores.sum(axis=1, keepdims=True), mixed).reshape(1, -1)
