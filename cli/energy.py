# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte energy`: what an engine's netlist takes to compute a layer."""

import dataclasses
from pathlib import Path

import click
import numpy as np

from ..synth import activity, asic
from ..synth.designs import design_of
from ..synth.energy import MappedEngine, check_library
from ..synth.library import load_library
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from . import operands
from .commands import activation_options, operand_options
from .figures import save_figures
from .main import Failure
from .recorded import RecordedCommand

__all__ = ["energy"]

_SEED = 1


@click.command(cls=RecordedCommand)
@operand_options
@activation_options
@click.option("--liberty", "files", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
              help="Cell library with power tables, .lib or .lib.gz; repeat for one of several files.")
@click.option("--yosys", metavar="PROGRAM", default=DEFAULT, show_default=True,
              help="Another Yosys: a program, or pyosys for the Python package; a native one is faster.")
@click.option("--limit", metavar="SECONDS", type=click.FloatRange(min=1), default=asic.LIMIT, show_default=True,
              help="Most time of a tool.")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path), help="Write the figures to a file as well.")
def energy(scheme, request, tokens, activations, bias, files, yosys, limit, figures):
    """Map an engine, let its netlist compute a layer, and price every transition.

    \b
    The outputs must be the exact model's, bit for bit, and so must those of random operands of the same shape. OpenSTA
    (sta) must be installed. docs/energy.md says what the figures hold: a typical corner, no layout, no clock tree.

    \b
    Example:
      subbyte energy {engine} --weights layer.safetensors --tensor weight --rows 0:8 --tokens 4 \\
          --set rows=4 --set cols=8 --set lanes=8 --liberty nangate45_typ.lib.gz
    """
    library = load_library(files, build_root() / "energy")
    check_library(library)
    taken = operands.operand(scheme, request)
    config = taken.config
    _, product, origin, derived = operands.product_of(scheme, taken, activations, tokens, bias)
    for line in taken.warnings:
        click.echo(f"warning: {line}", err=True)
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    design = design_of(scheme, scheme.part("engine"), settings)
    click.echo(f"{scheme.title} {design.config}: mapping", err=True)
    engine = MappedEngine(design, library, yosys=yosys, limit=limit)
    real, idle = _run(engine, product, "the layer")
    noise = _random(scheme, taken, len(product.y))
    random, _ = _run(engine, noise, "random operands")
    columns = {
        "layer": engine.energies(real),
        "settled": engine.energies(real, settled=True),
        "random": engine.energies(random),
        "idle": engine.energies(idle),
    }
    _show(scheme, taken, design, engine, product, real.cycles, columns, (origin, derived, library.name))
    if figures is not None:
        save_figures(figures, _figures(scheme, taken, design, engine, product, real.cycles, columns, library.name))


def _run(engine, product, what):
    """Activities of a product and of idle cycles before it; the netlist must compute what golden does, in as many cycles."""
    words, busy, idle = activity.run_streams(engine.model, product.inputs, len(product.outputs))
    wrong = int((words != product.outputs).any(axis=1).sum())
    if wrong:
        raise Failure(f"{wrong} of {len(words)} beats of {what} differ from the exact model's", 1)
    if busy.cycles != product.timeline.cycles:
        raise Failure(f"{what} must take the predicted {product.timeline.cycles} cycles, not {busy.cycles}", 1)
    return busy, idle


def _random(scheme, taken, m):
    """A product of normally distributed operands of the same shape, quantized likewise."""
    noise = np.random.default_rng(_SEED)
    n, k = taken.weight.shape
    weight = noise.normal(0, taken.weight.std(), (n, k)).astype(np.float32)
    x = scheme.activations(noise.normal(size=(m, k)).astype(np.float32), taken.config)
    qweight = scheme.quantize(weight, taken.fmt, taken.config)
    terms, _ = scheme.derived(x, qweight, taken.config)
    return scheme.product(x, qweight, taken.config, **terms)


def _total(parts):
    return sum(part.total for part in parts.values())


def _show(scheme, taken, design, engine, product, cycles, columns, said):
    (m, n), macs, (origin, derived, library) = product.y.shape, product.timeline.macs, said
    click.secho(f"{taken.tensor} on {scheme.title}", bold=True)
    work = _total(columns["layer"]) * cycles
    for name, value in [
        ("product", f"X[{m}, {taken.weight.shape[1]}] @ W[{n}, {taken.weight.shape[1]}].T, {taken.fmt}"),
        ("activations", origin),
        *([("derived", derived)] if derived else []),
        ("engine", f"{design.config}; {engine.row.cells:,} cells of {library}, period {engine.row.period:,.0f} ps"),
        ("outputs", "bit-identical to the exact model, by the netlist"),
        ("cycles", f"{cycles}, {macs / cycles:.1f} MAC/cycle"),
        ("energy", f"{work / macs * 1e12:.3f} pJ a MAC, {work / (m * n) * 1e12:,.0f} pJ an output, "
                   f"{work / m * 1e9:,.3f} nJ a token of this product"),
        ("power", f"{_total(columns['layer']) / engine.row.period * 1e15:.1f} mW at that period; idle "
                  f"{_total(columns['idle']) / engine.row.period * 1e15:.1f} mW"),
    ]:
        click.echo(f"  {name:<14}{value}")
    titles = {"layer": "layer", "settled": "no glitches", "random": "random", "idle": "idle"}
    click.echo(f"  {'pJ a cycle':<16}" + "".join(f"{title:>13}" for title in titles.values()))
    for category in sorted(columns["layer"], key=lambda category: -columns["layer"][category].total):
        click.echo(f"  {category:<16}" + "".join(f"{columns[key][category].total * 1e12:>13.2f}" for key in titles))
    for kind in ("internal", "switching", "leakage"):
        click.echo(f"  {'of it ' + kind:<16}" + "".join(
            f"{sum(getattr(part, kind) for part in columns[key].values()) * 1e12:>13.2f}" for key in titles))
    click.echo(f"  {'all':<16}" + "".join(f"{_total(columns[key]) * 1e12:>13.2f}" for key in titles))


def _figures(scheme, taken, design, engine, product, cycles, columns, library):
    """What :func:`_show` says, as numbers; energies are joules."""
    (m, n), macs, work = product.y.shape, product.timeline.macs, _total(columns["layer"]) * cycles
    return {
        "scheme": scheme.name, "format": taken.fmt, "config": design.config, "library": library,
        "m": m, "n": n, "k": taken.weight.shape[1], "cells": engine.row.cells, "area": engine.row.area,
        "period_ps": engine.row.period, "cycles": cycles, "macs": macs,
        "per_mac": work / macs, "per_output": work / (m * n), "per_token": work / m,
        "per_cycle": {key: {category: dataclasses.asdict(part) for category, part in parts.items()}
                      for key, parts in columns.items()},
    }
