# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A decoder in float32 NumPy, block by block over many windows; its linear products are given as a function.

Rotary positions as of LLaMA (arXiv 2302.13971), grouped-query attention as in Llama 2 (arXiv 2307.09288). A window is a text by
itself: tokens see those before them in it, and none of another.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from .blocks import LINEARS, Site, normalised
from .files import Model

__all__ = ["Attend", "Layer", "angles", "forward", "hidden", "logits", "plain", "rotated", "side_by_side"]

_QUERIES = 256
"""Rows of attention at a time: later ones do not look at keys that none of them sees."""


Layer = Callable[[Site, np.ndarray], Callable[[np.ndarray], np.ndarray]]
"""From a site and its weight float32 [N, K] to the product: float32 [T, K] of one window to [T, N]."""

Attend = Callable[[str, np.ndarray, np.ndarray], np.ndarray]
"""From "scores" or "mixed" and float32 operands [T, K] and [N, K] to their product [T, N], of a head's 256 queries at most.

Scores: queries, already over the root of a head's width, and keys. Mixed: the scores' softmax, from 0 to 1, and the values of
each element of a head.
"""


def plain(site: Site, weight: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The float32 product by the weight as it is."""
    del site
    return lambda x: x @ weight.T


def hidden(model: Model, tokens: np.ndarray, layer: Layer = plain, *, blocks: int | None = None,
           behind: tuple[int, np.ndarray] | None = None, attend: Attend | None = None,
           progress: Callable[[int, int], None] = lambda done, all: None) -> np.ndarray:
    """States behind the last block and the final norm, float32 [W, T, width].

    Parameters
    ----------
    model : Model
    tokens : int [W, T]
        Windows.
    layer : callable
        Makes the product of each linear layer, once for all windows; see :data:`Layer`. A layer is let go before the next
        block's are made.
    blocks : int or None
        Stop behind so many, before the final norm.
    behind : (int, float32 [W, T, width]) or None
        Begin behind so many blocks, with the states that they leave.
    attend : callable or None
        Computes attention's own products; see :data:`Attend`. None: float32.
    progress : callable
        Takes the windows that have gone through a block so far, and how many there are in all.
    """
    tokens, config = np.asarray(tokens), model.config
    if tokens.ndim != 2 or not tokens.size or not 0 <= tokens.min() <= tokens.max() < config.vocabulary:
        raise ValueError(f"tokens must be [W, T] of 0 to {config.vocabulary - 1}, not {tokens.shape}")
    stop = config.blocks if blocks is None else blocks
    rotation = angles(config.rope_base, config.head_width, 0, tokens.shape[1])
    first, states = (0, model.weight("token_embd")[tokens]) if behind is None else (behind[0], behind[1].copy())
    for block in range(first, stop):
        linear = {name: layer(Site(block, name), model.weight(f"blk.{block}.{name}")) for name in LINEARS}
        through = partial(_through, states, model.block(block), linear, partial(_attention, rotation, config, attend))
        for window, _ in enumerate(side_by_side(through, range(len(tokens)))):
            progress((block - first) * len(tokens) + window + 1, (stop - first) * len(tokens))
    return states if blocks is not None else normalised(states, model.weight("output_norm"), config.epsilon)


def _through(states, block, linear, attention, window):
    """Change a window's states into those behind a block."""
    states[window] = block(states[window], lambda *wanted: [linear[name](x) for name, x in wanted], attention)


def side_by_side(work: Callable, items: Iterable) -> Iterator:
    """``map`` with a thread a core, each computing by itself: BLAS's own threads wait for each other most of the time."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, items)


def logits(model: Model, states: np.ndarray) -> np.ndarray:
    """Logits [..., vocabulary] of states behind the final norm."""
    return states @ model.head().T


def forward(model: Model, tokens: np.ndarray, layer: Layer = plain) -> np.ndarray:
    """Logits of windows, float32 [W, T, vocabulary]."""
    return logits(model, hidden(model, tokens, layer))


def angles(base: float, width: int, first: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines float32 [length, 1, width / 2] of positions from ``first``.

    A pair's angle grows with the position, the slower the later the pair.
    """
    turned = np.arange(first, first + length)[:, None, None] * base ** -(np.arange(0, width, 2) / width)
    return np.cos(turned).astype(np.float32), np.sin(turned).astype(np.float32)


def rotated(x: np.ndarray, rotation: tuple[np.ndarray, np.ndarray], interleaved: bool) -> np.ndarray:
    """Heads [T, heads, width] with their pairs turned by :func:`angles`; the order of elements becomes the one of halves."""
    cos, sin = rotation
    half = x.shape[-1] // 2
    first, second = (x[..., ::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def _attention(rotation, config, attend, q, k, v):
    """Causal attention of one window: [T, heads * head_width]; each key head serves the queries of ``heads / kv_heads``."""
    length, share = len(q), config.heads // config.kv_heads
    q, k, v = (part.reshape(length, -1, config.head_width) for part in (q, k, v))
    q = rotated(q, rotation, config.interleaved) / np.float32(np.sqrt(config.head_width))
    q, k, v = (np.ascontiguousarray(part.transpose(1, 0, 2)) for part in (q, rotated(k, rotation, config.interleaved), v))
    mixed = np.empty((length, config.heads, config.head_width), np.float32)
    unseen = np.triu(np.full((_QUERIES, _QUERIES), -np.inf, np.float32), 1)
    for head in range(config.heads):
        keys, values = k[head // share], v[head // share]
        for start in range(0, length, _QUERIES):
            stop = min(start + _QUERIES, length)
            queries = q[head, start:stop]
            scores = queries @ keys[:stop].T if attend is None else attend("scores", queries, keys[:stop])
            scores[:, start:] += unseen[: stop - start, : stop - start]
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            if attend is None:
                mixed[start:stop, head] = scores @ values[:stop] / scores.sum(axis=1, keepdims=True)
            else:
                scores /= scores.sum(axis=1, keepdims=True)
                mixed[start:stop, head] = attend("mixed", scores, np.ascontiguousarray(values[:stop].T))
    return mixed.reshape(length, -1)
