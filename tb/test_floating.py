# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The floating-point parts: a small format exhaustively, binary32 and binary16 on random and hard vectors.

One Verilator model holds all units side by side, the good ones in each pipelining and some with a fault built
in, and every unit sees every vector that is legal for it.
"""

from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from subbyte.golden.floating import accumulate_float32, scale_round
from subbyte.hdl.floating import Float16, Float32, FloatAccumulate, FloatScale
from subbyte.hdl.int_to_float import IntToFloat
from subbyte.hdl.pipeline import delay
from subbyte.sim.stream_model import StreamModel
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import to_verilog

SEED = 11
VECTORS = 40_000


class Float8(data.Struct):
    """A format small enough for all pairs of operands."""

    fraction: 3
    exponent: 4
    sign: 1


class Float6(data.Struct):
    """A format for results with many subnormal numbers and infinities."""

    fraction: 2
    exponent: 3
    sign: 1


class Truncating(FloatAccumulate):
    """Fault: never rounds up."""

    def _round_up(self, magnitude, sticky, negative):
        return Const(0, 1)


class WithoutSticky(FloatAccumulate):
    """Fault: every number with a guard bit looks like a tie."""

    def _round_up(self, magnitude, sticky, negative):
        return super()._round_up(magnitude, negative, negative)


class WithoutUnit(FloatAccumulate):
    """Fault: forgets the unit that completes the negation of a result."""

    def _round_up(self, magnitude, sticky, negative):
        return super()._round_up(magnitude, sticky, Const(0, 1))


class WithoutPad(FloatAccumulate):
    """Fault: takes the zeros below the window for leading zeros of a negative number."""

    def _find_block(self, bits, negative):
        return super()._find_block(Cat(negative.replicate(self._pad), bits[self._pad:]), negative)


class WithoutHuge(FloatScale):
    """Fault: sees an overflow only if the exponent fits its field."""

    def _align(self, m, product, exponent):
        return super()._align(m, product, exponent) | {"huge": Const(0, 1)}


class FlushToZero(FloatScale):
    """Fault: subnormal results are zero."""

    def _align(self, m, product, exponent):
        results = super()._align(m, product, exponent)
        guarded = results["guarded"]
        return results | {"guarded": guarded & delay(m, exponent > 0, 1, "kept").replicate(len(guarded))}


SMALL = {"operand_width": 4, "exponent_max": 5, "bias": -3, "operands": 4, "float_format": Float8}
ACCUMULATE = {
    **{f"small_{stages}": FloatAccumulate(**SMALL, stages=stages) for stages in range(1, 8)},
    "small_truncating": Truncating(**SMALL),
    "small_without_sticky": WithoutSticky(**SMALL),
    "small_without_unit": WithoutUnit(**SMALL),
    "small_without_pad": WithoutPad(**SMALL),
    "large": FloatAccumulate(),
    "large_without_sticky": WithoutSticky(),
}
SCALE = {
    **{f"small_{stages}": FloatScale(Float6, in_format=Float8, product_stages=stages)
       for stages in (1, 2, 3, 5)},
    "small_without_huge": WithoutHuge(Float6, in_format=Float8, product_stages=1),
    "small_flush_to_zero": FlushToZero(Float6, in_format=Float8, product_stages=1),
    "single": FloatScale(Float32),
    "half": FloatScale(Float16, product_stages=3),
}
WIDTHS = {f"sum_{name}": len(unit.sum_out.as_value()) for name, unit in ACCUMULATE.items()} | {
    f"y_{name}": len(unit.y.as_value()) + 1 for name, unit in SCALE.items()}


class Units(wiring.Component):
    """All units in parallel, their results delayed to come together; must not be stalled."""

    def __init__(self):
        operands = data.StructLayout({"sum": 32, "operand": signed(38), "exponent": 5, "scale": 32})
        super().__init__({
            "operands": In(stream.Signature(operands)),
            "results": Out(stream.Signature(data.StructLayout(WIDTHS))),
        })

    def elaborate(self, platform):
        m = Module()
        given, results = self.operands.payload, self.results.payload
        latency = max(unit.latency for unit in [*ACCUMULATE.values(), *SCALE.values()])
        for name, unit in ACCUMULATE.items():
            m.submodules[f"accumulate_{name}"] = unit
            late = delay(m, unit.sum_out.as_value(), latency - unit.latency, f"sum_{name}")
            m.d.comb += [
                unit.sum_in.as_value().eq(given.sum),
                unit.operand.eq(given.operand),
                unit.exponent.eq(given.exponent),
                results[f"sum_{name}"].eq(late),
            ]
        for name, unit in SCALE.items():
            m.submodules[f"scale_{name}"] = unit
            late = delay(m, Cat(unit.y.as_value(), unit.overflow), latency - unit.latency, f"y_{name}")
            m.d.comb += [
                unit.sum.as_value().eq(given.sum),
                unit.scale.as_value().eq(given.scale),
                results[f"y_{name}"].eq(late),
            ]
        m.d.comb += [
            self.operands.ready.eq(1),
            self.results.valid.eq(delay(m, self.operands.valid, latency, "valid", reset=True)),
        ]
        return m


@pytest.fixture(scope="module")
def model():
    bits = {"operands": 107}, {"results": sum(WIDTHS.values())}
    verilog = kept_verilog("float_units", None, lambda: to_verilog(Units(), "float_units"))
    return StreamModel(verilog, "float_units", inputs=bits[0], outputs=bits[1])


def run(model, total, operand=0, exponent=0, scale=0):
    """Return the results of every unit, by name, as unsigned integers."""
    fields = [(np.broadcast_to(value, total.shape).astype(np.uint64) & np.uint64((1 << width) - 1), width)
              for value, width in ((total, 32), (operand, 38), (exponent, 5), (scale, 32))]
    bits = np.concatenate([value[:, None] >> np.arange(width, dtype=np.uint64) & np.uint64(1)
                           for value, width in fields], axis=1)
    words = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    output = model.run({"operands": words}, {"results": len(words)}, seed=SEED).outputs["results"]
    bits = np.unpackbits(output, axis=1, bitorder="little")
    results, start = {}, 0
    for name, width in WIDTHS.items():
        weights = np.uint64(1) << np.arange(width, dtype=np.uint64)
        results[name] = bits[:, start:start + width].astype(np.uint64) @ weights
        start += width
    return results


def check(got, expected, **operands):
    """Compare bit patterns; name the first vector that differs."""
    wrong = np.flatnonzero(got != expected)
    if wrong.size:
        i = wrong[0]
        given = ", ".join(f"{name} {values[i]!r}" for name, values in operands.items())
        raise AssertionError(f"{wrong.size} of {got.size} differ; first {i}: {given}: "
                             f"expected {int(expected[i]):#x}, got {int(got[i]):#x} (seed {SEED})")


def detected(got, expected):
    return (got != expected).any()


def value_of(pattern, float_format):
    """Value of a normal number or zero, as a fraction."""
    layout = data.Layout.cast(float_format)
    fraction, exponent = layout["fraction"].width, layout["exponent"].width
    field = pattern >> fraction & (1 << exponent) - 1
    if field == 0:
        return Fraction(0)
    significand = (1 << fraction) + (pattern & (1 << fraction) - 1)
    magnitude = significand * Fraction(2) ** (field - ((1 << exponent - 1) - 1) - fraction)
    return -magnitude if pattern >> fraction + exponent else magnitude


def pattern_of(value, float_format):
    """Pattern of a fraction rounded to nearest even, subnormal and infinite results included; zero is +0."""
    layout = data.Layout.cast(float_format)
    fraction, exponent = layout["fraction"].width, layout["exponent"].width
    bias, magnitude = (1 << exponent - 1) - 1, abs(value)
    power = 1 - bias
    while magnitude >= Fraction(2) ** (power + 1):
        power += 1
    # Patterns of nonnegative numbers are in order: rounding may carry into the exponent.
    units = round(magnitude / Fraction(2) ** (power - fraction)) + (power - 1 + bias << fraction)
    return min(units, (1 << exponent) - 1 << fraction) | (value < 0) << fraction + exponent


@pytest.fixture(scope="module")
def small_sums(model):
    """All sums, operands and exponents of the small accumulation, with the exact results."""
    least = Fraction(1, 4)
    largest_operand = Fraction(8) * 2**2
    vectors, expected = [], []
    for pattern in range(256):
        total = value_of(pattern, Float8)
        legal = pattern == 0 or (total != 0 and total % least == 0 and abs(total) <= 3 * largest_operand)
        for operand in range(-8, 8) if legal else ():
            for exponent in range(1, 6):
                vectors.append((pattern, operand, exponent))
                expected.append(pattern_of(total + operand * Fraction(2) ** (exponent - 3), Float8))
    vectors = np.array(vectors)
    return vectors, run(model, *vectors.T), np.array(expected, np.uint64)


@pytest.mark.parametrize("stages", range(1, 8))
def test_small_accumulate(small_sums, stages):
    vectors, results, expected = small_sums
    assert len(vectors) > 8000
    check(results[f"sum_small_{stages}"], expected, vector=vectors)


@pytest.mark.parametrize("fault", ["truncating", "without_sticky", "without_unit", "without_pad"])
def test_small_accumulate_detects(small_sums, fault):
    _, results, expected = small_sums
    assert detected(results[f"sum_small_{fault}"], expected)


def legal_sums(rng, count):
    """Sums for the default unit: multiples of 2**-28 up to 2**44, with fractions that carry far."""
    lead = rng.integers(0, 72, count)
    fraction = rng.choice([0, 1, (1 << 23) - 1, (1 << 23) - 2, 1 << 22], count)
    fraction = np.where(rng.random(count) < 0.6, rng.integers(0, 1 << 23, count), fraction)
    significand = (1 << 23) + fraction
    significand &= ~((1 << np.maximum(23 - lead, 0)) - 1)
    total = np.ldexp(significand * rng.choice([-1.0, 1.0], count), lead - 28 - 23).astype(np.float32)
    return np.where(rng.random(count) < 0.02, np.float32(0), total)


def hard_operands(rng, total):
    """Operands and exponents: random of all lengths, extreme, cancelling the sum, and next to its ties."""
    count, limit = total.size, 1 << 37
    exponent = rng.integers(1, 31, count)
    random = rng.integers(-limit, limit, count) >> rng.integers(0, 38, count)
    extreme = rng.choice([-limit, limit - 1, -1, 0, 1], count)
    scaled = np.ldexp(total.astype(np.float64), 29 - exponent)
    cancelling = -np.clip(scaled, -limit, limit).astype(np.int64) + rng.integers(-2, 3, count)
    half = np.ldexp(np.spacing(np.abs(total)).astype(np.float64), 28 - exponent)
    tie = np.clip(half * rng.integers(-5, 6, count), -limit, limit).astype(np.int64)
    tie += rng.integers(-1, 2, count)
    operand = np.choose(rng.integers(0, 4, count), [random, extreme, cancelling, tie])
    return np.clip(operand, -limit, limit - 1), exponent


@pytest.fixture(scope="module")
def large_sums(model):
    rng = np.random.default_rng(SEED)
    total = legal_sums(rng, VECTORS)
    operand, exponent = hard_operands(rng, total)
    expected = accumulate_float32(total, operand, exponent - 29).view(np.uint32)
    given = {"total": total, "operand": operand, "exponent": exponent}
    return given, run(model, total.view(np.uint32), operand.view(np.uint64), exponent), expected


def test_large_accumulate(large_sums):
    given, results, expected = large_sums
    assert (expected == 0).sum() > 100  # the vectors do cancel
    check(results["sum_large"], expected, **given)


def test_large_accumulate_detects_missing_sticky(large_sums):
    _, results, expected = large_sums
    assert detected(results["sum_large_without_sticky"], expected)


def test_largest_sum(model):
    """A chain of the largest operands ends exactly at the bound of the window, on either side."""
    for operand in (-(1 << 37), (1 << 37) - 1):
        totals = np.zeros(65, np.float32)
        for i in range(64):
            totals[i + 1] = accumulate_float32(totals[i], np.int64(operand), 1)
        results = run(model, totals[:-1].view(np.uint32), np.full(64, operand).view(np.uint64), 30)
        check(results["sum_large"], totals[1:].view(np.uint32), total=totals)
        assert abs(totals[-1]) == 2.0**44


@pytest.fixture(scope="module")
def small_products(model):
    """All pairs of legal factors, with the exact products; a zero has the sign of the sum."""
    normal = [0, *(pattern for pattern in range(256) if pattern >> 3 & 15 not in (0, 15))]
    pairs = np.array([(a, b) for a in normal for b in normal if b < 128])
    expected = [pattern_of(value_of(a, Float8) * value_of(b, Float8), Float6) | (a >> 7) << 5
                for a, b in pairs.tolist()]
    expected = np.array([y | (y & 31 == 28) << 6 for y in expected], np.uint64)
    return pairs, run(model, pairs[:, 0], scale=pairs[:, 1]), expected


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
def test_small_scale(small_products, stages):
    pairs, results, expected = small_products
    assert len(pairs) > 20_000
    check(results[f"y_small_{stages}"], expected, pair=pairs)


@pytest.mark.parametrize("fault", ["without_huge", "flush_to_zero"])
def test_small_scale_detects(small_products, fault):
    _, results, expected = small_products
    assert detected(results[f"y_small_{fault}"], expected)


def factors(rng, count, low, high):
    """Sums, and scales such that the products lie about between 2**low and 2**high."""
    total = legal_sums(rng, count)
    short, long = rng.integers(0, 2048, count) / 2048, rng.random(count)
    significand = 1 + np.where(rng.random(count) < 0.5, short, long)
    lead = rng.integers(low, high, count) - np.frexp(total)[1]
    scale = np.ldexp(significand, np.clip(lead, -126, 127)).astype(np.float32)
    return total, np.where(rng.random(count) < 0.02, np.float32(0), scale)


@pytest.mark.parametrize("name, dtype, low, high", [
    ("single", np.float32, -156, 130), ("half", np.float16, -28, 18)])
def test_large_scale(model, name, dtype, low, high):
    total, scale = factors(np.random.default_rng(SEED), VECTORS, low, high)
    if dtype is np.float16:
        edges = np.float32([65504, 65519.996, 65520, 2**-24, 2**-25, 1.5 * 2**-25,
                            2**-14 - 2**-25, 2**-14 - 2**-24])
        total[:16], scale[:16] = np.concatenate([edges, -edges]), 1
    y, overflow = scale_round(total, scale, dtype)
    bits = 8 * y.itemsize
    expected = y.view(f"u{y.itemsize}").astype(np.uint64) | overflow.astype(np.uint64) << np.uint64(bits)
    subnormal = (y != 0) & (np.abs(y) < np.finfo(dtype).smallest_normal)
    assert subnormal.sum() > 500 and overflow.sum() > 50
    results = run(model, total.view(np.uint32), scale=scale.view(np.uint32))
    check(results[f"y_{name}"], expected, total=total, scale=scale)


def check_scaled(model, name, dtype, total, scale):
    """Compare a unit's results and overflows with golden's."""
    y, overflow = scale_round(total, scale, dtype)
    expected = y.view(f"u{y.itemsize}").astype(np.uint64) | overflow.astype(np.uint64) << np.uint64(8 * y.itemsize)
    check(run(model, total.view(np.uint32), scale=scale.view(np.uint32))[f"y_{name}"], expected, total=total, scale=scale)


def test_deep_underflow_to_binary16(model):
    """Products far below the smallest subnormal: nothing is left of them, however far."""
    total, scale = factors(np.random.default_rng(SEED), VECTORS, -150, -24)
    check_scaled(model, "half", np.float16, total, scale)


@pytest.mark.parametrize("name, dtype", [("single", np.float32), ("half", np.float16)])
def test_near_ties(model, name, dtype):
    """Significands whose product ends in a tie, next to one, or a unit from a whole: the lowest partial products decide."""
    rng = np.random.default_rng(SEED)
    a = rng.integers(1 << 22, 1 << 23, VECTORS) * 2 + 1
    r = rng.choice([1 << 23, (1 << 23) + 1, (1 << 23) - 1, 1 << 22, (1 << 22) + 1, (1 << 22) - 1, 1, -1], VECTORS)
    b = np.array([int(remainder) * pow(int(odd), -1, 1 << 24) % (1 << 24) for odd, remainder in zip(a, r, strict=True)])
    normal = b >= 1 << 23
    assert normal.sum() > VECTORS / 4
    total, scale = np.float32(a[normal] * rng.choice([-1, 1], normal.sum())), np.float32(b[normal] * 2.0**-46)
    check_scaled(model, name, dtype, total, scale)


@pytest.mark.parametrize("error, message, parameters", [
    (TypeError, "operand_width must be an integer, not 2.5", {"operand_width": 2.5}),
    (ValueError, "stages must be between 1 and 7, not 8", {"stages": 8}),
    (ValueError, "exponent_max must be between 3 and 254, not 2", {"exponent_min": 3, "exponent_max": 2}),
    (ValueError, "operands must be between 1 and 8388608, not 0", {"operands": 0}),
    (ValueError, "exponent fields of sums must be between 17 and 254, not from 16 to", {"bias": -112}),
    (ValueError, "exponent fields of sums must be between 17 and 254, not from 227 to", {"bias": 99}),
    (TypeError, "must be a struct with fields fraction, exponent and sign", {"float_format": 32}),
])
def test_accumulate_parameters(error, message, parameters):
    with pytest.raises(error, match=message):
        FloatAccumulate(**parameters)


@pytest.mark.parametrize("error, message, parameters", [
    (ValueError, "product_stages must be at least 1, not 0", {"product_stages": 0}),
    (TypeError, "product_stages must be an integer, not None", {"product_stages": None}),
    (ValueError, "out_format must have at most 6 fraction bits, twice those of in_format, not 10",
     {"out_format": Float16, "in_format": Float8}),
])
def test_scale_parameters(error, message, parameters):
    with pytest.raises(error, match=message):
        FloatScale(**parameters)


@pytest.mark.parametrize("width", [2, 12, 25, 26, 32, 33, 34, 41, 62])
def test_int_to_float(width):
    """What NumPy makes of the integer: every length, ends of each, ties both ways, and what lies beside them."""
    rng, largest = np.random.default_rng(SEED), 2 ** (width - 1) - 1
    lengths = rng.integers(0, width, 1500)
    values = rng.integers(0, 2**lengths)
    near = (values >> np.maximum(lengths - 24, 0) << np.maximum(lengths - 24, 0)) + (1 << np.maximum(lengths - 25, 0))
    powers = 1 << np.arange(width - 1)
    values = np.concatenate([values, near, near - 1, near + 1, powers, powers - 1, [largest]])
    values = np.clip(np.concatenate([values, -values]), -largest, largest)
    dut, found = IntToFloat(width), []

    async def bench(ctx):
        ctx.set(dut.enable, 1)
        for value in (*values, *[0] * dut.latency_of(width)):
            ctx.set(dut.value, int(value))
            await ctx.tick()
            found.append(ctx.get(dut.y.as_value()))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    got = np.array(found[dut.latency_of(width) - 1:][:len(values)], np.uint32).view(np.float32)
    np.testing.assert_array_equal(got, values.astype(np.float32))
