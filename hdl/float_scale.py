# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Scaling of a floating-point sum, with one rounding."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .adders import carried_add, ripple_chunks, split_add
from .bit_heap import BitHeap, Term, least_budget
from .float_format import Float32, exponent_bias, field_widths
from .pipeline import delay
from .target import is_fpga

__all__ = ["FloatScale"]


class FloatScale(wiring.Component):
    """Multiply a floating-point sum by a scale and round once.

    ``y = round(sum * scale)``, to nearest, ties to even, with exact subnormal results; beyond the largest
    finite number it is an infinity, and `overflow` is set. The sign is that of `sum`, also for a result of
    zero.

    * Latency: `latency` cycles in which `enable` is high. Throughput: one result per such cycle; in others all state stays.
    * Legal input: `sum` is +0 or a normal number, `scale` +0 or a positive normal number. An exponent field
      of 0 counts as zero.

    Parameters
    ----------
    out_format : :class:`amaranth.lib.data.Struct`
        Format of the result.
    in_format : :class:`amaranth.lib.data.Struct`
        Format of both operands.
    product_stages : int
        Ranks over which the product of the significands is spread.

    Members
    -------
    enable : :py:`In(1)`
        High if nothing is connected.
    sum : :py:`In(in_format)`
        First operand.
    scale : :py:`In(in_format)`
        Second operand.
    y : :py:`Out(out_format)`
        Result, `latency` cycles later.
    overflow : :py:`Out(1)`
        The rounded result exceeds the format's finite range; `y` is an infinity.
    """

    ROUNDING_STAGES = 2
    """Ranks behind the product: alignment and rounding."""

    def __init__(self, out_format=Float32, *, in_format=Float32, product_stages=2):
        self._fraction, self._exponent_width = field_widths(out_format)
        self._in_fraction, self._in_exponent_width = field_widths(in_format)
        if self._fraction > 2 * self._in_fraction:
            raise ValueError(f"out_format must have at most {2 * self._in_fraction} fraction bits, "
                             f"twice those of in_format, not {self._fraction!r}")
        if not isinstance(product_stages, int) or isinstance(product_stages, bool):
            raise TypeError(f"product_stages must be an integer, not {product_stages!r}")
        if product_stages < 1:
            raise ValueError(f"product_stages must be at least 1, not {product_stages!r}")
        self._out_format = out_format
        self._in_format = in_format
        self._product_stages = product_stages
        super().__init__({
            "enable": In(1, init=1),
            "sum": In(in_format),
            "scale": In(in_format),
            "y": Out(out_format),
            "overflow": Out(1),
        })

    out_format = property(lambda self: self._out_format)
    in_format = property(lambda self: self._in_format)
    product_stages = property(lambda self: self._product_stages)

    @property
    def latency(self):
        """Cycles from operands to result: the product, the alignment, the rounding."""
        return self._product_stages + self.ROUNDING_STAGES

    def elaborate(self, platform):
        m = Module()
        product = self._multiply(m, platform)
        nonzero = self.sum.exponent.any() & self.scale.exponent.any()
        exponent = delay(m, self._add_exponents(), self._product_stages - 1, "exponent")
        nonzero = delay(m, nonzero, self._product_stages + 1, "nonzero")
        sign = delay(m, self.sum.sign, self.latency, "sign")
        results = self._align(m, product, exponent)
        guarded, field, huge = (delay(m, value, 1, name) for name, value in results.items())
        sticky, guard, odd = guarded[:3]
        rounded = Signal(self._fraction + self._exponent_width)
        m.d.comb += rounded.eq(ripple_chunks(Cat(guarded[2:], field), guard & (sticky | odd)))
        # The carry out of the fraction is not waited for: it matters below the largest exponent alone.
        last = ~field[0] & field[1:].all() & guarded[2:].all()
        overflow = nonzero & (huge | field.all() | last & guard & (sticky | odd))
        infinity = ((1 << self._exponent_width) - 1) << self._fraction
        number = Mux(overflow, infinity, rounded & nonzero.replicate(len(rounded)))
        m.d.comb += [
            self.y.as_value().eq(Cat(delay(m, number, 1, "number"), sign)),
            self.overflow.eq(delay(m, overflow, 1, "overflow")),
        ]
        return EnableInserter(self.enable)(m)

    def _multiply(self, m, platform):
        """Multiply the significands in a bit heap."""
        width = self._in_fraction + 1
        multiplicand, multiplier = (Cat(factor.fraction, Const(1, 1)) for factor in (self.sum, self.scale))
        if is_fpga(platform):
            return self._multiply_by_halves(m, multiplicand, multiplier)
        terms = [Term(width, weight=bit, delay=0.5) for bit in range(width)]
        # With more than one rank the last addition has one of its own, with a third its carries have that.
        adds = self._product_stages > 1
        add = carried_add if self._product_stages == 2 else split_add
        budget = least_budget(terms, 2 * width, max(self._product_stages - 3, 0), rows=1 + adds)
        m.submodules.product = heap = BitHeap(terms, budget=budget, rows=1 + adds, register_output=True)
        for bit in range(width):
            m.d.comb += heap.terms[bit].eq(multiplicand & multiplier[bit].replicate(width))
        product = add(m, *heap.addends, "product_sum") if adds else heap.sum
        return delay(m, product, self._product_stages - heap.latency - adds, "product")

    def _multiply_by_halves(self, m, multiplicand, multiplier):
        """Leave the product to an FPGA's multipliers: two of half the width, added in the next stage if there is one."""
        half, split = len(multiplier) // 2, min(self._product_stages - 1, 1)
        low, high = (delay(m, multiplicand * part, split, name)
                     for part, name in ((multiplier[:half], "low_product"), (multiplier[half:], "high_product")))
        product = (low + (high << half))[: 2 * len(multiplier)]
        return delay(m, product, self._product_stages - split, "product")

    def _add_exponents(self):
        """Return the exponent field of a result whose leading one is the top bit of the product."""
        offset = 2 * exponent_bias(self._in_exponent_width) - exponent_bias(self._exponent_width) - 1
        return (self.sum.exponent + self.scale.exponent - Const(offset)).as_signed()

    def _align(self, m, product, exponent):
        """Bring the leading one to the top, or a subnormal result to its place; ``exponent`` is a cycle ahead of ``product``.

        Returns the fraction with a guard and a sticky bit; the exponent field; whether that is too large for
        its bits.
        """
        # From a distance of fraction + 2 on, every bit is below the guard bit.
        levels = ceil_log2(self._fraction + 3)
        distance, aligned = Signal(levels), Signal(self._fraction + 3)
        # All that the exponent alone decides is there with the product.
        steps = Mux(exponent < 2 - (1 << levels), ~0, 1 - exponent)
        subnormal, steps, less, exponent = (delay(m, value, 1, name) for name, value in (
            ("subnormal", exponent <= 1), ("steps", steps[:levels]), ("less", exponent - 1), ("exponent_of_product", exponent)))
        up = ~product[-1] & ~subnormal
        dropped = len(product) - (self._fraction + 2)
        normal = Mux(up, product << 1, product)[:len(product)]
        # What is below the highest bit that is dropped counts whether or not the product moves, so it need not wait for that.
        sticky = product[:dropped - 1].any() | normal[dropped - 1] if dropped else Const(0, 1)
        m.d.comb += [
            distance.eq(steps & subnormal.replicate(levels)),
            aligned.eq(Cat(sticky, normal[dropped:])),
        ]
        for level in range(levels):
            shift = min(1 << level, len(aligned) - 1)
            shifted = Signal.like(aligned, name=f"shifted_{shift}")
            far = Cat(aligned[:shift + 1].any(), aligned[shift + 1:])
            m.d.comb += shifted.eq(Mux(distance[level], far, aligned))
            aligned = shifted
        # With `exponent` at 1 and below, the field is 1 or 0: the bit before the fraction.
        field = Mux(subnormal, aligned[-1], Mux(product[-1], exponent, less))[:self._exponent_width]
        return {"guarded": aligned[:-1], "field": field, "huge": exponent >= 1 << self._exponent_width}
