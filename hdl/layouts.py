# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Amaranth's layouts of the payloads that golden models pack: derived from their fields, so that both are one fact."""

from collections.abc import Sequence

from amaranth.hdl import ShapeLike, signed, unsigned
from amaranth.lib import data

from ..golden.streams import Field, Number
from .float_format import Float16, Float32

__all__ = ["element_shape", "field_shape", "payload_layout", "without_last"]


def element_shape(element: Number | tuple[Field, ...]) -> ShapeLike:
    """Shape of a number, or layout of a structure."""
    if isinstance(element, tuple):
        return payload_layout(element)
    if element.kind == "float":
        return {16: Float16, 32: Float32}[element.width]
    return element.names or (signed(element.width) if element.kind == "signed" else unsigned(element.width))


def field_shape(field: Field) -> ShapeLike:
    """Shape of a field: its element's, in arrays by its axes."""
    shape = element_shape(field.element)
    for length in reversed(field.shape):
        shape = data.ArrayLayout(shape, length)
    return shape


def payload_layout(fields: Sequence[Field]) -> data.StructLayout:
    """Layout of a payload."""
    return data.StructLayout({field.name: field_shape(field) for field in fields})


def without_last(fields: Sequence[Field]) -> tuple[Field, ...]:
    """The fields that concern a core; the shell alone looks at ``last``."""
    return tuple(field for field in fields if field.name != "last")
