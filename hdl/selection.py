# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Choosing one of several words by a one-hot index."""

from collections.abc import Iterable

from amaranth.hdl import Value

__all__ = ["one_hot_select"]


def one_hot_select(words: Iterable[Value], one_hot: Value) -> Value:
    """Return the word whose bit of ``one_hot`` is set, zero if none is: an AND-OR, shallower than a tree of multiplexers."""
    chosen = 0
    for i, word in enumerate(words):
        word = Value.cast(word)
        chosen = chosen | (word.as_unsigned() & one_hot[i].replicate(len(word)))
    return chosen
