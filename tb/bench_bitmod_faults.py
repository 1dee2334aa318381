# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of the engine's kept faults: green without a fault, and each fault must turn a run red."""

import cocotb

from .bench_bitmod import run_case
from .bitmod_tops import EngineFault
from .engine_cases import cases


async def run_all(dut, fault):
    """All products with a fault chosen."""
    for case, streams, expected, seed in cases():
        # Results that are not awaited show only where they wait longer than a tile takes.
        await run_case(dut, case, streams, expected, seed=seed, hold={"fault": int(fault)}, idle=0.2, backpressure=0.9,
                       patience=300)


@cocotb.test()
async def no_fault(dut):
    """The good unit, in the same build as its faults."""
    await run_all(dut, EngineFault.NONE)


@cocotb.test(expect_fail=True)
@cocotb.parametrize(fault=[fault.name for fault in EngineFault if fault is not EngineFault.NONE])
async def detected(dut, fault):
    """The scoreboard finds a difference; cocotb counts a pass as a failure here."""
    await run_all(dut, EngineFault[fault])
