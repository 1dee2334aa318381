# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte evaluate`: the perplexity of a model whose linear layers have a scheme's weights, and its activations if wished."""

import dataclasses
import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .. import models
from ..explore import Mixed, load_mixed
from ..golden.fast import has_compiler
from ..schemes import scheme
from ..tools.hints import near
from ..tools.outputs import write_whole
from ..tools.settings import parse_settings, parse_stored
from .figures import save_figures
from .layers import layer_weight
from .recorded import RecordedCommand

__all__ = ["FLOAT", "ExactRun", "PlainRun", "QuantizedRun", "UniformRun", "evaluate"]

_LOG = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
FLOAT = "float"
PATHS = ("dequantized", "exact", "both")
_GROUP = 128


@click.command(cls=RecordedCommand)
@click.argument("scheme", metavar="SCHEME", callback=lambda context, parameter, name: scheme(name))
@click.option("--weights", "path", metavar="FILE", required=True,
              help="A Llama-family model: a .gguf file, or .safetensors with config.json and tokenizer.json beside it; or "
              ".npz, a ternary character model, whose weights are taken as they are.")
@click.option("--format", "fmt", metavar="NAME", help="Weight format, or all; an unknown one lists them. "
              "Default: the scheme's first.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True,
              help="A parameter of the engine, such as its group size; repeat for more. An unknown one lists all.")
@click.option("--mixed", metavar="FILE", multiple=True,
              help="A format for each layer, as `subbyte mix` chose them; repeat for a row each.")
@click.option("--path", "way", metavar="|".join(PATHS), type=click.Choice(PATHS), default=PATHS[0], show_default=True,
              help="How products are computed: in float32 from dequantized weights, or by the exact model, to the bit.")
@click.option("--activations", "how", metavar="NAME",
              help="How they reach the products: as they are, or in one of the scheme's ways; an unknown one lists all. "
              f"Default: {FLOAT}; of the exact path, and with --calibration, the engine's.")
@click.option("--calibration", metavar="[TEXT][,tokens=N][,rounding=down]",
              help="Static metadata of activations, from so many last tokens of a text (8192 of the default one), in place of "
              "those that each chunk has; Tender publishes it. Rounding down puts channels one group lower.")
@click.option("--attention", is_flag=True, help="Attention's own two products, too, as the scheme publishes them.")
@click.option("--tokens", metavar="N", type=click.IntRange(min=2), default=8192, show_default=True,
              help="How many of the text's first tokens, rounded down to whole windows.")
@click.option("--text", metavar="FILE", help="A text in UTF-8. Default: the last tenth of Tiny Shakespeare.")
@click.option("--baselines", is_flag=True,
              help="Beside it the model as it is, and uniform types of as many bits: (a)symmetric, a scale a channel or group.")
@click.option("--beside", "earlier", metavar="FILE", multiple=True,
              help="Rows of an earlier run of the same text and tokens, its --json, below these; repeat for more.")
@click.option("--plot", metavar="FILE", type=click.Path(path_type=Path),
              help="Draw perplexity against bits a weight (.svg, .png, .pdf), a line for each scheme and kind of format.")
@click.option("--json", "figures", metavar="FILE", type=click.Path(path_type=Path),
              help="Write the figures to a file as well, layer by layer.")
def evaluate(scheme, path, fmt, settings, mixed, way, how, calibration, attention, tokens, text, baselines, earlier, plot,
             figures):
    """Measure the perplexity of a model with a scheme's weights in all linear layers of its blocks.

    The text's windows of 2048 tokens do not overlap; each stands by itself and predicts all its tokens but the first.
    Embedding, norms, head and attention's own products stay in float32. Without --calibration nothing is calibrated or searched
    on a text, and nothing is random. --format all measures every format of the scheme.

    --path exact computes the linear products as the RTL does, bit for bit, and says what its arithmetic loses against float64
    on the same operands: rms of each layer over that of its product, and the worst. --path both has the same operands in
    float32 beside it.

    \b
    Example:
      subbyte evaluate {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf --format {format} --tokens 4096
      subbyte evaluate {engine} --weights build/model/SmolLM2-135M-Instruct.Q4_1.gguf --path both --tokens 2048
    """
    parameters = parse_settings(scheme.Config, settings)
    if mixed and fmt is not None:
        raise ValueError(f"--format must not be given with --mixed, which has one for each layer, not {fmt!r}")
    chosen: list[tuple[str, Any, Mixed | None]] = [] if mixed else [(*one, None) for one in _engines(scheme, fmt, parameters)]
    for one in [load_mixed(file).check(scheme) for file in mixed]:
        first = next(iter(one.formats.values()))
        chosen.append((first, scheme.config_of(first, **{**parse_stored(scheme.Config, one.settings), **parameters}), one))
    calibrating = None
    if calibration is not None:
        calibrating, how = Calibrating.parse(calibration), how or scheme.emulations[0]
    runs = [_runs(scheme, *one, way, how, attention) for one in chosen]
    model, text = models.open_model(path), Path(text or models.TEXT)
    size = min(models.WINDOW, model.config.context)
    windows = models.windows(models.read_tokens(path, text), tokens, size)
    if calibrating is not None:
        samples = calibrating.windows(path, text, windows)
        for same, *others in runs:
            same.calibrate(model, samples, calibrating)
            for run in others:
                run.calibrating, run.calibrations = calibrating, same.calibrations
    runs = [run for of_engine in runs for run in of_engine]
    shown = [row for file in earlier for row in _read(file, text.name, windows.size)]
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
    rows += shown
    click.secho(f"{Path(path).name} on {text.name}: {windows.size} tokens, {len(windows)} windows of {windows.shape[1]}",
                bold=True)
    click.echo(f"  {'weights':<28}{'activations':<26}{'bits':>7}{'error':>9}{'loss':>10}{'perplexity':>14}")
    for row in rows:
        shown = f"{row['perplexity']:,.2f}" if row["perplexity"] < model.config.vocabulary else "collapsed"
        how = row["activations"] + ", static" * bool(row.get("calibration")) + "+attention" * row["attention"]
        how += ", exact" * (row["path"] == "exact")
        click.echo(f"  {row['format']:<28}{how:<26}{row['bits_per_weight']:>7.3f}{row['error']:>9.2%}"
                   f"{row['loss']:>10.4f}{shown:>14}")
    for row, beside in zip(rows, [*rows[1:], None]):
        if row["path"] == "exact":
            _tell_arithmetic(row, beside if way == "both" else None)
    if plot is not None:
        from ..report.curves import curves

        finite = [{**row, "group": _group(row, scheme)} for row in rows if row["perplexity"] < model.config.vocabulary]
        if not finite:
            raise ValueError(f"--plot needs a perplexity below the vocabulary's {model.config.vocabulary}: all have collapsed")
        write_whole(plot, curves(finite, f"{Path(path).name} on {text.name}, {windows.size} tokens",
                                 plot.suffix.removeprefix(".") or "svg"))


@dataclasses.dataclass(frozen=True)
class Calibrating:
    """On what activations are calibrated: the last tokens of a text, so that what reads a text from its beginning meets others.

    Attributes
    ----------
    text : Path
    tokens : int
        Rounded down to whole windows.
    rounding : "up" or "down"
    """

    text: Path = models.TEXT
    tokens: int = 8192
    rounding: str = "up"

    @classmethod
    def parse(cls, given: str) -> "Calibrating":
        """``TEXTFILE``, and behind it ``,tokens=N`` and ``,rounding=down`` if wished; without a file the default text."""
        rest, found = given, {}
        while option := re.search(r",(\w+)=([^,=]*)$", rest):
            rest, found[option[1]] = rest[: option.start()], option[2]
        tokens, rounding = found.pop("tokens", str(cls.tokens)), found.pop("rounding", cls.rounding)
        if found or not tokens.isdecimal() or int(tokens) < 2 or rounding not in ("up", "down"):
            raise ValueError("--calibration must be a text file, and behind it ,tokens=N of at least 2 or ,rounding=up or down "
                             f"if wished, not {given!r}")
        return cls(Path(rest) if rest else cls.text, int(tokens), rounding)

    def windows(self, path, text, judging):
        """Windows int64 [W, T] as long as those that judge, of which they have no token."""
        read, size = models.read_tokens(path, self.text), judging.shape[1]
        count, used = self.tokens // size * size, judging.size if self.text.samefile(text) else 0
        if not size <= count <= len(read) - used:
            beside = f", beside the {used} that judge" if used else ""
            raise ValueError(f"--calibration must be on {size} to {len(read) - used} tokens of {self.text.name}{beside}, "
                             f"not on {self.tokens}")
        return models.windows(read[len(read) - count :], None, size)


def _runs(scheme, fmt, config, mixed, way, how, attention):
    """The runs of an engine, the exact one first; both take the same operands."""
    ways = scheme.emulations if way != PATHS[0] else (FLOAT, *scheme.emulations)
    how = ways[0] if how is None else how
    if how not in ways:
        where = "" if way == PATHS[0] else " on the exact path"
        raise ValueError(f"--activations must be one of {', '.join(ways)}{where}, not {how!r}{near(how, ways)}")
    if way != PATHS[0] and not has_compiler():
        _LOG.print("numba is not installed, and exact models may take several times as long: pip install 'subbyte[exact]'")
    kinds = {"dequantized": (QuantizedRun,), "exact": (ExactRun,), "both": (ExactRun, QuantizedRun)}[way]
    if attention:
        scheme.attention("scores", np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), config)
    return [kind(scheme, fmt, config, how, mixed, attention) for kind in kinds]


def _tell_arithmetic(row, beside):
    """What the exact path has to say of a row, and of the one of dequantized weights."""
    layers = [{"tensor": layer["tensor"], **layer["arithmetic"]} for layer in row["layers"]]
    layers.sort(key=lambda layer: layer["error"])
    single = max(layers, key=lambda one: one["largest"])
    least, median, worst = layers[0], layers[len(layers) // 2], layers[-1]
    click.echo(f"arithmetic of {row['format']} against float64 on its operands, rms of a layer over its product's rms:")
    errors = f"{least['error']:.1e} least, {median['error']:.1e} median, {worst['error']:.1e} worst"
    click.echo(f"  {errors}: {worst['tensor']}")
    click.echo(f"  largest single error {single['largest']:.1e} of the rms: {single['tensor']}, token {single['token']} of a "
               f"window, output {single['output']}")
    if beside is not None:
        click.echo(f"  perplexity {row['perplexity']:,.4f}; {beside['perplexity']:,.4f} in float32 on the same operands: "
                   f"{row['perplexity'] / beside['perplexity'] - 1:+.4%}")


def _read(path, text, tokens):
    """Rows of an earlier run's figures."""
    try:
        told = json.loads(Path(path).read_text())
        rows = [{key: value for key, value in told.items() if key != "beside"}, *told["beside"]]
        found = told["text"], told["tokens"]
    except FileNotFoundError:
        raise ValueError(f"--beside: no such file: {path}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"--beside: {path} is no file of figures as `subbyte evaluate --json` writes it") from None
    if found != (text, tokens):
        raise ValueError(f"--beside: {path} must be of {tokens} tokens of {text}, not of {found[1]} of {found[0]}")
    return [{"scheme": told["scheme"], **row} for row in rows]


def _group(row, scheme):
    """The line of a plot that a row belongs to."""
    fmt = row["format"]
    if fmt == "as in the file" or fmt.count("-") == 2 and fmt.startswith("int"):
        return fmt if fmt == "as in the file" else " ".join(fmt.split("-")[1:])
    return " ".join([row.get("scheme", scheme.name), fmt.rstrip("0123456789"), *([] if row["activations"] == FLOAT else
                                                                              [row["activations"]])])


def _engines(scheme, fmt, parameters):
    """Formats to measure, each with an engine that takes it."""
    if fmt == "all":
        return [(name, scheme.config_of(name, **parameters)) for name in scheme.formats]
    config = scheme.config_of(fmt, **parameters) if fmt in scheme.formats else scheme.Config(**parameters)
    return [(scheme.format_for(fmt, config), config)]


class _Run:
    """One way to compute the linear layers, measured on windows; ``layers`` has an entry a layer."""

    name, how, path, attend, calibrated_on = "", FLOAT, PATHS[0], None, None

    def __init__(self):
        self._model: models.Model
        self.layers, self._squares, self._weights, self._bits = [], np.zeros(2), 0, 0.0

    def layer(self, site, weight):
        """The product of a site: see :data:`subbyte.models.decoder.Layer`."""
        raise NotImplementedError

    def note(self, site, weight, dequantized, bits, fmt=None):
        """Remember what a layer's quantization costs and loses."""
        squares = np.array([np.square(part, dtype=np.float64).sum() for part in (dequantized - weight, weight)])
        self.layers.append({"tensor": site.tensor, "format": fmt or self.name, "bits_per_weight": bits,
                            "error": _share(squares)})
        self._squares += squares
        self._weights += weight.size
        self._bits += weight.size * bits

    @property
    def totals(self):
        """Bits a weight and error of all layers so far."""
        return {"bits_per_weight": self._bits / self._weights, "error": _share(self._squares)}

    def measure(self, model, windows):
        """The figures of a run."""
        self._model = model
        started, worked = time.perf_counter(), time.process_time()
        with _progress(self.name) as progress:
            result = models.perplexity(model, windows, self.layer, progress, attend=self.attend)
        spread = result.losses.std(ddof=1) / np.sqrt(len(result.losses)) if len(result.losses) > 1 else None
        return {"format": self.name, "activations": self.how, "calibration": self.calibrated_on,
                "attention": self.attend is not None, "path": self.path, "perplexity": result.value,
                "loss": result.loss, "loss_standard_error": spread, "losses": result.losses.tolist(),
                "predicted": result.predicted, **self.totals, "seconds": time.perf_counter() - started,
                "processor_seconds": time.process_time() - worked, "layers": self.layers}


def _share(squares):
    """Rms of an error over the rms of what it is an error of, from the sums of their squares."""
    return float(np.sqrt(squares[0] / (squares[1] or 1)))


class QuantizedRun(_Run):
    """Weights in a scheme's format, or each layer's in one of its own."""

    def __init__(self, scheme, fmt, config, how, mixed=None, attention=False):
        super().__init__()
        self.scheme, self.name, self.config, self.how, self.mixed = scheme, fmt, config, how, mixed
        if mixed is not None:
            self.name = "mixed"
        if attention:
            self.attend = self.attended
        self.calibrating, self.calibrations = None, {}

    @property
    def calibrated_on(self):
        """What there is to tell of the calibration, if there is one."""
        one = self.calibrating
        return one and {"text": one.text.name, "tokens": one.tokens, "rounding": one.rounding}

    def calibrate(self, model, windows, calibrating):
        """Find the static metadata of all sites, when the model, its weights as they are, reads windows."""
        sites = [models.Site(block, name) for block in range(model.config.blocks) for name in models.LINEARS]
        found = {site: self.scheme.calibrator(self._config_at(site.tensor)[1], site.normalised, self.how) for site in sites
                 if site.name not in model.shared}
        if self.how == FLOAT:
            raise ValueError(f"--calibration is for activations that are rounded: --activations must not be {FLOAT}")
        with _progress(f"{self.name}, calibrating"):
            models.watch(model, windows, lambda site, x: found[site].add(x))
        self.calibrating = calibrating
        self.calibrations = {site: found[site._replace(name=model.shared.get(site.name, site.name))].calibration(
            calibrating.rounding, cap=True) for site in sites}

    def attended(self, kind, x, other):
        """One of attention's products: see :data:`subbyte.models.decoder.Attend`."""
        operand, quantized = self.scheme.attention(kind, x, other, self.config)
        return np.asarray(operand, np.float32) @ quantized.dequantize().T

    def _config_at(self, tensor):
        """A layer's format, and the config of the engine that takes it."""
        if self.mixed is None:
            return self.name, self.config
        fmt = self.mixed.format_of(tensor)
        return fmt, dataclasses.replace(self.config, **self.scheme.format_settings.get(fmt, {}))

    def quantized(self, site, weight):
        """A layer's weight, what it stands for, and the config of the engine that takes it."""
        fmt, config = self._config_at(site.tensor)
        qweight = layer_weight(self.scheme, self._model, site, weight, fmt, config)
        dequantized = qweight.dequantize()
        self.note(site, weight, dequantized, qweight.bits_per_weight, fmt)
        return qweight, dequantized, config

    def layer(self, site, weight):
        _, dequantized, config = self.quantized(site, weight)
        if self.how == FLOAT:
            return models.plain(site, dequantized)
        calibration = self.calibrations.get(site)
        return lambda x: self.scheme.emulate(x, weight, dequantized, config, site.normalised, self.how, calibration)


class ExactRun(QuantizedRun):
    """Likewise, with products as the engine computes them, to the bit."""

    path = "exact"

    def attended(self, kind, x, other):
        return self.scheme.answer(*self.scheme.attention(kind, x, other, self.config), self.config)

    def layer(self, site, weight):
        qweight, dequantized, config = self.quantized(site, weight)
        errors, calibration = _Errors(), self.calibrations.get(site)

        def product(x):
            operand, terms = self.scheme.site(x, weight, dequantized, config, site.normalised, self.how, calibration)
            y = self.scheme.answer(operand, qweight, config, **terms)
            self.layers[place]["arithmetic"] = errors.add(y, self.scheme.reference(operand, qweight, config, **terms))
            return y

        place = len(self.layers) - 1
        return product


class _Errors:
    """Of a layer's answers against their references, over windows that go through it side by side."""

    def __init__(self):
        self._lock, self._squares, self._windows, self._largest = threading.Lock(), np.zeros(2), 0, (0.0, 0, 0)

    def add(self, y, reference):
        """Take one more window's, [T, N]; returns all figures so far."""
        error = y - reference
        token, output = np.unravel_index(np.abs(error).argmax(), error.shape)
        squares = np.array([np.square(part).sum() for part in (error, reference)])
        with self._lock:
            self._squares += squares / error.size
            self._largest = max(self._largest, (abs(float(error[token, output])), int(token), int(output)))
            largest, token, output = self._largest
            self._windows += 1
            rms = np.sqrt(self._squares[1] / self._windows) or 1.0
            return {"error": _share(self._squares), "largest": float(largest / rms), "token": token, "output": output}


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
