# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's dense form, bit for bit against golden, under Verilator."""

from dataclasses import replace

import numpy as np
import pytest

from subbyte.golden.bitmod import BitModConfig, values_of
from subbyte.golden.bitmod.config import DENSE_SPECIAL_MAGNITUDES
from subbyte.golden.bitmod.formats import Format
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.tb.bitmod_dense_tops import Fault, FaultyEngine
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors, spoil
from subbyte.tb.faults import check_faults
from subbyte.tb.test_bitmod import BITMOD, engine_cases, random_activations, random_weight
from subbyte.top.bitmod_textbook import TextbookEngine

CONFIGS = {
    "all_formats": BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2, form="dense"),
    "many_rows": BitModConfig(
        rows=7, cols=2, lanes=8, group_size=64, drain=1, output="float16", sum_stages=2, guard_bits=2,
        formats=(Format.INT6, Format.FP3), form="dense", dequantizers=2,
    ),
    "found_exponents": BitModConfig(
        rows=3, cols=2, lanes=8, group_size=32, drain=1, formats=(Format.INT8, Format.FP4), form="dense", exponents="found",
    ),
    "integers": BitModConfig(
        rows=1, cols=1, lanes=16, group_size=32, drain=1, formats=(Format.INT4,), guard_bits=0, form="dense",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_engine(name):
    """Every course of the compiled bench, predicted cycles included."""
    seed = resolve_seed()
    EngineBench(BITMOD, CONFIGS[name]).check(engine_cases(CONFIGS[name], np.random.default_rng(seed)), seed)


def test_engine_under_cocotb():
    seed = resolve_seed()
    bench = EngineBench(BITMOD, CONFIGS["all_formats"])
    bench.check_cocotb(engine_cases(bench.config, np.random.default_rng(seed)), seed)


def test_textbook():
    """The array that the form is compared with gives the same numbers."""
    config = BitModConfig(rows=2, cols=2, lanes=16, group_size=64, formats=(Format.INT4,), drain=1, form="dense")
    seed = resolve_seed()
    EngineBench(BITMOD, config, TextbookEngine).check(engine_cases(config, np.random.default_rng(seed)), seed)


def test_extremes():
    """Full groups of the largest numbers of one sign, beside small groups, in every format."""
    config, seed = CONFIGS["all_formats"], resolve_seed()
    bench, rng = EngineBench(BITMOD, config), np.random.default_rng(seed)
    x = np.full((2, 96), 65504, np.float16)
    x[:, 32:64], x[1] = 6e-8, -x[1]
    for fmt in ("int8", "int4", "bitmod-fp4", "bitmod-fp3"):
        qweight = random_weight(rng, 4, 96, [fmt], 32)
        assert bench.problems(Case(fmt, BITMOD.product(x, qweight, config)), seed) == []
        lowest = -128 if fmt == "int8" else -8 if fmt == "int4" else None
        if lowest is not None:
            values = np.full_like(qweight.values, lowest)
            full = replace(qweight, values=values, codes=(values & (255 if fmt == "int8" else 15)).astype(np.uint8))
            assert bench.problems(Case(f"{fmt}, lowest", BITMOD.product(x, full, config)), seed) == []


def weight_of_all_codes(fmt, config):
    """Each code of a format in each lane; the columns' selectors differ."""
    bits, name = fmt.bits, f"bitmod-{fmt.name.lower()}" if fmt.is_float else fmt.name.lower()
    i = np.arange(config.lanes << bits)
    codes = np.stack([(i + i // (1 << bits) + column) % (1 << bits) for column in range(config.cols)]).astype(np.uint8)
    weight = random_weight(np.random.default_rng(bits), *codes.shape, [name], config.group_size)
    selectors = np.broadcast_to(np.arange(config.cols)[:, None] % 4 * fmt.is_float, weight.selectors.shape).astype(np.uint8)
    values = values_of(codes, weight.group_fmts, selectors, config.group_size, weight.special_values)
    return replace(weight, codes=codes, selectors=selectors, values=values)


def test_every_code():
    """Each code of each format with each selector in each lane, against activations of all kinds, NaN payloads among them."""
    config, seed = CONFIGS["all_formats"], resolve_seed()
    bench, rng = EngineBench(BITMOD, config), np.random.default_rng(seed)
    for fmt in config.formats:
        qweight = weight_of_all_codes(fmt, config)
        x = random_activations(rng, config.rows, qweight.shape[1])
        assert bench.problems(Case(fmt.name, BITMOD.product(x, qweight, config)), seed) == []
        x[:, ::7] = rng.choice(np.array([0x7C00, 0xFC00, 0x7C01, 0xFE55, 0x7FFF], np.uint16), x[:, ::7].shape).view(np.float16)
        assert bench.problems(Case(f"{fmt.name}, NaN", BITMOD.product(x, qweight, config)), seed) == []


def test_every_special_value():
    """Each that a register takes, written during the first group, which adds nothing."""
    config, seed = CONFIGS["all_formats"], resolve_seed()
    bench, x = EngineBench(BITMOD, config), random_activations(np.random.default_rng(seed), 2, 64)
    x[:, : config.group_size] = 0
    qweight = weight_of_all_codes(Format.FP4, config)
    for value in sorted({sign * magnitude for magnitude in DENSE_SPECIAL_MAGNITUDES for sign in (1, -1)}):
        own = (*config.special_fp4[:2], value, config.special_fp4[3])
        written = replace(config, special_fp4=own)
        special = {**qweight.special_values, Format.FP4: own}
        values = values_of(qweight.codes, qweight.group_fmts, qweight.selectors, config.group_size, special)
        product = BITMOD.product(x, replace(qweight, special_values=special, values=values), written)
        word = value & 63 | 2 << 6 | 1 << 8 | 1 << 9
        assert bench.problems(Case(f"special value {value}", product), seed, hold={"special_values": word}) == []


def test_faults_are_detected():
    config, seed = replace(CONFIGS["all_formats"], cols=2, drain=1), resolve_seed()
    bench, rng = EngineBench(BITMOD, config, FaultyEngine), np.random.default_rng(seed)
    products = [Case(str(fmts), BITMOD.product(random_activations(rng, 2, 80), random_weight(rng, 2, 80, fmts, 32), config))
                for fmts in (["bitmod-fp4", "int8"], ["int4", "bitmod-fp3"])]

    def problems(fault):
        for case in products:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, timeout_cycles=1000)

    check_faults(problems, Fault)


def test_error_flags():
    """Each error of the shell and of the core is raised by its cause and by nothing else."""
    config, seed = replace(CONFIGS["all_formats"], max_k=96), resolve_seed()
    bench, rng = EngineBench(BITMOD, config), np.random.default_rng(seed)
    good = BITMOD.product(np.ones((2, 96), np.float16), random_weight(rng, 4, 96, ["int8"], 32), config)
    cases = shell_errors(good, config)
    cases += [Case("NaN", spoil(good, config, "activations", "data", (5, 1, 2), np.nan, ["nonfinite"]), True),
              Case("exponent", spoil(good, config, "activations", "exponents", (8, 1), 14, ["exponent"]), True)]
    bench.check_cocotb(cases, seed, "engine_errors")
