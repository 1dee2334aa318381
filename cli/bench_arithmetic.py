# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Part of `make bench`: what the engines' exact arithmetic loses on layers of a model that reads a text.

By itself it takes all layers: ``python -m subbyte.cli.bench_arithmetic``.
"""

import dataclasses
import sys

import click
import numpy as np

from .. import models
from ..schemes import engines, scheme
from ..schemes.contract import describe_config
from ..sim.engine_run import rms
from ..tools.toolchain import build_root
from ..weights.smollm2 import ModelUnavailable, fetch_model
from .recorded import RecordedCommand

__all__ = ["Layer", "layers_of", "main", "table"]

_BLOCKS = (0, 2, 11, 20, 28, 29)
_SPIKE = models.Site(11, "ffn_down")
_TOKENS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer of a model, and what comes to it: weight float32 [N, K], x float32 [M, K]."""

    site: models.Site
    weight: np.ndarray
    x: np.ndarray


def layers_of(path, given, blocks=_BLOCKS):
    """Layers of some blocks of the model at ``path``, for the first tokens of a reading, as `subbyte.models.Reading` has it.

    ``blocks``: those that are there count; the reading may name another. None: all.
    """
    model, reading = models.open_model(path), models.Reading.parse(given)
    known = range(model.config.blocks)
    blocks = [reading.block] if reading.block is not None else [block for block in blocks or known if block in known]
    sites = [models.Site(block, name) for block in blocks for name in models.LINEARS]
    tokens = models.read_tokens(path, reading.text)[: reading.stop or _TOKENS]
    inputs = models.inputs_of(model, tokens, sites)
    return [Layer(site, model.weight(site.tensor), inputs[site][reading.start :]) for site in sites]


def table(scheme, layers):
    """Print it: a row for each of the scheme's ``arithmetic``.

    An error is that of an output against float64 on the quantized operands; its rms over a layer is taken over
    ``sqrt(sum (a w)^2)`` of each output, and over the rms of the layer's product.
    """
    print(f"\n{scheme.title}: error of the engine's arithmetic on {len(layers)} layers, {len(layers[0].x)} tokens, rms of a "
          "layer: least, median, largest\n\n| engine | over `sqrt(sum (a w)^2)` | layer of the largest | largest single "
          f"| {_SPIKE.tensor}: first token | later tokens | over the product's rms | layer of the largest |\n"
          "|---|---|---|---|---|---|---|---|")
    for fmt, settings in scheme.arithmetic:
        config = scheme.config_of(fmt, **settings)
        shares, wholes = {}, {}
        for layer in layers:
            shares[layer.site], wholes[layer.site] = errors(scheme, fmt, config, layer)
        spread, worst = _spread({site: rms(share) for site, share in shares.items()})
        whole, worst_whole = _spread(wholes)
        single = max(np.abs(share).max() for share in shares.values())
        spike = shares.get(_SPIKE)
        first, later = ("", "") if spike is None else (f"{rms(part):.1e}" for part in (spike[0], spike[1:]))
        name = describe_config(fmt, dataclasses.replace(scheme.Config(), **settings))
        print(f"| {name} | {spread} | {worst} | {single:.1e} | {first} | {later} | {whole} | {worst_whole} |", flush=True)


def errors(scheme, fmt, config, layer):
    """Of each output over the norm of its products, float64 [M, N]; rms of all over that of the product."""
    qweight = scheme.quantize(layer.weight, fmt, config)
    dequantized = qweight.dequantize()
    operand, terms = scheme.site(layer.x, layer.weight, dequantized, config, layer.site.normalised)
    error, reference = scheme.errors(operand, qweight, config, **terms)
    norms = np.sqrt(np.square(np.asarray(operand, np.float64)) @ np.square(dequantized.astype(np.float64)).T)
    share = np.divide(error, norms, out=np.zeros_like(norms), where=norms > 0)
    return share, rms(error) / (rms(reference) or 1)


def _spread(errors):
    values = list(errors.values())
    return f"{min(values):.1e} .. {np.median(values):.1e} .. {max(values):.1e}", max(errors, key=errors.get).tensor


@click.command(cls=RecordedCommand)
@click.option("--scheme", "names", metavar="SCHEME", type=click.Choice(engines()), multiple=True, default=engines(),
              help="Only this one; repeat for more.")
@click.option("--activations", metavar="model:TEXTFILE", default=models.PREFIX, show_default=True, help="What the model reads; "
              "with ,tokens=A:B some tokens, with ,block=B one block. Alone: Tiny Shakespeare.")
def main(names, activations):
    """Print the table of errors for all layers of the model.

    \b
    Example:
      python -m subbyte.cli.bench_arithmetic --scheme {engine} --activations model:README.md,tokens=0:64
    """
    try:
        layers = layers_of(fetch_model(build_root() / "model"), activations, None)
    except ModelUnavailable as error:
        sys.exit(f"error: the layers need the model: {error}")
    except ValueError as error:
        sys.exit(f"error: {error}")
    for name in names:
        table(scheme(name), layers)


if __name__ == "__main__":
    main(prog_name="subbyte.cli.bench_arithmetic")
