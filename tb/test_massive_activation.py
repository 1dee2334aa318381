# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A real layer with a massive activation, 3010 among values below 8, through every scheme there is: golden and RTL.

blk.11.ffn_down of SmolLM2-135M, its first token; tests/data/README.md has where it is from. A scheme joins by being registered:
formats and operands come from its descriptor, engines from the ``CONFIGS`` of its benches, which are compiled anyway, or if
there are none from the descriptor's corners.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest

from subbyte.schemes import engines, scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.engine_run import rms
from subbyte.tb.engine_bench import Case, EngineBench, first_of_each

TB = Path(__file__).parent
SPIKE = TB.parent / "tests" / "data" / "smollm2_spike.npz"
PLACE = 0, 1229


def configs_of(name):
    """Engines of a scheme, by what they are called."""
    benches = [importlib.import_module(f"subbyte.tb.{path.stem}") for path in sorted(TB.glob(f"test_{name}*.py"))]
    found = [item for bench in benches for item in getattr(bench, "CONFIGS", {}).items()]
    return found or [(f"corner{i}", scheme(name).Config(**corner)) for i, corner in enumerate(scheme(name).corners)]


CONFIGS = {(name, form): config for name in engines() for form, config in configs_of(name)}


def layer(k=None):
    """Weight [32, K] and activations [8, K], K channels around the spike's."""
    with np.load(SPIKE) as arrays:
        weight, x = arrays["weight"].astype(np.float32), arrays["activations"].astype(np.float32)
    channels = slice(max(0, min(PLACE[1] - k // 2, x.shape[1] - k)), None) if k else slice(None)
    return weight[:, channels][:, :k], x[:, channels][:, :k]


def product_of(one, fmt, config, weight, x):
    """As a model's layer behind no norm."""
    qweight = one.quantize(weight, fmt, config)
    operand, terms = one.site(x, weight, qweight.dequantize(), config, False)
    terms, _ = one.derived(operand, qweight, config, **terms)
    return operand, qweight, one.product(operand, qweight, config, **terms)


def test_the_spike():
    weight, x = layer()
    assert np.unravel_index(np.abs(x).argmax(), x.shape) == PLACE and x[PLACE] == 3010 and weight.shape == (32, 1536)
    assert np.sort(np.abs(x), axis=None)[-3] < 13 and np.abs(x[1:]).max() < 8 and np.abs(x[1:, PLACE[1]]).max() < 0.06
    assert PLACE[0] == np.unravel_index(np.abs(layer(90)[1]).argmax(), (8, 90))[0]


@pytest.mark.parametrize("name, fmt", [(name, fmt) for name in engines() for fmt in scheme(name).formats])
def test_arithmetic_of_every_format(name, fmt):
    """Far from the spike what engines add is below what a binary16 result would lose; in its token it stays a percent."""
    one = scheme(name)
    operand, qweight, product = product_of(one, fmt, one.config_of(fmt), *layer())
    norms = np.sqrt(np.square(np.asarray(operand, np.float64)) @ np.square(qweight.dequantize().astype(np.float64)).T)
    shares = np.divide(product.error, norms, out=np.zeros_like(norms), where=norms > 0)
    assert product.y.shape == (8, 32) and np.isfinite(product.y.astype(np.float64)).all() and not product.errors
    assert rms(shares[0]) < 2e-2 and rms(shares[1:]) < 2e-4 and rms(product.error) < 2e-4 * rms(product.reference)


@pytest.mark.parametrize("name, form", list(first_of_each(CONFIGS)))
def test_engines(name, form):
    """Every bit of every format that the engine takes."""
    config = CONFIGS[name, form]
    one, (weight, x) = scheme(name), layer(min(1536, getattr(config, "max_k", config.largest_k)))
    bench, seed = EngineBench(one, config), resolve_seed()
    for fmt in filter(lambda fmt: one.takes(fmt, config), one.formats):
        case = Case(fmt, product_of(one, fmt, config, weight[-2 * config.cols :], x)[2])
        assert bench.problems(case, seed, idle=0.1, backpressure=0.1) == []
