# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""cocotb side of test_serial_host.py: a host at the other end of the line, which knows bits and the protocol alone."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from ..host.serial import SerialPorts, SerialSession
from ..sim.cocotb_run import bench_parameters
from .harness import Scoreboard
from .serial_tops import SerialFault

_PERIOD_PS = 10_000
_PATIENCE = 400  # bits without a byte from the device: more than any answer takes


class Line:
    """The host's UART: drives ``rx`` and reads ``tx`` bit by bit.

    Parameters
    ----------
    dut : cocotb.handle.HierarchyObject
    bit_ps : int
        Length of a bit on the host's clock, which is not quite the device's.
    """

    def __init__(self, dut, bit_ps):
        self.dut, self.bit_ps, self.received = dut, bit_ps, bytearray()
        dut.rx.value = 1

    async def _bit(self, bits=1.0):
        await Timer(round(self.bit_ps * bits), "ps")

    async def send(self, data):
        """Send bytes one after the other."""
        for byte in data:
            for level in (0, *(byte >> i & 1 for i in range(8)), 1):
                self.dut.rx.value = level
                await self._bit()

    async def send_break(self):
        """Hold the line low for longer than a byte."""
        self.dut.rx.value = 0
        await self._bit(15)
        self.dut.rx.value = 1
        await self._bit(3)

    async def receive(self):
        """Collect bytes for ever."""
        while True:
            await FallingEdge(self.dut.tx)
            await self._bit(0.5)
            if int(self.dut.tx.value):
                continue  # a start bit that a reset cut short
            byte = 0
            for i in range(8):
                await self._bit()
                byte |= int(self.dut.tx.value) << i
            await self._bit()
            assert int(self.dut.tx.value), "a byte without a stop bit"
            self.received.append(byte)

    def take(self):
        """What has come since the last call."""
        data, self.received = bytes(self.received), bytearray()
        return data


class Link:
    """A session on a line: begins with a break."""

    def __init__(self, dut, given, fault):
        self.dut, self.given = dut, given
        dut.fault.value = int(fault)
        self.line = Line(dut, round(given["divisor"] * _PERIOD_PS * given["skew"]))
        self.ports = SerialPorts(**given["ports"])

    async def open(self):
        """Reset by a break; the device says who it is."""
        self.session = SerialSession(self.ports)
        self.line.take()
        await self.line.send_break()
        await self.pump(lambda: self.session.identified)

    async def start(self):
        """Power up, then open."""
        Clock(self.dut.clk, _PERIOD_PS, unit="ps").start(start_high=False)
        cocotb.start_soon(self.line.receive())
        await self.open()

    async def pump(self, done):
        """Send and receive until the session is as wanted."""
        quiet = 0
        while not done():
            await self.line.send(self.session.to_send())
            if data := self.line.take():
                self.session.feed(data)
                quiet = 0
            else:
                quiet += 1
                assert quiet < _PATIENCE, f"the device is silent; {self._state()}"
                await self.line._bit()

    def _state(self):
        got = {name: len(words) for name, words in self.session.outputs.items()}
        return f"identified {self.session.identified}, words received {got}, seed {self.given['seed']}"

    async def status(self):
        """The device's flags, as names of those that are set."""
        self.session.status = None
        self.session.ask_status()
        await self.pump(lambda: self.session.status is not None)
        return sorted(name for name, value in self.session.status.items() if value)

    async def product(self, index):
        """Send a product's words and compare what comes back."""
        streams = {name: self.given[f"{name}_{index}"] for name in self.ports.inputs}
        expected = self.given[f"outputs_{index}"]
        board = Scoreboard("outputs", expected, seed=self.given["seed"])
        self.session.outputs["outputs"].clear()
        self.session.queue(streams)
        await self.pump(lambda: self.session.done and len(self.session.outputs["outputs"]) >= len(expected))
        for beat, word in enumerate(self.session.outputs["outputs"]):
            board.check(beat, word, 0)


async def run_all(dut, fault):
    """Everything that the port does."""
    given = bench_parameters()
    link = Link(dut, given, fault)
    await link.start()
    assert await link.status() == []
    await link.product(0)
    # A setting, and the product that shows it.
    for word in given["writes"]:
        link.session.set("special_values", word)
    await link.product(1)
    assert await link.status() == [], "flags after a good run"
    # The engine's flags: an infinity; then they are cleared.
    await link.product(2)
    assert await link.status() == ["nonfinite"]
    link.session.clear_errors()
    assert await link.status() == []
    # The host's flags: a code without a meaning, and more words than there is room for.
    await link.line.send(b"\xff")
    assert await link.status() == ["unknown_command"]
    surplus = link.ports.credits("weights") + 2
    await link.line.send(link.ports.word("weights", 0) * surplus)
    assert await link.status() == ["overrun", "unknown_command"]
    # A break in the middle of a command resets all of it.
    await link.line.send(link.ports.word("activations", 1)[:3])
    await link.open()
    assert await link.status() == []
    await link.product(0)


@cocotb.test()
async def no_fault(dut):
    """The good device, in the same build as its faults."""
    await run_all(dut, SerialFault.NONE)


@cocotb.test(expect_fail=True)
@cocotb.parametrize(fault=[fault.name for fault in SerialFault if fault is not SerialFault.NONE])
async def detected(dut, fault):
    """Something of the above fails; cocotb counts a pass as a failure here."""
    await run_all(dut, SerialFault[fault])
