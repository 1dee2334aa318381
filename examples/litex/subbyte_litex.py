# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A subbyte accelerator (memory form) for LiteX: copy this file into your own SoC's sources.

.. code:: python

    self.layer = SubbyteAccelerator(platform, "build/verilog/rsr_accelerator.v")
    self.layer.add_to(self, "layer", registers=0x9000_0000)                   # its memory is whatever the SoC's bus reaches
    self.layer.add_to(self, "layer", registers=0x9000_0000, memory=axi_port)  # or a wide port, such as LiteDRAM's
"""

import json
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, wishbone
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import READ_FIRST, Case, Cat, ClockSignal, If, Instance, Memory, ResetSignal, Signal

__all__ = ["AcceleratorMemory", "SubbyteAccelerator"]

PAGE = 4096


class SubbyteAccelerator(LiteXModule):
    """The Verilog of ``make verilog``, with its buses as LiteX has them.

    Parameters
    ----------
    platform : LiteX platform
    verilog : path
        Of ``<scheme>_accelerator.v``; its manifest, ``.json``, must be beside it.

    Attributes
    ----------
    registers : AXILiteInterface
    memory : AXIInterface
        Its master: 32 address bits, as wide as the accelerator was made.
    ev : EventManager
        The interrupt, high while one is raised.
    """

    def __init__(self, platform, verilog):
        verilog = Path(verilog)
        manifest = json.loads(verilog.with_suffix(".json").read_text())
        width = {port["name"]: port["width"] for port in manifest["ports"]}
        self.registers = axi.AXILiteInterface(data_width=32, address_width=32)
        self.memory = axi.AXIInterface(data_width=width["m_axi_rdata"], address_width=32, id_width=width["m_axi_arid"])
        interrupt = Signal()
        self.ev = EventManager()
        self.ev.raised = EventSourceLevel(description="The accelerator's interrupt; take it back in its register INTERRUPT.")
        self.ev.finalize()
        self.comb += self.ev.raised.trigger.eq(interrupt)
        ports = {"i_clk": ClockSignal("sys"), "i_rst": ResetSignal("sys"), "o_irq": interrupt}
        for prefix, bus, is_master in (("s_axi", self.registers, False), ("m_axi", self.memory, True)):
            for channel in ("aw", "w", "b", "ar", "r"):
                for name, signal in self._signals(getattr(bus, channel)):
                    port = f"{prefix}_{channel}{name}"
                    if port in width:
                        answers = channel in ("b", "r")
                        to_core = (is_master == answers) != (name == "ready")
                        ports[f"{'i' if to_core else 'o'}_{port}"] = signal[:width[port]]
        self.specials += Instance(manifest["name"], **ports)
        platform.add_source(str(verilog.resolve()))

    @staticmethod
    def _signals(channel):
        """Name, as AXI has it, and signal of a channel's wires."""
        names = [name for name, _ in channel.description.payload_layout + channel.description.param_layout]
        names += ["valid", "ready", *(["last"] if hasattr(channel, "last") else [])]
        return [(name, getattr(channel, name)) for name in names]

    def add_to(self, soc, name, registers, memory=None):
        """Give it a place in a SoC: ``registers`` is its address, below a CPU's uncached addresses.

        ``memory`` is an ``AXIInterface`` of its width that takes its reads and writes; without one the SoC's bus does.
        """
        region = SoCRegion(origin=registers, size=PAGE, cached=False)
        soc.bus.add_slave(f"{name}_registers", self.registers, region)
        if memory is None:
            soc.bus.add_master(name, self.memory)
        else:
            soc.comb += self.memory.connect(memory)
        soc.irq.add(name, use_loc_if_exists=True)


class AcceleratorMemory(LiteXModule):
    """Memory on the chip as wide as the accelerator's bus: a beat a cycle for it, words of 32 bits for the SoC's bus.

    It has two banks, its halves. In a cycle a beat is read and another is written if they lie in different ones: operands
    belong into one, results into the other.

    Parameters
    ----------
    axi_bus : AXIInterface
        Of the accelerator; bursts are INCR and of whole beats.
    size : int
        Bytes, a power of two.
    init : list of int
        Beats that it begins with.

    Attributes
    ----------
    bus : wishbone.Interface
        For the SoC; its region's origin is a multiple of ``size``.
    """

    def __init__(self, axi_bus, size, init=()):
        octets = axi_bus.data_width // 8
        beats = size // octets // 2
        self.bus = wishbone.Interface(data_width=32, address_width=32, addressing="word")
        self._bank = (beats - 1).bit_length()  # the bit of a beat's address that says which
        wide, narrow = [], []
        for first in (0, beats):
            memory = Memory(axi_bus.data_width, beats, init=list(init[first:first + beats]))
            wide.append(memory.get_port(write_capable=True, we_granularity=8, has_re=True, mode=READ_FIRST))
            narrow.append(memory.get_port(write_capable=True, we_granularity=8, mode=READ_FIRST))
            self.specials += memory, wide[-1], narrow[-1]
        self._serve_accelerator(axi_bus, wide, octets.bit_length() - 1)
        self._serve_bus(narrow, octets // 4)

    def _serve_accelerator(self, bus, ports, low):
        """Bursts one after the other, reads without a gap; in the same bank beats of writes go first, which are few."""
        reading, writing, advance, issue, writes = Signal(), Signal(), Signal(), Signal(), Signal()
        read_beat, write_beat, left, read_bank = Signal(32 - low), Signal(32 - low), Signal(8), Signal()
        ident, write_ident = Signal(bus.id_width), Signal(bus.id_width)
        self.comb += [
            advance.eq(~bus.r.valid | bus.r.ready),
            writes.eq(writing & bus.w.valid & advance),
            issue.eq(reading & advance & ~(writes & (read_beat[self._bank] == write_beat[self._bank]))),
            bus.ar.ready.eq(~reading | issue & (left == 0)),
            bus.aw.ready.eq(~writing & ~bus.b.valid),
            bus.w.ready.eq(writing & advance),
            Case(read_bank, {number: bus.r.data.eq(port.dat_r) for number, port in enumerate(ports)}),
            bus.r.resp.eq(0), bus.b.resp.eq(0), bus.b.id.eq(write_ident),
        ]
        for number, port in enumerate(ports):
            self.comb += [
                port.re.eq(advance), port.dat_w.eq(bus.w.data),
                If(writes & (write_beat[self._bank] == number), port.adr.eq(write_beat), port.we.eq(bus.w.strb))
                .Else(port.adr.eq(read_beat)),
            ]
        self.sync += [
            If(advance, bus.r.valid.eq(issue), bus.r.last.eq(left == 0), bus.r.id.eq(ident),
               read_bank.eq(read_beat[self._bank])),
            If(issue, read_beat.eq(read_beat + 1), left.eq(left - 1), If(left == 0, reading.eq(0))),
            If(bus.ar.valid & bus.ar.ready,
               reading.eq(1), read_beat.eq(bus.ar.addr[low:]), left.eq(bus.ar.len), ident.eq(bus.ar.id)),
            If(bus.b.ready, bus.b.valid.eq(0)),
            If(writes, write_beat.eq(write_beat + 1), If(bus.w.last, writing.eq(0), bus.b.valid.eq(1))),
            If(bus.aw.valid & bus.aw.ready, writing.eq(1), write_beat.eq(bus.aw.addr[low:]), write_ident.eq(bus.aw.id)),
        ]

    def _serve_bus(self, ports, words):
        """A word of a beat at a time."""
        low, bus = words.bit_length() - 1, self.bus
        lane, bank = Signal(max(low, 1)), Signal()
        here, beat = bus.cyc & bus.stb & ~bus.ack, bus.adr[low:]
        for number, port in enumerate(ports):
            self.comb += [
                port.adr.eq(beat), port.dat_w.eq(Cat(*[bus.dat_w] * words)),
                *(If(here & bus.we & (beat[self._bank] == number) & (bus.adr[:low] == word),
                     port.we[4 * word:4 * word + 4].eq(bus.sel)) for word in range(words)),
                If(bank == number, Case(lane, {word: bus.dat_r.eq(port.dat_r[32 * word:32 * word + 32])
                                               for word in range(words)})),
            ]
        self.sync += [bus.ack.eq(here), lane.eq(bus.adr[:low]), bank.eq(beat[self._bank])]
