# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The shell around every scheme's core: streams, sequencing, waits, drain and error flags.

A core owns arithmetic and nothing else. It is a component with

* attributes ``config`` (rows, cols, lanes, drain), ``group_beats``, ``max_terms``, ``max_passes``, ``max_groups`` (of a
  tile), ``interval`` (shortest distance of group ends, at least 2: the cycle after a tile's end takes its constants),
  ``tiles_kept`` (1, or 2 if the drain shall have registers of its own, so that tiles may be shorter than their way to
  ``outputs``), ``weights_layout``, ``activations_layout``, ``result_shape``, ``flags_layout``, ``output_fields``,
  ``errors_layout``, ``settings`` (members that become ports of the engine);
* ``constants``, the :class:`~subbyte.dequant.constants.Constants` it takes beside weights and activations;
* ``output_unit()``, a new component with :func:`~subbyte.dequant.constants.unit_members` and ``latency`` (in cycles with
  ``enable``);
* members :meth:`core_members` lists, ``settings`` added.
"""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .drain import Drain
from .replay import Replay
from .sequencer import Sequencer, Step, nest

__all__ = ["Engine", "core_members", "levels_of"]

SHELL_ERRORS = ("k_mismatch", "k_too_long", "scales_order")


def levels_of(core):
    """The schedule nest with a core's limits."""
    return nest(terms=core.max_terms, beats=core.group_beats, passes=core.max_passes, groups=core.max_groups)


def core_members(core) -> dict[str, wiring.Member]:
    """Members that the shell connects to.

    step : the term that is performed; ``weights``, ``activations`` are those of its beat.
    scales : of the group, with the step that is its last; only if the scheme has group scales.
    terms, passes : what the beat on ``weights`` takes, combinational.
    results, flags, done : of a finished tile, as :class:`~subbyte.top.drain.Drain` wants them; flags if there are any.
    errors : what is wrong in this cycle, if the core knows errors of its own.
    """
    config = core.config
    has_scales = core.constants.group is not None
    return {
        "step": In(Step(levels_of(core))),
        "weights": In(core.weights_layout),
        "activations": In(core.activations_layout),
        **({"scales": In(core.constants.of_group(config.cols))} if has_scales else {}),
        "terms": Out(range(core.max_terms + 1)),
        "passes": Out(range(core.max_passes + 1)),
        "results": Out(data.ArrayLayout(data.ArrayLayout(core.result_shape, config.cols), config.rows)),
        **({"flags": Out(core.flags_layout)} if core.flags_layout.size else {}),
        "done": Out(1),
        **({"errors": Out(core.errors_layout)} if core.errors_layout.size else {}),
    }


class Engine(wiring.Component):
    """An engine: a core in the shell.

    A beat is offered on ``weights`` and ``activations`` together, worked on for as many cycles as it has terms, and accepted in
    the last of them. ``ready`` of one stream depends on ``valid`` of the others.

    Members
    -------
    weights, activations : In(stream)
        Operands; ``last`` in the last beat of a tile.
    scales : In(stream)
        A beat for each group (``data.group``), accepted with the group's last term, if the scheme has group scales;
        then, ``last`` set, one with the tile's constants (``data.tile``). Without group scales it stays on the stream
        until the tile's results have left.
    tokens : In(stream)
        A beat for each tile, accepted with its constants; only if the scheme has constants of rows.
    outputs : Out(stream)
        Results; ``last`` in the last beat of a tile.
    errors : Out(StructLayout)
        Sticky until ``clear_errors``. ``k_mismatch``: ``last`` of weights and activations disagree; the tile ends with
        the earlier, and only a reset brings the streams together again. ``k_too_long``: the tile has more groups, or
        as a single one more beats, than its sums hold, and its results are wrong. ``scales_order``: ``last`` on a
        group's scales or missing on the constants. Others: the core's.
    clear_errors : In(1)
    """

    def __init__(self, core):
        self.core = core
        self.errors_layout = data.StructLayout({**{name: 1 for name in SHELL_ERRORS}, **core.errors_layout.members})
        config, constants = core.config, core.constants
        super().__init__({
            "weights": In(stream.Signature(data.StructLayout({**core.weights_layout.members, "last": 1}))),
            "activations": In(stream.Signature(data.StructLayout({**core.activations_layout.members, "last": 1}))),
            "scales": In(stream.Signature(data.StructLayout({"data": constants.scales(config.cols), "last": 1}))),
            **({} if constants.row is None else {"tokens": In(stream.Signature(constants.of_rows(config.rows)))}),
            "outputs": Out(stream.Signature(data.StructLayout({**core.output_fields, "last": 1}))),
            "errors": Out(self.errors_layout),
            "clear_errors": In(1),
            **core.settings,
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest."""
        return self.core.describe()

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.sequencer = sequencer = Sequencer(levels_of(core))
        m.submodules.drain = drain = Drain(core)
        activations = self._replayed(m, sequencer)
        advance, last = sequencer.advance, sequencer.last
        self._find_ends(m, sequencer, activations.payload.last)
        constants_due = self._take_scales(m, sequencer, drain)
        waiting = Signal()
        m.d.comb += [
            waiting.eq(
                last.group & (self._too_close(m, sequencer) | constants_due | self._lacks_scales())
                | self._undrained(sequencer, drain)
            ),
            advance.eq(self.weights.valid & activations.valid & ~waiting),
            self.weights.ready.eq(advance & last.beat),
            activations.ready.eq(advance & last.beat),
            core.step.valid.eq(advance),
            *(core.step[name].eq(getattr(sequencer, name)) for name in ("index", "first", "last")),
        ]
        for name in core.weights_layout.members:
            m.d.comb += core.weights[name].eq(self.weights.payload[name])
        for name in core.activations_layout.members:
            m.d.comb += core.activations[name].eq(activations.payload[name])
        for name, member in core.settings.items():
            inner, outer = getattr(core, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        m.d.comb += [
            drain.begin.eq(advance & last.tile),
            drain.done.eq(core.done),
            drain.results.eq(core.results),
        ]
        if core.flags_layout.size:
            m.d.comb += drain.flags.eq(core.flags)
        wiring.connect(m, wiring.flipped(self.outputs), drain.outputs)
        self._collect_errors(m, sequencer, activations, constants_due)
        return m

    def _replayed(self, m, sequencer):
        """The activations, through a replay buffer where the core makes several passes."""
        if self.core.max_passes == 1:
            return self.activations
        m.submodules.replay = replay = Replay(self.activations.payload.shape(), self.core.group_beats)
        wiring.connect(m, wiring.flipped(self.activations), replay.i)
        m.d.comb += [
            replay.index.eq(sequencer.index.beat),
            replay.again.eq(sequencer.index["pass"] != 0),
        ]
        return replay.o

    def _find_ends(self, m, sequencer, activations_last):
        """Where each level of the nest ends."""
        index, at_end = sequencer.index, sequencer.at_end
        tile_end = Signal()
        m.d.comb += [
            tile_end.eq(self.weights.payload.last | activations_last),
            at_end.term.eq(index.term == self.core.terms - 1),
            at_end.beat.eq((index.beat == self.core.group_beats - 1) | tile_end),
            at_end["pass"].eq(index["pass"] == self.core.passes - 1),
            at_end.group.eq(tile_end),
        ]

    def _too_close(self, m, sequencer):
        """Counts the cycles since the last group's end; high while the next one may not come."""
        remaining = Signal(range(self.core.interval))
        with m.If(sequencer.advance & sequencer.last.group):
            m.d.sync += remaining.eq(self.core.interval - 1)
        with m.Elif(remaining != 0):
            m.d.sync += remaining.eq(remaining - 1)
        return remaining != 0

    def _undrained(self, sequencer, drain):
        """The results of the tile before are still in the way of this one's."""
        return sequencer.last.tile & drain.busy

    def _lacks_scales(self):
        """The scales that the end of a group needs are not there."""
        return 0 if self.core.constants.group is None else ~self.scales.valid

    def _take_scales(self, m, sequencer, drain):
        """Scales of a group go to the core with its last term, constants to the drain.

        Returns whether a beat of constants is due on ``scales``, which then blocks the scales of the next group.
        """
        constants = self.core.constants
        constants_due, constants_there, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            constants_there.eq(self.scales.valid),
            drain.constants.eq(self.scales.payload.data.tile),
        ]
        if constants.row is not None:
            m.d.comb += [
                constants_there.eq(self.scales.valid & self.tokens.valid),
                self.tokens.ready.eq(taken),
                drain.tokens.eq(self.tokens.payload),
            ]
        if constants.group is None:
            m.d.comb += [drain.load.eq(constants_there), taken.eq(drain.leaves), self.scales.ready.eq(taken)]
            return Const(0, 1)
        m.d.comb += [
            self.core.scales.eq(self.scales.payload.data.group),
            drain.load.eq(constants_due & constants_there),
            taken.eq(drain.load),
            self.scales.ready.eq(sequencer.advance & sequencer.last.group | taken),
        ]
        with m.If(sequencer.advance & sequencer.last.tile):
            m.d.sync += constants_due.eq(1)
        with m.Elif(taken):
            m.d.sync += constants_due.eq(0)
        return constants_due

    def _collect_errors(self, m, sequencer, activations, constants_due):
        found, last = Signal(self.errors_layout), sequencer.last
        must_be_last = constants_due if self.core.constants.group is not None else 1
        m.d.comb += [
            found.k_mismatch.eq(
                sequencer.advance & last.beat & (self.weights.payload.last != (activations.payload.last & last.group))
            ),
            found.k_too_long.eq(sequencer.advance & (sequencer.index.group == self.core.max_groups)),
            found.scales_order.eq(self.scales.valid & self.scales.ready & (self.scales.payload.last != must_be_last)),
        ]
        for name in self.core.errors_layout.members:
            m.d.comb += found[name].eq(self.core.errors[name])
        kept = Mux(self.clear_errors, 0, self.errors.as_value())
        m.d.sync += self.errors.as_value().eq(kept | found.as_value())
