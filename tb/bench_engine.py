# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The one bench of engines, cocotb's side: cases that :mod:`subbyte.tb.engine_bench` prepared."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from ..sim.cocotb_run import bench_parameters
from .harness import Harness, run_streams

__all__ = ["cases", "errors_of", "hold_of", "run_case"]


def cases():
    """What is known of each product, its streams, its expected words, its seed."""
    given = bench_parameters()
    for index, case in enumerate(given["cases"]):
        streams = {name: given[f"{name}_{index}"] for name in case["streams"]}
        yield case, streams, {"outputs": given[f"outputs_{index}"]}, given["seed"] + index


def hold_of(dut):
    """Inputs outside the streams, held at zero."""
    return {name: 0 for name in ("clear_errors", "special_values", "fault") if hasattr(dut, name)}


def errors_of(dut):
    """Names of the errors that are raised."""
    value = int(dut.errors.value)
    return [name for bit, name in enumerate(bench_parameters()["errors"]) if value >> bit & 1]


async def run_case(dut, case, streams, expected, **knobs):
    """One product through the engine; every output beat, and the errors in the end."""
    report = await run_streams(dut, streams, expected, hold=hold_of(dut), **knobs,
                               describe=lambda beat: f"{case['name']}, {case['places'][beat]}")
    raised = sorted(errors_of(dut))
    assert raised == case["errors"], f"{case['name']}: errors {raised}, not {case['errors']}, with {knobs}"
    return report


@cocotb.test()
async def engine(dut):
    """Each product: exact cycles without pauses; then pauses on each stream alone, on all, and a reset on the way."""
    for case, streams, expected, seed in cases():
        report = await run_case(dut, case, streams, expected, seed=seed)
        assert report.cycles == case["cycles"], f"{case['name']}: {report.cycles} cycles, predicted {case['cycles']}"
        knobs = [{"idle": {name: 0.7}} for name in streams]
        knobs += [{"backpressure": 0.8}, {"idle": 0.3, "backpressure": 0.5}]
        for chosen in knobs:
            await run_case(dut, case, streams, expected, seed=seed, **chosen)
        reset_at = random.Random(seed).randrange(1, report.cycles)
        report = await run_case(dut, case, streams, expected, seed=seed, reset_at=reset_at)
        assert report.cycles == case["cycles"], f"{case['name']}: {report.cycles} cycles after a reset at {reset_at}"


@cocotb.test()
async def engine_errors(dut):
    """Each error is raised by its cause alone, stays, and is cleared, by its port and by a reset."""
    for case, streams, _, seed in cases():
        harness = Harness(dut, streams, ("outputs",), hold=hold_of(dut), seed=seed)
        for clear in (False, True):
            await harness.reset()
            assert errors_of(dut) == [], f"{case['name']}: a reset must clear errors"
            harness.start(streams)
            for _ in range(case["cycles"] + 200):
                await RisingEdge(dut.clk)
            raised = sorted(errors_of(dut))
            assert raised == case["errors"], f"{case['name']}: errors {raised}, not {case['errors']}"
            if clear:
                dut.clear_errors.value = 1
                await RisingEdge(dut.clk)
                dut.clear_errors.value = 0
                await RisingEdge(dut.clk)
                assert errors_of(dut) == [], f"{case['name']}: clear_errors must clear errors"


@cocotb.test()
async def undefined(dut):
    """Each product without pauses, then with pauses everywhere, whatever an idle payload holds; streams take turns alone."""
    payload = bench_parameters()["idle_payload"]
    for number, (case, streams, expected, seed) in enumerate(cases()):
        alone = list(streams)[number % len(streams)]
        for knobs in ({}, {"idle": 0.4, "backpressure": 0.4}, {"idle": {alone: 0.7}}):
            await run_case(dut, case, streams, expected, seed=seed, idle_payload=payload, **knobs)


@cocotb.test(expect_fail=True)
async def wrong_words(dut):
    """A product with words that a faulty packer made: the scoreboard finds the difference."""
    for case, streams, expected, seed in cases():
        await run_case(dut, case, streams, expected, seed=seed)
