# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Fields of the floating-point formats."""

from amaranth.hdl import Mux, Value
from amaranth.lib import data

__all__ = ["Float16", "Float32", "exponent_bias", "field_widths", "round_up"]


class Float16(data.Struct):
    """Fields of IEEE 754 binary16, least significant first."""

    fraction: 10
    exponent: 5
    sign: 1


class Float32(data.Struct):
    """Fields of IEEE 754 binary32, least significant first."""

    fraction: 23
    exponent: 8
    sign: 1


def field_widths(float_format) -> tuple[int, int]:
    """Return the bits of fraction and exponent of a struct like :class:`Float32`."""
    try:
        layout = data.Layout.cast(float_format)
        return layout["fraction"].width, layout["exponent"].width
    except (TypeError, KeyError):
        raise TypeError("A floating-point format must be a struct with fields fraction, exponent and sign, "
                        f"not {float_format!r}") from None


def exponent_bias(exponent_width: int) -> int:
    """Return the exponent field of 1.0."""
    return (1 << exponent_width - 1) - 1


def round_up(magnitude: Value, sticky: Value, negative: Value) -> Value:
    """Decide the direction of a rounding to nearest, ties to even, of a sum that may be an inverted negative number.

    A negative sum in two's complement is a magnitude once its bits are inverted and a unit is added. The unit may wait for
    the rounding: below the guard bit of an inverted number stand ones, and if `sticky` is 0 they are all ones, and the
    missing unit is carried into the guard bit.

    Parameters
    ----------
    magnitude : Value
        The kept bits, the guard bit below them; inverted if `negative`.
    sticky : Value
        Whether there are ones further below, before any inversion.
    negative : Value
    """
    guard, odd = magnitude[:2]
    return Mux(negative, guard | (~sticky & odd), guard & (sticky | odd))
