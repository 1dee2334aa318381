# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The one sequencer: counts through the schedule nest ``tile > group > pass > beat > term``."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Level", "Sequencer", "Step", "nest"]


@dataclass(frozen=True)
class Level:
    """One level of a nest: ``name`` is what is counted, ``within`` what it is counted in.

    The index saturates at ``limit - 1``.
    """

    name: str
    within: str
    limit: int

    @property
    def shape(self) -> range:
        """Shape of the index; at least a bit wide, since not every tool takes signals of none."""
        return range(max(self.limit, 2))


def nest(*, terms: int, beats: int, passes: int, groups: int) -> tuple[Level, ...]:
    """The nest of every engine, innermost first, for at most ``terms`` a beat, ``beats`` a pass, ``passes`` a group.

    The index of a group goes one beyond the last one allowed, so that a tile of too many groups shows.
    """
    return (
        Level("term", "beat", terms),
        Level("beat", "pass", beats),
        Level("pass", "group", passes),
        Level("group", "tile", groups + 1),
    )


class Step(data.StructLayout):
    """What a core is told in each cycle.

    ``valid``: a term is performed. ``index``: number of the term, beat, pass, group in what contains it. ``first`` and
    ``last``: the term is the first, the last one of its beat, pass, group, tile.
    """

    def __init__(self, levels: Sequence[Level]):
        marks = data.StructLayout({level.within: 1 for level in levels})
        super().__init__({
            "valid": 1,
            "index": data.StructLayout({level.name: level.shape for level in levels}),
            "first": marks,
            "last": marks,
        })


class Sequencer(wiring.Component):
    """Counters of a nest. Adding a level is a line in the list of levels.

    Members
    -------
    advance : In(1)
        Perform a term.
    at_end : In(StructLayout)
        For each level's name: its current index is the last one.
    index, first, last : Out
        The fields of :class:`Step`; ``last`` is combinational in ``at_end``, nothing in ``advance``. They are members of their
        own because ``at_end`` and ``advance`` are made of them, and a vector that feeds itself looks like a loop to tools.
    """

    def __init__(self, levels: Sequence[Level]):
        self.levels = tuple(levels)
        step = Step(self.levels).members
        super().__init__({
            "advance": In(1),
            "at_end": In(data.StructLayout({level.name: 1 for level in self.levels})),
            **{name: Out(step[name]) for name in ("index", "first", "last")},
        })

    def elaborate(self, platform):
        m = Module()
        first, last = Const(1), Const(1)
        for level in self.levels:
            index = Signal(level.shape, name=level.name)
            inner_last, last = last, last & self.at_end[level.name]
            first = first & (index == 0)
            m.d.comb += [
                self.index[level.name].eq(index),
                self.first[level.within].eq(first),
                self.last[level.within].eq(last),
            ]
            following = Mux(index == level.limit - 1, index, index + 1)
            with m.If(self.advance & inner_last):
                m.d.sync += index.eq(Mux(self.at_end[level.name], 0, following))
        return m
