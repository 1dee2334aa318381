# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The look-up table of AMD's 7 series as two of five inputs: what synthesis by Yosys does not find by itself."""

from collections.abc import Callable, Sequence

from amaranth.hdl import Const, Instance, Module, Signal, Value

__all__ = ["dual_table"]

INPUTS = 5


def dual_table(m: Module, name: str, inputs: Sequence[Value], upper: Callable, lower: Callable) -> tuple[Signal, Signal]:
    """Place a ``LUT6_2``, a table's site: two functions of the same up to five bits.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    name : str
        Of the instance.
    inputs : sequence of Value
    upper, lower : callable
        From the inputs' bits, a list of int, to the bit that comes out.
    """
    if len(inputs) > INPUTS:
        raise ValueError(f"inputs must be at most {INPUTS}, not {len(inputs)}")
    rows = [[row >> i & 1 for i in range(len(inputs))] for row in range(1 << INPUTS)]
    init = sum((upper(row) & 1) << 32 + i | (lower(row) & 1) << i for i, row in enumerate(rows))
    outputs = Signal(name=f"{name}_upper"), Signal(name=f"{name}_lower")
    given = {f"i_I{i}": inputs[i] if i < len(inputs) else Const(0, 1) for i in range(INPUTS)}
    m.submodules[name] = Instance("LUT6_2", p_INIT=Const(init, 64), **given, i_I5=Const(1, 1), o_O6=outputs[0], o_O5=outputs[1])
    return outputs
