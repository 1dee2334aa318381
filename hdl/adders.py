# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Carry-propagate additions that logic synthesis leaves as short as they are written.

Of ``a + b`` it makes a chain with a gate for each bit, and so it does of parallel-prefix adders, which it flattens; additions
in chunks survive. Where carry chains are wired, on FPGAs, and up to 8 bits, ``+`` is the better choice: on a ``platform`` for
an FPGA it is what these functions make.
"""

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from .pipeline import delay
from .target import is_fpga

__all__ = [
    "CHUNK", "add_chunks", "carried_add", "carry_save", "carry_select_add", "chunks_of_ones", "ripple_chunks", "split_add",
]

CHUNK = 8
"""Bits of the chunks of :func:`add_chunks` and :func:`ripple_chunks`."""


SPLIT = 5
"""Of those of :func:`split_add` and :func:`carried_add`: the carry between them takes about as long."""


def add_chunks(a: Value, b: Value, carry: Value, size: int = CHUNK) -> dict[str, Value]:
    """Add two values of one width chunk by chunk, each without the carry of the one below; ``carry`` enters the first.

    Returns
    -------
    dict
        ``parts``: the chunks' sums; ``carries``: what each hands on by itself; ``ones``: whether it would pass a carry on.
        :func:`ripple_chunks` makes the sum of them, perhaps a cycle later.
    """
    parts, carries, ones = [], [], []
    for low in range(0, len(a), size):
        high = min(low + size, len(a))
        # The bit below the chunk makes its carry in, without a second adder.
        below = carry if low == 0 else Const(0, 1)
        part = Cat(below, a[low:high]) + Cat(below, b[low:high])
        parts.append(part[1:high - low + 1])
        carries.append(part[high - low + 1])
        ones.append((a[low:high] ^ b[low:high]).all())
    return {"parts": Cat(parts), "carries": Cat(carries), "ones": Cat(ones)}


def carry_save(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Two values whose sum is that of three of one width, modulo 2 to that width."""
    return a ^ b ^ c, Cat(Const(0, 1), (a & b) | (c & (a ^ b)))[:len(a)]


def split_add(m, a: Value, b: Value, name: str, platform=None) -> Value:
    """Sum of two values of one width, modulo 2 to that width, a cycle later: chunks before the register, carries behind."""
    if is_fpga(platform):
        return delay(m, (a + b)[:len(a)], 1, name)
    chunks = add_chunks(a, b, Const(0, 1), SPLIT)
    parts, carries, ones = (delay(m, value, 1, f"{name}_{key}") for key, value in chunks.items())
    return ripple_chunks(parts, Const(0, 1), carries, ones, SPLIT)


def carried_add(m, a: Value, b: Value, name: str) -> Value:
    """Likewise where a whole cycle is there: the chunks' carries are known before the register, and enter them behind it.

    A scaler's product of 48 bits no longer sets its period so: 0.84 ns in Nangate45, 1.18 ns with :func:`carry_select_add`.
    """
    chunks, into, carry = add_chunks(a, b, Const(0, 1), SPLIT), [], Const(0, 1)
    for handed_on, passes in zip(chunks["carries"], chunks["ones"], strict=True):
        into.append(carry)
        carry = handed_on | passes & carry
    parts, into = (delay(m, value, 1, f"{name}_{key}") for key, value in (("parts", chunks["parts"]), ("into", Cat(into))))
    chunked = (parts[low : low + SPLIT] for low in range(0, len(parts), SPLIT))
    return Cat((chunk + bit)[: len(chunk)] for chunk, bit in zip(chunked, into, strict=True))


def carry_select_add(m, a: Value, b: Value, block: int = 4, *, platform=None) -> Value:
    """Sum of two values of one width, modulo 2 to that width; faster than ``a + b`` at about the same area.

    Each ``block`` bits are added for both values of the carry that enters them, which then chooses.
    """
    if is_fpga(platform):
        return (a + b)[:len(a)]
    sums, carry = [], None
    for start in range(0, len(a), block):
        bits = slice(start, start + block)
        total = Signal(len(a[bits]) + 1, name=f"without_carry_{start}")
        m.d.comb += total.eq(a[bits] + b[bits])
        if carry is not None:
            with_carry = Signal.like(total, name=f"with_carry_{start}")
            chosen = Signal.like(total, name=f"chosen_{start}")
            m.d.comb += [with_carry.eq(a[bits] + b[bits] + 1), chosen.eq(Mux(carry, with_carry, total))]
            total = chosen
        carry = total[-1]
        sums.append(total[:-1])
    return Cat(sums)


def chunks_of_ones(value: Value) -> Value:
    """Which chunks of a number hold ones alone: they hand on a carry."""
    return Cat(value[low:low + CHUNK].all() for low in range(0, len(value), CHUNK))


def ripple_chunks(value, carry, carries=None, ones=None, size=CHUNK):
    """Add a carry, and those that chunks of the value have handed on; a chunk of ones hands on its own.

    As one addition this would become a chain with a gate for each bit, behind the carry that comes last.

    Parameters
    ----------
    value : Value
        The number, or the sums of the chunks of two numbers.
    carry : Value
        One bit to add.
    carries, ones : Value or None
        What the chunks of two numbers hand on by themselves, and whether they pass on a carry; None for one
        number, whose chunks that do (:func:`chunks_of_ones`) may be given.
    """
    total = []
    for index, low in enumerate(range(0, len(value), size)):
        chunk = value[low:low + size]
        total.append((chunk + carry)[:len(chunk)])
        carry = carry & (chunk.all() if ones is None else ones[index])
        carry = carry if carries is None else carry | carries[index]
    return Cat(total)
