# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of the Tender engine's kept faults: green without a fault, and each fault must turn a run red."""

import cocotb

from .bench_tender import run_case
from .engine_cases import cases
from .tender_tops import TenderFault


@cocotb.test()
async def no_fault(dut):
    """The good unit, in the same build as its faults."""
    for case, streams, expected, seed in cases():
        await run_case(dut, case, streams, expected, seed=seed, idle=0.2)


@cocotb.test(expect_fail=True)
@cocotb.parametrize(fault=[fault.name for fault in TenderFault if fault is not TenderFault.NONE])
async def detected(dut, fault):
    """The scoreboard finds a difference; cocotb counts a pass as a failure here."""
    for case, streams, expected, seed in cases():
        await run_case(dut, case, streams, expected, TenderFault[fault], seed=seed, patience=300)
