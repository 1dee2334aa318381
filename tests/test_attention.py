# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Attention's own products in the schemes that publish them: of the whole model, and of a head through the RTL."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import cli, models
from subbyte.schemes import scheme
from subbyte.sim.engine_run import EngineModel
from subbyte.tests.small_models import write_gguf
from subbyte.tests.test_models import sentence_piece
from subbyte.weights.smollm2 import ModelUnavailable, fetch_model

ENGINES = [("bitmod", {}), ("bitmod", {"form": "dense"}), ("tender", {"bits_w": 8, "bits_a": 8})]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of Llama 2's shape."""
    return write_gguf(tmp_path_factory.mktemp("model") / "m.gguf", "llama2", sentence_piece)


def heads_of(path, blocks, tokens):
    """Operands of attention's products in these blocks' heads, as they come: (kind, x, other)."""
    seen = []

    def attend(kind, x, other):
        seen.append((kind, x.copy(), other.copy()))
        return x @ other.T

    read = models.read_tokens(path, models.TEXT)[:tokens]
    models.hidden(models.open_model(path), read[None], blocks=blocks, attend=attend)
    return seen


def test_products_are_asked_for_as_attention_has_them(model):
    """Given back in float32, they change the states by roundings alone; a softmax is from 0 to 1, and sees nothing later."""
    opened, read = models.open_model(model), models.read_tokens(model, models.TEXT)[None, :60]
    plain = models.hidden(opened, read)
    assert np.abs(plain - models.hidden(opened, read, attend=lambda kind, x, other: x @ other.T)).max() < 1e-5
    assert np.abs(plain - models.hidden(opened, read, attend=lambda kind, x, other: 2 * (x @ other.T))).max() > 0.01
    seen = heads_of(model, 1, 60)
    heads, width = opened.config.heads, opened.config.head_width
    assert [kind for kind, _, _ in seen] == ["scores", "mixed"] * heads
    for kind, x, other in seen:
        assert (x.shape, other.shape) == (((60, width), (60, width)) if kind == "scores" else ((60, 60), (width, 60)))
        if kind == "mixed":
            assert np.allclose(x.sum(axis=1), 1, atol=1e-5) and x.min() == 0 and not np.triu(x, 1).any()


@pytest.mark.parametrize("name, settings", ENGINES)
def test_bits_of_a_head(model, name, settings):
    """The answer for whole texts is golden's; its error is that of eight bits; Tender's softmax is unsigned."""
    one = scheme(name)
    config = one.Config(**settings)
    for kind, x, other in heads_of(model, 1, 60)[:2]:
        operand, quantized = one.attention(kind, x, other, config)
        product = one.product(operand, quantized, config)
        assert np.array_equal(one.answer(operand, quantized, config), product.y)
        exact = x.astype(np.float64) @ other.T.astype(np.float64)
        assert 1e-6 < np.abs(product.y - exact).max() < 0.03 * np.abs(exact).max()
        if name == "tender":
            assert operand.unsigned == (kind == "mixed") and not operand.bias.any()


@pytest.mark.parametrize("name, fmt", [("bitmod", "bitmod-fp4"), ("tender", "int8"), ("tender", "int4")])
def test_accuracy_of_the_whole_model(model, name, fmt, tmp_path):
    losses = {}
    for options in ((), ("--attention",), ("--attention", "--path", "exact")):
        done = CliRunner().invoke(cli.main, [
            "evaluate", name, "--weights", str(model), "--format", fmt, "--activations", "engine", "--tokens", "64", *options,
            "--json", str(tmp_path / "f.json")], prog_name="subbyte")
        assert done.exit_code == 0, done.output
        told = json.loads((tmp_path / "f.json").read_text())
        losses[options], attended = told["loss"], "engine+attention" in done.stdout
        assert told["attention"] is attended is bool(options)
    alone, both, exact = losses.values()
    assert both != alone and both == pytest.approx(alone, rel=0.02) and exact == pytest.approx(both, rel=2e-3)


def test_other_schemes_refuse(model):
    done = CliRunner().invoke(cli.main, ["evaluate", "rsr", "--weights", str(model), "--attention"], prog_name="subbyte")
    assert done.exit_code == 2 and "--attention is for schemes that publish it" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("name, settings", [
    ("bitmod", {"rows": 2, "cols": 2, "lanes": 4, "formats": ("INT8",)}),
    ("bitmod", {"rows": 2, "cols": 2, "lanes": 4, "formats": ("INT8",), "form": "dense"}),
    ("tender", {"rows": 2, "cols": 2, "lanes": 4, "drain": 2, "bits_w": 8, "bits_a": 8}),
    ("tender", {"rows": 2, "cols": 2, "lanes": 4, "drain": 2}),
])
def test_a_head_through_the_engine(model, name, settings):
    """Of SmolLM2 if it is at hand, in a block with a massive activation before it; else of the small model."""
    try:
        path, block = fetch_model("build/model"), 12
    except ModelUnavailable:
        path, block = model, 1
    one = scheme(name)
    config = one.Config(**settings)
    engine = EngineModel(one, config)
    for kind, x, other in heads_of(path, block, 40)[-2:]:
        operand, quantized = one.attention(kind, x, other, config)
        result = engine.run(one.product(operand, quantized, config))
        assert result.problems == [] and result.y.shape == (40, len(other)), kind
