# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Soft resets of an accelerator in each cycle of its jobs, its registers watched; tiles longer than its sums hold."""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from . import bench_accelerator, bench_memory_accelerator


class Seen:
    """Names whose bit was high in a cycle in which a reset was asked for, or took place."""

    def __init__(self, dut, names):
        self.dut, self.names, self.asked = dut, names, 0
        cocotb.start_soon(self._watch())

    async def _watch(self):
        while True:
            await RisingEdge(self.dut.clk)
            if not int(self.dut.rst.value) and int(self.dut.asked.value):
                self.asked |= int(self.dut.away.value)

    def check(self, never):
        """All but these were seen."""
        missing = {name for index, name in enumerate(self.names) if not self.asked >> index & 1}
        assert missing == set(never), f"no reset was asked for with {sorted(missing)}; expected are {sorted(never)}"


@cocotb.test()
async def memory(dut):
    """Resets while two jobs are queued or run, without pauses and with them, and after a cause; the next product is right."""
    bench = bench_memory_accelerator.Bench(dut)
    given, index = bench.given, 0
    seen = Seen(dut, given["names"]) if given["names"] else None
    await bench.reset()
    settings = bench.place(index)
    await bench.start(settings)
    await bench.finish(1)

    async def again():
        bench.pause(0)
        await bench.recover()
        bench.ram.write(settings["OUTPUTS_BASE"], bytes(settings["OUTPUTS_BYTES"]))
        await bench.command(START=1)
        await bench.finish(1)
        bench.check(index, settings)

    await bench.command(START=1, SOFT_RESET=1)  # it comes while tiles are counted
    await again()
    for share, delays in given["rounds"]:
        for delay in range(*delays):
            bench.pause(share)
            for _ in range(2):
                await bench.command(START=1)
            await ClockCycles(dut.clk, delay)
            await again()
    await bench.recover()
    await bench.write("OUTPUTS_BYTES", settings["OUTPUTS_BYTES"] + bench.bus_bytes)
    await bench.command(START=1)
    await bench.finish(1)
    assert await bench.causes() == ["LENGTH"] and await bench.read("STATUS", "HALTED")
    await bench.write("OUTPUTS_BYTES", settings["OUTPUTS_BYTES"])
    await again()
    if seen:
        seen.check(given["never"])


@cocotb.test()
async def stream(dut):
    """The same of the stream form; and a reset, then one more, while nobody takes results."""
    bench = bench_accelerator.Bench(dut)
    given, index = bench.given, 0
    seen = Seen(dut, given["names"]) if given["names"] else None
    await bench.reset()

    async def begin(beats=0):
        for _ in range(3):
            await bench.start(given["cases"][index], beats)
        for _ in range(2):
            await bench.send(bench.packets(index))

    async def again():
        bench.pause(0)
        await bench.recover()
        await bench.start(given["cases"][index])
        await bench.send(bench.packets(index))
        await bench.expect(index)

    for share, delays in given["rounds"]:
        for delay in range(*delays):
            bench.pause(share)
            await begin()
            await ClockCycles(dut.clk, delay)
            await again()
    bench.sink.pause = True
    await begin()
    await ClockCycles(dut.clk, 200)
    await bench.command(SOFT_RESET=1, DISCARD=1)
    await bench.command(SOFT_RESET=1, DISCARD=1)
    await again()
    await begin(given["cases"][index]["beats"] + 1)
    await ClockCycles(dut.clk, 200)
    assert await bench.causes() == ["LENGTH"] and await bench.read("STATUS", "HALTED")
    await again()
    if seen:
        seen.check(given["never"])


@cocotb.test()
async def memory_beyond_k(dut):
    """Words of a tile are more than the engine takes, though K is not: so it is with Tender's groups. More of K is refused."""
    bench = bench_memory_accelerator.Bench(dut)
    await bench.reset()
    settings = bench.place(1)
    await bench.start(settings | {"K": await bench.read("LARGEST_K")})
    await bench.finish(1)
    assert "K_TOO_LONG" in await bench.causes() and await bench.read("STATUS", "HALTED")
    await ClockCycles(dut.clk, 60)
    assert await bench.read("STATUS", "BUS_IDLE")
    await bench.again(0)
    await bench.start(settings)
    assert await bench.causes() == ["SETTINGS"]


@cocotb.test()
async def stream_beyond_k(dut):
    """Tiles have more words than the engine takes."""
    bench = bench_accelerator.Bench(dut)
    await bench.reset()
    await bench.start(bench.given["cases"][1])
    await bench.send(bench.packets(1))
    for _ in range(100):
        if await bench.causes():
            break
    assert "K_TOO_LONG" in await bench.causes() and await bench.read("STATUS", "HALTED")
    await bench.recover()
    await bench.start(bench.given["cases"][0])
    await bench.send(bench.packets(0))
    await bench.expect(0)
