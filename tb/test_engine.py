# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The shell with a core that only counts, in every combination of what it can do; what it refuses; the sequencer alone."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from amaranth.sim import Simulator

from subbyte.golden.streams import Field, last_of, pack_beats, payload_bits, unpack_beats
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.stream_model import StreamError, StreamModel
from subbyte.tb.counting_core import (
    CountingConfig,
    CountingCore,
    CountingEngine,
    FaultyCountingEngine,
    ShellFault,
    tile_operands,
)
from subbyte.tb.faults import check_faults
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import to_verilog
from subbyte.top.sequencer import Sequencer, nest

ERRORS = {True: ("k_mismatch", "k_too_long", "scales_order", "format_changed", "format_unsupported"),
          False: ("k_mismatch", "k_too_long", "format_changed", "format_unsupported")}
"""Bits of ``errors`` with and without scales."""


def shell_model(config, top=CountingEngine):
    """The engine's model."""
    verilog = kept_verilog("counting_engine", (top.__name__, config), lambda: to_verilog(top(config), "counting_engine"))
    inputs = {name: payload_bits(fields) for name, fields in config.streams.items()}
    outputs = {"outputs": inputs.pop("outputs")}
    status = {"errors": len(ERRORS[config.scales])}
    return StreamModel(verilog, "counting_engine", inputs=inputs, outputs=outputs, status=status)


def product_operands(rng, groups, tiles, config):
    """Streams, and expected output words, of several tiles beside each other."""
    words, results, odd = zip(*(tile_operands(rng, groups, config) for _ in range(tiles)), strict=True)
    streams = {name: np.concatenate([of_tile[name] for of_tile in words]) for name in words[0]}
    data = np.concatenate(results).reshape(-1, config.drain)
    beats = config.drain_beats
    return streams, pack_beats(config.streams["outputs"], data=data, odd=np.repeat(odd, beats), last=last_of(beats, tiles))


def errors_of(run, config):
    """Names of the errors that a run raised."""
    return [name for bit, name in enumerate(ERRORS[config.scales]) if run.status["errors"] >> bit & 1]


COMBINATIONS = [
    *(CountingConfig(max_passes=passes, scales=scales, kept=kept)
      for passes, scales, kept in product((1, 2), (True, False), (1, 2))),
    *(CountingConfig(max_passes=2, scales=scales, kept=kept, scaled="pass") for scales, kept in product((True, False), (1, 2))),
    CountingConfig(interval=1, kept=2), CountingConfig(interval=6), CountingConfig(max_passes=2, interval=5, scaled="pass"),
    CountingConfig(edge=True), CountingConfig(edge=True, scales=False, kept=2, interval=1),
]


@pytest.mark.parametrize("config", COMBINATIONS, ids=lambda config: "_".join(
    str(getattr(config, name)) for name in ("max_passes", "scales", "kept", "scaled", "interval", "edge")))
def test_shell(config):
    """Groups of all lengths, terms and passes; tiles as short as they may be; every pause; a reset; exact cycles."""
    model, seed = shell_model(config), resolve_seed()
    rng, passes, full = np.random.default_rng(seed), config.max_passes, config.group_beats
    shapes = [
        [(full, 3, 1), (full, 1, 1), (full, 1, 1), (full, 2, 1), (3, 3, 1)],
        [(1, 1, 1)],
        [(2, 1, 1)],
        [(full, 1, passes), (full, 3, passes), (1, 1, passes)],
        [(full, 1, 1)] * 4 + [(1, 1, 1)],
        [(1, 2, passes)],
    ]
    for index, groups in enumerate(shapes):
        tiles = 6
        streams, expected = product_operands(rng, groups, tiles, config)
        predicted = config.timeline(config.rows, config.cols * tiles, config.schedule(groups)).cycles
        knobs = [{}, *({"idle": {name: 0.8}} for name in streams), {"backpressure": 0.9}, {"idle": 0.3, "backpressure": 0.5},
                 {"ready_waits": True}, {"reset_at": int(rng.integers(1, predicted))}]
        for chosen in knobs:
            result = model.run(streams, {"outputs": len(expected)}, seed=seed + index, **chosen)
            np.testing.assert_array_equal(result.outputs["outputs"], expected, err_msg=f"{groups} {chosen}")
            assert result.status["errors"] == 0, (groups, chosen)
            assert set(chosen) & {"idle", "backpressure", "ready_waits"} or result.cycles == predicted, (groups, chosen)
        values = unpack_beats(config.streams["outputs"], expected)["data"]
        assert len(np.unique(values)) > values.size // 2  # not a constant that anything would match


@pytest.mark.parametrize("scales", [True, False])
def test_errors(scales):
    """Each error of the shell is raised by its cause and by nothing else."""
    config = CountingConfig(max_passes=2, scales=scales)
    model, rng = shell_model(config), np.random.default_rng(1)
    groups = [(4, 1, 1)] * config.max_groups
    streams, expected = product_operands(rng, groups, 1, config)

    def errors(beats=len(expected), **changes):
        words = dict(streams)
        for stream, (field, beat, value) in changes.items():
            values = unpack_beats(config.streams[stream], words[stream])
            values[field][beat] = value
            words[stream] = pack_beats(config.streams[stream], **values)
        return errors_of(model.run(words, {"outputs": beats}, seed=1), config)

    assert errors() == []
    assert errors(activations=("last", -1, 0)) == ["k_mismatch"]
    assert errors(weights=("format", 5, 1)) == ["format_changed"]
    assert errors(weights=("format", slice(None), 3)) == ["format_unsupported"]
    if scales:
        assert errors(scales=("last", 0, 1)) == errors(scales=("last", -1, 0)) == ["scales_order"]
    longer, more = product_operands(rng, [*groups, (1, 1, 1)], 1, config)
    assert errors_of(model.run(longer, {"outputs": len(more)}, seed=1), config) == ["k_too_long"]


def test_faults_are_detected():
    """The good shell and its faults in one build: green without a fault, each fault turns a run red."""
    config, seed = CountingConfig(max_passes=2), resolve_seed()
    model, rng = shell_model(config, FaultyCountingEngine), np.random.default_rng(seed)
    products = [(groups, *product_operands(rng, groups, 4, config)) for groups in ([(4, 1, 2), (2, 1, 1)], [(1, 1, 1)])]

    def problems(fault):
        for groups, streams, expected in products:
            predicted = config.timeline(config.rows, 4 * config.cols, config.schedule(groups)).cycles
            for knobs in ({}, {"idle": 0.4}, {"idle": {"scales": 0.9}}):
                try:
                    run = model.run(streams, {"outputs": len(expected)}, seed=seed, hold={"fault": int(fault)},
                                    timeout_cycles=500, **knobs)
                except StreamError as error:
                    yield error
                    return
                yield from np.flatnonzero((run.outputs["outputs"] != expected).any(axis=1))
                if not knobs and run.cycles != predicted:
                    yield f"{run.cycles} cycles, predicted {predicted}"

    check_faults(problems, ShellFault)


class _SlowCore(CountingCore):
    latency = 2


class _SlowEngine(CountingEngine):
    CORE = _SlowCore


@dataclass(frozen=True)
class _Changed(CountingConfig):
    """A config with one thing replaced that no parameter gives."""

    streams = CountingConfig().streams

    def changed(self, name, fields):
        """The engine of these streams."""
        type(self).streams = {**CountingConfig().streams, name: fields}
        return CountingEngine(self)


@pytest.mark.parametrize("make, message", [
    (lambda: to_verilog(_SlowEngine(), "slow"),
     r"config\.timing must be what the parts of _SlowCore add up to, .*result=2.*, not .*result=1"),
    (lambda: CountingEngine(CountingConfig(kept=3)), r"timing\.kept must be one of \(1, 2\), not 3"),
    (lambda: CountingEngine(CountingConfig(scaled="beat")), r"timing\.scaled must be one of \('group', 'pass'\), not 'beat'"),
    (lambda: CountingEngine(CountingConfig(interval=0)), r"timing\.interval must be at least 1, not 0"),
    (lambda: CountingEngine(CountingConfig(drain=3)), "drain must divide cols 4, not be 3"),
    (lambda: CountingEngine(CountingConfig(max_passes=2, edge=True)), "edge must repeat beats for the 2 passes of a group"),
    (lambda: _Changed().changed("weights", (Field("codes", 8, 4), Field("last"))),
     r"streams\['weights'\] must have a field 'format' for 3 formats"),
    (lambda: _Changed().changed("activations", (Field("data", 8, 2),)), r"streams\['activations'\] must end with 'last'"),
], ids=["latency", "kept", "scaled", "interval", "drain", "edge", "format", "last"])
def test_what_is_not_supported_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_sequencer_counts_the_nest():
    """Against nested Python loops, with random pauses; a level that ends early restarts all inner ones."""
    dut = Sequencer(nest(terms=3, beats=4, passes=2, groups=2))
    rng = np.random.default_rng(1)
    groups = [(3, 4, 2), (1, 4, 1), (2, 2, 2)]
    expected = [
        (t, b, p, g, {"term": t == T - 1, "beat": b == B - 1, "pass": p == P - 1, "group": g == len(groups) - 1})
        for g, (T, B, P) in enumerate(groups) for p in range(P) for b in range(B) for t in range(T)
    ]

    async def bench(ctx):
        for t, b, p, g, at_end in expected * 2:
            while rng.random() < 0.3:
                ctx.set(dut.advance, 0)
                await ctx.tick()
            ctx.set(dut.advance, 1)
            ctx.set(dut.at_end, {name: int(value) for name, value in at_end.items()})
            index = ctx.get(dut.index)
            assert (index.term, index.beat, index["pass"], index.group) == (t, b, p, g)
            first, last = ctx.get(dut.first), ctx.get(dut.last)
            inner_first, inner_last = True, True
            for level, within, value in (("term", "beat", t), ("beat", "pass", b), ("pass", "group", p), ("group", "tile", g)):
                inner_first, inner_last = inner_first and value == 0, inner_last and at_end[level]
                assert (first[within], last[within]) == (inner_first, inner_last)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
