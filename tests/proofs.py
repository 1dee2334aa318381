# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Proofs by Yosys' SAT solver: components whose `Assert`s must hold for so many cycles, whatever their inputs do."""

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Signal, Value

from subbyte.tools.yosys import run_yosys

__all__ = ["offered", "prove", "stable"]


def prove(component, folder, depth, *, unset=None, induct=False):
    """Raise ToolError unless all assertions hold for so many cycles from the start.

    Parameters
    ----------
    component : Component
        All its inputs are free, but for what it assumes.
    folder : Path
        For the files of Yosys.
    depth : int
    unset : str, optional
        Instances whose registers may begin with anything, by a pattern of Yosys.
    induct : bool
        For all time, by induction over at most ``depth`` cycles.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "proof.il").write_text(rtlil.convert(component, name="proof", emit_src=False))
    reset = "" if unset else "-set rst 0"
    base = "" if induct else "-tempinduct-baseonly"
    free = [f"setattr -unset init {unset}/w:*"] if unset else []
    script = ["read_rtlil proof.il", "hierarchy -top proof", "proc", *free, "flatten", "opt_clean", "memory_map",
              "chformal -lower", "opt -fast",
              f"sat {reset} -prove-asserts -set-assumes {base} -maxsteps {depth} -tempinduct -verify"]
    run_yosys(script, folder, "proof")


def stable(m, name, valid, ready, payload):
    """What was offered and not taken must be offered again, unchanged."""
    waited, before = Signal(name=f"{name}_waited"), Signal(len(payload), name=f"{name}_before")
    m.d.sync += [waited.eq(valid & ~ready), before.eq(payload)]
    m.d.comb += Assert(~waited | valid & (payload == before))


def offered(m, name, valid, ready, payload):
    """The same, of a source: assumed."""
    waited, before = Signal(name=f"{name}_waited"), Signal(len(Value.cast(payload)), name=f"{name}_before")
    m.d.sync += [waited.eq(valid & ~ready), before.eq(payload)]
    m.d.comb += Assume(~waited | valid & (payload == before))
