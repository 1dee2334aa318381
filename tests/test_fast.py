# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Faster twins of the exact models give the models' bits; broken on purpose, each is found to differ."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from subbyte import golden
from subbyte.golden import bcq, bipolar, bitmod, tender
from subbyte.golden.fast import exact_type, has_compiler, integer_product
from subbyte.golden.floating import accumulate_float32

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="numba is not installed: pip install 'subbyte[exact]'")
DATA = Path(__file__).parent / "data"
SCHEMES = {"bitmod": bitmod, "bcq": bcq, "tender": tender, "bipolar": bipolar}


def twin(name):
    if name in ("bitmod", "bcq") and not has_compiler():
        pytest.skip("numba is not installed: pip install 'subbyte[exact]'")
    return import_module(f"subbyte.golden.{name}.fast")


def heavy(rng, m, k):
    """Activations of many magnitudes."""
    return (rng.standard_normal((m, k)) * np.exp(2.5 * rng.standard_normal((m, k)))).clip(-6e4, 6e4)


def extremes(k):
    """Rows at the ends of binary16: all the largest, signs in turn, subnormals, zeros, a spike among small ones, no numbers."""
    x = np.full((9, k), 65504, np.float16)
    x[1, ::2] = -65504
    x[2] = 2.0**-24
    x[3] = 0
    x[4] = 0.001
    x[4, k // 2] = 3010
    x[5, : k // 3], x[5, -1] = np.inf, np.nan
    x[6] = np.ldexp(1.999, np.arange(k) * 29 // k - 14)
    x[7] = -x[6]
    x[8] = x[6][::-1] * np.where(np.arange(k) % 3, -1, 1)
    return x


def real():
    """Weights and activations of SmolLM2, and of its layer with a massive activation."""
    for name in ("smollm2_slice", "smollm2_spike"):
        with np.load(DATA / f"{name}.npz") as arrays:
            yield arrays["weight"][:40].astype(np.float32), arrays["activations"].astype(np.float32)


def operands_of(name, small=False):
    """(x, quantized weight, config, further operands) of many kinds; ``small`` ones are for kernels that Python interprets."""
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((5 if small else 70, 300)).astype(np.float32)
    pairs = [(weight, heavy(rng, 3, 300)), (np.sign(weight) + (weight == 0), extremes(300))]
    if not small:
        pairs += [*real(), (weight[:1, :1], heavy(rng, 2, 1)), (weight * 0, heavy(rng, 2, 300))]
    for weight, x in pairs:
        yield from globals()[f"_{name}"](weight, x, small)


def _bitmod(weight, x, small):
    formats = ("bitmod-fp4", "int8") if small else ("bitmod-fp4", "bitmod-fp3", "fp4", "int8", "int3")
    for settings in ({}, {"form": "dense"}, {"lanes": 8, "guard_bits": 13, "group_size": 32},
                     {"lanes": 16, "form": "dense", "output": "float16", "group_size": 256, "guard_bits": 0},
                     {"lanes": 1, "scale_bits": 2, "guard_bits": 7}):
        config = bitmod.BitModConfig(**settings)
        for fmt in formats:
            qweight = bitmod.quantize(weight, fmt, group_size=config.group_size, scale_bits=config.scale_bits)
            yield x.astype(np.float16), qweight, config, {}


def _bcq(weight, x, small):
    bits = (3,) if small else (1, 4)
    for settings, method in (({}, "grid"), ({"output": "float16"}, "alternating"),
                             ({"form": "uniform", "planes": 4}, "uniform"), ({"group_size": 32, "guard_bits": 13}, "greedy")):
        config = bcq.BcqConfig(**settings)
        for count in bits:
            if (count, method) != (1, "uniform"):
                yield x.astype(np.float16), bcq.quantize(weight, count, config.group_size, method), config, {}


def _tender(weight, x, small):
    x = np.where(np.isfinite(x), x, 0).astype(np.float32)
    for bits, settings in ((4, {}), (8, {}), (8, {"accumulator_bits": 24, "lanes": 4}), (4, {"output": "int8"})):
        config = tender.TenderConfig(bits_w=bits, bits_a=bits, rows=2, **settings)
        qweight = tender.quantize(weight, bits)
        for groups, unsigned in ((8, False), (3, True), (20, False)):
            decomposed = tender.decompose(np.abs(x) if unsigned else x, bits, groups, 4, unsigned=unsigned)
            terms = {"correction": tender.correction(decomposed, weight), "bias": weight[:, 0]}
            if config.requantizes:
                terms["divisors"] = np.full((len(decomposed.xq), len(weight)), 3, np.float32)
            yield decomposed, qweight, config, terms


def _bipolar(weight, x, small):
    x = np.where(np.isfinite(x), x, 0)
    for bits, settings in ((4, {}), (8, {"output": "float32"}), (3, {"output": "float16", "scale_bits": 8, "lanes": 32})):
        config = bipolar.BipolarConfig(**settings)
        group = config.lanes if config.has_groups else None
        qweight = bipolar.quantize(weight, bits, group, scale_bits=config.scale_bits)
        yield bipolar.quantize_activations(x, config.bits_a), qweight, config, {}
        integers = np.random.default_rng(bits).integers(-128, 128, x.shape).astype(np.int8)
        yield integers, qweight, config, {}
    signed = np.random.default_rng(1).integers(-4, 4, weight.shape)
    yield integers, bipolar.from_signed(signed, 3, np.ones(len(weight), np.float32)), bipolar.BipolarConfig(), {}


def same(name, matmul, **which):
    """Whether a twin gives golden's bits, or its error, for all operands."""
    for x, qweight, config, terms in operands_of(name, **which):
        outcomes = []
        for function in (SCHEMES[name].matmul, matmul):
            try:
                outcomes.append(function(x, qweight, config, **terms))
            except ValueError as error:
                outcomes.append(np.frombuffer(str(error).encode(), np.uint8))
        expected, got = outcomes
        if got.dtype != expected.dtype or got.tobytes() != expected.tobytes():
            return False
    return True


@pytest.mark.parametrize("name", SCHEMES)
def test_bits_of_the_model(name):
    assert same(name, twin(name).matmul)


def test_tenders_reference():
    for x, qweight, _, terms in operands_of("tender"):
        wanted = tender.reference(x, qweight, terms["correction"])
        assert np.array_equal(twin("tender").reference(x, qweight, terms["correction"]), wanted)


def source(path):
    return (Path(golden.__path__[0]) / path).read_text()


def interpreted(path, kernels=None, old=None, new=None):
    """A module of golden run by Python alone, with a piece of its text replaced."""
    text = source(path).replace("from numba import njit", "njit = lambda **_: lambda kernel: kernel")
    if old is not None:
        assert text.count(old) == 1, (path, old)
        text = text.replace(old, new)
    module = ModuleType("interpreted")
    module.__package__ = ".".join(["subbyte", "golden", *Path(path).parts[:-1]])
    if kernels is not None:
        text, count = re.subn(r"^from \.\.kernels import .*$", "", text, flags=re.MULTILINE)
        assert count == 1
        vars(module).update({key: value for key, value in vars(kernels).items() if key in kernels.__all__})
    exec(compile(text, path, "exec"), vars(module))
    return module


FAULTS = {
    "bitmod": (
        ("(acc[n] >> (rise & 31))", "acc[n]"),
        ("if risen or at == beats", "if at == beats"),
        ("start > run:", "start > 64 * run:"),
        ("start, rise = at * lanes, risen", "start, rise = at * lanes, 0"),
        ("* scales[n] * unit", "* scales[n] * units[m, 0]"),
        ("(of_row[n] >> rise)", "of_row[n]"),
        ("(np.int64(acc[n]) >> down)", "acc[n]"),
        ("running[m] = risen", "running[m] = alignments[m, group]"),
        ("scales, unit = codes[block, group]", "scales, unit = codes[block, 0]"),
    ),
    "bcq": (
        ("lower[m] + down[n] & 63", "lower[0] + down[n] & 63"),
        ("of_row[n] >>= rise", "of_row[n] >>= 0"),
        ("products[n] += one * offset[n]", "products[n] += offset[n]"),
        ("products[n] = one * significand[n]", "products[n] = significand[n]"),
        ("below[group], offsets[group])", "below[0], offsets[group])"),
        ("kind = exact_type(", "kind = np.float32 or ("),
    ),
    "tender": (
        ("<< group - group.min()", "<< group"),
        ("(integer_product(xq, qweight.codes) + half & 2 * half - 1) - half", "integer_product(xq, qweight.codes)"),
        ("**terms), config))", "**terms), config)[:1])"),
    ),
    "bipolar": (
        ("+ fix.rows[:, None]", ""),
        ("return integer_product(a, w) - constant(k, x.bits, qweight.bits)", "return integer_product(a, w)"),
        (" * qweight.scale_codes[:, group]", ""),
        ("(total >> fix.halvings)", "total"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_broken_twins_are_found(name):
    """The twin as it is passes by the same operands, interpreted."""
    kernels = interpreted("kernels.py") if name in ("bitmod", "bcq") else None
    assert same(name, interpreted(f"{name}/fast.py", kernels).matmul, small=True)
    for old, new in FAULTS[name]:
        broken = interpreted(f"{name}/fast.py", kernels, old, new)
        with np.errstate(all="ignore"):
            assert not same(name, broken.matmul, small=True), old


def added(add_rounded):
    """Whether sums are those of golden: wide operands, where two roundings to nearest would differ, and exact zeros."""
    rng = np.random.default_rng(5)
    operands = rng.integers(-(2**53), 2**53, 4000) >> rng.integers(0, 53, 4000)
    exponents = rng.integers(-90, 10, 4000)
    total = np.ldexp(rng.integers(-(2**24), 2**24, 4000), exponents + rng.integers(0, 60, 4000)).astype(np.float32)
    ties = np.arange(4000) % 4 == 0  # half a unit of the sum, and the least bit more or less
    total[ties], operands[ties] = np.float32(2.0**24 + 2), (1 << 40) + rng.integers(-1, 2, ties.sum())
    exponents[ties] = -40
    total[1::4], operands[1::4], exponents[1::4] = -8, 8, 0
    total[2::8], operands[2::8], exponents[2::8] = 2.0**24 + 2, 2**30 - 3, -30  # next to a tie in binary64
    total[6::8], operands[6::8], exponents[6::8] = 2.0**-60, 2**24 + 1, 0  # above a tie by what binary64 drops
    wanted = accumulate_float32(total, operands, exponents)
    got = total.copy()
    add_rounded(got, np.ldexp(operands.astype(np.float64), exponents), np.empty(4000), np.empty(4000))
    return got.tobytes() == wanted.tobytes()


@needs_compiler
def test_sums_rounded_once():
    from subbyte.golden import kernels

    assert added(kernels.add_rounded)


@pytest.mark.parametrize("old, new", [
    ("errors[n] != 0 and not bits[n] & 1", "False"),
    ("and not bits[n] & 1", ""),
    ("1 if (errors[n] > 0) == (sums[n] > 0) else -1", "1"),
    ("(old - (new - part)) + (product - part)", "product - part"),
])
def test_broken_sums_are_found(old, new):
    assert added(interpreted("kernels.py").add_rounded)
    assert not added(interpreted("kernels.py", None, old, new).add_rounded)


@pytest.mark.parametrize("largest, kind", [(2**24, np.float32), (2**24 + 1, np.float64), (2**53 + 1, np.int64)])
def test_products_in_the_fastest_exact_type(largest, kind):
    assert exact_type(largest) is kind
    a, b = np.array([[largest - 1, 1]]), np.array([[1, 1], [1, -1]])
    assert integer_product(a, b).tolist() == [[largest, largest - 2]]
