# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The register block is what ``registers.rdl`` says, proved by induction for all time; the proof is seen to fail on faults.

What each field does is read here from the compiled SystemRDL itself, not from what the block is made of: ``sw``, ``onwrite``,
``singlepulse``, ``swwel``, ``reset``, position. Beside SystemRDL stand the rules of AXI4-Lite: a write takes effect when
address and data are there and the response before is taken, strobes choose bytes, what is no register answers SLVERR.
"""

import pytest
from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from systemrdl import RDLCompiler

from subbyte.tools.process import ToolError
from subbyte.tools.toolchain import build_root
from subbyte.top.registers import SOURCE, Registers

from .proofs import prove, stable

pytestmark = pytest.mark.formal
SLVERR = 2


def nodes():
    """Registers of the compiled SystemRDL."""
    compiler = RDLCompiler()
    compiler.compile_file(str(SOURCE))
    return list(compiler.elaborate("subbyte").top.registers())


class Bound(wiring.Component):
    """The block, and beside it what the source says."""

    def __init__(self):
        self.block = Registers()
        super().__init__({name: member for name, member in self.block.signature.members.items() if member.flow == wiring.In})

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = self.block
        m.d.comb += [getattr(block, name).eq(getattr(self, name)) for name in self.signature.members]
        address, written, enable, write = self._writes(m)
        values = {}
        for register in nodes():
            here = write & (address == register.absolute_address >> 2)
            for field in register.fields():
                values[register.inst_name, field.inst_name] = self._field(register, field, written, enable, here)
        for key, (field, value, following) in values.items():
            if following is None:
                continue
            locked = field.get_property("swwel")
            if locked:
                lock = values[locked.parent.inst_name, locked.inst_name][1]
                following = Mux(lock, value, following)
            m.d.sync += value.eq(following)
            m.d.comb += Assert(block.values[key[0]][key[1]] == value)
        self._reads(m, values)
        return m

    def _writes(self, m):
        """Word address, data and bits of a write, and when it takes effect."""
        block = self.block
        address, data, strobes = Signal(block.bits - 2), Signal(32), Signal(4)
        has_address, has_data, answers = Signal(), Signal(), Signal()
        error, write = Signal(), Signal()
        known = Cat(address == register.absolute_address >> 2 for register in nodes()).any()
        m.d.comb += write.eq(has_address & has_data & ~answers)
        with m.If(block.s_axi_awvalid & block.s_axi_awready):
            m.d.sync += [has_address.eq(1), address.eq(block.s_axi_awaddr >> 2)]
        with m.If(block.s_axi_wvalid & block.s_axi_wready):
            m.d.sync += [has_data.eq(1), data.eq(block.s_axi_wdata), strobes.eq(block.s_axi_wstrb)]
        with m.If(answers & block.s_axi_bready):
            m.d.sync += answers.eq(0)
        with m.If(write):
            m.d.sync += [has_address.eq(0), has_data.eq(0), answers.eq(1), error.eq(~known)]
        enable = Cat(strobe.replicate(8) for strobe in strobes)
        m.d.comb += [
            # One of each at a time; each is answered once, with an error if there is no such register.
            Assert(block.s_axi_awready == ~has_address), Assert(block.s_axi_wready == ~has_data),
            Assert(block.s_axi_bvalid == answers), Assert(~answers | (block.s_axi_bresp == Mux(error, SLVERR, 0))),
            # What the block holds inside, for the induction.
            Assert(~has_address | (block._address == address)),
            Assert(~has_data | (block._data == data) & (block._strobes == strobes)),
        ]
        stable(m, "b", block.s_axi_bvalid, block.s_axi_bready, block.s_axi_bresp)
        return address, data, enable, write

    def _field(self, register, field, written, enable, here):
        """The field's node, its value, and what it becomes: None for what hardware alone writes."""
        name, low, high = f"{register.inst_name}_{field.inst_name}", field.low, field.high + 1
        if not field.is_sw_writable:
            return field, self.block.status[register.inst_name][field.inst_name], None
        value = Signal(field.width, name=f"told_{name}", init=field.get_property("reset") or 0)
        written, enable = written[low:high], enable[low:high] & here.replicate(field.width)
        if field.get_property("singlepulse"):
            following = written & enable
        elif field.get_property("onwrite") is not None:
            assert field.get_property("onwrite").name == "woclr" and field.is_hw_writable
            found = self.block.set[register.inst_name][field.inst_name]
            following = Mux(self.block.clear, 0, value & ~(written & enable)) | found
        else:
            assert not field.is_hw_writable
            following = Cat(Mux(enable[bit], written[bit], value[bit]) for bit in range(field.width))
        return field, value, following

    def _reads(self, m, values):
        """A read answers in the next cycle with what its register held."""
        block = self.block
        answers, word, error = Signal(), Signal(32), Signal()
        m.d.comb += [Assert(block.s_axi_arready == ~answers), Assert(block.s_axi_rvalid == answers),
                     Assert(~answers | (block.s_axi_rdata == word) & (block.s_axi_rresp == Mux(error, SLVERR, 0)))]
        with m.If(answers & block.s_axi_rready):
            m.d.sync += answers.eq(0)
        with m.If(block.s_axi_arvalid & ~answers):
            m.d.sync += [answers.eq(1), word.eq(0), error.eq(1)]
            with m.Switch(block.s_axi_araddr >> 2):
                for register in nodes():
                    with m.Case(register.absolute_address >> 2):
                        m.d.sync += [word.eq(_word(register, values)), error.eq(0)]


def _word(register, values):
    """What software reads: zero where there is no field, or none that it may read."""
    bits: list = [Const(0)] * 32
    for field in register.fields():
        value = values[register.inst_name, field.inst_name][1]
        if field.is_sw_readable:
            bits[field.low:field.high + 1] = [value[bit] for bit in range(field.width)]
    return Cat(*bits)


def test_registers():
    prove(Bound(), build_root() / "proof" / "registers", 4, induct=True)


def _hold_of(fault):
    """The storage of a field with something wrong."""
    original = Registers._hold

    def hold(self, m, register, field, here):
        if fault == "lock" and field.locked_by:
            field = field.__class__(field.name, field.low, field.width, field.kind, field.reset)
        if fault == "strobes":
            self._enable = Const(-1, 32)
        if fault == "reset" and register.name == "WINDOW_LIMIT":
            field = field.__class__(field.name, field.low, field.width, field.kind, 0, field.locked_by)
        if fault == "sticky" and field.kind == "sticky":
            field = field.__class__(field.name, field.low, field.width, "setting", field.reset, field.locked_by)
        original(self, m, register, field, here)

    return hold


@pytest.mark.parametrize("fault", ["lock", "strobes", "reset", "sticky"])
def test_faults_are_found(fault, monkeypatch):
    """A lock that locks nothing, whole words always, another reset, causes that software sets."""
    monkeypatch.setattr(Registers, "_hold", _hold_of(fault))
    with pytest.raises(ToolError):
        prove(Bound(), build_root() / "proof" / f"registers_{fault}", 6)
