# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The last unit of every engine: what results go through on their way to ``outputs``."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.config import EngineConfig
from ..hdl.layouts import element_shape, payload_layout, without_last

__all__ = ["OutputUnit"]


class OutputUnit(wiring.Component):
    """Base of the schemes' units: ``drain`` neighbouring results of a row, and what belongs to them, become a beat.

    * Latency: ``latency`` cycles in which ``enable`` is high. Throughput: a beat in each of them.

    Members
    -------
    enable : In(1)
        The unit's registers move only with it.
    results : In(ArrayLayout(config.result, drain))
    columns : In(ArrayLayout)
        Constants of their output channels.
    row, common : In
        The row's constant and the tile's, if the scheme has them.
    flags : In(StructLayout)
        ``config.tile_flags``, if there are any.
    payload : Out(StructLayout)
        Of ``outputs``, without ``last``.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        drain, streams = config.drain, config.streams
        columns, *common = streams["constants"]
        rows = streams.get("tokens")
        super().__init__({
            "enable": In(1),
            "results": In(data.ArrayLayout(element_shape(config.result), drain)),
            "columns": In(data.ArrayLayout(element_shape(columns.element), drain)),
            **({"row": In(element_shape(rows[0].element))} if rows else {}),
            **({"common": In(element_shape(common[0].element))} if common else {}),
            **({"flags": In(data.StructLayout(dict.fromkeys(config.tile_flags, 1)))} if config.tile_flags else {}),
            "payload": Out(payload_layout(without_last(streams["outputs"]))),
        })

    @property
    def latency(self) -> int:
        """Cycles from ``results`` to ``payload``, summed from the unit's parts."""
        raise NotImplementedError
