# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Fields of the floating-point formats."""

from amaranth.lib import data

__all__ = ["Float16", "Float32", "exponent_bias", "field_widths"]


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
