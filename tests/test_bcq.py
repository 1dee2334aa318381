# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bcq's golden model: quantizers against the authors' own, the uniform conversion, exact sums, words, errors."""

import re
from dataclasses import replace

import numpy as np
import pytest

from subbyte.golden import bcq
from subbyte.golden.bcq import BcqConfig, QuantizedWeight
from subbyte.golden.bcq.quantizer import round_scales
from subbyte.tests.recordings import recordings

SMALL = BcqConfig(rows=2, cols=4, lanes=8, group_size=32, drain=2, max_k=400)


def random_weight(rng, n, k, bits, config, offset=False):
    """Random planes; alphas and offsets of all sizes that an engine holds, zeros among them."""
    groups = -(-k // config.group_size)
    alpha = np.exp2(rng.uniform(-18, 2, (n, groups, bits)))
    alpha[rng.random(alpha.shape) < 0.1] = 0
    offsets = rng.normal(size=(n, groups)) if offset else None
    alpha, offsets = round_scales(alpha, offsets, config.scale_digits)
    return QuantizedWeight(rng.choice(np.array([-1, 1], np.int8), (n, k, bits)), alpha, offsets, config.group_size)


# Quantizers


@pytest.mark.parametrize("path", recordings("bcq_*alt15*.npz") + recordings("bcq_*greedy*.npz"), ids=lambda path: path.stem)
def test_authors_quantizer(path):
    """The error of the published code, or less; its planes give its sums and its kernels' words."""
    with np.load(path) as recorded:
        group_size, bits = recorded["B"].shape[2:]
        greedy = "greedy" in path.stem
        qweight = bcq.quantize(recorded["W"], bits, group_size, "greedy" if greedy else "alternating")
        error = np.sum((qweight.dequantize() - recorded["W"]) ** 2.0) / np.sum(recorded["W"] ** 2.0)
        assert error <= recorded["rel"] + 1e-3
        n, k = recorded["W"].shape
        theirs = QuantizedWeight(recorded["B"].reshape(n, k, bits), recorded["alpha"], None, group_size)
        if greedy:
            assert np.array_equal(qweight.B, theirs.B)
            assert np.allclose(qweight.alpha, theirs.alpha, rtol=2**-11)
        assert np.array_equal(bcq.plane_sums(recorded["x_i8"][None], theirs)[0], recorded["P_i8"])
        assert np.array_equal(bcq.kernel_words(theirs), recorded["bW_kernel"])
        assert np.array_equal(bcq.from_kernel_words(recorded["bW_kernel"]), theirs.B)


@pytest.mark.parametrize("path", recordings("bcq_rtn*.npz"), ids=lambda path: path.stem)
def test_uniform_as_recorded(path):
    """Uniform weights in binary codes are what they were; twice their product is that of planes and the sum of activations."""
    with np.load(path) as recorded:
        n, k = recorded["W"].shape
        codes, group_size = recorded["Q"].reshape(n, k), recorded["Q"].shape[2]
        bits = recorded["B"].shape[3]
        qweight = bcq.from_uniform(codes, recorded["scale"][..., 0], recorded["zero"][..., 0], bits=bits)
        assert qweight.group_size == group_size and np.array_equal(qweight.B, recorded["B"].reshape(n, k, bits))
        assert np.allclose(qweight.alpha, recorded["alpha"], rtol=1e-5)
        assert np.allclose(qweight.offset, recorded["offset"][..., 0], rtol=1e-5, atol=1e-7)
        assert np.allclose(qweight.dequantize(), recorded["W_hat"], rtol=1e-5, atol=1e-7)
        x = recorded["x_i8"][None].astype(np.int64)
        sums = bcq.plane_sums(x, qweight)
        assert np.array_equal(sums[0], recorded["P_i8"])
        products = np.stack([x[:, start : start + group_size] @ codes[:, start : start + group_size].T
                             for start in range(0, k, group_size)], axis=2)
        assert np.array_equal(2 * products[0], (sums[0] * 2 ** np.arange(bits)).sum(axis=2)
                              + (2**bits - 1) * recorded["S_i8"])


def test_from_uniform():
    """Scales of either sign, zeros and minima, ragged groups: the weights themselves, to float32's digits."""
    rng = np.random.default_rng(1)
    for bits in range(1, 9):
        codes, scale = rng.integers(0, 2**bits, (3, 70)), rng.normal(size=(3, 3))
        spread = np.repeat(scale, 32, axis=1)[:, :70]
        for given in ({"zero": rng.integers(0, 2**bits, (3, 3))}, {"minimum": rng.normal(size=(3, 3))}, {}):
            qweight = bcq.from_uniform(codes, scale, bits=bits, group_size=32, **given)
            more = {name: np.repeat(value, 32, axis=1)[:, :70] for name, value in given.items()}
            exact = spread * (codes - more.get("zero", 0)) + more.get("minimum", 0)
            assert np.allclose(qweight.dequantize(), exact, rtol=0, atol=2**-20 * 2**bits)
    assert bcq.from_uniform(np.array([[0, 5]]), np.ones((1, 1))).bits == 3


def test_quantize():
    """More planes and more rounds lessen the error; a group of zeros has alphas of zero; the last group may be shorter."""
    weight = np.random.default_rng(2).normal(size=(4, 100)).astype(np.float32)
    weight[0, :64] = 0

    def error(*way):
        return np.sum((bcq.quantize(weight, *way).dequantize() - weight) ** 2)

    assert error(4, 64) < error(3, 64) < error(2, 64) < error(1, 64)
    for bits in (2, 3, 4):
        assert error(bits, 64, "alternating") < error(bits, 64, "refined") < error(bits, 64, "greedy")
    qweight = bcq.quantize(weight, 3, 64)
    assert not qweight.alpha[0, 0].any() and not qweight.dequantize()[0, :64].any()
    assert np.all(np.diff(qweight.alpha, axis=2) <= 0) and qweight.bits_per_weight == 3 + 16 * 3 * 2 / 100
    assert np.array_equal(qweight.codes >> 2 & 1, qweight.B[:, :, 2] > 0)
    short = bcq.quantize(weight[:, 64:], 3, 64)
    assert np.array_equal(short.B, qweight.B[:, 64:])


def test_grid():
    """No group is worse than uniform; an input that counts more is met better; a group of one value is met."""
    weight = np.random.default_rng(7).standard_t(4, (8, 256)).astype(np.float32)
    weight[0, :64] = 0.375

    def errors(qweight, counts=1):
        return ((qweight.dequantize() - weight) ** 2.0 * counts).reshape(8, -1, 64).sum(axis=2)

    low, high = (reduce(weight.reshape(8, -1, 64), axis=2) for reduce in (np.min, np.max))
    for bits in (1, 2, 3, 4):
        scale = np.where(high > low, high - low, 1) / (2**bits - 1)
        codes = np.rint((weight - np.repeat(low, 64, axis=1)) / np.repeat(scale, 64, axis=1)).astype(int)
        qweight, uniform = bcq.quantize(weight, bits, 64, "grid"), bcq.from_uniform(codes, scale, minimum=low, bits=bits)
        assert np.all(errors(qweight) <= errors(uniform) * 1.01 + 1e-5) and errors(qweight).sum() < 0.95 * errors(uniform).sum()
        assert np.all(np.diff(qweight.alpha, axis=2) <= 0) and np.allclose(qweight.dequantize()[0, :64], 0.375, atol=2**-11)
    counts = np.where(np.arange(256) % 7 == 0, 100.0, 1)
    weighted = bcq.quantize(weight, 2, 64, "grid", importance=counts)
    assert errors(weighted, counts).sum() < 0.8 * errors(bcq.quantize(weight, 2, 64, "grid"), counts).sum()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_calibrated(bits):
    """On a layer of SmolLM2 that some tokens calibrate, products of others are nearer than by as wide uniform weights."""
    with np.load("tests/data/smollm2_slice.npz") as layer:
        x, weight = layer["activations"].astype(np.float64), layer["weight"]
    importance = np.square(x[:4]).mean(axis=0)

    def error(qweight):
        return np.square(x[4:] @ (qweight.dequantize() - weight).T).sum()

    calibrated = bcq.quantize(weight, bits, 128, "grid", importance=importance)
    uniform = bcq.quantize(weight, bits, 64, "uniform")
    assert error(calibrated) <= 0.9 * error(uniform)
    assert error(calibrated) < error(bcq.quantize(weight, bits, 128, "grid"))
    assert uniform.uniform and uniform.bits_per_weight == bits + 16 * 2 * 9 / 576
    assert calibrated.bits_per_weight == bits + 16 * (bits + 1) * 5 / 576


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_error_feedback(bits):
    """What inputs have in common makes errors good, also of others like them; no row is worse; singular products are taken."""
    rng = np.random.default_rng(5)
    mixed = rng.standard_normal((12, 100)) * np.exp(rng.standard_normal(100))  # a dozen directions make 100 inputs
    x = rng.standard_normal((400, 12)) @ mixed
    x[:, [3, 70]] = 0
    weight = rng.standard_normal((20, 100)).astype(np.float32)
    weight[4] = 0
    products = x[:200].T @ x[:200] / 200

    def errors(qweight, x):
        return np.square(x @ (qweight.dequantize() - weight).T).sum(axis=0)

    found = bcq.quantize(weight, bits, 32, "grid", importance=products)
    alone = bcq.quantize(weight, bits, 32, "grid", importance=products.diagonal())
    assert np.all(errors(found, x[:200]) <= errors(alone, x[:200])) and not found.dequantize()[4].any()
    assert errors(found, x[200:]).sum() < 0.5 * errors(alone, x[200:]).sum()
    only_squares = bcq.quantize(weight, bits, 32, "grid", importance=np.diag(products.diagonal()))
    assert np.array_equal(only_squares.B, alone.B) and np.array_equal(only_squares.alpha, alone.alpha)


def test_uniform():
    """The grid between extremes: half a step of error and what rounding alpha and offset to 11 digits adds."""
    weight = np.random.default_rng(8).standard_t(4, (6, 100)).astype(np.float32)
    weight[0, :64], weight[1, :64], weight[2, :64] = 0.375, 0, weight[2, :64] / 2**14
    weight[3, :2] = -(2 - 2.0**-14), 2 - 2.0**-13  # alphas and offsets that are rounded up to powers of two
    weight[4, 64:66] = 7.9999, 8
    for bits in (1, 2, 3, 4, 8):
        qweight = bcq.quantize(weight, bits, 64, "uniform")
        step = qweight.spread(2 * qweight.alpha[:, :, 0])
        largest = qweight.spread(np.stack([np.abs(part).max(axis=1) for part in (weight[:, :64], weight[:, 64:])], axis=1))
        off = np.abs(qweight.dequantize() - weight)[[0, 1, 3, 4, 5]]
        assert np.all(off <= (step / 2 + largest * 2.0 ** (bits - 11))[[0, 1, 3, 4, 5]])
        for form in ("planes", "uniform"):
            config = replace(SMALL, group_size=64, planes=9 if form == "planes" else bits, form=form)
            bcq.check_operands(qweight, config)


# The product


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("output", ["float32", "float16"])
def test_error_bound(offset, output):
    """Within the derived bound, outlier channels and subnormal activations among the operands."""
    rng, worst = np.random.default_rng(3), 0
    for guard_bits, digits in ((0, 8), (4, 11), (7, 24)):
        config = replace(SMALL, guard_bits=guard_bits, scale_digits=digits, output=output)
        x = (rng.normal(size=(6, 90)) * np.exp(rng.normal(size=(6, 90)))).astype(np.float16)
        x[1, 7] *= 1000
        x[2] = rng.normal(size=90) * 1e-6
        qweight = random_weight(rng, 5, 90, 3, config, offset)
        difference = np.abs(bcq.matmul(x, qweight, config) - bcq.reference(x, qweight))
        bound = bcq.error_bound(x, qweight, config)
        assert np.all(difference <= bound)
        worst = max(worst, (difference / bound).max())
    assert worst > 0.05


def test_merged_planes():
    """Within the bound with every number of planes, and beside the form of planes; scales of files too, minima among them."""
    rng, worst = np.random.default_rng(9), 0
    x = (rng.normal(size=(5, 90)) * np.exp(rng.normal(size=(5, 90)))).astype(np.float16)
    for bits, planes, digits in ((1, 1, 11), (3, 4, 11), (4, 4, 20), (8, 8, 14)):
        config = replace(SMALL, form="uniform", planes=planes, scale_digits=digits)
        scale, minimum = (rng.uniform(1, 2, (4, 3)).astype(np.float16) for _ in range(2))
        of_file = bcq.from_uniform(rng.integers(0, 2**bits, (4, 90)), scale, minimum=-2.0**(bits - 1) * minimum, bits=bits,
                                   group_size=32)
        for qweight in (bcq.quantize(rng.normal(size=(4, 90)), bits, 32, "uniform"), *([of_file] if digits > 11 else [])):
            y, bound = bcq.matmul(x, qweight, config), bcq.error_bound(x, qweight, config)
            difference = np.abs(y - bcq.reference(x, qweight))
            assert np.all(difference <= bound)
            worst = max(worst, (difference / bound).max())
            other = replace(SMALL, planes=9, scale_digits=24)
            assert np.all(np.abs(y - bcq.matmul(x, qweight, other)) <= bound + bcq.error_bound(x, qweight, other))
    assert worst > 0.02


def test_integers_are_exact():
    """INT8 activations and alphas of powers of two lose nothing: the sums of planes."""
    rng = np.random.default_rng(4)
    x, codes = rng.integers(-128, 128, (3, 96)), rng.integers(0, 16, (5, 96))
    qweight = bcq.from_uniform(codes, np.ones((5, 3)), np.full((5, 3), 8), bits=4)
    for config in (SMALL, replace(SMALL, form="uniform", planes=4)):
        assert np.array_equal(bcq.matmul(x.astype(np.float16), qweight, config), x @ (codes - 8).T)


def test_flags():
    x, weight = np.ones((3, 32), np.float16), random_weight(np.random.default_rng(5), 5, 32, 2, SMALL)
    x[2, 5] = np.inf
    y, flags = bcq.matmul(x, weight, SMALL, flags=True)
    assert np.isfinite(y).all() and flags.nonfinite.tolist() == [[False, False], [True, True]] and not flags.overflow.any()


def test_cycles_that_perform_a_term():
    """As docs/bcq.md states them: in the long run, of 8 rows and groups of 128, K = 1536 and 576."""
    rows = [line.strip("|\n ").split(" | ") for line in open("docs/bcq.md") if line.startswith(("| planes | ", "| uniform | "))]
    for form, lanes, dequantizers, *shares in rows:
        config = BcqConfig(form=form, lanes=int(lanes), dequantizers=int(dequantizers), planes=8, drain=32)
        for planes, stated in zip((1, 2, 3, 4, 8), shares, strict=True):
            work = config.formats_taken[planes - 1]
            beats = [k // config.lanes for k in (1536, 576)]
            found = [100 * count * planes / config.tile_distance(work, count) for count in beats]
            assert stated == " / ".join(f"{share:.0f}" for share in found)
    assert len(rows) == 7


# Words


@pytest.mark.parametrize("offset, order, k", [(False, "n_outer", 32), (True, "m_outer", 75), (True, "n_outer", 33)])
def test_words(offset, order, k):
    """What is packed comes back, scales to the bit."""
    rng = np.random.default_rng(6)
    qweight = random_weight(rng, 7, k, 3, SMALL, offset)
    words = bcq.pack(qweight, SMALL, 2, order)
    found = bcq.unpack(words, SMALL, 7, k, 2, order)
    assert np.array_equal(found["planes"][:, :, :3], qweight.B) and (not offset or np.all(found["planes"][:, :, 3] == 1))
    assert np.array_equal(found["scales"][:, :, :3], qweight.alpha)
    assert not offset or np.array_equal(found["scales"][:, :, 3], qweight.offset)
    x = rng.normal(size=(4, k)).astype(np.float16)
    assert len(bcq.pack_activations(x, SMALL, 2, order)) == 4 * -(-k // 8)
    y, flags = bcq.matmul(x, qweight, SMALL, flags=True)
    outputs = bcq.unpack_outputs(bcq.pack_outputs(y, flags.nonfinite, SMALL, order), 4, 7, SMALL, order)
    assert np.array_equal(outputs[0], y) and np.array_equal(outputs[1], flags.nonfinite)


def test_words_of_merged_planes():
    """The plane of most weight goes first; scale and offset come back to the bit."""
    config = replace(SMALL, form="uniform")
    qweight = bcq.quantize(np.random.default_rng(10).normal(size=(7, 75)), 3, 32, "uniform")
    words = bcq.pack(qweight, config, 2)
    found = bcq.unpack(words, config, 7, 75, 2)
    assert np.array_equal(found["planes"], qweight.B)
    assert np.array_equal(found["scales"], qweight.alpha[:, :, :1]) and np.array_equal(found["offset"][:, :, 0], qweight.offset)


# Errors


ONES = np.ones((2, 32, 3), np.int8)
MERGED = replace(SMALL, form="uniform")
THIRDS = QuantizedWeight(ONES, np.full((2, 1, 3), 1 / 3, np.float32), None, 32)


@pytest.mark.parametrize("call, error, message", [
    (lambda: QuantizedWeight(0 * ONES, np.ones((2, 1, 3), np.float32), None, 32), ValueError,
     "B must hold -1 and +1 alone: a weight with zeros among them is ternary, which scheme rsr takes"),
    (lambda: QuantizedWeight(ONES, -np.ones((2, 1, 3), np.float32), None, 32), ValueError,
     "alpha must not be negative, not -1.0"),
    (lambda: QuantizedWeight(ONES, np.ones((2, 1), np.float32), None, 32), ValueError,
     "alpha must be finite float32 [2, 1, 3], not float32 [2, 1]"),
    (lambda: bcq.quantize(np.ones((2, 2)), 9), ValueError, "bits must be 1 to 8, not 9"),
    (lambda: bcq.quantize(np.full((2, 2), np.nan), 2), ValueError,
     "weight must be a finite matrix with rows and columns, not of shape (2, 2)"),
    (lambda: bcq.quantize(np.ones((2, 2)), 2, importance=np.ones(2)), ValueError,
     "importance must be None for method 'alternating', which has no use for it"),
    (lambda: bcq.quantize(np.ones((2, 2)), 2, method="grid", importance=np.ones((2, 3))), ValueError,
     "importance must be 2 numbers from 0 on, or a matrix of 2 x 2 with such a diagonal, not (2, 3)"),
    (lambda: bcq.from_uniform(np.array([[9]]), np.ones((1, 1)), bits=3), ValueError, "bits must hold all codes, not 3 for 9"),
    (lambda: bcq.from_uniform(np.zeros((1, 5), int), np.ones((1, 2))), ValueError,
     "group_size must be given for 2 groups of K = 5, which they do not divide"),
    (lambda: BcqConfig(mu=5), ValueError, "mu must be 2 to 4, not 5"),
    (lambda: BcqConfig(lanes=48), ValueError, "lanes must divide group_size 128, not be 48"),
    (lambda: bcq.matmul(np.zeros((1, 32), np.float16), bcq.quantize(np.ones((2, 32)), 6, 32), SMALL), ValueError,
     "planes must be at least 6 for 6 bits, not 5"),
    (lambda: bcq.matmul(np.zeros((1, 32), np.float32), bcq.quantize(np.ones((2, 32)), 2, 32), SMALL), TypeError,
     "activations must be float16, not float32"),
    (lambda: bcq.matmul(np.zeros((1, 32), np.float16), bcq.quantize(np.ones((2, 32)), 2, 64), SMALL), ValueError,
     "qweight.group_size must be the config's 32, not 64"),
    (lambda: bcq.matmul(np.zeros((1, 32), np.float16), THIRDS, SMALL), ValueError,
     "scale_digits must hold all alphas and offsets of qweight, not 11 for 0.3333333432674408 of row 0, group 0"),
    (lambda: bcq.matmul(np.zeros((1, 32), np.float16), bcq.quantize(np.ones((2, 32)), 2, 32), MERGED), ValueError,
     "qweight.alpha must double from plane to plane for form 'uniform'; form 'planes' takes any"),
    (lambda: replace(MERGED, planes=8, guard_bits=13, scale_digits=24), ValueError,
     "scale_digits must leave sums 63 bits, not be 24 for 67; fewer planes or guard_bits or a smaller max_k spare some"),
    (lambda: BcqConfig(dequantizers=3), ValueError, "dequantizers must be 1 to 2, not 3"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
