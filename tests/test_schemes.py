# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What every scheme's descriptor promises of its formats and of layers with rounded activations."""

import dataclasses

import numpy as np
import pytest

from subbyte.golden import tender
from subbyte.schemes import engines, scheme
from subbyte.schemes.operands import keep_words

FORMATS = [(name, fmt) for name in engines() for fmt in scheme(name).formats]


def layer(m=300, n=24, k=256, seed=3):
    """Activations with outlier channels, all of one sign in some, and a weight."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (m, k)) * np.exp(rng.normal(0, 1, k)) + np.where(np.arange(k) % 7, 0, 5)
    return x.astype(np.float32), rng.normal(0, 0.02, (n, k)).astype(np.float32)


@pytest.mark.parametrize("name, fmt", FORMATS)
def test_every_format_has_an_engine(name, fmt):
    one, (x, weight) = scheme(name), layer(m=20)
    config = one.config_of(fmt)
    assert one.takes(fmt, config) and one.format_for(fmt, config) == fmt
    qweight = one.quantize(weight, fmt, config)
    dequantized = qweight.dequantize()
    assert dequantized.dtype == np.float32 and dequantized.shape == weight.shape and 1 < qweight.bits_per_weight < 12
    reference = one.product(one.activations(x, config), qweight, config).reference
    emulated = one.emulate(x, weight, dequantized, config, False, one.emulations[0])
    assert emulated.dtype == np.float32
    np.testing.assert_allclose(emulated, reference, rtol=0, atol=1e-5 * np.abs(reference).max())


@pytest.mark.parametrize("fmt", scheme("tender").formats)
@pytest.mark.parametrize("normalised", [False, True])
def test_tender_biases_the_sites_that_the_model_normalises(fmt, normalised):
    one, (x, weight) = scheme("tender"), layer()
    config = one.config_of(fmt)
    qweight = one.quantize(weight, fmt, config)
    for how in one.emulations:
        biased = {"engine": normalised, "exact": normalised, "unbiased": False}.get(how, True)
        operand = tender.decompose(x, config.bits_a, 8, 256, channel_bias=biased)
        by = tender.correction(operand, qweight.dequantize() if how.endswith("exact") else weight)
        exact = tender.reference(operand, qweight, by).reshape(-1, len(weight))[: len(x)]
        emulated = one.emulate(x, weight, qweight.dequantize(), config, normalised, how)
        np.testing.assert_allclose(emulated, exact, rtol=0, atol=1e-5 * np.abs(exact).max(), err_msg=how)


@pytest.mark.parametrize("name", engines())
def test_words_of_a_weight_that_is_kept(name):
    """They are the same, made once, and only of that weight; not as it was for another config."""
    one, rng = scheme(name), np.random.default_rng(0)
    config = one.token_config(one.formats[0])
    weight = rng.standard_normal((2, 20, 64)).astype(np.float32)
    x = one.activations(rng.standard_normal((1, 64)).astype(np.float32), config)
    kept, other = (one.quantize(part, one.formats[0], config) for part in weight)
    wanted = {id(qweight): one.inputs(x, qweight, config) for qweight in (kept, other)}
    keep_words(kept)
    for qweight in (kept, other, kept, other):
        found = one.inputs(x, qweight, config)
        assert found.keys() == wanted[id(qweight)].keys()
        assert all(np.array_equal(found[stream], words) for stream, words in wanted[id(qweight)].items())
    narrow = dataclasses.replace(config, cols=config.cols // 2)
    assert one.inputs(x, kept, narrow)["weights"].shape != one.inputs(x, kept, config)["weights"].shape
