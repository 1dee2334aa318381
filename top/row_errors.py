# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the aligners of all rows find wrong, told by the cores that have :class:`~subbyte.hdl.group_aligner.GroupAligner`."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal

from .core import Core

__all__ = ["tell_row_errors"]


def tell_row_errors(m: Module, core: Core, edges: Sequence) -> None:
    """Drive the core's errors ``nonfinite`` and, if it has it, ``exponent``, and its tile's flag ``nonfinite``, from edges."""
    met, so_far = Signal(), Signal()
    step = core.step
    m.d.comb += [
        core.errors.nonfinite.eq(step.valid & Cat(edge.nonfinite for edge in edges).any()),
        met.eq(core.errors.nonfinite | so_far & ~step.first.tile),
    ]
    if "exponent" in core.error_names:
        m.d.comb += core.errors.exponent.eq(step.valid & Cat(edge.too_low for edge in edges).any())
    with m.If(step.valid):
        m.d.sync += so_far.eq(met)
        with m.If(step.last.tile):
            m.d.sync += core.flags.nonfinite.eq(met)
