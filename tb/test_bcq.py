# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bcq engine, bit for bit against golden, under Verilator."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from subbyte import weights
from subbyte.golden import bcq
from subbyte.golden.bcq import BcqConfig, QuantizedWeight
from subbyte.golden.bcq.quantizer import round_scales
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.tb.bcq_tops import BcqFault, FaultyEngine
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors, spoil
from subbyte.tb.faults import check_faults
from subbyte.tools.toolchain import build_root
from subbyte.weights.smollm2 import FILE_NAME

BCQ = scheme("bcq")
CONFIGS = {
    "small": BcqConfig(rows=2, cols=4, lanes=8, group_size=32, drain=2, max_k=160),
    "threes": BcqConfig(rows=9, cols=2, lanes=16, mu=3, group_size=64, drain=1, planes=3, scale_digits=24, guard_bits=2,
                        output="float16", dequantizers=2, max_k=400),
    "uniform": BcqConfig(rows=3, cols=4, lanes=8, group_size=32, drain=2, planes=4, form="uniform", dequantizers=2,
                         readers=3, max_k=160),
    "uniform_threes": BcqConfig(rows=2, cols=1, lanes=8, mu=3, group_size=64, drain=1, planes=8, scale_digits=20, guard_bits=0,
                                form="uniform", output="float16", max_k=400),
    "starved": BcqConfig(rows=7, cols=1, lanes=32, group_size=32, drain=1, planes=2, form="uniform", max_k=96),
    "one_by_one": BcqConfig(rows=1, cols=1, lanes=1, mu=2, group_size=32, drain=1, planes=2, guard_bits=0, max_k=96),
}


def random_activations(rng, m, k):
    """Numbers of all sizes, subnormal and the largest ones among them."""
    x = (rng.normal(size=(m, k)) * np.exp(2 * rng.normal(size=(m, k)))).astype(np.float16)
    spots = rng.random((m, k)) < 0.1
    return np.where(spots, rng.choice(np.array([0, 6e-8, -6e-5, 65504, -65504], np.float16), (m, k)), x)


def random_weight(rng, n, k, bits, config, offset):
    """Random planes; alphas of all sizes that an engine holds, zeros among them; offsets of both signs."""
    if config.merges:
        return bcq.quantize(rng.normal(size=(n, k)) * np.exp(3 * rng.normal(size=(n, 1))) + offset, bits, config.group_size,
                            "uniform")
    groups = -(-k // config.group_size)
    alpha = np.exp2(rng.uniform(-18, 2, (n, groups, bits)))
    alpha[rng.random(alpha.shape) < 0.1] = 0
    alpha, offsets = round_scales(alpha, rng.normal(size=(n, groups)) if offset else None, config.scale_digits)
    return QuantizedWeight(rng.choice(np.array([-1, 1], np.int8), (n, k, bits)), alpha, offsets, config.group_size)


def engine_cases(config, rng):
    """Ragged and whole shapes, all numbers of planes, with and without offsets; an infinity."""
    rows, cols, lanes, group = config.rows, config.cols, config.lanes, config.group_size
    shapes = ((rows, cols, group), (1, 1, 1), (2 * rows, cols, 2 * group + lanes),
              (rows + 1, cols + 1, min(3 * group, config.max_k)), (rows, 2 * cols, group // 2 + 1), (rows, 3 * cols, lanes))
    for number, (m, n, k) in enumerate(shapes):
        passes = 1 + (number + 1) % config.planes
        offset = passes > 1 and number % 2 == 0
        x = random_activations(rng, m, k)
        if number == 2:
            x[0, k // 2] = np.inf
        qweight = random_weight(rng, n, k, passes - (offset and not config.merges), config, offset)
        yield Case(f"{m}x{n}x{k} {qweight.bits} bits, offset {offset}", BCQ.product(x, qweight, config))


@pytest.mark.parametrize("name, target", [
    *(pytest.param(name, "asic", marks=[pytest.mark.long] * ("threes" in name)) for name in CONFIGS), ("small", "fpga")])
def test_engine(name, target):
    """Every course of the compiled bench, predicted cycles included."""
    config, seed = CONFIGS[name], resolve_seed()
    EngineBench(BCQ, config, target=target).check(engine_cases(config, np.random.default_rng(seed)), seed)


def test_engine_under_cocotb():
    """The same in cocotb; each error of the shell and of the core is raised by its cause and by nothing else."""
    config, seed = CONFIGS["small"], resolve_seed()
    bench, rng = EngineBench(BCQ, config), np.random.default_rng(seed)
    bench.check_cocotb(engine_cases(config, rng), seed)
    good = BCQ.product(np.ones((2, 96), np.float16), random_weight(rng, 4, 96, 1, config, False), config)
    cases = shell_errors(good, config)
    cases += [Case(f"{value} in lane {lane}", spoil(good, config, "activations", "data", (5, 1, lane), value, [error]), True)
              for lane in range(config.lanes) for value, error in ((np.nan, "nonfinite"), (2.0, "exponent"))]
    cases += [Case("exponent", spoil(good, config, "activations", "exponents", (8, 1), 14, ["exponent"]), True)]
    bench.check_cocotb(cases, seed, "engine_errors")


@pytest.mark.parametrize("mu", [pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long), 4])
def test_every_key(mu):
    """Each key of a table meets activations of which each has a place of its own in the sum."""
    config, seed = replace(CONFIGS["small"], mu=mu, lanes=2 if mu == 2 else 4, rows=1), resolve_seed()  # 3: and a table of one
    keys = np.array(list(product((-1, 1), repeat=config.lanes)), np.int8)
    x = np.resize(np.float16(3.0 ** np.arange(config.lanes)), (1, keys.size))
    qweight = QuantizedWeight(np.stack([keys.reshape(1, -1, 1)[0], -keys.reshape(1, -1, 1)[0]]), *_ones(2, keys.size, config))
    case = Case(f"mu {mu}", BCQ.product(x, qweight, config))
    assert EngineBench(BCQ, config).problems(case, seed) == []


def _ones(n, k, config):
    return np.ones((n, -(-k // config.group_size), 1), np.float32), None, config.group_size


def test_extremes():
    """Full groups of the largest numbers of one sign, beside small groups; the largest significands of either sign; payloads
    of NaN beside the smallest numbers."""
    config, seed = CONFIGS["small"], resolve_seed()
    bench, x = EngineBench(BCQ, config), np.full((2, 160), 65504, np.float16)
    x[:, 32:64], x[1] = 6e-8, -x[1]
    planes = np.repeat(np.int8([1, -1, 1, -1]), 160).reshape(4, 160, 1)
    alpha = np.full((4, 5, 1), 2047, np.float32)
    for offset in (None, np.full((4, 5), -2047, np.float32)):
        case = Case(f"offset {offset is not None}", BCQ.product(x, QuantizedWeight(planes, alpha, offset, 32), config))
        assert bench.problems(case, seed) == []
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 0x800, x.shape) | np.where(rng.random(x.shape) < 0.4, 0x7C00, 0) | rng.integers(0, 2, x.shape) << 15
    product_ = BCQ.product(bits.astype(np.uint16).view(np.float16), QuantizedWeight(planes, alpha, None, 32), config)
    assert product_.errors and bench.problems(Case("NaN", product_), seed) == []


def test_constants_of_any_significand(monkeypatch):
    """Those that ``pack`` sends are powers of two; the engine multiplies by any."""
    config, seed = CONFIGS["small"], resolve_seed()
    factors, given = np.random.default_rng(seed).uniform(0.5, 2, 64).astype(np.float32), bcq.scale_fields

    def any_significand(qweight, config):
        found = given(qweight, config)
        return found._replace(column=found.column * factors[: len(found.column)])

    for module in (bcq.model, bcq.streams):
        monkeypatch.setattr(module, "scale_fields", any_significand)
    for case in engine_cases(config, np.random.default_rng(seed)):
        assert EngineBench(BCQ, config).problems(case, seed) == []


@pytest.mark.parametrize("form", ["planes", "uniform"])
def test_engine_faults(form):
    """Each kept fault turns a run red."""
    config, seed = replace(CONFIGS["small"], cols=2, form=form), resolve_seed()
    bench, rng = EngineBench(BCQ, config, FaultyEngine), np.random.default_rng(seed)
    cases = []
    for bits in (2, 3):
        x = (rng.normal(size=(2, 80)) * np.exp(rng.normal(size=(2, 80)))).astype(np.float16)
        qweight = bcq.from_uniform(rng.integers(0, 2**bits, (4, 80)), rng.integers(1, 9, (4, 3)), group_size=32)
        cases.append(Case(f"{bits} bits", BCQ.product(x, qweight, config)))

    def problems(fault):
        for case in cases:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, idle=0.2, backpressure=0.3, timeout_cycles=1000)

    check_faults(problems, BcqFault)


@pytest.mark.long
def test_real_layers():
    """A slice of SmolLM2 in binary codes of 2 to 4 bits; the file's own Q4_1 blocks, as they are."""
    config, seed = BcqConfig(rows=2, cols=4, lanes=32, drain=2, group_size=32, scale_digits=24, max_k=1536), resolve_seed()
    bench = EngineBench(BCQ, config)
    with np.load("tests/data/smollm2_slice.npz") as layer:
        x, weight = layer["activations"][:3], layer["weight"][:8]
    for bits in (2, 3, 4):
        case = Case(f"{bits} bits", BCQ.product(BCQ.activations(x, config), bcq.quantize(weight, bits, 32), config))
        assert bench.problems(case, seed) == []
    path = build_root() / "model" / FILE_NAME
    if path.is_file():
        tensor = weights.load_quantized(path, "blk.0.attn_q.weight", slice(0, 16))
        qweight, fmt = BCQ.take(tensor, None, config)
        assert fmt == "bcq4" and np.allclose(qweight.dequantize(), tensor.dequantize(), rtol=0, atol=1e-7)
        activations = weights.activations(path, None, 2, "blk.0.attn_norm.weight")
        merged = replace(config, form="uniform", planes=4, scale_digits=11)
        of_file, fmt = BCQ.take(tensor, None, merged)
        off = np.abs(bcq.matmul(activations, of_file, merged) - bcq.reference(activations, qweight))
        assert fmt == "bcq4-uniform" and np.all(off <= bcq.error_bound(activations, of_file, merged))
        assert bench.problems(Case("Q4_1", BCQ.product(activations, qweight, config)), seed) == []
