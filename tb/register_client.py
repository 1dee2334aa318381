# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An accelerator's registers by name, through the AXI4-Lite client of cocotbext-axi."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from ..sim.cocotb_run import bench_parameters
from ..top.registers import register_map

__all__ = ["REGISTERS", "RegisterClient"]

REGISTERS = register_map()


class RegisterClient:
    """An accelerator with its clock, its parameters, and a master on its registers."""

    def __init__(self, dut):
        self.dut, self.given = dut, bench_parameters()
        self.rng = random.Random(self.given["seed"])
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.axi = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    def pause(self, share):
        """Every bus pauses in this share of its cycles, independently; 0: none does."""
        axi = self.axi
        channels = [axi.write_if.aw_channel, axi.write_if.w_channel, axi.write_if.b_channel,
                    axi.read_if.ar_channel, axi.read_if.r_channel]
        for bus in (*channels, *self.data_channels()):
            bus.clear_pause_generator()
            if share:
                bus.set_pause_generator(self._pauses(random.Random(self.rng.getrandbits(32)), share))
            else:
                bus.pause = False

    def data_channels(self):
        """What pauses beside the registers' bus."""
        return []

    def _pauses(self, rng, share):
        while True:
            yield rng.random() < share

    async def read(self, register, field=None):
        word = await self.axi.read_dword(REGISTERS[register].address)
        if field is None:
            return word
        found = REGISTERS[register].field(field)
        return (word & found.mask) >> found.low

    async def write(self, register, value):
        await self.axi.write_dword(REGISTERS[register].address, value)

    async def command(self, **fields):
        """Write CONTROL with these fields set."""
        await self.write("CONTROL", sum(REGISTERS["CONTROL"].field(name).mask for name in fields))

    async def causes(self):
        word = await self.read("ERRORS")
        return [field.name for field in REGISTERS["ERRORS"].fields if word & field.mask]
