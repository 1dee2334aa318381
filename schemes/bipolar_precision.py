# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Part of `make bench`: what bits, groups and the choice of a scale mean for bipolar words on a real model."""

from pathlib import Path

import numpy as np

from .. import weights
from ..golden import bipolar

__all__ = ["table"]

_TOKENS = 16
_WAYS = [(group_size, scaling) for group_size in (None, 128) for scaling in ("absmax", "least_squares")]


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def table(path):
    """Print it for the model at ``path``: real tokens in 8 bits through ffn_up and attn_q of block 0."""
    print(f"\nbipolar-INT: error of the product on block 0 of {Path(path).name}, {_TOKENS} tokens, 8-bit activations\n\n"
          "| layer | bits | a scale a channel, by the maximum | by least squares | groups of 128, by the maximum "
          "| by least squares |\n|---|---|---|---|---|---|")
    for layer, norm in (("ffn_up", "ffn_norm"), ("attn_q", "attn_norm")):
        weight = weights.load_tensor(path, f"blk.0.{layer}.weight")
        x = weights.activations(path, None, _TOKENS, f"blk.0.{norm}.weight")
        exact = np.asarray(x, np.float64) @ weight.T.astype(np.float64)
        activations = bipolar.quantize_activations(x, 8)
        for bits in (1, 2, 3, 4, 8):
            products = (bipolar.reference(activations, bipolar.quantize(weight, bits, *way)) for way in _WAYS)
            errors = " | ".join(f"{_rms(y - exact) / _rms(exact):.3f}" for y in products)
            print(f"| {layer} | {bits} | {errors} |", flush=True)
