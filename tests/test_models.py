# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Whole models in NumPy: against recordings of transformers and sentencepiece (tests/record_models.py), and by themselves."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from subbyte import models
from subbyte.cli import bench_arithmetic, operands
from subbyte.cli.evaluate import FLOAT, QuantizedRun
from subbyte.models import inputs_of, read_tokens
from subbyte.schemes import engines, scheme
from subbyte.sim.engine_run import rms
from subbyte.tests.recordings import SHARED
from subbyte.tests.small_models import DATA, load, write_gguf, write_safetensors
from subbyte.tools.toolchain import build_root
from subbyte.weights import WeightFileError, load_tensor
from subbyte.weights.smollm2 import FILE_NAME

SMALL = ("llama2", "smollm")
WIKITEXT = SHARED / "data" / "wikitext2-test.txt"


def sentence_piece(writer):
    """The recorded vocabulary, as a GGUF file has it."""
    with np.load(DATA / "sentencepiece.npz") as recorded:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(recorded["pieces"].tolist())
        writer.add_token_scores(recorded["scores"].tolist())
        writer.add_token_types(recorded["kinds"].tolist())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each small model as safetensors and as GGUF."""
    made = {}
    for name in SMALL:
        folder = tmp_path_factory.mktemp(name)
        made[name] = write_safetensors(folder, name), write_gguf(folder / "m.gguf", name, sentence_piece)
    return made


@pytest.fixture
def smollm2():
    """The real model, where `make model` has put it."""
    path = build_root() / "model" / FILE_NAME
    if not path.is_file():
        pytest.skip("`make model` fetches the file")
    return models.open_model(path)


def test_means_of_inputs(files):
    """Of squares and of products, over windows that stand by themselves; layers of one input have the same."""
    model = models.open_model(files["llama2"][1])
    windows = np.arange(3, 43).reshape(2, 20)
    squares, products = models.mean_squares(model, windows), models.mean_products(model, windows)
    assert len(squares) == len(products) == model.config.blocks * len(models.LINEARS)
    for site in (models.Site(1, "ffn_down"), models.Site(0, "attn_k"), models.Site(1, "ffn_up")):
        x = np.concatenate([inputs_of(model, window, [site])[site] for window in windows]).astype(np.float64)
        np.testing.assert_allclose(products[site], x.T @ x / len(x), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(squares[site], np.diagonal(products[site]), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [0, 1], ids=["safetensors", "gguf"])
@pytest.mark.parametrize("name", SMALL)
def test_logits_are_those_of_transformers(files, name, kind):
    recorded, _, dimensions = load(name)
    model = models.open_model(files[name][kind])
    assert model.config.tied == dimensions["tie_word_embeddings"] and model.config.blocks == 2
    logits = models.forward(model, recorded["tokens"])
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, recorded["logits"], rtol=0, atol=3e-6 * np.abs(recorded["logits"]).max())


def test_real_model_is_that_of_transformers(smollm2):
    with np.load(DATA / "smollm2_logits.npz") as recorded:
        recorded = dict(recorded)
    tokens = recorded["tokens"]
    assert np.array_equal(read_tokens(smollm2.path, models.TEXT)[: len(tokens)], tokens)
    tokenizer = models.open_tokenizer(smollm2.path)
    for text, ids in zip(recorded["texts"].tolist(), recorded["ids"].tolist()):
        assert tokenizer.encode(text).ids == ast.literal_eval(ids) and tokenizer.decode(tokenizer.encode(text).ids) == text
    logits = models.forward(smollm2, tokens[None])[0]
    np.testing.assert_allclose(logits[:, recorded["words"]], recorded["logits"], rtol=0, atol=2e-4)
    assert np.array_equal(logits.argmax(axis=1), recorded["best"])
    for blocks in (1, 3, 12, 21, 30):  # that of the massive activation is the twelfth
        states = models.hidden(smollm2, tokens[None], blocks=blocks)[0]
        np.testing.assert_allclose(np.sqrt(np.square(states).mean(axis=1)), recorded["rms"][blocks - 1], rtol=1e-5)


@pytest.mark.long
@pytest.mark.skipif(not WIKITEXT.is_file(), reason="the text (../shared/data/wikitext2-test.txt) is not here")
def test_losses_are_those_of_an_independent_implementation(smollm2):
    """Float32 on a GPU, by CuPy: the first window of WikiText-2's test split; quantized weights on its first 256 tokens."""
    tokens = read_tokens(smollm2.path, WIKITEXT)
    assert len(tokens) == 312144
    assert models.perplexity(smollm2, models.windows(tokens, 2048)).loss == pytest.approx(2.59664100, abs=5e-7)
    for fmt, loss in (("bitmod-fp4", 3.530863), ("bitmod-fp3", 4.151775)):
        run = QuantizedRun(scheme("bitmod"), fmt, scheme("bitmod").Config(), FLOAT)
        assert models.perplexity(smollm2, models.windows(tokens, 256), run.layer).loss == pytest.approx(loss, abs=1e-4)


def test_tokens_are_those_of_sentencepiece(files):
    tokenizer = models.open_tokenizer(files["llama2"][1])
    with np.load(DATA / "sentencepiece.npz") as recorded:
        for text, ids in zip(recorded["texts"].tolist(), recorded["ids"].tolist()):
            assert tokenizer.encode(text).ids == ast.literal_eval(ids), text
            assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_windows_are_texts_by_themselves(files):
    """A window's states do not depend on its neighbours, nor a token's on later ones, across pieces of attention, too."""
    model = models.open_model(files["smollm"][0])
    tokens = np.random.default_rng(0).integers(0, 64, (2, 600))
    both, first = models.hidden(model, tokens), models.hidden(model, tokens[:1, :300])
    np.testing.assert_allclose(both[:1, :300], first, rtol=0, atol=1e-5)
    np.testing.assert_allclose(models.hidden(model, tokens[::-1])[::-1], both, rtol=0, atol=1e-5)


def test_perplexity_is_the_exponential_of_the_mean_loss(files):
    model = models.open_model(files["llama2"][0])
    tokens = load("llama2")[0]["tokens"]
    logits = models.forward(model, tokens)[:, :-1].astype(np.float64)
    likelihood = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    losses = -np.take_along_axis(likelihood, tokens[:, 1:, None], axis=2)[..., 0].mean(axis=1)
    measured = models.perplexity(model, tokens)
    np.testing.assert_allclose(measured.losses, losses, rtol=1e-6)
    assert measured.predicted == 2 * 19 and measured.value == pytest.approx(np.exp(losses.mean()))


def test_layers_are_given(files):
    """Products are made once a layer, for all windows, by name and weight; what they give is what the model goes on with."""
    model, made = models.open_model(files["smollm"][1]), []

    def layer(site, weight):
        made.append(site.tensor)
        np.testing.assert_array_equal(weight, load_tensor(model.path, f"{site.tensor}.weight"))
        return lambda x: np.zeros((len(x), len(weight)), np.float32)

    tokens = np.arange(12).reshape(2, 6)
    states = models.hidden(model, tokens, layer, blocks=2)
    np.testing.assert_array_equal(states, model.weight("token_embd")[tokens])
    assert made == [f"blk.{block}.{name}" for block in range(2) for name in models.LINEARS]


def test_windows():
    assert models.windows(np.arange(10), 9, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert models.windows(np.arange(10), 3, 4).tolist() == [[0, 1, 2]] and len(models.windows(np.arange(10), None, 4)) == 2
    with pytest.raises(ValueError, match="--tokens must be 2 to 10, the tokens of the text, not 11"):
        models.windows(np.arange(10), 11)


def test_activations_are_what_comes_to_a_layer(files, tmp_path):
    path, text = files["llama2"][1], tmp_path / "t.txt"
    model = models.open_model(path)
    text.write_text("e")
    tokens = read_tokens(path, text)
    site = models.Site(0, "ffn_down")
    normal = models.hidden(model, tokens[None], blocks=0)[0]
    found = inputs_of(model, tokens, [site, models.Site(0, "attn_q")])
    normal = normal / np.sqrt(np.square(normal).mean(axis=1, keepdims=True) + 1e-5) * model.weight("blk.0.attn_norm")
    np.testing.assert_allclose(found[models.Site(0, "attn_q")], normal, rtol=1e-5)
    np.testing.assert_array_equal(models.activations(path, "blk.0.ffn_down.weight", f"model:{text}"), found[site][:1])


@pytest.mark.parametrize("kind", [0, 1], ids=["safetensors", "gguf"])
def test_tokens_and_blocks_of_a_reading(files, tmp_path, kind, monkeypatch):
    path = files["llama2"][kind]
    monkeypatch.setattr("subbyte.models.capture.read_tokens", lambda path, text: np.arange(30, 60))
    model = models.open_model(path)
    last = model.stored("blk.1.attn_output")
    whole = inputs_of(model, np.arange(30, 40), [models.Site(block, "attn_output") for block in range(2)])
    for reading, count, block, tokens in (
        ("model:", 3, 1, slice(3)), ("model:t.txt", None, 1, slice(1)), ("model:a,b.txt,tokens=4:9", 2, 1, slice(4, 9)),
        ("model:t.txt,tokens=0:2,block=0", None, 0, slice(2)), ("model:,block=0", 5, 0, slice(5)),
    ):
        x = models.activations(path, last, reading, count)
        np.testing.assert_allclose(x, whole[models.Site(block, "attn_output")][tokens], rtol=0, atol=1e-5, err_msg=reading)
    assert models.Reading.parse("model:a,b.txt,tokens=4:9,block=1") == models.Reading(Path("a,b.txt"), 4, 9, 1)


@pytest.mark.parametrize("name", engines())
@pytest.mark.parametrize("layer", ["attn_q", "ffn_down"])
def test_engines_take_what_comes_to_a_layer(files, name, layer):
    """As the command does; Tender subtracts a bias from what a norm gives, and from nothing else."""
    one, path, tensor = scheme(name), files["llama2"][1], f"blk.1.{layer}.weight"
    taken = operands.operand(one, operands.Request(str(path), tensor))
    exact, product, origin, _ = operands.product_of(one, taken, "model:", 6)
    x = models.activations(path, tensor, "model:", 6)
    assert origin == "model:, read by the model"
    np.testing.assert_allclose(exact, x.astype(np.float64) @ taken.weight.T.astype(np.float64), rtol=1e-12)
    operand, terms = one.site(x, taken.weight, taken.qweight.dequantize(), taken.config, layer == "attn_q")
    assert bool(terms) == (name == "tender" and layer == "attn_q")
    np.testing.assert_array_equal(product.y, one.product(operand, taken.qweight, taken.config, **terms).y)


@pytest.mark.parametrize("name", engines())
def test_errors_of_arithmetic_are_tabulated(files, name, capsys):
    """A row for each of the scheme's; here of a layer that is known."""
    layers = bench_arithmetic.layers_of(files["llama2"][1], "model:,tokens=2:7,block=1")
    assert [layer.site for layer in layers] == [models.Site(1, each) for each in models.LINEARS] and len(layers[0].x) == 5
    bench_arithmetic.table(scheme(name), layers)
    rows = capsys.readouterr().out.strip().splitlines()[4:]
    assert len(rows) == len(scheme(name).arithmetic) and all(len(row.split("|")) == 10 for row in rows)
    fmt, settings = scheme(name).arithmetic[0]
    share, whole = bench_arithmetic.errors(scheme(name), fmt, scheme(name).config_of(fmt, **settings), layers[-1])
    assert share.shape == (5, 32) and 0 < rms(share) < 1e-2 and 0 < whole < 1e-2 and "blk.1." in rows[0]


@pytest.mark.parametrize("name", engines())
def test_errors_are_those_of_the_exact_model(name):
    """Bit for bit, where they come from a faster twin, too."""
    one, rng = scheme(name), np.random.default_rng(3)
    weight, x = rng.normal(0, 0.02, (40, 192)).astype(np.float32), rng.standard_normal((5, 192)).astype(np.float32)
    for fmt, settings in one.arithmetic:
        config = one.config_of(fmt, **settings)
        qweight = one.quantize(weight, fmt, config)
        operand, terms = one.site(x, weight, qweight.dequantize(), config, False)
        product = one.product(operand, qweight, config, **terms)
        error, reference = one.errors(operand, qweight, config, **terms)
        np.testing.assert_array_equal(error, product.error)
        np.testing.assert_array_equal(reference, product.reference)


def test_all_layers_are_tabulated(files):
    """Of all blocks, unless the reading names one."""
    path = files["llama2"][1]
    assert {layer.site.block for layer in bench_arithmetic.layers_of(path, "model:,tokens=0:2", None)} == {0, 1}
    assert {layer.site.block for layer in bench_arithmetic.layers_of(path, "model:,tokens=0:2,block=1", None)} == {1}


@pytest.mark.parametrize("given, message", [
    ("model:t.txt,tokens=3", "tokens must be A:B with integers 0 <= A < B, such as 0:8, not '3'"),
    ("model:t.txt,tokens=8:8", "tokens must be A:B .* not '8:8'"),
    ("model:t.txt,block=-1", "block must be an integer from 0, not '-1'"),
    ("model:t.txt,block=2", "block must be 0 to 1, the blocks of m.gguf, not 2"),
    ("model:t.txt,layer=2", "must be tokens=A:B or block=B, once each, not 'layer=2'"),
    ("model:t.txt,block=1,block=0", "once each, not 'block=1'"),
    ("model:t.txt,tokens=0:65", "tokens must be among the first 64 of t.txt, .* not reach 65"),
    ("model:none.txt", "none.txt: no such text file"),
    ("t.txt", "activations of a model must be model:TEXTFILE, not 't.txt'"),
])
def test_readings_that_are_none_say_why(files, given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text("e" * 200)
    with pytest.raises(ValueError, match=message):
        models.activations(files["llama2"][1], "blk.0.attn_q.weight", given)


def broken(folder, change):
    """A small safetensors model whose config.json was changed."""
    path = write_safetensors(folder, "llama2")
    config = json.loads(path.with_name("config.json").read_text())
    change(config)
    path.with_name("config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("change, message", [
    (lambda config: config.update(model_type="gpt2"), "model_type must be 'llama', not 'gpt2'"),
    (lambda config: config.update(rope_scaling={"rope_type": "llama3"}), "rope_type must be 'default', not 'llama3'"),
    (lambda config: config.update(num_hidden_layers=3),
     r"tensor 'model.layers.2.input_layernorm.weight' must have the shape \(32,\), not be missing"),
    (lambda config: config.update(num_key_value_heads=2),
     r"tensor 'model.layers.0.self_attn.k_proj.weight' must have the shape \(16, 32\), not \(32, 32\)"),
])
def test_models_that_the_decoder_is_not_are_refused(tmp_path, change, message):
    with pytest.raises(WeightFileError, match=message):
        models.open_model(broken(tmp_path, change))


def test_what_is_missing_is_named(tmp_path, files):
    path = write_safetensors(tmp_path, "smollm")
    with pytest.raises(WeightFileError, match="needs its tokenizer.json beside it"):
        models.open_tokenizer(path)
    assert models.open_model(tmp_path).config == models.open_model(path).config  # a checkpoint's folder
    path.with_name("config.json").unlink()
    with pytest.raises(WeightFileError, match="needs its config.json beside it"):
        models.open_model(path)
    with pytest.raises(ValueError, match="no such text file"):
        models.activations(files["llama2"][1], "blk.0.attn_q.weight", f"model:{tmp_path / 'none.txt'}")
    with pytest.raises(ValueError, match="such as 'blk.0.attn_q.weight', not 'token_embd.weight'"):
        models.activations(files["llama2"][1], "token_embd.weight")
    with pytest.raises(WeightFileError, match="a model must be a GGUF or a safetensors file, not npz"):
        models.open_model(DATA.parent / "smollm2_slice.npz")
    with pytest.raises(WeightFileError, match="'llama'"):
        models.open_model(write_gguf_of_another_kind(tmp_path / "g.gguf"))


def write_gguf_of_another_kind(path):
    import gguf

    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
