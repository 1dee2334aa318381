# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender's requantization equals a division in float32 for every kind of operand, ties and their neighbours above all."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.dequant.tender import Requantizer
from subbyte.golden import tender
from subbyte.golden.streams import Field, pack_beats, unpack_beats
from subbyte.hdl.pipeline import delay
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.stream_model import StreamModel
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import to_verilog

VECTORS = 60_000


class NearestOfExact(Requantizer):
    """Fault: rounds the exact quotient, once."""

    def _round(self, m, quotient, remainder, divisor):
        return super()._round(m, quotient, Signal.like(remainder, init=1, name="one"), divisor)


class HalfAway(Requantizer):
    """Fault: ties go up."""

    def _round(self, m, quotient, remainder, divisor):
        magnitude = Signal(self.bits + 2)
        m.d.comb += magnitude.eq(quotient[1:] + quotient[0])
        return magnitude


UNITS = {"int8": Requantizer(8), "uint8": Requantizer(8, is_unsigned=True), "int4": Requantizer(4),
         "uint4": Requantizer(4, is_unsigned=True), "nearest_of_exact": NearestOfExact(8), "half_away": HalfAway(8)}


class Units(wiring.Component):
    """All units in parallel, their results brought together; must not be stalled."""

    def __init__(self):
        super().__init__({
            "operands": In(stream.Signature(data.StructLayout({"value": 32, "divisor": 32}))),
            "results": Out(stream.Signature(data.StructLayout({name: 8 for name in UNITS}))),
        })

    def elaborate(self, platform):
        m = Module()
        latency = max(unit.latency for unit in UNITS.values())
        for name, unit in UNITS.items():
            m.submodules[name] = unit
            m.d.comb += [
                unit.value.as_value().eq(self.operands.payload.value),
                unit.divisor.as_value().eq(self.operands.payload.divisor),
                self.results.payload[name].eq(delay(m, unit.q, latency - unit.latency, f"late_{name}")),
            ]
        m.d.comb += [
            self.operands.ready.eq(1),
            self.results.valid.eq(delay(m, self.operands.valid, latency, "valid", reset=True)),
        ]
        return m


def vectors(rng):
    """Divisors of every binade with round and with free significands; quotients free, at ties, and next to them."""
    fraction = np.where(rng.random(VECTORS) < 0.2, rng.choice([0, 1, 2**23 - 1], VECTORS), rng.integers(0, 1 << 23, VECTORS))
    divisor = np.ldexp((1 << 23) + fraction, rng.integers(-60, 60, VECTORS) - 23).astype(np.float32)
    halves = rng.integers(-600, 601, VECTORS) / 2
    tie = (halves * divisor.astype(np.float64)).astype(np.float32)
    steps = rng.integers(-2, 3, VECTORS)
    near = (tie.view(np.int32) + np.where(tie == 0, 0, steps)).astype(np.int32).view(np.float32)
    free = (divisor * np.exp2(rng.uniform(-4, 12, VECTORS)) * rng.choice([-1, 1], VECTORS)).astype(np.float32)
    value = np.where(rng.random(VECTORS) < 0.7, near, free)
    value[:4], divisor[:4] = [0, -0.0, 1, np.float32(3e38)], [1, 1, 0, np.float32(1e-38) * 2]
    return value.astype(np.float32), divisor


@pytest.fixture(scope="module")
def outcome():
    seed = resolve_seed()
    value, divisor = vectors(np.random.default_rng(seed))
    verilog = kept_verilog("requantizer_units", None, lambda: to_verilog(Units(), "requantizer_units"))
    model = StreamModel(verilog, "requantizer_units", inputs={"operands": 64}, outputs={"results": 8 * len(UNITS)})
    words = pack_beats([Field("value", 32), Field("divisor", 32)], value=value.view(np.int32), divisor=divisor.view(np.int32))
    run = model.run({"operands": words}, {"results": VECTORS}, seed=seed)
    results = unpack_beats([Field(name, 8) for name in UNITS], run.outputs["results"])
    return value, divisor, results, seed


@pytest.mark.parametrize("name", ["int8", "uint8", "int4", "uint4"])
def test_equals_division(outcome, name):
    value, divisor, results, seed = outcome
    unsigned, bits = name.startswith("u"), int(name[-1])
    expected = tender.requantize(value[:, None], divisor[:, None], bits, unsigned)[:, 0]
    got = results[name] if unsigned else ((results[name] + 128) % 256) - 128
    wrong = np.flatnonzero(got != expected)
    assert not wrong.size, (f"{wrong.size} differ; first: {value[wrong[0]]!r} / {divisor[wrong[0]]!r}: expected "
                            f"{expected[wrong[0]]}, got {got[wrong[0]]} (seed {seed})")


@pytest.mark.parametrize("fault", ["nearest_of_exact", "half_away"])
def test_faults_are_detected(outcome, fault):
    _, _, results, _ = outcome
    assert (results[fault] != results["int8"]).any()


def test_reciprocal_is_not_equal():
    """Why there is a division."""
    value, divisor = vectors(np.random.default_rng(1))
    with np.errstate(over="ignore"):
        product = np.clip(np.rint(value * (np.float32(1) / np.where(divisor == 0, np.float32(1), divisor))), -128, 127)
    assert (product != tender.requantize(value[:, None], divisor[:, None], 8)[:, 0])[4:].sum() > 100


def test_layers_chain_on_integers():
    """Through a calibration, a layer's requantized results are the next layer's decomposed activations."""
    rng = np.random.default_rng(5)
    y = (rng.normal(0, 1, (8, 12)) * np.exp(rng.normal(0, 2, 12))).astype(np.float32)
    calibration = tender.calibrate([y], 8, 6, 8, channel_bias=False)
    following = tender.decompose(y, 8, 6, 8, channel_bias=False, calibration=calibration)
    divisors = following.scales[0][following.group_index[0]]
    assert np.array_equal(tender.requantize(y, divisors, 8), following.xq[0])


@pytest.mark.parametrize("arguments, error, message", [
    ((np.ones((1, 1)), np.ones(1, np.float32), 8), TypeError, "y must be float32, not float64"),
    ((np.ones((1, 1), np.float32), -np.ones(1, np.float32), 8), ValueError, "divisors must not be negative"),
    ((np.ones((1, 1), np.float32), np.ones(1, np.float32), 5), ValueError, "bits must be one of"),
])
def test_bad_operands_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        tender.requantize(*arguments)


def test_parameters():
    with pytest.raises(ValueError, match="bits must be 4 or 8, not 5"):
        Requantizer(5)
