# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's processing element and engine, bit for bit against golden, under Verilator."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from subbyte.golden import bitmod
from subbyte.golden.bitmod import BitModConfig, QuantizedWeight, quantize
from subbyte.golden.bitmod.formats import Format, decode, two_terms
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed, run_bench
from subbyte.tb.bitmod_tops import EngineFault, FaultyEngine, PeTop
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors, spoil
from subbyte.tb.faults import check_faults
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import to_verilog

BITMOD = scheme("bitmod")
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
    for x, code in product((0x7BFF, 0xFBFF), (0x80, 0x7F)):  # the largest sums and products
        yield Format.INT8, 0, np.full(config.group_size, code), np.full(config.group_size, x, np.uint16).view(np.float16), 255
    for _ in range(120):
        fmt = Format(rng.choice(config.formats))
        k = config.lanes * int(rng.integers(1, 12))
        codes = rng.integers(0, 1 << fmt.bits, k)
        kind = rng.integers(5)
        bits = rng.integers(0, 1 << 16, k).astype(np.uint16)  # any pattern: the widest exponent gaps, infinities, NaN
        if kind == 1:
            bits = rng.choice(ACTIVATION_CORNERS, k)
        elif kind == 2:
            bits = np.where(np.arange(k) % 2, 0x7BFF, 0xFBFF).astype(np.uint16)
        elif kind == 3:
            bits = rng.normal(0, 1, k).astype(np.float16).view(np.uint16)
        elif kind == 4:  # payloads of NaN beside the smallest numbers
            small = rng.integers(0, 0x800, k) | rng.integers(0, 2, k) << 15
            bits = np.where(rng.random(k) < 0.4, 0x7C00 | rng.integers(1, 0x400, k) | rng.integers(0, 2, k) << 15, small)
            bits = bits.astype(np.uint16)
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


CONFIGS = {
    "default_formats": BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2, max_k=256),
    "float16_out": BitModConfig(
        rows=3, cols=2, lanes=8, group_size=64, drain=1, output="float16", scale_bits=8, dequant_chunk=None, sum_stages=2,
        output_stages=3, formats=(Format.INT6, Format.FP3), guard_bits=2,
    ),
    "one_by_one": BitModConfig(
        rows=1, cols=1, lanes=16, group_size=32, drain=1, formats=(Format.INT4, Format.FP4), sum_stages=6, dequant_chunk=7,
        guard_bits=0,
    ),
}


def formats_of(config):
    """Quantizer names of the config's formats, specials included."""
    return [f"bitmod-{f.name.lower()}" if f.is_float else f.name.lower() for f in config.formats]


def engine_cases(config, rng):
    """Ragged and whole shapes, formats mixed within tiles and between them, long and single groups, tiny numbers, infinity."""
    rows, cols, lanes, group = config.rows, config.cols, config.lanes, config.group_size
    fmts = formats_of(config)
    shapes = [
        (rows, cols, group),
        (1, 1, 1),
        (2 * rows, cols, 2 * group + lanes),
        (rows + 1, cols + 1, 3 * group + lanes + 1),
        (rows, 2 * cols, group // 2),
        (rows, 6 * cols, lanes),
    ]
    for index, (m, n, k) in enumerate(shapes):
        rotated = fmts[index % len(fmts):] + fmts[:index % len(fmts)]
        x = random_activations(rng, m, k)
        if index in (2, 4):  # groups of subnormal numbers and of those next to them
            x[::2] = (x[::2].astype(np.float32) * np.float32(2.0**-15)).astype(np.float16)
        if index == 3:
            x[0, k // 2] = np.inf
        yield Case(f"{m}x{n}x{k} {rotated}", BITMOD.product(x, random_weight(rng, n, k, rotated, group), config))


@pytest.mark.parametrize("name, target", [*((name, "asic") for name in CONFIGS), ("float16_out", "fpga")])
def test_engine(name, target):
    """Every course of the compiled bench; both spellings of the arithmetic give the same bits in the same cycles."""
    seed = resolve_seed()
    EngineBench(BITMOD, CONFIGS[name], target=target).check(engine_cases(CONFIGS[name], np.random.default_rng(seed)), seed)


def test_engine_under_cocotb():
    seed = resolve_seed()
    bench = EngineBench(BITMOD, CONFIGS["default_formats"])
    bench.check_cocotb(engine_cases(bench.config, np.random.default_rng(seed)), seed)


def test_the_longest_tile():
    """A tile of as many groups as the sums hold, 512 by default."""
    bench, seed = EngineBench(BITMOD, CONFIGS["one_by_one"]), resolve_seed()
    rng, k = np.random.default_rng(seed), CONFIGS["one_by_one"].largest_k
    product = BITMOD.product(random_activations(rng, 1, k), random_weight(rng, 2, k, ["int4"], 32), bench.config)
    assert len(product.timeline.ends) == 2 * 512
    assert bench.problems(Case("longest", product), seed) == []


def test_engine_faults_are_detected():
    """The good unit and its faults side by side in one build."""
    config, seed = replace(CONFIGS["default_formats"], rows=1, cols=2, drain=1), resolve_seed()
    bench, rng = EngineBench(BITMOD, config, FaultyEngine), np.random.default_rng(seed)
    products = []
    for k, fmts in ((80, ["bitmod-fp4", "bitmod-fp3"]), (32, ["int8"]), (20, ["bitmod-fp3"])):
        x = random_activations(rng, 2 * config.rows, k)
        products.append(Case(f"K={k} {fmts}", BITMOD.product(x, random_weight(rng, 4, k, fmts, 32), config)))

    def problems(fault):
        # Results that are not awaited show only where they wait longer than a tile takes.
        for knobs in ({}, {"idle": 0.2, "backpressure": 0.9}):
            for case in products:
                yield from bench.problems(case, seed, hold={"fault": int(fault)}, timeout_cycles=1000, **knobs)

    check_faults(problems, EngineFault)


def special_write(fmt, selector, value, enable=1):
    """Word of the port ``special_values``."""
    return value & 63 | selector << 6 | (fmt is Format.FP4) << 8 | enable << 9


def of_special_values(special, rng, config):
    """A product whose weights are special values alone, of every selector of both formats."""
    n, groups = 5, 8
    fmts = ["bitmod-fp3", "bitmod-fp4"] * 4
    drawn = QuantizedWeight.concatenate([
        quantize(rng.normal(0, 0.02, (n, 32)).astype(np.float32), fmt, group_size=32) for fmt in fmts])
    selectors = np.tile(np.arange(groups, dtype=np.uint8) // 2, (n, 1))
    by_group = [Format(code) for code in drawn.group_formats]
    values = np.stack([np.take(special[fmt], selectors[:, i]) for i, fmt in enumerate(by_group)], axis=1)
    qweight = replace(
        drawn, selectors=selectors, special_values=special, values=np.repeat(values, 32, axis=1).astype(np.int16),
        codes=np.tile(np.repeat([fmt.negative_zero for fmt in by_group], 32), (n, 1)).astype(np.uint8))
    written = replace(config, special_fp3=special[Format.FP3], special_fp4=special[Format.FP4])
    return BITMOD.product(random_activations(rng, 3, 32 * groups), qweight, written)


def test_special_value_registers_are_programmable():
    """Every value to every register, refused if it needs more than two terms; what was taken counts for the next products."""
    bench, seed = EngineBench(BITMOD, CONFIGS["default_formats"]), resolve_seed()
    rng, cases, writes = np.random.default_rng(seed), [], []
    taken = [value for value in range(-32, 32) if is_special(value)]
    held = {fmt: list(values) for fmt, values in bench.config.special_values.items()}
    rounds = -(-len(taken) // 4)
    for number in range(rounds + 3):  # each value once in a register of each format, then any
        batch = []
        for fmt, selector in product(held, range(4)):
            value = taken[(4 * number + selector) % len(taken)] if number < rounds else int(rng.integers(-32, 32))
            batch.append([special_write(fmt, selector, value), int(not is_special(value))])
            held[fmt][selector] = value if is_special(value) else held[fmt][selector]
            # With the enable low nothing happens, whatever the rest.
            batch.append([special_write(Format(rng.choice([Format.FP3, Format.FP4])), int(rng.integers(4)),
                                        int(rng.integers(-32, 32)), enable=0), 0])
        writes.append(batch)
        cases.append(Case(f"special {held}", of_special_values({fmt: tuple(four) for fmt, four in held.items()}, rng,
                                                               bench.config)))
    every = [[special_write(fmt, selector, value), int(not is_special(value))]
             for fmt, selector, value in product(held, range(4), range(-32, 32))]
    bench.check_cocotb(cases, seed, "special_registers", "subbyte.tb.bench_bitmod", writes=writes, every=every)


def is_special(value):
    """Whether two terms make a value."""
    try:
        two_terms(value)
    except ValueError:
        return False
    return True


def test_error_flags():
    """Each error of the shell and of the core is raised by its cause and by nothing else."""
    config, seed = CONFIGS["default_formats"], resolve_seed()
    bench, rng = EngineBench(BITMOD, config), np.random.default_rng(seed)
    good = BITMOD.product(random_activations(rng, 2, 96), random_weight(rng, 4, 96, ["int8"], 32), config)
    cases = shell_errors(good, config)
    for name, value in (("infinity", np.inf), ("NaN", np.nan)):
        cases.append(Case(name, spoil(good, config, "activations", "data", (5, 1, 2), value, ["nonfinite"]), True))
    bench.check_cocotb(cases, seed, "engine_errors")
