# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A core that only counts, for whatever the shell can do: its config, its hardware, and what it answers."""

import enum
from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In

from ..dequant.output_unit import OutputUnit
from ..golden.config import EngineConfig, Work
from ..golden.schedule import GroupSchedule, Schedule, Timing
from ..golden.streams import Field, last_of, pack_beats, unsigned
from ..hdl.layouts import payload_layout
from ..top.core import Core
from ..top.edge import Edge
from ..top.engine import Engine

__all__ = ["CountingConfig", "CountingCore", "CountingEngine", "FaultyCountingEngine", "ShellFault", "tile_operands"]


@dataclass(frozen=True)
class CountingConfig(EngineConfig):
    """What the shell asks of a config; every option of the shell is one here.

    ``max_passes`` of a group, ``scales`` for each group or pass (``scaled``), constants of ``tokens`` and of the tile, tiles
    ``kept``, the ``interval``, and whether an ``edge`` of a cycle stands in front of the array.
    """

    max_passes: int = 1
    scales: bool = True
    kept: int = 1
    scaled: str = "group"
    interval: int = 3
    edge: bool = False
    rows: int = 2
    cols: int = 4
    lanes: int = 1
    drain: int = 2
    group_beats: int = 4
    max_groups: int = 5

    result = unsigned(32)
    tile_flags = ("odd",)

    @property
    def has_tokens(self):
        """Engines with scales have no constants but those of columns; the others have all."""
        return not self.scales

    @property
    def formats_taken(self):
        """One to three terms, one pass or several."""
        return {terms - 1 + 4 * (passes - 1): Work(f"{terms}x{passes}", terms, passes)
                for passes in range(1, self.max_passes + 1) for terms in (1, 2, 3)}

    @property
    def streams(self):
        """Whole 32-bit operands everywhere."""
        common = [Field("common", (Field("shift", 2), Field("added", 32)))] if self.has_tokens else []
        return {
            "weights": (Field("codes", 8, self.cols), Field("format", 3), Field("last")),
            "activations": (Field("data", 8, self.rows), Field("last")),
            **({"scales": (Field("data", 32, self.cols), Field("last"))} if self.scales else {}),
            "constants": (Field("columns", 32, self.cols), *common),
            **({"tokens": (Field("rows", 32, self.rows),)} if self.has_tokens else {}),
            "outputs": (Field("data", 32, self.drain), Field("odd"), Field("last")),
        }

    @property
    def timing(self):
        """Results are there a cycle after the last term; a copy of them takes another."""
        return Timing(self.interval, result=self.kept, output=1, drain_beats=self.drain_beats, kept=self.kept,
                      scaled=self.scaled, edge=int(self.edge))

    def schedule(self, qweight, activations=None):
        """``qweight`` is a list of the groups' beats, terms and passes."""
        return Schedule(tuple(GroupSchedule(beats * self.lanes, beats, terms, passes) for beats, terms, passes in qweight))


class CountingOutput(OutputUnit):
    """Shifts by the tile's constant, adds those of tile, column and row, one cycle later."""

    latency = 1

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.payload.odd.eq(self.flags.odd)
            for i in range(self.config.drain):
                added = self.columns[i]
                if self.config.has_tokens:
                    added = (added << self.common.shift) + self.row + self.common.added
                m.d.sync += self.payload.data[i].eq(self.results[i] + added)
        return m


class LateEdge(Edge):
    """Gives what it takes a cycle later, and one more of it."""

    latency = 1

    def __init__(self, config):
        taken = payload_layout(config.streams["activations"])
        super().__init__(taken, data.StructLayout({"wide": data.ArrayLayout(9, config.rows), "last": 1}), config.group_beats)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.last.eq(self.i.payload.last)]
            m.d.sync += [wide.eq(narrow + 1) for wide, narrow in zip(self.o.payload.wide, self.i.payload.data, strict=True)]
        return m


class CountingCore(Core):
    """Sums ``weight * activation * (1 + term + 4 * pass)`` over a group (or pass), times its scale, over a tile."""

    CONFIG = CountingConfig
    latency = 1

    @property
    def interval(self):
        """Nothing here needs one."""
        return self.config.interval

    def make_edge(self):
        """A late one if wanted."""
        return LateEdge(self.config) if self.config.edge else super().make_edge()

    def output_unit(self):
        """Adds the constants."""
        return CountingOutput(self.config)

    def elaborate(self, platform):
        m = Module()
        step = self.step
        first, last = step.first[self.config.scaled], step.last[self.config.scaled]
        factor = 1 + step.index.term + 4 * step.index["pass"]
        activations = self.activations.wide if self.config.edge else self.activations.data
        for r in range(self.config.rows):
            for c in range(self.config.cols):
                part = Signal(32, name=f"part_{r}_{c}", reset_less=True)
                tile = Signal(32, name=f"tile_{r}_{c}", reset_less=True)
                added = Mux(first, 0, part) + self.weights.codes[c] * activations[r] * factor
                # The first of a tile's parts may last for several steps: they all add to zero.
                before = Mux(self._in_first_part, 0, tile)
                total = (before + added * (self.scales.data[c] if self.config.scales else 1))[:32]
                with m.If(step.valid):
                    m.d.sync += part.eq(added)
                    with m.If(last):
                        m.d.sync += tile.eq(total)
                    with m.If(step.last.tile):
                        m.d.sync += self.results[r][c].eq(total)
        m.d.comb += self.flags.odd.eq(Cat(column[0] for row in self.results for column in row).xor())
        m.d.sync += self.done.eq(step.valid & step.last.tile)
        return m

    @property
    def _in_first_part(self):
        index = self.step.index
        return (index.group == 0) & ((index["pass"] == 0) if self.config.scaled == "pass" else 1)


class CountingEngine(Engine):
    """It in the shell; ``clear_errors`` and ``errors`` as every engine's."""

    CORE = CountingCore


class ShellFault(enum.IntEnum):
    """Faults of the shell."""

    NONE = 0
    CONSTANTS_OF_THE_TILE_BEFORE = 1
    ENDS_TOO_CLOSE = 2
    DRAIN_NOT_AWAITED = 3
    SCALES_NOT_AWAITED = 4
    PAUSE_COUNTS_AS_TERM = 5
    SCALES_TAKEN_WITH_EACH_BEAT = 6


class _FaultyCore(CountingCore):
    """A core with the port ``fault``."""

    def __init__(self, config):
        super().__init__(config)
        self.settings["fault"] = In(ShellFault)
        self.fault = Signal(ShellFault)


class FaultyCountingEngine(CountingEngine):
    """A counting engine with the port ``fault``."""

    CORE = _FaultyCore

    def _offer_constants(self, m, drain):
        super()._offer_constants(m, drain)
        before = Signal.like(drain.constants)
        with m.If(drain.leaves):
            m.d.sync += before.eq(self.constants.payload)
        with m.If(self.fault == ShellFault.CONSTANTS_OF_THE_TILE_BEFORE):
            m.d.comb += drain.constants.eq(before)

    def _too_close(self, m, ends):
        return super()._too_close(m, ends) & (self.fault != ShellFault.ENDS_TOO_CLOSE)

    def _undrained(self, sequencer, drain):
        return super()._undrained(sequencer, drain) & (self.fault != ShellFault.DRAIN_NOT_AWAITED)

    def _lacks_scales(self):
        return super()._lacks_scales() & (self.fault != ShellFault.SCALES_NOT_AWAITED)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.fault == ShellFault.PAUSE_COUNTS_AS_TERM):
            m.d.comb += self.core.step.valid.eq(self.weights.valid)
        with m.If(self.fault == ShellFault.SCALES_TAKEN_WITH_EACH_BEAT):
            m.d.comb += self.scales.ready.eq(self.weights.ready)
        return m


def tile_operands(rng, groups, config):
    """Words of a tile whose groups have (beats, terms, passes), and its results [rows, cols] and their parity."""
    words = {name: [] for name in config.streams if name != "outputs"}
    total = np.zeros((config.rows, config.cols), np.uint64)
    for number, (beats, terms, passes) in enumerate(groups):
        end = number == len(groups) - 1
        a, w = rng.integers(0, 256, (beats, config.rows)), rng.integers(0, 256, (passes, beats, config.cols))
        factor = (1 + np.arange(terms)[:, None] + 4 * np.arange(passes)).sum(axis=0)
        sums = np.einsum("br,pbc,p->prc", a + config.edge, w, factor).astype(np.uint64)
        if config.scaled == "group":
            sums = sums.sum(axis=0, keepdims=True, dtype=np.uint64)
        if config.scales:
            scale = rng.integers(0, 1 << 32, (len(sums), config.cols))
            sums = sums * scale[:, None].astype(np.uint64)
            words["scales"].append(pack_beats(config.streams["scales"], data=scale, last=last_of(len(sums)) & end))
        total += sums.sum(axis=0, dtype=np.uint64)
        words["weights"].append(pack_beats(
            config.streams["weights"], codes=w.reshape(-1, config.cols),
            format=np.full(passes * beats, terms - 1 + 4 * (passes - 1)), last=last_of(passes * beats) & end))
        words["activations"].append(pack_beats(config.streams["activations"], data=a, last=last_of(beats) & end))
    columns = rng.integers(0, 1 << 32, (1, config.cols))
    values, added = {"columns": columns}, columns.astype(np.uint64)
    if config.has_tokens:
        shift, common, rows = rng.integers(0, 4, 1), rng.integers(0, 1 << 32, 1), rng.integers(0, 1 << 32, (1, config.rows))
        values["common"] = {"shift": shift, "added": common}
        words["tokens"].append(pack_beats(config.streams["tokens"], rows=rows))
        added = (added << shift.astype(np.uint64)) + common.astype(np.uint64) + rows.T.astype(np.uint64)
    words["constants"].append(pack_beats(config.streams["constants"], **values))
    sums = total & np.uint64(0xFFFFFFFF)
    return {name: np.concatenate(parts) for name, parts in words.items()}, (sums + added) & np.uint64(0xFFFFFFFF), (
        int(sums.sum()) & 1)
