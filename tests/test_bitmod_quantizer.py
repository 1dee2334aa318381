# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD quantizer: the authors' vectors, a scalar re-derivation, edge rows, packing choices and bad input."""

import dataclasses
import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden.bitmod import formats, quantizer, search
from subbyte.golden.bitmod.formats import DEFAULT_SPECIAL_VALUES, Format, decode
from subbyte.golden.bitmod.quantizer import FORMATS, QuantizedWeight, mean_squared_error, quantize, round_groups, split_groups
from subbyte.tests.recordings import recordings

(VECTORS,) = recordings("bitmod_gauss_g128.npz")
SELECTORS = ["er-pos", "er-neg", "ea-pos", "ea-neg"]
CLAMP = np.float16(1e-5)


@pytest.fixture(scope="module")
def vectors():
    with np.load(VECTORS, allow_pickle=False) as archive:
        return dict(archive)


def vector_prefix(fmt):
    """Key of a type in the vectors."""
    if fmt.startswith("int"):
        return f"gauss__{fmt}_sym__g128__"
    if fmt.startswith("bitmod-"):
        return f"gauss__b{fmt[-1]}__mixed_bitmod__g128__"
    return f"fixed__gauss__b{fmt[2]}__{fmt.replace('-', '_')}__g128__"


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("source", ["gauss_f16", "gauss_f32"])
def test_authors_vectors(vectors, fmt, source):
    prefix = vector_prefix(fmt)
    quantized = quantize(vectors[source], fmt, scale_bits=None)
    np.testing.assert_array_equal(quantized.values, vectors[prefix + "q"])
    np.testing.assert_array_equal(quantized.scales, vectors[prefix + "scale"])
    np.testing.assert_array_equal(quantized.dequantize(), vectors[prefix + "dq"].astype(np.float32))
    if prefix + "sel" in vectors:
        np.testing.assert_array_equal(quantized.selectors, vectors[prefix + "sel"])


@pytest.mark.parametrize("fmt", [Format.FP3, Format.FP4])
def test_authors_errors(vectors, fmt):
    groups = split_groups(vectors["gauss_f16"], 128)
    for selector, special_value in enumerate(DEFAULT_SPECIAL_VALUES[fmt]):
        values, scales = round_groups(groups, np.abs(groups).max(-1), fmt, special_value)
        error = mean_squared_error(groups, values, scales, np.array([128, 128]))
        np.testing.assert_array_equal(error, vectors[f"gauss__b{fmt.bits}__mixed_bitmod__g128__err16"][selector])


@pytest.mark.parametrize("places, expected", [((8, 40), 16 + 2**-6), ((8, 9), 16), ((8, 16), 16)])
def test_order_of_the_float32_sum(places, expected):
    """Squares 1024 + 1/4 + 1/4 lie half-way between two float16 means; two squares of 2**-14, each lost beside 1024 in
    float32, decide only if they are added to each other first. The running sums do that for elements 32 apart."""
    group = np.zeros(64, np.float16)
    group[[0, 1, 33]] = 32, 0.5, 0.5
    group[list(places)] += np.float16(2**-7)
    nothing, scale = np.zeros((1, 1, 64), np.int16), np.ones((1, 1), np.float16)
    assert mean_squared_error(group[None, None], nothing, scale, np.array([64])) == expected
    assert scalar_error(group, nothing[0, 0], scale[0, 0]) == expected


# --- an independent derivation: one number at a time, lists and comparisons as in the published procedure ---

MAGNITUDES = {"fp3": [0, 1, 2, 4], "fp4": [0, 1, 2, 3, 4, 6, 8, 12]}
EXTRA = {"fp3": dict(zip(SELECTORS, [3, -3, 6, -6])), "fp4": dict(zip(SELECTORS, [10, -10, 16, -16]))}


def scalar_round(group, fmt):
    """(values, scale) of one group and one fixed type."""
    if fmt.startswith("int"):
        allowed = list(range(-(2 ** (int(fmt[3]) - 1) - 1), 2 ** (int(fmt[3]) - 1)))
    else:
        base, _, kind = fmt.partition("-")
        extra = {EXTRA[base][kind]} if kind else set()
        allowed = sorted({sign * m for m in MAGNITUDES[base] for sign in (1, -1)} | extra)
    scale = np.float16(max(abs(x) for x in group) / np.float16(max(abs(v) for v in allowed)))
    scale = min(max(scale, CLAMP), np.float16(1e4))
    values = []
    for x in group:
        quotient = float(np.float16(x / scale))
        if fmt.startswith("int"):
            values.append(min(max(round(quotient), allowed[0]), allowed[-1]))  # Python rounds half to even
        else:
            above = (low for low, high in zip(allowed, allowed[1:]) if quotient <= (low + high) / 2)
            values.append(next(above, allowed[-1]))
    return values, scale


def scalar_error(group, values, scale):
    """Mean squared error in float16; the float32 sum of 32 strided running sums, folded 4 x 8 and then in order."""
    sums = [np.float32(0)] * 32
    with np.errstate(over="ignore"):
        for index, (x, value) in enumerate(zip(group, values)):
            difference = np.float16(np.float16(value) * scale) - x
            sums[index % 32] = sums[index % 32] + np.float32(np.float16(difference * difference))
        lanes = [((sums[k] + sums[k + 8]) + sums[k + 16]) + sums[k + 24] for k in range(8)]
        total = lanes[0]
        for lane in lanes[1:]:
            total = total + lane
        return np.float16(total / np.float32(len(group)))


def scalar_quantize(group, fmt):
    """(values, scale, selector) of one group."""
    base, _, kind = fmt.partition("-")
    if base != "bitmod":
        return *scalar_round(group, fmt), SELECTORS.index(kind) if kind else 0
    best = ([0] * len(group), CLAMP, 0, np.float16(1e3))
    for selector, name in enumerate(SELECTORS):
        values, scale = scalar_round(group, f"{kind}-{name}")
        error = scalar_error(group, values, scale)
        if error < best[3]:
            best = values, scale, selector, error
    return best[:3]


def assert_equals_scalar(weight, fmt, group_size):
    quantized = quantize(weight, fmt, group_size, scale_bits=None)
    for row, numbers in enumerate(weight.astype(np.float16)):
        for group, start in enumerate(range(0, len(numbers), group_size)):
            values, scale, selector = scalar_quantize(list(numbers[start:start + group_size]), fmt)
            where = f"row {row}, group {group}"
            np.testing.assert_array_equal(quantized.values[row, start:start + group_size], values, where)
            assert (quantized.scales[row, group], quantized.selectors[row, group]) == (scale, selector), where
    special_values = quantized.special_values.get(quantized.format)
    spread = np.repeat(quantized.selectors, group_size, axis=1)[:, :weight.shape[1]]
    np.testing.assert_array_equal(decode(quantized.codes, quantized.format, spread, special_values), quantized.values)


@pytest.mark.parametrize("group_size", [32, 64, 128, 256])
@pytest.mark.parametrize("fmt", FORMATS)
def test_scalar_derivation(fmt, group_size):
    """Gaussian, heavy-tailed, half-integer and huge rows with a ragged last group."""
    rng = np.random.default_rng([group_size, FORMATS.index(fmt)])
    columns = group_size + 37
    weight = np.stack([
        rng.normal(0, 0.02, columns), rng.standard_t(2, columns), rng.normal(0, 300, columns),
        rng.integers(-32, 33, columns) / 2, rng.normal(0, 2e-5, columns), rng.choice([-1.0, 1.0], columns),
    ]).astype(np.float16)
    assert_equals_scalar(weight, fmt, group_size)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.sampled_from([name for name in FORMATS if name.startswith("bitmod")]), st.sampled_from([32, 64]), st.data())
def test_scalar_derivation_of_any_bit_pattern(fmt, group_size, data):
    """Any finite float16 numbers, subnormals and the largest included."""
    count = data.draw(st.integers(1, 80))
    bits = st.integers(-0x7bff, 0x7bff)  # magnitude bits up to the largest finite number, and a sign
    bits = np.array(data.draw(st.lists(bits, min_size=count, max_size=count)))
    weight = np.abs(bits).astype(np.uint16).view(np.float16) * np.where(bits < 0, -1, 1).astype(np.float16)
    assert_equals_scalar(weight[None], fmt, group_size)


# --- edge rows ---

@pytest.mark.parametrize("fmt", FORMATS)
def test_group_of_zeros(fmt):
    weight = np.zeros((2, 256), np.float16)
    weight[0, :128] = 8
    weight[1] = -0.0
    quantized = quantize(weight, fmt)
    assert not quantized.codes[1].any() and not quantized.values[1].any()
    assert (quantized.scales[1] == CLAMP).all()
    assert not quantized.codes[0, 128:].any() and quantized.scale_codes[0, 1] == 0  # 1e-5 vanishes beside 8 / qmax
    assert quantized.channel_scales[1] > 0
    assert not quantized.dequantize()[1].any()


def test_scale_is_clamped_or_subnormal():
    weight = np.zeros((2, 128), np.float16)
    weight[0, :3] = 4e-5, -2e-5, 1.2e-5  # 4e-5 / 7 is below the clamp
    weight[1, :3] = 9e-5, -4.6e-5, 1e-5  # 9e-5 / 7 is a subnormal above it
    quantized = quantize(weight, "int4", scale_bits=None)
    assert quantized.scales[0, 0] == CLAMP == np.float16(168 * 2.0**-24)
    assert quantized.scales[1, 0] == np.float16(np.float16(9e-5) / np.float16(7))
    assert quantized.values[:, :3].tolist() == [[4, -2, 1], [7, -4, 1]]


def test_scale_has_a_maximum():
    weight = np.zeros((1, 32), np.float16)
    weight[0, 0] = 65504
    quantized = quantize(weight, "int3", 32, None)
    assert quantized.scales[0, 0] == 1e4 and quantized.values[0, 0] == 3


def test_largest_number_may_dequantize_to_infinity():
    """65504 / 15 rounds up to 4368, and 15 * 4368 is past the largest float16: so do the authors."""
    weight = np.zeros((1, 32), np.float16)
    weight[0, 0] = 65504
    assert quantize(weight, "int5", 32, None).dequantize()[0, 0] == np.inf
    assert np.isfinite(quantize(weight, "int5", 32).dequantize()).all()


@pytest.mark.parametrize("fmt", ["bitmod-fp3", "bitmod-fp4"])
def test_group_that_no_candidate_represents_is_zero(fmt):
    rng = np.random.default_rng(3)
    weight = rng.normal(0, [[3000], [0.1]], (2, 256)).astype(np.float16)
    weight[0, :128] /= 1e4
    quantized = quantize(weight, fmt, scale_bits=None)
    assert not quantized.codes[0, 128:].any() and not quantized.selectors[0, 1]
    assert quantized.scales[0, 1] == CLAMP  # so that it does not inflate the row's channel scale
    assert quantized.values[0, :128].any() and quantized.values[1].any()
    assert quantize(weight, f"{fmt[7:]}-er-pos").values[0, 128:].any()  # fixed types have no such limit


def test_ties_at_mid_points():
    """Half-way quotients: towards minus infinity for the floating-point types, to even for integers."""
    halves = np.array([2.5, -2.5, 3.5, -3.5, 5, -5, 7, -7, 10, -10, 0.5, -0.5, 1.5, -1.5])
    weight = np.zeros((1, 32), np.float16)
    weight[0, :15] = [12, *halves]  # scale 1
    assert quantize(weight, "fp4", 32, None).values[0, 1:15].tolist() == [
        2, -3, 3, -4, 4, -6, 6, -8, 8, -12, 0, -1, 1, -2]
    weight[0, :15] = [15, *halves]
    assert quantize(weight, "int5", 32, None).values[0, 1:15].tolist() == [
        2, -2, 4, -4, 5, -5, 7, -7, 10, -10, 0, 0, 2, -2]


@pytest.mark.parametrize(
    "fmt, largest", [("fp3-ea-pos", -4), ("fp3-ea-neg", 4), ("fp4-ea-pos", -12), ("fp4-ea-neg", 12)])
def test_largest_element_of_the_wrong_sign_saturates(fmt, largest):
    weight = np.zeros((1, 64), np.float16)
    weight[0, 5] = np.copysign(0.25, largest)
    quantized = quantize(weight, fmt, 64, None)
    assert quantized.values[0, 5] == largest
    assert quantized.scales[0, 0] == np.float16(np.float16(0.25) / np.float16(6 if fmt.startswith("fp3") else 16))


@pytest.mark.parametrize("fmt", FORMATS)
def test_constant_magnitude(fmt):
    weight = np.where(np.arange(64) % 3, 0.3, -0.3).astype(np.float16)[None]
    assert_equals_scalar(weight, fmt, 64)


# --- what is stored ---

def test_shapes_and_types_with_a_ragged_last_group():
    weight = np.random.default_rng(0).normal(0, 0.02, (3, 576)).astype(np.float32)
    quantized = quantize(weight, "bitmod-fp4")
    arrays = {name: (array.dtype.name, array.shape) for name, array in vars(quantized).items()
              if isinstance(array, np.ndarray)}
    assert arrays == {
        "codes": ("uint8", (3, 576)), "values": ("int16", (3, 576)), "scales": ("float16", (3, 5)),
        "selectors": ("uint8", (3, 5)), "scale_codes": ("uint8", (3, 5)), "channel_scales": ("float32", (3,))}
    assert quantized.shape == (3, 576) and quantized.fmt == "bitmod-fp4" and quantized.format is Format.FP4
    assert quantized.group_lengths.tolist() == [128] * 4 + [64]
    assert quantized.group_formats.tolist() == [Format.FP4] * 5
    tail = quantize(weight[:, 512:], "bitmod-fp4", 64, None)
    np.testing.assert_array_equal(quantized.values[:, 512:], tail.values)
    np.testing.assert_array_equal(quantized.selectors[:, 4:], tail.selectors)


@pytest.mark.parametrize("fmt, scale_bits, expected", [
    ("int8", 8, 8 + 8 / 128 + 32 / 256), ("fp3", None, 3 + 16 / 128), ("fp4-er-pos", 6, 4 + 6 / 128 + 32 / 256),
    ("bitmod-fp3", 8, 3 + 10 / 128 + 32 / 256), ("bitmod-fp4", None, 4 + 18 / 128)])
def test_bits_per_weight(fmt, scale_bits, expected):
    assert quantize(np.ones((4, 256), np.float16), fmt, scale_bits=scale_bits).bits_per_weight == expected


def test_bits_per_weight_counts_a_short_group_in_full():
    assert quantize(np.ones((4, 192), np.float16), "bitmod-fp3").bits_per_weight == 3 + (2 * 10 + 32) / 192


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("scale_bits", [2, 5, 8])
def test_second_level(fmt, scale_bits):
    weight = np.random.default_rng(1).normal(0, 0.02, (7, 576)).astype(np.float16) * 2 ** np.arange(576.).clip(0, 5)
    first, second = (quantize(weight, fmt, 64, bits) for bits in (None, scale_bits))
    for name in ("codes", "values", "scales", "selectors"):  # chosen with the unquantized scales
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    largest = 2**scale_bits - 1
    for row in range(7):
        scales = [np.float32(scale) for scale in second.scales[row]]
        channel = max(scales) / np.float32(largest)
        assert second.channel_scales[row] == channel
        codes = [round(float(scale / channel)) for scale in scales]
        assert second.scale_codes[row].tolist() == codes and max(codes) == largest
        for column in (0, 63, 64, 575):
            product = np.float32(int(second.values[row, column]) * codes[column // 64]) * channel
            assert second.dequantize()[row, column] == product
    assert second.dequantize().dtype == np.float32


def test_plain_types_have_no_selectors_and_no_negative_zero():
    weight = np.random.default_rng(2).normal(0, 0.02, (4, 256)).astype(np.float16)
    for fmt in ("fp3", "fp4"):
        quantized = quantize(weight, fmt)
        assert not quantized.selectors.any() and not (quantized.codes == quantized.format.negative_zero).any()
    for selector, kind in enumerate(SELECTORS):
        quantized = quantize(weight, f"fp3-{kind}")
        assert (quantized.selectors == selector).all() and (quantized.codes == 0b100).any()
        assert (quantized.values[quantized.codes == 0b100] == DEFAULT_SPECIAL_VALUES[Format.FP3][selector]).all()


def test_other_special_values():
    weight = np.random.default_rng(4).normal(0, 0.02, (4, 256)).astype(np.float16)
    quantized = quantize(weight, "bitmod-fp3", special_values={Format.FP3: (5, -5, 7, -7)})
    assert quantized.special_values == {Format.FP3: (5, -5, 7, -7)}
    assert set(np.abs(quantized.values[quantized.codes == 0b100])) <= {5, 7}
    assert np.abs(quantized.values).max() == 7


def test_concatenate_mixes_formats():
    weight = np.random.default_rng(5).normal(0, [[0.02], [0.3]], (2, 576)).astype(np.float16)
    pieces = {"int8": weight[:, :256], "bitmod-fp3": weight[:, 256:512], "fp4": weight[:, 512:]}
    parts = [quantize(piece, fmt) for fmt, piece in pieces.items()]
    mixed = QuantizedWeight.concatenate(parts)
    assert mixed.shape == (2, 576) and mixed.fmt == "mixed"
    assert mixed.group_formats.tolist() == [Format.INT8] * 2 + [Format.FP3] * 2 + [Format.FP4]
    assert mixed.special_values == DEFAULT_SPECIAL_VALUES
    np.testing.assert_array_equal(mixed.values, np.hstack([part.values for part in parts]))
    np.testing.assert_array_equal(
        mixed.channel_scales, mixed.scales.max(1).astype(np.float32) / np.float32(255))
    assert mixed.bits_per_weight == (256 * 8 + 256 * 3 + 64 * 4 + 5 * 8 + 2 * 2 + 32) / 576
    for column, part in zip((0, 256, 512), parts):
        difference = np.abs(mixed.dequantize()[:, column:column + part.shape[1]] - part.dequantize())
        half_steps = (mixed.channel_scales + part.channel_scales)[:, None] / 2  # each rounded its scale to one step
        assert (difference <= np.abs(part.values) * half_steps * 1.001).all()
    with pytest.raises(ValueError, match=r"^groups must have one format, not \['INT8', 'FP3', 'FP4'\]$"):
        _ = mixed.format
    same = QuantizedWeight.concatenate([parts[0]])
    np.testing.assert_array_equal(same.scale_codes, parts[0].scale_codes)


# --- bad input ---

def ones(rows=1, columns=128):
    return np.ones((rows, columns), np.float32)


def with_number(number, dtype=np.float32):
    weight = np.ones((2, 128), dtype)
    weight[1, 7] = number
    return weight


@pytest.mark.parametrize("number, text", [(np.nan, "nan"), (-np.inf, "-inf"), (65520, "65520.0")])
def test_weight_must_be_finite(number, text):
    message = f"weight must be finite and within float16's +-65504, not {text} at [1, 7]"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        quantize(with_number(number), "fp4")
    assert quantize(with_number(65519), "int8").values[1, 7] == 127  # still rounds to 65504


MATRIX = "weight must be a non-empty matrix [N, K], not an array of shape"
PARTS = {name: quantize(ones(), fmt, **options) for name, (fmt, options) in {
    "plain": ("int8", {}), "first level": ("int8", {"scale_bits": None}), "wide": ("int8", {"group_size": 64}),
    "fp3": ("bitmod-fp3", {}), "other fp3": ("bitmod-fp3", {"special_values": {Format.FP3: (5, -5, 6, -6)}})}.items()}


@pytest.mark.parametrize("action, error, message", [
    (lambda: quantize(np.ones((2, 3), int), "fp4"), TypeError, "weight must be an array of floats, not 'int64'"),
    (lambda: quantize([["1"]], "fp4"), TypeError, "weight must be an array of floats, not "),
    (lambda: quantize(ones()[0], "fp4"), ValueError, f"{MATRIX} (128,)"),
    (lambda: quantize(ones(0), "fp4"), ValueError, f"{MATRIX} (0, 128)"),
    (lambda: quantize(ones(1, 0), "fp4"), ValueError, f"{MATRIX} (1, 0)"),
    (lambda: quantize(ones(), 4), TypeError, "fmt must be a string, not 4"),
    (lambda: quantize(ones(), "bitmod-fp5"), ValueError, "fmt must be one of int3, int4, int5, int6, "),
    (lambda: quantize(ones(), "fp4", 48), ValueError, "group_size must be one of (32, 64, 128, 256), not 48"),
    (lambda: quantize(ones(), "fp4", 128, 9), ValueError, "scale_bits must be None or in 2..8, not 9"),
    (lambda: quantize(ones(), "fp4", 128, 1), ValueError, "scale_bits must be None or in 2..8, not 1"),
    (lambda: quantize(ones(), "bitmod-fp3", special_values={Format.FP3: (3, -3)}), ValueError,
     "special_values of FP3 must be 4 numbers, not (3, -3)"),
    (lambda: quantize(ones(), "bitmod-fp3", special_values={Format.FP3: (3, -3, 11, 6)}), ValueError,
     "special value must be a sum or difference of at most two powers of two"),
    (lambda: QuantizedWeight.concatenate([]), ValueError, "parts must hold at least one quantized weight, not none"),
    (lambda: QuantizedWeight.concatenate([PARTS["plain"], quantize(ones(2), "int8")]), ValueError,
     "parts must share one N, not [1, 2]"),
    (lambda: QuantizedWeight.concatenate([PARTS["plain"], PARTS["first level"]]), ValueError,
     "parts must share one scale_bits, not [8, None]"),
    (lambda: QuantizedWeight.concatenate([PARTS["plain"], PARTS["wide"]]), ValueError,
     "parts must share one group_size, not [128, 64]"),
    (lambda: QuantizedWeight.concatenate([PARTS["fp3"], PARTS["other fp3"]]), ValueError,
     "parts must share one special_values of FP3, not [(3, -3, 6, -6), (5, -5, 6, -6)]"),
    (lambda: QuantizedWeight.concatenate([quantize(ones(1, 64), "int8"), PARTS["plain"]]), ValueError,
     "parts before the last must have whole groups of 128, not K = [64, 128]"),
    (lambda: dataclasses.replace(PARTS["plain"], codes=np.zeros((1, 5), np.uint8)), ValueError,
     "codes must have the shape (1, 128), not (1, 5)"),
    (lambda: dataclasses.replace(PARTS["plain"], group_fmts=()), ValueError,
     "group_fmts and scales must have one entry for each group of 128 in 128 columns, not 0 and 1"),
])
def test_messages(action, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        action()


def test_unknown_type_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"not 'bitmod_fp4' \(did you mean 'bitmod-fp4'\?\)$"):
        quantize(ones(), "bitmod_fp4")


@pytest.mark.parametrize("fmt", ["bitmod-fp3", "bitmod-fp4"])
@pytest.mark.parametrize("deviation", [1e-6, 1e-4, 0.05, 1, 10, 60, 1000])
def test_the_search_in_binary32_has_the_bits_of_binary16(fmt, deviation):
    """Of groups of any magnitude, some of them zeros, ragged, and with registers of any content."""
    rng = np.random.default_rng(4)
    for size, columns, registers in ((32, 100, (24, -24, 1, -7)), (128, 576, None), (256, 300, (5, 6, 7, 9))):
        weight = rng.normal(0, deviation, (12, columns)) * rng.integers(0, 2, (12, 1))
        weight[2] *= rng.integers(0, 2, columns)
        number_format, _ = quantizer._candidates(fmt)
        registers = quantizer._registers(number_format, registers and {number_format: registers})
        found = quantize(weight, fmt, size, special_values={number_format: registers})
        groups = split_groups(weight.astype(np.float16), size)
        lengths = np.broadcast_to(found.group_lengths, groups.shape[:2])
        values, scales, selectors = quantizer._search_plainly(groups, np.abs(groups).max(-1), lengths, number_format, registers)
        np.testing.assert_array_equal(found.values, values.reshape(12, -1)[:, :columns])
        np.testing.assert_array_equal(found.scales, scales)
        np.testing.assert_array_equal(found.selectors, selectors)
        spread = np.repeat(selectors, size, axis=1)[:, :columns]
        np.testing.assert_array_equal(found.codes, formats.encode(found.values, number_format, spread, registers))


def test_rounding_of_the_search_is_that_of_binary16():
    numbers = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32).view(np.float32)
    halves = np.arange(-2049, 2050, dtype=np.float32) * np.float32(2.0**-25)  # of subnormal numbers
    numbers = np.concatenate([numbers[np.abs(numbers) < 65519], halves])
    rounded = search._round(numbers, np.empty_like(numbers), np.empty_like(numbers))
    np.testing.assert_array_equal(rounded, numbers.astype(np.float16).astype(np.float32))


def test_a_model_of_billions_takes_minutes():
    """Much more than 20 million weights a second on two cores; a quarter of that in processor time, for slow machines."""
    weight = np.random.default_rng(5).normal(0, 0.05, (256, 4096)).astype(np.float32)
    quantize(weight[:8], "bitmod-fp4")
    seconds = []
    for _ in range(3):
        started = time.process_time()
        quantize(weight, "bitmod-fp4")
        seconds.append(time.process_time() - started)
    assert weight.size / min(seconds) > 5e6
