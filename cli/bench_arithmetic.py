# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Part of `make bench`: what the engines' exact arithmetic loses on layers of a model that reads a text."""

import dataclasses

import numpy as np

from .. import models
from ..schemes.contract import describe_config
from ..sim.engine_run import rms

__all__ = ["Layer", "layers_of", "table"]

_BLOCKS = (0, 2, 11, 20, 28, 29)
_SPIKE = models.Site(11, "ffn_down")
_TOKENS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A linear layer of a model, and what comes to it: weight float32 [N, K], x float32 [M, K]."""

    site: models.Site
    weight: np.ndarray
    x: np.ndarray


def layers_of(path, given):
    """Layers of some blocks of the model at ``path``, for the first tokens of a reading, as `subbyte.models.Reading` has it."""
    model, reading = models.open_model(path), models.Reading.parse(given)
    blocks = [reading.block] if reading.block is not None else [block for block in _BLOCKS if block < model.config.blocks]
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
    product = scheme.product(operand, qweight, config, **terms)
    norms = np.sqrt(np.square(np.asarray(operand, np.float64)) @ np.square(dequantized.astype(np.float64)).T)
    share = np.divide(product.error, norms, out=np.zeros_like(norms), where=norms > 0)
    return share, rms(product.error) / (rms(product.reference) or 1)


def _spread(errors):
    values = list(errors.values())
    return f"{min(values):.1e} .. {np.median(values):.1e} .. {max(values):.1e}", max(errors, key=errors.get).tensor
