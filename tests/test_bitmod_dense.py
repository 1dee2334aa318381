# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact model of BitMoD's dense form: against plain integers and fractions, against float64, its cycles."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from subbyte.golden import bitmod
from subbyte.golden.bitmod import BitModConfig
from subbyte.golden.bitmod.formats import Format
from subbyte.tests.test_bitmod import FORMATS, nearest, random_operands

CONFIG = BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2, form="dense")


def matmul_in_integers(x, qweight, config):
    """The definition in the model's docstring, one product at a time."""
    y = np.zeros((len(x), qweight.shape[0]))
    for row, column in np.ndindex(y.shape):
        total, running = 0, None
        for group, start in enumerate(range(0, x.shape[1], config.group_size)):
            parts = []
            for i in range(start, min(start + config.group_size, x.shape[1])):
                bits = int(x[row, i : i + 1].view(np.uint16)[0])
                exponent = bits >> 10 & 31
                if exponent != 31:
                    parts.append((-1 if bits >> 15 else 1, max(exponent, 1), bits & 1023 | (exponent != 0) << 10, i))
            highest = max([1, *(part[1] for part in parts)])
            acc = 0
            for sign, exponent, significand, i in parts:
                exact = Fraction(significand << config.guard_bits, 1 << (highest - exponent))
                acc += sign * int(exact + Fraction(1, 2)) * int(qweight.values[column, i])
            risen = highest if running is None else max(running, highest)
            scaled = (acc >> (risen - highest)) * int(qweight.scale_codes[column, group])
            total = (total >> (risen - (running or risen))) + scaled
            running = risen
        single = nearest(total * Fraction(2) ** (running + config.exponent_bias), 23, -126)
        scaled = single * Fraction(float(qweight.channel_scales[column]))
        y[row, column] = nearest(scaled, *((23, -126) if config.output == "float32" else (10, -14)))
    return y


@pytest.mark.parametrize("output", ["float32", "float16"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_matmul_is_its_definition(fmt, output):
    x, qweight = random_operands(1, 3, 5, 108, fmt)
    x[0, :4] = [0, 6e-8, -1e-5, np.float16(65504)]
    x[1, 60], x[2, 40] = np.inf, 6e4
    config = replace(CONFIG, output=output)
    y = bitmod.matmul(x, qweight, config)
    np.testing.assert_array_equal(y.astype(np.float64), matmul_in_integers(x, qweight, config))
    assert np.all(np.abs(y - bitmod.reference(x, qweight)) <= bitmod.error_bound(x, qweight, config))


def test_the_bound_holds_where_exponents_rise_and_fall():
    x, qweight = random_operands(2, 16, 8, 512, "int8")
    x = (x * np.repeat(2.0 ** np.random.default_rng(3).integers(-12, 8, (16, 16)), 32, axis=1)).astype(np.float16)
    for guard_bits in (0, 4, 9):
        config = replace(CONFIG, guard_bits=guard_bits)
        error = np.abs(bitmod.matmul(x, qweight, config) - bitmod.reference(x, qweight))
        assert np.all(error <= bitmod.error_bound(x, qweight, config))


@pytest.mark.parametrize(("outlier", "limit"), [(None, 1e-4), (1000, 4e-4)])
def test_error_of_long_tails(outlier, limit):
    """Over sqrt(sum (a w)^2), rms, of K = 1536; without and with an outlier in each token."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (64, 1536)) * np.exp(rng.normal(0, 1, (64, 1536)))
    if outlier:
        x[np.arange(64), rng.integers(0, 1536, 64)] = outlier * rng.choice([-1, 1], 64)
    x, qweight = x.astype(np.float16), bitmod.quantize(rng.normal(0, 0.02, (96, 1536)).astype(np.float32), "bitmod-fp4")
    weight = bitmod.reference(np.eye(1536, dtype=np.float16), qweight)
    error = bitmod.matmul(x, qweight, BitModConfig(form="dense")) - bitmod.reference(x, qweight)
    assert np.sqrt(np.mean(error**2 / (x.astype(np.float64) ** 2 @ weight**2))) < limit


def test_cycles_of_a_weight():
    """One for up to four bits, two for more."""
    assert {fmt.name: CONFIG.terms_of(fmt) for fmt in Format} == {
        "INT3": 1, "INT4": 1, "INT5": 2, "INT6": 2, "INT8": 2, "FP3": 1, "FP4": 1}


@pytest.mark.parametrize(("k", "dequantizers", "lost"), [(1536, 1, 0), (576, 1, 4), (576, 2, 0)])
def test_steady_utilization(k, dequantizers, lost):
    """Cycles of a tile in the long run: of its beats, and those that a short last group waits until all rows were visited."""
    config = BitModConfig(form="dense", rows=8, cols=16, lanes=16, drain=8, dequantizers=dequantizers)
    work = config.formats_taken[Format.FP4.value]
    assert config.tile_distance(work, k // config.lanes) == k // config.lanes + lost
    qweight = random_operands(1, 1, 160, k, "int4", 128)[1]
    line = config.timeline(8, 160, config.schedule(qweight))
    last_drain = config.timing.result + config.drain_beats + config.timing.to_outputs
    steady = line.cycles - last_drain
    assert steady == 10 * (k // config.lanes + lost) - 1
    assert line.busy / steady >= {(1536, 1): 0.97, (576, 1): 0.88, (576, 2): 0.97}[k, dequantizers]


def test_parameters_are_checked():
    for changed, message in (({"form": "thin"}, "form must be 'serial' or 'dense'"),
                             ({"dequantizers": 3}, "dequantizers must be 1 or 2, not 3"),
                             ({"form": "serial", "dequantizers": 2}, "dequantizers must be 1 without form 'dense', not 2"),
                             ({"special_fp4": (7, -7, 1, 2)}, "special_fp4 of form 'dense' must have magnitudes"),
                             ({"guard_bits": 13, "max_k": 2**20}, "max_k must be less")):
        with pytest.raises(ValueError, match=message):
            replace(CONFIG, **changed)
