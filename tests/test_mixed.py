# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A format for each layer: the search, its file, and the commands that take it."""

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import cli, models
from subbyte.cli import evaluate, operands
from subbyte.explore import Machine, Mixed, choose, cost_of, load_mixed, shape_of
from subbyte.report.curves import draw
from subbyte.schemes import scheme
from subbyte.tests.small_models import write_gguf
from subbyte.tests.test_models import sentence_piece

LAYERS = [f"blk.{block}.{name}" for block in range(2) for name in models.LINEARS]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of Llama 2's shape."""
    return write_gguf(tmp_path_factory.mktemp("model") / "m.gguf", "llama2", sentence_piece)


def run(*arguments):
    return CliRunner().invoke(cli.main, list(map(str, arguments)), prog_name="subbyte")


def test_greedy_is_best_where_losses_add_up():
    """Of two formats, and layers of one size."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        losses = {layer: {"wide": 0.0, "narrow": float(rng.exponential())} for layer in LAYERS[:8]}
        bits = {layer: {"wide": 4.0, "narrow": 3.0} for layer in losses}
        chosen = choose(bits, losses, dict.fromkeys(losses, 10), ["wide", "narrow"], 3.5)
        best = min(sum(losses[layer]["narrow"] for layer in some) for some in itertools.combinations(losses, 4))
        assert sum(losses[layer][fmt] for layer, fmt in chosen.items()) == pytest.approx(best)


def test_sizes_and_widths_count():
    """The layer that saves most for its loss goes first; a third format is taken where it pays."""
    bits = {layer: {"a": 8.0, "b": 4.0, "c": 3.0} for layer in "xyz"}
    losses = {"x": {"a": 0, "b": 1.0, "c": 5.0}, "y": {"a": 0, "b": 0.5, "c": 9.0}, "z": {"a": 0, "b": -0.1, "c": -0.2}}
    sizes = {"x": 100, "y": 10, "z": 10}
    assert choose(bits, losses, sizes, ["a", "b", "c"], 8.0) == dict.fromkeys("xyz", "a")
    assert choose(bits, losses, sizes, ["a", "b", "c"], 7.6)["z"] == "c"
    assert choose(bits, losses, sizes, ["a", "b", "c"], 4.4) == {"x": "b", "y": "a", "z": "c"}
    assert choose(bits, losses, sizes, ["a", "b", "c"], 3.0) == dict.fromkeys("xyz", "c")
    with pytest.raises(ValueError, match=r"^--bits must be at least 3\.000, which the narrowest .* take, not 2\.9$"):
        choose(bits, losses, sizes, ["a", "b", "c"], 2.9)


def test_sensitivities_are_divergences_of_single_layers(model, tmp_path):
    file = tmp_path / "mixed.json"
    done = run("mix", "bitmod", "--weights", model, "--formats", "bitmod-fp3,int8", "--bits", 6.5, "--tokens", 128,
               "-o", file)
    assert done.exit_code == 0, done.output
    told, one, opened = json.loads(file.read_text()), scheme("bitmod"), models.open_model(model)
    read = models.read_tokens(model, models.TEXT)
    windows = models.windows(read[-128:], None, 64)

    def shares(layer):
        scores = models.forward(opened, windows, layer).astype(np.float64)
        return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))

    wanted = shares(models.plain)

    def divergence(formats):
        def layer(site, weight):
            return models.plain(site, one.quantize(weight, formats[site.tensor], one.Config()).dequantize())

        return (np.exp(wanted) * (wanted - shares(layer))).sum(axis=-1).mean()

    base = divergence(dict.fromkeys(LAYERS, "int8"))
    assert told["divergence"] == pytest.approx(base, abs=1e-6) and base > 1e-5 and list(told["sensitivities"]) == LAYERS
    for changed in ("blk.0.attn_q", "blk.0.ffn_down", "blk.1.attn_k"):
        found = divergence({**dict.fromkeys(LAYERS, "int8"), changed: "bitmod-fp3"}) - base
        assert told["sensitivities"][changed]["losses"] == {"int8": 0, "bitmod-fp3": pytest.approx(found, abs=1e-6)}
    assert 5.5 < told["bits_per_weight"] <= 6.5 and set(told["formats"].values()) == {"int8", "bitmod-fp3"}
    assert "most sensitive to bitmod-fp3: " in done.stdout


@pytest.fixture
def mixed(tmp_path):
    """Formats in turn, in groups of 64."""
    file = tmp_path / "mixed.json"
    formats = {layer: ("bitmod-fp4", "int8", "bitmod-fp3")[at % 3] for at, layer in enumerate(LAYERS)}
    Mixed("bitmod", {"group_size": 64}, formats, 5.0).save(file)
    return file


def test_evaluate_takes_it(model, mixed, tmp_path):
    one = scheme("bitmod")
    for way in ("dequantized", "exact"):
        done = run("evaluate", "bitmod", "--weights", model, "--mixed", mixed, "--mixed", mixed, "--tokens", 64, "--path", way,
                   "--json", tmp_path / "f.json")
        assert done.exit_code == 0, done.output
        told, formats = json.loads((tmp_path / "f.json").read_text()), load_mixed(mixed).formats
        assert {layer["tensor"]: layer["format"] for layer in told["layers"]} == formats and told["format"] == "mixed"
        assert told["losses"] == told["beside"][0]["losses"]
        weight = models.open_model(model).weight("blk.1.ffn_up")
        qweight = one.quantize(weight, formats["blk.1.ffn_up"], one.Config(group_size=64))
        assert told["layers"][12]["bits_per_weight"] == qweight.bits_per_weight


def test_plan_takes_it(model, mixed):
    """Each layer costs what it costs in its format."""
    done = run("plan", "bitmod", "--model", model, "--mixed", mixed)
    assert done.exit_code == 0, done.output
    one, shape, wanted = scheme("bitmod"), shape_of(str(model)), 0
    for layer, fmt in load_mixed(mixed).formats.items():
        costs = cost_of(Machine(one, fmt, one.Config(group_size=64)), shape, 1).layers
        wanted += next(cost.cycles for cost in costs if cost.layer.name == layer.split(".")[-1])
    assert f"all blocks: {wanted:,} cycles" in done.stdout and "bitmod mixed 8 x 8 x 4" in done.stdout


def test_simulate_takes_it(mixed):
    request = operands.Request("m.gguf", "blk.0.attn_k.weight", None, None, None, ("rows=2",), False, False)
    taken = operands.of_mixed(scheme("bitmod"), request, mixed)
    assert (taken.fmt, taken.settings) == ("int8", ("group_size=64", "rows=2"))


@pytest.mark.parametrize("command, message", [
    (("evaluate", "rsr", "--weights"), "--mixed is a file of formats of bitmod, not of rsr"),
    (("evaluate", "bitmod", "--format", "int8", "--weights"), "--format must not be given with --mixed"),
    (("simulate", "bitmod", "--weights"), "--tensor must name a layer of --mixed"),
    (("simulate", "bitmod", "--tensor", "output.weight", "--weights"),
     "--mixed has formats of 14 layers, such as 'blk.0.attn_q'"),
    (("plan", "tender", "--model"), "--mixed is a file of formats of bitmod, not of tender"),
])
def test_what_does_not_fit_is_one_line(model, mixed, command, message):
    done = run(*command, model, "--mixed", mixed)
    assert done.exit_code == 2 and message in done.stderr, done.output


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"mixed": 1, "scheme": "bitmod", "formats": {}}',
    '{"mixed": 1, "scheme": "bitmod", "settings": {}, "bits_per_weight": 4, "formats": {"a": 1}}'])
def test_another_file_is_refused(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError, match="is no file of formats as `subbyte mix` writes it"):
        load_mixed(tmp_path / "m.json")
    with pytest.raises(ValueError, match="no such file"):
        load_mixed(tmp_path / "none.json")


def test_formats_must_be_two(model, tmp_path):
    done = run("mix", "bitmod", "--weights", model, "--formats", "int8", "--bits", 4, "-o", tmp_path / "m.json")
    assert done.exit_code == 2 and "--formats must be at least two, not 'int8'" in done.stderr


def test_curves(model, mixed, tmp_path, monkeypatch):
    """Rows of earlier runs stand below, and each kind of format is a line of the plot."""
    text = tmp_path / "t.txt"
    text.write_text("the " * 200)
    wide, plot = tmp_path / "wide.json", tmp_path / "curve.svg"
    options = ("--weights", model, "--tokens", 64, "--text", text)
    done = run("evaluate", "bitmod", *options, "--plot", plot)
    assert done.exit_code == 2 and "--plot needs a perplexity below the vocabulary's" in done.stderr and not plot.exists()
    monkeypatch.setattr(models.Perplexity, "value", property(lambda one: 40 + one.loss))
    assert run("evaluate", "rsr", *options, "--json", wide).exit_code == 0
    done = run("evaluate", "bitmod", *options, "--mixed", mixed, "--beside", wide, "--plot", plot, "--baselines")
    assert done.exit_code == 0, done.output
    rows = [line.split()[0] for line in done.stdout.splitlines()[2:]]
    assert rows[0] == "mixed" and rows[-1] == "ternary-tensor" and plot.read_bytes().startswith(b"<?xml")
    groups = {evaluate._group(row, scheme("bitmod")) for row in (
        {"format": "bitmod-fp4", "activations": "float"}, {"format": "bitmod-fp3", "activations": "float"},
        {"format": "mixed", "activations": "engine"}, {"format": "int4-symmetric-g128", "activations": "float"},
        {"format": "ternary-tensor", "activations": "float", "scheme": "rsr"})}
    points = [{"group": "a", "bits_per_weight": bits, "perplexity": bits * 3, "format": f"x{bits}"} for bits in (4, 3, 5)]
    (axes,) = draw([*points, {**points[0], "group": "b"}], "t").axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[3, 9], [4, 12], [5, 15]], [[4, 12]]]
    assert [label.get_text() for label in axes.texts] == ["x3", "x4", "x5", "x4"]
    assert groups == {"bitmod bitmod-fp", "bitmod mixed engine", "symmetric g128", "rsr ternary-tensor"}
    for file, message in ((tmp_path / "none.json", "no such file"), (mixed, "is no file of figures")):
        done = run("evaluate", "bitmod", *options, "--beside", file)
        assert done.exit_code == 2 and message in done.stderr, done.output
    done = run("evaluate", "bitmod", "--weights", model, "--tokens", 64, "--beside", wide)
    assert done.exit_code == 2 and "must be of 64 tokens of tinyshakespeare.txt, not of 64 of t.txt" in done.stderr
