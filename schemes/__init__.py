# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The schemes. A scheme is a module of this folder with a ``SCHEME``; the line below is its one registration."""

from functools import cache
from importlib import import_module

from ..tools.hints import near
from .contract import Part, Priced, Product, Scheme

__all__ = ["ENGINES_EXAMPLE", "NAMES", "Part", "Priced", "Product", "Scheme", "Stored", "engines", "load", "priced", "save",
           "scheme", "stored_tensors"]

NAMES = ("bitmod", "tender", "rsr", "bipolar", "bcq", "baselines")

ENGINES_EXAMPLE = NAMES[0]
"""The engine in examples of help texts."""


@cache
def priced(name: str) -> Priced:
    """What has this name, an engine's scheme or textbook designs; what it needs is imported only now.

    Raises
    ------
    ValueError
        If nothing has; it names what looks like it.
    """
    if name not in NAMES:
        raise ValueError(f"scheme must be one of {', '.join(NAMES)}, not {name!r}{near(name, NAMES)}")
    return import_module(f".{name}", __package__).SCHEME


def engines() -> tuple[str, ...]:
    """Names of those that are engines."""
    return tuple(name for name in NAMES if isinstance(priced(name), Scheme))


def scheme(name: str) -> Scheme:
    """The scheme of an engine."""
    names = engines()
    if name not in names:
        raise ValueError(f"scheme must be one of {', '.join(names)}, not {name!r}{near(name, names)}")
    return priced(name)


def __getattr__(name):
    """What reads and writes files is imported when it is used."""
    if name in ("Stored", "load", "save", "stored_tensors"):
        return getattr(import_module(".stored", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
