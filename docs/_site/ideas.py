# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The idea of each scheme in one drawing, out of the exact models."""

import io
from itertools import product

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from subbyte.golden import bcq, bitmod
from subbyte.golden.bitmod.formats import DEFAULT_SPECIAL_VALUES

from .svg import INK

BLUE, RED, GREEN = "#4c86c6", "#d1605e", "#4f9d5d"
"""Read on light and on dark."""
STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "font.size": 9, "font.family": "sans-serif", "svg.hashsalt": "subbyte", "svg.fonttype": "none",
}


def _figure(height, width=8.0):
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _number_line(axes, rows):
    """Points of each row: (label, values, special ones)."""
    for height, (_, values, special) in enumerate(reversed(rows)):
        axes.axhline(height, color=INK, lw=0.4, alpha=0.4)
        axes.plot(values, [height] * len(values), "|", color=BLUE, ms=14, mew=2)
        axes.plot(special, [height] * len(special), "|", color=RED, ms=18, mew=3)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def bitmod_idea():
    """Code points of FP4 and FP3 by special value."""
    figure, axes = _figure(2.9)
    rows = []
    for fmt, unit in ((bitmod.Format.FP4, 2), (bitmod.Format.FP3, 1)):
        plain = np.array(bitmod.code_points(fmt))
        for special in DEFAULT_SPECIAL_VALUES[fmt]:
            rows.append((f"{fmt.name}, {special / unit:+g}", plain / unit, [special / unit]))
    _number_line(axes, rows)
    axes.set_xlabel("value of a weight, in units of the group's scale")
    return figure, (
        "A minifloat's negative zero is a wasted code. Each group of weights gives it one of four special values, "
        "red, whichever fits the group best, and two bits a group say which.")


def tender_idea():
    """Channels by their largest magnitude, in groups whose scales are powers of two apart."""
    figure, axes = _figure(2.8)
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((32, 96)) * np.exp(1.1 * rng.standard_normal(96))).astype(np.float32)
    largest = np.sort(np.abs(x).max(axis=0))[::-1]
    top, groups = largest[0], 6
    of = np.minimum(np.floor(np.log2(top / largest)).astype(int), groups - 1)
    for group in range(groups):
        inside = np.nonzero(of == group)[0]
        axes.bar(inside, largest[inside], color=(BLUE, GREEN)[group % 2], width=0.8)
        axes.plot([inside[0] - 0.5, inside[-1] + 0.5], 2 * [top / 2**group], color=RED, lw=1.6)
        axes.annotate(f"S/{2**group}" if group else "S", (inside.mean(), top / 2**group), xytext=(0, 2),
                      textcoords="offset points", ha="center", va="bottom", fontsize=8, color=INK)
    axes.set_yscale("log", base=2)
    axes.set_ylim(None, top * 2.4)
    axes.set_xlabel("channels of the activations, sorted; scales of the groups in red")
    axes.set_ylabel("largest magnitude")
    return figure, (
        "Channels join groups whose scales are exactly a factor of two apart. Sums of one group become those of "
        "the next by a shift of one bit, so a single integer accumulator serves them all.")


def rsr_idea():
    """Nine sums of two activations, and the trits that select them."""
    figure, axes = _figure(2.3)
    pairs = list(product((-1, 0, 1), repeat=2))
    for place, (first, second) in enumerate(pairs):
        terms = [f"{'+' if trit > 0 else '−'}{name}" for trit, name in ((first, "a"), (second, "b")) if trit]
        text = "".join(terms).removeprefix("+") or "0"
        axes.add_patch(matplotlib.patches.Rectangle((place, 1), 0.9, 0.8, fill=False, ec=BLUE, lw=1.5))
        axes.text(place + 0.45, 1.4, text, ha="center", va="center", color=INK)
        axes.text(place + 0.45, 2.0, f"{first:+d} {second:+d}".replace("+0", "0"), ha="center", color=INK, fontsize=7.5)
    for column, chosen in enumerate((1, 5, 8)):
        at = 1.0 + 3 * column
        axes.add_patch(matplotlib.patches.Rectangle((at, -0.9), 1.9, 0.7, fill=False, ec=GREEN, lw=1.5))
        axes.text(at + 0.95, -0.55, f"column {column}: {pairs[chosen]}", ha="center", va="center", fontsize=8, color=INK)
        axes.annotate("", (at + 0.95, -0.2), (chosen + 0.45, 1.0), arrowprops={"arrowstyle": "->", "color": RED, "lw": 1.3})
    axes.set_xlim(-0.2, 9.2)
    axes.set_ylim(-1.1, 2.4)
    axes.set_axis_off()
    return figure, (
        "With ternary weights two activations have nine possible sums, five of them different in more than sign. "
        "They are made once; each column reads the one that its two trits name, instead of adding.")


def bcq_idea():
    """Levels of a group of real-looking weights: binary codes put them where the weights are."""
    figure, axes = _figure(2.6)
    weight = np.random.default_rng(5).standard_normal((1, 128)).astype(np.float32)
    rows = [("weights", weight[0], [])]
    for bits, method in ((3, "uniform"), (3, "alternating"), (2, "alternating")):
        alphas = bcq.quantize(weight, bits, 128, method)
        levels = np.array(list(product((-1, 1), repeat=bits))) @ alphas.alpha[0, 0]
        levels += 0 if alphas.offset is None else alphas.offset[0, 0]
        rows.append((f"{bits} bits, {method}", levels, []))
    _number_line(axes, rows)
    axes.set_xlabel("value")
    return figure, (
        "A weight is a sum of signed alphas, one a bit. Powers of two as alphas make a uniform grid; free ones "
        "move the levels to where the weights are. Either way a product is a sum of signed activations, read from "
        "a table.")


def bipolar_idea():
    """Sixteen one-bit products of a W4A4 product, and what each counts."""
    figure, axes = _figure(2.6, 5.0)
    for i, j in product(range(4), repeat=2):
        axes.add_patch(matplotlib.patches.Rectangle((j, 3 - i), 0.92, 0.92, fc=BLUE, alpha=0.12 + 0.11 * (i + j), ec="none"))
        axes.text(j + 0.46, 3 - i + 0.46, f"x {2 ** (i + j)}", ha="center", va="center", color=INK)
    axes.set_xticks(np.arange(4) + 0.46, [f"a{j}" for j in range(4)])
    axes.set_yticks(3 - np.arange(4) + 0.46, [f"w{i}" for i in range(4)])
    axes.set_xlim(-0.05, 4)
    axes.set_ylim(-0.05, 4)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    axes.set_aspect("equal")
    return figure, (
        "Each bit counts plus or minus its power of two, so a product of n-bit and m-bit words is n x m products "
        "of signs: XOR, a count, and a shift. Any precision takes the same array, in n x m cycles.")


IDEAS = {"bitmod": bitmod_idea, "tender": tender_idea, "rsr": rsr_idea, "bcq": bcq_idea, "bipolar": bipolar_idea}


def draw(name):
    """The drawing as SVG, and its caption."""
    with matplotlib.rc_context(STYLE):
        figure, caption = IDEAS[name]()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue(), caption
