# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""``acc <- acc + operand``, cut into chunks whose carries wait a cycle for the chunk above.

Where nothing is shifted, the chunks need no order: each adds its part of every operand in the same cycle, and the carry
that the chunk below handed on in the cycle before. So operands need no delay registers, and nothing is to be de-skewed; what
carries still wait at the end is added once, where results leave.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ChunkAccumulator", "resolved"]


class ChunkAccumulator(wiring.Component):
    """Accumulator of unsigned operands whose sum never exceeds its width: ``acc <- (0 if first else acc) + operand``.

    * Latency: a cycle from ``operand`` to the sum within, :attr:`LATENCY` from ``capture`` to ``result``. Throughput: an
      operand a cycle.
    * A cycle with ``first`` and ``operand`` zero leaves the value alone. No state is reset: the first operation comes with
      ``first``.

    Parameters
    ----------
    chunks : sequence of int
        Bits of each chunk, lowest first.
    operand_width : int
    capture : bool
        With shadow registers; otherwise ``result`` are the chunks themselves, and the latency is a cycle less.

    Members
    -------
    operand : In(operand_width)
    first : In(1)
        Forget the old value.
    capture : In(1)
        Take the value that includes this cycle's operand.
    result : Out(StructLayout)
        ``sum``, and if there are several chunks ``carries``: bit k counts as much as the lowest bit of chunk k + 1. See
        :func:`resolved`.
    """

    LATENCY = 2

    def __init__(self, chunks: Sequence[int], operand_width: int, *, capture: bool = True):
        self._chunks, self._with_capture = tuple(chunks), capture
        width = sum(self._chunks)
        if not 1 <= operand_width <= width:
            raise ValueError(f"operand_width must be from 1 to the chunks' sum, {width}, not {operand_width!r}")
        carries = {"carries": len(self._chunks) - 1} if len(self._chunks) > 1 else {}
        super().__init__({
            "operand": In(operand_width),
            "first": In(1),
            **({"capture": In(1)} if capture else {}),
            "result": Out(data.StructLayout({"sum": width, **carries})),
        })

    def elaborate(self, platform):
        m = Module()
        value = Signal(self.result.shape(), reset_less=True)
        carry, carries, start = Const(0, 1), [], 0
        for number, size in enumerate(self._chunks):
            part = self.operand[start:start + size]
            total = Signal(size + 1, name=f"total_{number}")
            m.d.comb += total.eq(Mux(self.first, 0, value.sum[start:start + size]) + part + Mux(self.first, 0, carry))
            m.d.sync += value.sum[start:start + size].eq(total)
            carries.append(total[size])
            carry, start = value.carries[number] if number < len(self._chunks) - 1 else None, start + size
        if len(self._chunks) > 1:
            m.d.sync += value.carries.eq(Cat(carries[:-1]))
        if self._with_capture:
            shadow, take = Signal.like(value, name="shadow"), Signal()
            m.d.sync += take.eq(self.capture)
            with m.If(take):
                m.d.sync += shadow.eq(value)
            value = shadow
        m.d.comb += self.result.eq(value)
        return m


def resolved(result: data.View, chunks: Sequence[int]) -> tuple[Value, Value]:
    """The two addends of a result of so many chunks: the sum, and the carries in their places."""
    if len(chunks) == 1:
        return result.sum, Const(0, len(result.sum))
    spread = [Const(0, chunks[0])]
    for number, size in enumerate(chunks[1:]):
        spread += [result.carries[number], Const(0, size - 1)]
    return result.sum, Cat(spread)
