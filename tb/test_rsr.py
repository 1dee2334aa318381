# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR's processing elements and engine, bit for bit against golden, under Verilator."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from subbyte import models, weights
from subbyte.golden import rsr
from subbyte.golden.rsr import QuantizedActivations, RsrConfig
from subbyte.golden.rsr.codes import folded_bits, table_entries
from subbyte.golden.rsr.streams import column_offsets
from subbyte.golden.streams import Field, pack_beats, payload_bits, unpack_beats
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.engine_run import EngineModel
from subbyte.sim.stream_model import StreamError, StreamModel
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors
from subbyte.tb.faults import check_faults
from subbyte.tb.rsr_tops import ArrayFault, ArrayTop, EngineFault, FaultyEngine, ScatterFault, ScatterTop
from subbyte.tools.kept import kept_verilog
from subbyte.tools.toolchain import build_root
from subbyte.top.emit import to_verilog
from subbyte.weights.smollm2 import FILE_NAME

RSR = scheme("rsr")
ROOT = Path(__file__).parents[1]
CORNERS = [-128, -128, -127, -1, 0, 0, 1, 127]


def random_activations(rng, *shape):
    """Anything, and many corners."""
    return np.where(rng.random(shape) < 0.5, rng.choice(CORNERS, shape), rng.integers(-128, 128, shape))


def stream_model(top, name, key, fields, output, target="asic"):
    """A compiled test top that has one stream in and one out."""
    verilog = kept_verilog(name, key, lambda: to_verilog(top(), name, target=target))
    return StreamModel(verilog, name, inputs={"beats": payload_bits(fields)}, outputs=output)


def differences(model, words, output, expected, seed, fault):
    """Beats that differ with a fault, or that there are too many or too few of them."""
    try:
        run = model.run({"beats": words}, {output: len(expected)}, seed=seed, hold={"fault": int(fault)})
    except StreamError as error:
        return [error]
    return np.flatnonzero((run.outputs[output] != expected).any(axis=1))


# The array: tables, decoders, elements


def exhaustive_tiles(config, rng):
    """Operands of tiles: single beats in which each term, of each column, meets each code; then longer ones."""
    weights = 5 if config.has_trit_bytes else config.term_weights  # each byte's 243 codes, at either place
    every = np.array(list(product((-1, 0, 1), repeat=weights)))
    trits = config.cols * config.lanes
    terms = -(-trits // weights)
    order = np.argsort(rng.random((terms, len(every))), axis=1)
    beats = every[order].transpose(1, 0, 2).reshape(len(every), -1)[:, :trits]
    for beat in beats:
        yield random_activations(rng, config.rows, config.lanes), beat.reshape(config.cols, config.lanes)
    for beats in (2, 3, config.group_beats):
        k = beats * config.lanes
        x, w = random_activations(rng, config.rows, k), rng.integers(-1, 2, (config.cols, k))
        x[0], w[0], w[-1] = -128, -1, 1
        yield x, w


def array_cycles(config, tiles, rng):
    """Beats for the top, with idle ones between and within tiles, and the sums expected of each tile."""
    weight = config.streams["weights"][0]
    fields = [Field("activations", 8, config.rows * config.lanes), weight, *(Field(n, 1) for n in ("valid", "first", "last"))]
    cycles, expected = [], []
    shortest = config.timing.interval
    for x, w in tiles:
        qweight = rsr.from_ternary(w)
        codes = unpack_beats(config.streams["weights"], rsr.pack(qweight, config)["weights"])["codes"]
        beats = x.reshape(config.rows, -1, config.lanes).transpose(1, 0, 2).reshape(len(codes), -1)
        sums = rsr.matmul(x, qweight, replace(config, output="int32")) - column_offsets(qweight, config)
        expected.append(sums.ravel())
        idle = [(rng.integers(-128, 128, beats.shape[1]), rng.integers(0, 1 << weight.width, codes.shape[1]), 0, 1, 1)]
        for i, (a, c) in enumerate(zip(beats, codes, strict=True)):
            ends = i == len(codes) - 1
            cycles += idle * max(int(i == 1 or rng.random() < 0.2), ends * (shortest - len(codes)))
            cycles.append((a, c, 1, int(i == 0), int(ends)))
    columns = [np.array(column) for column in zip(*cycles, strict=True)]
    words = pack_beats(fields, **{f.name: column for f, column in zip(fields, columns, strict=True)})
    bits = Field("sums", config.accumulator_bits, config.rows * config.cols)
    mask = (1 << config.accumulator_bits) - 1
    return fields, words, bits, pack_beats([bits], sums=np.array(expected) & mask)


@pytest.mark.parametrize("settings, target", [
    ({"lanes": 10, "cols": 3, "rows": 2}, "asic"),
    ({"lanes": 10, "cols": 3, "form": "tree", "dot_stages": 3}, "asic"),
    ({"lanes": 6, "cols": 2, "mu": 3}, "asic"),
    ({"lanes": 8, "cols": 1, "mu": 4, "dot_stages": 1, "accumulator_chunk": 40}, "asic"),
    ({"lanes": 5, "cols": 1, "mu": 5}, "asic"),
    ({"lanes": 10, "cols": 3}, "fpga"),
    ({"lanes": 20, "cols": 2, "select": "binary"}, "asic"),
    ({"lanes": 20, "cols": 2, "select": "binary", "dot_stages": 3}, "fpga"),
    ({"lanes": 7, "cols": 3, "form": "tree"}, "fpga"),
], ids=lambda value: value if isinstance(value, str) else "_".join(map(str, value.values())))
def test_array(settings, target):
    """Every code of a table, every trit byte at either place, the longest sum; pauses; each kept fault is detected."""
    config = RsrConfig(**{"drain": 1, "rows": 1, **settings, "max_k": 8 * settings["lanes"]})
    rng = np.random.default_rng(seed := resolve_seed())
    fields, words, bits, expected = array_cycles(config, list(exhaustive_tiles(config, rng)), rng)
    model = stream_model(lambda: ArrayTop(config), "rsr_array_top", (config, target), fields, {"sums": payload_bits([bits])},
                         target)

    check_faults(lambda fault: differences(model, words, "sums", expected, seed, fault), ArrayFault)


# The scatter element


@pytest.mark.parametrize("block", [2, 3])
def test_scatter(block):
    """Every code, equal codes in a row, zero codes, skipped activations, vectors as close as they may come; kept faults."""
    rng = np.random.default_rng(seed := resolve_seed())
    entries = table_entries(block)
    every = np.array(list(product((-1, 0, 1), repeat=block)))
    vectors = [every, np.repeat(every, 3, axis=0), *(np.full((2 * entries, block), trit) for trit in (-1, 0, 1))]
    vectors += [rng.integers(-1, 2, (int(rng.integers(entries, 4 * entries)), block)) for _ in range(20)]
    max_k = max(map(len, vectors))
    fields = [Field("activation", 8), Field("code", folded_bits(block)), *(Field(n, 1) for n in ("valid", "skip", "last"))]
    cycles, expected = [], []
    for number, w in enumerate(vectors):
        v = np.full(len(w), -128) if number in (2, 4) else random_activations(rng, len(w))
        skipped = (v == 0) & (rng.random(len(w)) < 0.7)
        expected.append(rsr.index_matmul(v, rsr.preprocess(w, block)))
        for i, code in enumerate(rsr.fold(w)):
            if rng.random() < 0.1:
                cycles.append((rng.integers(-128, 128), code, 0, 0, 1))
            noise = rng.integers(-128, 128) if skipped[i] else v[i]
            cycles.append((noise, code, 1, int(skipped[i]), int(i == len(w) - 1)))
    words = pack_beats(fields, **{f.name: np.array(c) for f, c in zip(fields, zip(*cycles, strict=True), strict=True)})
    bits = Field("outputs", (128 * max_k).bit_length() + 1, block)
    expected = pack_beats([bits], outputs=np.array(expected))
    model = stream_model(lambda: ScatterTop(block, max_k), "rsr_scatter_top", (block, max_k), fields,
                         {"vectors": payload_bits([bits])})

    check_faults(lambda fault: differences(model, words, "vectors", expected, seed, fault), ScatterFault)


# The engine


def engine_operands(rng, m, n, k, config):
    """Random operands; scales of all sizes, an overflow among them."""
    channels = n if config.granularity == "channel" else ()
    scale = np.exp2(rng.uniform(-4, 4, channels)).astype(np.float32)
    x = QuantizedActivations(random_activations(rng, m, k), np.exp2(rng.uniform(-12, 4, m)).astype(np.float32))
    x.scales[rng.integers(m)] = rng.choice([0, 1.2e-38, 3e38 if config.output == "float32" else 100])
    return x, rsr.from_ternary(rng.integers(-1, 2, (n, k)), scale)


CONFIGS = {
    "lookup": RsrConfig(rows=2, cols=4, lanes=12, drain=2, max_k=240),
    "tree": RsrConfig(rows=1, cols=6, lanes=9, drain=1, form="tree", granularity="channel", output="float16", product_stages=2,
                      max_k=180, dot_stages=1),
    "binary": RsrConfig(rows=1, cols=2, lanes=20, drain=1, select="binary", output="float16", max_k=100),
    "integers": RsrConfig(rows=3, cols=2, lanes=6, drain=2, mu=3, output="int32", max_k=65536, accumulator_chunk=9),
}


def engine_cases(config, rng):
    """Ragged shapes, tiles of one beat, whole ones; scales of all sizes, an overflow among them."""
    for m, n, k in ((1, 1, 1), (2 * config.rows + 1, 2 * config.cols + 1, 3 * config.lanes - 1), (4, 4 * config.cols, 7),
                    (config.rows, 3 * config.cols, min(config.max_k, 240))):
        yield Case(f"{m}x{n}x{k}", RSR.product(*engine_operands(rng, m, n, k, config), config))


@pytest.mark.parametrize("name", CONFIGS)
def test_engine(name):
    """Every course of the compiled bench."""
    config, seed = CONFIGS[name], resolve_seed()
    cases = list(engine_cases(config, np.random.default_rng(seed)))
    for case in cases:
        assert np.isinf(case.product.y.astype(float)).any() == any(mask.any() for mask in case.product.flags.values())
    EngineBench(RSR, config).check(cases, seed)


def test_engine_under_cocotb():
    seed = resolve_seed()
    bench = EngineBench(RSR, CONFIGS["lookup"])
    bench.check_cocotb(engine_cases(bench.config, np.random.default_rng(seed)), seed)


def test_sums_of_the_longest_tile():
    """Lanes do not divide max_k: whole beats hold more, and the largest sum of them fits all the same."""
    config = RsrConfig(rows=1, cols=2, lanes=4, drain=1, max_k=5, output="int32")
    whole, seed = replace(config, max_k=config.largest_k), resolve_seed()
    x = QuantizedActivations(np.full((1, 8), -128), np.ones(1, np.float32))
    product = RSR.product(x, rsr.from_ternary(np.array([[-1] * 8, [1] * 8])), whole)
    assert product.y.tolist() == [[1024, -1024]]
    assert EngineBench(RSR, config).problems(Case("longest", product), seed) == []


def test_engine_faults():
    """Each kept fault turns a run red."""
    config, seed = replace(CONFIGS["lookup"], cols=2, drain=1, output="float16", product_stages=1), resolve_seed()
    bench, rng = EngineBench(RSR, config, FaultyEngine), np.random.default_rng(seed)
    cases = [Case(f"K={k}", RSR.product(*engine_operands(rng, 4, 16, k, config), config)) for k in (12, 30)]

    def problems(fault):
        for case in cases:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, idle=0.2, backpressure=0.3, timeout_cycles=500)

    check_faults(problems, EngineFault)


def captured_inputs(tokens):
    """Activations and weights of each product of a block, as the trained model meets them."""
    model = models.open_model(ROOT / "examples" / "shakespeare_ternary.npz")
    read = models.open_tokenizer(model.path).encode("ROMEO:\n").ids[:tokens]
    seen = models.inputs_of(model, np.array(read), [models.Site(0, name) for name in models.LINEARS])
    return {site.name: (x, RSR.take(weights.load_quantized(model.path, model.stored(site.tensor)), None, RsrConfig())[0])
            for site, x in seen.items()}


@pytest.mark.long
def test_real_layers():
    """Every layer of a block of a trained ternary model, and layers of SmolLM2 made ternary, whole and bit for bit."""
    config = RsrConfig(rows=1, cols=8, lanes=32, drain=1)
    model = EngineModel(RSR, config)
    layers = captured_inputs(2)
    assert {name: qweight.shape for name, (_, qweight) in layers.items()} == {
        **{name: (384, 384) for name in models.LINEARS if name.startswith("attn")},
        **dict.fromkeys(("ffn_gate", "ffn_up"), (1152, 384)), "ffn_down": (384, 1152)}
    with np.load(ROOT / "tests" / "data" / "smollm2_slice.npz") as arrays:
        layers["slice"] = arrays["activations"][:2], rsr.quantize(arrays["weight"])
    if (path := build_root() / "model" / FILE_NAME).is_file():
        weight = weights.load_tensor(path, "blk.0.ffn_up.weight")
        layers["SmolLM2's ffn_up"] = weights.activations(path, None, 1, "blk.0.ffn_norm.weight"), rsr.quantize(weight)
    for name, (x, qweight) in layers.items():
        result = model.run(model.scheme.product(rsr.quantize_activations(x), qweight, config))
        assert not result.problems, (name, result.problems)


def test_error_flags():
    """Each error of the shell is raised by its cause and by nothing else."""
    config, seed = CONFIGS["lookup"], resolve_seed()
    good = RSR.product(*engine_operands(np.random.default_rng(seed), 2, 4, 30, config), config)
    EngineBench(RSR, config).check_cocotb(shell_errors(good, config), seed, "engine_errors")
