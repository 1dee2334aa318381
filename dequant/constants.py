# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What an engine takes beside weights and activations: scales of groups, and the constants of a tile."""

from dataclasses import dataclass

from amaranth.hdl import ShapeLike
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

__all__ = ["Constants", "unit_members"]


@dataclass(frozen=True)
class Constants:
    """Shapes of a scheme's scales and constants; a scheme states those it has.

    Attributes
    ----------
    column : ShapeLike
        An output channel's constant, one a tile.
    group : ShapeLike or None
        An output channel's scale of a group.
    tile : StructLayout or None
        Common to all outputs of a tile.
    row : ShapeLike or None
        A token's constant, one a tile; there is a stream ``tokens`` if it is not None.
    """

    column: ShapeLike
    group: ShapeLike | None = None
    tile: data.StructLayout | None = None
    row: ShapeLike | None = None

    def of_tile(self, cols: int) -> data.StructLayout:
        """The tile's constants, as they come on ``scales``."""
        common = {} if self.tile is None else {"common": self.tile}
        return data.StructLayout({"columns": data.ArrayLayout(self.column, cols), **common})

    def of_group(self, cols: int) -> data.ArrayLayout:
        """The group's scales, as they come on ``scales``."""
        return data.ArrayLayout(self.group, cols)

    def of_rows(self, rows: int) -> data.ArrayLayout:
        """Payload of ``tokens``."""
        return data.ArrayLayout(self.row, rows)

    def scales(self, cols: int) -> data.UnionLayout:
        """Field ``data`` of ``scales``."""
        group = {} if self.group is None else {"group": self.of_group(cols)}
        return data.UnionLayout({**group, "tile": self.of_tile(cols)})


def unit_members(core) -> dict:
    """Members of the output unit of a core: ``drain`` neighbouring results of a row and what belongs to them.

    enable : the unit's registers move only with it.
    results, columns : the results and their output channels' constants.
    row, common : the row's constant and the tile's, if the scheme has them.
    flags : of the tile, as the core gave them, if it has any.
    payload : of ``outputs``, without ``last``.
    """
    constants, drain = core.constants, core.config.drain
    return {
        "enable": In(1),
        "results": In(data.ArrayLayout(core.result_shape, drain)),
        "columns": In(data.ArrayLayout(constants.column, drain)),
        **({} if constants.row is None else {"row": In(constants.row)}),
        **({} if constants.tile is None else {"common": In(constants.tile)}),
        **({"flags": In(core.flags_layout)} if core.flags_layout.size else {}),
        "payload": Out(data.StructLayout(core.output_fields)),
    }
