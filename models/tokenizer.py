# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The tokenizer of a model's file, run by the package `tokenizers`; only what a GGUF file says of it is translated here."""

import os
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from ..weights.files import GgufFile, WeightFileError, open_file
from .characters import CharacterModel, Characters
from .files import beside

__all__ = ["open_tokenizer"]

_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
_LLAMA_3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
            r"|\s+(?!\S)|\s+")
_PIECES = {
    "gpt-2": _BYTES,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _BYTES]),
    "llama-bpe": pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(_LLAMA_3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
}
"""How ``tokenizer.ggml.pre`` cuts a text into pieces that no token crosses."""
_NORMAL_TOKENS = (1, 6)
"""Types of tokens that text can give: normal ones and single bytes."""


def open_tokenizer(path: str | os.PathLike) -> Tokenizer | Characters:
    """The tokenizer of a GGUF file, of the ``tokenizer.json`` beside a safetensors file, or of a character model's .npz file.

    What looks like a special token in a text is text; no special token is put in front.

    Raises
    ------
    WeightFileError
        If there is none, or none that is known.
    """
    if Path(path).suffix == ".npz":
        return CharacterModel(path).characters
    reader = open_file(path)
    if isinstance(reader, GgufFile):
        return _of_gguf(reader)
    file = beside(Path(path), "tokenizer.json")
    if not file.is_file():
        raise WeightFileError(f"{path}: a safetensors model needs its tokenizer.json beside it; a GGUF file has it inside")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _of_gguf(reader):
    kind, tokens = reader.field("tokenizer.ggml.model"), reader.field("tokenizer.ggml.tokens")
    makers = {"gpt2": _byte_level, "llama": _sentence_piece}
    if kind not in makers or not tokens:
        raise WeightFileError(f"{reader.path}: tokenizer.ggml.model must be {' or '.join(map(repr, makers))}, not {kind!r}")
    return makers[kind](reader, {token: index for index, token in enumerate(tokens)})


def _byte_level(reader, vocabulary):
    """Byte-pair merges in the file's order (GPT-2, Llama 3, SmolLM2)."""
    pre = reader.field("tokenizer.ggml.pre", "gpt-2")
    if pre not in _PIECES:
        raise WeightFileError(f"{reader.path}: tokenizer.ggml.pre must be one of {', '.join(_PIECES)}, not {pre!r}")
    merges = [tuple(merge.split(" ")) for merge in reader.field("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(BPE(vocabulary, merges, ignore_merges=pre == "llama-bpe"))
    tokenizer.pre_tokenizer, tokenizer.decoder = _PIECES[pre], decoders.ByteLevel()
    return tokenizer


def _sentence_piece(reader, vocabulary):
    """SentencePiece's byte-pair kind (Llama 2): the pair whose token has the best score merges first."""
    scores, kinds = reader.field("tokenizer.ggml.scores"), reader.field("tokenizer.ggml.token_type")
    ranks = sorted((-scores[index], index, token) for token, index in vocabulary.items() if kinds[index] in _NORMAL_TOKENS)
    merges = [(token[:cut], token[cut:]) for _, _, token in ranks
              for cut in range(1, len(token)) if token[:cut] in vocabulary and token[cut:] in vocabulary]
    unknown = next(token for token, index in vocabulary.items() if kinds[index] == 2)
    tokenizer = Tokenizer(BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    space = [normalizers.Prepend("▁")] if reader.field("tokenizer.ggml.add_space_prefix", True) else []
    tokenizer.normalizer = normalizers.Sequence([*space, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *([decoders.Strip(" ", 1, 0)] if space else [])])
    return tokenizer
