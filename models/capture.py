# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What comes to the linear layers of a model when it reads a text."""

import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .blocks import LINEARS, Site
from .decoder import hidden, plain
from .files import Model
from .opening import open_model
from .perplexity import TEXT
from .tokenizer import open_tokenizer

__all__ = ["PREFIX", "Reading", "activations", "inputs_of", "mean_products", "mean_squares", "read_tokens",
           "watch"]

PREFIX = "model:"
"""What a reading in words begins with."""
_OPTION = re.compile(r",(\w+)=([^,=]*)$")


@dataclass(frozen=True)
class Reading:
    """Which tokens of which text, and the block whose layer is looked at.

    Attributes
    ----------
    text : Path
    start : int
        The first token wanted; the model reads the text from its beginning all the same.
    stop : int or None
        Behind the last one. None: as many as are asked for.
    block : int or None
        None: the block that the tensor belongs to.
    """

    text: Path = TEXT
    start: int = 0
    stop: int | None = None
    block: int | None = None

    @classmethod
    def parse(cls, given: str) -> "Reading":
        """``model:TEXTFILE``, and behind that ``,tokens=A:B`` (A to B-1) and ``,block=B`` if wished; without a file `TEXT`."""
        if not given.startswith(PREFIX):
            raise ValueError(f"activations of a model must be {PREFIX}TEXTFILE, not {given!r}")
        rest, found = given.removeprefix(PREFIX), {}
        while option := _OPTION.search(rest):
            if option[1] not in ("tokens", "block") or option[1] in found:
                raise ValueError(f"{given!r}: what follows the text must be tokens=A:B or block=B, once each, "
                                 f"not {option[0][1:]!r}")
            rest, found[option[1]] = rest[: option.start()], option[2]
        tokens = re.fullmatch(r"(\d+):(\d+)", found.get("tokens", "0:1"))
        if not tokens or int(tokens[1]) >= int(tokens[2]):
            raise ValueError(f"{given!r}: tokens must be A:B with integers 0 <= A < B, such as 0:8, not {found['tokens']!r}")
        if not found.get("block", "0").isdecimal():
            raise ValueError(f"{given!r}: block must be an integer from 0, not {found['block']!r}")
        return cls(Path(rest) if rest else TEXT, int(tokens[1]), int(tokens[2]) if "tokens" in found else None,
                   int(found["block"]) if "block" in found else None)


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


def inputs_of(model: Model, tokens: np.ndarray, sites: Iterable[Site]) -> dict[Site, np.ndarray]:
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


def mean_squares(model: Model, windows: np.ndarray) -> dict[Site, np.ndarray]:
    """Mean square of each input of each linear layer, float64 [K], when the model reads windows of tokens [W, T]."""
    return _means(model, windows, lambda x: np.square(x, dtype=np.float64).sum(axis=0))


def mean_products(model: Model, windows: np.ndarray) -> dict[Site, np.ndarray]:
    """Likewise of each pair of inputs, float64 [K, K]: an error ``e`` of a row of weights makes one of ``e @ this @ e``."""
    return _means(model, windows, lambda x: (x.T @ x).astype(np.float64))


def watch(model: Model, windows: np.ndarray, take: Callable[[Site, np.ndarray], None]) -> None:
    """Let a model read windows of tokens [W, T]: ``take`` sees the input [T, K] of each layer that shares no earlier one's.

    It is called by several threads, with windows in any order.
    """
    def layer(site, weight):
        product = plain(site, weight)

        def seen(x):
            take(site, x)
            return product(x)

        return product if site.name in model.shared else seen

    hidden(model, windows, layer)


def _means(model, windows, of):
    """Over all tokens, of what ``of`` makes of the inputs [T, K] of a window."""
    found, lock = {}, threading.Lock()

    def add(site, x):
        part = of(x) / np.size(windows)
        with lock:
            found[site] = found.get(site, 0) + part

    watch(model, windows, add)
    return found | {Site(block, name): found[Site(block, same)]
                    for block in range(model.config.blocks) for name, same in model.shared.items()}


def activations(path: str | os.PathLike, tensor: str, reading: Reading | str = PREFIX, count: int | None = None) -> np.ndarray:
    """Inputs of a linear layer for some tokens of a text that the model reads from its beginning, float32 [count, K].

    Parameters
    ----------
    path : path of the model's file
    tensor : str
        One of its linear layers, as the file calls it.
    reading : Reading or str
        A text goes through :meth:`Reading.parse`.
    count : int or None
        Tokens wanted, if the reading does not say; None: one.

    Raises
    ------
    ValueError
        If there is no such layer, block or token.
    """
    reading = Reading.parse(reading) if isinstance(reading, str) else reading
    model = open_model(path)
    sites = {model.stored(f"blk.{block}.{name}"): Site(block, name) for block in range(model.config.blocks)
             for name in LINEARS}
    if tensor not in sites:
        raise ValueError(f"activations of a model are those of its linear layers, such as {next(iter(sites))!r}, "
                         f"not {tensor!r}")
    site = sites[tensor] if reading.block is None else Site(reading.block, sites[tensor].name)
    if site not in sites.values():
        raise ValueError(f"block must be 0 to {model.config.blocks - 1}, the blocks of {model.path.name}, not {site.block}")
    tokens, stop = read_tokens(path, reading.text), reading.stop or reading.start + (count or 1)
    most = min(len(tokens), model.config.context)
    if stop > most:
        raise ValueError(f"tokens must be among the first {most} of {reading.text}, so many there are, or the model takes, "
                         f"not reach {stop}")
    return inputs_of(model, tokens[:stop], [site])[site][reading.start :]
