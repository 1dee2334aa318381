# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What comes to the linear layers of a model when it reads a text."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .decoder import LINEARS, Site, hidden, plain
from .files import Model, open_model
from .tokenizer import open_tokenizer

__all__ = ["activations", "capture", "read_tokens"]


def read_tokens(path: str | os.PathLike, text: str | os.PathLike) -> np.ndarray:
    """Tokens int64 [n] of a text file, by the tokenizer of a model's file."""
    text = Path(text)
    if not text.is_file():
        raise ValueError(f"{text}: no such text file")
    try:
        contents = text.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{text}: must be a text in UTF-8, not {error}") from None
    tokens = np.array(open_tokenizer(path).encode(contents, add_special_tokens=False).ids, np.int64)
    if not len(tokens):
        raise ValueError(f"{text}: must have at least one token, not none")
    return tokens


def capture(model: Model, tokens: np.ndarray, sites: Iterable[Site]) -> dict[Site, np.ndarray]:
    """Inputs of layers, float32 [T, K] each, when the model reads one window of tokens [T]."""
    sites, found = set(sites), {}

    def layer(site, weight):
        product = plain(site, weight)

        def keep(x):
            found[site] = x
            return product(x)

        return keep if site in sites else product

    hidden(model, np.asarray(tokens)[None], layer, blocks=max(site.block for site in sites) + 1)
    return {site: found[site] for site in sites}


def activations(path: str | os.PathLike, tensor: str, text: str | os.PathLike, start: int, count: int) -> np.ndarray:
    """Inputs of a layer for some tokens of a text that the model reads from its beginning, float32 [count, K].

    Parameters
    ----------
    path : path of the model's file
    tensor : str
        One of its linear layers, as the file calls it.
    text : path of a text file
    start, count : int
        The tokens wanted.
    """
    model = open_model(path)
    sites = {model.stored(f"blk.{block}.{name}"): Site(block, name) for block in range(model.config.blocks)
             for name in LINEARS}
    if tensor not in sites:
        raise ValueError(f"activations of a model are those of its linear layers, such as {next(iter(sites))!r}, "
                         f"not {tensor!r}")
    tokens = read_tokens(path, text)
    if not 0 <= start < start + count <= len(tokens):
        raise ValueError(f"tokens must be among the {len(tokens)} of {text}, not {start} to {start + count - 1}")
    site = sites[tensor]
    return capture(model, tokens[: start + count], [site])[site][start:]
