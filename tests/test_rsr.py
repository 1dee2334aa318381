# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact RSR model: the authors' recordings, plain integers, quantizers and readers, packing, cycles, bad input."""

from fractions import Fraction
from itertools import product

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.golden import rsr
from subbyte.golden.rsr import QuantizedActivations, RsrConfig
from subbyte.golden.rsr.codes import folded_bits
from subbyte.golden.rsr.streams import column_offsets
from subbyte.tests.recordings import recordings
from subbyte.weights import load_ternary

SMALL = {"rows": 2, "cols": 4, "lanes": 12, "drain": 2, "max_k": 100}


def operands(seed, m, n, k, granularity="tensor"):
    """Random operands, corners of INT8 among the activations."""
    rng = np.random.default_rng(seed)
    values = rng.choice([-128, -127, 127, 0, *rng.integers(-128, 128, 12)], (m, k))
    x = QuantizedActivations(values, rng.uniform(1e-3, 2, m).astype(np.float32))
    scale = rng.uniform(1e-3, 2, n if granularity == "channel" else ()).astype(np.float32)
    return x, rsr.from_ternary(rng.integers(-1, 2, (n, k)), scale)


# The algorithm


@pytest.mark.parametrize("path", recordings("rsr_*.npz"), ids=lambda path: path.stem)
def test_authors_recordings(path):
    """Codes, permutations, segments, bucket sums and results are the authors'."""
    case = np.load(path)
    if "M" in case:  # y = M . v in blocks of rows
        A, v, k = case["M"].T, case["v"], int(case["k"])
        for base in (None, 2):
            np.testing.assert_array_equal(rsr.index_matmul(v, rsr.preprocess(A, k, base)), case["y"])
        return
    A, v, k = case["A"], case["v"], int(case["k"])
    index = rsr.preprocess(A, k)
    np.testing.assert_array_equal(rsr.index_matmul(v, index), case["y_naive"])
    if "u" in case:
        parts = {"": index}
        np.testing.assert_array_equal(index.codes, case["code"])
    else:
        np.testing.assert_array_equal(index.codes, case["code3"])
        np.testing.assert_array_equal(rsr.bucket_sums(v, index), case["u3"])
        split = rsr.preprocess(A, k, base=2)
        np.testing.assert_array_equal(rsr.index_matmul(v, split), case["y_rsrpp"])
        np.testing.assert_array_equal(rsr.bucket_sums(v, split), case["u_pos"] - case["u_neg"])
        parts = {"_pos": split.positive, "_neg": split.negative}
    for name, part in parts.items():
        assert part.padding == case["padding"]
        np.testing.assert_array_equal(part.permutation, case[f"perm{name}"])
        np.testing.assert_array_equal(part.segments, case[f"seg{name}"])
        np.testing.assert_array_equal(rsr.bucket_sums(v, part), case[f"u{name}"])


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.sampled_from([None, 2, 3]))
def test_index_gives_the_product(seed, n, m, k, base):
    rng = np.random.default_rng(seed)
    A, v = rng.integers(rng.integers(-1, 1), 2, (n, m)), rng.integers(-128, 128, n)
    index = rsr.preprocess(A, k, base)
    np.testing.assert_array_equal(rsr.index_matmul(v, index), v @ A)


def test_worked_example():
    """The figure of the paper: codes of the first block, their sums, and its two outputs."""
    codes, v = np.array([0, 2, 3, 1, 2, 3, 1, 1]), np.array([3, 4, 1, 0, 3, 9, 8, 4])
    index = rsr.preprocess(np.stack([codes >> 1, codes & 1], axis=1), 2)
    np.testing.assert_array_equal(index.codes, [codes])
    np.testing.assert_array_equal(index.segments, [[0, 1, 4, 6]])
    np.testing.assert_array_equal(rsr.bucket_sums(v, index), [[3, 12, 7, 10]])
    np.testing.assert_array_equal(rsr.index_matmul(v, index), [17, 22])


def test_bases_and_padding():
    """Base 3 by the values or by demand; padding columns are weight 0, whose digit is 1."""
    ternary = np.array([[-1, 0, 1], [1, 1, 0]])
    index = rsr.preprocess(ternary, 2)
    np.testing.assert_array_equal(index.codes, [[1, 8], [7, 4]])
    assert (index.base, index.padding) == (3, 1)
    assert rsr.preprocess(abs(ternary), 2).base == 2
    np.testing.assert_array_equal(rsr.preprocess(abs(ternary), 2, 3).codes, [[7, 8], [7, 4]])


# Codes


def test_every_five_trits_have_a_byte():
    """At even and odd places of a row; and what is no canonical byte decodes as the table says."""
    every = np.array(list(product((-1, 0, 1), repeat=5)))
    for place in range(2):
        trits = np.concatenate([np.ones((243, 5 * place), int), every], axis=1)
        codes = rsr.pack_trits(trits)
        assert codes.dtype == np.uint8 and len(np.unique(codes[:, place])) == 243
        np.testing.assert_array_equal(rsr.unpack_trits(codes, trits.shape[1]), trits)
    assert rsr.decode_byte(0b00_001_010) == ((1, -1), (-1, -1), 1)
    assert rsr.decode_byte(0b11_011_100) == ((0, 0), (0, 1), -1)
    assert rsr.decode_byte(0b11_111_010) == ((0, 0), (0, 0), 0)


@pytest.mark.parametrize("mu", range(1, 6))
def test_every_folded_code(mu):
    every = np.array(list(product((-1, 0, 1), repeat=mu)))
    codes = rsr.fold(every)
    assert codes.max() < 1 << folded_bits(mu) and len(np.unique(codes)) == 3**mu
    np.testing.assert_array_equal(rsr.unfold(codes, mu), every)
    np.testing.assert_array_equal(rsr.fold(-every[every[:, 0] > 0]) ^ rsr.fold(every[every[:, 0] > 0]),
                                  1 << folded_bits(mu) - 1)


# Quantizers and readers


def test_absmean():
    weight = np.array([[0.5, -1.5, 0.2, 0.0], [4.0, -0.1, 2.0, -2.1]], np.float32)
    tensor, channel = rsr.quantize(weight), rsr.quantize(weight, "channel")
    assert tensor.scales == np.abs(weight).mean() and channel.scales.tolist() == np.abs(weight).mean(axis=1).tolist()
    np.testing.assert_array_equal(tensor.values, [[0, -1, 0, 0], [1, 0, 1, -1]])
    np.testing.assert_array_equal(channel.values, [[1, -1, 0, 0], [1, 0, 1, -1]])
    np.testing.assert_array_equal(channel.dequantize(), channel.values * channel.scales[:, None])
    np.testing.assert_array_equal(rsr.quantize(np.zeros((2, 3))).values, 0)


def test_bits_per_weight():
    """Five trits a byte, and the scales."""
    qweight = rsr.from_ternary(np.ones((64, 640), int), 0.5)
    assert qweight.codes.shape == (64 * 640 // 5,)
    assert qweight.bits_per_weight == (8 * 64 * 128 + 32) / (64 * 640)
    assert rsr.from_ternary(np.ones((64, 640), int), np.ones(64)).bits_per_weight == (8 * 64 * 128 + 64 * 32) / (64 * 640)
    np.testing.assert_array_equal(rsr.unpack_trits(qweight.codes, 64 * 640), 1)


def test_quantize_activations():
    x = np.array([[1.0, -2.0, 0.5], [0, 0, 0], [1e-7, 0, 0]], np.float32)
    quantized = rsr.quantize_activations(x)
    np.testing.assert_array_equal(quantized.values, [[64, -127, 32], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(quantized.scales, 1 / (np.float32(127) / np.array([2, 1e-5, 1e-5], np.float32)))
    np.testing.assert_array_equal(np.asarray(quantized), quantized.values * quantized.scales.astype(np.float64)[:, None])


@pytest.mark.parametrize("kind", ["TQ1_0", "TQ2_0"])
def test_ternary_gguf(tmp_path, kind):
    """A file of llama.cpp's ternary types gives back the trits; one with other scales is refused, with the place."""
    rng = np.random.default_rng(1)
    trits = rng.integers(-1, 2, (3, 512))
    trits[:, ::256] = 1  # each block of 256 shows its scale
    rows = np.array([[0.5], [0.25], [2.0]])
    blocks = np.repeat([[0.5, 1.0]], 3, axis=0).repeat(256, axis=1)
    qtype = gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path := tmp_path / "ternary.gguf", "test")
    for name, scale in (("tensor", 0.5), ("channel", rows), ("blocks", blocks)):
        writer.add_tensor(name, gguf.quants.quantize((trits * scale).astype(np.float32), qtype), raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor, channel = (rsr.from_ternary(*load_ternary(path, name)) for name in ("tensor", "channel"))
    assert (tensor.granularity, channel.granularity) == ("tensor", "channel")
    for qweight, scale in ((tensor, [0.5]), (channel, rows.ravel())):
        np.testing.assert_array_equal(qweight.values, trits)
        np.testing.assert_array_equal(qweight.scales, scale)
    with pytest.raises(ValueError, match=r"'blocks' must have one magnitude a row beside zero, not 0\.5 at \(0, 0\) and 1"):
        load_ternary(path, "blocks")


# The product


def nearest(value, digits, least):
    """A Fraction rounded to nearest even with so many binary digits, and a least exponent of the last."""
    exponent = least
    while abs(value) >= Fraction(2) ** (exponent + digits):
        exponent += 1
    rounded = round(value / Fraction(2) ** exponent) * Fraction(2) ** exponent
    return rounded


@pytest.mark.parametrize("output, digits, least", [("float32", 24, -149), ("float16", 11, -24)])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_matmul_is_its_definition(output, digits, least, granularity):
    """The docstring in fractions: the sum exact, the scales' product rounded, then the result."""
    config = RsrConfig(**SMALL, output=output, granularity=granularity)
    x, qweight = operands(1, 3, 5, 17, granularity)
    y = rsr.matmul(x, qweight, config)
    assert y.dtype == np.dtype(output)
    for i, j in np.ndindex(y.shape):
        acc = sum(int(a) * int(w) for a, w in zip(x.values[i], qweight.values[j], strict=True))
        scale = Fraction(float(x.scales[i])) * Fraction(float(np.resize(qweight.scales, 5)[j]))
        expected = nearest(acc * nearest(scale, 24, -149), digits, least)
        assert Fraction(float(y[i, j])) == expected


def test_matmul_forms_and_integers():
    """All of the algorithm's forms give the engine's sums; -128 times -1 is +128."""
    config = RsrConfig(**SMALL, output="int32")
    x, qweight = operands(2, 4, 9, 60)
    x.values[0], qweight.values[0] = -128, -1
    y = rsr.matmul(x, qweight, config)
    assert y.dtype == np.int32 and y[0, 0] == 128 * 60
    for k in (1, 3, 5):
        index = rsr.preprocess(qweight.values.T, k)
        np.testing.assert_array_equal(y, [rsr.index_matmul(v, index) for v in x.values])
    exact = rsr.reference(x, qweight)
    np.testing.assert_allclose(rsr.matmul(x, qweight, RsrConfig(**SMALL)), exact, rtol=2**-22)
    np.testing.assert_array_equal(rsr.matmul(x.values, qweight, config), y)


def test_overflow_and_underflow():
    """Beyond the format infinite, with the flag; a scale that overflows spares sums of zero; a subnormal one counts as zero."""
    qweight = rsr.from_ternary(np.array([[1, 1], [1, -1], [0, -1]]), 2.0**100)
    x = QuantizedActivations(np.array([[100, 100]] * 3), np.array([2.0**20, 2.0**27, 2.0**-126], np.float32))
    config = RsrConfig(rows=1, cols=1, drain=1)
    y, flags = rsr.matmul(x, qweight, config, flags=True)
    np.testing.assert_array_equal(y[0], np.float32([200, 0, -100]) * np.float32(2.0**120))
    np.testing.assert_array_equal(y[1], [np.inf, 0, -np.inf])
    np.testing.assert_array_equal(flags.overflow, [[False] * 3, [True, False, True], [False] * 3])
    tiny = rsr.from_ternary(np.ones((1, 2), int), 2.0**-10)
    assert rsr.matmul(x, tiny, config)[2, 0] == 0


# Packing


@pytest.mark.parametrize("settings", [
    {}, {"form": "tree"}, {"mu": 3}, {"mu": 4, "granularity": "channel"}, {"mu": 2, "granularity": "channel"},
    {"form": "tree", "lanes": 7, "output": "int32"}, {"mu": 5, "lanes": 15, "cols": 3, "drain": 1, "output": "float16"},
], ids=str)
def test_packing(settings):
    """Words give the operands back; the terms that they select, with the column's offset, are the sum."""
    config = RsrConfig(**{**SMALL, **settings})
    x, qweight = operands(3, 3, 9, 50, config.granularity)
    words = rsr.pack(qweight, config, m_tiles=2)
    unpacked = rsr.unpack(words, config, 9, 50, m_tiles=2)
    np.testing.assert_array_equal(unpacked["values"], qweight.values)
    np.testing.assert_array_equal(unpacked["offsets"], column_offsets(qweight, config))
    if config.has_scales:
        np.testing.assert_array_equal(unpacked["scales"], qweight.scales)
    y, flags = rsr.matmul(x, qweight, config, flags=True)
    back, overflow = rsr.unpack_outputs(rsr.pack_outputs(y, config), 3, 9, config)
    np.testing.assert_array_equal(back, y)
    np.testing.assert_array_equal(overflow, flags.overflow)
    assert len(rsr.pack_activations(x, config, 3)) == 3 * 2 * -(-50 // config.lanes)
    if config.has_scales:
        assert rsr.pack_tokens(x, config, 3).shape == (6, 4 * config.rows)
    else:
        with pytest.raises(ValueError, match="config must have scales, not output='int32', which has no stream 'tokens'"):
            rsr.pack_tokens(x, config, 3)


def test_default_beat_has_1_6_bits_a_weight():
    config = RsrConfig()
    assert config.code_bits * config.codes_per_beat / (config.cols * config.lanes) == 8 * 410 / 2048 < 1.602


# Cycles and bad input


def test_utilization():
    """At least 97 % on the shapes of both models at the default drain, from 16 tokens on."""
    config = RsrConfig()
    for n, k in ((384, 384), (1152, 384), (384, 1152), (576, 576), (1536, 576), (576, 1536), (192, 576)):
        qweight = rsr.from_ternary(np.zeros((n, k), int))
        timeline = config.timeline(16, n, config.schedule(qweight))
        assert timeline.utilization > 0.97, (n, k, timeline.utilization)


@pytest.mark.parametrize("call, message", [
    (lambda: rsr.preprocess([[0, 2]], 1), r"A must be binary or ternary, not 2 at \(0, 1\)"),
    (lambda: rsr.preprocess([[0, 1]], 13), "k must be 1 to 12, not 13"),
    (lambda: rsr.preprocess([[0, 1]], 0), "k must be 1 to 12, not 0"),
    (lambda: rsr.preprocess([[0, 1]], 1, 4), "base must be 2, 3 or None, not 4"),
    (lambda: rsr.preprocess([0, 1], 1), r"A must have shape \[n, m\] with n, m at least 1, not \(2,\)"),
    (lambda: rsr.bucket_sums(np.zeros(3, int), rsr.preprocess([[0, 1]], 1)),
     r"v must have shape \[1\] like the index, not \[3\]"),
    (lambda: rsr.from_ternary([[0, 1], [1, -2]]), r"weight must be ternary, -1, 0 or 1, not -2 at \(1, 1\)"),
    (lambda: rsr.from_ternary([[0.5]]), r"weight must be ternary, -1, 0 or 1, not 0\.5 at \(0, 0\)"),
    (lambda: rsr.from_ternary([[0]], [1.0, 2.0]), r"scale must be a number or have shape \[1\]"),
    (lambda: rsr.from_ternary([[0]], -1), "scales must be finite and not negative"),
    (lambda: rsr.quantize([[np.nan]]), "weight must be finite"),
    (lambda: rsr.quantize([[1.0]], "group"), "granularity must be 'tensor' or 'channel', not 'group'"),
    (lambda: RsrConfig(mu=6), "mu must be 2 to 5, not 6"),
    (lambda: RsrConfig(mu=3), "lanes must be a multiple of mu 3, not 64"),
    (lambda: RsrConfig(drain=5), "drain must divide cols 32, not be 5"),
    (lambda: RsrConfig(max_k=2**18), "max_k must be lanes 64 to 65536, not 262144"),
    (lambda: RsrConfig(form="scatter"), "form must be one of lookup, tree, not 'scatter'"),
    (lambda: rsr.matmul(np.zeros((1, 200), int), rsr.from_ternary(np.zeros((1, 200), int)), RsrConfig(max_k=100)),
     "K must be at most max_k 100, which the accumulator holds, not 200"),
    (lambda: rsr.matmul([[128]], rsr.from_ternary([[1]]), RsrConfig()),
     r"activations must be within INT8, -128 to 127, not 128 at \(0, 0\)"),
    (lambda: rsr.matmul([[1, 2]], rsr.from_ternary([[1]]), RsrConfig()), "activations must have K = 1 like the weight, not 2"),
    (lambda: rsr.pack(rsr.from_ternary([[1]], [1.0]), RsrConfig()),
     "qweight.granularity must be 'tensor' like the config's, not 'channel'"),
    (lambda: rsr.pack(rsr.from_ternary([[1]]), RsrConfig(), 0), "m_tiles must be at least 1, not 0"),
])
def test_bad_values(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


@pytest.mark.parametrize("call, message", [
    (lambda: rsr.preprocess([[0.0]], 1), "A must be an integer array, not float64"),
    (lambda: rsr.preprocess([[0]], 1.0), r"k must be an integer, not 1\.0"),
    (lambda: rsr.bucket_sums(np.zeros(1), rsr.preprocess([[0]], 1)), "v must be an integer array, not float64"),
    (lambda: rsr.matmul(np.zeros((1, 1)), rsr.from_ternary([[1]]), RsrConfig()), "activations must be integers, not float64"),
    (lambda: RsrConfig(rows=1.5), r"rows must be an integer, not 1\.5"),
])
def test_bad_types(call, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        call()
