# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Llama-family models out of GGUF and safetensors files: their dimensions, and tensors under one set of names."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..weights.files import GgufFile, WeightFileError, load_tensor, open_file
from .blocks import SHARED, Block, llama

__all__ = ["Config", "HeldModel", "Model"]

_HUGGING_FACE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head", "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
"""Names of a safetensors file's tensors by their names here, which are GGUF's."""


@dataclass(frozen=True)
class Config:
    """Dimensions of a Llama-family decoder.

    Attributes
    ----------
    blocks, width, hidden, vocabulary, context : int
        Decoder blocks; elements of a token's state; of the feed-forward layer; tokens known; longest text trained on.
    heads, kv_heads, head_width : int
        Query heads; key and value heads, which divide them; elements of a head.
    epsilon, rope_base : float
        Of the RMS norms; of the rotary angles.
    interleaved : bool
        Whether rotary pairs are neighbours, as GGUF orders the rows of q and k, or half a head apart.
    tied : bool
        Whether the head is the embedding.
    """

    blocks: int
    width: int
    hidden: int
    vocabulary: int
    context: int
    heads: int
    kv_heads: int
    head_width: int
    epsilon: float
    rope_base: float
    interleaved: bool
    tied: bool


class Model:
    """A model's file: its :class:`Config`, and its tensors by GGUF's names without ``.weight``; nothing is held in memory.

    Parameters
    ----------
    path : path of a GGUF or a safetensors file, or of a checkpoint's folder
        A safetensors file has its ``config.json`` beside it.

    Raises
    ------
    WeightFileError
        If the file is no Llama-family model, or has what the decoder does not.

    Attributes
    ----------
    quantized : bool
        Whether the file's weights are a scheme's already, and taken as they are.
    shared : mapping of str to str
        Layers whose input is another's.
    """

    quantized, shared = False, SHARED

    def __init__(self, path: str | os.PathLike):
        self.path, reader = Path(path), open_file(path)
        if reader.kind not in ("GGUF", "safetensors"):
            raise WeightFileError(f"{path}: a model must be a GGUF or a safetensors file, not {reader.kind}")
        self._names = {} if isinstance(reader, GgufFile) else _HUGGING_FACE
        shapes = reader.shapes()
        fields = _of_gguf(reader) if isinstance(reader, GgufFile) else _of_folder(self.path)
        for name in ("token_embd", "blk.0.attn_q", "blk.0.ffn_gate", "output_norm"):
            reader.shape(self.stored(name))
        vocabulary, width = shapes[self.stored("token_embd")]
        self.config = Config(
            width=width, hidden=shapes[self.stored("blk.0.ffn_gate")][0], vocabulary=vocabulary,
            tied=self.stored("output") not in shapes, **fields)
        _check(self, shapes)

    def stored(self, name: str) -> str:
        """What the file calls a tensor, such as ``blk.0.attn_q``."""
        *block, layer = name.removeprefix("blk.").rsplit(".", 1)
        layer = self._names.get(layer, layer)
        prefix = "" if not block else f"model.layers.{block[0]}." if self._names else f"blk.{block[0]}."
        return f"{prefix}{layer}.weight"

    def weight(self, name: str) -> np.ndarray:
        """A matrix [N, K], or a norm's vector, float32."""
        return load_tensor(self.path, self.stored(name), 1 if name.endswith("norm") else 2)

    def block(self, number: int) -> Block:
        """What a block computes; see :mod:`subbyte.models.blocks`."""
        return llama({half: self.weight(f"blk.{number}.{half}_norm") for half in ("attn", "ffn")}, self.config.epsilon)

    def head(self) -> np.ndarray:
        """From a token's state to logits, float32 [vocabulary, width]."""
        return self.weight("token_embd" if self.config.tied else "output")


class HeldModel(Model):
    """Likewise, with its tensors held in memory in float32 once they were asked for."""

    def __init__(self, path: str | os.PathLike):
        super().__init__(path)
        self._held = {}

    def weight(self, name: str) -> np.ndarray:
        """See :meth:`Model.weight`; not to be changed."""
        if name not in self._held:
            self._held[name] = super().weight(name)
        return self._held[name]


def _of_gguf(reader):
    def field(name, default=None):
        value = reader.field(f"llama.{name}", default)
        if value is None:
            raise WeightFileError(f"{reader.path}: the field llama.{name} must be there for a model")
        return value

    architecture = reader.field("general.architecture")
    if architecture != "llama":
        raise WeightFileError(f"{reader.path}: general.architecture must be 'llama', not {architecture!r}")
    if reader.field("llama.rope.scaling.type", "none") != "none" or "rope_freqs.weight" in reader.shapes():
        raise WeightFileError(f"{reader.path}: rotary angles must be plain, not scaled for longer texts")
    heads, width = field("attention.head_count"), field("embedding_length")
    head_width = field("rope.dimension_count", width // heads)
    if head_width != field("attention.key_length", head_width):
        raise WeightFileError(f"{reader.path}: llama.rope.dimension_count must be the width of a head, not {head_width}")
    return {
        "blocks": field("block_count"), "context": field("context_length"), "heads": heads,
        "kv_heads": field("attention.head_count_kv", heads), "head_width": head_width,
        "epsilon": field("attention.layer_norm_rms_epsilon"), "rope_base": field("rope.freq_base", 10000.0),
        "interleaved": True,
    }


def beside(path: Path, name: str) -> Path:
    """A file beside a model's, or in its folder."""
    return (path if path.is_dir() else path.parent) / name


def _of_folder(path):
    file = beside(path, "config.json")
    if not file.is_file():
        raise WeightFileError(f"{path}: a safetensors model needs its config.json beside it; a GGUF file has it inside")
    config = json.loads(file.read_text())
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    for name, value, wanted in (
        ("model_type", config.get("model_type"), "llama"),
        ("hidden_act", config.get("hidden_act", "silu"), "silu"),
        ("rope_type", rope.get("rope_type", rope.get("type", "default")), "default"),
    ):
        if value != wanted:
            raise WeightFileError(f"{file}: {name} must be {wanted!r}, not {value!r}")
    heads = config["num_attention_heads"]
    return {
        "blocks": config["num_hidden_layers"], "context": config["max_position_embeddings"], "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head_width": config.get("head_dim") or config["hidden_size"] // heads, "epsilon": config["rms_norm_eps"],
        "rope_base": float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0), "interleaved": False,
    }


def _check(model, shapes):
    """Refuse a file whose tensors are not those of the dimensions, or more than them."""
    config, wanted = model.config, {}
    query, key = config.heads * config.head_width, config.kv_heads * config.head_width
    for block in range(config.blocks):
        wanted |= {f"blk.{block}.{name}": shape for name, shape in {
            "attn_norm": (config.width,), "attn_q": (query, config.width), "attn_k": (key, config.width),
            "attn_v": (key, config.width), "attn_output": (config.width, query), "ffn_norm": (config.width,),
            "ffn_gate": (config.hidden, config.width), "ffn_up": (config.hidden, config.width),
            "ffn_down": (config.width, config.hidden)}.items()}
    for name, shape in wanted.items():
        found = shapes.get(model.stored(name))
        if found != shape:
            raise WeightFileError(f"{model.path}: tensor {model.stored(name)!r} must have the shape {shape}, "
                                  f"not {found or 'be missing'}")
    if config.heads % config.kv_heads:
        raise WeightFileError(f"{model.path}: key heads must divide the {config.heads} query heads, not be {config.kv_heads}")
    biases = [name for name in shapes if name.endswith(".bias")]
    if biases:
        raise WeightFileError(f"{model.path}: a Llama's layers have no bias, not {biases[0]!r}")
