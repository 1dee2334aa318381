# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's dense form, bit for bit against golden, under Verilator."""

import enum
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Signal
from amaranth.lib.wiring import In

from subbyte.golden.bitmod import BitModConfig
from subbyte.golden.bitmod.formats import Format
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.tb.engine_bench import Case, EngineBench, shell_errors, spoil
from subbyte.tb.faults import check_faults
from subbyte.tb.test_bitmod import BITMOD, engine_cases, random_activations, random_weight
from subbyte.top.bitmod import BitModEngine
from subbyte.top.bitmod_dense import BitModDenseCore

CONFIGS = {
    "all_formats": BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=2, form="dense"),
    "many_rows": BitModConfig(
        rows=7, cols=2, lanes=8, group_size=64, drain=1, output="float16", sum_stages=2, guard_bits=2,
        formats=(Format.INT6, Format.FP3), form="dense",
    ),
    "integers": BitModConfig(
        rows=1, cols=1, lanes=16, group_size=32, drain=1, formats=(Format.INT4,), guard_bits=0, form="dense",
    ),
}


class Fault(enum.IntEnum):
    """Faults of the core's wiring."""

    NONE = 0
    HIGH_DIGIT_NOT_SHIFTED = 1
    SUM_NOT_CLEARED = 2
    CAPTURED_EARLY = 3
    EXPONENT_ONE_TOO_SMALL = 4
    SCALE_OF_THE_GROUP_BEFORE = 5
    MULTIPLES_OF_THE_OTHER_FORMATS = 6


class _FaultyCore(BitModDenseCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(Fault)
        self.fault = Signal(Fault)

    def _controls(self, m, starts):
        right = super()._controls(m, starts)
        high, first, capture = wrong = [Signal(name=f"faulty_{name}") for name in ("high", "first", "capture")]
        early = Signal()
        m.d.sync += early.eq(self.step.valid & self.step.last.group)
        m.d.comb += [signal.eq(value) for signal, value in zip(wrong, right, strict=True)]
        with m.Switch(self.fault):
            with m.Case(Fault.HIGH_DIGIT_NOT_SHIFTED):
                m.d.comb += high.eq(0)
            with m.Case(Fault.SUM_NOT_CLEARED):
                m.d.comb += first.eq(0)
            with m.Case(Fault.CAPTURED_EARLY):
                m.d.comb += capture.eq(early)
        return wrong

    def _place_rows(self, m, platform, starts):
        edges = super()._place_rows(m, platform, starts)
        with m.If(self.fault == Fault.EXPONENT_ONE_TOO_SMALL):
            m.d.comb += edges[0].group_exponent.eq(self.activations.exponents[0] - 1)
        with m.If(self.fault == Fault.MULTIPLES_OF_THE_OTHER_FORMATS):
            m.d.comb += edges[0].integer.eq(self.weights.format > 4)
        return edges

    def _keep_facts(self, m, rows, capture):
        facts = super()._keep_facts(m, rows, capture)
        before, faulty = Signal.like(facts), Signal.like(facts)
        with m.If(capture):
            m.d.sync += before.eq(facts)
        m.d.comb += faulty.eq(facts)
        with m.If(self.fault == Fault.SCALE_OF_THE_GROUP_BEFORE):
            m.d.comb += faulty.scale_codes.eq(before.scale_codes)
        return faulty


class _FaultyEngine(BitModEngine):
    CORE = _FaultyCore


@pytest.mark.parametrize("name", CONFIGS)
def test_engine(name):
    """Every course of the compiled bench, predicted cycles included."""
    seed = resolve_seed()
    EngineBench(BITMOD, CONFIGS[name]).check(engine_cases(CONFIGS[name], np.random.default_rng(seed)), seed)


def test_engine_under_cocotb():
    seed = resolve_seed()
    bench = EngineBench(BITMOD, CONFIGS["all_formats"])
    bench.check_cocotb(engine_cases(bench.config, np.random.default_rng(seed)), seed)


def test_extremes():
    """Full groups of the largest numbers of one sign, beside small groups, in every format."""
    config, seed = CONFIGS["all_formats"], resolve_seed()
    bench, rng = EngineBench(BITMOD, config), np.random.default_rng(seed)
    x = np.full((2, 96), 65504, np.float16)
    x[:, 32:64], x[1] = 6e-8, -x[1]
    for fmt in ("int8", "int4", "bitmod-fp4", "bitmod-fp3"):
        qweight = random_weight(rng, 4, 96, [fmt], 32)
        assert bench.problems(Case(fmt, BITMOD.product(x, qweight, config)), seed) == []
        lowest = -128 if fmt == "int8" else -8 if fmt == "int4" else None
        if lowest is not None:
            values = np.full_like(qweight.values, lowest)
            full = replace(qweight, values=values, codes=(values & (255 if fmt == "int8" else 15)).astype(np.uint8))
            assert bench.problems(Case(f"{fmt}, lowest", BITMOD.product(x, full, config)), seed) == []


def test_faults_are_detected():
    config, seed = replace(CONFIGS["all_formats"], cols=2, drain=1), resolve_seed()
    bench, rng = EngineBench(BITMOD, config, _FaultyEngine), np.random.default_rng(seed)
    products = [Case(str(fmts), BITMOD.product(random_activations(rng, 2, 80), random_weight(rng, 2, 80, fmts, 32), config))
                for fmts in (["bitmod-fp4", "int8"], ["int4", "bitmod-fp3"])]

    def problems(fault):
        for case in products:
            yield from bench.problems(case, seed, hold={"fault": int(fault)}, timeout_cycles=1000)

    check_faults(problems, Fault)


def test_error_flags():
    """Each error of the shell and of the core is raised by its cause and by nothing else."""
    config, seed = replace(CONFIGS["all_formats"], max_k=96), resolve_seed()
    bench, rng = EngineBench(BITMOD, config), np.random.default_rng(seed)
    good = BITMOD.product(np.ones((2, 96), np.float16), random_weight(rng, 4, 96, ["int8"], 32), config)
    cases = shell_errors(good, config)
    cases += [Case("NaN", spoil(good, config, "activations", "data", (5, 1, 2), np.nan, ["nonfinite"]), True),
              Case("exponent", spoil(good, config, "activations", "exponents", (8, 1), 14, ["exponent"]), True)]
    bench.check_cocotb(cases, seed, "engine_errors")
