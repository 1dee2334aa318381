# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The shell around every scheme's core: streams, sequencing, waits, drain and error flags."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..golden.config import EngineConfig
from ..golden.parameters import check_choice, check_integer
from ..golden.schedule import Timing
from ..hdl.layouts import payload_layout
from .core import Core
from .drain import Drain
from .sequencer import Sequencer
from .usage import usage

__all__ = ["Engine"]


class Engine(wiring.Component):
    """An engine: a core in the shell.

    A beat is offered on ``weights`` and ``activations`` together, worked on for as many cycles as it has terms, and accepted
    in the last of them. ``ready`` of one stream depends on ``valid`` of the others. Cycles are those of ``config.cycles``,
    exactly.

    Parameters
    ----------
    config : EngineConfig, optional
        Of the core's class; the default one if None.

    Members
    -------
    weights, activations : In(stream)
        Operands; ``last`` in the last beat of a tile.
    scales : In(stream)
        If groups (or passes) have scales: a beat for each, accepted with its last term; ``last`` in the last one of a tile.
    constants : In(stream)
        A beat for each tile, held until the tile's results have left.
    tokens : In(stream)
        Likewise; only if the scheme has constants of rows.
    outputs : Out(stream)
        Results; ``last`` in the last beat of a tile.
    errors : Out(StructLayout)
        Sticky until ``clear_errors``. ``k_mismatch``: ``last`` of weights and activations disagree; the tile ends with
        the earlier, and only a reset brings the streams together again. ``k_too_long``: the tile has more groups, or
        as a single one more beats, than its sums hold, and its results are wrong. ``scales_order``: ``last`` of scales and of
        the tile disagree. ``format_changed``: within a group; ``format_unsupported``: none of the engine's, worked on for a
        term and a pass. Others: the core's.
    clear_errors : In(1)

    Raises
    ------
    ValueError
        If the latencies of the core's parts do not add up to ``config.timing``, which predicts the cycles.
    """

    CORE: type[Core]
    """Class of the core; a subclass for a scheme sets it."""

    def __init__(self, config: EngineConfig | None = None):
        self.config = config = config or self.CORE.CONFIG()
        _check_config(config)
        self.core = self.CORE.of(config)
        streams = config.streams
        self.has_scales, self.has_tokens = "scales" in streams, "tokens" in streams
        self.has_formats = any(field.name == "format" for field in streams["weights"])
        own_errors = ["k_mismatch", "k_too_long", *(["scales_order"] if self.has_scales else []),
                      *(["format_changed", "format_unsupported"] if self.has_formats else [])]
        super().__init__({
            **{name: In(stream.Signature(payload_layout(fields))) for name, fields in streams.items() if name != "outputs"},
            "outputs": Out(stream.Signature(payload_layout(streams["outputs"]))),
            "errors": Out(data.StructLayout(dict.fromkeys([*own_errors, *self.core.error_names], 1))),
            "clear_errors": In(1),
            **self.core.settings,
        })

    def describe(self) -> dict[str, object]:
        """Figures for the manifest, in cycles unless named otherwise."""
        config, timing = self.config, self.config.timing
        formats = config.formats_taken.values()
        has_groups = config.max_groups > 1 or self.core.passes > 1
        return {
            "terms": {work.name: work.terms for work in formats},
            "latency_last_term_to_first_output": timing.result + timing.to_outputs,
            **({"shortest_distance_of_group_ends": timing.interval} if has_groups else {}),
            "shortest_distance_of_tile_ends": min(map(config.tile_distance, formats)),
            "largest_k": config.largest_k,
            "shortest_k_that_hides_the_drain": {work.name: config.shortest_hiding_k(work) for work in formats},
            **self.core.figures(),
        }

    def usage(self) -> dict[str, object]:
        """How it is driven, for the manifest."""
        of_core = {"errors": {}, "beats": {}, "codes": {}, **self.core.usage()}
        return usage(self.config, list(self.errors.shape().members), **of_core)

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.sequencer = sequencer = Sequencer(core.levels)
        m.submodules.drain = drain = Drain(core)
        self._check_timing(drain)
        activations = self.activations if core.edge is None else self._through(m, core.edge, sequencer)
        advance, last = sequencer.advance, sequencer.last
        end = last[self.config.timing.scaled]
        self._find_ends(m, sequencer, activations.payload.last)
        self._offer_constants(m, drain)
        waiting = Signal()
        m.d.comb += [
            waiting.eq(end & (self._too_close(m, advance & end) | self._lacks_scales()) | self._undrained(sequencer, drain)),
            advance.eq(self.weights.valid & activations.valid & ~waiting),
            self.weights.ready.eq(advance & last.beat),
            activations.ready.eq(advance & last.beat),
            core.step.valid.eq(advance),
            *(core.step[name].eq(getattr(sequencer, name)) for name in ("index", "first", "last")),
            *(core.weights[name].eq(self.weights.payload[name]) for name in core.weights.shape().members),
            *(core.activations[name].eq(activations.payload[name]) for name in core.activations.shape().members),
            drain.begin.eq(advance & last.tile),
            drain.done.eq(core.done),
            drain.results.eq(core.results),
        ]
        if self.has_scales:
            m.d.comb += [core.scales[name].eq(self.scales.payload[name]) for name in core.scales.shape().members]
            m.d.comb += self.scales.ready.eq(advance & end)
        for name, member in core.settings.items():
            inner, outer = getattr(core, name), getattr(self, name)
            m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        if self.config.tile_flags:
            m.d.comb += drain.flags.eq(core.flags)
        wiring.connect(m, wiring.flipped(self.outputs), drain.outputs)
        self._collect_errors(m, sequencer, activations)
        return m

    def _check_timing(self, drain):
        """The parts must take as long as the config, by which cycles are predicted, says."""
        stated = self.config.timing
        built = Timing(
            interval=self.core.interval,
            result=self.core.latency + drain.latency,
            output=drain.unit.latency,
            drain_beats=self.config.drain_beats,
            kept=stated.kept,
            scaled=stated.scaled,
            edge=self.core.edge.latency if self.core.edge else 0,
            gathers=self.core.edge.gathers if self.core.edge else False,
        )
        if built != stated:
            raise ValueError(f"config.timing must be what the parts of {type(self.core).__name__} add up to, {built}, "
                             f"not {stated}")

    def _through(self, m, edge, sequencer):
        """The activations behind the core's edge."""
        m.submodules.edge = edge
        wiring.connect(m, wiring.flipped(self.activations), edge.i)
        m.d.comb += [
            edge.index.eq(sequencer.index.beat),
            edge.again.eq(sequencer.index["pass"] != 0),
            edge.final.eq(sequencer.at_end["pass"]),
        ]
        return edge.o

    def _find_ends(self, m, sequencer, activations_last):
        """Where each level of the nest ends."""
        index, at_end = sequencer.index, sequencer.at_end
        tile_end = Signal()
        terms, passes = self._work(m)
        m.d.comb += [
            tile_end.eq(self.weights.payload.last | activations_last),
            at_end.term.eq(index.term == terms - 1),
            at_end.beat.eq((index.beat == self.config.group_beats - 1) | tile_end),
            at_end["pass"].eq(index["pass"] >= passes - 1),  # also where a changed format asks for fewer
            at_end.group.eq(tile_end),
        ]

    def _work(self, m):
        """Terms of the beat on ``weights`` and passes of its group; of a format that there is not, one each."""
        taken = self.config.formats_taken
        if not self.has_formats:
            (work,) = taken.values()
            return Const(work.terms), Const(work.passes)
        terms, passes = Signal(range(self.core.terms + 1)), Signal(range(self.core.passes + 1))
        with m.Switch(self.weights.payload.format):
            for code, work in taken.items():
                with m.Case(code):
                    m.d.comb += [terms.eq(work.terms), passes.eq(work.passes)]
            with m.Default():
                m.d.comb += [terms.eq(1), passes.eq(1)]
        return terms, passes

    def _too_close(self, m, ends):
        """Counts the cycles since the last end of a group (or pass); high while the next one may not come."""
        interval = self.core.interval
        if interval == 1:
            return 0
        remaining = Signal(range(interval))
        with m.If(ends):
            m.d.sync += remaining.eq(interval - 1)
        with m.Elif(remaining != 0):
            m.d.sync += remaining.eq(remaining - 1)
        return remaining != 0

    def _undrained(self, sequencer, drain):
        """The results of the tile before are still in the way of this one's."""
        return sequencer.last.tile & drain.busy

    def _lacks_scales(self):
        """The scales that the end of a group (or pass) needs are not there."""
        return ~self.scales.valid if self.has_scales else 0

    def _offer_constants(self, m, drain):
        """The tile's constants and those of its rows stay on their streams until its results have left."""
        offered = self.constants.valid
        m.d.comb += [drain.constants.eq(self.constants.payload), self.constants.ready.eq(drain.leaves)]
        if self.has_tokens:
            offered = offered & self.tokens.valid
            m.d.comb += [drain.tokens.eq(self.tokens.payload), self.tokens.ready.eq(drain.leaves)]
        m.d.comb += drain.offered.eq(offered)

    def _collect_errors(self, m, sequencer, activations):
        found, last = Signal(self.errors.shape()), sequencer.last
        weights, advance = self.weights.payload, sequencer.advance
        m.d.comb += [
            found.k_mismatch.eq(advance & last.beat & (weights.last != (activations.payload.last & last.group))),
            found.k_too_long.eq(advance & (sequencer.index.group == self.config.max_groups)),
            *(found[name].eq(self.core.errors[name]) for name in self.core.error_names),
        ]
        if self.has_scales:
            m.d.comb += found.scales_order.eq(self.scales.ready & (self.scales.payload.last != last.tile))
        if self.has_formats:
            fmt = Value.cast(weights.format)
            before = Signal.like(fmt, name="format_before", reset_less=True)
            with m.If(advance):
                m.d.sync += before.eq(fmt)
            m.d.comb += [
                found.format_changed.eq(advance & ~sequencer.first.group & (fmt != before)),
                found.format_unsupported.eq(advance & ~fmt.matches(*self.config.formats_taken)),
            ]
        kept = Mux(self.clear_errors, 0, self.errors.as_value())
        m.d.sync += self.errors.as_value().eq(kept | found.as_value())


def _check_config(config):
    """Refuse what the shell cannot do."""
    timing, formats = config.timing, config.formats_taken
    for name in ("interval", "result", "output"):
        check_integer(f"timing.{name}", getattr(timing, name), 1)
    check_choice("timing.kept", timing.kept, (1, 2))
    check_choice("timing.scaled", timing.scaled, ("group", "pass"))
    if config.cols % config.drain:
        raise ValueError(f"drain must divide cols {config.cols}, not be {config.drain!r}")
    for name in ("weights", "activations", *(["scales"] if "scales" in config.streams else []), "outputs"):
        names = [field.name for field in config.streams[name]]
        if names[-1] != "last":
            raise ValueError(f"streams[{name!r}] must end with 'last', not {names[-1]!r}")
    if len(formats) > 1 and not any(field.name == "format" for field in config.streams["weights"]):
        raise ValueError(f"streams['weights'] must have a field 'format' for {len(formats)} formats, to say which it is")
