# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Files of small random models out of what `record_models.py` recorded, with llama.cpp's order of rows in GGUF."""

import ast
import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file

__all__ = ["DATA", "load", "write_gguf", "write_safetensors"]

DATA = Path(__file__).parent / "data" / "models"
_GGUF = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def load(name):
    """Recorded arrays, the model's parameters and its dimensions."""
    with np.load(DATA / f"{name}.npz") as archive:
        arrays = dict(archive)
    parameters = {key: value for key, value in arrays.items() if key.endswith(".weight")}
    return arrays, parameters, ast.literal_eval(str(arrays["config"]))


def write_safetensors(folder, name):
    """model.safetensors and config.json, as Hugging Face has them."""
    _, tensors, config = load(name)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


def write_gguf(path, name, tokenizer=None):
    """A GGUF file in which pairs that rotate together are neighbours, as llama.cpp's converter leaves them."""
    _, tensors, config = load(name)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    if tokenizer:
        tokenizer(writer)
    for key, tensor in tensors.items():
        stem = key.removesuffix(".weight")
        if stem.startswith("model.layers."):
            _, _, block, layer = stem.split(".", 3)
            stem = f"blk.{block}.{_GGUF[layer]}"
        else:
            stem = _GGUF[stem]
        heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}.get(stem.rpartition(".")[2])
        if heads:
            tensor = tensor.reshape(config[heads], 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
        writer.add_tensor(f"{stem}.weight", np.ascontiguousarray(tensor.astype(np.float32)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
