# amaranth: UnusedElaboratable=no
# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The shell with a core that only counts: the whole nest, one pass and two, replay, waits, drain; and the sequencer alone."""

from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.sim import Simulator

from subbyte.dequant.constants import Constants, unit_members
from subbyte.golden.schedule import GroupSchedule, Schedule, Timing, engine_timeline
from subbyte.golden.streams import Field, pack_beats, payload_bits, unpack_beats
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.sim.stream_model import StreamModel
from subbyte.top.emit import to_verilog
from subbyte.top.engine import Engine, core_members
from subbyte.top.sequencer import Sequencer, nest

GROUP_BEATS = 4
INTERVAL = 3


@dataclass(frozen=True)
class CountingConfig:
    """What the shell asks of a config."""

    rows: int = 2
    cols: int = 4
    lanes: int = 1
    drain: int = 2


class CountingUnit(wiring.Component):
    """Shifts by the tile's constant, adds those of column and row, one cycle later."""

    latency = 1

    def __init__(self, core):
        self.grouped = core.constants.group is not None
        super().__init__(unit_members(core))

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            for i in range(self.results.shape().length):
                added = self.columns[i] if self.grouped else (self.columns[i] << self.common.shift) + self.row
                m.d.sync += self.payload.data[i].eq(self.results[i] + added)
        return m


class CountingCore(wiring.Component):
    """Sums ``weight * activation * (1 + term + 4 * pass)`` over a group, times the group's scale, over a tile.

    With ``grouped`` false there are no group scales, but constants of rows and of the tile.
    """

    def __init__(self, config, max_passes, grouped=True, tiles_kept=1):
        self.config = config
        self.tiles_kept = tiles_kept
        self.group_beats, self.max_terms, self.max_passes, self.interval = GROUP_BEATS, 3, max_passes, INTERVAL
        self.max_groups = 5
        self.weights_layout = data.StructLayout({"codes": data.ArrayLayout(8, config.cols), "terms": 2, "passes": 2})
        self.activations_layout = data.StructLayout({"data": data.ArrayLayout(8, config.rows)})
        self.constants = (Constants(column=32, group=32) if grouped else
                          Constants(column=32, row=16, tile=data.StructLayout({"shift": 2})))
        self.result_shape = 32
        self.flags_layout = data.StructLayout({"unused": 1})
        self.output_fields = {"data": data.ArrayLayout(32, config.drain)}
        self.errors_layout = data.StructLayout({})
        self.settings = {}
        super().__init__(core_members(self))

    def output_unit(self):
        return CountingUnit(self)

    def elaborate(self, platform):
        m = Module()
        step = self.step
        m.d.comb += [self.terms.eq(self.weights.terms), self.passes.eq(self.weights.passes)]
        factor = 1 + step.index.term + 4 * step.index["pass"]
        with m.If(step.valid):
            for r in range(self.config.rows):
                for c in range(self.config.cols):
                    group = Signal(32, name=f"group_{r}_{c}")
                    tile = Signal(32, name=f"tile_{r}_{c}")
                    added = Mux(step.first.group, 0, group) + self.weights.codes[c] * self.activations.data[r] * factor
                    scale = 1 if self.constants.group is None else self.scales[c]
                    total = Mux(step.index.group == 0, 0, tile) + added * scale
                    m.d.sync += group.eq(added)
                    with m.If(step.last.group):
                        m.d.sync += tile.eq(total)
                    with m.If(step.last.tile):
                        m.d.sync += self.results[r][c].eq(total)
        m.d.sync += self.done.eq(step.valid & step.last.tile)
        return m


WEIGHTS = [Field("codes", 8, 4), Field("terms", 2), Field("passes", 2), Field("last", 1)]
ACTIVATIONS = [Field("data", 8, 2), Field("last", 1)]
SCALES = {True: [Field("data", 32, 4), Field("last", 1)],
          False: [Field("data", 32, 4), Field("shift", 2), Field("last", 1)]}
TOKENS = [Field("data", 16, 2)]
OUTPUTS = [Field("data", 32, 2), Field("last", 1)]


def tile_operands(rng, groups, grouped):
    """Words of a tile whose groups have (beats, terms, passes), and its results [rows, cols]."""
    weights, activations, scales, tokens = [], [], [], []
    total = np.zeros((2, 4), np.int64)
    for index, (beats, terms, passes) in enumerate(groups):
        end = index == len(groups) - 1
        a = rng.integers(0, 256, (beats, 2))
        w = rng.integers(0, 256, (passes, beats, 4))
        scale = rng.integers(0, 16, 4) if grouped else np.ones(4, int)
        factor = (1 + np.arange(terms)[:, None] + 4 * np.arange(passes)).sum(axis=0)
        total += np.einsum("br,pbc,p->rc", a, w, factor) * scale
        last = np.zeros((passes, beats), int)
        last[-1, -1] = end
        ends = np.zeros(beats, int)
        ends[-1] = end
        weights.append(pack_beats(WEIGHTS, codes=w.reshape(-1, 4), terms=np.full(passes * beats, terms),
                                  passes=np.full(passes * beats, passes), last=last.ravel()))
        activations.append(pack_beats(ACTIVATIONS, data=a, last=ends))
        if grouped:
            scales.append(pack_beats(SCALES[True], data=scale[None], last=np.zeros(1, int)))
    columns, end = rng.integers(0, 1000, 4), np.ones(1, int)
    if grouped:
        scales.append(pack_beats(SCALES[True], data=columns[None], last=end))
    else:
        shift, rows = rng.integers(0, 4), rng.integers(0, 1 << 16, 2)
        scales.append(pack_beats(SCALES[False], data=columns[None], shift=end * shift, last=end))
        tokens.append(pack_beats(TOKENS, data=rows[None]))
        columns = (columns << shift) + rows[:, None]
    return [weights, activations, scales, *([] if grouped else [tokens])], (total + columns) & 0xFFFFFFFF


def product_operands(rng, groups, tiles, grouped=True):
    """Streams and expected output words of several tiles."""
    parts = [tile_operands(rng, groups, grouped) for _ in range(tiles)]
    streams = {name: np.concatenate([word for words, _ in parts for word in words[i]])
               for i, name in enumerate(("weights", "activations", "scales", "tokens")[:len(parts[0][0])])}
    results = np.concatenate([results.reshape(-1, 2) for _, results in parts])
    return streams, pack_beats(OUTPUTS, data=results, last=np.tile([0, 0, 0, 1], tiles))


@pytest.mark.parametrize("max_passes, grouped, tiles_kept", [(1, True, 1), (2, True, 1), (1, False, 1), (1, False, 2)])
def test_shell(max_passes, grouped, tiles_kept):
    """Groups of all lengths, terms and passes; waits for the interval and for the drain; every pause; exact cycles."""
    core = CountingCore(CountingConfig(), max_passes, grouped, tiles_kept)
    verilog = to_verilog(Engine(core), name := f"counting_engine_{max_passes}_{grouped:d}_{tiles_kept}")
    fields = {"weights": WEIGHTS, "activations": ACTIVATIONS, "scales": SCALES[grouped],
              **({} if grouped else {"tokens": TOKENS})}
    model = StreamModel(verilog, name, inputs={key: payload_bits(value) for key, value in fields.items()},
                        outputs={"outputs": payload_bits(OUTPUTS)}, status={"errors": 3})
    seed = resolve_seed()
    rng = np.random.default_rng(seed)
    shapes = [
        [(4, 3, 1), (4, 1, 1), (1, 1, 1), (4, 2, 1), (3, 3, 1)],
        [(1, 1, 1)],
        [(2, 1, 1)],
        [(4, 1, max_passes), (4, 3, max_passes), (3, 2, max_passes)],
        [(1, 2, max_passes), ],
    ]
    # The results are there one cycle after the last term; constants that must be taken, or a copy of the results, two.
    result = 2 if grouped or tiles_kept == 2 else 1
    timing = Timing(interval=INTERVAL, result=result, output=1, drain_beats=4, kept=tiles_kept)
    for index, groups in enumerate(shapes):
        # A group may only be shorter than GROUP_BEATS at the tile's end.
        groups = [(GROUP_BEATS, *rest) for _, *rest in groups[:-1]] + [groups[-1]]
        tiles = 5
        streams, expected = product_operands(rng, groups, tiles, grouped)
        schedule = Schedule(tuple(GroupSchedule(b, b, t, p) for b, t, p in groups))
        predicted = engine_timeline(2, 4 * tiles, schedule, timing, rows=2, cols=4, lanes=1).cycles
        result = model.run(streams, {"outputs": len(expected)}, seed=seed)
        np.testing.assert_array_equal(result.outputs["outputs"], expected, err_msg=f"{groups}")
        assert result.cycles == predicted, groups
        assert result.status["errors"] == 0
        for knobs in (*({"idle": {name: 0.8}} for name in fields),
                      {"backpressure": 0.9}, {"idle": 0.3, "backpressure": 0.5}):
            result = model.run(streams, {"outputs": len(expected)}, seed=seed + index, **knobs)
            np.testing.assert_array_equal(result.outputs["outputs"], expected, err_msg=f"{groups} {knobs}")
        values = unpack_beats(OUTPUTS, expected)["data"]
        assert len(np.unique(values)) > values.size // 2  # not a constant that anything would match
    streams, expected = product_operands(rng, [(GROUP_BEATS, 1, 1)] * 6, 1, grouped)
    result = model.run(streams, {"outputs": len(expected)}, seed=seed)
    assert result.status["errors"] == 0b010, "six groups where five are allowed: k_too_long"


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
