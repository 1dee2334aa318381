# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What stands once at the edge of an RSR array: tables of sums for a row, decoders of weights for a column.

Both hold the array's operand registers; what comes out is the beat that all elements work on in the next cycle.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.rsr import RsrConfig
from ..golden.rsr.codes import KIND_CODES, folded_digits, table_entries
from ..hdl.pipeline import delay

__all__ = ["ActivationTable", "FoldedDecoder", "TritDecoder", "select_layout", "table_layout"]


def table_layout(config: RsrConfig) -> data.ArrayLayout:
    """A beat's tables of one row, [terms][entries]; entry t - 1 is the sum of folded code t, in offset binary."""
    terms = config.lanes // config.term_weights
    return data.ArrayLayout(data.ArrayLayout(config.term_bits, table_entries(config.term_weights)), terms)


def select_layout(config: RsrConfig) -> data.StructLayout:
    """What a weight code selects.

    A table's entry, one-hot, to be complemented if the ``sign`` is set, or nothing, then without a sign. In a tree, where an
    entry is an activation: what its ones (``plus``) and its zeros (``minus``) count.

    With binary selects the ``kind`` of a pair, what the ones and zeros of its sum count, and what makes the lowest and the
    highest bit of that: which activations there are (``x``, ``y``) and whether the parity is ``odd``, and which ``total`` or
    ``difference`` may carry out.
    """
    if config.form == "tree":
        return data.StructLayout({"plus": 1, "minus": 1})
    if config.select == "binary":
        return data.StructLayout({"kind": 2, "x": 1, "y": 1, "odd": 1, "total": 1, "difference": 1, "plus": 1, "minus": 1})
    return data.StructLayout({"index": table_entries(config.mu), "sign": 1})


class ActivationTable(wiring.Component):
    """Tabulates the sums of each ``mu`` activations, up to the sign, for all columns of a row; in a tree: registers them.

    An activation a counts as a + 128, an inverted one as 127 - a: offset binary and its one's complement, without carries.
    What is too much then depends on the weights alone (:func:`subbyte.golden.rsr.streams.column_offsets`). An entry is an
    earlier one plus an activation: (3**mu - 1) / 2 - mu adders.

    * Latency: ``LATENCY``, a cycle, as that of the decoders. Throughput: a beat a cycle; free-running.

    Members
    -------
    activations : In(ArrayLayout(8, lanes))
        INT8, two's complement.
    tables : Out(table_layout(config))
    """

    LATENCY = 1

    def __init__(self, config: RsrConfig):
        self.config = config
        super().__init__({
            "activations": In(data.ArrayLayout(8, config.lanes)),
            "tables": Out(table_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        mu = self.config.term_weights
        tables = Signal.like(self.tables)
        for term in range(self.config.lanes // mu):
            offset = [Cat(a[:7], ~a[7]) for a in (Value.cast(self.activations[term * mu + i]) for i in range(mu))]
            for t, digits in enumerate(folded_digits(mu)):
                if t:
                    m.d.comb += tables[term][t - 1].eq(self._entry(tables[term], digits, offset))
        m.d.comb += self.tables.eq(delay(m, tables, 1, "tables"))
        return m

    def _entry(self, table, digits, offset):
        """The sum of these digits: that without the last of them, and its activation."""
        *rest, last = [i for i, digit in enumerate(digits) if digit]
        added = offset[last] if digits[last] > 0 else (~offset[last])[:8]
        if not rest:
            return added
        earlier = sum(int(digits[i]) * 3 ** (len(digits) - 1 - i) for i in rest)
        return table[earlier - 1] + added


class TritDecoder(wiring.Component):
    """Decodes two neighbouring trit bytes (:mod:`subbyte.golden.rsr.codes` defines them) into what ten weights select.

    * Latency: 1 cycle, its registers are the array's operand registers. Throughput: two bytes a cycle.

    Members
    -------
    codes : In(ArrayLayout(8, 2))
        The byte at an even place and its successor.
    valid : In(1)
        Low: nothing is selected, so that nothing is added.
    selects : Out(ArrayLayout(select_layout(config), 10 or 5))
        For each trit in a tree, for each pair with tables of two.
    """

    def __init__(self, config: RsrConfig):
        self.config = config
        super().__init__({
            "codes": In(data.ArrayLayout(8, 2)),
            "valid": In(1),
            "selects": Out(data.ArrayLayout(select_layout(config), 10 // config.term_weights)),
        })

    def elaborate(self, platform):
        m = Module()
        (even_p, even_q, even_s), (odd_p, odd_q, odd_s) = (self._fields(m, i) for i in range(2))
        if self.config.form == "tree":
            signed = [*_trits(*even_p), *_trits(*even_q), even_s, odd_s, *_trits(*odd_p), *_trits(*odd_q)]
            selects = [Cat(~(sign | zero), sign & ~zero) for sign, zero in signed]
        else:
            pairs = [even_p, even_q, _pair_of_singles(even_s, odd_s), odd_p, odd_q]
            selects = [(_binary if self.config.select == "binary" else _one_hot)(*pair) for pair in pairs]
        m.d.comb += self.selects.eq(delay(m, Cat(selects), 1, "selects"))
        return m

    def _fields(self, m, index):
        """Of one byte: the pairs p and q, each as its bits and whether it is zero, and sign and zero of the single trit."""
        byte, idle = self.codes[index], ~self.valid
        low, high, single = byte[:3], byte[3:6], byte[6:8]
        escape, both = single.all(), high[1:].all()
        p = low, idle | escape & (both | high[0])
        q = Mux(escape, low, high), idle | escape & (both | ~high[0])
        s = Mux(escape, Mux(both, low[:2], high[1:]), single)
        named = []
        for name, value in (("p", Cat(p)), ("q", Cat(q)), ("s", Cat(s[0], s[1] | idle))):
            signal = Signal(len(value), name=f"{name}_{index}")
            m.d.comb += signal.eq(value)
            named.append(signal)
        return (named[0][:3], named[0][3]), (named[1][:3], named[1][3]), (named[2][0], named[2][1])


def _trits(pair, zero):
    """Sign and zero of the two trits of a pair ``kind << 1 | sign``."""
    sign, differs, one = pair
    return (sign, zero | one & ~differs), (sign ^ (differs & ~one), zero | one & differs)


def _pair_of_singles(x, y):
    """The pair, as a byte would hold it, of two trits given as sign and zero; and whether it is zero."""
    (x_sign, x_zero), (y_sign, y_zero) = x, y
    one = x_zero | y_zero
    return Cat(Mux(x_zero, y_sign, x_sign), Mux(one, ~x_zero, x_sign ^ y_sign), one), x_zero & y_zero


def _one_hot(pair, zero):
    """The one-hot select of a pair ``kind << 1 | sign``."""
    sign, kind = pair[0], pair[1:]
    index = [None] * 4
    for value, code in enumerate(KIND_CODES):
        index[code - 1] = (kind == value) & ~zero
    return Cat(*index, sign & ~zero)


def _binary(pair, zero):
    """The binary select of a pair."""
    sign, kind = pair[0], pair[1:]
    total, difference = (kind == 0) & ~zero, (kind == 1) & ~zero
    minus = sign & ~zero
    return Cat(kind, (kind != 2) & ~zero, (kind != 3) & ~zero, minus ^ difference, total, difference, ~(sign | zero), minus)


class FoldedDecoder(wiring.Component):
    """Decodes a folded code into what it selects.

    * Latency: 1 cycle; the register, an operand register of the array, holds the code. Throughput: a code a cycle.

    Members
    -------
    code : In(config.code_bits)
    valid : In(1)
        Low: nothing is selected.
    select : Out(select_layout(config))
    """

    def __init__(self, config: RsrConfig):
        self.config = config
        super().__init__({
            "code": In(config.code_bits),
            "valid": In(1),
            "select": Out(select_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        code = delay(m, self.code & self.valid.replicate(self.config.code_bits), 1, "code")
        magnitude, sign = code[:-1], code[-1]
        m.d.comb += [
            self.select.index.eq(Cat(magnitude == t + 1 for t in range(len(self.select.index)))),
            self.select.sign.eq(sign),
        ]
        return m
