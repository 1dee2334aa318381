# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte inspect`: what is in a weight file, and which scheme takes it."""

from pathlib import Path

import click

from .. import weights
from ..schemes import engines, scheme, stored_tensors
from ..sim.engine_run import rms
from . import operands
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["inspect"]

_ROWS = 64
"""Rows of a tensor that losses are measured on; whether it is taken exactly is found out on all."""


@click.command(cls=RecordedCommand)
@click.argument("file", metavar="FILE")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path), help="Write it to a file as well.")
def inspect(file, figures):
    """Say what a model file holds: name, type, shape; which schemes take it exactly, and which comes nearest with what loss.

    The loss is the rms of the error by that of the weights, on the first 64 rows, in each scheme's first format where it
    does not take the file's own codes.

    \b
    Example:
      subbyte inspect model.gguf --json model.json
    """
    stored = stored_tensors(file)
    entries = [_stored(name, entry) for name, entry in stored.items()] or [
        _entry(file, name, shape) for name, shape in weights.list_tensors(file).items()
    ]
    if figures is not None:
        save_figures(figures, {"file": str(file), "tensors": entries})
    width = max((len(entry["name"]) for entry in entries), default=0)
    for entry in entries:
        shape = " x ".join(map(str, entry["shape"]))
        click.echo(f"{entry['name']:<{width}}  {entry['type']:<12} {shape:<16} {_verdict(entry)}")


def _stored(name, entry):
    qweight = entry["source"]
    return {
        "name": name,
        "type": f"{entry['scheme']}, {entry['weight_format']}",
        "shape": entry["shape"],
        "exact": [entry["scheme"]],
        "nearest": entry["scheme"],
        "losses": {entry["scheme"]: qweight["error_rms"] / (qweight["weight_rms"] or 1)},
        "problem": None,
        "source": entry["source"],
    }


def _entry(file, name, shape):
    """What there is to say of one tensor; a problem of its own is said, and leaves the others to be read."""
    entry = {
        "name": name,
        "type": weights.open_file(file).type_of(name),
        "shape": list(shape),
        "exact": [],
        "nearest": None,
        "losses": {},
        "problem": None,
    }
    if len(shape) not in (2, 3) or 0 in shape:
        return entry
    try:
        entry |= _fits(str(file), name, shape)
    except ValueError as error:
        entry["problem"] = str(error).removeprefix(f"{file}: ")
    return entry


def _fits(file, name, shape):
    expert, problems = (None if len(shape) == 2 else 0), {}
    exact, losses = [], {}
    for engine in map(scheme, engines()):
        try:
            taken = operands.operand(engine, operands.Request(file, name, f"0:{min(_ROWS, shape[-2])}", expert))
            losses[engine.name] = rms(taken.error) / (rms(taken.weight) or 1)
            if not losses[engine.name]:
                for each in [None] if expert is None else range(shape[0]):
                    operands.operand(engine, operands.Request(file, name, expert=each, exact=True))
                exact.append(engine.name)
        except weights.WeightFileError:
            raise
        except ValueError as error:
            problems[engine.name] = str(error)
    if not losses:
        raise ValueError("; ".join(problems.values()))
    return {"exact": exact, "losses": losses, "nearest": min(losses, key=lambda name: losses[name])}


def _verdict(entry):
    if entry["problem"]:
        return entry["problem"]
    if not entry["losses"]:
        return "no matrix"
    if entry["exact"]:
        lost = entry["losses"][entry["nearest"]]
        return f"exactly: {', '.join(entry['exact'])}" + (f"; {lost:.2%} lost when it was quantized" if lost else "")
    return f"nearest: {entry['nearest']}, loss {entry['losses'][entry['nearest']]:.2%}"
