# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Dequantize, then a fused multiply-add in floating point: the baseline of every engine with FP16 activations."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ...hdl.adders import carry_select_add, ripple_chunks
from ...hdl.bit_heap import BitHeap, Term
from ...hdl.float_format import Float16, exponent_bias, field_widths
from ...hdl.pipeline import delay
from ...hdl.place import place
from ...hdl.selection import one_hot_select

__all__ = ["ConvertedWeight", "DequantizeFma", "FmaArray", "FusedMultiplyAdd"]

_BLOCK = 8


class ConvertedWeight(data.StructLayout):
    """An integer of ``bits_w`` bits as a floating-point number: its significand, and its exponent above that of 1."""

    def __init__(self, bits_w: int):
        super().__init__({"significand": bits_w - 1, "exponent": range(bits_w), "zero": 1, "negative": 1})


class FusedMultiplyAdd(wiring.Component):
    """``sum_out = round(sum_in + a * w)``: the integer weight becomes a floating-point number, then one fused operation.

    One rounding, to nearest, ties to even; subnormal numbers, signed zeros, infinities and NaN as in IEEE 754, with one
    NaN (sign 0, only the top fraction bit set) for all. The weight's conversion is exact.

    * Latency: ``latency`` cycles from ``a`` and ``w``, ``stages`` from ``sum_in``. Throughput: one operation a cycle.

    Parameters
    ----------
    bits_w : int
        Bits of a weight, from 3 to 8.
    sum_format : :class:`amaranth.lib.data.Struct`
        Format of the sums: :class:`~subbyte.hdl.floating.Float16` or :class:`~subbyte.hdl.floating.Float32`.
    stages : int
        Ranks from ``sum_in`` to ``sum_out``, from 1 to 5.
    converted : bool
        The weight's conversion is done elsewhere.

    Members
    -------
    a : In(Float16)
    w : In(signed(bits_w)), or In(ConvertedWeight(bits_w))
    sum_in : In(sum_format)
        ``lead`` cycles later than ``a`` and ``w``.
    sum_out : Out(sum_format)

    Notes
    -----
    The product stands in a fixed place, the sum is shifted right against it (one shifter, before the adder), starting
    two places above; so a larger sum needs no shift, since the product is then less than a quarter of its unit. A
    difference is computed without the unit that completes the negation. If it turns out negative, inverting it is the
    magnitude. If not, the missing unit counts as an endless row of ones below (``fill``), which the rounding resolves.
    Where the result would be subnormal, a mark in the search for the leading one ends the shift.
    """

    _RANKS = {
        1: {"round"},
        2: {"add", "round"},
        3: {"align", "add", "round"},
        4: {"align", "add", "normalize", "round"},
        5: {"align", "add", "lead", "normalize", "round"},
    }

    def __init__(self, bits_w: int = 4, sum_format=Float16, *, stages: int = 4, converted: bool = False):
        if not 3 <= bits_w <= 8:
            raise ValueError(f"bits_w must be from 3 to 8, not {bits_w!r}")
        if stages not in self._RANKS:
            raise ValueError(f"stages must be from 1 to {max(self._RANKS)}, not {stages!r}")
        self.bits_w, self.sum_format, self.stages, self._converted = bits_w, sum_format, stages, converted
        self._fraction, self._exponent_bits = field_widths(sum_format)
        self._precision = self._fraction + 1
        self._product_bits = 11 + bits_w - 1
        self._below = self._bits_below()
        self._window = self._below + self._product_bits + 2 + self._precision
        super().__init__({
            "a": In(Float16),
            "w": In(ConvertedWeight(bits_w) if converted else signed(bits_w)),
            "sum_in": In(sum_format),
            "sum_out": Out(sum_format),
        })

    @property
    def lead(self) -> int:
        """Cycles from ``a`` and ``w`` to their product; a wide weight's conversion has a rank of its own."""
        return 1 if self.bits_w <= 4 or self._converted else 2

    @property
    def latency(self) -> int:
        """Cycles from ``a`` and ``w`` to the sum."""
        return self.lead + self.stages

    def _bits_below(self) -> int:
        """Bits of the window below the product: enough that bits of the sum lost further below only round.

        They may be lost if the product's leading one is `precision` + 1 places above them. A normal activation's is at
        least ``10 + bits_w - 2`` above the product's own lowest bit; a subnormal one's is not, but then the
        product is so small that the sum's lowest possible bit is near.
        """
        normal = self._precision + 1 - (10 + self.bits_w - 2)
        least_of_sum = 1 - exponent_bias(self._exponent_bits) - self._fraction
        subnormal = min(self._precision + 1 - (self.bits_w - 2), -24 + 1 - least_of_sum)
        return max(0, normal, subnormal)

    def elaborate(self, platform):
        m = Module()

        ranks = {*self._RANKS[self.stages], "product", *["weight"] * (self.lead > 1)}

        def step(name, **values):
            """Hold the results of a step in a rank, or only name them."""
            held = {key: Signal.like(Value.cast(v), name=f"{name}_{key}", reset_less=True) for key, v in values.items()}
            domain = "sync" if name in ranks else "comb"
            m.d[domain] += [held[key].eq(value) for key, value in values.items()]
            return held

        weight = self.w if self._converted else _convert(m, self.w)
        state = step("weight", **{name: weight[name] for name in ConvertedWeight(self.bits_w).members}, a=self.a.as_value())
        state = step("product", **self._multiply(m, state))
        state = step("align", **self._align(m, state))
        state = step("add", **self._add(m, state))
        state = step("lead", **self._find_lead(m, state))
        state = step("normalize", **self._normalize(m, state))
        result = step("round", **self._round(state))
        m.d.comb += self.sum_out.as_value().eq(result["number"])
        return m

    def _multiply(self, m, weight) -> dict:
        """Multiply: product, its place (exponent field of the window's top bit), special cases."""
        a, significand = data.View(Float16, weight["a"]), weight["significand"]
        m.submodules.product = heap = BitHeap([Term(11, weight=bit) for bit in range(self.bits_w - 1)])
        significand_a = Cat(a.fraction, a.exponent.any())
        for bit in range(self.bits_w - 1):
            m.d.comb += heap.terms[bit].eq(significand_a & significand[bit].replicate(11))
        offset = exponent_bias(self._exponent_bits) - 25 - (self.bits_w - 2) + self._product_bits + 1 + self._precision
        field_a = Cat(a.exponent[0] | ~a.exponent.any(), a.exponent[1:])
        zero = ~significand_a.any() | weight["zero"]
        place = field_a + weight["exponent"] + offset
        special = a.exponent.all()
        return {
            "value": heap.sum, "place": place & ~zero.replicate(len(place)), "sign": a.sign ^ weight["negative"],
            "infinite": special, "nan": special & (a.fraction.any() | weight["zero"]),
        }

    def _align(self, m, product) -> dict:
        """Shift the sum against the product; inverted if it is to be subtracted."""
        fraction, exponent, sign = self.sum_in.fraction, self.sum_in.exponent, self.sum_in.sign
        field = Cat(exponent[0] | ~exponent.any(), exponent[1:])
        distance = Signal(signed(len(product["place"]) + 1))
        m.d.comb += distance.eq(product["place"] - field)
        above = distance[-1]
        subtract = product["sign"] ^ sign
        aligned, sticky = self._shift_down(m, Cat(fraction, exponent.any()), distance[:-1], above)
        special = exponent.all()
        return {
            "aligned": aligned ^ subtract.replicate(self._window), "sticky": sticky, "value": product["value"],
            "top": Mux(above, field, product["place"]), "subtract": subtract, "sign": product["sign"],
            "infinite": product["infinite"] | special, "infinite_sign": Mux(product["infinite"], product["sign"], sign),
            "nan": product["nan"] | special & (fraction.any() | product["infinite"] & subtract),
        }

    def _shift_down(self, m, value, distance, disable):
        """Shift right from the window's top, the short distances first, while there are few bits; collect what falls out."""
        sticky = Const(0, 1)
        for level, bit in enumerate(distance):
            chosen = bit & ~disable
            lost = max(0, min(len(value), len(value) + (1 << level) - self._window))
            sticky = sticky | chosen & value[:lost].any() if lost else sticky
            zeros = Const(0, min(1 << level, self._window))
            moved = Cat(value, zeros)[lost:] if lost < len(value) else Const(0, 1)
            kept = Cat(zeros, value)
            shifted = Signal(min(self._window, len(value) + (1 << level)), name=f"shifted_{level}")
            m.d.comb += shifted.eq(Mux(chosen, moved, kept[len(kept) - len(shifted):]))
            value = shifted
        return Cat(Const(0, self._window - len(value)), value), sticky

    def _add(self, m, state) -> dict:
        """Add the aligned sum to the product; a negative difference is told by its missing carry."""
        high = self._window - self._below - self._product_bits
        product = Cat(Const(0, self._below), state["value"], Const(0, high + 1))
        total = carry_select_add(m, Cat(state["aligned"], Const(0, 1)), product)
        negative = state["subtract"] & ~total[-1]
        return {
            "total": total[:-1], "negative": negative, "fill": state["subtract"] & total[-1] & ~state["sticky"],
            "sign": state["sign"] ^ negative,
            **_keep(state, "sticky", "top", "infinite", "infinite_sign", "nan"),
        }

    def _find_lead(self, m, state) -> dict:
        """Find the leading one: its block, one bit a block, and its place there, counted from the top."""
        size = -(-(self._window + 1) // _BLOCK) * _BLOCK
        magnitude = Signal(size)
        m.d.comb += magnitude.eq(Cat(state["fill"].replicate(size - self._window),
                                     state["total"] ^ state["negative"].replicate(self._window)))
        found, place = Signal(size), Const(0, 3)
        m.d.comb += found.eq(magnitude[::-1] | Cat(state["top"] == i + 1 for i in range(size)))
        blocks = [found[start:start + _BLOCK] for start in range(0, size, _BLOCK)]
        occupied = Signal(len(blocks))
        m.d.comb += occupied.eq(Cat(block.any() for block in blocks))
        chosen = _first(m, occupied, "chosen")
        for i, block in enumerate(blocks):
            place = place | _number(_first(m, block, f"lead_{i}"))[:3] & chosen[i].replicate(3)
        return {"magnitude": magnitude, "chosen": chosen, "place": place,
                **_keep(state, "negative", "fill", "sign", "sticky", "top", "infinite", "infinite_sign", "nan")}

    def _normalize(self, m, state) -> dict:
        """Bring the leading one to the top; the exponent field follows, and is 0 if there is none."""
        magnitude, fill = state["magnitude"], state["fill"]
        size, blocks = len(magnitude), len(state["chosen"])
        value = one_hot_select((Cat(fill.replicate(_BLOCK * i), magnitude)[:size] for i in range(blocks)), state["chosen"])
        for level in reversed(range(3)):
            shifted = Signal(size, name=f"shifted_up_{1 << level}")
            m.d.comb += shifted.eq(Mux(state["place"][level], Cat(fill.replicate(1 << level), value)[:size], value))
            value = shifted
        field = (state["top"] - Cat(state["place"], _number(state["chosen"])))[:len(state["top"])]
        low = value[:size - self._precision - 1]
        return {
            "kept": value[size - self._precision - 1:], "field": field & value[-1].replicate(len(field)),
            "rest": Mux(fill, low.all(), low.any() | state["sticky"]),
            **_keep(state, "negative", "fill", "sign", "infinite", "infinite_sign", "nan"),
        }

    def _round(self, state) -> dict:
        """Round and put together. Below a guard bit of a number with ``fill``, `rest` says that all bits are ones."""
        guard, odd = state["kept"][:2]
        up = Mux(state["fill"], guard | state["rest"] & odd, guard & (state["rest"] | odd))
        packed = ripple_chunks(Cat(state["kept"][1:-1], state["field"]), up)
        field = packed[self._fraction:]
        huge = state["infinite"] | field[self._exponent_bits:].any() | field[:self._exponent_bits].all()
        cancelled = state["negative"] & ~state["kept"].any() & ~state["rest"]
        sign = Mux(state["infinite"], state["infinite_sign"], state["sign"] & ~cancelled)
        fraction = packed[:self._fraction] & ~(huge | state["nan"]).replicate(self._fraction)
        return {"number": Cat(
            fraction[:-1], fraction[-1] | state["nan"],
            field[:self._exponent_bits] | (huge | state["nan"]).replicate(self._exponent_bits), sign & ~state["nan"])}


class _Loop(wiring.Component):
    """``acc <- (0 if first else acc) + a * w``: :class:`DequantizeFma` without registers for the operands."""

    def __init__(self, *unit, **options):
        self._unit = FusedMultiplyAdd(*unit, **options)
        self.latency = self._unit.latency
        members = self._unit.signature.members
        super().__init__({**{name: members[name] for name in ("a", "w")}, "first": In(1), "acc": Out(self._unit.sum_format)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self._unit
        first, acc = delay(m, self.first, unit.lead, "first"), self.acc.as_value()
        m.d.comb += [
            unit.a.eq(self.a),
            unit.w.eq(self.w),
            unit.sum_in.as_value().eq(acc & ~first.replicate(len(acc))),
            acc.eq(unit.sum_out.as_value()),
        ]
        return m


class DequantizeFma(wiring.Component):
    """``acc <- (0 if first else acc) + a * w`` on a :class:`FusedMultiplyAdd`, with registers for the operands.

    * Latency: ``latency`` cycles. Throughput: one multiply-add per cycle.
    * The loop is ``stages`` cycles long, so that many sums take turns in it: a product joins the sum whose product came
      ``stages`` cycles before. Its ranks are the accumulators of all of them; each leaves at ``acc`` when its turn comes.

    Parameters
    ----------
    bits_w, sum_format, stages
        As in :class:`FusedMultiplyAdd`.

    Members
    -------
    a : In(Float16)
    w : In(signed(bits_w))
    first : In(1)
        The product starts a sum, at +0.
    a_out, w_out
        The operands a cycle later, for a neighbour.
    acc : Out(sum_format)
    """

    def __init__(self, bits_w: int = 4, sum_format=Float16, *, stages: int = 4):
        self._loop = _Loop(bits_w, sum_format, stages=stages)
        super().__init__({
            "a": In(Float16),
            "w": In(signed(bits_w)),
            "first": In(1),
            "a_out": Out(Float16),
            "w_out": Out(signed(bits_w)),
            "acc": Out(sum_format),
        })

    @property
    def latency(self) -> int:
        """Cycles from operands to the sum that includes them."""
        return 1 + self._loop.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.loop = loop = self._loop
        m.d.comb += [
            self.a_out.eq(delay(m, self.a, 1, "a")),
            self.w_out.eq(delay(m, self.w, 1, "w")),
            loop.a.eq(self.a_out),
            loop.w.eq(self.w_out),
            loop.first.eq(delay(m, self.first, 1, "first")),
            self.acc.eq(loop.acc),
        ]
        return m


class FmaArray(wiring.Component):
    """The loops of :class:`DequantizeFma` for rows of activations and columns of weights, each weight converted once a column.

    * Latency: ``latency`` cycles. Throughput: ``rows * cols`` products a cycle.

    Members
    -------
    a : In(ArrayLayout(Float16, rows))
    w : In(ArrayLayout(signed(bits_w), cols))
    first : In(1)
    acc : Out(ArrayLayout(ArrayLayout(sum_format, cols), rows))
    """

    def __init__(self, rows: int, cols: int, bits_w: int = 4, sum_format=Float16, *, stages: int = 4):
        self._bits_w, self._sum_format, self._stages = bits_w, sum_format, stages
        super().__init__({
            "a": In(data.ArrayLayout(Float16, rows)),
            "w": In(data.ArrayLayout(signed(bits_w), cols)),
            "first": In(1),
            "acc": Out(data.ArrayLayout(data.ArrayLayout(sum_format, cols), rows)),
        })

    @property
    def latency(self) -> int:
        """Cycles from operands to the sums that include them: registers, the conversion, the product, the loop."""
        return 3 + self._stages

    def elaborate(self, platform):
        m = Module()
        a, first = delay(m, self.a, 2, "a"), delay(m, self.first, 2, "first")
        for c, code in enumerate(delay(m, self.w, 1, "w")):
            weight = Signal(ConvertedWeight(self._bits_w), name=f"weight_{c}", reset_less=True)
            m.d.sync += [weight[name].eq(value) for name, value in _convert(m, code).items()]
            for r in range(len(a)):
                loop = place(m, platform, f"loop_{r}_{c}", "fma", _Loop, self._bits_w, self._sum_format, stages=self._stages,
                             converted=True)
                m.d.comb += [loop.a.eq(a[r]), loop.w.eq(weight), loop.first.eq(first), self.acc[r][c].eq(loop.acc)]
        return m


def _convert(m, w) -> dict:
    """An integer's fields of :class:`ConvertedWeight`."""
    bits = len(w)
    magnitude = Mux(w[-1], -w, w)[:bits]
    exponent, significand = Signal(range(bits)), Signal(bits - 1)
    for lead in range(bits):
        with m.If(magnitude[lead]):
            m.d.comb += [exponent.eq(lead), significand.eq((magnitude << bits - 1 - lead)[1:bits])]
    return {"significand": significand, "exponent": exponent, "zero": ~magnitude.any(), "negative": w[-1]}


def _keep(state, *names) -> dict:
    return {name: state[name] for name in names}


def _first(m, bits, name) -> Signal:
    """The first one among the bits, one-hot."""
    first = Signal(len(bits), name=name)
    m.d.comb += first.eq(Cat(bits[i] & ~bits[:i].any() if i else bits[0] for i in range(len(bits))))
    return first


def _number(one_hot) -> Value:
    """Binary number of the bit that is set; 0 if none is."""
    width = (len(one_hot) - 1).bit_length()
    return Cat(Cat(one_hot[i] for i in range(len(one_hot)) if i >> bit & 1).any() for bit in range(width))
