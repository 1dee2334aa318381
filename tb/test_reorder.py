# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The index buffer gives an engine the words that the packer would, from operands in their own order."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from subbyte.cli.lint import check_verilog, tools
from subbyte.golden import tender
from subbyte.golden.streams import unpack_beats
from subbyte.golden.tender import TenderConfig
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.top.emit import to_verilog
from subbyte.top.tender_reorder import Reorder

CONFIG = TenderConfig(rows=2, cols=3, lanes=1, drain=1, bits_w=4, bits_a=4, max_beats=64)


def operands(rng, unsigned):
    """Two chunks of four rows in two tiles each, of groups some of which are empty."""
    x = rng.normal(0, 1, (8, 20)) * np.exp(4 * rng.normal(0, 1, 20))
    decomposed = tender.decompose(np.abs(x) if unsigned else x, 4, 9, 4, unsigned)
    return decomposed, tender.quantize(rng.normal(0, 1, (3, 20)), 4)


def entries_of(decomposed, chunk):
    """The chunk's order as entries."""
    beats, k = tender.beats_of(decomposed, chunk, 1), decomposed.xq.shape[2]
    last = np.arange(len(beats.shifts)) == len(beats.shifts) - 1
    return [{"channel": channel % k, "empty": channel == k, "shift": shift, "last": end}
            for channel, shift, end in zip(beats.flat.tolist(), beats.shifts.tolist(), last.tolist(), strict=True)]


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_words_are_those_of_the_packer(unsigned, pause):
    rng = np.random.default_rng(resolve_seed())
    decomposed, qweight = operands(rng, unsigned)
    words = tender.pack(decomposed, qweight, CONFIG)
    expected = list(zip(*(values.tolist() for name in ("activations", "weights")
                          for values in unpack_beats(CONFIG.streams[name], words[name]).values()), strict=True))
    # In memory: tile by tile of rows, a channel a word; the weights once.
    bank_a = decomposed.xq.reshape(4, 2, 20).transpose(0, 2, 1).reshape(80, 2) & 15
    bank_w = qweight.codes.T.astype(int) & 15
    tiles = [{"base_a": 20 * tile, "base_w": 0, "unsigned": int(unsigned), "last": tile % 2} for tile in range(4)]
    entries = [entry for chunk in range(2) for entry in entries_of(decomposed, chunk)]
    dut, got = Reorder(CONFIG, 8), []

    def feed(port, payloads):
        async def send(ctx):
            for payload in payloads:
                while rng.random() < pause:
                    ctx.set(port.valid, 0)
                    await ctx.tick()
                ctx.set(port.payload, payload)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

        return send

    async def banks(ctx):
        async for _, reset, read, a, w in ctx.tick().sample(dut.read, dut.address_a, dut.address_w):
            if read and not reset:
                ctx.set(dut.data_a, bank_a[a].tolist())
                ctx.set(dut.data_w, bank_w[w].tolist())

    async def engine(ctx):
        for _ in range(2000):
            ready = rng.random() >= pause
            ctx.set(dut.activations.ready, int(ready))
            ctx.set(dut.weights.ready, int(ready))
            _, _, valid, activations, weights = await ctx.tick().sample(
                dut.activations.valid, dut.activations.payload, dut.weights.payload)
            if valid and ready:
                got.append(([[int(row[0])] for row in activations.data], activations.shift, activations.unsigned,
                            activations.last, [[int(column[0])] for column in weights.codes], weights.last))
            if len(got) == len(expected):
                break

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed(dut.entries, entries))
    simulator.add_testbench(feed(dut.tiles, tiles))
    simulator.add_testbench(banks, background=True)
    simulator.add_testbench(engine)
    simulator.run_until(3e-3)
    assert got == expected


@pytest.mark.parametrize("max_beats", [1, 5])
def test_verilog_is_clean(tmp_path, max_beats):
    path = tmp_path / "reorder.v"
    path.write_text(to_verilog(Reorder(replace(CONFIG, max_beats=max_beats)), "reorder"))
    assert check_verilog(path, "reorder", tools()) == []


@pytest.mark.parametrize("config, width, message", [
    (TenderConfig(), 16, "config must have lanes 1, since a buffer gives an index a cycle, not 16"),
    (CONFIG, 0, "address_width must be at least 1, not 0"),
])
def test_parameters(config, width, message):
    with pytest.raises(ValueError, match=message):
        Reorder(config, width)
