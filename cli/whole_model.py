# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte quantize --all`: every linear layer of a model into one file, a tensor in memory at a time."""

import dataclasses
import hashlib
import os
import re
import shutil
import sys

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import weights
from ..schemes import save, stored_tensors
from ..schemes.stored import join
from ..sim.engine_run import rms
from . import operands
from .figures import save_figures

__all__ = ["linear_layers", "quantize"]

_NOT_LINEAR = re.compile(r"embd|embed|norm|wte|wpe|lm_head|^output\.weight$|rope|bias|router|gate_inp|\.gate\.weight$")


def linear_layers(path):
    """Names of the matrices [N, K] of a model that are linear layers; of experts with the number of each.

    Embeddings, norms, routers and the head, which engines leave to others, are none.
    """
    layers = []
    for name, shape in weights.list_tensors(path).items():
        if _NOT_LINEAR.search(name) or len(shape) not in (2, 3) or min(shape) < 2:
            continue
        layers += [(name, None)] if len(shape) == 2 else [(name, expert) for expert in range(shape[0])]
    return layers


def quantize(scheme, request, output, figures, log):
    """Quantize all of them; parts lie beside the output until it is whole, so that an interrupted run goes on."""
    if request.tensor is not None or request.rows is not None or request.expert is not None:
        raise ValueError("--all takes all linear layers, without --tensor, --rows or --expert")
    layers = linear_layers(request.path)
    if not layers:
        raise ValueError(f"{request.path}: has no linear layers: no matrices [N, K] beside embeddings and norms")
    parts = output.with_suffix(".parts")
    entries, skipped, files = [], [], []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=log,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as progress:
        task = progress.add_task("", total=len(layers))
        for name, expert in layers:
            progress.update(task, description=name)
            wanted = dataclasses.replace(request, tensor=name, expert=expert)
            file = parts / f"{_key(scheme, wanted)}.safetensors"
            called = name if expert is None else f"{name}[{expert}]"
            try:
                if not file.exists():
                    taken = dataclasses.replace(operands.operand(scheme, wanted), tensor=called)
                    save(file, taken.stored(scheme))
                    for line in taken.warnings:
                        log.print(f"warning: {called}: {line}")
            except ValueError as error:
                if request.exact:
                    raise
                skipped.append({"tensor": called, "why": str(error)})
                log.print(f"left out: {error}")
            else:
                files.append(file)
                entry = stored_tensors(file)[called]
                entries.append({"tensor": called, "format": entry["weight_format"], **entry["source"]})
            progress.advance(task)
    if not files:
        raise ValueError(
            f"{request.path}: none of its {len(layers)} linear layers can be quantized; the first: {skipped[0]['why']}"
        )
    join(output, files)
    shutil.rmtree(parts, ignore_errors=True)
    if figures is not None:
        save_figures(figures, {"scheme": scheme.name, "tensors": entries, "left_out": skipped, "written": str(output)})
    width = max(len(entry["tensor"]) for entry in entries)
    for entry in entries:
        lost = entry["error_rms"] / (entry["weight_rms"] or 1)
        click.echo(f"  {entry['tensor']:<{width}}  {entry['format']:<16} {lost:7.2%}  {entry['taken']}")
    worst = rms([entry["error_rms"] / (entry["weight_rms"] or 1) for entry in entries])
    click.echo(
        f"{len(entries)} tensors, error, rms {worst:.2%} of the weights' rms over all; {len(skipped)} left out; {output}"
    )


def _key(scheme, request):
    """Digest of all that decides on a part: a part of another request is not taken for this one."""
    states = [
        (file, stat.st_size, stat.st_mtime_ns) for file in weights.open_file(request.path).files for stat in [os.stat(file)]
    ]
    return hashlib.sha256(repr((scheme.name, request, states)).encode()).hexdigest()[:24]
