# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Models that write a token at a time, and `subbyte generate`: every product by the RTL, compared with golden."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import cli, models
from subbyte.cli import demo
from subbyte.cli import generate as command
from subbyte.schemes import engines, scheme
from subbyte.sim.engine_run import EngineModel
from subbyte.tests.small_models import write_gguf
from subbyte.tests.test_models import sentence_piece
from subbyte.weights.smollm2 import ModelUnavailable, fetch_model

CHARACTERS = "examples/shakespeare_ternary.npz"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of Llama 2's shape."""
    return write_gguf(tmp_path_factory.mktemp("model") / "m.gguf", "llama2", sentence_piece)


def generate(*arguments):
    return CliRunner().invoke(cli.main, ["generate", *map(str, arguments)], prog_name="subbyte")


@pytest.mark.parametrize("path", [None, CHARACTERS])
def test_a_token_at_a_time_gives_a_windows_logits(model, path):
    model = path or model
    writer = models.Writer(model, models.plain)
    tokens = (writer.encode("hello there") * 4)[:20]
    stepped = np.stack([writer.step(token) for token in tokens])
    whole = models.forward(models.open_model(model), np.array(tokens)[None])[0]
    assert np.abs(stepped - whole).max() < 1e-5 * max(1, np.abs(whole).max())
    assert writer.decode(writer.encode("hello there")) == "hello there"


def test_character_model_gives_the_recorded_logits():
    """Recorded in float32 on a GPU with INT8 activations, whose roundings differ here."""
    writer = models.Writer(CHARACTERS, models.plain)
    with np.load(CHARACTERS) as arrays:
        tokens, recorded = arrays["check_tokens"], arrays["check_logits"]
    found = np.stack([writer.step(int(token)) for token in tokens])
    assert np.abs(found - recorded).max() < 0.3 and (found.argmax(1) == recorded.argmax(1)).mean() > 0.9
    with pytest.raises(ValueError, match="^the text must be of characters that the model knows, without 'é'"):
        writer.encode("é")


@pytest.mark.parametrize("name", engines())
def test_text_by_the_exact_model(model, name, tmp_path):
    """Its tokens are those of a decoder that reads the whole text anew for each."""
    done = generate(name, "--weights", model, "--prompt", "hello there", "--tokens", 3, "--golden", "--clock", 100,
                    "--json", tmp_path / "g.json")
    assert done.exit_code == 0, done.output
    told, one = json.loads((tmp_path / "g.json").read_text()), scheme(name)
    config = one.token_config(told["format"])
    qweights = {}

    def layer(site, weight):
        qweights[site] = weight, one.quantize(weight, told["format"], config)

        def product(x):
            weight, qweight = qweights[site]
            rows = [one.site(x[row : row + 1], weight, qweight.dequantize(), config, site.normalised, one.one_token_how)
                    for row in range(len(x))]
            return np.concatenate([one.answer(operand, qweight, config, **terms) for operand, terms in rows])

        return product

    tokens = list(told["tokens_read"])
    for _ in range(3):
        tokens.append(int(models.forward(models.open_model(model), np.array(tokens)[None], layer)[0, -1].argmax()))
    assert told["tokens_written"] == tokens[-3:] and done.stdout.startswith("hello there" + told["text"].rstrip("\ufffd"))
    assert told["tokens"] == len(tokens) - 1 and told["products"] == told["tokens"] * 2 * 7
    assert [layer["layer"] for layer in told["layers"]] == list(models.LINEARS)
    for figure in ("cycles_per_token", "bytes_per_token", "macs_per_token"):
        assert told[figure] == pytest.approx(sum(layer[figure] for layer in told["layers"]))
    assert told["tokens_per_second"] == pytest.approx(100e6 / told["cycles_per_token"])
    assert told["macs_per_token"] == sum(weight.size for weight, _ in qweights.values())
    weight, qweight = qweights[models.Site(0, "attn_q")]
    schedule = config.schedule(qweight, one.activations(np.ones((1, weight.shape[1]), np.float32), config))
    if name != "tender":  # whose cycles follow the channel groups
        assert told["layers"][0]["cycles_per_token"] == 2 * config.cycles(1, *weight.shape, schedule)


class Wrong(EngineModel):
    """An engine that runs golden, and gets one bit of one layer's answers wrong."""

    def __init__(self, scheme, config):
        self.scheme, self.config, self.runs = scheme, config, 0

    def run(self, product, **_):
        self.runs += 1
        y = product.y.copy()
        if self.runs == 20:
            y.view(np.uint8)[0, 0] ^= 1
        return dataclasses.make_dataclass("Run", ["y", "problems", "run"])(
            y, [] if np.array_equal(y, product.y) else ["1 of 64 outputs differ from golden"], type("", (), {"seconds": 0.0}))


def test_a_wrong_bit_ends_the_text(model, monkeypatch):
    monkeypatch.setattr(command, "EngineModel", Wrong)
    done = generate("bitmod", "--weights", model, "--prompt", "hello", "--tokens", 3)
    assert done.exit_code == 1 and "outputs differ from golden" in done.stderr and "blk." in done.stderr
    done = generate("bitmod", "--weights", model, "--prompt", "h", "--tokens", 1)
    assert done.exit_code == 0 and "bit-identical to the exact model, cycles as predicted" in done.stdout


@pytest.mark.parametrize("options, message", [
    (("--format", "int5"), "--format must be one that the engine takes"),
    (("--prompt", ""), "--prompt must be 1 to "),
    (("--tokens", "64"), "--prompt must be 1 to 0 tokens, so that 64 more fit"),
    (("--set", "rowz=3"), "RsrConfig has no such parameter"),
])
def test_what_cannot_be_is_one_line(model, options, message):
    done = generate("rsr", "--weights", model, "--prompt", "hello", "--golden", *options)
    assert done.exit_code == 2 and "error: " in done.stderr and message in done.stderr, done.stderr


def test_temperature_follows_the_seed():
    scores = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    drawn = [[command._choose(scores, 1.0, np.random.default_rng(seed)) for seed in range(500)] for _ in range(2)]
    assert drawn[0] == drawn[1] and np.allclose(np.bincount(drawn[0]) / 500, np.exp(scores), atol=0.07)
    assert {command._choose(scores, 0, None)} == {1}


@pytest.mark.parametrize("at_hand", [True, False])
def test_demo_writes_with_the_model_at_hand(at_hand, monkeypatch, capsys):
    steps = []

    def fetch(folder):
        if not at_hand:
            raise ModelUnavailable("no network")
        return folder / "m.gguf"

    monkeypatch.setattr(demo, "check_tools", lambda: None)
    monkeypatch.setattr(demo, "fetch_model", fetch)
    monkeypatch.setattr(demo, "_step", lambda title, arguments: steps.append(arguments))
    assert demo.main() == 0
    assert [step[0] for step in steps] == ["verilog", "simulate", "generate"]
    assert ("ternary model wrote" in capsys.readouterr().out) is not at_hand
    for name, *arguments in steps:
        cli.main.commands[name].make_context(name, arguments)


@pytest.mark.long
@pytest.mark.parametrize("name, settings", [
    ("bitmod", ("cols=2", "lanes=4")), ("bitmod", ("cols=2", "lanes=4", "form=dense")),
    ("rsr", ("cols=2", "lanes=8", "drain=1")), ("tender", ("cols=2", "lanes=4", "drain=1")),
    ("bipolar", ("cols=2", "lanes=32", "drain=1")), ("bcq", ("cols=2", "lanes=8", "drain=1"))])
def test_text_by_the_engine(model, name, settings, tmp_path):
    """As the exact model's, to the last token; every product was compared on the way."""
    told = {}
    for way in ("--golden", None):
        options = [word for setting in settings for word in ("--set", setting)]
        done = generate(name, "--weights", model, "--prompt", "hello", "--tokens", 3, *options, *filter(None, [way]),
                        "--json", tmp_path / "g.json")
        assert done.exit_code == 0, done.output
        told[way] = json.loads((tmp_path / "g.json").read_text())
    for figure in ("tokens_written", "cycles_per_token", "products"):
        assert told[None][figure] == told["--golden"][figure]
    assert told[None]["simulation_seconds"] > 0 == told["--golden"]["simulation_seconds"]


@pytest.mark.long
def test_smollm2_knows_a_capital():
    """Quantized to 4 bits, by the exact model: its first two tokens go on as a sentence does."""
    try:
        path = fetch_model("build/model")
    except ModelUnavailable as error:
        pytest.skip(f"the model cannot be fetched: {error}")
    done = generate("bitmod", "--weights", path, "--prompt", "The capital of France is", "--tokens", 2, "--golden")
    assert done.exit_code == 0 and done.stdout.startswith("The capital of France is"), done.output
    assert "420 of 6 tokens" not in done.stdout and "1260 of 6 tokens" in done.stdout
