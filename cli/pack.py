# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte pack`: a layer as the words of an engine's streams, for benches, memories and drivers."""

from pathlib import Path

import click
import numpy as np

from ..golden.streams import payload_bits
from ..sim.testbench import hex_words
from ..tools.outputs import write_whole
from ..top import emit
from . import operands
from .commands import activation_options, operand_options
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["pack"]


@click.command(cls=RecordedCommand)
@operand_options
@activation_options
@click.option(
    "-o",
    "output",
    metavar="FOLDER",
    required=True,
    type=click.Path(path_type=Path),
    help="Where they go; made if missing.",
)
def pack(scheme, request, tokens, activations, bias, output):
    """Write the words of every stream of an engine for a layer, those that must come out, and what they are.

    \b
    STREAM.bin has a beat after the other, each in whole bytes, little-endian; STREAM.hex a beat a line, for
    $readmemh. pack.json says how many there are, and <engine>.json, the engine's manifest, what a beat holds
    and when it is taken.

    \b
    Example:
      subbyte pack {engine} --weights model.safetensors --tensor layer.weight --tokens 8 -o words
    """
    taken = operands.operand(scheme, request)
    config, qweight = taken.config, taken.qweight
    _, product, origin, derived = operands.product_of(scheme, taken, activations, tokens, bias)
    engine, name = scheme.component("engine", config)
    (m, n), tiles = product.y.shape, config.tiles(*product.y.shape)
    streams = {}
    for stream, words in (*product.inputs.items(), ("outputs", product.outputs)):
        bits = payload_bits(config.streams[stream])
        write_whole(output / f"{stream}.bin", np.ascontiguousarray(words).tobytes())
        write_whole(output / f"{stream}.hex", hex_words(words, bits))
        streams[stream] = {
            "direction": "output" if stream == "outputs" else "input",
            "beats": len(words),
            "bits": bits,
            "bytes_per_beat": words.shape[1],
            "binary": f"{stream}.bin",
            "readmemh": f"{stream}.hex",
        }
    write_whole(output / f"{name}.json", emit.to_json(emit.manifest(engine, name, config)) + "\n")
    save_figures(
        output / "pack.json",
        {
            "scheme": scheme.name,
            "manifest": f"{name}.json",
            "tensor": taken.tensor,
            "taken": taken.taken,
            "format": taken.fmt,
            "m": m,
            "n": n,
            "k": qweight.shape[1],
            "m_tiles": tiles.m_tiles,
            "n_tiles": tiles.n_tiles,
            "activations": origin,
            **({"derived": derived} if derived else {}),
            "streams": streams,
            "errors": sorted(product.errors),
            "cycles": product.timeline.cycles,
        },
    )
    for line in taken.warnings:
        click.echo(f"warning: {line}", err=True)
    for stream, entry in streams.items():
        click.echo(f"  {stream:<12} {entry['beats']:>8} beats of {entry['bits']} bits")
    click.echo(
        f"{taken.tensor}, {taken.fmt}, {taken.taken}: X[{m}, {qweight.shape[1]}] @ W[{n}, {qweight.shape[1]}].T in {output}"
    )
