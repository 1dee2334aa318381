# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Operands as several schemes take them."""

import numpy as np

__all__ = ["to_binary16"]


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
