# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Accumulators in chunks, each of which adds the carry that the chunk below has saved the cycle before."""

__all__ = ["chain_bits", "chunks_of"]

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
