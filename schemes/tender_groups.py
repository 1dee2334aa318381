# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Part of `make bench`: what the number of channel groups means for Tender on a real model."""

from pathlib import Path

import numpy as np

from .. import weights
from ..golden import tender

__all__ = ["table"]

_TOKENS = 256
_LANES = (4, 8, 16, 32)


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def table(path):
    """Print it for the model at ``path``: real tokens through attn_q (K = 576) and ffn_down (K = 1536) of block 0."""
    print(f"\nTender: channel groups on block 0 of {Path(path).name}, {_TOKENS} tokens in one chunk\n\n"
          "| layer | K | bits | G | accumulator bits | channels by group, largest scale first | occupancy at lanes "
          f"{', '.join(map(str, _LANES))} | error against float64 |\n|---|---|---|---|---|---|---|---|")
    for tensor, x in _inputs(path):
        weight = weights.load_tensor(path, tensor)
        exact = x.astype(np.float64) @ weight.T.astype(np.float64)
        for bits in (8, 4):
            qweight = tender.quantize(weight, bits)
            for groups in (1, 4, 8, 16):
                decomposed = tender.decompose(x, bits, groups, _TOKENS)
                y = tender.reference(decomposed, qweight, tender.correction(decomposed, weight))[0]
                occupancy = (f"{weight.shape[1] / (lanes * len(tender.beats_of(decomposed, 0, lanes).shifts)):.0%}"
                             for lanes in _LANES)
                print(f"| {tensor} | {weight.shape[1]} | {bits} | {groups} | {tender.accumulator_bits(decomposed, qweight)} "
                      f"| {' '.join(map(str, decomposed.counts[0]))} | {', '.join(occupancy)} "
                      f"| {_rms(y - exact) / _rms(exact):.1e} |", flush=True)


def _inputs(path):
    """Two layers and what comes to them: normalised embeddings, and these through the gate of the feed-forward block."""
    block = "blk.0"
    tokens = weights.activations(path, None, _TOKENS, f"{block}.attn_norm.weight").astype(np.float32)
    yield f"{block}.attn_q.weight", tokens
    tokens = weights.activations(path, None, _TOKENS, f"{block}.ffn_norm.weight").astype(np.float32)
    gate, up = (tokens @ weights.load_tensor(path, f"{block}.ffn_{name}.weight").T for name in ("gate", "up"))
    yield f"{block}.ffn_down.weight", (gate / (1 + np.exp(-gate)) * up).astype(np.float32)
