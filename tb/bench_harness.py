# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of the harness's own tests; see `test_harness.py`."""

import cocotb
from cocotb.triggers import Timer

from ..sim.cocotb_run import bench_parameters
from .harness import run_streams

KNOBS = ({}, {"idle": {"a": 0.6}}, {"idle": 0.4}, {"backpressure": 0.6}, {"idle": 0.3, "backpressure": 0.3})


def _data():
    """The streams, the expected sums, and everything else that pytest passed."""
    given = bench_parameters()
    streams = {"a": given.pop("a"), "b": given.pop("b")}
    return streams, {"sums": given.pop("sums")}, given


def _describe(index):
    return f"tile {index // 10}, column {index % 10}"


@cocotb.test()
async def clean(dut):
    """All knobs give the same sums; without pauses the cycle count is exact; each knob costs cycles."""
    streams, expected, given = _data()
    counts = []
    for knobs in KNOBS:
        report = await run_streams(dut, streams, expected, hold={"offset": 0}, seed=given["seed"], **knobs)
        counts.append(report.cycles)
        assert report.output_cycles["sums"][-1] == report.last_cycle
    beats = len(streams["a"])
    assert counts[0] == beats + 1, counts
    assert min(counts[1:]) > 1.3 * beats, counts


@cocotb.test()
async def repeatable(dut):
    """A seed fixes the pauses, and another seed gives others."""
    streams, expected, _ = _data()
    counts = []
    for seed in (1, 1, 2):
        report = await run_streams(dut, streams, expected, hold={"offset": 0}, seed=seed, idle=0.3, backpressure=0.3)
        counts.append(report.output_cycles)
    assert counts[0] == counts[1] != counts[2]


@cocotb.test()
async def reset_in_between(dut):
    """A reset in the middle of stalled traffic leaves nothing behind."""
    streams, expected, _ = _data()
    report = await run_streams(dut, streams, expected, hold={"offset": 0}, idle=0.3, backpressure=0.3, reset_at=37)
    assert report.first_cycle < 20
    assert dut.errors.value == 0


@cocotb.test()
async def power_up(dut):
    """Registers do not start at zero."""
    await Timer(1, unit="ns")
    assert dut.sums__payload.value != 0


@cocotb.test()
async def once(dut):
    """One run with the knobs that pytest asks for."""
    streams, expected, given = _data()
    await run_streams(dut, streams, expected, hold={"offset": 0}, describe=_describe, **given)
