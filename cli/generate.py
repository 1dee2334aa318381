# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte generate`: a language model writes text, each of its linear products computed by the engine's RTL and by golden."""

import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console

from .. import models
from ..explore import Machine, layer_bytes
from ..schemes import Scheme, scheme
from ..schemes.operands import keep_words
from ..sim.engine_run import EngineModel
from ..tools.settings import parse_settings
from .figures import save_figures
from .layers import layer_weight
from .main import Failure
from .recorded import RecordedCommand

__all__ = ["Products", "generate"]

_LOG = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
_NUMPY = "embedding, norms, rotary positions, attention's own products, SwiGLU and head"


@dataclass
class _Work:
    """What a kind of layer has taken so far, of an engine."""

    products: int = 0
    macs: int = 0
    cycles: int = 0
    busy: int = 0
    peak: int = 0
    bytes: int = 0

    def __add__(self, other):
        return _Work(*(getattr(self, name) + getattr(other, name) for name in vars(self)))

    def row(self, tokens):
        """Its figures a token, and shares."""
        return {"cycles_per_token": self.cycles / tokens, "bytes_per_token": self.bytes / tokens,
                "macs_per_token": self.macs / tokens, "utilization": self.busy / (self.cycles or 1),
                "occupancy": self.macs / (self.peak or 1)}


class Products:
    """The linear products of a model, each computed by the RTL and compared with golden; or by golden alone.

    Parameters
    ----------
    one : Scheme
    engine_of : callable
        From a site to the format and config of its layer.
    on_engine : bool
        Whether the RTL computes them.
    model : Model

    Attributes
    ----------
    work : dict of str to _Work
        By the layer's name.
    seconds : float
        Of simulations, those side by side counted each.
    bits : float
        Stored bits of all weights.
    """

    def __init__(self, one: Scheme, engine_of, on_engine: bool, model: models.Model):
        self.scheme, self.engine_of, self.on_engine, self.model = one, engine_of, on_engine, model
        self.work: dict[str, _Work] = {}
        self.seconds, self.bits, self.size = 0.0, 0.0, 0
        self._engines: dict = {}
        self._lock = threading.Lock()

    def layer(self, site, weight):
        """See :data:`subbyte.models.decoder.Layer`."""
        fmt, config = self.engine_of(site)
        qweight = layer_weight(self.scheme, self.model, site, weight, fmt, config)
        keep_words(qweight)
        self.bits += qweight.bits_per_weight * weight.size
        self.size += weight.size
        dequantized, moved = qweight.dequantize(), sum(layer_bytes(Machine(self.scheme, fmt, config), 1, *weight.shape))
        if config not in self._engines:
            self._engines[config] = self._built(config)

        def product(x):
            operand, terms = self.scheme.site(x, weight, dequantized, config, site.normalised, self.scheme.one_token_how)
            terms = {**terms, **self.scheme.derived(operand, qweight, config, **terms)[0]}
            return self._computed(site, self.scheme.product(operand, qweight, config, **terms), self._engines[config], moved)

        return product

    def _built(self, config):
        if not self.on_engine:
            return None
        _LOG.print(f"{self.scheme.title} {config.rows} x {config.cols} x {config.lanes}: generating and compiling the RTL "
                   "(some minutes the first time, then cached)")
        return EngineModel(self.scheme, config)

    def _computed(self, site, product, engine, moved):
        """A product's answer, by the engine if there is one, and what it took."""
        timeline, seconds, y = product.timeline, 0.0, product.y
        if engine is not None:
            result = engine.run(product)
            if result.problems:
                raise Failure(f"{site.tensor}: " + "\n       ".join(result.problems), 1)
            seconds, y = result.run.seconds, result.y
        with self._lock:
            self.work[site.name] = self.work.get(site.name, _Work()) + _Work(
                1, timeline.macs, timeline.cycles, timeline.busy, timeline.peak_macs, moved)
            self.seconds += seconds
        return (y * product.unit).astype(np.float32)


@click.command(cls=RecordedCommand)
@click.argument("scheme", metavar="SCHEME", callback=lambda context, parameter, name: scheme(name))
@click.option("--weights", "path", metavar="FILE", required=True,
              help="A Llama-family model, .gguf or .safetensors as `evaluate` takes it; or .npz, a ternary character model.")
@click.option("--prompt", metavar="TEXT", required=True, help="What the text begins with.")
@click.option("--tokens", metavar="N", type=click.IntRange(min=1), default=8, show_default=True, help="How many to write.")
@click.option("--format", "fmt", metavar="NAME", help="Weight format; an unknown one lists them. Default: the scheme's first.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True,
              help="A parameter of the engine, beside those of one for a single token (rows=1); repeat for more.")
@click.option("--clock", metavar="MHZ", type=click.FloatRange(min=0, min_open=True), default=500, show_default=True,
              help="For tokens a second.")
@click.option("--temperature", metavar="T", type=click.FloatRange(min=0), default=0, show_default=True,
              help="0 takes the likeliest token each time.")
@click.option("--seed", metavar="N", type=int, default=1, show_default=True, help="Seeds the choice of tokens.")
@click.option("--golden", is_flag=True, help="Compute products by the exact model alone: the same text, without RTL.")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path), help="Write the figures to a file as well.")
def generate(scheme, path, prompt, tokens, fmt, settings, clock, temperature, seed, golden, figures):
    """Let a language model write text, every linear product computed by the engine's RTL.

    Each product of each token, the prompt's included, goes through the Verilated engine and is compared with the exact model,
    bit for bit, its cycles with the predicted ones; a difference ends the command with 1. Weights are quantized as `evaluate`
    does it; ternary ones of an .npz file are taken as they are. NumPy computes what is no linear layer of a block: embedding,
    norms, rotary positions, attention's own products, SwiGLU and head. Keys and values are kept, so that a token costs a row.

    \b
    Example:
      subbyte generate {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf --prompt "The capital of France is" \\
          --tokens 4 --set form=dense
      subbyte generate rsr --weights examples/shakespeare_ternary.npz --prompt "ROMEO:" --tokens 8
    """
    config, chosen = _engine(scheme, fmt, parse_settings(scheme.Config, settings))
    products = Products(scheme, lambda site: (chosen, config), not golden, models.open_model(path))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        def together(work):
            return list(pool.map(lambda product: product(), work))

        _LOG.print("quantizing")
        writer = models.Writer(products.model, products.layer, together)
        read = writer.encode(prompt)
        if not 1 <= len(read) <= writer.context - tokens:
            raise ValueError(f"--prompt must be 1 to {writer.context - tokens} tokens, so that {tokens} more fit, "
                             f"not {len(read)}")
        started = time.perf_counter()
        written = _write(writer, read, tokens, temperature, np.random.default_rng(seed))
    told = _figures(products, len(read) + tokens - 1, time.perf_counter() - started, clock * 1e6)
    _tell(told, products, config, chosen, golden, clock)
    if figures is not None:
        save_figures(figures, {
            "scheme": scheme.name, "weights": str(path), "format": chosen, "rows": config.rows, "cols": config.cols,
            "lanes": config.lanes, "on_engine": not golden, "prompt": prompt, "text": writer.decode(written),
            "tokens_read": read, "tokens_written": written, "clock": clock * 1e6, **told})


def _engine(one, fmt, parameters):
    """Config and format of an engine for one token."""
    fmt = fmt or one.formats[0]
    if fmt not in one.formats:
        one.format_for(fmt, one.config_of(one.formats[0], **parameters))
    config = one.token_config(fmt, **parameters)
    return config, one.format_for(fmt, config)


def _write(writer, read, count, temperature, rng):
    """Print the text as it comes; returns the tokens written."""
    click.echo(writer.decode(read), nl=False)
    for token in read:
        scores = writer.step(token)
    written, shown = [], ""
    while True:
        written.append(_choose(scores, temperature, rng))
        text = writer.decode(written)
        if not text.endswith("\ufffd"):  # a character may come in several tokens
            click.echo(text[len(shown):], nl=False)
            sys.stdout.flush()
            shown = text
        if len(written) == count:
            click.echo()
            return written
        scores = writer.step(written[-1])


def _choose(scores, temperature, rng):
    if not temperature:
        return int(scores.argmax())
    shares = np.exp((scores - scores.max()).astype(np.float64) / temperature)
    return int(rng.choice(len(scores), p=shares / shares.sum()))


def _figures(products, passes, seconds, clock) -> Mapping:
    """What there is to tell of ``passes`` tokens."""
    every = sum(products.work.values(), _Work())
    return {
        "tokens": passes, "products": every.products, "seconds": seconds, "seconds_per_token": seconds / passes,
        "simulation_seconds": products.seconds, "tokens_per_second": clock * passes / every.cycles,
        "bits_per_weight": products.bits / products.size, **every.row(passes),
        "layers": [{"layer": name, **products.work[name].row(passes)} for name in models.LINEARS],
    }


def _tell(told, products, config, fmt, golden, clock):
    """Print them."""
    proof = "by the exact model alone" if golden else "bit-identical to the exact model, cycles as predicted"
    click.secho(f"{products.scheme.title} {fmt}, {config.rows} x {config.cols} x {config.lanes}, "
                f"{told['bits_per_weight']:.3f} bits per weight", bold=True)
    click.echo(f"  {'layer':<14}{'cycles a token':>15}{'kB a token':>12}{'utilization':>13}{'occupancy':>11}")
    for layer in [*told["layers"], {"layer": "all", **told}]:
        click.echo(f"  {layer['layer']:<14}{layer['cycles_per_token']:>15,.0f}{layer['bytes_per_token'] / 1e3:>12,.1f}"
                   f"{layer['utilization']:>13.1%}{layer['occupancy']:>11.1%}")
    click.echo(f"  products      {told['products']} of {told['tokens']} tokens, the prompt's included: {proof}")
    click.echo(f"  speed         {told['tokens_per_second']:,.4g} tokens/s of linear layers at {clock:g} MHz; here "
               f"{told['seconds_per_token']:.1f} s a token")
    click.echo(f"  in NumPy      {_NUMPY}")
