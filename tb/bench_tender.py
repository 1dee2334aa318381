# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of test_tender.py: the engine stream by stream, its error flags."""

import cocotb
from cocotb.triggers import RisingEdge

from .engine_cases import cases, decode, describe, exercise
from .harness import Harness, run_streams
from .tender_tops import TenderFault


async def run_case(dut, case, streams, expected, fault=TenderFault.NONE, **knobs):
    """One product through the engine."""
    hold = {"clear_errors": 0, **({"fault": int(fault)} if hasattr(dut, "fault") else {})}
    return await run_streams(dut, streams, expected, hold=hold, describe=describe(case), decode=decode(case, ("overflow",)),
                             **knobs)


@cocotb.test()
async def engine(dut):
    """See :func:`exercise`."""
    await exercise(dut, run_case)


@cocotb.test(expect_fail=True)
async def wrong_words(dut):
    """A product with words that a faulty packer made: the scoreboard finds the difference."""
    for case, streams, expected, seed in cases():
        await run_case(dut, case, streams, expected, seed=seed)


@cocotb.test()
async def engine_errors(dut):
    """Each error flag is set by its cause alone, stays, and is cleared."""
    for case, streams, _, seed in cases():
        harness = Harness(dut, streams, ("outputs",), hold={"clear_errors": 0}, seed=seed)
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
