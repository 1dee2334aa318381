# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Delay lines for what travels beside a datapath."""

from amaranth.hdl import Module, Signal, ValueLike

__all__ = ["delay"]


def delay(m: Module, value: ValueLike, cycles: int, name: str, *, reset: bool = False) -> ValueLike:
    """Return ``value`` as it was ``cycles`` cycles ago. Views keep their shape.

    Data needs no reset, which saves a gate a bit; a strobe does (``reset=True``: it is zero until the first one arrives).
    """
    for i in range(cycles):
        late = Signal.like(value, name=f"{name}_{i + 1}", init=None, reset_less=not reset)
        m.d.sync += late.eq(value)
        value = late
    return value
