# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Every latency and limit that a manifest states, measured in the RTL that it stands beside."""

import json

import numpy as np
import pytest
from amaranth.sim import Simulator

from subbyte.golden.bcq import BcqConfig
from subbyte.golden.bipolar import BipolarConfig
from subbyte.golden.bitmod import BitModConfig
from subbyte.golden.rsr import RsrConfig
from subbyte.golden.streams import Field, last_of, pack_beats, payload_bits
from subbyte.golden.tender import TenderConfig
from subbyte.pe.bcq import BcqPE
from subbyte.pe.bipolar import BipolarPE
from subbyte.pe.bitmod import BitModPE
from subbyte.pe.rsr import element
from subbyte.pe.rsr_scatter import RsrScatterPE
from subbyte.pe.tender import PublishedPE, TenderPE
from subbyte.schemes import engines, scheme
from subbyte.sim.stream_model import StreamModel
from subbyte.tools.kept import kept_verilog
from subbyte.top.emit import manifest, to_json, to_verilog
from subbyte.top.rsr import RsrArray

CONFIGS = {
    "bitmod": [BitModConfig(rows=2, cols=4, lanes=4, group_size=32, drain=1, max_k=128),
               BitModConfig(rows=3, cols=2, lanes=8, group_size=32, drain=2, formats=("INT4", "FP3"), dequant_chunk=None,
                            max_k=96)],
    "tender": [TenderConfig(rows=2, cols=4, lanes=4, drain=1, max_beats=50),
               TenderConfig(rows=1, cols=2, lanes=3, drain=2, bits_w=8, bits_a=8, accumulator_chunk=None, output="int8",
                            max_beats=9)],
    "rsr": [RsrConfig(rows=2, cols=4, lanes=6, drain=1, max_k=120),
            RsrConfig(rows=1, cols=4, lanes=4, drain=4, max_k=30, accumulator_chunk=40, output="int32")],
    "bipolar": [BipolarConfig(rows=2, cols=4, lanes=6, drain=1, bits_w=2, bits_a=3, max_k=60),
                BipolarConfig(rows=1, cols=4, lanes=4, drain=1, bits_w=3, bits_a=2, dot_stages=1, output="float16", max_k=30)],
    "bcq": [BcqConfig(rows=2, cols=4, lanes=4, group_size=32, drain=1, planes=2, max_k=128),
            BcqConfig(rows=2, cols=2, lanes=8, group_size=32, drain=1, planes=2, form="uniform", max_k=96),
            BcqConfig(rows=9, cols=2, lanes=16, mu=3, group_size=32, drain=1, planes=1, dequantizers=2, max_k=96)],
}
TILES = 8


class Engine:
    """An engine's RTL and its figures. What its streams carry does not matter here: noise, and ends of tiles."""

    def __init__(self, name, config):
        self.config = config
        engine, top = scheme(name).component("engine", config)
        text = kept_verilog(f"{top}_figures", config, lambda: to_verilog(engine, top))
        described = json.loads(to_json(manifest(scheme(name).component("engine", config)[0], top)))
        self.figures = described["figures"]
        self.codes = {work.name: code for code, work in config.formats_taken.items()}
        self.errors = [leaf["path"] for port in described["ports"] if port["name"] == "errors" for leaf in port["fields"]]
        inputs = {name: payload_bits(fields) for name, fields in config.streams.items()}
        self.model = StreamModel(text, top, inputs=inputs, outputs={"outputs": inputs.pop("outputs")},
                                 status={"errors": len(self.errors)})

    def words(self, stream, beats, tiles, code):
        """Beats of each of several tiles."""
        rng, fields = np.random.default_rng(1), self.config.streams[stream]
        given = {"last": last_of(beats, tiles), "format": np.full(beats * tiles, code)}

        def noise(field):
            if field.name in given:
                return given[field.name]
            if field.is_struct:
                return {member.name: noise(Field(member.name, member.element, (*field.shape, *member.shape)))
                        for member in field.element}
            return rng.integers(0, 1 << field.width, (beats * tiles, *field.shape))

        return pack_beats(fields, **{field.name: noise(field) for field in fields})

    def run(self, beats, fmt, tiles=TILES):
        """Cycles at which weights are taken [tiles, beats of all passes], at which outputs come, and the errors raised."""
        groups, passes = -(-beats // self.config.group_beats), self.config.formats_taken[self.codes[fmt]].passes
        scales = groups * (passes if self.config.timing.scaled == "pass" else 1)
        counts = {"weights": beats * passes, "activations": beats, "scales": scales, "constants": 1, "tokens": 1}
        words = {stream: self.words(stream, counts[stream], tiles, self.codes[fmt])
                 for stream in self.config.streams if stream != "outputs"}
        run = self.model.run(words, {"outputs": tiles * self.config.drain_beats}, seed=1)
        raised = {name for bit, name in enumerate(self.errors) if run.status["errors"] >> bit & 1}
        return run.input_cycles["weights"].reshape(tiles, -1).astype(int), run.output_cycles["outputs"].astype(int), raised


@pytest.fixture(scope="module", params=[
    pytest.param((name, i), marks=[pytest.mark.long] * (i > 0)) for name in engines() for i in range(len(CONFIGS[name]))],
    ids=lambda param: f"{param[0]}-{param[1]}")
def engine(request):
    name, index = request.param
    return Engine(name, CONFIGS[name][index])


def test_every_figure_is_measured_here(engine):
    """The names are those of every scheme; widths are the others."""
    measured = {"terms", "latency_last_term_to_first_output", "shortest_distance_of_tile_ends", "largest_k",
                "shortest_k_that_hides_the_drain"}
    measured |= {"shortest_distance_of_group_ends"} if engine.config.max_groups > 1 else set()
    assert {name for name in engine.figures if not name.endswith("_bits")} == measured


def test_latency_and_terms(engine):
    for fmt, terms in engine.figures["terms"].items():
        weights, outputs, _ = engine.run(2, fmt, tiles=1)
        assert outputs[0] - weights[0, -1] == engine.figures["latency_last_term_to_first_output"], fmt
        assert weights[0, 1] - weights[0, 0] == terms, fmt


def test_distance_of_ends(engine):
    """Tiles of a beat each, in the long run; a group of a beat behind a full one, if tiles have groups."""
    quickest = min(engine.figures["terms"], key=engine.figures["terms"].get)
    weights, _, _ = engine.run(1, quickest, tiles=20)
    assert (weights[19, -1] - weights[9, -1]) / 10 == engine.figures["shortest_distance_of_tile_ends"]
    if engine.config.max_groups > 1:
        weights, _, _ = engine.run(engine.config.group_beats + 1, quickest)
        assert weights[0, -1] - weights[0, -2] == engine.figures["shortest_distance_of_group_ends"]


def test_drain_is_hidden_from_the_stated_k_on(engine):
    """Tiles of that K follow each other as close as their groups may, those a beat shorter wait; without a K all do."""
    for fmt, k in engine.figures["shortest_k_that_hides_the_drain"].items():
        longest = engine.figures["largest_k"] // engine.config.lanes
        for beats, hidden in ((longest, False),) if k is None else ((k // engine.config.lanes, True),
                                                                    (k // engine.config.lanes - 1, False)):
            if beats == 0:
                continue
            weights, _, _ = engine.run(beats, fmt, tiles=20)
            undisturbed = engine.config.tile_distance(engine.config.formats_taken[engine.codes[fmt]], beats, drain=False)
            assert ((weights[19, -1] - weights[9, -1]) / 10 == undisturbed) == hidden, (fmt, beats)


def test_largest_k(engine):
    """A tile of that K is taken without complaint, one of a beat more is reported."""
    quickest, beats = next(iter(engine.figures["terms"])), engine.figures["largest_k"] // engine.config.lanes
    assert "k_too_long" not in engine.run(beats, quickest, tiles=2)[2]
    assert "k_too_long" in engine.run(beats + 1, quickest, tiles=1)[2]


# Elements by themselves, in Amaranth's simulator


def done_after(dut, start, done):
    """Cycles from the one in which the inputs ``start`` are set until ``done``."""
    found = []

    async def bench(ctx):
        for value in (1, 0):
            for name in start:
                ctx.set(getattr(dut, name), value)
            if value:
                await ctx.tick()
        for cycle in range(1, 200):
            if ctx.get(getattr(dut, done)):
                found.append(cycle)
                return
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[0]


@pytest.mark.parametrize("dut, start, done", [
    (lambda: BitModPE(), ("valid", "first", "last"), "done"),
    (lambda: BitModPE(BitModConfig(dequant_chunk=None, scale_bits=3)), ("valid", "first", "last"), "done"),
    (lambda: TenderPE(), ("valid", "first", "last"), "done"),
    (lambda: TenderPE(TenderConfig(bits_w=8, bits_a=8, accumulator_chunk=None)), ("valid", "first", "last"), "done"),
    (lambda: BipolarPE(BipolarConfig(lanes=64)), ("valid", "first", "last"), "done"),
    (lambda: BipolarPE(BipolarConfig(lanes=100, dot_stages=4, accumulator_chunk=None)), ("valid", "first", "last"), "done"),
    (lambda: BcqPE(BcqConfig(lanes=8)), ("valid", "first", "last"), "done"),
    (lambda: RsrArray(RsrConfig(cols=2, lanes=10, drain=1)), ("valid", "first", "last"), "captured"),
    (lambda: RsrScatterPE(2), ("valid", "last"), "done"),
    (lambda: RsrScatterPE(3), ("valid", "last"), "done"),
], ids=["bitmod", "bitmod_one_chunk", "tender", "tender_one_chunk", "bipolar", "bipolar_one_chunk", "bcq",
        "rsr_array", "rsr_scatter_2", "rsr_scatter_3"])
def test_latency_of_elements(dut, start, done):
    dut = dut()
    assert done_after(dut, start, done) == dut.describe()["latency_last_term_to_done"]


@pytest.mark.parametrize("config", [RsrConfig(cols=2, lanes=10, drain=1),
                                    RsrConfig(form="tree", dot_stages=4, accumulator_chunk=40)])
def test_latency_of_rsr_elements(config):
    """Its capture is given later than the operands, by what the manifest says."""
    dut = element(config)
    figures, behind = dut.describe(), done_after(dut, ("capture",), "captured")
    assert figures["first_and_capture_after"] + behind == figures["latency_last_term_to_done"]


def test_latency_of_the_published_element():
    """From operands to the sum that holds their product."""
    dut, seen = PublishedPE(), []

    async def bench(ctx):
        for cycle in range(4):
            seen.append(ctx.get(dut.value))
            for name, value in (("activation", 3), ("weight", 2), ("clear", 1)):
                ctx.set(getattr(dut, name), value if cycle == 0 else 0)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen.index(6) == dut.describe()["latency"]
