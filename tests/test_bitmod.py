# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact BitMoD model: against plain integers, against float64, its packer, its cycle count."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden import bitmod
from subbyte.golden.bitmod import BitModConfig, QuantizedWeight, quantize
from subbyte.golden.bitmod.formats import Format

FORMATS = ["int3", "int4", "int5", "int6", "int8", "fp3", "fp4", "bitmod-fp3", "bitmod-fp4"]
SMALL = BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2)


def random_operands(seed, m, n, k, fmt="bitmod-fp4", group_size=32, **kwargs):
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.02, (n, k)).astype(np.float32)
    x = (rng.normal(0, 1, (m, k)) * np.exp(rng.normal(0, 1, (m, k)))).astype(np.float16)
    return x, quantize(weight, fmt, group_size=group_size, **kwargs)


def mixed(seed, n, fmts=("int8", "bitmod-fp3", "int6", "bitmod-fp4"), group_size=32, ragged=12):
    """A tensor whose groups differ in format; the last one is short."""
    rng = np.random.default_rng(seed)
    widths = [group_size] * (len(fmts) - 1) + [ragged]
    parts = [quantize(rng.normal(0, 0.02, (n, k)).astype(np.float32), fmt, group_size=group_size)
             for fmt, k in zip(fmts, widths, strict=True)]
    return QuantizedWeight.concatenate(parts)


def nearest(value, fraction_bits, least):
    """Round a Fraction to nearest even with a significand of ``fraction_bits + 1`` bits and a least exponent."""
    if value == 0:
        return value
    exponent = max(len(bin(abs(value.numerator))) - len(bin(value.denominator)) - 1, least)
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - fraction_bits)
    return round(value / unit) * unit


def matmul_in_integers(x, qweight, config):
    """The definition in the module's docstring, one product at a time, in Python integers and fractions."""
    m, k = x.shape
    n = qweight.shape[0]
    y = np.zeros((m, n))
    for row in range(m):
        for column in range(n):
            total = Fraction(0)
            for group, start in enumerate(range(0, k, config.group_size)):
                acc, alignment = 0, 1
                stop = min(start + config.group_size, k)
                for beat in range(start, stop, config.lanes):
                    lanes = range(beat, min(beat + config.lanes, stop))
                    parts = []
                    for i in lanes:
                        bits = int(x[row, i : i + 1].view(np.uint16)[0])
                        exponent = bits >> 10 & 31
                        usable = exponent != 31
                        significand = (bits & 1023 | (exponent != 0) << 10) * usable
                        parts.append((-1 if bits >> 15 else 1, max(exponent, 1) if usable else 1, significand, i))
                    highest = max([alignment] + [part[1] for part in parts])
                    acc = acc >> (highest - alignment)
                    alignment = highest
                    for sign, exponent, significand, i in parts:
                        exact = Fraction(significand << config.guard_bits, 1 << (alignment - exponent))
                        aligned = sign * int(exact + Fraction(1, 2))
                        acc += aligned * int(qweight.values[column, i])
                product = acc * int(qweight.scale_codes[column, group])
                total = nearest(total + product * Fraction(2) ** (alignment + config.exponent_bias), 23, -126)
            exact = total * Fraction(float(qweight.channel_scales[column]))
            y[row, column] = nearest(exact, *((23, -126) if config.output == "float32" else (10, -14)))
    return y


@pytest.mark.parametrize("output", ["float32", "float16"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_matmul_is_its_definition(fmt, output):
    x, qweight = random_operands(1, 3, 5, 44, fmt)
    x[0, :4] = [0, 6e-8, -1e-5, np.float16(65504)]
    config = BitModConfig(rows=2, cols=4, lanes=4, group_size=32, output=output)
    y = bitmod.matmul(x, qweight, config)
    assert y.dtype == np.dtype(output)
    np.testing.assert_array_equal(y.astype(np.float64), matmul_in_integers(x, qweight, config))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    bits=st.lists(st.integers(0, 65535), min_size=36, max_size=36),
    seed=st.integers(0, 1000),
    lanes=st.sampled_from([1, 2, 4, 8]),
    guard_bits=st.sampled_from([0, 1, 4, 9]),
)
def test_matmul_on_any_activations(bits, seed, lanes, guard_bits):
    x = np.array([bits], np.uint16).view(np.float16)
    qweight = mixed(seed, 2, ("int8", "bitmod-fp4"), ragged=4)
    config = BitModConfig(rows=1, cols=2, lanes=lanes, group_size=32, guard_bits=guard_bits, drain=1)
    y, flags = bitmod.matmul(x, qweight, config, flags=True)
    np.testing.assert_array_equal(y.astype(np.float64), matmul_in_integers(x, qweight, config))
    assert flags.nonfinite.item() == bool(~np.isfinite(x).all())
    error = np.abs(y - bitmod.reference(x, qweight))
    assert np.all(error <= bitmod.error_bound(x, qweight, config))


def test_the_error_bound_is_not_loose_by_orders():
    """Activations just under half a unit of a later, large one: the alignment drops or rounds each of them."""
    config = BitModConfig(rows=1, cols=1, lanes=4, drain=1)
    weight = np.full((1, 128), 1, np.float32)
    qweight = quantize(weight, "int8")
    unit = 2.0 ** (29 - config.guard_bits - 25)
    x = np.full((1, 128), 0.499 * unit, np.float16)
    x[0, 0] = 2.0**14
    error = np.abs(bitmod.matmul(x, qweight, config) - bitmod.reference(x, qweight))
    bound = bitmod.error_bound(x, qweight, config)
    assert np.all(error <= bound)
    assert np.all(error >= 0.9 * bound)


def relative_errors(fmt, k, n, m, seed):
    """Error over sqrt(sum (a w)**2), [M, N]; group size 128."""
    x, qweight = random_operands(seed, m, n, k, fmt, group_size=128)
    y = bitmod.matmul(x, qweight, BitModConfig())
    exact = bitmod.reference(x, qweight)
    step = qweight.channel_scales[:, None] * np.repeat(qweight.scale_codes, 128, axis=1)[:, :k].astype(np.float64)
    norm = np.sqrt(np.square(x.astype(np.float64)) @ np.square(qweight.values * step).T)
    return (y - exact) / norm


@pytest.mark.parametrize("k", [128, 1536])
@pytest.mark.parametrize("fmt", FORMATS)
def test_accuracy(fmt, k):
    """1000 groups (of one group an output, and of K = 1536); what rounding to binary16 costs is 2e-4."""
    errors = relative_errors(fmt, k, n=40, m=25, seed=2)
    assert np.sqrt(np.mean(errors**2)) <= 1e-4


def test_nonfinite_activations_contribute_nothing_and_are_reported_by_tile():
    x, qweight = random_operands(3, 4, 8, 32)
    x[3, 5] = np.inf
    x[3, 7] = np.nan
    y, flags = bitmod.matmul(x, qweight, SMALL, flags=True)
    x[3, [5, 7]] = 0
    np.testing.assert_array_equal(y, bitmod.matmul(x, qweight, SMALL))
    np.testing.assert_array_equal(flags.nonfinite, [[False, False], [True, True]])


def test_overflow_of_float16_is_infinite_and_reported():
    weight = np.full((4, 32), 8, np.float32)
    weight[1] = -8
    weight[2:] = 1
    x = np.full((2, 32), 1000, np.float16)
    x[1] = 1
    config = BitModConfig(rows=1, cols=2, lanes=4, group_size=32, output="float16", drain=1)
    y, flags = bitmod.matmul(x, quantize(weight, "int8", group_size=32), config, flags=True)
    np.testing.assert_array_equal(y[0, :2], [np.inf, -np.inf])
    assert np.isfinite(y[0, 2:]).all() and np.isfinite(y[1]).all()
    np.testing.assert_array_equal(flags.overflow, [[True, False], [False, False]])


@pytest.mark.parametrize("config", [SMALL, BitModConfig(rows=3, cols=5, lanes=8, group_size=32, drain=5)])
@pytest.mark.parametrize("m_tiles", [1, 3])
def test_pack_is_undone_by_unpack(config, m_tiles):
    qweight = mixed(4, 11)
    words = bitmod.pack(qweight, config, m_tiles=m_tiles)
    back = bitmod.unpack(words, config, *qweight.shape, m_tiles=m_tiles)
    for name, array in back.items():
        np.testing.assert_array_equal(array, getattr(qweight, name), err_msg=name)
    assert set(back) == {"codes", "group_formats", "selectors", "scale_codes", "channel_scales"}


def test_packed_bits_are_where_the_layout_says():
    """One column, one lane: code, selector, format, last from bit 0 up."""
    config = BitModConfig(rows=1, cols=1, lanes=1, group_size=32, drain=1, formats=(Format.FP4,))
    qweight = quantize(np.linspace(-1, 1, 32, dtype=np.float32)[None], "fp4-ea-neg", group_size=32)
    words = bitmod.pack(qweight, config)
    expected = qweight.codes[0].astype(int) | 3 << 4 | Format.FP4 << 6
    np.testing.assert_array_equal(words["weights"][:, 0], (expected & 255))
    np.testing.assert_array_equal(words["weights"][:, 1], expected >> 8 | np.arange(32) // 31 << 1)
    np.testing.assert_array_equal(words["scales"], [[255, 1]])
    np.testing.assert_array_equal(words["constants"], [qweight.channel_scales.view(np.uint8)])


def test_words_of_a_wrong_number_are_refused():
    words = bitmod.pack(mixed(4, 8), SMALL)
    with pytest.raises(ValueError, match=r"^weights must have 54 beats, not 53$"):
        bitmod.unpack({**words, "weights": words["weights"][1:]}, SMALL, 8, 108)


def test_timeline_by_hand():
    """Two tiles of beats of 2 terms. With 4 groups the drain of the first tile hides; with one the second tile waits for it."""
    config = BitModConfig(rows=1, cols=2, lanes=4, group_size=32, drain=1)
    timing = config.timing
    for k, last_term in ((128, 2 * 64 - 1), (32, 16 - 1 + timing.result + timing.drain_beats)):
        _, qweight = random_operands(5, 2, 2, k)
        timeline = config.timeline(2, 2, config.schedule(qweight))
        assert timeline.busy == 2 * k // 4 * 2
        assert timeline.cycles == last_term + timing.result + timing.drain_beats + timing.to_outputs
        assert timeline.occupancy == 1
        assert config.cycles(2, 2, k, config.schedule(qweight)) == timeline.cycles
    with pytest.raises(ValueError, match="^k must be the schedule's 32, not 33$"):
        config.cycles(2, 2, 33, config.schedule(qweight))


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("fmt", ["bitmod-fp4", "bitmod-fp3", "int6", "int8"])
def test_utilization_on_a_real_shape(fmt, lanes):
    """576 x 1536, eight tokens, group size 128: at least 97 %."""
    config = BitModConfig(lanes=lanes)
    qweight = quantize(np.ones((1536, 576), np.float32), fmt)
    assert config.timeline(8, 1536, config.schedule(qweight)).utilization >= 0.97


@pytest.mark.parametrize(("changes", "message"), [
    ({"rows": 0}, "rows must be at least 1, not 0"),
    ({"lanes": 3}, "lanes must divide group_size 128, not be 3"),
    ({"group_size": 48}, "group_size must be 32, 64, 128 or 256, not 48"),
    ({"scale_bits": 9}, "scale_bits must be 2 to 8, not 9"),
    ({"guard_bits": 14}, "guard_bits must be 0 to 13, not 14"),
    ({"drain": 3}, "drain must divide cols 8, not be 3"),
    ({"output": "bfloat16"}, "output must be 'float32' or 'float16', not 'bfloat16'"),
    ({"dequant_chunk": 0}, "dequant_chunk must be None or at least 1, not 0"),
    ({"max_k": 2**20 + 1}, "max_k must be at most 1048576, not 1048577"),
    ({"sum_stages": 7}, "sum_stages must be 1 to 6, not 7"),
    ({"output_stages": 2}, "output_stages must be 3 to 26, not 2"),
    ({"formats": ()}, r"formats must name at least one of INT3, .*, FP4, each once, not \(\)"),
    ({"formats": ("int9",)}, r"formats must name at least one of INT3, .*, FP4, each once, not \('int9',\)"),
    ({"formats": (99,)}, r"formats must name at least one of INT3, .*, FP4, each once, not \(99,\)"),
    ({"special_fp3": 7}, "special_fp3 must be four integers, not 7"),
    ({"special_fp3": (1.5, 2, 3, 4)}, r"special_fp3 must be four integers, not \(1.5, 2, 3, 4\)"),
    ({"special_fp3": (3, -3, 6)}, r"special_fp3 must be four integers, not \(3, -3, 6\)"),
    ({"special_fp4": (11, 0, 0, 0)}, "special_fp4: special value must be .* not 11"),
])
def test_config_names_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        BitModConfig(**changes)


@pytest.mark.parametrize(("changes", "message"), [
    ({"rows": 2.0}, "rows must be an integer, not 2.0"),
    ({"scale_bits": 4.0}, "scale_bits must be an integer, not 4.0"),
    ({"guard_bits": True}, "guard_bits must be an integer, not True"),
    ({"dequant_chunk": "8"}, "dequant_chunk must be an integer or None, not '8'"),
    ({"formats": "INT3"}, "formats must be a sequence of formats, not 'INT3'"),
    ({"formats": None}, "formats must be a sequence of formats, not None"),
])
def test_config_wants_the_right_types(changes, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        BitModConfig(**changes)


def test_formats_by_name():
    assert BitModConfig(formats=("fp4", Format.INT8)).formats == (Format.FP4, Format.INT8)


@pytest.mark.parametrize(("changes", "message"), [
    ({"scale_bits": None}, r"qweight must have second-level scales \(scale_bits 2 to 8\), not scale_bits=None"),
    ({"scale_bits": 6}, "qweight.scale_bits must be the config's 8, not 6"),
    ({"group_size": 64}, "qweight.group_size must be the config's 32, not 64"),
])
def test_a_weight_that_does_not_fit_is_refused(changes, message):
    x, qweight = random_operands(6, 2, 4, 64, **changes)
    for call in (lambda: bitmod.matmul(x, qweight, SMALL), lambda: bitmod.pack(qweight, SMALL)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            call()


def test_formats_special_values_and_k_must_be_the_engines():
    x, qweight = random_operands(7, 2, 4, 64)
    with pytest.raises(ValueError, match=r"^qweight's format FP4 must be one of the config's \['INT8'\]$"):
        bitmod.matmul(x, qweight, BitModConfig(group_size=32, formats=(Format.INT8,)))
    with pytest.raises(ValueError, match="^qweight.special_values of FP4 must be the config's"):
        bitmod.matmul(x, qweight, BitModConfig(group_size=32, special_fp4=(10, -10, 16, -12)))
    with pytest.raises(ValueError, match="^K must be at most max_k 32, not 64$"):
        bitmod.matmul(x, qweight, BitModConfig(group_size=32, max_k=32))


def test_scale_codes_and_selectors_must_fit():
    _, qweight = random_operands(9, 2, 4, 64, scale_bits=2)
    config = BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2, scale_bits=2)
    with pytest.raises(ValueError, match="^qweight.scale_codes must fit 2 bits, not reach 9$"):
        bitmod.pack(replace(qweight, scale_codes=np.full_like(qweight.scale_codes, 9)), config)
    with pytest.raises(ValueError, match="^qweight.selectors must be 0 to 3, not reach 4$"):
        bitmod.pack(replace(qweight, selectors=np.full_like(qweight.selectors, 4)), config)
    with pytest.raises(ValueError, match="^m_tiles must be at least 1, not 0$"):
        bitmod.pack(qweight, config, m_tiles=0)
    with pytest.raises(ValueError, match="^m must be at least 1, not 0$"):
        config.cycles(0, 4, 64, config.schedule(qweight))
    with pytest.raises(TypeError, match="^config must be a BitModConfig, not None$"):
        bitmod.pack(qweight, None)


def test_activations_must_match():
    x, qweight = random_operands(8, 2, 4, 64)
    with pytest.raises(TypeError, match="^x must be float16, not float32$"):
        bitmod.matmul(x.astype(np.float32), qweight, SMALL)
    with pytest.raises(ValueError, match="^x must have K = 64 like the weight, not 60$"):
        bitmod.matmul(x[:, :60], qweight, SMALL)
    with pytest.raises(ValueError, match=r"^x must have shape \[M, K\]"):
        bitmod.matmul(x[0], qweight, SMALL)


def test_accumulator_holds_the_worst_case():
    """All activations and codes at their largest: the partial sum is within a bit of the width and does not wrap."""
    config = BitModConfig(rows=1, cols=1, lanes=4, group_size=256, drain=1)
    qweight = quantize(np.full((1, 256), 1, np.float32), "int8", group_size=256)
    x = np.full((1, 256), 65504, np.float16)
    acc, _ = bitmod.group_sum(x, np.full((1, 256), -128, np.int16), config)
    assert -(2 ** (config.accumulator_bits - 1)) <= acc.item() < -(2 ** (config.accumulator_bits - 2))
    assert np.abs(bitmod.matmul(x, qweight, config) - bitmod.reference(x, qweight)) <= bitmod.error_bound(x, qweight, config)
