# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender's engine and elements, bit for bit against golden."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from subbyte.golden import tender
from subbyte.golden.tender import Decomposed, QuantizedWeight, TenderConfig, decompose, quantize
from subbyte.pe.tender import PublishedPE, TenderPE
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors
from subbyte.tb.faults import check_faults
from subbyte.tb.tender_tops import FaultyEngine, TenderFault

TENDER = scheme("tender")
SLICE = Path(__file__).parent.parent / "tests" / "data" / "smollm2_slice.npz"
CONFIGS = {
    "int4": TenderConfig(rows=2, cols=4, lanes=4, drain=2),
    "int8": TenderConfig(rows=3, cols=2, lanes=3, drain=1, bits_w=8, bits_a=8, accumulator_chunk=None),
    "int4_to_int8": TenderConfig(rows=2, cols=2, lanes=8, drain=2, output="int8"),
    "one_by_one": TenderConfig(rows=1, cols=1, lanes=1, drain=1, bits_a=8, accumulator_bits=16, dot_stages=1,
                               accumulator_chunk=5, output="uint4"),
}


# The elements


def wide(value, bits, unsigned=False):
    """The number that a field stands for."""
    return int(value) if unsigned or value < 1 << bits - 1 else int(value) - (1 << bits)


def pe_tiles(config, seed):
    """Tiles of beats (activations, codes, unsigned, shift): every pair of operands in lane 0, then corners and random ones."""
    rng = np.random.default_rng(seed)
    a, w = 1 << config.bits_a, 1 << config.bits_w
    for unsigned in (0, 1):
        x, codes = (grid.ravel() for grid in np.meshgrid(np.arange(a), np.arange(w)))
        chosen = rng.permutation(len(x))[:1024]
        lanes = np.zeros((len(chosen), config.lanes), int)
        beats = zip(x[chosen], codes[chosen], strict=True)
        yield [(lanes[0] + (np.arange(config.lanes) == 0) * i, lanes[0] + (np.arange(config.lanes) == 0) * j, unsigned, 0)
               for i, j in beats]
    corners = [0, 1, a // 2 - 1, a // 2, a - 1], [0, 1, w // 2 - 1, w // 2, w - 1]
    for _ in range(150):
        tile = []
        for _ in range(rng.integers(1, 7)):
            corner = rng.random() < 0.5
            x = rng.choice(corners[0], config.lanes) if corner else rng.integers(0, a, config.lanes)
            codes = rng.choice(corners[1], config.lanes) if corner else rng.integers(0, w, config.lanes)
            tile.append((x, codes, int(rng.integers(2)), int(rng.integers(2))))
        yield tile


def sums_of(config, tiles):
    """What each tile adds up to."""
    for tile in tiles:
        acc = 0
        for number, (x, codes, unsigned, shift) in enumerate(tile):
            dot = sum(wide(a, config.bits_a, unsigned) * wide(w, config.bits_w) for a, w in zip(x, codes, strict=True))
            acc = (acc << shift if number else 0) + dot
        yield acc


@pytest.mark.parametrize("config", [
    TenderConfig(), TenderConfig(lanes=5, bits_w=8, bits_a=8),
    TenderConfig(lanes=1, bits_a=8, dot_stages=1, accumulator_chunk=None),
    TenderConfig(lanes=6, bits_w=8, dot_stages=6, accumulator_bits=24, accumulator_chunk=7),
], ids=["int4", "int8", "one_lane", "mixed"])
def test_processing_element(config):
    """Operands of each sign, every beat signed or not, shifted or not; tiles at their shortest distance and
    farther, with noise between their beats."""
    seed = resolve_seed()
    tiles = list(pe_tiles(config, seed))
    rng, pe, got = np.random.default_rng(seed), TenderPE(config), []

    async def bench(ctx):
        since_end = config.timing.interval

        async def step(**values):
            nonlocal since_end
            since_end = 1 if values["valid"] and values["last"] else since_end + 1
            for name, value in values.items():
                ctx.set(getattr(pe, name), value)
            if ctx.get(pe.done):
                got.append(ctx.get(pe.result))
            await ctx.tick()

        async def pause():
            """Noise on everything else."""
            await step(valid=0, activations=rng.integers(0, 1 << config.bits_a, config.lanes).tolist(),
                       codes=rng.integers(0, 1 << config.bits_w, config.lanes).tolist(),
                       **{name: int(rng.integers(2)) for name in ("is_unsigned", "shift", "first", "last")})

        for tile in tiles:
            for number, (x, codes, unsigned, shift) in enumerate(tile):
                last = number == len(tile) - 1
                while rng.random() < 0.2 or last and since_end < config.timing.interval:
                    await pause()
                await step(valid=1, activations=list(map(int, x)), codes=list(map(int, codes)), is_unsigned=unsigned,
                           shift=shift, first=int(number == 0), last=int(last))
        for _ in range(30):
            await pause()

    simulator = Simulator(pe)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == list(sums_of(config, tiles))


def published_sums(config, tiles):
    """Run tiles of one-lane beats through the published element, a bubble for each shift; return its sums."""
    pe, got = PublishedPE(config), []

    async def bench(ctx):
        for tile in tiles:
            slots = []
            for number, (x, codes, unsigned, shift) in enumerate(tile):
                if number and shift:
                    slots.append((int(x[0]), wide(codes[0], config.bits_w), unsigned, 1, 0))  # operands do not matter
                slots.append((int(x[0]), wide(codes[0], config.bits_w), unsigned, 0, int(number == 0)))
            for slot in slots:
                for name, value in zip(("activation", "weight", "is_unsigned", "rescale", "clear"), slot, strict=True):
                    ctx.set(getattr(pe, name), value)
                await ctx.tick()
            await ctx.tick()
            got.append(ctx.get(pe.value))

    simulator = Simulator(pe)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return got


@pytest.mark.parametrize("bits", [4, 8])
def test_published_element(bits):
    config = TenderConfig(lanes=1, bits_w=bits, bits_a=bits)
    tiles = list(pe_tiles(config, resolve_seed()))[2:]
    assert published_sums(config, tiles) == list(sums_of(config, tiles))


@pytest.mark.parametrize("unsigned", [0, 1])
def test_int8_on_four_int4_elements(unsigned):
    """High nibbles keep the sign, low ones are unsigned; codes of low nibbles need a bit more, as weights are signed."""
    rng = np.random.default_rng(resolve_seed())
    x, codes = rng.integers(0, 256, (2, 40))
    shifts = rng.integers(0, 2, 40)
    wide_pe = TenderConfig(lanes=1, bits_w=8, bits_a=8)
    whole = [(x[i : i + 1], codes[i : i + 1], unsigned, int(shifts[i])) for i in range(12)]
    quarters = []
    for high_x in (True, False):
        for high_w in (True, False):
            a, w = (x >> 4 if high_x else x & 15), (codes >> 4 if high_w else codes & 15)
            # An element of INT8 weights takes the low nibble as it is: the 5-bit operand of the decomposition.
            config = TenderConfig(lanes=1, bits_a=4, bits_w=4 if high_w else 8)
            sign = unsigned if high_x else 1
            tile = [(a[i : i + 1], w[i : i + 1], sign, int(shifts[i])) for i in range(12)]
            quarters.append(published_sums(config, [tile])[0])
    assert tender.recombine_nibbles(*quarters) == next(sums_of(wide_pe, [whole]))


# The engine


def random_operands(rng, m, n, k, config, groups, chunk_size, unsigned=False, spread=2.0):
    """Decomposed activations with outlier channels, a quantized weight, a correction, a bias."""
    x = rng.normal(0, 1, (m, k)) * np.exp(spread * rng.normal(0, 1, k))
    x = (np.abs(x) if unsigned else x).astype(np.float32)
    weight = rng.normal(0, 0.02, (n, k)).astype(np.float32)
    decomposed = decompose(x, config.bits_a, groups, chunk_size, unsigned)
    return decomposed, quantize(weight, config.bits_w), tender.correction(decomposed, weight), rng.normal(0, 1, n)


def product_of(config, decomposed, qweight, correction, bias):
    """The product; results are requantized to use their range."""
    terms = {"correction": correction, "bias": bias}
    if config.requantizes:
        plain = tender.matmul(decomposed, qweight, replace(config, output="float32"), correction, bias)
        divisors = (np.abs(plain).max(axis=0) / 2 ** (config.output_bits - 1)).astype(np.float32)
        terms["divisors"] = np.tile(divisors, (len(decomposed.xq), 1))
    return TENDER.product(decomposed, qweight, config, **terms)


def engine_cases(config, rng):
    """Ragged and whole shapes, several chunks, signed and unsigned, empty groups."""
    rows, cols, lanes = config.rows, config.cols, config.lanes
    shapes = [  # m, n, k, groups, chunk size, unsigned, spread
        (rows, cols, 8 * lanes, 1, rows, False, 1.0),
        (1, 1, 1, 4, 2, False, 1.0),
        (3 * rows, 2 * cols, 9 * lanes + 1, 6, 2 * rows, False, 2.0),
        (rows + 1, cols + 1, 5 * lanes + 1, 5, 2 * rows, True, 2.0),
        (2 * rows, cols, 6 * lanes, 2, 2 * rows, True, 0.3),  # many with their top bit set
        (2 * rows, cols, 6 * lanes, 16, rows, False, 5.0),
    ]
    for m, n, k, groups, chunk, unsigned, spread in shapes:
        operands = random_operands(rng, m, n, k, config, groups, max(chunk, 2), unsigned, spread)
        yield Case(f"{m}x{n}x{k} G={groups}{' unsigned' * unsigned}", product_of(config, *operands))


@pytest.mark.parametrize("name", CONFIGS)
def test_engine(name):
    """Every course of the compiled bench."""
    config, seed = CONFIGS[name], resolve_seed()
    cases = list(engine_cases(config, np.random.default_rng(seed)))
    assert config.accumulator_bits == 32 or any(case.product.errors for case in cases)
    EngineBench(TENDER, config).check(cases, seed)


def test_engine_under_cocotb():
    seed = resolve_seed()
    bench = EngineBench(TENDER, CONFIGS["int4"])
    bench.check_cocotb(engine_cases(bench.config, np.random.default_rng(seed)), seed)


def test_real_layer():
    """Channels of SmolLM2's attn_q with activations of real tokens, 8 groups, bias corrected."""
    bench, seed = EngineBench(TENDER, CONFIGS["int4"]), resolve_seed()
    with np.load(SLICE) as layer:
        weight, x = layer["weight"][:8].astype(np.float32), layer["activations"].astype(np.float32)
    decomposed = decompose(x, 4, 8, 8)
    assert (decomposed.counts > 0).sum() >= 5
    bench.check([Case("attn_q", product_of(bench.config, decomposed, quantize(weight, 4), tender.correction(decomposed, weight),
                                           None))], seed)


def test_the_longest_tile():
    """As many beats as the default allows, one after the other."""
    bench, seed = EngineBench(TENDER, CONFIGS["one_by_one"]), resolve_seed()
    k = bench.config.largest_k
    operands = random_operands(np.random.default_rng(seed), 2, 1, k, bench.config, 1, 2)
    product = product_of(bench.config, *operands)
    assert product.timeline.beats == (4096, 4096)
    assert bench.problems(Case("longest", product), seed) == []


def beyond_and_back(config, groups=20):
    """A sum that reaches 2**31 by shifts alone, and comes back with the last beat; in the first tile of two."""
    k, n = 2 * config.lanes, 2 * config.cols
    index, codes = np.zeros((1, k), int), np.zeros((n, k), np.int8)
    xq = np.zeros((1, config.rows, k), np.int16)
    index[0, 0] = groups - 1
    xq[..., 0], codes[: config.cols, 0] = 64, 64  # 2**12, and 19 shifts
    xq[..., -1], codes[:, -1] = 1, -3
    scales = 2.0 ** np.arange(groups)[None]
    decomposed = Decomposed(xq, index, scales, np.zeros((1, k)), 8, False, config.rows)
    # The constant takes most of the sum away, so that binary32 shows its last places.
    return decomposed, QuantizedWeight(codes, np.ones(n), 8), None, np.repeat([-(2.0**31), 0.0], config.cols)


def halfway(config):
    """Sums of 1 and 3 on a constant of 2**24: ties."""
    k = config.lanes
    xq, codes = np.zeros((1, config.rows, k), np.int16), np.zeros((config.cols, k), np.int8)
    xq[..., 0], codes[:, 0] = 1, np.resize([1, 3], config.cols)
    decomposed = Decomposed(xq, np.zeros((1, k), int), np.ones((1, 1)), np.zeros((1, k)), 8, False, config.rows)
    return decomposed, QuantizedWeight(codes, np.ones(config.cols), 8), None, np.full(config.cols, 2.0**24)


def test_engine_faults_are_detected():
    """The good unit and its faults side by side in one build."""
    config, seed = TenderConfig(rows=1, cols=2, lanes=4, drain=1, bits_w=8, bits_a=8), resolve_seed()
    bench, rng = EngineBench(TENDER, config, FaultyEngine), np.random.default_rng(seed)
    cases = [
        Case("beyond 2**31 and back", product_of(config, *beyond_and_back(config))),
        Case("ties", product_of(config, *halfway(config))),
        Case("empty groups", product_of(config, *random_operands(rng, 4, 2, 24, config, 12, 4, spread=5.0))),
        Case("unsigned", product_of(config, *random_operands(rng, 4, 3, 24, config, 4, 4, True))),
    ]
    assert cases[0].product.errors and not any(case.product.errors for case in cases[1:])

    def problems(fault):
        for case in cases:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, timeout_cycles=500)

    check_faults(problems, TenderFault)


def test_wrong_words_are_detected():
    """A packer that goes from the smallest scale to the largest."""
    bench, seed = EngineBench(TENDER, CONFIGS["int4"]), resolve_seed()
    operands = random_operands(np.random.default_rng(seed), 2, 4, 30, bench.config, 5, 2)
    good = product_of(bench.config, *operands)
    mirrored = replace(operands[0], group_index=4 - operands[0].group_index)
    wrong = replace(good, inputs=tender.pack(mirrored, operands[1], bench.config, *operands[2:]))
    bench.check_cocotb([Case("smallest scale first", wrong)], seed, "wrong_words")


def test_error_flags():
    """Each error of the shell is raised by its cause and by nothing else."""
    config, seed = replace(CONFIGS["int4"], max_beats=12), resolve_seed()
    good = product_of(config, *random_operands(np.random.default_rng(seed), 2, 4, 40, config, 1, 2))
    EngineBench(TENDER, config).check_cocotb(shell_errors(good, config), seed, "engine_errors")
