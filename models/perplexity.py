# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a model predicts of a text, in windows that stand by themselves: its perplexity, its divergence from another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .decoder import Attend, Layer, hidden, plain, side_by_side
from .files import Model

__all__ = ["TEXT", "WINDOW", "Perplexity", "divergence", "log_shares", "perplexity", "windows"]

TEXT = Path(__file__).with_name("tinyshakespeare.txt")
"""The text that is taken when none is given: the last tenth of Tiny Shakespeare, in the public domain."""
WINDOW = 2048
"""Tokens of a window."""
_ROWS = 256


@dataclass(frozen=True, eq=False)
class Perplexity:
    """What a model makes of a text.

    Attributes
    ----------
    losses : float64 [W]
        Mean negative log-likelihood of each window's later tokens, in nats.
    predicted : int
        Tokens predicted: all but the first of each window.
    """

    losses: np.ndarray
    predicted: int

    @property
    def loss(self) -> float:
        """Mean over all windows, in nats."""
        return float(self.losses.mean())

    @property
    def value(self) -> float:
        """The perplexity; a model that only guesses among V tokens has V."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.loss))


def windows(tokens: np.ndarray, count: int | None, size: int = WINDOW) -> np.ndarray:
    """The first tokens of a text as windows int64 [W, T] that do not overlap; what fills no window is left out.

    Parameters
    ----------
    tokens : int [n]
    count : int or None
        Tokens wanted, rounded down to whole windows; fewer than a window are one by themselves. None: all of them.
    size : int
        Tokens of a window.
    """
    tokens = np.asarray(tokens, np.int64)
    wanted = len(tokens) if count is None else count
    if wanted < 2 or wanted > len(tokens):
        raise ValueError(f"--tokens must be 2 to {len(tokens)}, the tokens of the text, not {wanted}")
    size = min(size, wanted)
    return tokens[: wanted // size * size].reshape(-1, size)


def perplexity(model: Model, tokens: np.ndarray, layer: Layer = plain,
               progress: Callable[[int, int], None] = lambda done, all: None,
               behind: tuple[int, np.ndarray] | None = None, attend: Attend | None = None) -> Perplexity:
    """Perplexity on windows [W, T]: each predicts its later T - 1 tokens; see :func:`subbyte.models.hidden` for the rest."""
    states, head = hidden(model, tokens, layer, progress=progress, behind=behind, attend=attend), model.head().T

    def loss(window):
        states, wanted = window
        parts = []
        for start in range(0, len(wanted), _ROWS):
            scores = states[start : start + _ROWS] @ head
            scores -= scores.max(axis=1, keepdims=True)
            chosen = np.take_along_axis(scores, wanted[start : start + _ROWS, None], axis=1)[:, 0]
            parts.append(np.log(np.exp(scores, out=scores).sum(axis=1, dtype=np.float64)) - chosen)
        return np.concatenate(parts).mean()

    return Perplexity(np.array(list(side_by_side(loss, zip(states[:, :-1], tokens[:, 1:])))), tokens[:, 1:].size)


def log_shares(model: Model, tokens: np.ndarray, layer: Layer = plain) -> np.ndarray:
    """Logarithms of the shares that a model gives to what follows each token of windows, float32 [W, T, vocabulary]: large."""
    states, head = hidden(model, tokens, layer), model.head().T
    return np.stack(list(side_by_side(lambda window: _log_softmax(window @ head), states)))


def divergence(model: Model, tokens: np.ndarray, layer: Layer, reference: np.ndarray,
               behind: tuple[int, np.ndarray] | None = None) -> float:
    """Mean Kullback-Leibler divergence of what a model predicts on windows from :func:`log_shares` of another, in nats.

    What the text goes on with has no part in it: for a difference of two ways to compute one model it takes fewer tokens than
    the loss.
    """
    head = model.head().T

    def of(window):
        states, wanted = window
        parts = []
        for start in range(0, len(states), _ROWS):
            told = wanted[start : start + _ROWS]
            own = _log_softmax(states[start : start + _ROWS] @ head)
            parts.append((np.exp(told) * (told - own)).sum(axis=1, dtype=np.float64))
        return np.concatenate(parts).mean()

    return float(np.mean(list(side_by_side(of, zip(hidden(model, tokens, layer, behind=behind), reference)))))


def _log_softmax(scores):
    """Of the last axis; the scores are overwritten."""
    scores -= scores.max(axis=-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(axis=-1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return scores
