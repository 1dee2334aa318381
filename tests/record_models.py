# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Record what transformers and sentencepiece make of models and texts: tests/data/models/*.npz (tests/data/README.md).

Run once, in an environment of its own with torch, transformers, accelerate, gguf, sentencepiece and safetensors::

    python tests/record_models.py build/model/SmolLM2-135M-Instruct.Q4_1.gguf models/tinyshakespeare.txt
"""

import io
import sys
from pathlib import Path

import numpy as np
import sentencepiece
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

DATA = Path(__file__).parent / "data" / "models"
SMALL = {
    "llama2": dict(hidden_size=32, intermediate_size=88, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                   vocab_size=480, tie_word_embeddings=False, rms_norm_eps=1e-5, rope_theta=10000.0),
    "smollm": dict(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
                   vocab_size=64, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=100000.0),
}
TEXTS = ("The quick brown fox, 2025: 31 x 7!", "  two spaces\n\nand\tlines ", "näive ☃ <s> end")
REAL_TOKENS, REAL_WORDS = 24, 512


def small(name, dimensions):
    """A random model whose weights binary16 holds, and its logits on random tokens."""
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=64, **dimensions)).eval().float()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter) * (0.2 if parameter.ndim == 2 else 0.3)
            parameter.copy_((noise + (parameter.ndim == 1)).half().float())
        tokens = torch.randint(dimensions["vocab_size"], (2, 20))
        result = model(tokens, output_hidden_states=True)
    tensors = {key: value.half().numpy() for key, value in model.state_dict().items()
               if not (key == "lm_head.weight" and dimensions["tie_word_embeddings"])}
    np.savez_compressed(DATA / f"{name}.npz", config=str({**dimensions, "model_type": "llama", "hidden_act": "silu",
                        "max_position_embeddings": 64}), tokens=tokens.numpy(), logits=result.logits.numpy(), **tensors)


def real(path, text):
    """Tokens, logits of some words, and the rms of each block's output, of the model in a GGUF file."""
    where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(**where)
    tokens = tokenizer(text.read_text(), add_special_tokens=False)["input_ids"][:REAL_TOKENS]
    sizes = []

    def note(module, given, y):
        sizes.append((y[0] if isinstance(y, tuple) else y).square().mean(-1).sqrt())

    for layer in model.model.layers:
        layer.register_forward_hook(note)
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0].numpy()
    words = np.sort(np.random.default_rng(1).choice(logits.shape[1], REAL_WORDS, replace=False))
    np.savez_compressed(DATA / "smollm2_logits.npz", tokens=tokens, words=words, logits=logits[:, words],
                        best=logits.argmax(axis=1), rms=torch.cat([size.reshape(1, -1) for size in sizes]).numpy(),
                        texts=TEXTS, ids=[str(tokenizer(t, add_special_tokens=False)["input_ids"]) for t in TEXTS])


def sentence_piece(text):
    """A small SentencePiece vocabulary of the kind of Llama 2's, and the tokens of some texts."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.read_text().splitlines()[:1000]), model_writer=model, vocab_size=480, model_type="bpe",
        byte_fallback=True, add_dummy_prefix=True, remove_extra_whitespaces=False, normalization_rule_name="identity",
        split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.999)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    every = range(pieces.vocab_size())
    kinds = [2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1 for i in every]
    texts = [*TEXTS, text.read_text()[-500:]]
    np.savez_compressed(DATA / "sentencepiece.npz", pieces=[pieces.id_to_piece(i) for i in every],
                        scores=np.array([pieces.get_score(i) for i in every], np.float32),
                        kinds=np.array(kinds, np.int32), texts=texts, ids=[str(pieces.encode(t)) for t in texts])


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for each in SMALL.items():
        small(*each)
    real(Path(sys.argv[1]), Path(sys.argv[2]))
    sentence_piece(Path(sys.argv[2]))
