# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a scheme's arithmetic is to the shell: the contract of all cores."""

from collections.abc import Mapping, Sequence

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from ..dequant.output_unit import OutputUnit
from ..golden.config import EngineConfig
from ..hdl.layouts import element_shape, payload_layout, without_last
from .edge import Edge, Hold, Replay
from .sequencer import Level, Step, nest

__all__ = ["Core"]


class Core(wiring.Component):
    """Base of the cores. A core owns arithmetic and nothing else: the shell owns order, waits, streams and the drain.

    A subclass states what the parts of its array need (``latency``, ``interval``), makes its output unit, and elaborates;
    what it is connected to follows from its config's streams.

    Parameters
    ----------
    config : EngineConfig
    error_names : sequence of str
        What the core can find wrong, a port bit each in the engine's ``errors``.
    settings : mapping of str to Member
        Members that become ports of the engine.

    Members
    -------
    step : In(Step)
        The term that is performed; ``weights``, ``activations`` are those of its beat.
    weights : In
        The stream's payload without ``last``.
    activations : In
        What the edge puts out, without ``last``.
    scales : In
        Of the group (or pass), with the step that is its last; if there is such a stream.
    results : Out(ArrayLayout(ArrayLayout(config.result, cols), rows))
        Of a finished tile, as :class:`~subbyte.top.drain.Drain` wants them.
    flags : Out(StructLayout)
        ``config.tile_flags`` with them, if there are any.
    done : Out(1)
        The first row of results is there, ``latency`` cycles after the tile's last term; the others follow, a row a cycle
        or faster. If the drain has registers of its own (``config.timing.kept`` is 2), all are there.
    errors : Out(StructLayout)
        What is wrong in this cycle, if the core knows errors of its own.
    """

    CONFIG: type[EngineConfig]
    """Class of its config."""

    def __init__(self, config: EngineConfig, *, error_names: Sequence[str] = (), settings: Mapping[str, Member] | None = None):
        self.config, self.error_names, self.settings = config, tuple(error_names), dict(settings or {})
        self.edge = edge = self.make_edge()
        if edge is not None and self.passes > 1 and not edge.repeats:
            raise ValueError(f"edge must repeat beats for the {self.passes} passes of a group, "
                             f"which {type(edge).__name__} does not")
        streams = config.streams
        beat = payload_layout(streams["activations"]) if edge is None else edge.o.payload.shape()
        results = data.ArrayLayout(data.ArrayLayout(element_shape(config.result), config.cols), config.rows)
        super().__init__({
            "step": In(Step(self.levels)),
            "weights": In(payload_layout(without_last(streams["weights"]))),
            "activations": In(data.StructLayout({name: shape for name, shape in beat.members.items() if name != "last"})),
            **({"scales": In(payload_layout(without_last(streams["scales"])))} if "scales" in streams else {}),
            "results": Out(results),
            **({"flags": Out(data.StructLayout(dict.fromkeys(config.tile_flags, 1)))} if config.tile_flags else {}),
            "done": Out(1),
            **({"errors": Out(data.StructLayout(dict.fromkeys(self.error_names, 1)))} if self.error_names else {}),
            **self.settings,
        })

    @classmethod
    def of(cls, config: EngineConfig) -> "Core":
        """The core of a config; a scheme of several forms chooses here."""
        return cls(config)

    @property
    def latency(self) -> int:
        """Cycles from the last term of a tile to ``done``, summed from the parts that the array is made of."""
        raise NotImplementedError

    @property
    def interval(self) -> int:
        """Shortest distance between the ends of two groups (or passes) that these parts bear."""
        raise NotImplementedError

    def output_unit(self) -> OutputUnit:
        """A new unit for the drain to send results through."""
        raise NotImplementedError

    def make_edge(self) -> Edge | None:
        """A new component, the mirror of the output unit: the core's ``edge``, between its stream of activations and the array.

        None: a wire.
        """
        if self.passes == 1:
            return None
        beat = payload_layout(self.config.streams["activations"])
        return Hold(beat) if self.config.group_beats == 1 else Replay(beat, self.config.group_beats)

    def figures(self) -> dict[str, object]:
        """Of the core, for the manifest, beside those that the shell knows."""
        return {}

    def usage(self) -> dict[str, dict]:
        """What a user of the manifest must know of this core: ``errors``, ``beats``, ``codes`` of :func:`.usage.usage`."""
        return {}

    @property
    def terms(self) -> int:
        """Most terms of a beat."""
        return max(work.terms for work in self.config.formats_taken.values())

    @property
    def passes(self) -> int:
        """Most passes of a group."""
        return max(work.passes for work in self.config.formats_taken.values())

    @property
    def levels(self) -> tuple[Level, ...]:
        """The schedule nest with this core's limits."""
        config = self.config
        return nest(terms=self.terms, beats=config.group_beats, passes=self.passes, groups=config.max_groups)
