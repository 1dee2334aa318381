# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make quantizers`: the quantizers of binary codes on a model's layers, beside uniform weights of as many bits.

What counts is the error of a layer's product, ``sum((x @ (W - W'))**2)``, on a text; rows "calibrated" and "feedback" know
the inputs of layers while the model reads something else: their mean squares, or the mean products of all pairs.
"""

import json
import sys
from functools import cache, cached_property
from pathlib import Path

import click
import numpy as np

from .. import models
from ..golden import bcq
from ..models.blocks import SHARED
from ..schemes import scheme
from ..tools.toolchain import build_root
from ..weights.smollm2 import ModelUnavailable, fetch_model
from .evaluate import QuantizedRun
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["CalibratedRun", "GROUPS", "Study", "main"]

BITS = (4, 3, 2)
METHODS = ("uniform", "greedy", "alternating", "grid", "calibrated", "feedback")
CALIBRATING = METHODS[-2:]
GROUPS = {"uniform": 64}
"""Weights that share scales, if not 128: of uniform weights a scale and an offset, of binary codes an alpha for each plane."""
CALIBRATED, TRIED = 8, 4
"""Windows of the text that calibrates, and of the one that errors are measured on."""
_GAINS, _SEED = (0.8, 1.25), 7


class CalibratedRun(QuantizedRun):
    """Weights of a quantizer of binary codes.

    Parameters
    ----------
    bits : int
    method : one of :data:`METHODS`
    importance : mapping of Site to float [K] or [K, K]
        Mean squares of inputs, for "calibrated"; mean products of them, for "feedback"; empty for the other methods.
    control : bool
        Quantize another model of the same function: inputs of a layer over gains, weights times them, so that these leave the
        grid of a file that has been quantized.
    known : str
        Which text calibrates, if it says so in the row's name.
    """

    def __init__(self, bits, method, importance, control=False, known=""):
        fmt, size = f"bcq{bits}{'-uniform' * (method == 'uniform')}", GROUPS.get(method, 128)
        super().__init__(scheme("bcq"), fmt, bcq.BcqConfig(group_size=size), "float")
        by = f", by {known}" if known and method in CALIBRATING else ""
        self.name = f"bcq{bits} {method}{by}{', off the grid' * control}"
        self._width, self._method, self._importance, self._control = bits, method, importance, control

    def quantize(self, site, weight):
        """The quantized weight, and what it means, float32 [N, K]."""
        gains = self._gains(site, weight.shape[1])
        importance = self._importance.get(site)
        if importance is not None:
            importance = importance / (gains**2 if importance.ndim == 1 else gains * np.reshape(gains, (-1, 1)))
        method = self._method if importance is None else "grid"
        qweight = bcq.quantize(weight * gains, self._width, self.config.group_size, method, importance=importance)
        return qweight, qweight.dequantize() / gains

    def layer(self, site, weight):
        qweight, dequantized = self.quantize(site, weight)
        self.note(site, weight, dequantized, qweight.bits_per_weight)
        return models.plain(site, dequantized)

    def _gains(self, site, k):
        if not self._control:
            return np.float32(1)
        name = SHARED.get(site.name, site.name)  # layers of one input have its gains
        rng = np.random.default_rng((_SEED, site.block, tuple(models.LINEARS).index(name)))
        return rng.uniform(*_GAINS, k).astype(np.float32)


class Study:
    """A model, the text that errors are measured on, and what quantizers need to know of both; each found once, when wanted.

    Parameters
    ----------
    path : path of the model's file
    text : path of a text
        Errors and perplexities are those of its first windows.
    calibration : path of another text, or None
        What calibrates: its first windows; None: the last windows of the text, which then are not measured.
    """

    def __init__(self, path, text, calibration=None):
        self.model = models.open_model(path)
        self._tokens, self._own = models.read_tokens(path, text), calibration is None
        self._behind = len(self._tokens) // models.WINDOW * models.WINDOW
        other = self._tokens[self._behind - CALIBRATED * models.WINDOW : self._behind]
        if calibration is not None:
            other = models.read_tokens(path, calibration)
            if np.array_equal(self._tokens, other):
                raise ValueError(f"{text}: must not be the text that calibrates")
        self._calibrating, self._label = other, "" if calibration is None else Path(calibration).stem

    def windows(self, count):
        """The first windows of the text."""
        left = self._behind // models.WINDOW - CALIBRATED * self._own
        if count > left:
            raise ValueError(f"windows must be at most {left}, which the text has{' before those that calibrate' * self._own}, "
                             f"not {count}")
        return models.windows(self._tokens, count * models.WINDOW)

    @cached_property
    def _known(self):
        """What methods know of inputs, found when wanted, of the text that calibrates."""
        windows = models.windows(self._calibrating, CALIBRATED * models.WINDOW)
        return {"calibrated": cache(lambda: models.mean_squares(self.model, windows)),
                "feedback": cache(lambda: models.mean_products(self.model, windows))}

    @cached_property
    def products(self):
        """Mean products of inputs, of the text that errors are measured on."""
        return models.mean_products(self.model, self.windows(TRIED))

    def run(self, bits, method, control=False):
        """Quantizes by a method."""
        return CalibratedRun(bits, method, self._known.get(method, dict)(), control, self._label)

    def errors(self, run):
        """Mean squares of the errors of all layers' products by tensor, inputs being those of the model; and of the weights."""
        found = {}
        for site, products in self.products.items():
            weight = self.model.weight(site.tensor)
            qweight, dequantized = run.quantize(site, weight)
            run.note(site, weight, dequantized, qweight.bits_per_weight)
            error = dequantized.astype(np.float64) - weight
            found[site.tensor] = float(np.einsum("nk,nk->", error @ products, error))
        return {"layers": found, **run.totals}


def _row(study, folder, bits, method, control, windows):
    """Figures of a row, those of a run before if it had them."""
    run = study.run(bits, method, control)
    kept = folder / f"{run.name.replace(', ', '-').replace(' ', '-')}.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    if "layers" not in figures:
        figures |= study.errors(run)
        save_figures(kept, figures)
    if windows and figures.get("windows") != windows:
        measured = study.run(bits, method, control).measure(study.model, study.windows(windows))
        figures |= {"windows": windows, "perplexity": measured["perplexity"], "losses": measured["losses"]}
        save_figures(kept, figures)
    return run.name, figures


@click.command(cls=RecordedCommand)
@click.argument("text", metavar="TEXTFILE")
@click.option("--bits", metavar="N", type=click.Choice(tuple(map(str, BITS))), multiple=True, default=tuple(map(str, BITS)),
              help="Only this many; repeat for more.")
@click.option("--method", "methods", metavar="NAME", type=click.Choice(METHODS), multiple=True, default=METHODS,
              help="Only this one; repeat for more.")
@click.option("--calibration", metavar="FILE",
              help="Another text that calibrates. Default: the last windows of TEXTFILE, which are then not measured.")
@click.option("--control", is_flag=True, help="Off the grid of a file whose weights have been quantized.")
@click.option("--windows", metavar="N", type=click.IntRange(min=0), default=0, show_default=True,
              help="Perplexity as well, on so many windows of 2048 tokens.")
def main(text, bits, methods, calibration, control, windows):
    """Measure. Figures go into build/quantizers, a file a row; what is there is not measured again."""
    folder = build_root() / "quantizers"
    try:
        study = Study(fetch_model(build_root() / "model"), text, calibration)
        study.windows(max(windows, TRIED))
    except (ModelUnavailable, ValueError) as error:
        sys.exit(f"error: {error}")
    print("| weights | bits a weight | weight error | output error, over uniform's | a layer's, median | largest | layer "
          "| perplexity |\n|---|---|---|---|---|---|---|---|")
    for width in map(int, bits):
        beside = _row(study, folder, width, "uniform", control, 0)[1]["layers"]
        for method in methods:
            name, figures = _row(study, folder, width, method, control, windows)
            shares = {tensor: error / beside[tensor] for tensor, error in figures["layers"].items()}
            total = sum(figures["layers"].values()) / sum(beside.values())
            worst = max(shares, key=lambda tensor: shares[tensor])
            shown = f"{figures['perplexity']:,.2f}" if "perplexity" in figures else ""
            print(f"| {name} | {figures['bits_per_weight']:.3f} | {figures['error']:.2%} | {total:.3f} "
                  f"| {np.median(list(shares.values())):.3f} | {shares[worst]:.3f} | {worst} | {shown} |", flush=True)


if __name__ == "__main__":
    main(prog_name="subbyte.cli.quantizers")
