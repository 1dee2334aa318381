# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of test_tender.py: the engine stream by stream, its error flags."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from subbyte.tb.bench_bitmod import ENGINE_STREAMS, cases, describe
from subbyte.tb.harness import Harness, run_streams
from subbyte.tb.tender_tops import TenderFault


def decode(case):
    """Results of an output word in hexadecimal, first column first, and its flag."""

    bits = case["output_bits"]

    def text(word):
        values = [f"{word >> bits * i & (1 << bits) - 1:0{bits // 4}x}" for i in range(case["drain"])]
        return f"{' '.join(values)} overflow={word >> bits * case['drain'] & 1}"

    return text


async def run_case(dut, case, streams, expected, fault=TenderFault.NONE, **knobs):
    """One product through the engine."""
    hold = {"clear_errors": 0, **({"fault": int(fault)} if hasattr(dut, "fault") else {})}
    return await run_streams(dut, streams, expected, hold=hold, describe=describe(case), decode=decode(case), **knobs)


@cocotb.test()
async def engine(dut):
    """Each product: exact cycles without pauses; then pauses on each stream alone, on all, and a reset on the way."""
    for case, streams, expected, seed in cases():
        report = await run_case(dut, case, streams, expected, seed=seed)
        assert report.cycles == case["cycles"], f"{case['name']}: {report.cycles} cycles, predicted {case['cycles']}"
        assert int(dut.errors.value) == case["errors"], f"{case['name']}: errors {dut.errors.value}"
        knobs = [{"idle": {name: 0.7}} for name in ENGINE_STREAMS]
        knobs += [{"backpressure": 0.8}, {"idle": 0.3, "backpressure": 0.5}]
        for chosen in knobs:
            await run_case(dut, case, streams, expected, seed=seed, **chosen)
        reset_at = random.Random(seed).randrange(1, report.cycles)
        report = await run_case(dut, case, streams, expected, seed=seed, reset_at=reset_at)
        assert report.cycles == case["cycles"], f"{case['name']}: {report.cycles} cycles after a reset at {reset_at}"


@cocotb.test(expect_fail=True)
async def wrong_words(dut):
    """A product with words that a faulty packer made: the scoreboard finds the difference."""
    for case, streams, expected, seed in cases():
        await run_case(dut, case, streams, expected, seed=seed)


@cocotb.test()
async def engine_errors(dut):
    """Each error flag is set by its cause alone, stays, and is cleared."""
    for case, streams, _, seed in cases():
        harness = Harness(dut, ENGINE_STREAMS, ("outputs",), hold={"clear_errors": 0}, seed=seed)
        await harness.reset()
        harness.start(streams)
        for _ in range(case["cycles"] + 50):
            await RisingEdge(dut.clk)
        assert int(dut.errors.value) == case["errors"], f"{case['name']}: {dut.errors.value}, not {case['errors']:b}"
        dut.clear_errors.value = 1
        await RisingEdge(dut.clk)
        dut.clear_errors.value = 0
        await RisingEdge(dut.clk)
        assert int(dut.errors.value) == 0
