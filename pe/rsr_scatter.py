# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR's scatter form: each activation is added to the bucket that its weight code names; buckets become outputs at the end."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.rsr.codes import folded_bits, folded_digits, table_entries
from ..hdl.adders import carry_select_add
from ..hdl.pipeline import delay
from ..hdl.selection import one_hot_select

__all__ = ["RsrScatterPE"]


class RsrScatterPE(wiring.Component):
    """``block`` outputs of a vector: an activation a cycle into one of (3**block - 1) / 2 sign-folded buckets.

    Source: RSR (arXiv 2411.06360), section 3, with the two binary passes over a ternary matrix folded into one. Bucket 0 does
    not exist, a code of zero is not written. Two sets of buckets: while one fills, the other shifts out, a bucket a cycle, into
    one accumulator for each output, and so it is empty again. (RSR++'s halving would take block bits fewer cycles off a drain
    that is hidden anyway, for 3**block - 1 - 2 block adders instead of ``block``.) A bucket is a register: equal codes may
    follow each other.

    * Latency: ``latency`` cycles from the vector's last activation to ``done``. Throughput: an activation a cycle.
    * Width: `width` bits, which a sum of ``max_k`` products of -128 and -1 fits.

    Parameters
    ----------
    block : 2 to 5
    max_k : int
        Longest vector.

    Members
    -------
    activation : In(signed(8))
    code : In(folded_bits(block))
        Magnitude and, above it, sign: :func:`subbyte.golden.rsr.fold` of the activation's weights for the outputs.
    valid : In(1)
        There is an activation.
    skip : In(1)
        It is zero: the buckets stay as they are, so that whoever feeds the element may leave it out unless it is the last.
    last : In(1)
        It is the vector's last; at least `entries` cycles from one to the next.
    outputs : Out(ArrayLayout(signed(width), block))
        First output first; whole while ``done`` is high.
    done : Out(1)
    """

    def __init__(self, block: int = 3, max_k: int = 16384):
        if block not in range(2, 6):
            raise ValueError(f"block must be 2 to 5, not {block!r}")
        if not 1 <= max_k <= 1 << 20:
            raise ValueError(f"max_k must be 1 to {1 << 20}, not {max_k!r}")
        self.block, self.entries = block, table_entries(block)
        self.width = (128 * max_k).bit_length() + 1
        super().__init__({
            "activation": In(signed(8)),
            "code": In(folded_bits(block)),
            "valid": In(1),
            "skip": In(1),
            "last": In(1),
            "outputs": Out(data.ArrayLayout(signed(self.width), block)),
            "done": Out(1),
        })

    @property
    def latency(self) -> int:
        """Cycles from the last activation to ``done``: operands, buckets, the other set, its drain."""
        return 3 + self.entries

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        return {
            "products_per_cycle": self.block,
            "sum_bits": self.width,
            "buckets": self.entries,
            "latency_last_term_to_done": self.latency,
            "shortest_distance_of_group_ends": self.entries,
        }

    def elaborate(self, platform):
        m = Module()
        swap = delay(m, self.valid & self.last, 2, "swap", reset=True)
        filled = self._fill(m, platform, swap)
        bucket, position = self._shift_out(m, swap, filled)
        self._add_outputs(m, platform, bucket, position)
        return m

    def _fill(self, m, platform, swap):
        """The set that fills: the buckets' contents."""
        activation = delay(m, self.activation, 1, "activation")
        code = delay(m, self.code, 1, "code")
        write = delay(m, self.valid & ~self.skip, 1, "write", reset=True)
        chosen = self._choose(m, code[:-1], write)
        buckets = [Signal(self.width, name=f"bucket_{t + 1}", reset_less=True) for t in range(self.entries)]
        old, total = Signal(self.width), Signal(self.width)
        m.d.comb += [
            old.eq(self._old(m, buckets, chosen, swap)),
            total.eq(self._add(m, platform, old, activation, code[-1], "activation")),
        ]
        fresh = Signal(init=1)  # out of reset the buckets hold anything
        m.d.sync += fresh.eq(0)
        for t, bucket in enumerate(buckets):
            with m.If(chosen[t]):
                m.d.sync += bucket.eq(total)
            with m.Elif(swap | fresh):
                m.d.sync += bucket.eq(0)
        return buckets

    def _choose(self, m, magnitude, write):
        """The bucket that is written, one-hot: none for a code of zero."""
        chosen = Signal(self.entries)
        m.d.comb += chosen.eq(Cat(magnitude == t + 1 for t in range(self.entries)) & write.replicate(self.entries))
        return chosen

    def _old(self, m, buckets, chosen, swap):
        """What the chosen bucket holds; nothing when a new vector begins."""
        return one_hot_select(buckets, chosen & (~swap).replicate(self.entries))

    def _add(self, m, platform, total, addend, negate, name):
        """Sum or difference, of ``width`` bits."""
        wide = Signal(signed(self.width), name=f"{name}_wide")
        operand = Signal(self.width, name=f"{name}_operand")
        m.d.comb += [wide.eq(addend), operand.eq(wide ^ negate.replicate(self.width))]
        # Two equal bits below make the carry.
        return carry_select_add(m, Cat(negate, total), Cat(negate, operand), platform=platform)[1:]

    def _shift_out(self, m, swap, filled):
        """The set that drains: its bucket of this cycle, and the number of it, one-hot; zero when it is empty."""
        position = Signal(self.entries)
        drained = [Signal(self.width, name=f"drained_{t + 1}", reset_less=True) for t in range(self.entries)]
        m.d.sync += position.eq(Cat(swap, position[:-1]))
        for t, bucket in enumerate(drained):
            following = drained[t + 1] if t + 1 < self.entries else 0
            m.d.sync += bucket.eq(Mux(swap, filled[t], following))
        return drained[0].as_signed(), position

    def _add_outputs(self, m, platform, bucket, position):
        """Add the bucket to each output that its code's digit names."""
        digits = folded_digits(self.block)[1:]
        for i in range(self.block):
            plus, minus = (Cat(position[t] for t in range(self.entries) if digits[t][i] == digit).any() for digit in (1, -1))
            kept, addend = Signal(self.width, name=f"kept_{i}"), Signal(signed(self.width), name=f"addend_{i}")
            negate = Signal(name=f"negate_{i}")
            m.d.comb += [
                kept.eq(Mux(position[0], 0, self.outputs[i])),
                addend.eq(bucket & (plus | minus).replicate(self.width)),
                negate.eq(minus),
            ]
            m.d.sync += self.outputs[i].eq(self._add(m, platform, kept, addend, negate, f"output_{i}"))
        m.d.sync += self.done.eq(position[-1])
