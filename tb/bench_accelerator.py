# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Accelerators behind buses that cocotbext-axi drives: jobs, registers meanwhile, causes, soft resets."""

import cocotb
from cocotb.triggers import ClockCycles, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from cocotbext.axi.constants import AxiResp

from ..top.registers import MagicId
from .register_client import REGISTERS, RegisterClient

LIMIT_NS = 2_000_000


class Bench(RegisterClient):
    """An accelerator with its clients."""

    def __init__(self, dut):
        super().__init__(dut)
        self.sources = {name: AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{name}"), dut.clk, dut.rst)
                        for name in self.given["inputs"]}
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_outputs"), dut.clk, dut.rst)

    def data_channels(self):
        return [*self.sources.values(), self.sink]

    async def start(self, case, beats=0):
        await self.write("M", case["m"])
        await self.write("N", case["n"])
        await self.write("BEATS", beats)
        await self.command(START=1)

    def packets(self, index):
        """Of each input stream of a case, its packets."""
        return {name: _cut(self.given[f"{name}_{index}"].tobytes(), self.given["cases"][index]["cuts"][name])
                for name in self.given["inputs"]}

    async def send(self, packets):
        for name, frames in packets.items():
            for frame in frames:
                await self.sources[name].send(AxiStreamFrame(frame))

    async def expect(self, index):
        """Each packet of results, to the byte."""
        case = self.given["cases"][index]
        for number, expected in enumerate(_cut(self.given[f"outputs_{index}"].tobytes(), case["cuts"]["outputs"])):
            frame = await with_timeout(self.sink.recv(), LIMIT_NS, "ns")
            assert bytes(frame.tdata) == expected, (
                f"{case['name']}: tile {number} must be {expected.hex()}, not {bytes(frame.tdata).hex()}")

    async def recover(self):
        """Soft reset; what the clients still offer is dropped, what they have received forgotten."""
        await self.command(SOFT_RESET=1, DISCARD=1)
        for source in self.sources.values():
            source.clear()
        await ClockCycles(self.dut.clk, 40)
        while not all(source.idle() for source in self.sources.values()):  # the packet that was begun goes on
            await ClockCycles(self.dut.clk, 16)
        await ClockCycles(self.dut.clk, 8)
        await self.command()
        await ClockCycles(self.dut.clk, 64)
        self.sink.clear()
        assert await self.read("STATUS") == 0 and await self.causes() == []


def _cut(octets, sizes):
    parts, start = [], 0
    for size in sizes:
        parts.append(octets[start:start + size])
        start += size
    assert start == len(octets)
    return parts


@cocotb.test()
async def identity(dut):
    """What is read only, what holds what is written, byte by byte, and what there is not."""
    bench = Bench(dut)
    await bench.reset()
    assert await bench.read("ID") == MagicId
    for name, value in bench.given["identity"].items():
        register, _, field = name.partition(".")
        assert await bench.read(register, field) == value, name
    for register in REGISTERS.values():
        kinds = {field.kind for field in register.fields}
        before = await bench.read(register.name)
        if "pulse" in kinds:
            continue
        await bench.write(register.name, 0xFFFFFFFF)  # WINDOW_BASE before what locks it
        held = sum(field.mask for field in register.fields if field.kind == "setting")
        assert await bench.read(register.name) == (held or before), register.name
    await bench.axi.write(REGISTERS["BEATS"].address + 1, b"\x12\x34")
    assert await bench.read("BEATS") == 0xFF3412FF
    for address in (0x38, 0x5C, 0xFC):
        assert (await bench.axi.read(address, 4)).resp == AxiResp.SLVERR
        assert (await bench.axi.write(address, b"abcd")).resp == AxiResp.SLVERR


@cocotb.test()
async def products(dut):
    """Each product without pauses and with them on every bus; then all of them queued; registers in use meanwhile."""
    bench = Bench(dut)
    await bench.reset()
    cases, done = bench.given["cases"], 0
    for share in (0, 0.4):
        bench.pause(share)
        for index, case in enumerate(cases):
            await bench.start(case)
            sending = cocotb.start_soon(bench.send(bench.packets(index)))
            assert await bench.read("ID") == MagicId
            await bench.write("N", 0xABCDE)  # the next job's: this one's stays
            await bench.expect(index)
            await sending
            done += 1
            assert await bench.read("STATUS", "JOBS") == done and not await bench.read("STATUS", "BUSY")
            assert await bench.causes() == case["causes"], case["name"]
            await bench.write("ERRORS", 0xFFFFFFFF)
        for index in range(len(cases)):
            await bench.send(bench.packets(index))
        depth = await bench.read("CAPABILITIES", "QUEUE")
        for index, case in enumerate(cases):
            await bench.start(case)
            if index >= depth - 1:
                await bench.expect(index - depth + 1)
        for index in range(max(len(cases) - depth + 1, 0), len(cases)):
            await bench.expect(index)
        done += len(cases)
        assert await bench.read("STATUS", "JOBS") == done
    assert await bench.read("INTERRUPT", "DONE") and not int(dut.irq.value)
    await bench.write("INTERRUPT_ENABLE", 1)
    assert int(dut.irq.value)
    await bench.write("INTERRUPT", 1)
    assert not int(dut.irq.value)
    words = sum(case["words"] for case in cases)
    assert await bench.read("WEIGHT_WORDS") == 4 * words
    assert await bench.read("CYCLES") >= 4 * words
    await ClockCycles(dut.clk, 100)
    assert bench.sink.empty()


async def _again(bench, index=0):
    """After a soft reset a product is right."""
    await bench.recover()
    await bench.start(bench.given["cases"][index])
    await bench.send(bench.packets(index))
    await bench.expect(index)


async def _provoke_formats(bench, good, provoke):
    """A format that the engine does not take, in all words of the first tile; another one from its second word on."""
    place, slot, first = bench.given["format"], bench.given["slots"]["weights"], good["weights"][0]

    def with_format(word, code):
        mask = (1 << place["width"]) - 1 << place["low"]
        return (int.from_bytes(word, "little") & ~mask | code << place["low"]).to_bytes(slot, "little")

    words = [first[start:start + slot] for start in range(0, len(first), slot)]
    if place["unknown"] is not None:
        none = b"".join(with_format(word, place["unknown"]) for word in words)
        await provoke({**good, "weights": [none, *good["weights"][1:]]}, ["FORMAT_UNSUPPORTED"], among=True)
    held = int.from_bytes(words[0], "little") >> place["low"] & (1 << place["width"]) - 1
    other = next(code for code in place["taken"] if code != held)
    changed = b"".join([words[0], *(with_format(word, other) for word in words[1:])])
    await provoke({**good, "weights": [changed, *good["weights"][1:]]}, ["FORMAT_CHANGED"], among=True)


@cocotb.test()
async def causes(dut):
    """Each cause is set by its fault alone, and a soft reset makes the accelerator whole."""
    bench = Bench(dut)
    await bench.reset()
    index = bench.given["several_words"]
    case = bench.given["cases"][index]
    good = bench.packets(index)

    for m, n in ((0, 1), (1, 0)):
        await bench.start({"m": m, "n": n})
        assert await bench.causes() == ["SIZE"] and not await bench.read("STATUS", "BUSY")
        await bench.write("ERRORS", 1)
        assert await bench.causes() == []

    for _ in range(await bench.read("CAPABILITIES", "QUEUE") + 3):  # one more runs, one waits at the queue's end
        await bench.start(case)
    assert await bench.causes() == ["QUEUE"] and await bench.read("STATUS", "FULL")
    await _again(bench)

    async def provoke(packets, expected, beats=0, may=None, among=False):
        await bench.recover()
        await bench.start(case, beats)
        await bench.send(packets)
        for _ in range(400):
            if await bench.causes():
                break
        await ClockCycles(dut.clk, 50)
        causes = [cause for cause in await bench.causes() if cause != may or cause in expected]
        assert causes == expected or among and set(expected) <= set(causes), f"{causes}, not {expected}"
        assert await bench.read("STATUS", "HALTED") and not await bench.read("STATUS", "BUSY")
        assert await bench.read("INTERRUPT", "ERROR")
        await _again(bench, index)

    first = good["weights"][0]
    slot = bench.given["slots"]["weights"]
    rest = good["weights"][1:]
    await provoke({**good, "weights": [first[:-slot], *rest]}, ["K_MISMATCH"])
    await provoke({**good, "weights": [first + first[-slot:], *rest]}, ["K_MISMATCH"])
    size = bench.given["sizes"]["weights"]
    if size > 1:  # else a word lacks nothing or is not there
        await provoke({**good, "weights": [first[:len(first) - slot + size - 1], *rest]}, ["KEEP"],
                      may="FORMAT_CHANGED")  # where the byte that is not there holds the format
    await provoke(good, ["LENGTH"], case["beats"] - 1)
    await provoke(good, ["LENGTH"], case["beats"] + 1)
    if bench.given["format"]:
        await _provoke_formats(bench, good, provoke)
    if "scales" in good:
        scales, size = good["scales"][0], bench.given["slots"]["scales"]
        await provoke({**good, "scales": [scales + scales[-size:], *good["scales"][1:]]}, ["SCALES_ORDER"])


@cocotb.test()
async def soft_resets(dut):
    """At random cycles of a run, pauses everywhere; the next product is right."""
    bench = Bench(dut)
    await bench.reset()
    bench.pause(0.3)
    for _ in range(5):
        index = bench.rng.randrange(len(bench.given["cases"]))
        for _ in range(2):
            await bench.start(bench.given["cases"][index])
        await bench.send(bench.packets(index))
        await ClockCycles(dut.clk, bench.rng.randrange(1, 200))
        await _again(bench, index)
