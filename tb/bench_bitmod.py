# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of test_bitmod.py: the processing element term by term, the engine stream by stream."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from ..sim.cocotb_run import bench_parameters
from .bitmod_tops import PeFault
from .engine_cases import cases, decode, describe, exercise
from .harness import Harness, run_streams

FLAGS = ("nonfinite", "overflow")


async def send_terms(dut, steps, rng, pause, interval):
    """Perform the steps, pausing at random and keeping group ends ``interval`` cycles apart."""
    since_end = interval
    for step in steps:
        while rng.random() < pause or (step["last"] and since_end < interval):
            dut.valid.value = 0
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
        await RisingEdge(dut.clk)
        while not int(dut.done.value):
            await RisingEdge(dut.clk)
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


async def run_case(dut, case, streams, expected, **knobs):
    """One product through the engine."""
    hold = {"clear_errors": 0, "special_values": 0, **knobs.pop("hold", {})}
    hold = {name: value for name, value in hold.items() if hasattr(dut, name)}
    return await run_streams(dut, streams, expected, hold=hold, describe=describe(case), decode=decode(case, FLAGS), **knobs)


@cocotb.test()
async def engine(dut):
    """See :func:`exercise`."""
    await exercise(dut, run_case)


@cocotb.test()
async def engine_errors(dut):
    """Each error flag is set by its cause alone, stays, and is cleared."""
    for case, streams, _, seed in cases():
        harness = Harness(dut, streams, ("outputs",), hold={"clear_errors": 0, "special_values": 0}, seed=seed)
        await harness.reset()
        assert int(dut.errors.value) == 0
        dut.special_values.value = case["write"]
        await RisingEdge(dut.clk)
        dut.special_values.value = 0
        harness.start(streams)
        for _ in range(case["cycles"] + 50):
            await RisingEdge(dut.clk)
        assert int(dut.errors.value) == case["errors"], f"{case['name']}: {dut.errors.value}, not {case['errors']:b}"
        await harness.reset()
        assert int(dut.errors.value) == 0
        harness.start(streams)
        for _ in range(case["cycles"] + 50):
            await RisingEdge(dut.clk)
        dut.clear_errors.value = 1
        await RisingEdge(dut.clk)
        dut.clear_errors.value = 0
        await RisingEdge(dut.clk)
        assert int(dut.errors.value) == 0


@cocotb.test()
async def special_registers(dut):
    """Values written before a product replace those of the reset; the words expected are of a config that has them."""
    (case, streams, expected, seed), = cases()
    harness = Harness(dut, streams, ("outputs",), hold={"clear_errors": 0, "special_values": 0}, seed=seed)
    await harness.reset()
    for write in case["writes"]:
        dut.special_values.value = write
        await RisingEdge(dut.clk)
    dut.special_values.value = 0
    harness.start(streams)
    await harness.finish({"outputs": len(expected["outputs"])})
    # the monitor forgets at the next reset only
    assert int(dut.errors.value) == 0
    got = harness.monitors["outputs"].words
    wanted = [int.from_bytes(bytes(word), "little") for word in expected["outputs"]]
    assert got == wanted
