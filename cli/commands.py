# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands: they read what the user typed, call the library, and show what came out."""

import functools
import sys
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..hdl.target import ASIC, TARGETS
from ..schemes import save, scheme
from ..sim.cocotb_run import resolve_seed
from ..sim.engine_run import EngineModel, rms
from ..tools.settings import make_config
from ..top import emit
from . import complete, operands, whole_model
from .accelerators import ACCELERATORS, make_accelerator, split_settings, write_accelerator, write_engine_bench
from .figures import save_figures
from .main import Failure
from .recorded import RecordedCommand

__all__ = ["activation_options", "operand_options", "quantize", "simulate", "verilog"]

_LOG = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def _scheme(context, parameter, value):
    del context, parameter
    return scheme(value)


_scheme_argument = click.argument("scheme", metavar="SCHEME", callback=_scheme, shell_complete=complete.schemes)
_set_option = click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, shell_complete=complete.parameters,
                           help="A parameter of the engine; repeat for more. An unknown one lists all.")
_format_option = click.option("--format", "fmt", metavar="NAME", shell_complete=complete.formats,
                              help="Weight format; an unknown one lists all. Default: "
                              "codes that the file holds, if the engine takes them; else the first format that it takes.")
_group_option = click.option("--group-size", metavar="N", help="Weights that share a scale: --set group_size=N.")
_weights_option = click.option("--weights", "path", metavar="FILE", required=True,
                               help="GGUF, safetensors, npz or npy; a checkpoint's folder or index; what `quantize` wrote.")
_tensor_option = click.option("--tensor", metavar="NAME", help="A matrix in it; `subbyte inspect FILE` lists them.")
_json_option = click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path),
                            help="Write the figures to a file as well.")
_rows_option = click.option("--rows", metavar="A:B", help="Output channels A to B-1 of the tensor only.")
_expert_option = click.option("--expert", metavar="I", type=int, help="Which matrix of a tensor of experts.")
_exact_option = click.option("--exact", is_flag=True, help="Refuse a tensor that would lose anything.")
_prescale_option = click.option("--prescale", is_flag=True, help="Multiply the tensor by a power of two that suits binary16, "
                                "and take it back in the scales.")


def operand_options(command):
    """What a command needs that quantizes a tensor, given to it as a `Request`."""
    @functools.wraps(command)
    def requested(scheme, path, tensor, rows, expert, fmt, group_size, settings, exact, prescale, **options):
        if group_size is not None:
            settings = (*settings, f"group_size={group_size}")
        return command(scheme, operands.Request(path, tensor, rows, expert, fmt, tuple(settings), exact, prescale), **options)

    for option in (_prescale_option, _exact_option, _set_option, _group_option, _format_option, _expert_option, _rows_option,
                   _tensor_option, _weights_option, _scheme_argument):
        requested = option(requested)
    return requested


def activation_options(command):
    """What a command needs beside that to compute a product."""
    for option in (
        click.option("--bias", metavar="NAME", help="A vector of the model file that the engine adds, if its scheme does so."),
        click.option("--activations", metavar="FILE|model:TEXTFILE", help="Activations [M, K], .npy or .npz; or what comes to "
                     "the layer when the model reads a text (model: alone: Tiny Shakespeare), followed, if wished, by "
                     ",tokens=A:B (default: the first M) and ,block=B (default: the tensor's). Default: the slice's own, or "
                     "RMS-normalised embeddings of real tokens from a model file."),
        click.option("--tokens", metavar="M", type=click.IntRange(min=1),
                     help="Activation rows to multiply. Default: all of --activations, else 1."),
    ):
        command = option(command)
    return command


@click.command(cls=RecordedCommand)
@_scheme_argument
@_set_option
@click.option("--part", default="engine", show_default=True, metavar="PART", shell_complete=complete.parts,
              help="What to generate; `subbyte list` names the parts.")
@click.option("--name", metavar="NAME", help="Of the top module, and the first part of every other module's, so that several "
              "configurations fit into one design. Default: <scheme>_<part>.")
@click.option("--target", metavar="|".join(TARGETS), default=ASIC, show_default=True,
              help="Spelling of the arithmetic: for gates, or for carry chains and multipliers; answers are the same.")
@click.option("-o", "output", metavar="FILE.v", type=click.Path(path_type=Path),
              help="Write FILE.v and, beside it, its manifest FILE.json; anything else is a folder for them. "
                   "Default: the Verilog alone, to standard output.")
@click.option("--testbench", is_flag=True, help="With -o: write beside an engine or accelerator NAME_tb.v, a testbench in "
              "plain Verilog, and the words of one product; its first lines say how to run it.")
def verilog(scheme, settings, part, name, target, output, testbench):
    """Generate an engine, or one of its processing elements, as Verilog-2005.

    \b
    `subbyte list` names schemes and parts. The manifest holds ports, payload layouts, parameters and latencies.

    \b
    Further parts: accelerator (in front of a memory) and accelerator_stream, written with the files of their
    registers, a C driver and FuseSoC's core. They take parameters of their own, such as --set bus_bytes=8.

    \b
    Example:
      subbyte verilog {engine} --set rows=4 --set cols=16 --set lanes=8 -o {engine}_engine.v
      subbyte verilog {engine} --testbench -o build/engine
    """
    if testbench and (part not in ("engine", ACCELERATORS[0]) or output is None):
        raise ValueError("--testbench is for --part engine or accelerator, and needs -o")
    around = {}
    if part in ACCELERATORS:
        settings, around = split_settings(part, settings)
    config = make_config(scheme.Config, settings, scheme.accelerator[0] if part == ACCELERATORS[0] else {})
    name = f"{scheme.name}_{part}" if name is None else name
    if part in ACCELERATORS and output is not None:
        for path in write_accelerator(scheme, part, config, name, output, around=around, target=target, testbench=testbench):
            _LOG.print(f"wrote {path}")
        return
    component = (make_accelerator(scheme, part, config, around) if part in ACCELERATORS
                 else scheme.component(part, config)[0])
    if output is None:
        click.echo(emit.to_verilog(component, name, target=target), nl=False)
        return
    written = [*emit.write(component, name, output, target=target)]
    if testbench:
        written += write_engine_bench(scheme, config, component, name, written[0])
    for path in written:
        _LOG.print(f"wrote {path}")


@click.command(cls=RecordedCommand)
@operand_options
@click.option("--all", "everything", is_flag=True, help="All linear layers of the model; what an interrupted run "
              "left is not done again.")
@click.option("-o", "output", metavar="FILE.safetensors", required=True, type=click.Path(path_type=Path),
              help="Where codes, scales and what they are go; `simulate`, `pack` and `inspect` read it. An .npz file gets the "
                   "arrays alone.")
@_json_option
def quantize(scheme, request, everything, output, figures):
    """Quantize a tensor of a model file, and say what it costs and loses.

    What the file holds quantized already is taken with its codes, if the engine has a format for them.

    \b
    Example:
      subbyte quantize {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf \\
          --tensor blk.0.attn_q.weight --format {format} -o attn_q.safetensors
    """
    if output.suffix not in (".safetensors", ".npz") or everything and output.suffix == ".npz":
        raise ValueError(f"-o must name a .safetensors file{'' if everything else ', or an .npz file'}, not {str(output)!r}")
    if everything:
        whole_model.quantize(scheme, request, output, figures, _LOG)
        return
    taken = operands.operand(scheme, request)
    qweight, weight, error = taken.qweight, taken.weight, taken.error
    if output.suffix == ".npz":
        operands.save_arrays(output, scheme, qweight)
    else:
        save(output, taken.stored(scheme))
    if figures is not None:
        save_figures(figures, {
            "scheme": scheme.name, "tensor": taken.tensor, "shape": list(weight.shape), "type": taken.source.get("type"),
            "format": taken.fmt, "taken": taken.taken, "bits_per_weight": qweight.bits_per_weight,
            "error_rms": rms(error), "weight_rms": rms(weight), "error_largest": np.abs(error).max(),
            "warnings": taken.warnings, "written": str(output)})
    _show(f"{taken.tensor} of {Path(request.path).name}", [
        ("weights", f"N x K = {weight.shape[0]} x {weight.shape[1]}"),
        ("taken", taken.taken),
        ("format", f"{taken.fmt}, {scheme.shared(taken.config)}"),
        ("bits per weight", f"{qweight.bits_per_weight:.3f}"),
        ("error, rms", f"{rms(error):.3e} ({rms(error) / (rms(weight) or 1):.2%} of the weights' rms)"),
        ("error, largest", f"{np.abs(error).max():.3e}"),
        ("written", output),
    ])
    _warn(taken)


def _warn(taken):
    for line in taken.warnings:
        _LOG.print(f"warning: {line}")


@click.command(cls=RecordedCommand)
@operand_options
@activation_options
@click.option("--mixed", metavar="FILE", help="Take the tensor's format from what `subbyte mix` chose for each layer.")
@click.option("--seed", type=int, metavar="N", help="Seeds the power-up state. Default: the environment's SEED, or 1.")
@_json_option
def simulate(scheme, request, tokens, activations, bias, mixed, seed, figures):
    """Run a layer of a model file through the engine's RTL and compare every output, bit for bit.

    Quantizes and packs the tensor, compiles the RTL (the first time takes a while; then it is cached), runs it, and
    fails if any output, flag or the number of cycles is not what the exact model says.

    \b
    Example:
      subbyte simulate {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf \\
          --tensor blk.0.ffn_up.weight --tokens 8
      subbyte simulate {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf \\
          --tensor blk.11.ffn_down.weight --activations model:README.md,tokens=0:8
    """
    seed = resolve_seed(seed)
    taken = operands.operand(scheme, request if mixed is None else operands.of_mixed(scheme, request, mixed))
    config, fmt, qweight = taken.config, taken.fmt, taken.qweight
    exact, product, origin, derived = operands.product_of(scheme, taken, activations, tokens, bias)
    _warn(taken)
    _LOG.print(f"{scheme.title} {config.rows} x {config.cols} x {config.lanes}: generating and compiling the RTL "
               "(a minute or two the first time, then cached)")
    model = EngineModel(scheme, config)
    _LOG.print(f"ready after {model.build_seconds:.1f} s; running about {product.timeline.cycles} cycles")
    with _progress() as progress:
        result = model.run(product, progress=progress, seed=seed)
    if figures is not None:
        save_figures(figures, {**_figures(scheme, taken.tensor, fmt, config, qweight, exact, result), "taken": taken.taken,
                               "warnings": taken.warnings})
    rows = _summary(scheme, fmt, origin, config, qweight, exact, result)
    rows[1:1] = [("weights", taken.taken), *([("derived", derived)] if derived else [])]
    _show(f"{taken.tensor} of {Path(request.path).name}", rows)
    if result.run.folder:
        _LOG.print(f"traces are in {result.run.folder}")
    if result.problems:
        raise Failure("\n       ".join(result.problems), 1)
    click.echo(f"All {result.y.size} outputs are bit-identical to the exact model; cycles are as predicted.")


class _progress:
    """A progress bar on a terminal, nothing elsewhere; called with a share and a number of cycles."""

    def __enter__(self):
        self._bar = Progress(TextColumn("simulating"), BarColumn(), TaskProgressColumn(),
                             TextColumn("{task.fields[cycles]} cycles"), TimeRemainingColumn(), console=_LOG,
                             transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task("", total=1.0, cycles=0)
        self._bar.start()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def __call__(self, share, cycles):
        self._bar.update(self._task, completed=share, cycles=cycles)


def _summary(scheme, fmt, origin, config, qweight, exact, result):
    (m, n), k = result.y.shape, qweight.shape[1]
    tiles = -(-m // config.rows) * -(-n // config.cols)
    timeline, run = result.timeline, result.run
    lost = rms(result.product.reference - exact) / (rms(exact) or 1)
    flagged = ", ".join(f"{name} in {int(mask.sum())} of {tiles} tiles" for name, mask in result.flags.items() if mask.any())
    return [
        ("product", f"X[{m}, {k}] @ W[{n}, {k}].T -> Y[{m}, {n}]"),
        ("activations", origin),
        ("format", f"{fmt}, {scheme.shared(config)}, {qweight.bits_per_weight:.3f} bits per weight"),
        ("array", f"{config.rows} x {config.cols} x {config.lanes} (rows x cols x lanes), {tiles} tiles"),
        ("outputs", f"{result.y.size - result.mismatches} of {result.y.size} bit-identical"),
        ("flags", flagged or "none"),
        ("cycles", f"{run.cycles} in RTL, {timeline.cycles} predicted; {timeline.macs / run.cycles:.1f} MAC/cycle"),
        ("utilization", f"{timeline.busy / run.cycles:.2%} of the cycles perform a term"),
        ("occupancy", f"{timeline.occupancy:.2%} of the busy cycles' peak are real MACs"),
        ("error of the engine", f"{result.error:.2e} rms, against float64 on the quantized operands"),
        ("error of the format", f"{lost:.2e} rms, quantized against given weights in float64"),
        ("speed", f"{result.cycles_per_second:,.0f} simulated cycles/s, {run.seconds:.1f} s of wall time"),
    ]


def _figures(scheme, tensor, fmt, config, qweight, exact, result):
    """What :func:`_summary` says, as numbers."""
    (m, n), timeline, run = result.y.shape, result.timeline, result.run
    return {
        "scheme": scheme.name, "tensor": tensor, "m": m, "n": n, "k": qweight.shape[1], "format": fmt,
        "bits_per_weight": qweight.bits_per_weight, "rows": config.rows, "cols": config.cols, "lanes": config.lanes,
        "outputs": result.y.size, "identical": result.y.size - result.mismatches, "problems": result.problems,
        "flags": {name: int(mask.sum()) for name, mask in result.flags.items()}, "cycles": run.cycles,
        "predicted_cycles": timeline.cycles, "utilization": timeline.busy / run.cycles, "occupancy": timeline.occupancy,
        "error_of_the_engine": result.error, "error_of_the_format": rms(result.product.reference - exact) / (rms(exact) or 1),
        "seconds": run.seconds, "cycles_per_second": result.cycles_per_second,
    }


def _show(title, rows):
    """A title and aligned lines: whole on a terminal of any width, and in a log."""
    click.secho(title, bold=True)
    for name, value in rows:
        click.echo(f"  {name:<21}{value}")
