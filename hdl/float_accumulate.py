# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Fused accumulation: a scaled integer into a floating-point sum, with one rounding."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .adders import add_chunks, chunks_of_ones, ripple_chunks
from .float_format import Float32, exponent_bias, field_widths, round_up

__all__ = ["FloatAccumulate"]



def _check(name, value, low, high):
    """Raise unless `value` is an integer between `low` and `high`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, not {value!r}")


class FloatAccumulate(wiring.Component):
    """Add a scaled integer to a floating-point sum, exactly, and round once.

    ``sum_out = round(sum_in + operand * 2**(exponent + bias))``, to nearest, ties to even; exact zero is +0.

    The sum is used as in a dot product: it starts at +0 and takes at most `operands` operands. Then it is always
    a multiple of the least weight ``2**(exponent_min + bias)``, and its magnitude never exceeds `operands` times
    that of the largest operand (rounding is monotone, and the bound is itself a floating-point number). So
    each exact sum fits a fixed-point window, and nothing is lost before the rounding.

    * Latency: `latency` cycles. Throughput: one sum per cycle. No stalls.
    * Legal input: `sum_in` is +0 or a normal number within the window; other values give no useful result.

    Parameters
    ----------
    operand_width : int
        Bits of the signed `operand`.
    exponent_min, exponent_max : int
        Range of the unsigned `exponent`.
    bias : int
        Constant added to the exponent.
    operands : int
        The most operands that one sum takes.
    stages : int
        Pipeline ranks, from 1 to 7. The last one holds the result.
    float_format : :class:`amaranth.lib.data.Struct`
        Format of the sum.

    Members
    -------
    sum_in : :py:`In(float_format)`
        Sum so far.
    operand : :py:`In(signed(operand_width))`
        Integer to add.
    exponent : :py:`In(range(exponent_max + 1))`
        Its power of two, less `bias`.
    sum_out : :py:`Out(float_format)`
        New sum, `latency` cycles later.

    Notes
    -----
    The window is cut into blocks whose size is a power of two, aligned so that the high bits of an exponent
    field *are* the number of the block in which the leading one stands, and the low bits its place there.
    Placing the sum and reading the result are then a short shift and a one-hot choice of a block, without a
    subtraction of exponents or a separate count of leading zeros. An exponent field of 0 chooses no block: +0
    costs nothing.

    No negation costs a carry chain. If the sum is negative, the operand is inverted in its place (the adder's
    carry input completes its negation), which leaves the magnitude of the sum as it is. If the result is
    negative, the kept bits are inverted *after* normalisation, and the missing unit goes into the rounding:
    the bits below the kept ones are all ones in ``~r`` where they are all zeros in ``r``, so guard and sticky
    bit tell every case.
    """

    #: Steps of the datapath behind which a rank of flip-flops stands, by the number of ranks.
    _RANKS = {
        1: {"round"},
        2: {"chunks", "round"},
        3: {"chunks", "block", "round"},
        4: {"chunks", "block", "fine", "round"},
        5: {"align", "chunks", "block", "fine", "round"},
        6: {"align", "chunks", "add", "block", "fine", "round"},
        7: {"align", "chunks", "add", "block", "coarse", "up", "ones", "round"},
    }
    _round_up = staticmethod(round_up)
    _FINE = 3  # exponent bits by which the operand is shifted in the first step, unless there are fewer

    def __init__(self, operand_width=38, *, exponent_min=1, exponent_max=30, bias=-29, operands=64, stages=4,
                 float_format=Float32):
        self._fraction, exponent_width = field_widths(float_format)
        top_field = (1 << exponent_width) - 2
        _check("operand_width", operand_width, 2, 64)
        _check("exponent_min", exponent_min, 0, top_field)
        _check("exponent_max", exponent_max, max(exponent_min, 1), top_field)
        _check("bias", bias, -top_field, top_field)
        _check("operands", operands, 1, 1 << self._fraction)
        _check("stages", stages, 1, max(self._RANKS))
        self._operand_width = operand_width
        self._exponent_min = exponent_min
        self._exponent_max = exponent_max
        self._bias = bias
        self._operands = operands
        self._stages = stages
        self._float_format = float_format
        # The window: a sign, and as many bits as the largest magnitude needs.
        bound = operands << operand_width - 1 + exponent_max - exponent_min
        self._window = bound.bit_length() + 1
        low_field = exponent_bias(exponent_width) + exponent_min + bias
        high_field = low_field + bound.bit_length() - 1
        # The blocks over it. At least one bit is below the window, where the leading one of ~r may stand.
        self._block = 1 << (self._fraction + 1).bit_length() - 1
        self._first_block = (low_field - 1) // self._block
        self._blocks = high_field // self._block + 1 - self._first_block
        self._pad = low_field - self._first_block * self._block
        if self._first_block < 1 or high_field > top_field:
            raise ValueError(f"exponent fields of sums must be between {self._block + 1} and {top_field}, "
                             f"not from {low_field!r} to {high_field!r}: "
                             "change bias, exponents, operand_width or operands")
        super().__init__({
            "sum_in": In(float_format),
            "operand": In(signed(operand_width)),
            "exponent": In(range(exponent_max + 1)),
            "sum_out": Out(float_format),
        })

    operand_width = property(lambda self: self._operand_width)
    exponent_min = property(lambda self: self._exponent_min)
    exponent_max = property(lambda self: self._exponent_max)
    bias = property(lambda self: self._bias)
    operands = property(lambda self: self._operands)
    stages = property(lambda self: self._stages)
    float_format = property(lambda self: self._float_format)

    @property
    def latency(self):
        """Cycles from operands to sum."""
        return self._stages

    @property
    def window_width(self):
        """Bits of the signed fixed-point window that holds every exact sum."""
        return self._window

    def elaborate(self, platform):
        m = Module()

        def step(name, **values):
            """Hold the results of a step, or only name them."""
            held = [Signal.like(v, name=f"{name}_{key}", reset_less=True) for key, v in values.items()]
            domain = "sync" if name in self._RANKS[self._stages] else "comb"
            m.d[domain] += [signal.eq(value) for signal, value in zip(held, values.values())]
            return held

        fine = min(self._FINE, len(self.exponent) - 1)
        invert = self.sum_in.sign
        operand = self.operand.as_unsigned() ^ invert.replicate(self._operand_width)
        significand = Cat(self.sum_in.fraction, 1) << self.sum_in.exponent[:exact_log2(self._block)]
        significand, chosen, operand, exponent, invert = step(
            "align", significand=significand, chosen=self._choose_block(),
            operand=_shift_in(m, operand, self.exponent[:fine], 1, invert),
            exponent=self.exponent[fine:], invert=invert)
        placed, operand, invert = step(
            "place", placed=self._place_sum(significand, chosen),
            operand=_shift_in(m, operand, exponent, 1 << fine, invert)[self._exponent_min:], invert=invert)
        parts, carries, ones, invert = step(
            "chunks", **self._add_chunks(placed, operand, invert), invert=invert)
        total, invert = step(
            "add", total=ripple_chunks(parts, Const(0, 1), carries, ones), invert=invert)
        negative = total[-1]
        bits = Cat(Const(0, self._pad), total[:-1])
        bits = Cat(bits, negative.replicate(self._blocks * self._block - len(bits)))
        chosen, = step("lead", chosen=self._find_block(bits, negative))
        kept, exponent, sticky, negative, sign = step(
            "block", **self._keep_block(bits, chosen), negative=negative,
            sign=chosen.any() & (negative ^ invert))
        for name, distances in self._shifts():
            for distance in distances:
                kept, exponent, sticky = step(
                    f"shift_{distance}", **self._shift_up(kept, exponent, sticky, negative, distance))
            kept, exponent, sticky, negative, sign = step(
                name, kept=kept, exponent=exponent, sticky=sticky, negative=negative, sign=sign)
        magnitude, = step("magnitude", magnitude=kept ^ negative.replicate(len(kept)))
        packed, ones = Cat(magnitude[1:self._fraction + 1], exponent), None
        up, = step("up", up=self._round_up(magnitude, sticky, negative))
        if self._stages == max(self._RANKS):
            packed, ones, sign = step("ones", packed=packed, ones=chunks_of_ones(packed), sign=sign)
        packed = ripple_chunks(packed, up, ones=ones)
        result, = step("round", result=Cat(packed, sign))
        m.d.comb += self.sum_out.as_value().eq(result)
        return m

    def _choose_block(self):
        """Decode the block of the sum's leading one, one bit a block; none for +0."""
        number = self.sum_in.exponent[exact_log2(self._block):]
        return Cat(number == self._first_block + index for index in range(self._blocks))

    def _place_sum(self, significand, chosen):
        """Place the aligned significand in the window: its leading one in the chosen block."""
        bits = []
        for position in range(self._pad, self._pad + self._window - 1):
            sources = (position - index * self._block + self._fraction for index in range(self._blocks))
            bits.append(Cat(here & significand[source] for here, source in zip(chosen, sources)
                            if 0 <= source < len(significand)).any())
        return Cat(bits)

    def _add_chunks(self, placed, operand, invert):
        """Add in the window, carries kept apart; `invert` enters below."""
        return add_chunks(Cat(placed, Const(0, 1)), Cat(operand, operand[-1].replicate(self._window))[:self._window], invert)

    def _find_block(self, bits, negative):
        """Find the block of the leading one (or a negative number's leading zero), one bit a block."""
        chosen, quiet_above = [], Const(1, 1)
        for low in reversed(range(0, len(bits), self._block)):
            # Only one of the zeros below the window: it is the leading zero of a number that is all ones.
            block = bits[max(low, self._pad - 1):low + self._block]
            quiet = Mux(negative, block.all(), ~block.any())
            chosen.append(quiet_above & ~quiet)
            quiet_above = quiet_above & quiet
        return Cat(reversed(chosen))

    def _keep_block(self, bits, chosen):
        """Keep the chosen block and the bits below that may matter; tell whether ones stand further below."""
        starts = [(chosen[index], index * self._block) for index in range(self._blocks)]
        kept = [Cat(here & bits[start + place] for here, start in starts if start + place >= self._pad).any()
                for place in range(-self._fraction - 1, self._block)]
        below = [here & bits[:max(0, start - self._fraction - 1)].any() for here, start in starts]
        numbered = list(enumerate(chosen, self._first_block))
        number = [Cat(here for index, here in numbered if index >> bit & 1).any()
                  for bit in range(len(self.sum_in.exponent) - exact_log2(self._block))]
        return {"kept": Cat(kept), "exponent": Cat(number), "sticky": Cat(below).any()}

    def _shifts(self):
        """Return the distances of the shifts within a block, in two halves."""
        distances = [1 << level for level in reversed(range(exact_log2(self._block)))]
        half = len(distances) // 2
        return ("coarse", distances[:half]), ("fine", distances[half:])

    def _shift_up(self, kept, exponent, sticky, negative, distance):
        """Shift up unless the leading one is near the top; the choice, inverted, is a bit of the exponent."""
        top = kept[-distance:]
        quiet = Mux(negative, top.all(), ~top.any())
        return {"kept": Mux(quiet, kept[:-distance], kept[distance:]), "exponent": Cat(~quiet, exponent),
                "sticky": sticky | (~quiet & kept[:distance].any())}


def _shift_in(m, value, amount, unit, fill):
    """Shift a signed value left by `amount` times `unit` places, bits equal to `fill` coming in below."""
    for bit in amount:
        shifted = Signal(signed(len(value) + unit), name=f"operand_{unit}")
        m.d.comb += shifted.eq(Mux(bit, Cat(fill.replicate(unit), value).as_signed(), value.as_signed()))
        value, unit = shifted, 2 * unit
    return value
