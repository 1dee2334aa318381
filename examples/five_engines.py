# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Five engines on one real layer: accuracy, bits, cycles, area; a table, and a plot.

The layer is a slice of SmolLM2-135M's ``blk.0.ffn_up``, 64 x 576 weights and eight tokens, part of the repository. Every
engine has its default size and computes the product by its exact model, which its RTL equals bit for bit. Area is that of the
default array in Nangate45, from ``docs/figures.json``, which `make figures` writes.
"""

import json
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from subbyte.schemes import engines, scheme

ROOT = Path(__file__).resolve().parents[1]
LAYER = ROOT / "tests" / "data" / "smollm2_slice.npz"
FIGURES = ROOT / "docs" / "figures.json"
FORMATS = {
    "bitmod-fp4": ("bitmod_array", "FP16 x FP4"), "bitmod-fp3": ("bitmod_array", "FP16 x FP3"),
    "int4": ("bitmod_array", "FP16 x INT4"),
    "tender int8": ("tender_int8_array", "INT8 x INT8"), "tender int4": ("tender_int4_array", "INT4 x INT4"),
    "ternary-channel": ("rsr_array", "INT8 x ternary"),
    "bcq4": ("bcq_array", "FP16 x W4"), "bcq3": ("bcq_array", "FP16 x W3"),
    "bipolar8": ("bipolar_array", "INT8 x INT8"), "bipolar4": ("bipolar_array", "INT4 x INT4"),
}
"""What is measured: a format, the scheme before it where two have its name; which array's area, and what it multiplies."""


@dataclass
class Row:
    """A format on its engine.

    Attributes
    ----------
    bits : float
        A weight's, scales included.
    weights, product : float
        Rms error over rms: of the weights, and of the product against that of the given weights and activations.
    macs : float
        Real multiply-accumulates a cycle, of the whole product on the default engine.
    area : float or None
        um2 per MAC/cycle of the array, in Nangate45.
    """

    scheme: str
    format: str
    bits: float
    weights: float
    product: float
    macs: float
    area: float | None


def measure():
    """A row for each of :data:`FORMATS`."""
    layer = np.load(LAYER)
    weight, x = layer["weight"].astype(np.float32), layer["activations"].astype(np.float32)
    return [_row(name.split()[-1], _scheme_of(name), weight, x, *of_area) for name, of_area in FORMATS.items()]


def _scheme_of(name):
    """The scheme that has a format, or is named before it."""
    return next(one for one in map(scheme, engines()) if one.name == name.split()[0] or name in one.formats)


def _row(fmt, one, weight, x, design, operands):
    config = one.config_of(fmt)
    qweight, operand = one.quantize(weight, fmt, config), one.activations(x, config)
    product = one.product(operand, qweight, config, **one.derived(operand, qweight, config)[0])
    exact = x.astype(np.float64) @ weight.T.astype(np.float64)
    return Row(one.title, fmt, qweight.bits_per_weight, rms(qweight.dequantize() - weight) / rms(weight),
               rms(product.y * np.asarray(product.unit, np.float64) - exact) / rms(exact),
               weight.size * len(x) / product.timeline.cycles, area_of(design, operands))


def area_of(design, operands):
    """um2 per MAC/cycle of a design for these operands, if it was measured."""
    rows = {row["name"]: row for row in json.loads(FIGURES.read_text())["rows"]}
    macs = rows.get(design, {}).get("macs", {}).get(operands)
    return rows[design]["area"] / macs if macs else None


def rms(values):
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(np.asarray(values, np.float64)))))


def table(rows):
    """The rows as a table of Markdown."""
    header = ("scheme", "format", "bits", "error of the weights", "of the product", "MAC/cycle", "um2 per MAC/cycle")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        area = "" if row.area is None else f"{row.area:,.0f}"
        lines.append(f"| {row.scheme} | {row.format} | {row.bits:.2f} | {row.weights:.1%} | {row.product:.1%} "
                     f"| {row.macs:,.0f} | {area} |")
    return "\n".join(lines)


def plot(rows):
    """Error of the product against area, a point a format; bits beside its name."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    colours = dict(zip(dict.fromkeys(row.scheme for row in rows), ("#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee")))
    for row in rows:
        if row.area is not None:
            axes.plot(row.area, row.product, "o", color=colours[row.scheme])
            axes.annotate(f" {row.format}, {row.bits:.2g} bits", (row.area, row.product), fontsize=8, va="center")
    axes.set(xscale="log", yscale="log", xlabel="um2 per MAC/cycle of the array (Nangate45)", ylabel="rms error of the product")
    axes.margins(x=0.4)
    return figure


@click.command()
@click.option("--plot", "file", metavar="FILE", help="Draw the plot into this file as well (.svg, .png, .pdf).")
@click.option("--json", "output", metavar="FILE", help="Write the rows to this file as well.")
def main(file, output):
    """Measure, and print the table.

    Example: python examples/five_engines.py --plot engines.svg
    """
    rows = measure()
    print(table(rows))
    if file:
        plot(rows).savefig(file)
    if output:
        names = [item.name for item in fields(Row)]
        Path(output).write_text(json.dumps([dict(zip(names, astuple(row))) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
