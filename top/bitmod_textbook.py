# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's dense array with textbook parts, for INT4 alone: to compare with; no form of the scheme."""

from ..pe.textbook.aligned import AlignedColumn, AlignedElement, AlignedRow
from .bitmod_dense import BitModDenseCore
from .engine import Engine

__all__ = ["TextbookCore", "TextbookEngine"]


class TextbookCore(BitModDenseCore):
    """Activations aligned once a group times INT4, with the same dequantizers: the same numbers, for at most 16 lanes."""

    ROW_EDGE, COLUMN_EDGE, ELEMENT = AlignedRow, AlignedColumn, AlignedElement


class TextbookEngine(Engine):
    """The core in the shell, for its bench."""

    CORE = TextbookCore
