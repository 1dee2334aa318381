# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Accumulators in chunks, each of which adds the carry that the chunk below has saved the cycle before."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = ["chain_bits", "chunks_of", "resolve", "saved_carries", "saved_carry_sum"]

CHUNK = 8
CARRY_BITS = 2


def chunks_of(width: int) -> list[slice]:
    """The chunks; a rest too short for a saved carry goes to the one below."""
    starts = list(range(0, width, CHUNK))
    if width - starts[-1] < CARRY_BITS and len(starts) > 1:
        starts.pop()
    return [slice(low, high) for low, high in zip(starts, [*starts[1:], width], strict=True)]


def chain_bits(width: int) -> int:
    """Bits of a sum that is not resolved: its chunks, and the carries that all but the last have saved."""
    return width + CARRY_BITS * (len(chunks_of(width)) - 1)


def saved_carry_sum(m: Module, rows: Sequence[Value], first: Value, double: Value | None = None) -> Value:
    """An accumulator of the sum of one or two rows, a cycle later: its chunks, and above them the saved carries.

    ``first``: the sum starts anew; a bit for all chunks, or one for each. ``double``: it is doubled first, its saved carries
    where they stand; a chunk's sum with twice the most carries still leaves no more than they can be.
    """
    sums, carries = [], []
    for number, bits in enumerate(chunks_of(len(rows[0]))):
        fresh = first[number % len(first)]
        kept = Signal(bits.stop - bits.start, name=f"sum_{number}", reset_less=True)
        saved = Signal(CARRY_BITS, name=f"carry_{number}", reset_less=True)
        sum_in, carry_in = kept, carries[-1] if carries else Const(0, CARRY_BITS)
        if double is not None:
            sum_in = Mux(double, Cat(sums[-1][-1] if sums else 0, kept)[: len(kept)], sum_in)
            carry_in = Mux(double, carry_in << 1, carry_in)
        total = Mux(fresh, 0, sum_in) + Mux(fresh, 0, carry_in)
        for row in rows:
            total += row[bits]
        m.d.sync += Cat(kept, saved).eq(total)
        sums.append(kept)
        carries.append(saved)
    return Cat(sums, carries[:-1])


def resolve(chain: Value, width: int) -> Value:
    """The sum of the chunks and saved carries of such an accumulator of ``width`` bits, modulo that width."""
    return chain[:width] + saved_carries(chain, width)


def saved_carries(chain: Value, width: int) -> Value:
    """The saved carries, each in its place."""
    placed, carries = Const(0, 0), chain[width:]
    for number, bits in enumerate(chunks_of(width)[1:]):
        gap = bits.start - len(placed)
        placed = Cat(placed, Const(0, gap), carries[CARRY_BITS * number : CARRY_BITS * (number + 1)])
    return Cat(placed, Const(0, width - len(placed)))
