# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte plan`: what a language model takes of an engine and its memory, layer by layer."""

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ..explore import NAMED, Machine, cost_of, engine_for, load_mixed, mixed_cost, shape_of
from ..schemes import scheme
from ..tools.outputs import write_whole
from ..tools.settings import parse_settings, parse_stored
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["plan"]


@click.command(cls=RecordedCommand)
@click.argument("engines", metavar="ENGINE...", nargs=-1, required=True)
@click.option("--model", "name", metavar="NAME|FILE", required=True,
              help=f"{', '.join(NAMED)}, a config.json of Hugging Face, or a file of weights.")
@click.option("--clock", metavar="MHZ", type=click.FloatRange(min=0, min_open=True), default=500, show_default=True)
@click.option("--count", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Engines that share a layer's output channels.")
@click.option("--bandwidth", metavar="GB/S", type=click.FloatRange(min=0, min_open=True), default=25.6, show_default=True,
              help="Of the memory, reads and writes together.")
@click.option("--latency", metavar="CYCLES", type=click.IntRange(min=0), default=100, show_default=True,
              help="From a read to its first beat.")
@click.option("--bus", metavar="BYTES", type=click.Choice(["4", "8", "16", "32", "64"]), default="32", show_default=True,
              help="Of a beat of each engine's bus.")
@click.option("--prompt", metavar="TOKENS", type=click.IntRange(min=1), default=512, show_default=True, help="Read at once.")
@click.option("--batch", metavar="N", type=click.IntRange(min=1), default=1, show_default=True, help="Texts written at once.")
@click.option("--mixed", metavar="FILE",
              help="A format for each layer, as `subbyte mix` chose them; engines are of its scheme.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw the roofline (.svg, .png, .pdf).")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path), help="Write the figures to a file as well.")
def plan(engines, name, clock, count, bandwidth, latency, bus, prompt, batch, mixed, plot, figures):
    """Predict cycles, bytes and tokens a second of a model's linear layers.

    An ENGINE is SCHEME[:FORMAT][,KEY=VALUE...]; several are set beside each other. Cycles of engines are exact, and so are
    bytes; a layer takes whichever is longer, and the memory's latency once.

    \b
    Example:
      subbyte plan {engine}:{format},rows=8 tender:int4 --model Llama-2-7B --clock 800 --bandwidth 51.2
    """
    shape, rows = shape_of(name), []
    longest = max(layer.k for layer in shape.layers)
    machines = [_machine(text, longest, clock * 1e6, count, bandwidth * 1e9, latency, int(bus)) for text in engines]
    if mixed is None:
        costs = [(cost_of(machine, shape, prompt), cost_of(machine, shape, batch)) for machine in machines]
    else:
        mixed = load_mixed(mixed)
        costs = [_mixed_costs(machine, mixed, shape, (prompt, batch)) for machine in machines]
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{shape.name}: {shape.weights / 1e6:,.1f} M weights in the linear layers of {shape.blocks} blocks "
                  f"({shape.source})")
    for prefill, decode in costs:
        name = _name(prefill.machine, mixed)
        _show(console, f"{name}, {prompt} tokens read at once", prefill, mixed)
        _show(console, f"{name}, a token each of {batch} text{'s' * (batch > 1)}", decode, mixed)
        rows.append(_told(prefill, decode, name))
    context = prompt + 1
    outside = {"attention_macs_a_token": shape.attention_macs(context), "head_macs_a_token": shape.head_macs,
               "vector_elements_a_token": shape.vector_elements}
    console.print(f"Outside, a token at a context of {context}: attention {outside['attention_macs_a_token'] / 1e6:,.1f} M "
                  f"MACs, head {shape.head_macs / 1e6:,.1f} M MACs, norms and the like {shape.vector_elements / 1e3:,.1f} k "
                  f"elements; the linear layers have {shape.weights / 1e6:,.1f} M MACs.")
    if plot:
        from ..report.roofline import roofline

        write_whole(plot, roofline([cost for pair in costs for cost in pair], plot.suffix.removeprefix(".") or "svg"))
    if figures:
        save_figures(figures, {"model": shape.name, "source": shape.source, "outside": outside, "prompt": prompt,
                               "batch": batch, **rows[0], "engines": rows})


def _machine(text, longest, *numbers):
    """An engine as typed, SCHEME[:FORMAT][,KEY=VALUE...], whose sums hold the longest reduction if nothing else is said."""
    head, *settings = text.split(",")
    name, _, fmt = head.partition(":")
    parameters = parse_settings(scheme(name).Config, settings)
    return Machine(*engine_for(name, fmt or None, parameters, longest), *numbers)


def _mixed_costs(machine, mixed, shape, counts):
    """Costs of passes of so many tokens, with a machine for each format of a file."""
    one = mixed.check(machine.scheme) and machine.scheme
    machines = {}
    for fmt in sorted(set(mixed.formats.values())):
        config = replace(machine.config, **{**parse_stored(one.Config, mixed.settings), **one.format_settings.get(fmt, {})})
        machines[fmt] = replace(machine, fmt=one.format_for(fmt, config), config=config)
    for name in (f"blk.{block}.{layer.name}" for block in range(shape.blocks) for layer in shape.layers):
        mixed.format_of(name)
    return tuple(mixed_cost(machines, mixed.formats, shape, m) for m in counts)


def _kinds(cost, formats):
    """Layers of a cost that are alike, once, with how many they are."""
    known = {}
    for layer in cost.layers:
        fmt = formats[layer.layer.name]
        kind = f"{layer.layer.name.split('.')[-1]} {fmt}"
        known.setdefault(kind, [replace(layer, layer=replace(layer.layer, name=kind)), 0])[1] += 1
    return [(replace(layer, layer=replace(layer.layer, name=f"{count} x {layer.layer.name}")), count)
            for layer, count in known.values()]


def _show(console, title, cost, mixed=None):
    table = Table(title=title, title_justify="left")
    for column in ("layer", "N x K", "cycles", "MB", "bound", "busy", "occupied"):
        table.add_column(column, justify="left" if column in ("layer", "bound") else "right", no_wrap=True)
    for layer in cost.layers if mixed is None else [kind for kind, _ in _kinds(cost, mixed.formats)]:
        table.add_row(layer.layer.name, f"{layer.layer.n} x {layer.layer.k}", f"{layer.cycles:,}", f"{layer.bytes / 1e6:,.2f}",
                      layer.bound.value, f"{layer.utilization:.1%}", f"{layer.occupancy:.1%}")
    console.print(table)
    console.print(f"all blocks: {cost.cycles:,} cycles, {cost.bytes:,} bytes, {cost.tokens_per_second:,.4g} tokens/s\n")


def _name(machine, mixed):
    """Of an engine, in tables."""
    return machine.name if mixed is None else machine.name.replace(f" {machine.fmt} ", " mixed ", 1)


def _told(prefill, decode, name):
    """The figures of an engine."""
    def layers(cost):
        return [{
            "name": layer.layer.name, "n": layer.layer.n, "k": layer.layer.k, "cycles": layer.cycles,
            "engine_cycles": layer.engine_cycles, "bytes": layer.bytes, "weight_bytes": layer.weight_bytes,
            "bound": layer.bound.value, "utilization": layer.utilization, "occupancy": layer.occupancy,
        } for layer in cost.layers]

    return {
        "engine": name, "prefill_tokens_per_s": prefill.tokens_per_second,
        "decode_tokens_per_s": decode.tokens_per_second, "prefill_cycles": prefill.cycles, "decode_cycles": decode.cycles,
        "prefill_bytes": prefill.bytes, "decode_bytes": decode.bytes, "layers": layers(decode),
        "prefill_layers": layers(prefill),
    }
