# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The fused scale-and-add: the good unit in two widths and some with a fault, side by side in one Verilator model."""

import numpy as np
import pytest
from amaranth.hdl import Const, Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.golden.floating import scale_add
from subbyte.golden.streams import Field, pack_beats, unpack_beats
from subbyte.hdl import float_scale_add
from subbyte.hdl.floating import FloatScaleAdd
from subbyte.hdl.pipeline import delay
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.stream_model import StreamModel
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import to_verilog

VECTORS = 40_000


class Truncating(FloatScaleAdd):
    """Fault: never rounds up."""

    def _normalise(self, m, total):
        kept, _, moved = super()._normalise(m, total)
        return kept & ~1, Const(0, 1), moved


class WithoutSticky(FloatScaleAdd):
    """Fault: every number with a guard bit looks like a tie."""

    def _normalise(self, m, total):
        kept, _, moved = super()._normalise(m, total)
        return kept, Const(0, 1), moved


class WithoutCarry(FloatScaleAdd):
    """Fault: a negative constant stays a ones' complement."""

    def _compress(self, m, product, placed, negative):
        first, second = super()._compress(m, product, placed, negative)
        return first, second - negative


UNITS = {"good": FloatScaleAdd(), "narrow": FloatScaleAdd(20), "truncating": Truncating(), "without_sticky": WithoutSticky(),
         "without_carry": WithoutCarry()}
OPERANDS = [Field("integer", 32), Field("scale", 32), Field("constant", 32)]
RESULTS = [Field(name, 32) for name in UNITS]


class Units(wiring.Component):
    """All units in parallel; must not be stalled."""

    def __init__(self):
        super().__init__({
            "operands": In(stream.Signature(data.StructLayout({"integer": signed(32), "scale": 32, "constant": 32}))),
            "results": Out(stream.Signature(data.StructLayout({name: 32 for name in UNITS}))),
        })

    def elaborate(self, platform):
        m = Module()
        given = self.operands.payload
        for name, unit in UNITS.items():
            m.submodules[name] = unit
            m.d.comb += [
                unit.integer.eq(given.integer),
                unit.scale.as_value().eq(given.scale),
                unit.constant.as_value().eq(given.constant),
                self.results.payload[name].eq(unit.y.as_value()),
            ]
        m.d.comb += [
            self.operands.ready.eq(1),
            self.results.valid.eq(delay(m, self.operands.valid, FloatScaleAdd.LATENCY, "valid", reset=True)),
        ]
        return m


def vectors(rng, count):
    """Free operands, extremes, cancellations, ties and their neighbours, constants far above and far below."""
    integer = rng.integers(-(2**31), 2**31, count) >> rng.integers(0, 32, count)
    integer = np.where(rng.random(count) < 0.1, rng.choice([0, 1, -1, 2**31 - 1, -(2**31)], count), integer)
    fraction = np.where(rng.random(count) < 0.3, rng.choice([0, 1, 2**23 - 1], count), rng.integers(0, 1 << 23, count))
    scale = np.ldexp((1 << 23) + fraction, rng.integers(-70, 60, count) - 23).astype(np.float32)
    scale = np.where(rng.random(count) < 0.03, np.float32(0), scale)
    product = integer * scale.astype(np.float64)
    sign = rng.choice([-1, 1], count)
    free = np.ldexp((1 << 23) + rng.integers(0, 1 << 23, count), rng.integers(-99, 100, count) - 23) * sign
    gap = np.ldexp(product.astype(np.float32).astype(np.float64), rng.integers(-70, 90, count)) * sign
    tie = np.ldexp(np.spacing(np.abs(product).astype(np.float32)).astype(np.float64), rng.integers(-3, 2, count)) * sign
    near = -(product.astype(np.float32) + np.spacing(product.astype(np.float32)) * rng.integers(-3, 4, count))
    constant = np.choose(rng.integers(0, 5, count), [free, gap, tie, near, np.zeros(count)])
    constant[(np.abs(constant) < 2.0**-100) | (np.abs(constant) > 2.0**126)] = 0
    return integer, scale, constant.astype(np.float32)


@pytest.fixture(scope="module")
def outcome():
    seed = resolve_seed()
    operands = vectors(np.random.default_rng(seed), VECTORS)
    verilog = kept_verilog("float_scale_add_units", None, lambda: to_verilog(Units(), "float_scale_add_units"))
    model = StreamModel(verilog, "float_scale_add_units", inputs={"operands": 96}, outputs={"results": 32 * len(UNITS)})
    integer, scale, constant = operands
    words = pack_beats(OPERANDS, integer=integer, **{name: value.view(np.uint32).astype(np.int64).astype(np.int32)
                                                     for name, value in (("scale", scale), ("constant", constant))})
    results = unpack_beats(RESULTS, model.run({"operands": words}, {"results": VECTORS}, seed=seed).outputs["results"])
    return operands, scale_add(*operands).view(np.uint32), results, seed


def test_good_unit(outcome):
    operands, expected, results, seed = outcome
    wrong = np.flatnonzero(results["good"] != expected)
    assert not wrong.size, (f"{wrong.size} differ; first {[operand[wrong[0]] for operand in operands]}: expected "
                            f"{int(expected[wrong[0]]):#x}, got {int(results['good'][wrong[0]]):#x} (seed {seed})")


def test_narrow_unit(outcome):
    (integer, _, _), expected, results, _ = outcome
    fits = np.abs(integer) < 1 << 19
    assert fits.sum() > VECTORS / 4 and np.array_equal(results["narrow"][fits], expected[fits])


@pytest.mark.parametrize("fault", [name for name in UNITS if name not in ("good", "narrow")])
def test_faults_are_detected(outcome, fault):
    _, expected, results, _ = outcome
    assert (results[fault] != expected).any()


@pytest.mark.parametrize("width, error, message", [
    (2.0, TypeError, "integer_width must be an integer, not 2.0"),
    (15, ValueError, "integer_width must be between 16 and 32, not 15"),
])
def test_parameters(width, error, message):
    with pytest.raises(error, match=message):
        float_scale_add.FloatScaleAdd(width)
