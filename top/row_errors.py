# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the aligners of all rows find wrong, told by the cores that have :class:`~subbyte.hdl.group_aligner.GroupAligner`."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal

from ..hdl.pipeline import delay
from .core import Core

__all__ = ["tell_row_errors"]


def tell_row_errors(m: Module, core: Core, edges: Sequence) -> None:
    """Drive the core's errors ``nonfinite`` and, if it has it, ``exponent``, and its tile's flag ``nonfinite``, from edges."""
    met, so_far = Signal(), Signal()
    # The edges tell a cycle later.
    valid = delay(m, core.step.valid, 1, "told_valid", reset=True)
    first, last = delay(m, core.step.first.tile, 1, "told_first"), delay(m, core.step.last.tile, 1, "told_last")
    m.d.comb += [
        core.errors.nonfinite.eq(valid & Cat(edge.nonfinite for edge in edges).any()),
        met.eq(core.errors.nonfinite | so_far & ~first),
    ]
    if "exponent" in core.error_names:
        m.d.comb += core.errors.exponent.eq(valid & Cat(edge.too_low for edge in edges).any())
    with m.If(valid):
        m.d.sync += so_far.eq(met)
        with m.If(last):
            m.d.sync += core.flags.nonfinite.eq(met)
