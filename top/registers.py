# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The register map of all accelerators, compiled from ``registers.rdl``: hardware behind AXI4-Lite, and files for software."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..host.c_source import DRIVER

__all__ = ["MagicId", "Register", "RegisterField", "Registers", "register_map", "write_driver", "write_files", "write_header"]

SOURCE = Path(__file__).with_name("registers.rdl")
OKAY, SLVERR = 0, 2
_ASSERT = """#ifndef __cplusplus
#define static_assert _Static_assert  // as <assert.h> has it, which bare metal may lack
#endif
"""
MagicId = 0x53425954
"""What the register ID holds."""


@dataclass(frozen=True)
class RegisterField:
    """A field: ``status`` is read only; ``setting`` holds what is written; ``pulse`` is high for a cycle after a one was
    written, and reads zero; ``sticky`` is set by hardware and cleared by writing a one. ``locked_by``: register and field
    whose one keeps it as it is."""

    name: str
    low: int
    width: int
    kind: Literal["status", "setting", "pulse", "sticky"]
    reset: int
    locked_by: tuple[str, str] | None = None

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return ((1 << self.width) - 1) << self.low


@dataclass(frozen=True)
class Register:
    """A register of 32 bits at a byte address."""

    name: str
    address: int
    fields: tuple[RegisterField, ...]

    def field(self, name: str) -> RegisterField:
        """The field of this name."""
        return next(field for field in self.fields if field.name == name)


@cache
def _compiled():
    from systemrdl import RDLCompiler

    compiler = RDLCompiler()
    compiler.compile_file(str(SOURCE))
    return compiler.elaborate("subbyte").top


@cache
def register_map() -> Mapping[str, Register]:
    """Registers by name, in the order of their addresses."""
    return {node.inst_name: Register(node.inst_name, node.absolute_address, tuple(map(_field, node.fields())))
            for node in _compiled().registers()}


def _field(node):
    if not node.is_sw_writable:
        kind = "status"
    elif node.get_property("singlepulse"):
        kind = "pulse"
    else:
        kind = "sticky" if node.get_property("onwrite") else "setting"
    lock = node.get_property("swwel")
    locked_by = (lock.parent.inst_name, lock.inst_name) if lock else None
    return RegisterField(node.inst_name, node.low, node.width, kind, node.get_property("reset") or 0, locked_by)


def write_files(folder: Path, name: str) -> list[Path]:
    """Write ``<name>.rdl``, ``.h`` (C, macros SUBBYTE__*), ``.xml`` (IP-XACT), ``_registers.py`` and the pages ``<name>_html``.

    They differ between accelerators in their file names alone.
    """
    from peakrdl_html import HTMLExporter
    from peakrdl_ipxact import IPXACTExporter

    folder.mkdir(parents=True, exist_ok=True)
    rdl, header, xml, constants = (folder / f"{name}{end}" for end in (".rdl", ".h", ".xml", "_registers.py"))
    rdl.write_text(SOURCE.read_text())
    write_header(header)
    IPXACTExporter(vendor="subbyte", library="accelerator", version="1.0").export(_compiled(), str(xml))
    constants.write_text(_constants())
    pages = folder / f"{name}_html"
    HTMLExporter().export(_compiled(), str(pages))
    index = pages / "index.html"
    # The pages hold no formulas; without this line they need no network.
    index.write_text(re.sub(r"\s*<script[^>]*https?://[^>]*></script>", "", index.read_text()))
    return [rdl, header, xml, constants, pages]


def write_header(path: Path) -> None:
    """Write the registers' C header; C11, without a C library."""
    from peakrdl_cheader.exporter import CHeaderExporter

    CHeaderExporter().export(_compiled(), str(path), reuse_typedefs=False)  # names of types would not be stable
    text = path.read_text()
    if "#include <assert.h>\n" not in text:
        raise ValueError(f"{path} must include <assert.h>, which is taken out of it: is peakrdl-cheader another version?")
    path.write_text(text.replace("#include <assert.h>\n", _ASSERT))


def write_driver(folder: Path) -> list[Path]:
    """Write the bare-metal driver, ``subbyte.h`` and ``.c``, and what it needs, ``subbyte_registers.h``; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in DRIVER:
        (folder / source.name).write_text(source.read_text())
    write_header(folder / "subbyte_registers.h")
    return [*(folder / source.name for source in DRIVER), folder / "subbyte_registers.h"]


def _constants():
    lines = ["# SPDX-FileCopyrightText: 2026 subbyte contributors", "# SPDX-License-Identifier: Apache-2.0",
             '"""Registers of every accelerator: byte addresses, and masks of fields."""', ""]
    for register in register_map().values():
        lines.append(f"{register.name} = 0x{register.address:02X}")
        lines += [f"{register.name}__{field.name} = 0x{field.mask:08X}" for field in register.fields]
    return "\n".join(lines) + "\n"


def _layout(kinds):
    registers = {register.name: data.StructLayout({field.name: field.width for field in register.fields if field.kind in kinds})
                 for register in register_map().values()}
    return data.StructLayout({name: layout for name, layout in registers.items() if layout.members})


class Registers(wiring.Component):
    """The register block behind AXI4-Lite: one transaction each way at a time.

    A write is done in the cycle after its address and data are there and its response is free, a read answers in the cycle
    after its address. No ready depends on a valid. Addresses of no register answer SLVERR, read zero and write nothing.

    Members
    -------
    s_axi_* : AXI4-Lite, 32 bits
    status : In(StructLayout)
        Values of fields that hardware alone writes: ``status.REGISTER.FIELD``.
    set : In(StructLayout)
        High in a cycle in which a sticky field is set; that is stronger than software's clearing.
    values : Out(StructLayout)
        What settings, pulses and sticky fields hold.
    clear : In(1)
        Clears sticky fields.
    """

    def __init__(self):
        self.bits = max(register.address for register in register_map().values()).bit_length()
        super().__init__({
            "s_axi_awaddr": In(self.bits), "s_axi_awprot": In(3), "s_axi_awvalid": In(1), "s_axi_awready": Out(1),
            "s_axi_wdata": In(32), "s_axi_wstrb": In(4), "s_axi_wvalid": In(1), "s_axi_wready": Out(1),
            "s_axi_bresp": Out(2), "s_axi_bvalid": Out(1), "s_axi_bready": In(1),
            "s_axi_araddr": In(self.bits), "s_axi_arprot": In(3), "s_axi_arvalid": In(1), "s_axi_arready": Out(1),
            "s_axi_rdata": Out(32), "s_axi_rresp": Out(2), "s_axi_rvalid": Out(1), "s_axi_rready": In(1),
            "status": In(_layout(["status"])),
            "set": In(_layout(["sticky"])),
            "values": Out(_layout(["setting", "pulse", "sticky"])),
            "clear": In(1),
        })
        # Of the write that is taken; proofs look at them.
        self._address, self._data, self._strobes = Signal(self.bits - 2), Signal(32), Signal(4)

    def elaborate(self, platform):
        m = Module()
        address, write = self._take_writes(m)
        for register in register_map().values():
            here = write & (address == register.address >> 2)
            for field in register.fields:
                if field.kind != "status":
                    self._hold(m, register, field, here)
        self._answer_reads(m)
        return m

    def _take_writes(self, m):
        """Address and data may come in any order; high while both are here and are done."""
        address, data_, strobes = self._address, self._data, self._strobes
        has_address, has_data, write = Signal(), Signal(), Signal()
        self._enable = Cat(strobe.replicate(8) for strobe in strobes)
        m.d.comb += [
            self.s_axi_awready.eq(~has_address),
            self.s_axi_wready.eq(~has_data),
            write.eq(has_address & has_data & ~self.s_axi_bvalid),
        ]
        with m.If(self.s_axi_awvalid & self.s_axi_awready):
            m.d.sync += [has_address.eq(1), address.eq(self.s_axi_awaddr >> 2)]
        with m.If(self.s_axi_wvalid & self.s_axi_wready):
            m.d.sync += [has_data.eq(1), data_.eq(self.s_axi_wdata), strobes.eq(self.s_axi_wstrb)]
        with m.If(self.s_axi_bvalid & self.s_axi_bready):
            m.d.sync += self.s_axi_bvalid.eq(0)
        with m.If(write):
            m.d.sync += [has_address.eq(0), has_data.eq(0), self.s_axi_bvalid.eq(1),
                         self.s_axi_bresp.eq(Mux(_known(address), OKAY, SLVERR))]
        return address, write

    def _hold(self, m, register, field, here):
        """The storage of a field that software writes."""
        stop = field.low + field.width
        value = Signal(field.width, name=f"{register.name}_{field.name}", init=field.reset)
        if field.locked_by:
            lock_register, lock = field.locked_by
            here = here & ~self.values[lock_register][lock]
        written, enable = self._data[field.low:stop], self._enable[field.low:stop] & here.replicate(field.width)
        m.d.comb += self.values[register.name][field.name].eq(value)
        if field.kind == "setting":
            m.d.sync += value.eq(value & ~enable | written & enable)
        elif field.kind == "pulse":
            m.d.sync += value.eq(written & enable)
        else:
            cleared = written & enable | self.clear.replicate(field.width)
            m.d.sync += value.eq(value & ~cleared | self.set[register.name][field.name])

    def _answer_reads(self, m):
        m.d.comb += self.s_axi_arready.eq(~self.s_axi_rvalid)
        with m.If(self.s_axi_rvalid & self.s_axi_rready):
            m.d.sync += self.s_axi_rvalid.eq(0)
        with m.If(self.s_axi_arvalid & self.s_axi_arready):
            m.d.sync += [self.s_axi_rvalid.eq(1), self.s_axi_rdata.eq(0), self.s_axi_rresp.eq(SLVERR)]
            with m.Switch(self.s_axi_araddr[2:]):
                for register in register_map().values():
                    with m.Case(register.address >> 2):
                        m.d.sync += [self.s_axi_rdata.eq(self._read(register)), self.s_axi_rresp.eq(OKAY)]

    def _read(self, register):
        word, position = [], 0
        for field in register.fields:
            word.append(Const(0, field.low - position))
            source = {"status": self.status, "pulse": None}.get(field.kind, self.values)
            word.append(Const(0, field.width) if source is None else source[register.name][field.name])
            position = field.low + field.width
        return Cat(*word)


def _known(word_address):
    return word_address.matches(*(register.address >> 2 for register in register_map().values()))
