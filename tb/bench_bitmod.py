# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of test_bitmod.py: the processing element term by term, the engine stream by stream."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from ..sim.cocotb_run import bench_parameters
from .bench_engine import cases, hold_of
from .bitmod_tops import PeFault
from .harness import Harness, to_ints

PATIENCE = 3000
"""Cycles, more than the longest group takes, after which an element is taken to have stopped."""


async def send_terms(dut, steps, rng, pause, interval):
    """Perform the steps, pausing at random and keeping group ends ``interval`` cycles apart; pauses bring noise."""
    since_end = interval
    for step in steps:
        while rng.random() < pause or (step["last"] and since_end < interval):
            dut.valid.value = 0
            for name in step:
                getattr(dut, name).value = rng.getrandbits(len(getattr(dut, name)))
            await RisingEdge(dut.clk)
            since_end += 1
        for name, value in step.items():
            getattr(dut, name).value = value
        dut.valid.value = 1
        await RisingEdge(dut.clk)
        since_end = 1 if step["last"] else since_end + 1
    dut.valid.value = 0


async def take_products(dut, expected, seed):
    """Compare product and alignment of each group as it is done."""
    for group, (product, alignment) in enumerate(expected):
        for _ in range(PATIENCE):
            await RisingEdge(dut.clk)
            if int(dut.done.value):
                break
        else:
            raise AssertionError(f"group {group} is not done after {PATIENCE} cycles, seed {seed}")
        got = (dut.product.value.to_signed(), int(dut.alignment.value))
        if got != (product, alignment):
            raise AssertionError(
                f"first difference: group {group}\n  expected (product, alignment) {(product, alignment)}\n"
                f"  got {got}\n  seed {seed}"
            )


async def run_pe(dut, given, fault, pause, seed):
    """One run over all groups, from reset."""
    harness = Harness(dut, (), (), hold={"fault": int(fault), "write": 0, "valid": 0}, seed=seed)
    await harness.reset()
    rng = random.Random(f"{seed} pe")
    sender = cocotb.start_soon(send_terms(dut, given["steps"], rng, pause, given["interval"]))
    try:
        await take_products(dut, given["expected"], seed)
    finally:
        sender.cancel()


@cocotb.test()
async def pe(dut):
    """All groups, without and with pauses."""
    given = bench_parameters()
    for pause in (0, 0.3):
        await run_pe(dut, given, PeFault.NONE, pause, given["seed"])


@cocotb.test()
async def pe_faults(dut):
    """Each kept fault is detected."""
    given = bench_parameters()
    for fault in PeFault:
        if fault is not PeFault.NONE:
            await expect_red(run_pe(dut, given, fault, 0, given["seed"]), fault)


async def expect_red(run, fault):
    """Await a run that must find a difference."""
    try:
        await run
    except AssertionError as error:
        cocotb.log.info("%s detected: %s", fault.name, str(error).splitlines()[0])
    else:
        raise AssertionError(f"the bench stays green with {fault.name}")


@cocotb.test()
async def special_registers(dut):
    """Writes before each product replace what was there; the words expected are of a config that has their values."""
    given, errors = bench_parameters(), bench_parameters()["errors"].index("special_value")
    harness = None
    for (case, streams, expected, seed), writes in zip(cases(), given["writes"], strict=True):
        first = harness is None
        harness = Harness(dut, streams, ("outputs",), hold=hold_of(dut), seed=seed)
        if first:
            await harness.reset()
        for word, refused in writes:
            await write_special(dut, word, refused, errors)
        harness.start(streams)
        await harness.finish({"outputs": len(expected["outputs"])})
        assert harness.monitors["outputs"].words == to_ints(expected["outputs"]), case["name"]
    for word, refused in given["every"]:
        await write_special(dut, word, refused, errors)


async def write_special(dut, word, refused, bit):
    """A write, and what is reported of it."""
    dut.special_values.value, dut.clear_errors.value = word, 1
    await RisingEdge(dut.clk)
    dut.special_values.value, dut.clear_errors.value = 0, 0
    await RisingEdge(dut.clk)
    found = int(dut.errors.value) >> bit & 1
    assert found == refused, f"special_values {word:#x}: special_value must be {refused}, not {found}"
