# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte evaluate` on small models: every format of every scheme, beside plain types; figures that agree with each other."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import cli, models
from subbyte.cli import perplexities, quantizers, widths
from subbyte.golden import rsr, tender
from subbyte.schemes import engines, scheme
from subbyte.tests.small_models import write_gguf
from subbyte.tests.test_models import sentence_piece


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of Llama 2's shape."""
    return write_gguf(tmp_path_factory.mktemp("model") / "m.gguf", "llama2", sentence_piece)


def evaluate(*arguments):
    return CliRunner().invoke(cli.main, ["evaluate", *map(str, arguments)], prog_name="subbyte")


@pytest.mark.parametrize("name", engines())
def test_all_formats_beside_plain_types(model, name, tmp_path):
    done = evaluate(name, "--weights", model, "--format", "all", "--tokens", 150, "--baselines", "--json", tmp_path / "f.json")
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "f.json").read_text())
    assert {key: figures[key] for key in ("scheme", "text", "window", "stride", "windows", "tokens", "seed", "predicted")} == {
        "scheme": name, "text": "tinyshakespeare.txt", "window": 64, "stride": 64, "windows": 2, "tokens": 128, "seed": None,
        "predicted": 126}
    rows = [figures, *figures["beside"]]
    formats = scheme(name).formats
    assert [row["format"] for row in rows[: len(formats)]] == list(formats)
    plain = {row["format"]: row for row in rows[len(formats) :]}
    widths = {max(2, int(row["bits_per_weight"])) for row in rows[: len(formats)]}
    assert set(plain) == {"as in the file"} | {f"int{bits}-{kind}-{shared}" for bits in widths for kind in
                                               ("symmetric", "asymmetric") for shared in ("channel", "g128")}
    tokens = models.windows(models.read_tokens(model, models.TEXT), 150, 64)
    assert plain["as in the file"]["perplexity"] == models.perplexity(models.open_model(model), tokens).value
    for row in rows:
        assert row["perplexity"] == pytest.approx(np.exp(np.mean(row["losses"]))) and len(row["losses"]) == 2
        assert [layer["tensor"] for layer in row["layers"]] == [
            f"blk.{block}.{layer}" for block in range(2) for layer in models.LINEARS]
        assert all(layer["format"] == row["format"] for layer in row["layers"])
        assert min(layer["error"] for layer in row["layers"]) <= row["error"] <= max(layer["error"] for layer in row["layers"])
        assert f"{row['format']} ..." in done.stderr and row["format"] in done.stdout
    assert plain["as in the file"]["error"] == 0


@pytest.mark.parametrize("name", engines())
def test_activations_as_the_engine_takes_them(model, name, tmp_path):
    """Another result than by weights alone, and near it where operands have eight bits."""
    losses = {}
    for how in ("float", *scheme(name).emulations):
        done = evaluate(name, "--weights", model, "--format", scheme(name).formats[-1], "--activations", how, "--tokens", 64,
                        "--json", tmp_path / "f.json")
        assert done.exit_code == 0, done.output
        losses[how] = json.loads((tmp_path / "f.json").read_text())["loss"]
    assert len(set(losses.values())) == len(losses) and np.ptp(list(losses.values())) < 0.2


@pytest.mark.parametrize("name, settings", [*((name, ()) for name in engines()), ("bitmod", ("form=dense",))])
def test_products_to_the_bit(model, name, settings, tmp_path, monkeypatch):
    """The exact path computes golden's bits in all layers; its errors are the engine's."""
    one = scheme(name)
    options = [word for setting in settings for word in ("--set", setting)]
    done = evaluate(name, "--weights", model, *options, "--tokens", 64, "--path", "both", "--json", tmp_path / "f.json")
    assert done.exit_code == 0, done.output
    exact = json.loads((tmp_path / "f.json").read_text())
    (beside,) = exact["beside"]
    assert (exact["path"], beside["path"], exact["activations"]) == ("exact", "dequantized", one.emulations[0])
    assert exact["loss"] == pytest.approx(beside["loss"], rel=1e-3) and "arithmetic" not in beside["layers"][0]
    windows = models.windows(models.read_tokens(model, models.TEXT), 64, 64)
    config, found = one.config_of(exact["format"], **dict(setting.split("=") for setting in settings)), {}

    def layer(site, weight):
        qweight = one.quantize(weight, exact["format"], config)

        def product(x):
            operand, terms = one.site(x, weight, qweight.dequantize(), config, site.normalised)
            golden = one.product(operand, qweight, config, **terms)
            found[site.tensor] = golden
            return (golden.y * golden.unit).astype(np.float32)

        return product

    assert models.perplexity(models.open_model(model), windows, layer).losses.tolist() == exact["losses"]
    for row in exact["layers"]:
        golden, told = found[row["tensor"]], row["arithmetic"]
        rms = np.sqrt(np.square(golden.reference).mean())
        assert told["error"] == pytest.approx(np.sqrt(np.square(golden.error).mean()) / rms, rel=1e-2, abs=3e-7)
        assert told["largest"] == pytest.approx(abs(golden.error[told["token"], told["output"]]) / rms, rel=1e-2, abs=1e-6)
    assert "rms of a layer over its product's rms" in done.stdout and "in float32 on the same operands" in done.stdout
    monkeypatch.setattr(type(one), "answer", lambda self, x, q, config, **terms: np.zeros((64, q.shape[0]), "f4"))
    done = evaluate(name, "--weights", model, *options, "--tokens", 64, "--path", "exact", "--json", tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text())["layers"][0]["arithmetic"]["error"] == 1


@pytest.mark.parametrize("rounding", ["up", "down"])
def test_static_calibration(model, rounding, tmp_path):
    """Bias, maxima and groups come from the text's last windows, the same for every window that judges, to the bit."""
    one, how = scheme("tender"), "engine"
    done = evaluate("tender", "--weights", model, "--format", "int8", "--tokens", 128, "--calibration",
                    f",tokens=150,rounding={rounding}", "--path", "both", "--json", tmp_path / "f.json")
    assert done.exit_code == 0, done.output
    exact = json.loads((tmp_path / "f.json").read_text())
    told = {"text": "tinyshakespeare.txt", "tokens": 150, "rounding": rounding}
    assert [row["calibration"] for row in (exact, *exact["beside"])] == [told, told]
    assert "engine, static, exact" in done.stdout and "int8, calibrating ..." in done.stderr
    opened, read, config = models.open_model(model), models.read_tokens(model, models.TEXT), one.config_of("int8")
    seen = [models.inputs_of(opened, window, [models.Site(block, name) for block in range(2) for name in models.LINEARS])
            for window in read[-128:].reshape(2, 64)]

    def layer(site, weight):
        qweight = one.quantize(weight, "int8", config)
        calibration = tender.calibrate([sample[site] for sample in seen], 8, 8, 256, channel_bias=site.normalised,
                                       rounding=rounding)

        def product(x):
            operand = tender.decompose(x, 8, 8, 256, channel_bias=site.normalised, calibration=calibration)
            terms = {"correction": tender.correction(operand, weight)} if site.normalised else {}
            return tender.matmul(operand, qweight, config, **terms)

        return product

    windows = models.windows(read, 128, 64)
    assert models.perplexity(opened, windows, layer).losses.tolist() == exact["losses"]
    assert exact["loss"] == pytest.approx(exact["beside"][0]["loss"], rel=1e-3)
    dynamic = evaluate("tender", "--weights", model, "--format", "int8", "--tokens", 128, "--activations", how, "--json",
                       tmp_path / "f.json")
    assert dynamic.exit_code == 0 and json.loads((tmp_path / "f.json").read_text())["loss"] != exact["beside"][0]["loss"]


@pytest.mark.parametrize("name, options, message", [
    ("bitmod", (), "--calibration is for schemes with static metadata of activations (tender), not bitmod"),
    ("tender", ("--activations", "float"), "--activations must not be float"),
    ("tender", ("--calibration", ",token=4"), "--calibration must be a text file, and behind it"),
    ("tender", ("--calibration", ",tokens=1"), "--calibration must be a text file, and behind it"),
    ("tender", ("--calibration", ",rounding=off"), "--calibration must be a text file, and behind it"),
    ("tender", ("--calibration", ",tokens=9999999"), "beside the 64 that judge, not on 9999999"),
    ("tender", ("--calibration", "none.txt"), "none.txt: no such text file"),
])
def test_what_cannot_be_calibrated_is_one_line(model, name, options, message):
    done = evaluate(name, "--weights", model, "--tokens", 64, "--calibration", ",tokens=64", *options)
    assert done.exit_code == 2 and message in done.stderr, done.output


def test_a_models_own_ternary_weights(tmp_path):
    """A file's integers and scales are taken as they are, by whichever scheme holds them; what does not is refused."""
    model = "examples/shakespeare_ternary.npz"
    done = evaluate("rsr", "--weights", model, "--tokens", 64, "--path", "both", "--json", tmp_path / "f.json")
    assert done.exit_code == 0, done.output
    exact = json.loads((tmp_path / "f.json").read_text())
    assert exact["error"] == 0 and exact["bits_per_weight"] == pytest.approx(1.6, rel=1e-3) and exact["window"] == 64
    opened, losses = models.open_model(model), {}
    windows = models.windows(models.read_tokens(model, models.TEXT), 64)
    for name, how in (("plain", lambda x: x), ("rounded", lambda x: np.asarray(rsr.quantize_activations(x), np.float32))):
        losses[name] = models.perplexity(opened, windows, lambda site, weight, how=how: lambda x: how(x) @ weight.T).loss
    assert exact["beside"][0]["loss"] == pytest.approx(losses["rounded"], abs=1e-6)
    assert 0.5 < losses["plain"] < 1.5 and exact["loss"] == pytest.approx(losses["plain"], rel=0.05)
    done = evaluate("bipolar", "--weights", model, "--tokens", 64, "--format", "bipolar1")
    assert done.exit_code == 2 and done.stderr.count("\n") == 2 and "error: " in done.stderr, done.output
    np.savez(tmp_path / "m.npz", a=np.zeros(3))
    for path, message in ((tmp_path / "m.npz", "not npz without arrays dims and vocab"), (tmp_path / "n.npz", "no such file")):
        done = evaluate("rsr", "--weights", path)
        assert done.exit_code == 2 and message in done.stderr, done.output


@pytest.mark.parametrize("options, message", [
    (("--format", "int4"), "--format must be one that the engine takes (ternary-tensor), not 'int4'"),
    (("--activations", "engin"), "--activations must be one of float, engine, not 'engin' (did you mean engine?)"),
    (("--activations", "float", "--path", "exact"), "--activations must be one of engine on the exact path, not 'float'"),
    (("--tokens", "100000000"), "--tokens must be 2 to "),
    (("--text", "none.txt"), "none.txt: no such text file"),
    (("--set", "rowz=3"), "RsrConfig has no such parameter"),
])
def test_what_cannot_be_is_one_line(model, options, message):
    done = evaluate("rsr", "--weights", model, *options)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and message in done.stderr, done.stderr


def test_recorded_rows_can_be_measured():
    """Every row beside that of an independent implementation names something that there is."""
    for name in perplexities.INDEPENDENT:
        run = perplexities.run_of(name)
        assert run.name in name.split() or name == "file"


def test_rows_beside_recorded_ones(model, tmp_path, monkeypatch):
    """What is near enough passes, what is not is named; what was measured is not measured again."""
    monkeypatch.setattr(perplexities, "fetch_model", lambda folder: model)
    monkeypatch.setattr(perplexities, "build_root", lambda: tmp_path)
    monkeypatch.setattr(perplexities, "WINDOWS", 1)
    monkeypatch.setattr(models, "WINDOW", 64)

    def compare(*names):
        options = [option for name in names for option in ("--row", name)]
        return CliRunner().invoke(perplexities.main, [str(models.TEXT), *options])

    done = compare("file", "rsr ternary-tensor")
    assert done.exit_code == 1 and "error: too far away: file" in done.output and "rsr ternary-tensor" in done.output
    figures = json.loads((tmp_path / "perplexity" / "file.json").read_text())
    monkeypatch.setitem(perplexities.INDEPENDENT, "file", figures["perplexity"] * 1.002)
    monkeypatch.delattr(models, "perplexity")
    done = compare("file")
    assert done.exit_code == 0 and f"| {figures['perplexity'] * 1.002:,.2f} | -0.20% |" in done.output
    done = CliRunner().invoke(perplexities.main, ["none.txt"])
    assert done.exit_code == 1 and "none.txt: no such text file" in done.output


def test_quantizers_beside_uniform_weights(model, tmp_path, monkeypatch):
    """A row each; uniform weights are 1 of themselves; nothing is measured twice; what calibrates is not measured."""
    monkeypatch.setattr(quantizers, "fetch_model", lambda folder: model)
    monkeypatch.setattr(quantizers, "build_root", lambda: tmp_path)
    monkeypatch.setattr(models, "WINDOW", 64)
    monkeypatch.setattr(quantizers, "CALIBRATED", 1)
    monkeypatch.setattr(quantizers, "TRIED", 1)
    text = tmp_path / "t.txt"
    text.write_text(models.TEXT.read_text()[5000:6400])
    done = CliRunner().invoke(quantizers.main, [str(text), "--bits", "3", "--windows", "1"])
    assert done.exit_code == 0, done.output
    assert not list((tmp_path / "quantizers").glob("*-by-*"))
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == [f"bcq3 {method}" for method in quantizers.METHODS] and rows[0][3:6] == ["1.000"] * 3
    assert all(float(row[7].replace(",", "")) > 1 for row in rows)
    kept = tmp_path / "quantizers" / "bcq3-calibrated-off-the-grid.json"
    options = [str(text), "--bits", "3", "--method", "calibrated", "--control"]
    assert CliRunner().invoke(quantizers.main, options).exit_code == 0
    figures = json.loads(kept.read_text())
    assert figures["layers"] != json.loads((kept.parent / "bcq3-calibrated.json").read_text())["layers"]
    assert CliRunner().invoke(quantizers.main, [*options[:-1], "--calibration", str(models.TEXT)]).exit_code == 0
    other = json.loads((kept.parent / "bcq3-calibrated-by-tinyshakespeare.json").read_text())
    assert other["layers"] != json.loads((kept.parent / "bcq3-calibrated.json").read_text())["layers"]
    monkeypatch.delattr(models, "mean_products")
    assert CliRunner().invoke(quantizers.main, options).exit_code == 0
    for options, message in ((["--calibration", str(text)], "must not be the text that calibrates"),
                             (["--windows", "1000"], "which the text has before those that calibrate, not 1000")):
        done = CliRunner().invoke(quantizers.main, [str(text), *options])
        assert done.exit_code == 1 and message in done.output


def test_errors_by_width(model, monkeypatch):
    """A bit more, half the error; wider ones are tried until a layer is below the limit."""
    monkeypatch.setattr(widths, "fetch_model", lambda folder: model)
    monkeypatch.setattr(widths, "LIMIT", 3e-5)
    done = CliRunner().invoke(widths.main, ["--tokens", "16"])
    assert done.exit_code == 0, done.output
    of_all, of_layers = (part.splitlines()[2:] for part in done.stdout.split("\n\n")[1:])
    rows = [row.strip("| ").split(" | ") for row in of_all]
    assert [row[0] for row in rows] == ["15", "16", "17"]
    medians = [float(row[1]) for row in rows]
    assert medians[0] > 1.5 * medians[1] > 2.2 * medians[2] and medians[2] < float(rows[2][2]) < 1e-3
    assert len(of_layers) == int(rows[2][4]) > 0
    for row in of_layers:
        _, error, width, found = row.strip("| ").split(" | ")
        assert int(width) > 17 and float(found) < 3e-5 <= float(error)
