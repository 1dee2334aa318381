# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT's golden model: the number format, the five forms of its product, corrections, quantizers, words."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from subbyte.golden import bipolar, tender
from subbyte.golden.bipolar import BipolarConfig, QuantizedActivations
from subbyte.golden.bipolar.config import LONGEST
from subbyte.schemes import scheme
from subbyte.weights.quantized import QuantizedTensor

BITS = range(1, 9)
SMALL = BipolarConfig(rows=2, cols=4, lanes=16, drain=2, max_k=400)
GROUPS = BipolarConfig(rows=2, cols=4, lanes=16, drain=2, max_k=400, output="float32", scale_bits=6)


def random_codes(rng, rows, k, bits):
    return rng.integers(0, 2**bits, (rows, k)).astype(np.uint8)


def planes(codes, bits):
    """The bit planes, int64 [bits, rows, K]."""
    return codes.astype(np.int64)[None] >> np.arange(bits)[:, None, None] & 1


def five_forms(a_codes, w_codes, m, n):
    """The product [M, N] by each of the forms, written as they are derived: from XOR, XNOR, AND of planes."""
    k = a_codes.shape[1]
    a, w = planes(a_codes, m), planes(w_codes, n)
    differ = (a[:, None, :, None, :] ^ w[None, :, None, :, :]).sum(axis=-1)
    both = (a[:, None, :, None, :] & w[None, :, None, :, :]).sum(axis=-1)
    weight = 2 ** (np.arange(m)[:, None] + np.arange(n))[:, :, None, None]
    c = k * (2**n - 1) * (2**m - 1)
    sums_a, sums_w = a_codes.sum(axis=1, dtype=np.int64)[:, None], w_codes.sum(axis=1, dtype=np.int64)[None, :]
    return (
        (weight * (k - 2 * differ)).sum(axis=(0, 1)),
        (weight * (2 * (k - differ) - k)).sum(axis=(0, 1)),
        c - 2 * (weight * differ).sum(axis=(0, 1)),
        2 * (weight * (k - differ)).sum(axis=(0, 1)) - c,
        4 * (weight * both).sum(axis=(0, 1)) - 2 * (2**m - 1) * sums_w - 2 * (2**n - 1) * sums_a + c,
    )


def every_row(bits, k):
    """All rows of K codes, uint8 [2**(bits K), K]."""
    return np.array(list(product(range(2**bits), repeat=k)), np.uint8)


# The format


@pytest.mark.parametrize("bits", BITS)
def test_codes(bits):
    """2**bits odd values, symmetric, each plane counting plus or minus its weight; negation is the complement."""
    codes = np.arange(2**bits, dtype=np.uint8)
    values = bipolar.decode(codes, bits)
    assert values.tolist() == list(range(1 - 2**bits, 2**bits, 2))
    assert np.array_equal(values, sum((2 * (codes.astype(int) >> i & 1) - 1) * 2**i for i in range(bits)))
    assert np.array_equal(bipolar.encode(values, bits), codes)
    assert np.array_equal(bipolar.decode(codes ^ np.uint8(2**bits - 1), bits), -values)


@pytest.mark.parametrize("bits", BITS)
def test_signed_codes(bits):
    """The word of two's complement with its top bit inverted is the bipolar word of 2 x + 1."""
    x = np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    codes = bipolar.signed_codes(x, bits)
    assert np.array_equal(bipolar.decode(codes, bits), 2 * x + 1)
    assert np.array_equal(codes, (x ^ 1 << bits - 1) & 2**bits - 1)


@pytest.mark.parametrize("rows, words", [(1, 1), (4, 2), (8, 4)])
def test_preprocess(rows, words):
    """Planes of a tile are neighbours, 32 bits of K a word, and it can be undone."""
    codes = random_codes(np.random.default_rng(1), 13, 150, 5)
    packed = bipolar.preprocess(codes, 5, rows, words)
    assert packed.dtype == np.uint32 and packed.shape == (-(-13 // rows), -(-150 // (32 * words)), 5, rows, words)
    assert packed[0, 0, 3, 0, 0] == sum((int(c) >> 3 & 1) << i for i, c in enumerate(codes[0, :32]))
    assert np.array_equal(bipolar.restore(packed, 13, 150), codes)


# The product


def test_worked_example():
    w, a = np.array([[3, 1, 0]], np.uint8), np.array([[2, 0, 3]], np.uint8)
    assert bipolar.decode(w, 2).tolist() == [[3, -1, -3]] and bipolar.decode(a, 2).tolist() == [[1, -3, 3]]
    assert bipolar.xor_sums(a, w, 2, 2) == 15 and bipolar.constant(3, 2, 2) == 27
    assert bipolar.product(a, w, 2, 2) == -3 and {int(y[0, 0]) for y in five_forms(a, w, 2, 2)} == {-3}


@pytest.mark.parametrize("m, n, k", [*((m, n, 1) for m in range(1, 5) for n in range(1, 5)), (2, 2, 2), (1, 3, 2), (4, 2, 2),
                                     (3, 4, 2), (1, 1, 4), (2, 2, 3), (2, 1, 4)])
def test_every_operand(m, n, k):
    """All pairs of rows: five forms, and the product of the integers."""
    a, w = every_row(m, k), every_row(n, k)
    exact = bipolar.decode(a, m) @ bipolar.decode(w, n).T
    for form in (*five_forms(a, w, m, n), bipolar.product(a, w, m, n),
                 bipolar.constant(k, m, n) - 2 * bipolar.xor_sums(a, w, m, n)):
        assert np.array_equal(form, exact)


@pytest.mark.parametrize("k", [1, 15, 16, 17, 55])
def test_forms_agree(k):
    """Random codes, all of them equal (Y = C) and opposite (Y = -C), for all widths; parity and range as derived."""
    rng = np.random.default_rng(k)
    for m, n in product(BITS, BITS):
        a, w = random_codes(rng, 3, k, m), random_codes(rng, 4, k, n)
        a[0], w[0], w[1] = 2**m - 1, 2**n - 1, 0
        forms, c = five_forms(a, w, m, n), bipolar.constant(k, m, n)
        assert all(np.array_equal(form, bipolar.product(a, w, m, n)) for form in forms)
        assert forms[0][0, :2].tolist() == [c, -c] and np.all((forms[0] - c) % 2 == 0) and np.abs(forms[0]).max() == c


def test_padding():
    """Lanes filled up with equal bits change no XOR, so the constant of the true K stays right."""
    rng = np.random.default_rng(3)
    a, w = random_codes(rng, 3, 21, 4), random_codes(rng, 5, 21, 3)
    for fill in (0, 7):
        longer = [np.pad(codes, ((0, 0), (0, 11)), constant_values=fill) for codes in (a & 7, w)]
        assert np.array_equal(bipolar.xor_sums(*longer, 3, 3), bipolar.xor_sums(a & 7, w, 3, 3))


@pytest.mark.parametrize("signed_w, signed_a", list(product((False, True), repeat=2)))
def test_corrections(signed_w, signed_a):
    """Two's complement on either side, on both: the sums of the integers themselves, from minimum to maximum."""
    rng = np.random.default_rng(4)
    for m, n in ((1, 1), (2, 3), (4, 4), (8, 2), (8, 8)):
        codes_w, codes_a = random_codes(rng, 6, 37, n), random_codes(rng, 5, 37, m)
        codes_w[0], codes_w[1], codes_a[0], codes_a[1] = 0, 2**n - 1, 0, 2**m - 1
        qweight = bipolar.QuantizedWeight(codes_w, n, np.ones(6, np.float32), signed=signed_w)
        x = QuantizedActivations(codes_a, m, np.ones(5, np.float32), signed_a)
        exact = x.values @ qweight.values.T
        assert np.array_equal(bipolar.matmul(x, qweight, SMALL), exact)
        assert np.array_equal(bipolar.reference(x, qweight), exact)
        fix = bipolar.corrections(x, qweight)
        assert fix.halvings == signed_w + signed_a and (signed_w or not fix.rows.any())


def test_one_sided_form():
    """Activations of two's complement, bipolar weights: (sum w' x' - sum w') / 2, which needs offline sums alone."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(-128, 128, (3, 40)), random_codes(rng, 4, 40, 2)
    words = bipolar.product(bipolar.signed_codes(x, 8), w, 8, 2)
    assert np.array_equal((words - bipolar.decode(w, 2).sum(axis=1)) // 2, x @ bipolar.decode(w, 2).T)


@pytest.mark.parametrize("k", [4096, 11008, 28672])
def test_widths(k):
    """The sum needs the bits of C, and 32 hold 8 x 8 bits at K = 28672 with everything added; the widths of the config do."""
    assert bipolar.constant(28672, 8, 8) == 1_864_396_800 < 2**31
    config = BipolarConfig(lanes=256, max_k=k)
    assert config.accumulator_bits == {4096: 28, 11008: 30, 28672: 31}[k]
    w = bipolar.from_signed(np.array([[-128] * k, [127] * k]), 8)
    x = bipolar.QuantizedActivations(np.array([[0] * k, [255] * k], np.uint8), 8, np.ones(2, np.float32), True)
    assert np.array_equal(bipolar.matmul(x, w, config), x.values @ w.values.T)
    assert np.abs(bipolar.corrections(x, w).columns).max() < 2 ** (config.total_bits - 1) <= 2**31
    assert np.abs(bipolar.corrections(x, w).rows).max() < 2 ** (config.row_sum_bits - 1)


@pytest.mark.parametrize("output", ["float32", "float16"])
def test_scaled_results(output):
    """Within the bound of three roundings, and near it."""
    config = BipolarConfig(rows=2, cols=4, lanes=16, drain=2, max_k=28672, output=output)
    rng = np.random.default_rng(6)
    k = 28672
    codes = random_codes(rng, 4, k, 8)
    codes[0] = 255
    scale = np.exp2(rng.uniform(-22, -18, 4)).astype(np.float32)
    qweight = bipolar.QuantizedWeight(codes, 8, scale)
    x = QuantizedActivations(np.stack([codes[0], *random_codes(rng, 2, k, 8)]), 8, np.float32([0.7, 1.3, 3]), True)
    y, bound = bipolar.matmul(x, qweight, config), bipolar.error_bound(x, qweight, config)
    error = np.abs(y - bipolar.reference(x, qweight))
    assert 0.3 < (error / bound).max() <= 1


def test_sums_as_tenders():
    """The same INT8 integers through Tender's model give the same sums."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(8, 96)).astype(np.float32)
    weight = tender.quantize(rng.normal(size=(12, 96)).astype(np.float32), 8)
    decomposed = tender.decompose(x, 8, 1, 8, channel_bias=False)
    qweight = bipolar.from_signed(weight.codes, 8, weight.scales)
    activations = QuantizedActivations(bipolar.signed_codes(decomposed.xq[0], 8), 8, np.ones(8, np.float32), True)
    assert np.array_equal(bipolar.matmul(activations, qweight, BipolarConfig()), tender.accumulate(decomposed, weight)[0])


# Quantizers


@pytest.mark.parametrize("bits", BITS)
def test_quantize(bits):
    """The rule to the letter: ties and zero go up, the largest magnitudes reach the ends, errors are at most d."""
    weight = np.random.default_rng(8).normal(size=(5, 200)).astype(np.float32)
    weight[0, 0], weight[1] = 0, 0
    qweight = bipolar.quantize(weight, bits)
    d = qweight.scales[:, None].astype(np.float64)
    with np.errstate(invalid="ignore"):
        rule = 2 * np.clip(np.floor(weight / (2 * d)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) + 1
    assert np.array_equal(qweight.values[[0, 2, 3, 4]], rule[[0, 2, 3, 4]]) and qweight.values[0, 0] == 1
    assert np.all(qweight.values[1] == 1) and qweight.scales[1] == 0 and not qweight.dequantize()[1].any()
    assert np.all(np.abs(qweight.dequantize() - weight) <= d * (1 + 1e-6))
    assert np.all(np.abs(qweight.values[2:]).max(axis=1) == 2**bits - 1)
    assert qweight.bits_per_weight == bits + 32 / 200


@pytest.mark.parametrize("bits, mse", [(1, 0.364), (2, 0.1192), (3, 0.0376), (4, 0.0116)])
def test_least_squares(bits, mse):
    """Of a normal distribution it reaches the least error there is."""
    weight = np.random.default_rng(9).normal(size=(1, 400_000)).astype(np.float32)
    qweight = bipolar.quantize(weight, bits, scaling="least_squares")
    assert np.mean((qweight.dequantize() - weight) ** 2) == pytest.approx(mse, rel=0.01)
    assert np.mean((bipolar.quantize(weight, bits).dequantize() - weight) ** 2) > mse


def test_groups():
    """Each group has its own scale, the last one may be shorter; groups add scales and lessen the error."""
    weight = np.random.default_rng(10).normal(size=(3, 300)).astype(np.float32)
    qweight = bipolar.quantize(weight, 3, 128)
    assert qweight.scales.shape == (3, 3) and qweight.bits_per_weight == 3 + 32 * 3 / 300
    for start in (0, 128, 256):
        alone = bipolar.quantize(weight[:, start : start + 128], 3)
        assert np.array_equal(qweight.codes[:, start : start + 128], alone.codes)
        assert np.array_equal(qweight.dequantize()[:, start : start + 128], alone.dequantize())
    assert np.sum((qweight.dequantize() - weight) ** 2) < np.sum((bipolar.quantize(weight, 3).dequantize() - weight) ** 2)
    x = bipolar.quantize_activations(np.random.default_rng(11).normal(size=(2, 300)))
    assert np.allclose(bipolar.reference(x, qweight), np.asarray(x) @ qweight.dequantize().T.astype(float), atol=1e-5)


@pytest.mark.parametrize("scale_bits", [3, 8])
def test_scale_codes(scale_bits):
    """Groups' scales are multiples of their channel's, the largest one the largest multiple; weights are levels of those."""
    weight = np.random.default_rng(15).normal(size=(4, 300)).astype(np.float32) * np.float32([[1], [1e3], [1e-3], [0]])
    weight[0, :128] = 0
    qweight, free = bipolar.quantize(weight, 3, 128, scale_bits=scale_bits), bipolar.quantize(weight, 3, 128)
    assert qweight.scale_codes[:3].max(axis=1).tolist() == 3 * [2**scale_bits - 1] and not qweight.scale_codes[3].any()
    assert not qweight.scale_codes[0, 0] and not qweight.dequantize()[[0, 3], :128].any()
    assert np.all(np.abs(qweight.group_scales - free.scales) <= qweight.scales[:, None] * 0.5001)
    wanted = np.clip(np.floor(weight[1:3] / qweight.spread(2 * qweight.group_scales)[1:3]), -4, 3) * 2 + 1
    assert np.array_equal(qweight.values[1:3], wanted)
    assert qweight.bits_per_weight == 3 + (32 + 8 * 3) / 300


@pytest.mark.parametrize("signed, bits_w, output", [(False, 3, "float32"), (True, 1, "float16"), (True, 8, "float32")])
def test_groups_in_the_engine(signed, bits_w, output):
    """Integers times scale codes, summed exactly, then three roundings: within their bound, and words come back."""
    config, rng = replace(GROUPS, output=output), np.random.default_rng(16)
    x = bipolar.quantize_activations(rng.normal(size=(5, 100)), 8, signed)
    qweight = bipolar.quantize(rng.normal(size=(7, 100)), bits_w, 16, scale_bits=6)
    exact = (x.values @ (qweight.values * qweight.spread(qweight.scale_codes.astype(np.int64))).T) * np.outer(
        x.scales.astype(np.float64), qweight.scales)
    assert np.allclose(bipolar.reference(x, qweight), exact, rtol=1e-12)
    y, bound = bipolar.matmul(x, qweight, config), bipolar.error_bound(x, qweight, config)
    assert y.dtype == output and np.all(np.abs(y - exact) <= bound)
    words = bipolar.pack(x, qweight, config)
    found = bipolar.unpack(words, config, 5, 7, 100)
    assert np.array_equal(found["scale_codes"], qweight.scale_codes) and np.array_equal(found["weights"], qweight.codes)
    assert len(words["scales"]) == len(words["activations"])


@pytest.mark.parametrize("bits, signed", [(1, False), (2, False), (2, None), (4, None), (8, None), (8, False)])
def test_activations(bits, signed):
    x = np.random.default_rng(12).normal(size=(4, 64))
    x[0] = 0
    quantized = bipolar.quantize_activations(x, bits, signed)
    assert quantized.signed == (bits > 1 if signed is None else signed)
    limit = 2 ** (bits - 1) - 1 if quantized.signed else 2**bits - 1
    assert np.all(np.abs(quantized.values[1:]).max(axis=1) == limit) and not np.asarray(quantized)[0].any()
    half = quantized.scales[:, None] * (0.5 if quantized.signed else 1)
    assert np.all(np.abs(np.asarray(quantized) - x) <= half * (1 + 1e-6))


def test_from_signed():
    """A real quantized tensor goes in and comes out."""
    values = np.random.default_rng(13).integers(-8, 8, (3, 20))
    qweight = bipolar.from_signed(values, 4, [0.5, 1, 2])
    assert np.array_equal(qweight.values, values)
    assert np.array_equal(qweight.dequantize(), values * np.float32([[0.5], [1], [2]]))


# Words


@pytest.mark.parametrize("output, order", list(product(("int32", "float32"), ("n_outer", "m_outer"))))
def test_words(output, order):
    """What is packed comes back; each bit of a weight and each activation is there once a tile."""
    config = BipolarConfig(rows=2, cols=4, lanes=16, drain=2, max_k=400, output=output)
    rng = np.random.default_rng(14)
    qweight = bipolar.from_signed(rng.integers(-4, 4, (7, 37)), 3, np.exp2(rng.integers(-3, 3, 7)))
    x = bipolar.quantize_activations(rng.normal(size=(5, 37)), 5)
    words = bipolar.pack(x, qweight, config, order)
    assert len(words["weights"]) == 6 * 3 * 3 and len(words["activations"]) == 6 * 3
    found, fix = bipolar.unpack(words, config, 5, 7, 37, order), bipolar.corrections(x, qweight)
    assert np.array_equal(found["weights"], qweight.codes) and np.array_equal(found["activations"], x.codes)
    assert np.array_equal(found["columns"], fix.columns) and np.array_equal(found["rows"], fix.rows)
    assert found["format"] == (5 - 1) * 8 + 3 - 1 and config.formats_taken[found["format"]][:2] == ("W3A5", 5)
    if output == "int32":
        assert found["halvings"] == 2
    else:
        assert np.array_equal(found["column_scales"], qweight.scales)
        assert np.array_equal(found["row_scales"], x.scales / 4)
    y, _ = bipolar.padded_results(x, qweight, config)
    outputs = bipolar.pack_outputs(y, 5, 7, config, order)
    assert np.array_equal(bipolar.unpack_outputs(outputs, 5, 7, config, order)[0], bipolar.matmul(x, qweight, config))


# Errors


@pytest.mark.parametrize("call, error, message", [
    (lambda: bipolar.encode([2], 3), ValueError, "values must be odd and from -7 to 7 for 3 bits, not 2"),
    (lambda: bipolar.encode([9], 3), ValueError, "values must be odd and from -7 to 7 for 3 bits, not 9"),
    (lambda: bipolar.encode([1.0], 3), TypeError, "values must be integers, not float64"),
    (lambda: bipolar.encode([1], 9), ValueError, "bits must be 1 to 8, not 9"),
    (lambda: bipolar.decode(np.array([4], np.uint8), 2), ValueError,
     "codes must be below 2**2 for words of 2 bits, not reach 4"),
    (lambda: bipolar.decode([4], 2), TypeError, "codes must be uint8 codes, not int64"),
    (lambda: bipolar.signed_codes([8], 4), ValueError, "values must be from -8 to 7 for 4 bits, not 8"),
    (lambda: bipolar.quantize(np.ones((2, 2)), 2, scaling="max"), ValueError,
     "scaling must be one of ('absmax', 'least_squares'), not 'max'"),
    (lambda: bipolar.quantize(np.full((2, 2), np.inf), 2), ValueError, "weight must be finite"),
    (lambda: bipolar.quantize_activations(np.ones((2, 2)), 1, True), ValueError,
     "signed must be False for 1 bit, whose two's complement has no magnitude to scale to"),
    (lambda: BipolarConfig(bits_w=9), ValueError, "bits_w must be 1 to 8, not 9"),
    (lambda: BipolarConfig(drain=3), ValueError, "drain must divide cols 8, not be 3"),
    (lambda: BipolarConfig(max_k=LONGEST), ValueError, "max_k must be lanes 256 to 32512, not 32767"),
    (lambda: BipolarConfig(output="int8"), ValueError, "output must be one of int32, float32, float16, not 'int8'"),
    (lambda: bipolar.matmul(np.zeros((1, 4), np.int16), bipolar.quantize(np.ones((1, 4)), 2), SMALL), TypeError,
     "activations must be QuantizedActivations or int8, not int16; quantize_activations makes them"),
    (lambda: bipolar.matmul(np.zeros((1, 5), np.int8), bipolar.quantize(np.ones((1, 4)), 2), SMALL), ValueError,
     "x must have K = 4 like the weight, not 5"),
    (lambda: bipolar.matmul(np.zeros((1, 4), np.int8), bipolar.quantize(np.ones((1, 4)), 2, 2), SMALL), ValueError,
     "qweight.group_size must be None, one scale a channel, for an engine without scale_bits, not 2"),
    (lambda: bipolar.matmul(np.zeros((1, 4), np.int8), bipolar.quantize(np.ones((1, 4)), 2), GROUPS), ValueError,
     "qweight.group_size must be lanes 16 for an engine with scale_bits, not None"),
    (lambda: bipolar.matmul(np.zeros((1, 4), np.int8), bipolar.quantize(np.ones((1, 4)), 2, 16), GROUPS), ValueError,
     "qweight.scale_codes must be there and at most 63, scale_bits 6, not none"),
    (lambda: bipolar.matmul(np.zeros((1, 4), np.int8), bipolar.quantize(np.ones((1, 4)), 2, 16, scale_bits=7), GROUPS),
     ValueError, "qweight.scale_codes must be there and at most 63, scale_bits 6, not 127"),
    (lambda: bipolar.quantize(np.ones((2, 2)), 2, scale_bits=4), ValueError,
     "scale_bits must be None for one scale a channel, which group_size=None means, not 4"),
    (lambda: BipolarConfig(scale_bits=4), ValueError, "output must be float32 or float16 for groups with scales, not 'int32'"),
    (lambda: BipolarConfig(scale_bits=9, output="float32"), ValueError, "scale_bits must be 2 to 8, not 9"),
    (lambda: bipolar.matmul(np.zeros((1, 4), np.int8), bipolar.quantize(np.ones((1, 4)), 3), BipolarConfig(bits_w=2)),
     ValueError,
     "qweight.bits must be at most 2, which the engine is built for, not 3"),
    (lambda: bipolar.matmul(np.zeros((1, 401), np.int8), bipolar.quantize(np.ones((1, 401)), 3), SMALL), ValueError,
     "K must be at most max_k 400, which the accumulator holds, not 401"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_codes_of_files_are_taken_without_loss(tmp_path):
    """Signed integers of any number of bits, with a scale a channel; what cannot be taken is named."""
    entry, rng = scheme("bipolar"), np.random.default_rng(3)
    for low, high, fmt in ((-3, 3, "bipolar3"), (-8, 7, "bipolar4"), (-1, 1, "bipolar2"), (-128, 127, "bipolar8")):
        values = rng.integers(low, high + 1, (4, 32))
        values[0, :2] = low, high
        tensor = QuantizedTensor.from_values(values, np.array([0.5, 0.25, 2.0, 1.0], np.float32), "integers")
        qweight, taken = entry.take(tensor, None, entry.Config(**entry.suited(tensor)))
        assert taken == fmt
        np.testing.assert_array_equal(qweight.dequantize(), tensor.dequantize())
        again = entry.from_fields(entry.to_fields(qweight))
        np.testing.assert_array_equal(again.dequantize(), tensor.dequantize())
        with pytest.raises(ValueError, match="more than bipolar1"):
            entry.take(tensor, "bipolar1", entry.Config())
    grouped = QuantizedTensor.from_values(values, rng.uniform(1, 2, (4, 2)), "groups")
    with pytest.raises(ValueError, match="one scale a channel, not groups's groups of 16"):
        entry.take(grouped, None, entry.Config())
