# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What `quantize`, `simulate`, `inspect` and `pack` make of files as people have them."""

import json

import gguf
import numpy as np
import pytest
from click.testing import CliRunner
from gguf import GGMLQuantizationType as Type
from gguf.quants import quantize
from safetensors.numpy import save_file

from subbyte import cli, schemes
from subbyte.cli import operands
from subbyte.golden import bitmod, rsr, tender
from subbyte.schemes import scheme
from subbyte.tests.test_quantized_files import awq, gptq, write_gguf
from subbyte.weights import load_quantized, load_tensor

RNG = np.random.default_rng(11)
TRITS = RNG.integers(-1, 2, (6, 512)).astype(np.float32)
SLICE = "tests/data/smollm2_slice.npz"


@pytest.fixture
def run(request, monkeypatch):
    """Call the command in the repository's root; a traceback is a failure."""
    monkeypatch.chdir(request.config.rootpath)

    def call(*arguments, code=0):
        result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="subbyte")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result

    return call


def quantized(run, tmp_path, name, *arguments):
    """What `subbyte quantize` prints and writes."""
    result = run("quantize", name, *arguments, "-o", tmp_path / "q.safetensors")
    return result, schemes.load(tmp_path / "q.safetensors")


@pytest.mark.parametrize("kind", [Type.TQ1_0, Type.TQ2_0, Type.F32])
def test_ternary_tensors_keep_their_scale(run, tmp_path, kind):
    path = write_gguf(tmp_path / "m.gguf", {"w": (quantize(TRITS * np.float32(0.5), kind), kind)})
    result, stored = quantized(run, tmp_path, "rsr", "--weights", path, "--tensor", "w", "--exact")
    assert f"from {kind.name}, exactly" in result.output and "error, rms           0.000e+00" in result.output
    np.testing.assert_array_equal(stored.qweight.values, TRITS)
    assert stored.qweight.scales.tolist() == [0.5] and stored.fmt == "ternary-tensor"


def test_scales_of_channels_choose_the_granularity(run, tmp_path):
    scales = np.linspace(0.5, 1, 6, dtype=np.float32)
    np.savez(tmp_path / "m.npz", w=TRITS.astype(np.int8), w_scale=scales)
    _, stored = quantized(run, tmp_path, "rsr", "--weights", tmp_path / "m.npz", "--tensor", "w", "--exact")
    np.testing.assert_array_equal(stored.qweight.scales, scales)
    assert stored.settings == ("granularity=channel",)


def test_blocks_with_other_scales_lose_and_say_so(run, tmp_path):
    """A block of zeros does not count; one with another scale does, and its row gets the scale of least error."""
    weight = TRITS * 0.5
    weight[0, :256] = 0
    weight[1, 256:] *= 2
    path = write_gguf(tmp_path / "m.gguf", {"w": (quantize(weight.astype(np.float32), Type.TQ2_0), Type.TQ2_0)})
    arguments = ["--weights", path, "--tensor", "w", "--set", "granularity=channel"]
    result, stored = quantized(run, tmp_path, "rsr", *arguments)
    counts = [np.abs(TRITS[1, part]).sum() for part in (slice(256), slice(256, 512))]
    assert stored.qweight.scales[0] == 0.5
    assert stored.qweight.scales[1] == np.float32((0.5 * counts[0] + counts[1]) / sum(counts))
    assert "codes as they are, from TQ2_0; scales rounded" in result.output
    refused = run("quantize", "rsr", *arguments, "--exact", "-o", tmp_path / "e.safetensors", code=2)
    assert "tensor 'w' of type TQ2_0 cannot be taken exactly" in refused.stderr and not (tmp_path / "e.safetensors").exists()


@pytest.mark.parametrize("kind, fmt", [(Type.Q4_0, "int5"), (Type.Q5_0, "int6"), (Type.Q8_0, "int8")])
def test_integer_types_of_gguf_keep_their_codes(run, tmp_path, kind, fmt):
    path = write_gguf(tmp_path / "m.gguf", {"w": (quantize(RNG.normal(0, 1, (4, 512)).astype(np.float32), kind), kind)})
    result, stored = quantized(run, tmp_path, "bitmod", "--weights", path, "--tensor", "w")
    np.testing.assert_array_equal(stored.qweight.values, load_quantized(path, "w").values)
    assert (stored.fmt, stored.qweight.group_size) == (fmt, 32) and f"codes as they are, from {kind.name}" in result.output
    error = stored.qweight.dequantize() - load_tensor(path, "w")
    assert 0 < np.sqrt(np.mean(error**2)) < 2e-3  # half a step of 255


def test_minima_and_other_groups_are_quantized_anew(run, tmp_path):
    path = write_gguf(
        tmp_path / "m.gguf", {"w": (quantize(RNG.normal(0, 1, (4, 512)).astype(np.float32), Type.Q4_1), Type.Q4_1)}
    )
    result, _ = quantized(run, tmp_path, "bitmod", "--weights", path, "--tensor", "w")
    assert "anew, from Q4_1: BitMoD takes integers times a scale, without minima" in result.output
    refused = run("quantize", "bitmod", "--weights", path, "--tensor", "w", "--exact", "-o", tmp_path / "e.safetensors", code=2)
    assert "cannot be taken exactly: BitMoD takes integers times a scale" in refused.stderr and refused.stderr.count("\n") == 1


def test_integers_with_scales_that_are_multiples_are_exact_in_every_scheme(run, tmp_path):
    codes = RNG.integers(-7, 8, (4, 256)).astype(np.int8)
    np.savez(tmp_path / "m.npz", w=codes, w_scale=np.float32([0.5, 0.25, 3, 7]))
    for name in ("bitmod", "tender"):
        _, stored = quantized(run, tmp_path, name, "--weights", tmp_path / "m.npz", "--tensor", "w", "--exact")
        np.testing.assert_array_equal(stored.qweight.dequantize(), load_tensor(tmp_path / "m.npz", "w"))
        assert stored.fmt == "int4"


def test_integers_of_groups_are_exact_as_far_as_scale_codes_reach():
    values = RNG.integers(-8, 8, (3, 512))
    scales = np.float32([[3, 6, 9, 0], [1, 255, 2, 4], [1, 256, 1, 1]])
    qweight = bitmod.from_integers(values, "int4", scales)
    exact = values * np.repeat(scales, 128, axis=1)
    np.testing.assert_array_equal(qweight.dequantize()[:2], exact[:2])
    assert qweight.scale_codes[2].tolist() == [1, 255, 1, 1] and (qweight.dequantize()[2] != exact[2]).any()
    with pytest.raises(ValueError, match="fmt must be one of int3, int4, int5, int6, int8, fp3, fp4, not 'bitmod-fp4'"):
        bitmod.from_integers(values, "bitmod-fp4", scales)


@pytest.mark.parametrize("deviation, fmt, share", [(2e-5, "int8", 0.01), (1e-7, "int8", 0.01), (3000, "bitmod-fp4", 0.11)])
def test_what_binary16_spoils_is_said_and_a_prescale_mends_it(run, tmp_path, deviation, fmt, share):
    weight = RNG.normal(0, deviation, (8, 512)).astype(np.float32)
    np.savez(tmp_path / "m.npz", w=weight)
    arguments = ["bitmod", "--weights", tmp_path / "m.npz", "--tensor", "w", "--format", fmt]
    result, stored = quantized(run, tmp_path, *arguments)
    assert (
        "warning: 32 of 32 " in result.stderr and np.square(stored.qweight.dequantize() - weight).mean() > 0.02 * deviation**2
    )
    result, stored = quantized(run, tmp_path, *arguments, "--prescale")
    assert "warning" not in result.stderr and stored.qweight.prescale == bitmod.prescale_for(weight)
    assert np.sqrt(np.square(stored.qweight.dequantize() - weight).mean()) < share * deviation


def test_a_prescale_changes_no_code_of_integers_within_binary16():
    weight = RNG.normal(0, 0.05, (8, 512)).astype(np.float16).astype(np.float32)
    plain, scaled = bitmod.quantize(weight, "int6"), bitmod.quantize(weight, "int6", prescale=bitmod.prescale_for(weight))
    np.testing.assert_array_equal(plain.codes, scaled.codes)
    np.testing.assert_array_equal(plain.dequantize(), scaled.dequantize())
    with pytest.raises(ValueError, match="prescale needs channel scales"):
        bitmod.quantize(weight, "int6", scale_bits=None, prescale=1)


def test_groups_lost_beside_an_outlier_are_counted(run, tmp_path):
    weight = RNG.normal(0, 0.05, (4, 512)).astype(np.float32)
    weight[1, 7] = 100
    np.savez(tmp_path / "m.npz", w=weight)
    result, _ = quantized(run, tmp_path, "bitmod", "--weights", tmp_path / "m.npz", "--tensor", "w")
    assert "warning: 3 of 16 groups are lost beside a far larger one of their row: scale code 0" in result.stderr


def test_all_layers_go_into_one_file_and_an_interrupted_run_goes_on(run, tmp_path, monkeypatch):
    layers = {
        f"blk.{i}.{name}.weight": RNG.normal(0, 0.1, (4, 256)).astype(np.float32)
        for i in range(2)
        for name in ("attn_output", "ffn_up")
    }
    experts = RNG.normal(0, 0.1, (2, 4, 256)).astype(np.float32)
    path = write_gguf(
        tmp_path / "m.gguf",
        {
            "token_embd.weight": np.ones((4, 256), np.float32),
            "output.weight": np.ones((4, 256), np.float32),
            **layers,
            "blk.1.ffn_gate_exps.weight": experts,
            "blk.0.attn_norm.weight": np.ones(256, "f4"),
        },
    )
    output = tmp_path / "all.safetensors"
    arguments = ["quantize", "bitmod", "--weights", path, "--all", "--format", "int4", "-o", output]
    quantizes, calls = bitmod.quantize, []

    def interrupted(weight, *rest, **options):
        calls.append(weight)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return quantizes(weight, *rest, **options)

    monkeypatch.setattr(bitmod, "quantize", interrupted)
    run(*arguments, code=130)
    assert not output.exists() and len(list(tmp_path.glob("all.parts/*"))) == 2
    run(*arguments)
    assert len(calls) == 7 and not list(tmp_path.glob("all.parts*"))  # 2 before, the one that stopped, and 4 after
    assert set(schemes.stored_tensors(output)) == {*layers, "blk.1.ffn_gate_exps.weight[0]", "blk.1.ffn_gate_exps.weight[1]"}
    for name, weight in [*layers.items(), ("blk.1.ffn_gate_exps.weight[1]", experts[1])]:
        stored = schemes.load(output, name)
        expected = quantizes(weight, "int4")
        for field in ("codes", "values", "scales", "selectors", "scale_codes", "channel_scales"):
            np.testing.assert_array_equal(getattr(stored.qweight, field), getattr(expected, field))
    with pytest.raises(ValueError, match=r"holds blk.*not 'blk.0.attn_ouput.weight' \(did you mean blk.0.attn_output.weight"):
        schemes.load(output, "blk.0.attn_ouput.weight")


@pytest.mark.parametrize(
    "name, qweight",
    [
        (
            "bitmod",
            bitmod.quantize(RNG.normal(0, 1, (3, 200)), "bitmod-fp3", special_values={bitmod.Format.FP3: (5, -5, 6, -6)}),
        ),
        ("tender", tender.quantize(RNG.normal(0, 1, (3, 20)), 8)),
        ("rsr", rsr.quantize(RNG.normal(0, 1, (3, 20)), "channel")),
    ],
)
def test_every_field_comes_back_from_a_file(tmp_path, name, qweight):
    order = RNG.permutation(qweight.shape[1])
    schemes.save(tmp_path / "q.safetensors", schemes.Stored(name, "a.b", "f", qweight, ("k=1",), {"type": "F32"}, order))
    stored = schemes.load(tmp_path / "q.safetensors", "a.b")
    assert (stored.scheme, stored.fmt, stored.settings, stored.source) == (name, "f", ("k=1",), {"type": "F32"})
    np.testing.assert_array_equal(stored.order, order)
    for field, value in vars(qweight).items():
        found = getattr(stored.qweight, field)
        assert type(found) is type(value) and (found.dtype == value.dtype if isinstance(value, np.ndarray) else found == value)
        np.testing.assert_array_equal(found, value)
    with pytest.raises(ValueError, match="holds no tensor that subbyte quantized"):
        schemes.load(SLICE)


def test_what_was_quantized_is_simulated_and_not_quantized_again(run, tmp_path, monkeypatch):
    _, stored = quantized(run, tmp_path, "bitmod", "--weights", SLICE, "--tensor", "weight", "--rows", "0:5")
    monkeypatch.setattr(bitmod, "quantize", None)
    path = tmp_path / "q.safetensors"
    sizes = ["--set", "rows=2", "--set", "cols=2"]
    result = run("simulate", "bitmod", "--weights", path, *sizes, "--tokens", "2", "--json", tmp_path / "f.json")
    assert "10 of 10 bit-identical" in result.output and "weights              as it is, quantized by subbyte" in result.output
    assert "tests/data" in stored.source["file"] and "8 tokens, the first 2 of 8 rows" in result.output
    for arguments, message in (
        (["--rows", "0:2"], "quantized as bitmod-fp4 already: --rows is for `subbyte quantize`"),
        (["--tensor", "x"], "holds weight, not 'x'"),
    ):
        assert message in run("simulate", "bitmod", "--weights", path, *arguments, code=2).stderr
    assert "is quantized for bitmod, not for rsr" in run("simulate", "rsr", "--weights", path, code=2).stderr
    assert json.loads((tmp_path / "f.json").read_text())["taken"].startswith("as it is, quantized by subbyte")


def test_act_order_is_undone_in_the_activations(run, tmp_path, monkeypatch):
    arrays, weight = gptq(8, 128, 4, 32, RNG.permutation(128))
    save_file(arrays, tmp_path / "m.safetensors")
    x = RNG.normal(0, 1, (3, 128)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    seen = []

    def product(x, qweight, config):
        seen.append((x, qweight))
        raise ValueError("seen")

    monkeypatch.setattr(scheme("bitmod"), "product", product, raising=False)
    run(
        "simulate",
        "bitmod",
        "--weights",
        tmp_path / "m.safetensors",
        "--tensor",
        "l.weight",
        "--activations",
        tmp_path / "x.npy",
        code=2,
    )
    ((given, qweight),) = seen
    exact = x.astype(np.float16).astype(np.float64) @ weight.astype(np.float64).T
    np.testing.assert_allclose(
        given.astype(np.float64) @ qweight.dequantize().T, exact, rtol=0, atol=0.02 * np.abs(exact).max()
    )


def test_rows_of_activations_are_neither_dropped_nor_repeated_without_a_word(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(8.0).reshape(2, 4))
    for tokens, rows, word in ((None, 2, ""), (1, 1, ", the first 1 of 2 rows"), (3, 3, ", its 2 rows repeated")):
        x, origin = operands.load_activations(SLICE, "weight", str(tmp_path / "x.npy"), tokens, 4)
        assert len(x) == rows and origin == f"{tmp_path / 'x.npy'}{word}"


@pytest.mark.parametrize("name", schemes.engines())
def test_activations_beyond_binary16_are_refused_alike(run, tmp_path, name):
    x = np.ones((2, 576))
    x[1, 3] = 1e6
    np.save(tmp_path / "x.npy", x)
    result = run("simulate", name, "--weights", SLICE, "--tensor", "weight", "--activations", tmp_path / "x.npy", code=2)
    assert "activations must be within binary16, +-65504, not 1e+06 at (1, 3)" in result.stderr


@pytest.mark.parametrize("tokenizer", ["llama", "bert", None])
def test_any_tokenizer_gives_activations(tmp_path, tokenizer):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    if tokenizer:
        writer.add_tokenizer_model(tokenizer)
    embedding = RNG.normal(0, 1, (300, 64)).astype(np.float32)
    for name, tensor in (
        ("token_embd.weight", embedding),
        ("blk.0.attn_norm.weight", np.ones(64, np.float32)),
        ("blk.0.attn_q.weight", RNG.normal(0, 1, (4, 64)).astype(np.float32)),
    ):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    x, origin = operands.load_activations(tmp_path / "m.gguf", "blk.0.attn_q.weight", None, 3, 64)
    assert x.shape == (3, 64) and "embeddings of tokens 1, 10, 19 (" in origin and repr(tokenizer) in origin
    expected = embedding[[1, 10, 19]] / np.sqrt(np.square(embedding[[1, 10, 19]]).mean(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(x, expected, rtol=2e-3)


def test_integer_results_of_tender_get_divisors(monkeypatch):
    entry = scheme("tender")
    config = entry.Config(rows=2, cols=2, lanes=4, drain=1, bits_w=8, bits_a=8, output="int8")
    x = entry.activations(RNG.normal(0, 1, (3, 32)), config)
    qweight = entry.quantize(RNG.normal(0, 1, (5, 32)), "int8", config)
    terms, words = entry.derived(x, qweight, config)
    y = entry.product(x, qweight, config, **terms).y
    assert np.abs(y).max(axis=0).tolist() == [127] * 5 and "divisors for int8 results" in words


def test_inspect_says_what_is_in_a_file_and_who_takes_it(run, tmp_path):
    path = write_gguf(
        tmp_path / "m.gguf",
        {
            "trits": (quantize(TRITS * np.float32(0.5), Type.TQ2_0), Type.TQ2_0),
            "floats": RNG.normal(0, 1, (70, 256)).astype("f4"),
            "bytes": (quantize(RNG.normal(0, 1, (4, 256)).astype("f4"), Type.Q8_0), Type.Q8_0),
            "norm": np.ones(256, "f4"),
            "nan": np.full((2, 32), np.nan, "f4"),
            "experts": RNG.normal(0, 1, (2, 4, 64)).astype("f4"),
        },
    )
    result = run("inspect", path, "--json", tmp_path / "f.json")
    entries = {entry["name"]: entry for entry in json.loads((tmp_path / "f.json").read_text())["tensors"]}
    assert set(entries["trits"]["exact"]) >= {"rsr", "bitmod"} and entries["trits"]["type"] == "TQ2_0"
    losses = entries["floats"]["losses"]
    assert entries["floats"]["nearest"] == min(losses, key=losses.get) and 0.05 < losses["bitmod"] < 0.15
    assert entries["bytes"]["exact"] == ["bcq"] and 0 < entries["bytes"]["losses"]["bitmod"] < 0.005
    assert "must be finite, not nan at (0, 0)" in entries["nan"]["problem"] and "bitmod" in entries["experts"]["losses"]
    lines = result.output.splitlines()
    assert len(lines) == 6 and lines[0].startswith("trits") and "exactly: " in lines[0] and "no matrix" in result.output


def test_inspect_finds_integers_of_files_exact_in_binary_codes(run, tmp_path):
    """Blocks of GGUF with and without minima, GPTQ and AWQ: all are planes with an offset."""
    weight = RNG.normal(0, 1, (4, 256)).astype("f4")
    kinds = (Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0)
    files = [write_gguf(tmp_path / "m.gguf", {kind.name: (quantize(weight, kind), kind) for kind in kinds})]
    for name, (arrays, _) in (("gptq", gptq(32, 128, 4, 32)), ("gptq3", gptq(32, 128, 3, 64)), ("awq", awq(32, 128, 64))):
        files.append(tmp_path / f"{name}.safetensors")
        save_file(arrays, files[-1])
    for file in files:
        run("inspect", file, "--json", tmp_path / "f.json")
        for entry in json.loads((tmp_path / "f.json").read_text())["tensors"]:
            assert "bcq" in entry["exact"] and entry["losses"]["bcq"] == 0, entry


def test_inspect_of_what_was_quantized(run, tmp_path):
    quantized(run, tmp_path, "bitmod", "--weights", SLICE, "--tensor", "weight")
    result = run("inspect", tmp_path / "q.safetensors")
    assert (
        result.output.startswith("weight  bitmod, bitmod-fp4 64 x 576 ") and "9.72% lost when it was quantized" in result.output
    )


def with_type(path, name, number):
    """A GGUF file in which a tensor's type is another number."""
    data = bytearray(path.read_bytes())
    at = data.index(name.encode()) + len(name) + 4
    at += 8 * int.from_bytes(data[at - 4 : at], "little")
    data[at : at + 4] = number.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("number", [4, 36, 99])
def test_a_tensor_of_an_unknown_type_leaves_the_others(run, tmp_path, number):
    path = write_gguf(tmp_path / "m.gguf", {"odd": np.ones((2, 32), "f4"), "good": TRITS})
    with_type(path, "odd", number)
    np.testing.assert_array_equal(load_tensor(path, "good"), TRITS)
    refused = run("quantize", "rsr", "--weights", path, "--tensor", "odd", "-o", tmp_path / "q.safetensors", code=2)
    assert (
        f"tensor 'odd' has the ggml type {number}" in refused.stderr
        and "which gguf" in refused.stderr
        and refused.stderr.count("\n") == 1
    )
    assert f"ggml type {number}" in run("inspect", path).output


def write_safetensors(path, tensors):
    """By hand: types that the package does not write."""
    header, data = {}, b""
    for name, (dtype, shape, contents) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(contents)]}
        data += contents
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4", "MXFP4"])
def test_types_of_safetensors_that_are_not_read(run, tmp_path, dtype):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"odd": (dtype, [2, 32], bytes(64)), "good": ("F32", [6, 512], TRITS.tobytes())})
    np.testing.assert_array_equal(load_tensor(path, "good"), TRITS)
    refused = run("quantize", "rsr", "--weights", path, "--tensor", "odd", "-o", tmp_path / "q.safetensors", code=2)
    assert f"tensor 'odd' must be F16, BF16, F32 or F64, not {dtype}" in refused.stderr


def test_version_1_of_gguf_is_named(run, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", {"w": TRITS})
    path.write_bytes(path.read_bytes()[:4] + b"\1\0\0\0" + path.read_bytes()[8:])
    assert "must be GGUF version 2 or 3, not 1" in run("inspect", path, code=2).stderr


def test_checkpoints_of_several_files(run, tmp_path):
    first, second = RNG.normal(0, 1, (4, 64)).astype("f4"), RNG.normal(0, 1, (4, 64)).astype("f4")
    folder = tmp_path / "hf"
    folder.mkdir()
    save_file({"a": first}, folder / "model-00001-of-00002.safetensors")
    save_file({"b": second}, folder / "model-00002-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for path in (folder, folder / "model.safetensors.index.json"):
        np.testing.assert_array_equal(load_tensor(path, "b"), second)
    write_gguf(tmp_path / "m-00001-of-00002.gguf", {"a": first})
    write_gguf(tmp_path / "m-00002-of-00002.gguf", {"b": second})
    np.testing.assert_array_equal(load_tensor(tmp_path / "m-00001-of-00002.gguf", "b"), second)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors is missing" in run("inspect", folder, code=2).stderr


def test_experts_are_chosen(run, tmp_path):
    experts = RNG.normal(0, 1, (3, 4, 64)).astype("f4")
    path = write_gguf(tmp_path / "m.gguf", {"e": (quantize(experts, Type.Q8_0), Type.Q8_0), "w": experts[0]})
    _, stored = quantized(run, tmp_path, "bitmod", "--weights", path, "--tensor", "e", "--expert", "2", "--rows", "1:3")
    np.testing.assert_array_equal(stored.qweight.values, load_quantized(path, "e", slice(1, 3), 2).values)
    assert np.abs(stored.qweight.dequantize() - experts[2, 1:3]).max() < 0.05
    for arguments, message in (
        ([], "must have 2 axes, not the shape (3, 4, 64); --expert 0 to 2 chooses one"),
        (["--expert", "3"], "has experts 0 to 2, not 3"),
    ):
        refused = run("quantize", "bitmod", "--weights", path, "--tensor", "e", *arguments, "-o", tmp_path / "e.npz", code=2)
        assert message in refused.stderr
    refused = run("quantize", "bitmod", "--weights", path, "--tensor", "w", "--expert", "0", "-o", tmp_path / "e.npz", code=2)
    assert "has no experts" in refused.stderr


@pytest.mark.parametrize("array", [TRITS.astype(np.float64), np.asfortranarray(TRITS), TRITS.astype(">f4")])
def test_arrays_of_any_kind(tmp_path, array):
    np.savez(tmp_path / "m.npz", w=array, text="no numbers", objects=np.array([{}], dtype=object))
    np.save(tmp_path / "w.npy", array)
    for path in (tmp_path / "m.npz", tmp_path / "w.npy"):
        np.testing.assert_array_equal(load_tensor(path, "w"), TRITS)
    assert load_tensor(tmp_path / "m.npz", "w").flags.c_contiguous or array.flags.f_contiguous


def test_bfloat16_of_npz(tmp_path):
    """ml_dtypes saves it as two bytes without a meaning."""
    bits = (TRITS.view(np.uint32) >> 16).astype(np.uint16)
    np.savez(tmp_path / "m.npz", w=bits.view("V2"))
    np.testing.assert_array_equal(load_tensor(tmp_path / "m.npz", "w"), TRITS)


def test_only_rows_that_are_asked_for_matter(run, tmp_path):
    weight = RNG.normal(0, 1, (8, 64))
    weight[5, 7] = np.nan
    np.savez(tmp_path / "m.npz", w=weight)
    arguments = ["quantize", "bitmod", "--weights", tmp_path / "m.npz", "--tensor", "w", "-o", tmp_path / "q.safetensors"]
    run(*arguments, "--rows", "0:5")
    for rows in ([], ["--rows", "4:6"]):
        assert "tensor 'w' must be finite, not nan at (5, 7)" in run(*arguments, *rows, code=2).stderr
    weight[5, 7] = 1e300
    np.savez(tmp_path / "m.npz", w=weight)
    assert "must be within float32, +-3.4e38, not 1e+300 at (5, 7)" in run(*arguments, code=2).stderr


def test_refusals_name_file_tensor_and_place(run, tmp_path):
    weight, x = RNG.normal(0, 1, (4, 64)), RNG.normal(0, 1, (3, 64))
    weight[1, 5], x[2, 6] = 7e4, np.nan
    np.savez(tmp_path / "m.npz", w=weight)
    np.save(tmp_path / "x.npy", x)
    arguments = ["--weights", tmp_path / "m.npz", "--tensor", "w"]
    refused = run("quantize", "bitmod", *arguments, "-o", tmp_path / "q.npz", code=2).stderr
    assert refused == (
        f"error: {tmp_path / 'm.npz'}: tensor 'w': weight must be finite and within float16's +-65504, not 70000.0 "
        "at [1, 5]; --prescale brings any tensor into range\n"
    )
    for name in ("rsr", "tender"):
        refused = run("simulate", name, *arguments, "--activations", tmp_path / "x.npy", code=2).stderr
        assert refused == f"error: activations of {tmp_path / 'x.npy'}: x must be finite, not nan at (2, 6)\n"
    blocks = quantize(RNG.normal(0, 1, (3, 64)).astype("f4"), Type.Q8_0)
    blocks[2, 34:36] = 255  # the scale of a block
    path = write_gguf(tmp_path / "m.gguf", {"w": (blocks, Type.Q8_0)})
    refused = run("quantize", "bitmod", "--weights", path, "--tensor", "w", "-o", tmp_path / "q.npz", code=2).stderr
    assert "tensor 'w' must be finite, not nan at (2, 32)" in refused


def test_results_of_an_exact_integer_run_have_no_error():
    """Unscaled sums count in the unit of activations and weights."""
    entry = scheme("rsr")
    for granularity in ("tensor", "channel"):
        config = entry.Config(cols=4, lanes=8, drain=1, output="int32", granularity=granularity)
        weight = RNG.normal(0, 1, (5, 32))
        product = entry.product(
            entry.activations(RNG.normal(0, 1, (3, 32)), config),
            entry.quantize(weight, f"ternary-{granularity}", config),
            config,
        )
        np.testing.assert_allclose(product.error, 0, atol=1e-6)
        assert np.abs(product.reference).max() > 1


def test_activations_of_a_model_beyond_binary16_are_not_infinite(tmp_path):
    path = write_gguf(
        tmp_path / "m.gguf",
        {
            "token_embd.weight": np.eye(64, dtype=np.float32),
            "blk.0.attn_norm.weight": np.full(64, 3e4, np.float32),
            "blk.0.attn_q.weight": np.ones((4, 64), np.float32),
        },
    )
    x, origin = operands.load_activations(path, "blk.0.attn_q.weight", None, 3, 64)
    assert np.isfinite(x.astype(np.float16)).all()
    assert (
        origin.startswith("synthetic (the model's cannot be had: ")
        and "must be within binary16, not 239923 of token 1, channel 1" in origin
    )


def test_mxfp4_is_fp4_with_scales_that_are_powers_of_two(run, tmp_path):
    weight = RNG.normal(0, 1, (4, 256)).astype("f4")
    path = write_gguf(tmp_path / "m.gguf", {"w": (quantize(weight, Type.MXFP4), Type.MXFP4)})
    result, stored = quantized(run, tmp_path, "bitmod", "--weights", path, "--tensor", "w", "--exact")
    assert "as it is, from MXFP4, exactly" in result.output and (stored.fmt, stored.qweight.group_size) == ("fp4", 32)
    np.testing.assert_array_equal(stored.qweight.dequantize(), load_tensor(path, "w"))
    config = bitmod.BitModConfig(group_size=32)
    x = RNG.normal(0, 1, (2, 256)).astype(np.float16)
    np.testing.assert_allclose(bitmod.matmul(x, stored.qweight, config), x.astype(float) @ load_tensor(path, "w").T, atol=0.01)
    refused = run(
        "quantize",
        "bitmod",
        "--weights",
        path,
        "--tensor",
        "w",
        "--exact",
        "--format",
        "int4",
        "-o",
        tmp_path / "e.npz",
        code=2,
    ).stderr
    assert "int4 does not hold integers of -12 to 12; fp4 does" in refused


@pytest.mark.parametrize("output", ["float32", "int8"])
def test_a_bias_is_added_by_engines_that_do_so(run, tmp_path, output):
    bias = np.linspace(-50, 50, 6).astype("f4")
    np.savez(tmp_path / "m.npz", w=RNG.normal(0, 1, (6, 32)), b=bias, short=bias[:2])
    entry, settings = scheme("tender"), ("bits_w=8", "bits_a=8", f"output={output}")
    taken = operands.operand(entry, operands.Request(str(tmp_path / "m.npz"), "w", "1:4", settings=settings))
    exact, product, _, _ = operands.product_of(entry, taken, tokens=2, bias="b")
    plain, _, _, _ = operands.product_of(entry, taken, tokens=2)
    np.testing.assert_allclose(exact - plain, np.broadcast_to(bias[1:4], (2, 3)))
    np.testing.assert_allclose(product.y * product.unit, exact, atol=0.5)
    arguments = ["--weights", tmp_path / "m.npz", "--tensor", "w", "--bias"]
    assert (
        "bias 'short' must have an element for each of 6 rows, not 2"
        in run("simulate", "tender", *arguments, "short", code=2).stderr
    )
    assert "--bias is for engines that add one, which RSR's leave" in run("simulate", "rsr", *arguments, "b", code=2).stderr


def test_codes_in_wide_integers_and_types_that_are_no_numbers(run, tmp_path):
    np.savez(
        tmp_path / "m.npz",
        w=TRITS.astype(np.int64),
        wide=np.full((2, 4), 300),
        byte=np.zeros((2, 4), "V1"),
        z=np.ones((2, 2), "c8"),
    )
    _, stored = quantized(run, tmp_path, "rsr", "--weights", tmp_path / "m.npz", "--tensor", "w", "--exact")
    np.testing.assert_array_equal(stored.qweight.values, TRITS)
    for name, message in (
        ("wide", "tensor 'wide', int64: codes must be within -128 to 127, or 0 to 255, not reach 0 and 300"),
        ("byte", "tensor 'byte' must be F16, BF16, F32 or F64, not void of 1 bytes"),
        ("z", "tensor 'z' must be F16, BF16, F32 or F64, not complex64"),
    ):
        arguments = ["--weights", tmp_path / "m.npz", "--tensor", name, "-o", tmp_path / "q.npz"]
        assert message in run("quantize", "bitmod", *arguments, code=2).stderr
