# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Test-only top: an accelerator that shows which of its registers hold something, and which state its FSMs are in."""

from amaranth.hdl import Cat, Fragment, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

__all__ = ["WatchedTop"]


class WatchedTop(wiring.Component):
    """An accelerator in which all registers outside of the engine and of the register block are watched.

    Attributes
    ----------
    names : list of str
        A bit's meaning: a register of this name holds another value than a reset gives it; of a state machine: its state.

    Members
    -------
    as the accelerator's, and
    away : Out
        A bit for each name.
    asked : Out(1)
        Software asks for a soft reset, or it takes place.
    """

    def __init__(self, accelerator):
        self.accelerator, self.fragment = accelerator, Fragment.get(accelerator, None)
        bits = {}
        for path, register in _registers(self.fragment, ""):
            name = f"{path}{register.name}"
            while name in bits:
                name += "'"
            if register.name == "job_state":
                bits |= {f"{name} {state}": register == state for state in range(4)}
            else:
                bits[name] = register != register.init
        self.names, self.bits = list(bits), Cat(bits.values())
        super().__init__({**accelerator.signature.members, "away": Out(len(bits)), "asked": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.made = self.fragment
        m.d.comb += [
            self.away.eq(self.bits),
            self.asked.eq(self.accelerator.registers.values.CONTROL.SOFT_RESET | self.fragment.domains["soft"].rst),
        ]
        for name, member in self.accelerator.signature.members.items():
            inner, outer = getattr(self.accelerator, name), getattr(self, name)
            m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
        return m


def _registers(fragment, path):
    for domain, statements in fragment.statements.items():
        if domain != "comb":
            for signal in statements._lhs_signals():
                yield path, signal
    for inner, name, *_ in fragment.subfragments:
        if name not in ("engine", "registers"):
            yield from _registers(inner, f"{path}{name}.")
