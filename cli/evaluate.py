# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte evaluate`: the perplexity of a model whose linear layers have a scheme's weights, and its activations if wished."""

import sys
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .. import models
from ..schemes import scheme
from ..tools.hints import near
from ..tools.settings import parse_settings
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["FLOAT", "PlainRun", "QuantizedRun", "UniformRun", "evaluate"]

_LOG = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
FLOAT = "float"
_GROUP = 128


@click.command(cls=RecordedCommand)
@click.argument("scheme", metavar="SCHEME", callback=lambda context, parameter, name: scheme(name))
@click.option("--weights", "path", metavar="FILE", required=True,
              help="A Llama-family model: a .gguf file, or .safetensors with config.json and tokenizer.json beside it.")
@click.option("--format", "fmt", metavar="NAME", help="Weight format, or all; an unknown one lists them. "
              "Default: the scheme's first.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True,
              help="A parameter of the engine, such as its group size; repeat for more. An unknown one lists all.")
@click.option("--activations", "how", metavar="NAME", default=FLOAT, show_default=True,
              help="How they reach the products: as they are, or in one of the scheme's ways; an unknown one lists all.")
@click.option("--tokens", metavar="N", type=click.IntRange(min=2), default=8192, show_default=True,
              help="How many of the text's first tokens, rounded down to whole windows.")
@click.option("--text", metavar="FILE", help="A text in UTF-8. Default: the last tenth of Tiny Shakespeare.")
@click.option("--baselines", is_flag=True,
              help="Beside it the model as it is, and uniform types of as many bits: (a)symmetric, a scale a channel or group.")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path),
              help="Write the figures to a file as well, layer by layer.")
def evaluate(scheme, path, fmt, settings, how, tokens, text, baselines, figures):
    """Measure the perplexity of a model with a scheme's weights in all linear layers of its blocks.

    The text's windows of 2048 tokens do not overlap; each stands by itself and predicts all its tokens but the first.
    Embedding, norms, head and attention's own products stay in float32. Nothing is calibrated or searched on a text, and
    nothing is random. --format all measures every format of the scheme.

    \b
    Example:
      subbyte evaluate {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf --format {format} --tokens 4096
    """
    parameters = parse_settings(scheme.Config, settings)
    if how not in (FLOAT, *scheme.emulations):
        raise ValueError(f"--activations must be one of {', '.join((FLOAT, *scheme.emulations))}, not {how!r}"
                         f"{near(how, scheme.emulations)}")
    runs = [QuantizedRun(scheme, *one, how) for one in _engines(scheme, fmt, parameters)]
    model, text = models.open_model(path), Path(text or models.TEXT)
    size = min(models.WINDOW, model.config.context)
    windows = models.windows(models.read_tokens(path, text), tokens, size)
    rows = [run.measure(model, windows) for run in runs]
    if baselines:
        widths = sorted({max(2, int(row["bits_per_weight"])) for row in rows})
        beside = [PlainRun(), *(UniformRun(models.Uniform(bits, symmetric, group))
                                for bits in widths for symmetric in (True, False) for group in (None, _GROUP))]
        rows += [run.measure(model, windows) for run in beside]
    if figures is not None:
        save_figures(figures, {
            "scheme": scheme.name, "weights": str(path), "text": text.name, "window": windows.shape[1],
            "stride": windows.shape[1], "windows": len(windows), "tokens": windows.size, "seed": None, **rows[0],
            "beside": rows[1:]})
    click.secho(f"{Path(path).name} on {text.name}: {windows.size} tokens, {len(windows)} windows of {windows.shape[1]}",
                bold=True)
    click.echo(f"  {'weights':<28}{'activations':<14}{'bits':>7}{'error':>9}{'loss':>10}{'perplexity':>14}")
    for row in rows:
        shown = f"{row['perplexity']:,.2f}" if row["perplexity"] < model.config.vocabulary else "collapsed"
        click.echo(f"  {row['format']:<28}{row['activations']:<14}{row['bits_per_weight']:>7.3f}{row['error']:>9.2%}"
                   f"{row['loss']:>10.4f}{shown:>14}")


def _engines(scheme, fmt, parameters):
    """Formats to measure, each with an engine that takes it."""
    if fmt == "all":
        return [(name, scheme.config_of(name, **parameters)) for name in scheme.formats]
    config = scheme.config_of(fmt, **parameters) if fmt in scheme.formats else scheme.Config(**parameters)
    return [(scheme.format_for(fmt, config), config)]


class _Run:
    """One way to compute the linear layers, measured on windows; ``layers`` has an entry a layer."""

    name, how = "", FLOAT

    def __init__(self):
        self.layers, self._squares, self._weights, self._bits = [], np.zeros(2), 0, 0.0

    def layer(self, site, weight):
        """The product of a site: see :data:`subbyte.models.decoder.Layer`."""
        raise NotImplementedError

    def note(self, site, weight, dequantized, bits):
        """Remember what a layer's quantization costs and loses."""
        squares = np.array([np.square(part, dtype=np.float64).sum() for part in (dequantized - weight, weight)])
        self.layers.append({"tensor": site.tensor, "format": self.name, "bits_per_weight": bits, "error": _share(squares)})
        self._squares += squares
        self._weights += weight.size
        self._bits += weight.size * bits

    @property
    def totals(self):
        """Bits a weight and error of all layers so far."""
        return {"bits_per_weight": self._bits / self._weights, "error": _share(self._squares)}

    def measure(self, model, windows):
        """The figures of a run."""
        started, worked = time.perf_counter(), time.process_time()
        with _progress(self.name) as progress:
            result = models.perplexity(model, windows, self.layer, progress)
        spread = result.losses.std(ddof=1) / np.sqrt(len(result.losses)) if len(result.losses) > 1 else None
        return {"format": self.name, "activations": self.how, "perplexity": result.value, "loss": result.loss,
                "loss_standard_error": spread, "losses": result.losses.tolist(), "predicted": result.predicted,
                **self.totals, "seconds": time.perf_counter() - started,
                "processor_seconds": time.process_time() - worked, "layers": self.layers}


def _share(squares):
    """Rms of an error over the rms of what it is an error of, from the sums of their squares."""
    return float(np.sqrt(squares[0] / (squares[1] or 1)))


class QuantizedRun(_Run):
    """Weights in a scheme's format."""

    def __init__(self, scheme, fmt, config, how):
        super().__init__()
        self.scheme, self.name, self.config, self.how = scheme, fmt, config, how

    def layer(self, site, weight):
        qweight = self.scheme.quantize(weight, self.name, self.config)
        dequantized = qweight.dequantize()
        self.note(site, weight, dequantized, qweight.bits_per_weight)
        if self.how == FLOAT:
            return models.plain(site, dequantized)
        return lambda x: self.scheme.emulate(x, weight, dequantized, self.config, site.normalised, self.how)


class UniformRun(_Run):
    """Weights in a plain type."""

    def __init__(self, uniform):
        super().__init__()
        self.uniform, self.name = uniform, uniform.name

    def layer(self, site, weight):
        quantized = self.uniform.quantize(weight)
        self.note(site, weight, quantized.dequantize(), quantized.bits_per_weight)
        return models.plain(site, quantized.dequantize())


class PlainRun(_Run):
    """The model's own weights, in float32."""

    name = "as in the file"

    def layer(self, site, weight):
        self.note(site, weight, weight, 32)
        return models.plain(site, weight)


class _progress:
    """A progress bar on a terminal, a line elsewhere; called with the windows done, and all of them."""

    def __init__(self, name):
        self._bar = Progress(TextColumn(name), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=_LOG,
                             transient=True, disable=not sys.stderr.isatty())
        if self._bar.disable:
            _LOG.print(f"{name} ...")

    def __enter__(self):
        self._task = self._bar.add_task("", total=1)
        self._bar.start()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def __call__(self, done, every):
        self._bar.update(self._task, completed=done, total=every)
