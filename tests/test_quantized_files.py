# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Weights that are quantized already: every layout against its format's own dequantizer, or against numbers packed here."""

import json
import re

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file

from subbyte.weights import QuantizedTensor, WeightFileError, list_tensors, load_quantized, load_tensor, open_file

RNG = np.random.default_rng(3)
MATRIX = RNG.normal(0, 0.1, (5, 512)).astype(np.float32)
TRITS = RNG.integers(-1, 2, (8, 512)).astype(np.int8)
INTEGER_TYPES = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]


def write_gguf(path, tensors, endian=gguf.GGUFEndian.LITTLE):
    """Tensors by name: an array, or blocks and their type."""
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    for name, tensor in tensors.items():
        if isinstance(tensor, tuple):
            writer.add_tensor(name, tensor[0], raw_dtype=tensor[1])
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("kind", [*INTEGER_TYPES, Type.TQ1_0, Type.TQ2_0, Type.MXFP4])
def test_codes_of_gguf_give_what_its_own_dequantizer_gives(tmp_path, kind):
    blocks = quantize(MATRIX, kind)
    path = write_gguf(tmp_path / "m.gguf", {"w": (blocks, kind)})
    tensor = load_quantized(path, "w")
    assert tensor.source == kind.name and tensor.shape == MATRIX.shape
    assert tensor.group_size == gguf.GGML_QUANT_SIZES[kind][0]
    np.testing.assert_array_equal(tensor.dequantize(), dequantize(blocks, kind))
    np.testing.assert_array_equal(load_quantized(path, "w", slice(2, 4)).dequantize(), dequantize(blocks, kind)[2:4])
    if tensor.minima is None:
        np.testing.assert_array_equal(tensor.values * tensor.spread(tensor.magnitudes), tensor.dequantize())
        assert tensor.is_ternary == kind.name.startswith("TQ")


@pytest.mark.parametrize("kind", INTEGER_TYPES)
def test_random_blocks_use_every_code(tmp_path, kind):
    """A quantizer does not write every code; a file may hold it."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    blocks = RNG.integers(0, 256, (16, 8 * width), dtype=np.uint8)
    heads = blocks.reshape(-1, width)[:, :4].view(np.float16)  # scale, and what may be a minimum: no NaN
    heads[:] = RNG.normal(0, 1, heads.shape)
    path = write_gguf(tmp_path / "m.gguf", {"w": (blocks, kind)})
    np.testing.assert_array_equal(load_quantized(path, "w").dequantize(), dequantize(blocks, kind))


@pytest.mark.parametrize(
    "tensor",
    [
        MATRIX,
        MATRIX.astype(np.float16),
        *((quantize(MATRIX, kind), kind) for kind in (Type.Q4_0, Type.Q4_1, Type.Q8_0, Type.BF16)),
    ],
    ids=lambda tensor: getattr(tensor, "dtype", tensor[-1]),
)
def test_big_endian(tmp_path, tensor):
    """What the writer of the package does not turn is turned here, as llama.cpp's script does it."""
    little = write_gguf(tmp_path / "little.gguf", {"w": tensor})
    if isinstance(tensor, tuple):
        turned, kind = np.array(tensor[0]), tensor[1]
        blocks = turned.reshape(-1, gguf.GGML_QUANT_SIZES[kind][1])
        for start in range(0, 4 if kind == Type.Q4_1 else 2, 2):
            blocks[:, start : start + 2] = blocks[:, start : start + 2][:, ::-1]
        tensor = turned, kind
    big = write_gguf(tmp_path / "big.gguf", {"w": tensor}, gguf.GGUFEndian.BIG)
    np.testing.assert_array_equal(load_tensor(big, "w"), load_tensor(little, "w"))


def test_big_endian_of_other_types_is_refused(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", {"w": (quantize(MATRIX, Type.Q5_0), Type.Q5_0), "f": MATRIX}, gguf.GGUFEndian.BIG)
    with pytest.raises(WeightFileError, match="tensor 'w' has the type Q5_0 in a big-endian file"):
        load_tensor(path, "w")
    np.testing.assert_array_equal(load_tensor(path, "f"), MATRIX)


def pack_bits(codes, bits):
    """Codes along the last axis as int32 words: one string of bits."""
    digits = codes[..., None] >> np.arange(bits) & 1
    string = digits.reshape(*codes.shape[:-1], -1, 32).astype(np.int64)
    return (string << np.arange(32)).sum(axis=-1).astype(np.uint32).view(np.int32)


def gptq(n, k, bits, size, order=None, first=1):
    """Arrays of a layer, and its float32 [N, K]."""
    groups = -(-k // size)
    codes, zeros = RNG.integers(0, 1 << bits, (k, n)), RNG.integers(first, 1 << bits, (groups, n))
    scales = RNG.uniform(0.01, 0.1, (groups, n)).astype(np.float16)
    index = (np.arange(k) if order is None else np.argsort(order)) // size
    weight = scales.astype(np.float32)[index] * (codes - zeros[index]).astype(np.float32)
    arrays = {
        "l.qweight": pack_bits(codes.T, bits).T.copy(),
        "l.qzeros": pack_bits(zeros - first, bits),
        "l.scales": scales,
        "l.g_idx": index.astype(np.int32),
    }
    return arrays, weight.T


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("act_order", [False, True])
def test_gptq(tmp_path, bits, act_order):
    order = RNG.permutation(128) if act_order else None
    arrays, weight = gptq(32, 128, bits, 32, order)
    save_file(arrays, tmp_path / "m.safetensors")
    assert list_tensors(tmp_path / "m.safetensors") == {"l.weight": (32, 128)}
    for name in ("l.weight", "l.qweight", "l"):
        np.testing.assert_array_equal(load_tensor(tmp_path / "m.safetensors", name), weight)
    tensor = load_quantized(tmp_path / "m.safetensors", "l.weight")
    assert (tensor.bits, tensor.group_size, tensor.order is not None) == (bits, 32, act_order)
    np.testing.assert_array_equal(tensor.dequantize(), tensor.sorted(weight))
    np.testing.assert_array_equal(load_tensor(tmp_path / "m.safetensors", "l.weight", rows=slice(3, 9)), weight[3:9])


def test_gptq_of_the_second_version_stores_zeros_as_they_are(tmp_path):
    arrays, weight = gptq(32, 64, 4, 32, first=0)
    save_file(arrays, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"checkpoint_format": "gptq_v2"}}))
    np.testing.assert_array_equal(load_tensor(tmp_path, "l.weight"), weight)
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"checkpoint_format": "marlin"}}))
    open_file.__globals__["_open"].cache_clear()
    with pytest.raises(WeightFileError, match="tensor 'l.weight', GPTQ 4 bits: checkpoint_format must be gptq or gptq_v2"):
        load_tensor(tmp_path, "l.weight")


def test_gptq_whose_groups_no_permutation_makes_equal_is_refused(tmp_path):
    arrays, _ = gptq(32, 64, 4, 32)
    arrays["l.g_idx"][0] = 1
    save_file(arrays, tmp_path / "m.safetensors")
    with pytest.raises(WeightFileError, match=r"g_idx must have groups of 32 inputs.*not of \[31, 33\]"):
        load_tensor(tmp_path / "m.safetensors", "l.weight")


def awq(n, k, size):
    """Likewise."""
    codes, zeros = RNG.integers(0, 16, (k, n)), RNG.integers(0, 16, (k // size, n))
    scales = RNG.uniform(0.01, 0.1, (k // size, n)).astype(np.float16)
    place = [0, 2, 4, 6, 1, 3, 5, 7]  # of AutoAWQ: nibble i holds this column

    def pack(array):
        return pack_bits(array.reshape(len(array), -1, 8)[..., place].reshape(len(array), -1), 4)

    weight = np.repeat(scales, size, axis=0).astype(np.float32) * (codes - np.repeat(zeros, size, axis=0))
    return {"l.qweight": pack(codes), "l.qzeros": pack(zeros), "l.scales": scales}, weight.T.astype(np.float32)


def test_awq(tmp_path):
    arrays, weight = awq(32, 128, 64)
    save_file(arrays, tmp_path / "m.safetensors")
    np.testing.assert_array_equal(load_tensor(tmp_path / "m.safetensors", "l.weight"), weight)
    assert load_quantized(tmp_path / "m.safetensors", "l.weight").source == "AWQ 4 bits"


def test_bitnet(tmp_path):
    packed = sum((TRITS[2 * i : 2 * i + 2] + 1).astype(np.uint8) << 2 * i for i in range(4))
    arrays = {"l.weight": packed, "l.weight_scale": np.array([4.0], np.float32)}
    save_file(arrays, tmp_path / "model.safetensors")
    tensor = load_quantized(tmp_path / "model.safetensors", "l.weight")
    assert tensor.is_ternary and tensor.shape == (8, 512)
    np.testing.assert_array_equal(tensor.values, TRITS)
    np.testing.assert_array_equal(tensor.channel_scales(), np.full(8, 0.25, np.float32))
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"linear_class": "autobitlinear"}}))
    open_file.__globals__["_open"].cache_clear()
    np.testing.assert_array_equal(load_quantized(tmp_path, "l.weight").channel_scales(), np.full(8, 4, np.float32))


@pytest.mark.parametrize("write", [lambda path, arrays: np.savez(path, **arrays), lambda path, arrays: save_file(arrays, path)])
def test_integers_with_a_scale_beside_them(tmp_path, write):
    codes = RNG.integers(-128, 128, (6, 64)).astype(np.int8)
    scales = RNG.uniform(0.1, 1, 6).astype(np.float32)
    path = tmp_path / "m.npz"
    write(
        path,
        {"a.weight": codes, "a.weight_scale": scales, "b": TRITS, "c": codes, "c_scale": scales.reshape(6, 1).repeat(2, 1)},
    )
    assert set(list_tensors(path)) == {"a.weight", "b", "c"}
    np.testing.assert_array_equal(load_tensor(path, "a.weight"), codes * scales[:, None])
    trits = load_quantized(path, "b")
    assert trits.is_ternary and trits.bits == 2
    np.testing.assert_array_equal(trits.values, TRITS)
    assert load_quantized(path, "c").group_size == 32


def test_a_form_is_checked():
    codes, scales = np.zeros((2, 8), np.uint8), np.ones((2, 2), np.float32)
    for change, message in (
        ({"codes": codes.astype(int)}, "codes must be uint8"),
        ({"bits": 9}, "bits must be 1 to 8"),
        ({"scales": scales[:1]}, re.escape("scales must have the shape (2, 2)")),
        ({"order": np.zeros(8, int)}, "order must be a permutation of 8 columns"),
    ):
        with pytest.raises(ValueError, match=message):
            QuantizedTensor(**{"codes": codes, "bits": 4, "scales": scales, "group_size": 4, "source": "test"} | change)
    values = np.array([[0, 0, 1, -1], [1, 0, 0, 0]])
    tensor = QuantizedTensor.from_values(values, [[7, 2], [3, 5]], "test")
    assert tensor.channel_scales().tolist() == [2, 3]  # a group of zeros has no say
    negative = QuantizedTensor.from_values(values, [[-1, -2], [3, 5]], "test")
    np.testing.assert_array_equal(negative.values, [[0, 0, -1, 1], [1, 0, 0, 0]])


D, M, FIFTH = b"\x00\x38", b"\x00\xbc", b"\x01\x00\x01\x00"  # 0.5, -1, the fifth bits of weights 0 and 16


@pytest.mark.parametrize(
    "kind, block, weights",
    [
        (Type.Q4_0, D + b"\xa3" + bytes(15), {0: -2.5, 16: 1}),
        (Type.Q4_1, D + M + b"\xa3" + bytes(15), {0: 0.5, 16: 4}),
        (Type.Q5_0, D + FIFTH + b"\xa3" + bytes(15), {0: 1.5, 16: 5}),
        (Type.Q5_1, D + M + FIFTH + b"\xa3" + bytes(15), {0: 8.5, 16: 12}),
        (Type.Q8_0, D + b"\xfd" + bytes(31), {0: -1.5, 1: 0}),
        (Type.MXFP4, b"\x7f\xa3" + bytes(15), {0: 1.5, 16: -1}),
        (Type.TQ2_0, b"\x86" + bytes(63) + D, {0: 0.5, 32: 0, 64: -0.5, 96: 0.5}),
        (Type.TQ1_0, b"\xb8" + bytes(51) + D, {0: 0.5, 32: -0.5, 64: 0, 96: 0, 128: -0.5}),
    ],
)
def test_words_of_gguf_worked_by_hand(tmp_path, kind, block, weights):
    """Those of docs/weights.md."""
    path = write_gguf(tmp_path / "m.gguf", {"w": (np.frombuffer(block, np.uint8)[None], kind)})
    tensor = load_tensor(path, "w")
    assert {place: tensor[0, place] for place in weights} == weights
    np.testing.assert_array_equal(load_quantized(path, "w").dequantize(), tensor)


def test_words_of_checkpoints_worked_by_hand(tmp_path):
    """Those of docs/weights.md."""
    word, half = np.array([[0x76543210]], np.int32), np.full((1, 8), 0.5, np.float16)
    save_file(
        {
            "g.qweight": word.repeat(8, 1),
            "g.qzeros": np.array([[0x77777777]], np.int32),
            "g.scales": half,
            "a.qweight": word,
            "a.qzeros": np.zeros((1, 1), np.int32),
            "a.scales": half,
            "b.weight": np.array([[0x86]], np.uint8),
            "b.weight_scale": np.array([2], np.float32),
            "i": np.array([[-3]], np.int8),
            "i_scale": np.array(0.5, np.float32),
        },
        tmp_path / "m.safetensors",
    )
    layers = {name: load_tensor(tmp_path / "m.safetensors", name) for name in ("g.weight", "a.weight", "b.weight", "i")}
    np.testing.assert_array_equal(layers["g.weight"], np.tile(0.5 * (np.arange(8) - 8), (8, 1)))
    assert layers["a.weight"][:, 0].tolist() == [0, 2, 0.5, 2.5, 1, 3, 1.5, 3.5]
    assert layers["b.weight"][:, 0].tolist() == [0.5, 0, -0.5, 0.5] and layers["i"].tolist() == [[-1.5]]


def test_scales_of_bfloat16_count_as_numbers(tmp_path):
    """As BitNet's checkpoints have them: 4 is 4080, not 16512."""
    packed = np.array([[0x86]], np.uint8)
    header = {
        "w": {"dtype": "U8", "shape": [1, 1], "data_offsets": [0, 1]},
        "w_scale": {"dtype": "BF16", "shape": [1], "data_offsets": [1, 3]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + packed.tobytes() + b"\x80\x40")
    assert load_tensor(tmp_path / "m.safetensors", "w")[:, 0].tolist() == [0.25, 0, -0.25, 0.25]


@pytest.mark.parametrize("names", [("scales", "zeros"), ("l.scale", "l.zero"), ("l.weight_scales", "l.weight_zeros")])
def test_scales_and_zeros_by_any_usual_name(tmp_path, names):
    codes, scales, zeros = RNG.integers(0, 16, (4, 8)).astype(np.uint8), np.float32([[1, 2]] * 4), np.uint8([[3, 9]] * 4)
    np.savez(tmp_path / "m.npz", **{"l.weight": codes, names[0]: scales}, **({} if names[1] == "zeros" else {names[1]: zeros}))
    tensor = load_quantized(tmp_path / "m.npz", "l.weight")
    if names[1] == "zeros":
        zeros = np.zeros((4, 2))
    expected = (codes - np.repeat(zeros.astype(int), 4, axis=1)) * np.repeat(scales, 4, axis=1)
    np.testing.assert_array_equal(tensor.dequantize(), expected)


def test_gptq_without_act_order_needs_no_g_idx(tmp_path):
    arrays, weight = gptq(32, 64, 4, 32)
    (tmp_path / "quantize_config.json").write_text(json.dumps({"desc_act": False, "group_size": 32, "bits": 4}))
    save_file({**arrays, "l.g_idx": np.zeros(64, np.int32)}, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_tensor(tmp_path, "l.weight"), weight)
    del arrays["l.g_idx"]
    save_file(arrays, tmp_path / "other.safetensors")
    np.testing.assert_array_equal(load_tensor(tmp_path / "other.safetensors", "l.weight"), weight)
