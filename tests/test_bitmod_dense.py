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


def test_cycles_of_a_weight():
    """One for up to four bits, two for more."""
    assert {fmt.name: CONFIG.terms_of(fmt) for fmt in Format} == {
        "INT3": 1, "INT4": 1, "INT5": 2, "INT6": 2, "INT8": 2, "FP3": 1, "FP4": 1}


def test_parameters_are_checked():
    for changed, message in (({"form": "thin"}, "form must be 'serial' or 'dense'"),
                             ({"special_fp4": (7, -7, 1, 2)}, "special_fp4 of form 'dense' must have magnitudes"),
                             ({"guard_bits": 13, "max_k": 2**20}, "max_k must be less")):
        with pytest.raises(ValueError, match=message):
            replace(CONFIG, **changed)
