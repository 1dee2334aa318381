# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The textbook designs, as they are measured, against a line of NumPy each: the price of a wrong circuit says nothing.

One Verilator model holds all of them side by side, further shapes of the floating-point unit, and some with a fault
built in. Every beat is a cycle; four beats with operands and four without take turns, so that chunked sums come to rest.
"""

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.golden.floating import fused_multiply_add
from subbyte.hdl.floating import Float32
from subbyte.hdl.pipeline import delay
from subbyte.pe.textbook import FmaArray, IntegerArray, PackedArray, TernaryArray, TernaryTree, TunedIntegerMac, XnorPopcount
from subbyte.pe.textbook.arrays import IntegerDot
from subbyte.pe.textbook.floating import FusedMultiplyAdd
from subbyte.pe.textbook.packed import PackedDot
from subbyte.sim.stream_model import StreamModel
from subbyte.synth.designs import designs
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import to_verilog

pytestmark = pytest.mark.long  # one model of all designs, which takes minutes to compile

SEED = 5
BEATS = 40_000
WORKING = np.arange(BEATS) % 8 < 4
RESTING = np.arange(BEATS) % 8 == 3


class WrongSigns(TunedIntegerMac):
    """Fault: the product of the two sign bits counts negatively."""

    def _is_negative(self, i, row):
        return i == self.bits_a - 1 or row == self.bits_w - 1


class WithoutUnit(TernaryTree):
    """Fault: negates by the complement alone."""

    def _terms(self, activations, weights):
        return [*super()._terms(activations, weights)][:self.lanes]


class FirstLost(IntegerArray):
    """Fault: no sum starts anew."""

    class DOT(IntegerDot):
        """Of the elements."""

        def elaborate(self, platform):
            self.first = Const(0, 1)
            return super().elaborate(platform)


class BorrowLost(PackedArray):
    """Fault: forgets what a negative lower half took from the upper one."""

    class PAIR(PackedDot):
        """Of the elements."""

        def _halves(self, total):
            return total[: self.gap].as_signed(), total[self.gap :].as_signed()


class Xor(XnorPopcount):
    """Fault: counts the bits that differ."""

    def _terms(self, activations, weights):
        return (~term for term in super()._terms(activations, weights))


class WithoutSticky(FusedMultiplyAdd):
    """Fault: forgets what the alignment shifts out."""

    def _shift_down(self, *arguments):
        shifted, _ = super()._shift_down(*arguments)
        return shifted, Const(0, 1)


class WithoutFill(FusedMultiplyAdd):
    """Fault: forgets the unit that completes a positive difference."""

    def _add(self, m, state):
        return super()._add(m, state) | {"fill": Const(0, 1)}


class WithoutMark(FusedMultiplyAdd):
    """Fault: shifts subnormal results up like normal ones."""

    def _find_lead(self, m, state):
        return super()._find_lead(m, state | {"top": Const(0, len(state["top"]))}) | {"top": state["top"]}


MEASURED = {design.name.removeprefix("baseline_"): design.source() for design in designs(["baselines"])}
ARRAYS = {"int4_array": IntegerArray(2, 3, 16, 4, 4, 4), "int8_array": IntegerArray(2, 3, 8, 8, 8, 2),
          "int4_packed": PackedArray(2, 3, 16, 4, 4, 2), "int8_packed": PackedArray(2, 3, 8, 8, 8, 4),
          "ternary_array": TernaryArray(1, 2), "fma_array": FmaArray(2, 3)}
"""Of small shapes."""


FAULTY = {"first_lost": FirstLost(2, 3, 16, 4, 4, 4), "borrow_lost": BorrowLost(2, 3, 16, 4, 4, 4),
          "wrong_signs": WrongSigns(4, 4), "without_unit": WithoutUnit(), "xor": Xor()}
ADDERS = {
    **{f"w{bits}_stages{stages}": FusedMultiplyAdd(bits, stages=stages)
       for bits, stages in ((3, 1), (4, 2), (4, 3), (8, 5))},
    **{f"fp32_w{bits}": FusedMultiplyAdd(bits, Float32) for bits in (4, 8)},
    "without_sticky": WithoutSticky(), "without_fill": WithoutFill(), "without_mark": WithoutMark(),
}
UNITS = MEASURED | ARRAYS | FAULTY | ADDERS


def result(unit):
    port = unit.sum_out if isinstance(unit, FusedMultiplyAdd) else unit.acc
    return port.as_value() if isinstance(port, data.View) else port


class Units(wiring.Component):
    """All units in parallel, their results delayed to come together; must not be stalled."""

    def __init__(self):
        operands = data.StructLayout({"bits": 512, "ternary": 128, "sum": 32, "enable": 1, "start": 1})
        super().__init__({
            "operands": In(stream.Signature(operands)),
            "results": Out(stream.Signature(data.StructLayout({name: len(result(unit)) for name, unit in UNITS.items()}))),
        })

    def elaborate(self, platform):
        m = Module()
        latency = max(unit.latency for unit in UNITS.values())
        for name, unit in UNITS.items():
            m.submodules[name] = unit
            m.d.comb += [getattr(unit, port).eq(value) for port, value in self._given(m, unit).items()]
            m.d.comb += self.results.payload[name].eq(delay(m, result(unit), latency - unit.latency, f"{name}_late"))
        m.d.comb += [
            self.operands.ready.eq(1),
            self.results.valid.eq(delay(m, self.operands.valid, latency, "valid", reset=True)),
        ]
        return m

    def _given(self, m, unit):
        given = self.operands.payload
        match unit:
            case TernaryArray():
                weights = given.ternary
                turned = Cat(weights.bit_select(i, 2) for i in reversed(range(0, len(weights), 2)))
                return {"activations": given.bits, "weights": Cat(weights, turned), "first": given.start}
            case IntegerArray():
                activations = given.bits[:128] & given.enable.replicate(128)
                return {"activations": activations, "weights": given.bits[128:320], "first": given.start}
            case FmaArray():
                return {"a": given.bits[:32], "w": given.bits[32:44], "first": given.start}
            case TernaryTree():
                return {"activations": given.bits, "weights": given.ternary, "first": given.start}
            case XnorPopcount():
                return {"activations": given.bits[:256], "weights": given.bits[256:], "first": given.start}
            case FusedMultiplyAdd():
                return {"a": given.bits[:16], "w": given.bits[16:], "sum_in": delay(m, given.sum, unit.lead, "sum")}
        control = ({"enable": given.enable, "clear": given.start} if hasattr(unit, "clear") else {"first": given.start})
        return {"a": given.bits, "w": given.bits[16:], **control}


@pytest.fixture(scope="module")
def model():
    verilog = kept_verilog("baseline_units", None, lambda: to_verilog(Units(), "baseline_units"))
    outputs = sum(len(result(unit)) for unit in UNITS.values())
    return StreamModel(verilog, "baseline_units", inputs={"operands": 674}, outputs={"results": outputs})


def run(model, fields):
    """Results of every unit, by name, as signed integers; operands are bits [BEATS, width], least significant first."""
    words = np.packbits(np.concatenate(fields, axis=1).astype(np.uint8), axis=1, bitorder="little")
    output = model.run({"operands": words}, {"results": len(words)}, seed=SEED).outputs["results"]
    bits, results, start = np.unpackbits(output, axis=1, bitorder="little"), {}, 0
    for name, unit in UNITS.items():
        width = len(result(unit))
        of_unit = bits[:, start:start + width]
        is_array = isinstance(unit, (IntegerArray, FmaArray))
        results[name] = signed(of_unit.reshape(BEATS, -1, len(Value.cast(unit.acc[0][0]))) if is_array else of_unit)
        start += width
    return results


def signed(bits):
    """Two's complement numbers of bits [..., width]."""
    width = bits.shape[-1]
    return (bits.astype(np.int64) << np.arange(width)).sum(-1) - (bits[..., -1].astype(np.int64) << width)


def bits_of(values, width):
    return values.astype(np.int64)[:, None] >> np.arange(width) & 1


def check(got, expected, where=slice(None)):
    wrong = np.flatnonzero(got[where] != expected[where])
    assert not wrong.size, (f"{wrong.size} of {got[where].size} differ; first {wrong[0]}: "
                            f"expected {expected[where][wrong[0]]:#x}, got {got[where][wrong[0]]:#x} (seed {SEED})")


@pytest.fixture(scope="module")
def sums(model):
    """Random operands with runs of extremes, and what every unit makes of them."""
    rng = np.random.default_rng(SEED)
    bits, weight = rng.integers(0, 2, (BEATS, 512)), rng.integers(-1, 2, (BEATS, 64))
    extreme = np.arange(BEATS) // 64 % 4 == 1  # all -128 times -1; all bits agree
    bits[extreme], weight[extreme] = np.arange(512) % 8 == 7, -1
    bits[~WORKING, 256:], weight[~WORKING] = 1 - bits[~WORKING, :256], 0  # what adds nothing
    start = WORKING & (rng.random(BEATS) < 0.04)
    start[:4] = True  # every sum that takes turns
    ternary = np.stack([weight == 1, weight == -1], axis=2).reshape(BEATS, 128)
    results = run(model, [bits, ternary, np.zeros((BEATS, 32)), WORKING[:, None], start[:, None]])
    return bits, weight, start, results


def running(values, start):
    """Sum of the values since the last start, that of the start included."""
    before = np.cumsum(values) - values
    return np.cumsum(values) - before[np.maximum.accumulate(np.where(start, np.arange(BEATS), 0))]


def expected_mac(sums, bits):
    given, _, start, _ = sums
    return running(np.where(start, 0, WORKING * signed(given[:, :bits]) * signed(given[:, 16:16 + bits])), start)


def expected_array(sums, lanes, bits):
    """Of two rows and three columns."""
    given, _, start, _ = sums
    a, w = (signed(given[:, part].reshape(BEATS, -1, lanes, bits)) for part in (slice(128), slice(128, 320)))
    products = np.einsum("brl,bcl->brc", a, w).reshape(BEATS, -1) * WORKING[:, None]
    return np.stack([running(of_one, start) for of_one in products.T], axis=1)


def expected_ternary_array(sums):
    given, weight, start, _ = sums
    a = signed(given.reshape(BEATS, 64, 8))
    return np.stack([running((a * w).sum(1), start) for w in (weight, weight[:, ::-1])], axis=1)


def expected_ternary(sums):
    given, weight, start, _ = sums
    return running((signed(given.reshape(BEATS, 64, 8)) * weight).sum(1), start)


def expected_xnor(sums):
    given, _, start, _ = sums
    return running((given[:, :256] == given[:, 256:]).sum(1), start)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("form", ["mac", "mac_tuned"])
def test_integer_mac(sums, form, bits):
    check(sums[-1][f"int{bits}_{form}"], expected_mac(sums, bits), RESTING)


def test_ternary_tree(sums):
    check(sums[-1]["ternary_tree"], expected_ternary(sums), RESTING)


@pytest.mark.parametrize("name, expected", [
    ("int4_array", lambda sums: expected_array(sums, 16, 4)), ("int8_array", lambda sums: expected_array(sums, 8, 8)),
    ("int4_packed", lambda sums: expected_array(sums, 16, 4)), ("int8_packed", lambda sums: expected_array(sums, 8, 8)),
    ("ternary_array", expected_ternary_array)])
def test_array(sums, name, expected):
    np.testing.assert_array_equal(sums[-1][name][RESTING], expected(sums)[RESTING])


def test_xnor_popcount(sums):
    check(sums[-1]["xnor_popcount"], expected_xnor(sums), RESTING)


@pytest.mark.parametrize("fault, expected", [
    ("first_lost", lambda sums: expected_array(sums, 16, 4)), ("borrow_lost", lambda sums: expected_array(sums, 16, 4)),
    ("wrong_signs", lambda sums: expected_mac(sums, 4)), ("without_unit", expected_ternary), ("xor", expected_xnor)])
def test_sums_detect(sums, fault, expected):
    assert (sums[-1][fault] != expected(sums))[RESTING].any()


def expected_loop(a, w, start, dtype):
    """As many sums as the loop has ranks take turns in it; a and w [BEATS]."""
    turns, rounds = 4, 2000
    a, w, start = (values[: rounds * turns].reshape(rounds, turns) for values in (a, w.astype(np.float16), start))
    expected = np.zeros((rounds, turns), dtype)
    for i in range(rounds):
        expected[i] = fused_multiply_add(a[i], w[i], np.where(start[i], dtype(0), expected[i - 1]))
    return expected.ravel().view(f"i{expected.itemsize}")


@pytest.mark.parametrize("name, bits, dtype", [
    ("int4_fp16_fma", 4, np.float16), ("int4_fp32_fma", 4, np.float32), ("int8_fp16_fma", 8, np.float16)])
def test_multiply_add_loop(sums, name, bits, dtype):
    given, _, start, results = sums
    a = signed(given[:, :16]).astype(np.int16).view(np.float16)
    expected = expected_loop(a, signed(given[:, 16:16 + bits]), start, dtype)
    check(results[name][: len(expected)], expected)


def test_multiply_add_array(sums):
    """Of two rows and three columns."""
    given, _, start, results = sums
    a = signed(given[:, :32].reshape(BEATS, 2, 16)).astype(np.int16).view(np.float16)
    w = signed(given[:, 32:44].reshape(BEATS, 3, 4))
    for r, c in np.ndindex(2, 3):
        expected = expected_loop(a[:, r], w[:, c], start, np.float16)
        check(results["fma_array"][: len(expected), 3 * r + c], expected)


def hard_operands(rng, dtype):
    """Factors and sums: random patterns, special numbers, sums that cancel, sums next to a tie; weights of 3 bits for these."""
    digits, unsigned = np.finfo(dtype).nmant + 1, f"u{np.dtype(dtype).itemsize}"
    a = rng.integers(0, 1 << 16, BEATS).astype(np.uint16).view(np.float16)
    a = np.where(rng.random(BEATS) < 0.1, rng.choice(np.float16([0, -0.0, 6e-8, -6.1e-5, 65504, np.inf, np.nan]), BEATS), a)
    total = rng.integers(0, 1 << 8 * np.dtype(dtype).itemsize, BEATS).astype(unsigned).view(dtype)
    kind = rng.integers(0, 4, BEATS)
    w = np.where(kind < 2, rng.integers(-128, 128, BEATS), rng.integers(-4, 4, BEATS))
    with np.errstate(all="ignore"):
        near = (-a.astype(np.float64) * w).astype(dtype)
        near = (near.view(unsigned) + rng.integers(-2, 3, BEATS).astype(unsigned)).view(dtype)
        halves = (np.ldexp(total.astype(np.float64), -digits) * rng.integers(1, 4, BEATS)).astype(np.float16)
        close = np.isfinite(total) & (kind == 3)
        a = np.where(close, np.where(rng.random(BEATS) < 0.5, halves, np.ldexp(np.float64(1), np.frexp(
            total.astype(np.float64))[1] - digits - 1 + rng.integers(-1, 2, BEATS)).astype(np.float16)), a)
    special = rng.choice(np.array([0, -0.0, 1, np.inf, -np.inf, np.nan, np.finfo(dtype).max], dtype), BEATS)
    return a, w, np.select([kind == 2, rng.random(BEATS) < 0.1], [near, special], total)


@pytest.fixture(scope="module")
def products(model):
    """For sums of either format: operands, and what every unit makes of them."""
    found = {}
    for dtype in (np.float16, np.float32):
        a, w, total = hard_operands(np.random.default_rng(SEED), dtype)
        fields = [bits_of(a.view(np.uint16), 16), bits_of(w, 8), np.zeros((BEATS, 488 + 128)),
                  bits_of(total.view(f"u{total.itemsize}"), 32), np.zeros((BEATS, 2))]
        found[8 * total.itemsize] = a, w, total, run(model, fields)
    return found


def multiply_add(products, name):
    """What a unit gives for the vectors of its format, and what it should give."""
    unit = UNITS[name]
    a, w, total, results = products[len(result(unit))]
    expected = fused_multiply_add(a, signed(bits_of(w, unit.bits_w)).astype(np.float16), total)
    return results[name], expected


@pytest.mark.parametrize("name", [name for name in ADDERS if not name.startswith("without")])
def test_fused_multiply_add(products, name):
    got, expected = multiply_add(products, name)
    subnormal = (expected != 0) & (np.abs(expected) < np.finfo(expected.dtype).smallest_normal)
    corners = [np.isnan(expected), np.isinf(expected), expected == 0, subnormal]
    assert min(corner.sum() for corner in corners) > 100, "the vectors lack corners"
    check(got, expected.view(f"i{expected.itemsize}"))


@pytest.mark.parametrize("fault", ["without_sticky", "without_fill", "without_mark"])
def test_fused_multiply_add_detects(products, fault):
    got, expected = multiply_add(products, fault)
    assert (got != expected.view(np.int16)).any()


@pytest.mark.parametrize("message, parameters", [
    ("bits_w must be from 3 to 8, not 9", {"bits_w": 9}), ("stages must be from 1 to 5, not 0", {"stages": 0})])
def test_parameters(message, parameters):
    with pytest.raises(ValueError, match=message):
        FusedMultiplyAdd(**parameters)
