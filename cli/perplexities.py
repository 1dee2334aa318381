# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make perplexity`: perplexities of SmolLM2-135M on WikiText-2 beside those of an independent implementation.

That one was written apart from this project, in float32 on a GPU, for the same file and the first 48 windows of the same text
(docs/models.md). What its figures say to three or four digits must come out here within
0.3 %, with 4-bit activations within 4 %.
"""

import json
import sys

import click

from .. import models
from ..schemes import engines, scheme
from ..tools.toolchain import build_root
from ..weights.smollm2 import ModelUnavailable, fetch_model
from .evaluate import FLOAT, PlainRun, QuantizedRun, UniformRun
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["INDEPENDENT", "main"]

WINDOWS, TOLERANCE = 48, 0.003
COARSE = 0.04
"""Likewise of 4-bit activations: the last bit of a sum decides on roundings, these on others; a window's loss moves by 0.09."""
INDEPENDENT = {
    "file": 18.4106,
    "uniform int4-asymmetric-g128": 24.13, "uniform int4-symmetric-g128": None,
    "uniform int8-symmetric-channel": 18.45, "uniform int4-symmetric-channel": 36.1,
    "uniform int3-asymmetric-g128": 83.43, "uniform int3-symmetric-g128": None,
    **{f"{name} {row}": figure for name in engines() for row, figure in scheme(name).perplexities.items()},
}
"""Perplexities by what was measured: a scheme, a format, and how activations reach the products if not as they are.

None: it has no such figure, or one above the vocabulary, which has no order.
"""


def run_of(name):
    """The run of a name in :data:`INDEPENDENT`."""
    if name == "file":
        return PlainRun()
    kind, fmt, *how = name.split()
    if kind == "uniform":
        bits, symmetry, shared = fmt.removeprefix("int").split("-")
        return UniformRun(models.Uniform(int(bits), symmetry == "symmetric", None if shared == "channel" else int(shared[1:])))
    one = scheme(kind)
    return QuantizedRun(one, fmt, one.config_of(fmt), *(how or [FLOAT]))


def _tolerance(name):
    """By how much a row may differ."""
    kind, fmt, *_ = f"{name} ".split(" ")
    return COARSE if kind in engines() and fmt in scheme(kind).unsteady else TOLERANCE


@click.command(cls=RecordedCommand)
@click.argument("text", metavar="TEXTFILE")
@click.option("--row", "names", metavar="NAME", multiple=True, default=INDEPENDENT, type=click.Choice(tuple(INDEPENDENT)),
              help="Only this one; repeat for more.")
def main(text, names):
    """Measure, and compare; a row takes six to fifteen minutes of a processor.

    Figures go into build/perplexity, a file a row; what is there is not measured again.
    """
    folder = build_root() / "perplexity"
    try:
        model = models.open_model(fetch_model(build_root() / "model"))
        windows = models.windows(models.read_tokens(model.path, text), WINDOWS * models.WINDOW)
    except (ModelUnavailable, ValueError) as error:
        sys.exit(f"error: {error}")
    print("| weights and activations | perplexity | independent | difference | minutes of a processor |\n|---|---|---|---|---|")
    wrong = []
    for name in names:
        kept = folder / f"{name.replace(' ', '-')}.json"
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            save_figures(kept, run_of(name).measure(model, windows))
        figures, expected = json.loads(kept.read_text()), INDEPENDENT[name]
        found = figures["perplexity"]
        difference = expected and found / expected - 1
        if difference and abs(difference) > _tolerance(name):
            wrong.append(name)
        shown = f"{found:,.2f}" if found < model.config.vocabulary else f"collapsed, {found:.0e}"
        beside = f"{expected:,.2f} | {difference:+.2%}" if expected else "|"
        print(f"| {name} | {shown} | {beside} | {figures['processor_seconds'] / 60:.1f} |", flush=True)
    if wrong:
        sys.exit(f"error: too far away: {', '.join(wrong)}")


if __name__ == "__main__":
    main(prog_name="subbyte.cli.perplexities")
