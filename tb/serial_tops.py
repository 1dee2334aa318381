# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Test-only top of the serial host: the device with its kept faults, one of them chosen by a port."""

import enum

from amaranth.hdl import Signal
from amaranth.lib.wiring import In

from ..top.serial_host import SerialHost, SerialTop

__all__ = ["FaultySerialTop", "SerialFault"]


class SerialFault(enum.IntEnum):
    """Faults of the serial host."""

    NONE = 0
    REPORT_LOST = 1
    OUTPUT_NOT_AWAITED = 2
    SETTING_IGNORED = 3
    OVERRUN_UNSEEN = 4
    ERRORS_UNSEEN = 5
    BREAK_IGNORED = 6


class _FaultyHost(SerialHost):
    """A host of a BitMoD engine; ``fault`` is wired from above."""

    def __init__(self, engine, divisor, buffer_bytes=None):
        super().__init__(engine, divisor, buffer_bytes)
        self.fault = Signal(SerialFault)

    def _parse(self, m, *arguments):
        found = super()._parse(m, *arguments)
        with m.If(self.fault == SerialFault.OVERRUN_UNSEEN):
            m.d.comb += found[0].eq(0)
        return found

    def _report_status(self, m, reporter, *arguments):
        super()._report_status(m, reporter, *arguments)
        with m.Switch(self.fault):
            with m.Case(SerialFault.ERRORS_UNSEEN):
                m.d.comb += reporter.status.payload[8:].eq(0)
            with m.Case(SerialFault.REPORT_LOST):
                m.d.comb += reporter.scales_taken.valid.eq(0)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.Switch(self.fault):
            with m.Case(SerialFault.OUTPUT_NOT_AWAITED):
                m.d.comb += self.engine.outputs.ready.eq(1)
            with m.Case(SerialFault.SETTING_IGNORED):
                m.d.comb += self.engine.special_values.eq(0)
            with m.Case(SerialFault.BREAK_IGNORED):
                m.d.comb += self.broken.eq(0)
        return m


class FaultySerialTop(SerialTop):
    """The five pins, and the port ``fault``."""

    HOST = _FaultyHost
    MEMBERS = {**SerialTop.MEMBERS, "fault": In(SerialFault)}

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.host.fault.eq(self.fault)
        return m
