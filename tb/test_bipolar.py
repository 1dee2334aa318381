# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bipolar engine, bit for bit against golden, under Verilator."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from subbyte import weights
from subbyte.golden import bipolar, tender
from subbyte.golden.bipolar import BipolarConfig, QuantizedActivations, QuantizedWeight
from subbyte.golden.streams import pack_beats, unpack_beats
from subbyte.golden.tender import TenderConfig
from subbyte.hdl.chunk_accumulator import ChunkAccumulator, resolved
from subbyte.hdl.target import TARGETS
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.engine_run import EngineModel
from subbyte.tb.bipolar_tops import BipolarFault, FaultyEngine, FaultyGroups, GroupFault
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors
from subbyte.tb.faults import check_faults
from subbyte.tools.toolchain import build_root
from subbyte.weights.smollm2 import FILE_NAME

BIPOLAR = scheme("bipolar")
SLICE = Path(__file__).parents[1] / "tests" / "data" / "smollm2_slice.npz"

CONFIGS = {
    "integers": BipolarConfig(rows=2, cols=4, lanes=15, drain=2, max_k=90),
    "narrow": BipolarConfig(rows=3, cols=2, lanes=5, drain=1, bits_w=3, bits_a=2, dot_stages=1, accumulator_chunk=None,
                            max_k=60),
    "binary32": BipolarConfig(rows=1, cols=4, lanes=11, drain=1, output="float32", dot_stages=3, accumulator_chunk=3, max_k=90),
    "groups": BipolarConfig(rows=3, cols=4, lanes=11, drain=2, output="float32", max_k=90, scale_bits=5),
}
REAL = BipolarConfig(rows=2, cols=4, lanes=64, drain=4)
"""For SmolLM2's layers."""


def operands(rng, m, n, k, bits_a, bits_w, signed=(False, False)):
    """Random codes, a row of the largest and one of the smallest of each; scales of all sizes."""
    a, w = rng.integers(0, 2**bits_a, (m, k)), rng.integers(0, 2**bits_w, (n, k))
    a[0], w[0], w[-1] = 2**bits_a - 1, 2**bits_w - 1, 0
    x = QuantizedActivations(a.astype(np.uint8), bits_a, np.exp2(rng.uniform(-12, 4, m)).astype(np.float32), signed[0])
    return x, QuantizedWeight(w.astype(np.uint8), bits_w, np.exp2(rng.uniform(-4, 4, n)).astype(np.float32), signed=signed[1])


def with_groups(rng, qweight, config):
    """A weight as an engine with groups takes it: scale codes of all sizes, the largest and zeros among them."""
    n, k = qweight.shape
    scale_codes = rng.integers(0, config.largest_scale_code + 1, (n, -(-k // config.lanes))).astype(np.uint8)
    scale_codes[0], scale_codes[-1, ::2] = config.largest_scale_code, 0
    return replace(qweight, signed=False, group_size=config.lanes, scale_codes=scale_codes)


def engine_cases(config, rng):
    """Ragged shapes of all kinds, each of another precision; two's complement on no side, one, both."""
    rows, cols, lanes = config.rows, config.cols, config.lanes
    shapes = ((1, 1, 1), (2 * rows + 1, 2 * cols + 1, 3 * lanes - 1), (rows, 3 * cols, lanes), (4, 4 * cols, 7),
              (rows + 1, cols, 2 * lanes))
    signs = ((True, True), (False, False), (True, False), (False, True), (True, True))
    for number, ((m, n, k), signed) in enumerate(zip(shapes, signs, strict=True)):
        bits_a, bits_w = (config.bits_a, config.bits_w) if number == 1 else (
            int(rng.integers(1, config.bits_a + 1)), int(rng.integers(1, config.bits_w + 1)))
        x, qweight = operands(rng, m, n, k, bits_a, bits_w, signed)
        if number == 1 and config.has_scales:
            x.scales[0] = 3e38
        if config.has_groups:
            qweight = with_groups(rng, qweight, config)
        yield Case(f"{m}x{n}x{k} W{bits_w}A{bits_a} {signed}", BIPOLAR.product(x, qweight, config))


@pytest.mark.parametrize("name", CONFIGS)
def test_engine(name):
    """Every course of the compiled bench; all precisions back to back."""
    config, seed = CONFIGS[name], resolve_seed()
    cases = list(engine_cases(config, np.random.default_rng(seed)))
    assert config.has_scales == any(case.product.flags["overflow"].any() for case in cases)
    EngineBench(BIPOLAR, config).check(cases, seed)


@pytest.mark.long
def test_binary16():
    """The same to the other format, an overflow among the results."""
    config, seed = BipolarConfig(rows=1, cols=1, lanes=4, drain=1, bits_a=4, output="float16", max_k=600), resolve_seed()
    bench, rng = EngineBench(BIPOLAR, config), np.random.default_rng(seed)
    cases = list(engine_cases(config, rng))
    assert any(case.product.flags["overflow"].any() for case in cases)
    assert [problem for case in cases for problem in bench.problems(case, seed, idle=0.2, backpressure=0.3)] == []


def test_engine_under_cocotb():
    seed = resolve_seed()
    bench = EngineBench(BIPOLAR, CONFIGS["integers"])
    bench.check_cocotb(engine_cases(bench.config, np.random.default_rng(seed)), seed)


@pytest.mark.parametrize("target", TARGETS)
def test_every_precision(target):
    """All 64, K not a multiple of the lanes."""
    config, seed = CONFIGS["integers"], resolve_seed()
    bench, rng = EngineBench(BIPOLAR, config, target=target), np.random.default_rng(seed)
    for bits_a, bits_w in product(range(1, 9), repeat=2):
        x, qweight = operands(rng, 3, 5, 2 * config.lanes + 3, bits_a, bits_w, rng.integers(0, 2, 2).astype(bool).tolist())
        case = Case(f"W{bits_w}A{bits_a}", BIPOLAR.product(x, qweight, config))
        assert bench.problems(case, seed) == []


def test_every_operand():
    """Up to 4 x 4 bits, every pair of codes; up to 2 x 2, every pair of pairs."""
    bench, seed = EngineBench(BIPOLAR, CONFIGS["integers"]), resolve_seed()
    single = [(*bits, 1) for bits in product(range(1, 5), repeat=2)]
    for bits_a, bits_w, k in (*single, (1, 1, 3), (1, 2, 2), (2, 1, 2), (2, 2, 2)):
        a, w = (np.array(list(product(range(2**bits), repeat=k)), np.uint8) for bits in (bits_a, bits_w))
        x = QuantizedActivations(a, bits_a, np.ones(len(a), np.float32))
        qweight = QuantizedWeight(w, bits_w, np.ones(len(w), np.float32))
        case = Case(f"W{bits_w}A{bits_a}", BIPOLAR.product(x, qweight, bench.config))
        assert bench.problems(case, seed) == []


def test_sums_of_the_longest_tile():
    """The largest sums of both signs, of as many beats as a tile may have, corrections included, come out whole."""
    config, seed = REAL, resolve_seed()
    k = config.largest_k
    x = QuantizedActivations(np.zeros((1, k), np.uint8), 8, np.ones(1, np.float32), True)
    product_ = BIPOLAR.product(x, bipolar.from_signed(np.array([[-128] * k, [127] * k]), 8), config)
    assert product_.y.tolist() == [[k * 128 * 128, -k * 128 * 127]] and k == 28672
    assert EngineBench(BIPOLAR, config).problems(Case("longest", product_), seed) == []


def rounded_up(case, config):
    """The case with the constant of as many lanes as its beats have, not of the true K."""
    x, qweight = case
    good, fields = BIPOLAR.product(x, qweight, config), config.streams["constants"]
    values = unpack_beats(fields, good.inputs["constants"])
    values["columns"]["addend"] += bipolar.constant(-qweight.shape[1] % config.lanes, x.bits, qweight.bits)
    return replace(good, inputs={**good.inputs, "constants": pack_beats(fields, **values)})


def test_engine_faults():
    """Each kept fault turns a run red; so do words with the constant of K rounded up."""
    config, seed = CONFIGS["integers"], resolve_seed()
    bench, rng = EngineBench(BIPOLAR, config, FaultyEngine), np.random.default_rng(seed)
    given = [operands(rng, 4, 8, 37, 3, 2, (True, True)), operands(rng, 5, 4, 90, 8, 8, (False, True)),
             operands(rng, 4, 24, 5, 1, 1)]
    cases = [Case(f"case {number}", BIPOLAR.product(*pair, config)) for number, pair in enumerate(given)]

    def problems(fault):
        for case in cases:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, idle=0.2, backpressure=0.3, timeout_cycles=500)

    check_faults(problems, BipolarFault)
    assert bench.problems(Case("K rounded up", rounded_up(given[0], config)), seed)


@pytest.mark.long
def test_faults_of_groups():
    """Each kept fault turns a run red."""
    config, seed = CONFIGS["groups"], resolve_seed()
    bench, rng = EngineBench(BIPOLAR, config, FaultyGroups), np.random.default_rng(seed)
    pairs = [operands(rng, 4, 8, k, *bits) for k, bits in ((37, (3, 2)), (90, (2, 1)))]
    cases = [Case(f"case {number}", BIPOLAR.product(x, with_groups(rng, qweight, config), config))
             for number, (x, qweight) in enumerate(pairs)]

    def problems(fault):
        for case in cases:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, idle=0.2, backpressure=0.3, timeout_cycles=500)

    check_faults(problems, GroupFault)


@pytest.mark.long
def test_longest_groups():
    """The largest sums of a tile, all codes the largest, come out whole; groups of few cycles wait for their visits."""
    config, seed = replace(CONFIGS["groups"], max_k=902), resolve_seed()
    bench, k = EngineBench(BIPOLAR, config), config.largest_k
    x = QuantizedActivations(np.zeros((3, k), np.uint8), 8, np.ones(3, np.float32), True)
    codes = np.full((4, -(-k // config.lanes)), config.largest_scale_code, np.uint8)
    for bits in (8, 1):
        weight = np.repeat([[0], [2**bits - 1]], 2, axis=0).repeat(k, axis=1).astype(np.uint8)
        qweight = QuantizedWeight(weight, bits, np.ones(4, np.float32), config.lanes, scale_codes=codes)
        product_ = BIPOLAR.product(x, qweight, config)
        largest = float(config.largest_scale_code * k * 128 * (2**bits - 1))
        assert product_.y.tolist() == [[largest, largest, -largest, -largest]] * 3
        assert bench.problems(Case(f"W{bits}", product_), seed) == []


@pytest.mark.parametrize("name, max_k", [("narrow", 15), ("integers", CONFIGS["integers"].max_k)], ids=["narrow", "integers"])
def test_error_flags(name, max_k):
    """Each error of the shell is raised by its cause and by nothing else."""
    config, seed = replace(CONFIGS[name], max_k=max_k), resolve_seed()
    rng, bench = np.random.default_rng(seed), EngineBench(BIPOLAR, config)
    m, n, k = config.rows, config.cols, min(max_k - 1, 3 * config.lanes - 1)
    one_plane = shell_errors(BIPOLAR.product(*operands(rng, m, n, k, 2, 1), config), config)
    planes = shell_errors(BIPOLAR.product(*operands(rng, m, n, k, 2, 2), config), config)
    # With one plane a beat is a group, which may have another format; with several, one that there is not ends passes early.
    cases = [case for case in one_plane if case.name != "format_changed"]
    cases += [case for case in planes if case.name == "format_changed"]
    assert len(cases) == 4 + 64 - config.bits_a * config.bits_w
    bench.check_cocotb(cases, seed, "engine_errors")


@pytest.mark.parametrize("settings", [{}, {"lanes": 128, "drain": 4}, {"rows": 4, "cols": 16, "drain": 8}])
def test_utilization(settings):
    """Where a tile takes at least the drain's beats, tiles wait for nothing; where less, for the drain."""
    config = BipolarConfig(**settings)
    for work in config.formats_taken.values():
        for k in (64, 576, 1536):
            beats = -(-k // config.lanes)
            busy = work.terms * work.passes * beats
            assert config.tile_distance(work, beats) == max(busy, config.drain_beats), (work, k)
    assert 2 * 2 * 3 >= BipolarConfig().drain_beats >= config.timing.result


def test_real_layers():
    """SmolLM2's weights and activations at four precisions; more of them where the model is there."""
    config, seed = REAL, resolve_seed()
    with np.load(SLICE) as layer:
        layers = {"slice": (layer["activations"][:4].astype(np.float32), layer["weight"].astype(np.float32))}
    if (path := build_root() / "model" / FILE_NAME).is_file():
        layers["ffn_up"] = (weights.activations(path, None, 2, "blk.0.ffn_norm.weight"),
                            weights.load_tensor(path, "blk.0.ffn_up.weight")[:256])
    model = EngineModel(BIPOLAR, config)
    for name, (x, weight) in layers.items():
        for bits_w, bits_a in ((2, 8), (3, 8), (4, 4), (8, 8)):
            given = BIPOLAR.product(bipolar.quantize_activations(x, bits_a), bipolar.quantize(weight, bits_w), config)
            result = model.run(given, seed=seed)
            assert not result.problems, (name, bits_w, bits_a, result.problems)


@pytest.mark.long
def test_sums_as_tenders():
    """The same INT8 integers through Tender's engine: the same sums."""
    seed = resolve_seed()
    with np.load(SLICE) as layer:
        x, weight = layer["activations"][:2].astype(np.float32), layer["weight"][:4].astype(np.float32)
    decomposed = tender.decompose(x, 8, 1, 8, channel_bias=False)
    decomposed = replace(decomposed, scales=np.ones_like(decomposed.scales))
    qweight = replace(tender.quantize(weight, 8), scales=np.ones(4, np.float32))
    other = TenderConfig(rows=3, cols=2, lanes=3, drain=1, bits_w=8, bits_a=8, accumulator_chunk=None)  # one of its own bench
    theirs = scheme("tender").product(decomposed, qweight, other)
    assert EngineBench(scheme("tender"), other).problems(Case("tender", theirs), seed) == []
    words = QuantizedActivations(bipolar.signed_codes(decomposed.xq[0, :2], 8), 8, np.ones(2, np.float32), True)
    ours = BIPOLAR.product(words, bipolar.from_signed(qweight.codes, 8), REAL)
    assert EngineBench(BIPOLAR, REAL).problems(Case("bipolar", ours), seed) == []
    assert np.array_equal(theirs.y, ours.y) and np.abs(ours.y).max() < 2**24


@pytest.mark.parametrize("chunks, operand", [((8, 8, 3), 11), ((5,), 5), ((2, 2, 2, 2), 7), ((3, 4), 2)])
def test_chunk_accumulator(chunks, operand):
    """Sums up to the width's largest, pauses, captures in any cycle."""
    rng, width = np.random.default_rng(seed := resolve_seed()), sum(chunks)
    dut, expected, found = ChunkAccumulator(chunks, operand), [], []

    async def bench(ctx):
        total, pending = None, []
        for cycle in range(3000):
            first, idle = total is None or rng.random() < 0.02, rng.random() < 0.2
            room = 2**width - 1 - (0 if first else total)
            value = 0 if idle and not first else min(int(rng.choice([rng.integers(2**operand), 2**operand - 1])), room)
            total = value if first else total + value
            capture = bool(rng.random() < 0.3)
            for name, given in (("first", first), ("operand", value), ("capture", capture)):
                ctx.set(getattr(dut, name), int(given))
            pending.append((cycle + dut.LATENCY, total) if capture else None)
            due = pending[cycle - dut.LATENCY] if cycle >= dut.LATENCY else None
            if due:
                expected.append(due[1])
                found.append(sum(ctx.get(addend) for addend in resolved(dut.result, chunks)))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(found) > 500 and found == expected, seed
