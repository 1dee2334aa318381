# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Both forms of the accelerator: a product is right after a soft reset in any state; tiles longer than the sums hold."""

from dataclasses import replace

import numpy as np
import pytest

from subbyte.hdl.axi_read import ArrayReader
from subbyte.hdl.axi_write import ArrayWriter
from subbyte.hdl.replay_buffer import ReplayBuffer
from subbyte.schemes import scheme
from subbyte.sim.cocotb_run import resolve_seed, run_bench
from subbyte.tb import test_accelerator, test_memory_accelerator
from subbyte.tb.engine_bench import Case
from subbyte.tb.test_memory_accelerator import product_of, small_config
from subbyte.tb.watched_top import WatchedTop
from subbyte.top import memory_accelerator
from subbyte.top.accelerator import SOFT, StreamAccelerator
from subbyte.top.emit import to_verilog
from subbyte.top.job_units import JobQueue, Results, TileWords
from subbyte.top.memory_accelerator import MemoryAccelerator

BENCH = "subbyte.tb.bench_accelerator_states"
FOUND, CONFIG = scheme("tender"), replace(small_config("tender"), lanes=8)
CYCLES = 200
"""Two jobs of :func:`product` are done then."""
EVERY_CYCLE = [(0, (CYCLES,)), (0.4, (0, 3 * CYCLES, 4))]
"""Shares of pauses, and when a reset is asked for, as ``range`` takes it."""


def product(k):
    """A product of four tiles, of so many words: K = 1 one, 17 four, as the channels' groups fall."""
    return k, product_of(FOUND, CONFIG, np.random.default_rng(resolve_seed()), CONFIG.rows + 1, 2 * CONFIG.cols, k)


def memory_form(config):
    return MemoryAccelerator(FOUND.part("engine").make(config), "tender", bus_bytes=4, burst=2, outstanding=2, buffer=8)


def stream_form(config):
    return StreamAccelerator(FOUND.part("engine").make(config), "tender", bus_bytes=4)


def run(design, name, testcase, given):
    parameters = {"seed": resolve_seed(), "names": [], **given}
    run_bench(to_verilog(design, name), name, BENCH, testcase=testcase, limit_s=900, parameters=parameters)


def memory_given(made):
    return test_memory_accelerator.given_of(made.layout, [product(17)])


def check_states(made, testcase, given, never=()):
    """Each register was away from what a reset gives it, and state machines in each of their states, but for those given."""
    top = WatchedTop(made)
    run(top, f"tender_{testcase}_watched", testcase, {"names": top.names, "rounds": EVERY_CYCLE, "never": list(never), **given})


def test_some_cycles():
    made = memory_form(CONFIG)
    run(made, "tender_accelerator", "memory", {"rounds": [(0, (0, CYCLES, 12))], **memory_given(made)})


@pytest.mark.long
def test_every_state_of_the_memory_form():
    """But for the number of a tile's word of constants: there is one."""
    made = memory_form(CONFIG)
    check_states(made, "memory", memory_given(made), ["words_constants.word"])


@pytest.mark.long
def test_every_state_of_the_stream_form():
    made = stream_form(CONFIG)
    check_states(made, "stream", test_accelerator.given_of(made, [Case("tiles", product(17)[1])]))


@pytest.mark.long
@pytest.mark.parametrize("unit", [ArrayReader, ArrayWriter, JobQueue, ReplayBuffer, Results, TileWords])
def test_units_that_keep_their_state_are_detected(unit, monkeypatch):
    """Each unit of the memory form in turn is one that a soft reset does not clear; any may be next at the arbiter."""
    monkeypatch.setattr(memory_accelerator, "SOFT", lambda made: made if isinstance(made, unit) else SOFT(made))
    with pytest.raises(AssertionError, match="tests failed"):
        test_some_cycles()


@pytest.mark.long
def test_beyond_k():
    """Cause K_TOO_LONG, in both forms, of products that an engine with longer sums takes."""
    config, products = replace(CONFIG, max_beats=2), [product(1), product(17)]
    memory, stream = memory_form(config), stream_form(config)
    run(memory, "tender_accelerator", "memory_beyond_k", test_memory_accelerator.given_of(memory.layout, products))
    run(stream, "tender_accelerator_stream", "stream_beyond_k",
        test_accelerator.given_of(stream, [Case(str(k), found) for k, found in products]))
