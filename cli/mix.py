# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte mix`: how far each layer's format takes a model from itself is measured, and a format chosen for each."""

import sys
from collections import Counter
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import models
from ..explore import Mixed, choose
from ..schemes import scheme
from ..tools.settings import parse_settings
from .recorded import RecordedCommand, command_line

__all__ = ["mix", "sensitivities"]

_LOG = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
_WINDOW = 256
"""Tokens of a window: short, so that windows go through a block side by side."""


@click.command(cls=RecordedCommand)
@click.argument("scheme", metavar="SCHEME", callback=lambda context, parameter, name: scheme(name))
@click.option("--weights", "path", metavar="FILE", required=True, help="A Llama-family model, as `evaluate` takes it.")
@click.option("--formats", metavar="NAME,NAME...", required=True, help="Formats to choose from.")
@click.option("--bits", metavar="BITS", type=float, multiple=True, required=True,
              help="Bits a weight over all layers, scales included, at most; repeat for a file each.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="A parameter of the engines; repeat for more.")
@click.option("--tokens", metavar="N", type=click.IntRange(min=2), default=512, show_default=True,
              help=f"How many of the text's last tokens, in whole windows of {_WINDOW}.")
@click.option("--text", metavar="FILE", help="A text in UTF-8. Default: the last tenth of Tiny Shakespeare.")
@click.option("-o", "output", metavar="FILE.json", required=True, type=click.Path(path_type=Path),
              help="Where the formats go; `evaluate`, `simulate` and `plan` take it as --mixed. Of several budgets each has "
              "its bits in the name.")
def mix(scheme, path, formats, bits, settings, tokens, text, output):
    """Choose a format for each linear layer of a model, under a budget of bits a weight.

    Measures how much farther what the model predicts of a text is from what it predicts with its weights as they are, when one
    layer alone takes another format and all others have the widest one: the layers' sensitivities, in nats of Kullback-Leibler
    divergence. From the widest format everywhere on, the layer that loses least for a bit saved takes a narrower one, until the
    budget is met. The text's end is read, so that `evaluate`, which reads a text from its beginning, meets other tokens.

    \b
    Example:
      subbyte mix {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf --formats bitmod-fp4,bitmod-fp3 \\
          --bits 3.5 -o build/mixed.json
    """
    parameters = parse_settings(scheme.Config, settings)
    engines = {name: scheme.config_of(name, **parameters) for name in map(str.strip, formats.split(","))}
    for name, config in engines.items():
        scheme.format_for(name, config)
    if len(engines) < 2:
        raise ValueError(f"--formats must be at least two, not {formats!r}")
    model, read = models.HeldModel(path), models.read_tokens(path, text or models.TEXT)
    size = min(_WINDOW, model.config.context, tokens)
    if tokens > len(read):
        raise ValueError(f"--tokens must be 2 to {len(read)}, the tokens of the text, not {tokens}")
    windows = models.windows(read[len(read) - tokens // size * size :], None, size)
    measured, widths, sizes, base = sensitivities(scheme, engines, model, windows)
    order = sorted(engines, key=lambda name: -sum(sizes[layer] * widths[layer][name] for layer in sizes))
    for budget in bits:
        chosen = choose(widths, measured, sizes, order, budget)
        told = sum(sizes[layer] * widths[layer][fmt] for layer, fmt in chosen.items()) / sum(sizes.values())
        file = output if len(bits) == 1 else output.with_stem(f"{output.stem}-{budget:g}")
        Mixed(scheme.name, {key: _plain(value) for key, value in parameters.items()}, chosen, told).save(
            file, command=command_line(), budget=budget, tokens=windows.size, divergence=base,
            sensitivities={layer: {"bits_per_weight": widths[layer], "losses": measured[layer]} for layer in sizes})
        counts = ", ".join(f"{fmt} in {count}" for fmt, count in Counter(chosen.values()).most_common())
        click.echo(f"{file}: {told:.3f} bits per weight, {counts} of {len(chosen)} layers")
    for fmt in order[1:]:
        layers = sorted(measured, key=lambda layer: -measured[layer][fmt])
        click.echo(f"most sensitive to {fmt}: " + ", ".join(f"{layer} {measured[layer][fmt]:+.4f}" for layer in layers[:5])
                   + f" nats; median {np.median([measured[layer][fmt] for layer in layers]):+.4f}")


def _plain(value):
    return [str(getattr(item, "name", item)) for item in value] if isinstance(value, tuple) else value


def sensitivities(scheme, engines, model, windows):
    """Rises of the divergence by layer and format, in nats; bits a weight likewise; weights by layer; where they start from.

    All but the one layer have the format of most bits, with activations as they are.
    """
    widest = max(engines, key=lambda name: scheme.quantize(model.weight("blk.0.attn_q"), name, engines[name]).bits_per_weight)
    base, measured, widths, sizes = {}, {}, {}, {}
    every = len(models.LINEARS) * model.config.blocks

    def quantized(site, weight, fmt):
        qweight = scheme.quantize(weight, fmt, engines[fmt])
        widths.setdefault(site.tensor, {})[fmt] = qweight.bits_per_weight
        return qweight.dequantize()

    def layer(site, weight):
        if site not in base:
            base[site], sizes[site.tensor] = quantized(site, weight, widest), weight.size
        return models.plain(site, base[site])

    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=_LOG,
                  transient=True, disable=not sys.stderr.isatty()) as progress:
        if not sys.stderr.isatty():
            _LOG.print(f"measuring {every} layers in {len(engines) - 1} formats beside {widest}")
        task = progress.add_task("", total=every)
        reference = models.log_shares(model, windows)
        start = models.divergence(model, windows, layer, reference)
        states = model.weight("token_embd")[windows]
        for block in range(model.config.blocks):
            for name in models.LINEARS:
                site = models.Site(block, name)
                progress.update(task, description=site.tensor)
                measured[site.tensor] = {widest: 0.0}
                for fmt in engines:
                    if fmt != widest:
                        other = quantized(site, model.weight(site.tensor), fmt)
                        one = _with(layer, site, other)
                        found = models.divergence(model, windows, one, reference, behind=(block, states))
                        measured[site.tensor][fmt] = found - start
                progress.advance(task)
            states = models.hidden(model, windows, layer, blocks=block + 1, behind=(block, states))
    return measured, widths, sizes, start


def _with(layer, changed, weight):
    """The layers as they are, but for one."""
    return lambda site, given: models.plain(site, weight) if site == changed else layer(site, given)
