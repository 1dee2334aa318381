# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What every scheme's descriptor promises of its formats and of layers with rounded activations."""

import numpy as np
import pytest

from subbyte.golden import tender
from subbyte.schemes import engines, scheme

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
