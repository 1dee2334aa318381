# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Shapes of language models: by name, from a Hugging Face ``config.json``, or from a file of weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import models
from ..tools.hints import near

__all__ = ["NAMED", "Layer", "Shape", "shape_of"]


@dataclass(frozen=True)
class Layer:
    """A linear layer ``W[n, k]`` that each block has."""

    name: str
    n: int
    k: int


@dataclass(frozen=True)
class Shape:
    """What of a decoder decides its work.

    Attributes
    ----------
    name, source : str
        What it is, and where its numbers are from.
    blocks, width, vocabulary : int
        Decoder blocks, elements of a token's state, tokens known.
    heads, kv_heads, head_width : int
    layers : tuple of Layer
        Of a block.
    """

    name: str
    source: str
    blocks: int
    width: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_width: int
    layers: tuple[Layer, ...]

    @property
    def weights(self) -> int:
        """Weights of the linear layers of all blocks."""
        return self.blocks * sum(layer.n * layer.k for layer in self.layers)

    def attention_macs(self, context: float) -> float:
        """Multiply-accumulates of a token's two products with so many keys and values, of all blocks."""
        return 2 * self.blocks * self.heads * self.head_width * context

    @property
    def head_macs(self) -> int:
        """Multiply-accumulates of a token's logits."""
        return self.width * self.vocabulary

    @property
    def vector_elements(self) -> int:
        """Elements of a token that pass through norms, activation functions, rotary positions and residual sums."""
        hidden = max(layer.n for layer in self.layers)
        return self.blocks * (4 * self.width + 2 * hidden + (self.heads + self.kv_heads) * self.head_width) + self.width


def _llama(blocks, width, hidden, heads, kv_heads, head_width=None, vocabulary=0):
    """Attention with grouped queries, and a feed-forward layer with a gate."""
    head_width = head_width or width // heads
    layers = (
        Layer("attn_q", heads * head_width, width), Layer("attn_k", kv_heads * head_width, width),
        Layer("attn_v", kv_heads * head_width, width), Layer("attn_output", width, heads * head_width),
        Layer("ffn_gate", hidden, width), Layer("ffn_up", hidden, width), Layer("ffn_down", width, hidden),
    )
    return {"blocks": blocks, "width": width, "vocabulary": vocabulary, "heads": heads, "kv_heads": kv_heads,
            "head_width": head_width, "layers": layers}


def _opt(blocks, width, hidden, heads, vocabulary):
    """As many key heads as query heads, and a feed-forward layer without a gate."""
    found = _llama(blocks, width, hidden, heads, heads, vocabulary=vocabulary)
    layers = tuple(layer for layer in found["layers"] if layer.name != "ffn_gate")
    return {**found, "layers": layers}


NAMED = {
    shape.name: shape for shape in (
        Shape("SmolLM2-135M", "config.json of HuggingFaceTB/SmolLM2-135M-Instruct",
              **_llama(30, 576, 1536, 9, 3, vocabulary=49152)),
        Shape("Llama-2-7B", "config.json of meta-llama/Llama-2-7b-hf", **_llama(32, 4096, 11008, 32, 32, vocabulary=32000)),
        Shape("Llama-2-70B", "config.json of meta-llama/Llama-2-70b-hf", **_llama(80, 8192, 28672, 64, 8, vocabulary=32000)),
        Shape("OPT-6.7B", "config.json of facebook/opt-6.7b", **_opt(32, 4096, 16384, 32, 50272)),
    )
}
"""Models that need no file."""


def shape_of(name: str) -> Shape:
    """The shape of a model.

    Parameters
    ----------
    name : str
        One of :data:`NAMED`, a ``config.json`` of Hugging Face or its folder, or a GGUF or safetensors file.

    Raises
    ------
    ValueError
        If it is none of these, or a file of another family.
    """
    by_name = {known.lower(): shape for known, shape in NAMED.items()}
    if name.lower() in by_name:
        return by_name[name.lower()]
    path = Path(name)
    if not path.exists():
        raise ValueError(f"--model must be one of {', '.join(NAMED)}, or a file that exists, not {name!r}{near(name, NAMED)}")
    config = path / "config.json" if path.is_dir() else path
    if config.suffix == ".json":
        return _of_config(config)
    found = models.open_model(path).config
    return Shape(path.stem, str(path), **_llama(found.blocks, found.width, found.hidden, found.heads, found.kv_heads,
                                                found.head_width, found.vocabulary))


def _of_config(path):
    """The shape that a ``config.json`` describes."""
    try:
        config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        family = config["model_type"]
        sizes = config["num_hidden_layers"], config["hidden_size"]
        heads = config["num_attention_heads"]
        if family == "opt":
            found = _opt(*sizes, config["ffn_dim"], heads, config["vocab_size"])
        elif "intermediate_size" in config and family in ("llama", "mistral", "qwen2", "qwen3"):
            found = _llama(*sizes, config["intermediate_size"], heads, config.get("num_key_value_heads") or heads,
                           config.get("head_dim"), config["vocab_size"])
        else:
            raise ValueError(f"{path}: model_type must be llama, mistral, qwen2, qwen3 or opt, not {family!r}")
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: no config.json of a language model ({type(error).__name__}: {error})") from None
    return Shape(config.get("_name_or_path") or path.parent.name or path.stem, str(path), **found)
