# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make bench`: measure what README.md states, as Markdown tables that can be pasted there.

Accuracy is the exact model's, which the RTL equals bit for bit; cycles and speed are the RTL's own. Activations of layers are
those of a forward pass.
"""

import contextlib
import sys
from pathlib import Path

import click
import numpy as np

from .. import models
from ..schemes import engines, scheme
from ..sim.engine_run import EngineModel, rms
from ..tools.toolchain import build_root
from ..weights.smollm2 import ModelUnavailable, fetch_model
from . import bench_arithmetic
from .figures import Tee, save_figures, tables_of
from .recorded import RecordedCommand

__all__ = ["accuracy", "main"]

_LAYERS = ("blk.0.ffn_up", "blk.0.attn_q", "blk.11.ffn_down")
_TOKENS = (1, 8)


def accuracy(scheme, fmt, k, samples=1024, seed=1, **parameters):
    """Rms error of the engine's outputs over the norm of their products, ``sqrt(sum((a * w)**2))``.

    Activations are normal times log-normal, ``N(0, 1) * exp(N(0, 1))``, weights N(0, 0.02); every output has
    operands of its own.
    """
    rng = np.random.default_rng(seed)
    config, errors = scheme.Config(**parameters), []
    for _ in range(samples // 32):
        x = scheme.activations(rng.standard_normal((32, k)) * np.exp(rng.standard_normal((32, k))), config)
        qweight = scheme.quantize(rng.normal(0, 0.02, (32, k)), fmt, config)
        product = scheme.product(x, qweight, config)
        norms = np.sqrt(np.square(np.asarray(x, np.float64) * qweight.dequantize()).sum(axis=1))
        errors.append(np.diagonal(product.error) / norms)
    return rms(np.concatenate(errors))


@click.command(cls=RecordedCommand)
@click.option("--scheme", "names", metavar="SCHEME", type=click.Choice(engines()), multiple=True, default=engines(),
              help="Only this one; repeat for more.")
@click.option("--activations", metavar="model:TEXTFILE", default=models.PREFIX, show_default=True, help="What the model reads; "
              "with ,tokens=A:B some tokens, with ,block=B one block in the table of errors. Alone: Tiny Shakespeare.")
@click.option("--layer", "layers", metavar="NAME", multiple=True, default=_LAYERS, show_default=True,
              help="A layer to run through the RTL; repeat for more.")
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write them to a file as well.")
def main(names, activations, layers, output):
    """Print all tables.

    \b
    Example:
      python -m subbyte.cli.bench --scheme {engine} --activations model:README.md,tokens=0:64 --layer blk.3.attn_v
    """
    told = Tee(sys.stdout)
    with contextlib.redirect_stdout(told):
        failed = _print_tables([scheme(name) for name in names], activations, layers)
    if output is not None:
        save_figures(output, {"tables": tables_of(told.getvalue())})
    sys.exit(failed)


def _print_tables(schemes, activations, layers):
    """All of them; returns the exit code."""
    for one in schemes:
        if one.accurate:
            _accuracy_table(one)
    try:
        path = fetch_model(build_root() / "model")
        real = bench_arithmetic.layers_of(path, activations)
        inputs = {layer: models.activations(path, f"{layer}.weight", activations, max(_TOKENS)) for layer in layers}
    except ModelUnavailable as error:
        sys.exit(f"error: the layers need the model: {error}")
    except ValueError as error:
        sys.exit(f"error: {error}")
    for one in schemes:
        bench_arithmetic.table(one, real)
        one.tables(path)
    return max(_layer_table(one, path, inputs) for one in schemes)


def _accuracy_table(scheme):
    group = getattr(scheme.Config(), "group_size", 128)
    print(f"\n{scheme.title}: rms error over the norm of the products, 1024 outputs\n")
    print(f"| format | K = {group} | K = 1536 |\n|---|---|---|")
    for fmt in scheme.formats:
        if scheme.takes(fmt, scheme.Config()):
            print(f"| {fmt} | {accuracy(scheme, fmt, group):.1e} | {accuracy(scheme, fmt, 1536):.1e} |", flush=True)
    if "guard_bits" in scheme.Config.__dataclass_fields__:
        print(f"\n| guard_bits | {scheme.formats[0]}, K = 1536 |\n|---|---|")
        for guard_bits in range(6):
            error = accuracy(scheme, scheme.formats[0], 1536, guard_bits=guard_bits)
            print(f"| {guard_bits} | {error:.1e} |", flush=True)


def _layer_table(scheme, path, inputs):
    print(f"\n{scheme.title}: layers of {path.name} through the RTL, {scheme.formats[0]}\n\n"
          "| layer | N x K | tokens | engine | cycles | utilization | occupancy | cycles/s | seconds | bit-exact |\n"
          "|---|---|---|---|---|---|---|---|---|---|")
    failed, opened = 0, models.open_model(path)
    for settings in scheme.bench:
        config, shown = scheme.Config(**settings), ", ".join(f"{name}={value}" for name, value in settings.items())
        model = EngineModel(scheme, config)
        for layer, x in inputs.items():
            weight = opened.weight(layer)
            qweight = scheme.quantize(weight, scheme.formats[0], config)
            normalised = models.LINEARS[layer.rpartition(".")[2]]
            for tokens in _TOKENS:
                operand, terms = scheme.site(x[:tokens], weight, qweight.dequantize(), config, normalised)
                result = model.run(scheme.product(operand, qweight, config, **terms))
                failed += bool(result.problems)
                print(f"| {layer} | {weight.shape[0]} x {weight.shape[1]} | {tokens} | {shown} | {result.run.cycles} "
                      f"| {result.timeline.busy / result.run.cycles:.2%} | {result.timeline.occupancy:.2%} "
                      f"| {result.cycles_per_second:,.0f} | {result.run.seconds:.1f} "
                      f"| {'no: ' + result.problems[0] if result.problems else 'yes'} |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    main(prog_name="subbyte.cli.bench")
