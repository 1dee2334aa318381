# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tensors that are ternary in their file."""

import os

import numpy as np

from .files import load_tensor
from .quantized import QuantizedTensor

__all__ = ["as_ternary", "load_ternary"]


def as_ternary(weight: np.ndarray, source: str) -> QuantizedTensor | None:
    """A float matrix [N, K] that is ternary already, as trits with a scale a row; None if a row has several magnitudes."""
    magnitudes = np.abs(weight)
    scales = magnitudes.max(axis=1)
    if not ((magnitudes == scales[:, None]) | (magnitudes == 0)).all():
        return None
    return QuantizedTensor.from_values(np.sign(weight).astype(np.int8), scales, f"ternary {source}")


def load_ternary(path: str | os.PathLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Load a tensor that is ternary in its file, such as a GGUF's TQ1_0 or TQ2_0: trits int8 [N, K] and their scale.

    Those types have a scale for each 256 weights; a trained ternary tensor repeats one, and that is required here: within
    the tensor (the scale is then float32 []), or at least within each row (float32 [N]).

    Raises
    ------
    ValueError
        If a row has more than one magnitude beside zero (says where); :func:`load_tensor` raises its own for a file that
        cannot be read.
    """
    weight = load_tensor(path, name)
    magnitude = np.abs(weight)
    scales = magnitude.max(axis=1)
    wrong = np.argwhere((magnitude != 0) & (magnitude != scales[:, None]))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise ValueError(
            f"{path}: tensor {name!r} must have one magnitude a row beside zero, not {magnitude[where]:g} "
            f"at {where} and {scales[where[0]]:g}; quantize makes it ternary"
        )
    common = scales.max()
    one = np.isin(scales, (0, common)).all()
    return np.sign(weight).astype(np.int8), common if one else scales
