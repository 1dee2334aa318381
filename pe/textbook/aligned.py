# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""FP16 activations aligned once a group, times INT4, with ``*`` and ``+``: what BitMoD's dense form has to be better than.

Parts with the members of that form's (``pe/bitmod_dense.py``), so that the same array, dequantizers and bench take them. Also
theirs are the aligner and the accumulator in chunks, which ABC's carry chain of a ``+`` would limit. Nothing but INT4 is taken.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...golden.bitmod import BitModConfig
from ...golden.bitmod.config import DENSE_EDGE_STAGES, EXPONENT_BITS, FORMAT_BITS
from ...hdl.floating import Float16
from ...hdl.group_aligner import GroupAligner
from ...hdl.pipeline import delay
from ...hdl.saved_carry import chain_bits, chunks_of, saved_carry_sum
from .arrays import products_of, ranks_of, sum_by

__all__ = ["AlignedColumn", "AlignedElement", "AlignedRow"]

EDGE_STAGES = GroupAligner.LATENCY
OPERANDS = 3
"""Of each addition of products."""


class AlignedRow(wiring.Component):
    """A row's edge: the aligner."""

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "beat": In(data.ArrayLayout(Float16, config.lanes)),
            "group_exponent": In(EXPONENT_BITS),
            "first": In(1),
            "integer": In(1),
            "exponent": Out(EXPONENT_BITS),
            "nonfinite": Out(1),
            "too_low": Out(1),
            "multiples": Out(data.ArrayLayout(signed(config.aligned_bits), config.lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.aligner = aligner = GroupAligner(self.config.lanes, self.config.guard_bits)
        m.d.comb += [
            *(getattr(aligner, name).eq(getattr(self, name)) for name in ("beat", "group_exponent", "first")),
            *(getattr(self, name).eq(getattr(aligner, name)) for name in ("exponent", "nonfinite", "too_low")),
            self.multiples.eq(aligner.aligned),
        ]
        return m


class AlignedColumn(wiring.Component):
    """A column's edge: registers. Nothing is to be corrected."""

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "codes": In(data.ArrayLayout(config.code_bits, config.lanes)),
            "format": In(FORMAT_BITS),
            **{name: In(1) for name in ("valid", "high", "first", "high_count", "capture")},
            "legs": Out(data.ArrayLayout(signed(config.code_bits), config.lanes)),
            "correction": Out(config.accumulator_bits),
        })

    def elaborate(self, platform):
        m = Module()
        given = self.codes.as_value() & self.valid.replicate(len(self.codes.as_value()))
        m.d.comb += self.legs.as_value().eq(delay(m, given, EDGE_STAGES, "codes"))
        return m


class AlignedElement(wiring.Component):
    """Products with ``*`` in registers, sums of a few, their sum, the accumulator, the chain."""

    def __init__(self, config: BitModConfig):
        self.config = config
        super().__init__({
            "multiples": In(data.ArrayLayout(signed(config.aligned_bits), config.lanes)),
            "legs": In(data.ArrayLayout(signed(config.code_bits), config.lanes)),
            "high": In(1),
            "first": In(len(chunks_of(config.accumulator_bits))),
            "capture": In(1),
            "above": In(chain_bits(config.accumulator_bits)),
            "below": Out(chain_bits(config.accumulator_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        row = Signal(signed(self.config.accumulator_bits))
        total = sum_by(m, OPERANDS, products_of(m, self.multiples, self.legs))
        ranks = DENSE_EDGE_STAGES + 2 - EDGE_STAGES - 1 - ranks_of(OPERANDS, self.config.lanes)
        m.d.comb += row.eq(delay(m, total, ranks, "total"))
        first, capture = delay(m, self.first, 1, "first"), delay(m, self.capture, 1, "capture")
        acc = saved_carry_sum(m, [row.as_unsigned()], first)
        with m.If(capture):
            m.d.sync += self.below.eq(acc)
        with m.Else():
            m.d.sync += self.below.eq(self.above)
        return m
