# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make widths`: what bcq's arithmetic loses on every layer of a model, by the width of its aligned activations."""

import dataclasses
import sys

import click
import numpy as np

from .. import models
from ..golden.bcq import BcqConfig
from ..schemes import scheme
from ..sim.engine_run import rms
from ..tools.toolchain import build_root
from ..weights.smollm2 import ModelUnavailable, fetch_model
from .recorded import RecordedCommand

__all__ = ["losses", "main"]

LIMIT = 2e-4
"""Of a layer's error, that which widths are looked for."""
_GUARDS = range(3, 14)
_FORMAT = "bcq4-uniform"


def losses(weight: np.ndarray, x: np.ndarray, config: BcqConfig, guards: range) -> dict[int, float]:
    """Rms errors of a layer's products of x float32 [M, K] by width, up to the first below `LIMIT` from the config's on.

    An error is that of an output against float64 on the quantized operands, over ``sqrt(sum (a w)^2)`` of the output.
    """
    bcq = scheme("bcq")
    qweight, operand = bcq.quantize(weight, _FORMAT, config), bcq.activations(x, config)
    reference = bcq.reference(operand, qweight, config)
    norms = np.sqrt(np.square(operand.astype(np.float64)) @ np.square(qweight.dequantize().astype(np.float64)).T)
    found = {}
    for guard_bits in guards:
        of_width = dataclasses.replace(config, guard_bits=guard_bits)
        error = bcq.answer(operand, qweight, of_width).astype(np.float64) - reference
        found[of_width.aligned_bits] = rms(np.divide(error, norms, out=np.zeros_like(norms), where=norms > 0))
        if found[of_width.aligned_bits] < LIMIT and guard_bits >= config.guard_bits:
            break
    return found


@click.command(cls=RecordedCommand)
@click.option("--tokens", metavar="N", type=click.IntRange(min=1), default=64, show_default=True,
              help="How many of Tiny Shakespeare's first ones the model reads.")
def main(tokens):
    """Print a table by widths, and the layers that the default width does not bring below 2e-4."""
    try:
        path = fetch_model(build_root() / "model")
    except (ModelUnavailable, ValueError) as error:
        sys.exit(f"error: {error}")
    model = models.open_model(path)
    sites = [models.Site(block, name) for block in range(model.config.blocks) for name in models.LINEARS]
    inputs = models.inputs_of(model, models.read_tokens(path, models.TEXT)[:tokens], sites)
    config = BcqConfig(form="uniform", planes=4)
    found = {site.tensor: losses(model.weight(site.tensor), inputs[site], config, _GUARDS) for site in sites}
    print(f"{_FORMAT}, {len(sites)} layers, {tokens} tokens\n\n| bits | median | largest | layer of the largest | layers above "
          f"{LIMIT:g} |\n|---|---|---|---|---|")
    for width in range(BcqConfig(guard_bits=_GUARDS[0]).aligned_bits, config.aligned_bits + 1):
        of_width = {tensor: errors[width] for tensor, errors in found.items()}
        worst = max(of_width, key=lambda tensor: of_width[tensor])
        above = sum(error >= LIMIT for error in of_width.values())
        print(f"| {width} | {np.median(list(of_width.values())):.1e} | {of_width[worst]:.1e} | {worst} | {above} |")
    print(f"\n| layer | {config.aligned_bits} bits | bits below {LIMIT:g} | error |\n|---|---|---|---|")
    for tensor, errors in found.items():
        if errors[config.aligned_bits] >= LIMIT:
            width = max(errors)
            shown = f"{width} | {errors[width]:.1e}" if errors[width] < LIMIT else " | "
            print(f"| {tensor} | {errors[config.aligned_bits]:.1e} | {shown} |")


if __name__ == "__main__":
    main(prog_name="subbyte.cli.widths")
