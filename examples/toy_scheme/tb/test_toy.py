# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The toy engine, bit for bit against golden, under Verilator: compiled for volume, and in cocotb."""

import numpy as np
import pytest

from subbyte.golden.toy import Quantized, ToyConfig
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors

CONFIG = ToyConfig(rows=2, cols=3, lanes=4, drain=1, max_beats=5)


@pytest.fixture(scope="module")
def bench():
    return EngineBench(scheme("toy"), CONFIG)


def toy_product(rng, m, n, k):
    """Random operands; the first row and the first column are extremes."""
    x, w = rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (n, k))
    x[0], w[0] = -128, -128
    operands = (Quantized(codes.astype(np.int8), np.ones(len(codes), np.float32)) for codes in (x, w))
    return scheme("toy").product(*operands, CONFIG)


def test_engine(bench):
    """Shapes that fill tiles, and ragged ones."""
    seed = resolve_seed()
    rng = np.random.default_rng(seed)
    cases = [Case(f"{m} x {n} x {k}", toy_product(rng, m, n, k)) for m, n, k in ((2, 3, 20), (3, 4, 1), (5, 7, 18))]
    bench.check(cases, seed)
    bench.check_cocotb(cases, seed)


def test_error_flags(bench):
    """Each error of the shell is raised by its cause and by nothing else."""
    seed = resolve_seed()
    product = toy_product(np.random.default_rng(seed), 2, 3, 20)
    bench.check_cocotb(shell_errors(product, CONFIG), seed, "engine_errors")


def test_a_wrong_sum_is_seen(bench):
    """What golden would never say turns the bench red."""
    product = toy_product(np.random.default_rng(1), 2, 3, 20)
    product.outputs[0, 0] ^= 1
    assert bench.problems(Case("wrong", product), 1)
