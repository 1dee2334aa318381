# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An integer times a floating-point scale plus a floating-point constant, with one rounding."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import add_chunks, ripple_chunks
from .bit_heap import BitHeap, Term, least_budget
from .float_format import Float32, round_up
from .pipeline import delay
from .selection import one_hot_select

__all__ = ["FloatScaleAdd"]

SIGNIFICAND = 24
FRACTION = SIGNIFICAND - 1
BELOW = 3
"""Places below the product's last one; the lowest of them is sticky."""
KEPT = SIGNIFICAND + 1
"""A significand and its guard bit."""
BLOCK = 16
"""Places by which a sum is moved in the first step of its normalisation."""


class FloatScaleAdd(wiring.Component):
    """``y = round(integer * scale + constant)`` in binary32, to nearest, ties to even; exact zero is +0.

    * Latency: `LATENCY` cycles in which `enable` is high. Throughput: one result per such cycle; in others all state stays.
    * Legal input: `scale` +0 or from 2**-100 to 2**90, `constant` zero or of a magnitude from 2**-100 to 2**126: then no
      result is subnormal or infinite. An exponent field of 0 counts as zero. `subbyte.golden.floating.scale_add` gives the
      same answers to the bit.

    Parameters
    ----------
    integer_width : int
        Bits of the signed `integer`, 16 to 32.

    Members
    -------
    enable : In(1)
        High if nothing is connected.
    integer : In(signed(integer_width))
    scale, constant : In(Float32)
    y : Out(Float32)
        Result, `LATENCY` cycles later.

    Notes
    -----
    The product stands still in a window, in units of its own last place, and the constant comes to it: up to 58 places
    above, where the two no longer touch; below, what is lower than 3 places only sets the lowest of them (the product has
    at least as many significant bits as a result then). A constant that is higher still, or meets a product of zero, takes
    the 58th place, and the result its exponent.
    """

    #: Cycles from operands to result: product in two, sum in two, normalisation in two, rounding.
    LATENCY = 7

    def __init__(self, integer_width=32):
        if not isinstance(integer_width, int) or isinstance(integer_width, bool):
            raise TypeError(f"integer_width must be an integer, not {integer_width!r}")
        if not 16 <= integer_width <= 32:
            raise ValueError(f"integer_width must be between 16 and 32, not {integer_width!r}")
        self._integer_width = integer_width
        # The constant's last place where it is clear of the product: two places above the product's largest magnitude.
        self._clear = integer_width + SIGNIFICAND + 2
        self._window = self._clear + SIGNIFICAND + 2  # the carry of the sum, and the sign
        super().__init__({
            "enable": In(1, init=1),
            "integer": In(signed(integer_width)),
            "scale": In(Float32),
            "constant": In(Float32),
            "y": Out(Float32),
        })

    integer_width = property(lambda self: self._integer_width)

    def elaborate(self, platform):
        m = Module()
        product = self._multiply(m)
        placed, base = self._place(m)
        negative = delay(m, self.constant.sign, 2, "negative")
        first, second = self._compress(m, product, placed, negative)
        added = add_chunks(first, second, negative)
        parts, carries, ones = (delay(m, added[name], 1, name) for name in ("parts", "carries", "ones"))
        total = delay(m, ripple_chunks(parts, Const(0, 1), carries, ones), 1, "total")
        kept, sticky, moved = self._normalise(m, total)
        sign = delay(m, total[-1], 2, "sign")
        magnitude = Signal(len(kept))
        nonzero, exponent = Signal(name="nonzero"), Signal(8, name="exponent")
        # The top place of the window, without the sign, has this weight in units of the product's last place.
        top = self._window - 2
        m.d.comb += [
            magnitude.eq(kept ^ sign.replicate(len(kept))),
            nonzero.eq(magnitude[-1]),
            exponent.eq(delay(m, base, 4, "base") + (top - FRACTION) - moved),
        ]
        packed = ripple_chunks(Cat(magnitude[1:-1], exponent), round_up(magnitude, sticky, sign))
        result = Cat(packed, sign) & nonzero.replicate(32)
        m.d.comb += self.y.as_value().eq(delay(m, result, 1, "result"))
        return EnableInserter(self.enable)(m)

    def _multiply(self, m) -> list[Value]:
        """Two addends of the product over the whole window, two cycles later."""
        terms = [Term(self._integer_width, signed=True, weight=bit, delay=0.5) for bit in range(SIGNIFICAND)]
        budget = least_budget(terms, self._window, 1, rows=2)
        m.submodules.product = heap = BitHeap(terms, width=self._window, rows=2, budget=budget, register_output=True)
        significand = _significand(m, self.scale, "scale_significand")
        for bit in range(SIGNIFICAND):
            m.d.comb += heap.terms[bit].eq(self.integer & significand[bit].replicate(self._integer_width))
        return [delay(m, addend, 2 - heap.latency, "product") for addend in heap.addends]

    def _place(self, m):
        """The constant's significand in the window, the window's lowest place below it; the window's exponent, both later."""
        no_product = ~(self.integer.any() & self.scale.exponent.any())
        distance, far = Signal(signed(10), name="distance"), Signal(name="far")
        m.d.comb += [
            distance.eq(self.scale.exponent - self.constant.exponent + self._clear),
            far.eq(no_product | (distance < 0)),
        ]
        lowest = distance >= 1 << 7
        down = delay(m, Mux(far, 0, Mux(lowest, (1 << 7) - 1, distance[:7])), 1, "down")
        # Exponents are counted modulo 256: that of the result is in range.
        base = delay(m, Mux(far, self.constant.exponent - self._clear, self.scale.exponent)[:8], 2, "base")
        significand = _significand(m, self.constant, "constant_significand")
        placed = Cat(Const(0, self._clear + BELOW), delay(m, significand, 1, "significand"))
        for level in reversed(range(7)):
            shift = min(1 << level, len(placed) - 1)
            shifted = Signal(len(placed), name=f"down_{1 << level}")
            far_down = Cat(placed[:shift + 1].any(), placed[shift + 1:])
            m.d.comb += shifted.eq(Mux(down[level], far_down, placed))
            placed = shifted
        return delay(m, placed, 1, "placed"), base

    def _compress(self, m, product, placed, negative):
        """The product's addends and the constant, ones' complement if negative, as two addends."""
        constant = Signal(len(placed) + 2, name="constant_term")
        m.d.comb += constant.eq(Cat(placed, Const(0, 2)) ^ negative.replicate(len(constant)))
        first, second = (Cat(Const(0, BELOW), addend)[:len(constant)] for addend in product)
        total, carry = (Signal(len(constant), name=name) for name in ("compressed", "carry"))
        m.d.comb += [
            total.eq(first ^ second ^ constant),
            carry.eq((first & second) | (first & constant) | (second & constant)),
        ]
        return total, Cat(Const(0, 1), carry[:-1])

    def _normalise(self, m, total):
        """Move the leading one (or a negative number's leading zero) to the top: kept bits, sticky, places moved."""
        block = self._keep_block(m, total)
        bits, sticky, sign, coarse = (delay(m, value, 1, f"coarse_{name}") for name, value in block.items())
        fine = []
        for shift in (8, 4, 2, 1):
            quiet, shifted = Signal(name=f"quiet_{shift}"), Signal(len(bits), name=f"up_{shift}")
            m.d.comb += [
                quiet.eq(~(bits[-shift:] ^ sign.replicate(shift)).any()),
                shifted.eq(Mux(quiet, bits << shift, bits)),
            ]
            fine.insert(0, quiet)
            below = len(shifted) - (KEPT + shift - 1)
            sticky, bits = sticky | shifted[:below].any(), shifted[below:]
        return (delay(m, value, 1, name) for name, value in (
            ("kept", bits), ("sticky", sticky), ("moved", Cat(fine, coarse))))

    def _keep_block(self, m, total):
        """Find the block of the leading one and keep it with what may matter below; the places moved by whole blocks."""
        sign = total[-1]
        bits = Cat(Const(0, -(len(total) - 1) % BLOCK), total[:-1])
        tops = range(len(bits), 0, -BLOCK)
        quiet, chosen = (Signal(len(tops), name=name) for name in ("quiet", "chosen"))
        kept, below = [], []
        for index, top in enumerate(tops):
            low = top - (KEPT + BLOCK - 1)
            m.d.comb += [
                quiet[index].eq(~(bits[top - BLOCK:top] ^ sign.replicate(BLOCK)).any()),
                chosen[index].eq(quiet[:index].all() & ~quiet[index]),
            ]
            kept.append(Cat(Const(0, max(-low, 0)), bits[max(low, 0):top]))
            below.append(bits[:max(low, 0)].any())
        number = [Cat(chosen[index] for index in range(len(tops)) if index >> bit & 1).any() for bit in range(3)]
        return {"kept": one_hot_select(kept, chosen), "sticky": (Cat(below) & chosen).any(), "sign": sign,
                "moved": Cat(number)}


def _significand(m, number, name: str) -> Signal:
    """The significand of a number, zero for an exponent field of zero; a signal, so that it is written once."""
    significand = Signal(SIGNIFICAND, name=name)
    m.d.comb += significand.eq(Mux(number.exponent.any(), Cat(number.fraction, 1), 0))
    return significand
