# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a decoder block computes around its linear layers and its attention, which whoever runs it gives.

Sources: LLaMA (arXiv 2302.13971): RMS norms before each half of a block, SwiGLU; BitNet b1.58 (arXiv 2402.17764): one before
each linear layer, squared ReLU in the gate.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

__all__ = ["LINEARS", "SHARED", "Attention", "Block", "Products", "Site", "llama", "normalised", "ternary"]

LINEARS = {"attn_q": True, "attn_k": True, "attn_v": True, "attn_output": False, "ffn_gate": True, "ffn_up": True,
           "ffn_down": False}
"""Linear layers of a block, and whether a Llama's input to them comes straight out of a norm."""
SHARED = {"attn_k": "attn_q", "attn_v": "attn_q", "ffn_up": "ffn_gate"}
"""Layers of a Llama whose input is another's."""


class Site(NamedTuple):
    """A linear layer of a model: its block, and one of :data:`LINEARS`."""

    block: int
    name: str

    @property
    def tensor(self) -> str:
        """As in ``blk.0.attn_q``."""
        return f"blk.{self.block}.{self.name}"

    @property
    def normalised(self) -> bool:
        """Whether the input comes straight out of a norm."""
        return LINEARS[self.name]


Products = Callable[..., list[np.ndarray]]
"""From layers' names and inputs, pairs that do not depend on each other, to their products."""
Attention = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From queries, keys and values [T, heads * width], as the layers leave them, to the heads' results."""
Block = Callable[[np.ndarray, Products, Attention], np.ndarray]
"""From states float32 [T, width] before a block to those behind it."""


def llama(norms: Mapping[str, np.ndarray], epsilon: float) -> Block:
    """A block of the Llama family, with weights of its two norms, "attn" and "ffn"."""
    def through(x, products, attention):
        normal = normalised(x, norms["attn"], epsilon)
        q, k, v = products(("attn_q", normal), ("attn_k", normal), ("attn_v", normal))
        (o,) = products(("attn_output", attention(q, k, v)))
        x = x + o
        normal = normalised(x, norms["ffn"], epsilon)
        gate, up = products(("ffn_gate", normal), ("ffn_up", normal))
        (down,) = products(("ffn_down", gate / (1 + np.exp(-gate)) * up))
        return x + down

    return through


def ternary(gains: Mapping[str, np.ndarray], epsilon: float) -> Block:
    """A block in the manner of BitNet b1.58, with weights of the norm before each linear layer."""
    def through(x, products, attention):
        def of(name, x):
            return name, normalised(x, gains[name], epsilon)

        q, k, v = products(of("attn_q", x), of("attn_k", x), of("attn_v", x))
        (o,) = products(of("attn_output", attention(q, k, v)))
        x = x + o
        gate, up = products(of("ffn_gate", x), of("ffn_up", x))
        (down,) = products(of("ffn_down", np.square(np.maximum(gate, 0)) * up))
        return x + down

    return through


def normalised(x: np.ndarray, weight: np.ndarray, epsilon: float) -> np.ndarray:
    """States [..., width] over their rms, times a norm's weight."""
    scale = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(epsilon))
    return x / scale * weight
