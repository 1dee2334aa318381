# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's processing element and engine, bit for bit against golden, under Verilator."""

from dataclasses import replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from subbyte.golden import bitmod
from subbyte.golden.bitmod import BitModConfig, QuantizedWeight, quantize
from subbyte.golden.bitmod.formats import Format, decode
from subbyte.golden.streams import pack_beats, unpack_beats
from subbyte.sim.cocotb_run import resolve_seed, run_bench
from subbyte.tb.bitmod_tops import FaultyEngine, PeTop
from subbyte.tb.engine_cases import as_parameters
from subbyte.tools.kept import kept_verilog
from subbyte.top.bitmod import BitModEngine
from subbyte.top.emit import to_verilog

BENCH = "subbyte.tb.bench_bitmod"
SLICE = Path(__file__).parent.parent / "tests" / "data" / "smollm2_slice.npz"
ACTIVATION_CORNERS = np.array(
    [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7C00, 0xFE00], np.uint16
)
"""Zeros, subnormals, ones, the largest numbers, an infinity, a NaN."""


def bench_verilog(top, config, name, target="asic"):
    """Verilog of a top, kept from run to run."""
    return kept_verilog(name, (config, target), lambda: to_verilog(top(config), name, target=target))


# The processing element


def pe_groups(config, seed):
    """(format, selector, codes [k], activations float16 [k], scale code): every code, every scale code, then random corners."""
    rng = np.random.default_rng(seed)
    for fmt in config.formats:
        for selector in range(4 if fmt.is_float else 1):
            codes = rng.permutation(np.tile(np.arange(1 << fmt.bits), max(1, 64 >> fmt.bits)))
            yield fmt, selector, codes, rng.normal(0, 3, len(codes)).astype(np.float16), rng.integers(256)
    for scale_code in range(256):
        x = rng.choice(ACTIVATION_CORNERS, config.lanes).view(np.float16)
        yield Format.INT8, 0, rng.integers(0, 256, config.lanes), x, scale_code
    for _ in range(60):
        fmt = Format(rng.choice(config.formats))
        k = config.lanes * int(rng.integers(1, 12))
        codes = rng.integers(0, 1 << fmt.bits, k)
        kind = rng.integers(4)
        bits = rng.integers(0, 1 << 16, k).astype(np.uint16)  # any pattern: the widest exponent gaps, infinities, NaN
        if kind == 1:
            bits = rng.choice(ACTIVATION_CORNERS, k)
        elif kind == 2:
            bits = np.where(np.arange(k) % 2, 0x7BFF, 0xFBFF).astype(np.uint16)
        elif kind == 3:
            bits = rng.normal(0, 1, k).astype(np.float16).view(np.uint16)
        yield fmt, int(rng.integers(4)), codes, bits.view(np.float16), rng.choice([0, 1, 128, 255, rng.integers(256)])


def pe_steps(config, fmt, selector, codes, x, scale_code):
    """The group as terms for the bench."""
    slots = codes
    if not fmt.is_float:
        slots = decode(codes, fmt).astype(np.int64) & ((1 << config.code_bits) - 1)
    beats = len(codes) // config.lanes
    for beat in range(beats):
        lanes = slice(beat * config.lanes, (beat + 1) * config.lanes)
        for term in range(fmt.terms):
            yield {
                "beat": sum(int(bits) << 16 * i for i, bits in enumerate(x[lanes].view(np.uint16))),
                "codes": sum(int(code) << config.code_bits * i for i, code in enumerate(slots[lanes])),
                "format": int(fmt),
                "term": term,
                "selector": selector if beat == 0 else 3 - selector,  # only the first beat's counts
                "first": int(beat == 0 and term == 0),
                "last": int(beat == beats - 1 and term == fmt.terms - 1),
                "scale_code": int(scale_code),
            }


def pe_expected(config, fmt, selector, codes, x, scale_code):
    """Golden product and alignment of the group."""
    special = config.special_values.get(fmt)
    values = decode(codes, fmt, np.full(len(codes), selector if fmt.is_float else 0), special)
    acc, alignment = bitmod.group_sum(x[None], values[None], replace(config, group_size=256))
    return int(acc.item()) * int(scale_code), int(alignment.item())


@pytest.mark.parametrize(
    "config",
    [BitModConfig(group_size=256), BitModConfig(lanes=8, group_size=256, guard_bits=1, dequant_chunk=None)],
    ids=["lanes4", "lanes8"],
)
def test_processing_element(config):
    """Every code, corner activations, both pauses and none; then each kept fault, which must be detected."""
    seed = resolve_seed()
    groups = list(pe_groups(config, seed))
    parameters = {
        "steps": [step for group in groups for step in pe_steps(config, *group)],
        "expected": [pe_expected(config, *group) for group in groups],
        "interval": replace(config, rows=1, cols=1, drain=1).timing.interval,
        "seed": seed,
    }
    verilog = bench_verilog(PeTop, config, name := f"bitmod_pe_top_{config.lanes}")
    run_bench(verilog, name, BENCH, parameters=parameters, seed=seed, testcase="pe")
    run_bench(verilog, name, BENCH, parameters=parameters, seed=seed, testcase="pe_faults")


# The engine


def random_weight(rng, n, k, fmts, group_size):
    """A tensor whose groups take the formats in turn, the last group short."""
    parts = []
    for index, start in enumerate(range(0, k, group_size)):
        weight = rng.normal(0, 0.02, (n, min(group_size, k - start))).astype(np.float32)
        parts.append(quantize(weight, fmts[index % len(fmts)], group_size=group_size))
    return QuantizedWeight.concatenate(parts)


def random_activations(rng, m, k):
    """Log-normal, with a few corners sprinkled in."""
    x = (rng.normal(0, 1, (m, k)) * np.exp(rng.normal(0, 1, (m, k)))).astype(np.float16)
    finite = ACTIVATION_CORNERS[:-2].view(np.float16)
    chosen = rng.random((m, k)) < 0.02
    return np.where(chosen, rng.choice(finite, (m, k)), x)


def engine_case(name, x, qweight, config):
    """Streams, expected words, and what the bench asserts of one product."""
    m, n = len(x), qweight.shape[0]
    m_tiles, n_tiles = ceil(m / config.rows), ceil(n / config.cols)
    y, flags = bitmod.matmul(x, qweight, config, flags=True)
    streams = bitmod.pack(qweight, config, m_tiles=m_tiles)
    streams["activations"] = bitmod.pack_activations(x, config, n_tiles=n_tiles)
    streams["outputs"] = bitmod.pack_outputs(y, flags.nonfinite, config)
    case = {
        "name": name,
        "cycles": config.cycles(m, n, x.shape[1], config.schedule(qweight)),
        "errors": int(flags.nonfinite.any()) << ERRORS.index("nonfinite"),
        "rows": config.rows,
        "cols": config.cols,
        "drain": config.drain,
        "output_bits": 32 if config.output == "float32" else 16,
    }
    return case, streams


ERRORS = ("k_mismatch", "k_too_long", "scales_order", "format_changed", "format_unsupported", "nonfinite", "special_value")


CONFIGS = {
    "default_formats": BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2),
    "float16_out": BitModConfig(
        rows=3, cols=2, lanes=8, group_size=64, drain=1, output="float16", scale_bits=8, dequant_chunk=None, sum_stages=2,
        output_stages=3, formats=(Format.INT6, Format.FP3), guard_bits=2,
    ),
    "one_by_one": BitModConfig(
        rows=1, cols=1, lanes=16, group_size=32, drain=1, formats=(Format.INT4, Format.FP4), sum_stages=6, dequant_chunk=7,
        guard_bits=0,
    ),
}


def engine_verilog(name, target="asic"):
    """One text for all benches of a configuration, and so one build."""
    return bench_verilog(BitModEngine, CONFIGS[name], f"bitmod_engine_{name}", target)


def formats_of(config):
    """Quantizer names of the config's formats, specials included."""
    return [f"bitmod-{f.name.lower()}" if f.is_float else f.name.lower() for f in config.formats]


@pytest.mark.parametrize("name, target", [*((name, "asic") for name in CONFIGS), ("float16_out", "fpga")])
def test_engine(name, target):
    """Ragged and whole shapes, formats mixed in a tile, long and single groups, all stream pauses, a reset, exact cycles.

    Both spellings of the arithmetic give the same bits in the same cycles.
    """
    config, seed = CONFIGS[name], resolve_seed()
    rng = np.random.default_rng(seed)
    rows, cols, lanes, group = config.rows, config.cols, config.lanes, config.group_size
    fmts = formats_of(config)
    shapes = [
        (rows, cols, group),
        (1, 1, 1),
        (2 * rows, cols, 2 * group + lanes),
        (rows + 1, cols + 1, 3 * group + lanes + 1),
        (rows, 2 * cols, group // 2),
    ]
    prepared = []
    for index, (m, n, k) in enumerate(shapes):
        rotated = fmts[index:] + fmts[:index]
        x = random_activations(rng, m, k)
        if index == 3:
            x[0, k // 2] = np.inf
        prepared.append(engine_case(f"{m}x{n}x{k} {rotated}", x, random_weight(rng, n, k, rotated, group), config))
    run_bench(engine_verilog(name, target), f"bitmod_engine_{name}", BENCH,
              parameters=as_parameters(prepared, seed), seed=seed, testcase="engine")


def test_engine_faults_are_detected():
    """The good unit and its faults side by side in one build: green without a fault, red with each."""
    config, seed = replace(CONFIGS["default_formats"], rows=1, cols=2, drain=1), resolve_seed()
    rng = np.random.default_rng(seed)
    prepared = []
    for k, fmts in ((80, ["bitmod-fp4", "bitmod-fp3"]), (32, ["int8"]), (20, ["bitmod-fp3"])):
        x = random_activations(rng, 2 * config.rows, k)
        prepared.append(engine_case(f"K={k} {fmts}", x, random_weight(rng, 4, k, fmts, 32), config))
    verilog = bench_verilog(FaultyEngine, config, "bitmod_engine_faulty")
    run_bench(verilog, "bitmod_engine_faulty", "subbyte.tb.bench_bitmod_faults",
              parameters=as_parameters(prepared, seed), seed=seed)


def special_write(fmt, selector, value):
    """Word of the port ``special_values``."""
    return value & 63 | selector << 6 | (fmt is Format.FP4) << 8 | 1 << 9


def test_special_value_registers_are_programmable():
    """Values written at run time count from the next group on, for both formats and every selector."""
    config, seed = CONFIGS["default_formats"], resolve_seed()
    fp3, fp4 = (7, -5, 0, -8), (-16, 9, 15, -24)
    special = {Format.FP3: fp3, Format.FP4: fp4}
    rng = np.random.default_rng(seed)
    parts = []
    for fmt in ("fp3-er-pos", "fp4-er-neg", "fp3-ea-pos", "fp4-ea-neg", "bitmod-fp3", "bitmod-fp4"):
        parts.append(quantize(rng.normal(0, 0.02, (5, 32)).astype(np.float32), fmt, group_size=32, special_values=special))
    qweight = QuantizedWeight.concatenate(parts)
    assert set(np.unique(qweight.values)) & {*fp3, *fp4}
    x = random_activations(rng, 3, qweight.shape[1])
    written = replace(config, special_fp3=fp3, special_fp4=fp4)
    case, streams = engine_case("special", x, qweight, written)
    case["writes"] = [
        special_write(fmt, selector, value) for fmt, four in special.items() for selector, value in enumerate(four)
    ]
    run_bench(engine_verilog("default_formats"), "bitmod_engine_default_formats", BENCH,
              parameters=as_parameters([(case, streams)], seed), seed=seed, testcase="special_registers")


def test_error_flags():
    """Each flag is raised by its cause and by nothing else; a refused register write is reported."""
    config, seed = CONFIGS["default_formats"], resolve_seed()
    rng = np.random.default_rng(seed)
    good = engine_case("good", random_activations(rng, 2, 96), random_weight(rng, 4, 96, ["int8", "bitmod-fp3"], 32), config)
    prepared = []

    def spoiled(flag, stream="weights", beat=0, field=None, value=None, write=0):
        case, streams = good[0], dict(good[1])
        if field:
            fields = config.streams[stream]
            values = unpack_beats(fields, streams[stream])
            values[field][beat] = value
            streams[stream] = pack_beats(fields, **values)
        errors = 1 << ERRORS.index(flag) if flag else 0
        prepared.append(({**case, "name": flag or "none", "errors": errors, "write": write}, streams))

    spoiled(None)
    spoiled("k_mismatch", "activations", 23, "last", 0)
    spoiled("scales_order", "scales", 0, "last", 1)
    spoiled("scales_order", "scales", 2, "last", 0)
    spoiled("format_changed", "weights", 1, "format", Format.INT6)
    spoiled("format_unsupported", "weights", slice(None), "format", 7)
    spoiled("special_value", write=special_write(Format.FP4, 0, 11))
    spoiled("nonfinite", "activations", 5, "data", np.inf)
    prepared[-1][0]["name"] = "infinity"
    run_bench(engine_verilog("default_formats"), "bitmod_engine_default_formats", BENCH,
              parameters=as_parameters(prepared, seed), seed=seed, testcase="engine_errors")
