# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Operands as several schemes take them."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

__all__ = ["keep_words", "to_binary16", "weight_words"]

_KEPT: WeakKeyDictionary = WeakKeyDictionary()


def keep_words(qweight: Any) -> None:
    """Pack a weight once, however many products it has part in; its arrays must not change from now on."""
    _KEPT.setdefault(qweight, {})


def weight_words(pack: Callable[..., Mapping[str, np.ndarray]], qweight: Any, *arguments: Any) -> Mapping[str, np.ndarray]:
    """``pack(qweight, *arguments)``; see :func:`keep_words`."""
    kept = _KEPT.get(qweight)
    if kept is None:
        return pack(qweight, *arguments)
    if arguments not in kept:
        kept[arguments] = pack(qweight, *arguments)
    return kept[arguments]


def to_binary16(x):
    """Activations as binary16; a finite number beyond its range is refused, since its infinity would count as zero."""
    x = np.asarray(x)
    with np.errstate(over="ignore"):
        rounded = x.astype(np.float16)
    lost = np.isfinite(x) & np.isinf(rounded)
    if lost.any():
        where = tuple(np.argwhere(lost)[0].tolist())
        raise ValueError(f"activations must be within binary16, +-65504, not {x[where]:g} at {where!r}")
    return rounded
