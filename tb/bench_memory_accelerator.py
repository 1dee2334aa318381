# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Accelerators in front of cocotbext-axi's memory: jobs, queues, pauses, causes, soft resets, and every rule of the bus."""


import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiRam

from .register_client import REGISTERS, RegisterClient

MEMORY = 1 << 19
PAGE = 4096
LIMIT = 40_000


class Bench(RegisterClient):
    """An accelerator with a driver and a memory, and a monitor on its bus."""

    def __init__(self, dut):
        super().__init__(dut)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY)
        self.bus_bytes, self.broken, self.beats = self.given["bus_bytes"], [], [0, 0]
        self.failing = set()
        for interface, method in ((self.ram.read_if, "_read"), (self.ram.write_if, "_write")):
            self._fail_pages(interface, method)
        cocotb.start_soon(self._watch())

    def _fail_pages(self, interface, method):
        """Accesses of pages in ``failing`` end as those of an address that is not there: with an error."""
        inner = getattr(interface, method)

        async def access(address, data):
            if address // PAGE in self.failing:
                raise ValueError("a page that fails")
            return await inner(address, data)

        setattr(interface, method, access)

    def data_channels(self):
        read, write = self.ram.read_if, self.ram.write_if
        return [read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel]

    async def _watch(self):
        """Rules of AXI4 that a master can break; each channel in each cycle."""
        dut, before = self.dut, {}
        signals = {"ar": ("id", "addr", "len", "size", "burst"), "aw": ("id", "addr", "len", "size", "burst"),
                   "w": ("data", "strb", "last")}
        while True:
            await RisingEdge(dut.clk)
            if int(dut.rst.value):
                before = {}
                continue
            for channel, parts in signals.items():
                valid, ready = (int(getattr(dut, f"m_axi_{channel}{part}").value) for part in ("valid", "ready"))
                payload = [int(getattr(dut, f"m_axi_{channel}{part}").value) for part in parts] if valid else None
                if before.get(channel) not in (None, payload):
                    self.broken.append(f"{channel} changed while it waited")
                before[channel] = payload if valid and not ready else None
                if valid and ready and channel == "w":
                    self.beats[1] += 1
                if valid and ready and channel != "w":
                    start, end = payload[1], payload[1] + (payload[2] + 1 << payload[3]) - 1
                    if start // PAGE != end // PAGE or payload[4] != 1 or 1 << payload[3] != self.bus_bytes:
                        self.broken.append(f"{channel} {payload}")
                    self.beats[0] += payload[2] + 1 if channel == "ar" else 0

    def place(self, index, at=0):
        """Put a case's arrays to memory, in pages of their own, over the end of the first; returns its settings."""
        case, page, settings = self.given["cases"][index], at // PAGE, {}
        for name in (*self.given["inputs"], "outputs"):
            image = self.given[f"{name}_{index}"].tobytes()
            before = self.rng.randrange(1, 1 + min(len(image), PAGE) // self.bus_bytes)
            address = (page + 1) * PAGE - before * self.bus_bytes
            settings |= {f"{name.upper()}_BASE": address, f"{name.upper()}_BYTES": len(image)}
            self.ram.write(address, bytes(len(image)) if name == "outputs" else image)
            page = (address + len(image) - 1) // PAGE + 1
        return settings | {"M": case["m"], "N": case["n"], "K": case["k"], "FORMAT": case["format"],
                           "BEATS": case["beats"]["weights"], "ACTIVATION_BEATS": case["beats"]["activations"],
                           "SCALE_BEATS": case["beats"].get("scales", 0)}

    async def start(self, settings):
        for register, value in settings.items():
            await self.write(register, value)
        await self.command(START=1)

    async def finish(self, jobs, limit=LIMIT):
        """Until so many jobs are done, or something halts."""
        for _ in range(limit // 16):
            status = await self.read("STATUS")
            if (status & REGISTERS["STATUS"].field("JOBS").mask) >> 3 == jobs or status & 4:
                return
            await ClockCycles(self.dut.clk, 8)
        raise AssertionError(f"a job hangs: STATUS {status:#x}, causes {await self.causes()}")

    def check(self, index, settings):
        """A case's results, to the byte; every rule was kept."""
        expected = self.given[f"outputs_{index}"].tobytes()
        found = self.ram.read(settings["OUTPUTS_BASE"], len(expected))
        assert found == expected, (f"{self.given['cases'][index]['name']}: results must be {expected[:64].hex()}..., not "
                                   f"{found[:64].hex()}...")
        assert self.broken == [], self.broken

    async def recover(self):
        """Soft reset; the bus is idle then, no job is left, no cause."""
        await self.command(SOFT_RESET=1)
        for _ in range(400):
            status = await self.read("STATUS")
            if not status & REGISTERS["STATUS"].field("RESETTING").mask:
                break
        assert status == REGISTERS["STATUS"].field("BUS_IDLE").mask, f"{status:#x}"
        assert await self.causes() == []
        self.failing.clear()

    async def again(self, index):
        """After a soft reset a product is right."""
        await self.recover()
        settings = self.place(index)
        await self.start(settings)
        await self.finish(1)
        assert await self.causes() == self.given["cases"][index]["causes"]
        self.check(index, settings)


@cocotb.test()
async def products(dut):
    """Each product alone and all of them queued, without pauses and with them; registers in use meanwhile."""
    bench = Bench(dut)
    await bench.reset()
    cases, done = bench.given["cases"], 0
    for share in (0, 0.3):
        bench.pause(share)
        for index, case in enumerate(cases):
            bench.beats = [0, 0]
            settings = bench.place(index)
            before = [await bench.read(name) for name in ("READ_BEATS", "WRITE_BEATS")]
            await bench.start(settings)
            assert await bench.read("K") == case["k"]
            done += 1
            await bench.finish(done)
            bench.check(index, settings)
            assert await bench.causes() == case["causes"], case["name"]
            await bench.write("ERRORS", 0xFFFFFFFF)
            counted = [await bench.read(name) for name in ("READ_BEATS", "WRITE_BEATS")]
            moved = [(now - then) * bench.bus_bytes for now, then in zip(counted, before, strict=True)]
            assert moved == case["traffic"] == [count * bench.bus_bytes for count in bench.beats], case["name"]
            assert await bench.read("STATUS") & ~(0xFFFF << 3) == REGISTERS["STATUS"].field("BUS_IDLE").mask
        placed = [bench.place(index, index << 17) for index in range(len(cases))]
        for settings in placed:
            while await bench.read("STATUS", "FULL"):
                await ClockCycles(dut.clk, 8)
            await bench.start(settings)
        done += len(cases)
        await bench.finish(done)
        for index, settings in enumerate(placed):
            bench.check(index, settings)
    assert await bench.read("BUS_ERRORS") == 0
    assert await bench.read("INTERRUPT", "DONE") and not int(dut.irq.value)
    await bench.write("INTERRUPT_ENABLE", 1)
    assert int(dut.irq.value)


@cocotb.test()
async def causes(dut):
    """Each cause is set by its fault alone, ends with an idle bus, and a soft reset makes the accelerator whole."""
    bench = Bench(dut)
    await bench.reset()
    index = bench.given["largest"]
    inputs, step = bench.given["inputs"], bench.bus_bytes
    good = bench.place(index)

    async def refuse(expected, **wrong):
        await bench.start({**good, **wrong})
        assert await bench.causes() == expected and not await bench.read("STATUS", "BUSY"), (wrong, await bench.causes())
        await bench.write("ERRORS", 0xFFFFFFFF)

    for register in ("M", "N", "K", "BEATS", "ACTIVATION_BEATS", *(f"{name.upper()}_BYTES" for name in (*inputs, "outputs"))):
        await refuse(["SIZE"], **{register: 0})
    for name in (*inputs, "outputs"):
        await refuse(["ALIGNMENT"], **{f"{name.upper()}_BASE": good[f"{name.upper()}_BASE"] + 1})
        await refuse(["ALIGNMENT"], **{f"{name.upper()}_BYTES": good[f"{name.upper()}_BYTES"] + step // 2})
    await refuse(["BUFFER"], ACTIVATION_BEATS=await bench.read("BUFFER") + 1)
    await refuse(["SETTINGS"], K=await bench.read("LARGEST_K") + 1)
    await refuse(["SETTINGS"], FORMAT=0xFF)

    async def provoke(*expected, fail=(), **wrong):
        await bench.recover()
        bench.failing.update(fail)
        await bench.start({**good, **wrong})
        await bench.finish(1, 4000)
        found = await bench.causes()
        found = [cause for cause in found if cause != "DATA"]  # what is cut short may look like anything
        assert found and set(found) <= set(expected), f"{wrong}: {found}, not of {expected}"
        assert await bench.read("STATUS", "HALTED") and not await bench.read("STATUS", "BUSY")
        await ClockCycles(dut.clk, 60)
        assert await bench.read("STATUS", "BUS_IDLE")
        await bench.again(index)

    for name in (*inputs, "outputs"):
        count = good[f"{name.upper()}_BYTES"]
        await provoke("LENGTH", **{f"{name.upper()}_BYTES": count + step})
        if count > step:
            await provoke("LENGTH", **{f"{name.upper()}_BYTES": count - step})
    await provoke("K_MISMATCH", "LENGTH", "SCALES_ORDER", BEATS=good["BEATS"] - 1)
    await provoke("K_MISMATCH", "LENGTH", ACTIVATION_BEATS=good["ACTIVATION_BEATS"] - 1)
    if "scales" in inputs and good["SCALE_BEATS"] > 1:
        await provoke("SCALES_ORDER", "LENGTH", SCALE_BEATS=good["SCALE_BEATS"] - 1)
    for name in (*inputs, "outputs"):
        page = good[f"{name.upper()}_BASE"] // PAGE
        await provoke("READ" if name != "outputs" else "WRITE", fail=[page])
    await bench.recover()
    bench.ram.read_if.r_channel.pause = True
    await bench.start(good)
    for _ in range(await bench.read("CAPABILITIES", "QUEUE") + 4):
        await bench.command(START=1)
        await ClockCycles(dut.clk, 20)
    assert await bench.causes() == ["QUEUE"] and await bench.read("STATUS", "FULL")
    await bench.command(SOFT_RESET=1)
    await ClockCycles(dut.clk, 100)
    assert await bench.read("STATUS", "RESETTING") and not await bench.read("STATUS", "BUS_IDLE")
    await bench.command(START=1)
    assert await bench.causes() == ["QUEUE"]
    await bench.write("ERRORS", 0xFFFFFFFF)
    bench.ram.read_if.r_channel.pause = False
    await bench.again(index)


@cocotb.test()
async def windows(dut):
    """No access leaves the window, which is locked until the hardware's reset."""
    bench = Bench(dut)
    await bench.reset()
    index = bench.given["largest"]
    good = bench.place(index, 2 * PAGE)
    for base, limit in ((3, 0x3F), (0, 1)):
        await bench.write("WINDOW_BASE", base * PAGE)
        await bench.write("WINDOW_LIMIT", limit * PAGE)
        await bench.start(good)
        await bench.finish(1)
        assert await bench.causes() == ["WINDOW"] and await bench.read("STATUS", "HALTED")
        await bench.recover()
    await bench.write("WINDOW_BASE", 2 * PAGE)
    await bench.write("WINDOW_LIMIT", 0x3F * PAGE | 1)
    await bench.write("WINDOW_BASE", 0)
    await bench.write("WINDOW_LIMIT", 0)
    assert await bench.read("WINDOW_BASE", "PAGE") == 2 and await bench.read("WINDOW_LIMIT") == 0x3F * PAGE | 1
    await bench.recover()
    await bench.start(good)
    await bench.finish(1)
    bench.check(index, good)
    await bench.reset()
    assert await bench.read("WINDOW_LIMIT") == 0xFFFFF000


@cocotb.test()
async def soft_resets(dut):
    """At random cycles of a run, pauses everywhere; the next product is right."""
    bench = Bench(dut)
    await bench.reset()
    bench.pause(0.3)
    for _ in range(bench.given["resets"]):
        index = bench.rng.randrange(len(bench.given["cases"]))
        settings = bench.place(index)
        for _ in range(2):
            await bench.start(settings)
        await ClockCycles(dut.clk, bench.rng.randrange(1, 300))
        await bench.again(index)
