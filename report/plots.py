# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The report's plots, as SVG text: the same figures give the same bytes.

Colours go by name: in a page they are variables of its style sheet, which knows of light and dark; in a file they are
:data:`LIGHT`, on a background of its own. Schemes differ in colour (Paul Tol's palettes, for every kind of colour
vision), and in its shape what a point is.
"""

import io
import math
import re
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ..schemes import NAMES, priced
from .labels import place_labels

__all__ = ["DARK", "LIGHT", "SHAPES", "Axes", "Point", "breakdown_bars", "pareto_front", "scatter", "scatters"]

_SHARES = (("#4477aa", "#77aadd"), ("#228833", "#7fc97f"), ("#cc3311", "#ee8866"), ("#aa3377", "#e08fc0"),
           ("#997700", "#d6b656"), ("#6e7781", "#9198a1"), ("#1f2328", "#e6edf3"))
_COLOURS = {
    "ink": ("#1f2328", "#e6edf3"), "faint": ("#d0d7de", "#30363d"), "paper": ("#ffffff", "#0d1117"),
    "file": ("#1f2328", "#e6edf3"), "published": ("#6e7781", "#9198a1"),
    **{f"share-{number}": pair for number, pair in enumerate(_SHARES)},
    **{name: priced(name).colours for name in NAMES},
}

LIGHT = {name: light for name, (light, _) in _COLOURS.items()}
"""Colours by name for a light background."""

DARK = {name: dark for name, (_, dark) in _COLOURS.items()}
"""The same for a dark one."""

SHAPES = {"pe": "o", "array": "s", "engine": "D", "baseline": "^", "file": "P", "published": "x"}
"""Marker by what a point is: the kinds of our designs, and published ones."""

# What matplotlib draws with: colours that nothing else has, to be replaced in the text.
_DRAWN = {name: f"#0a0b{16 + index:02x}" for index, name in enumerate(LIGHT)}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "subbyte", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5, "text.color": _DRAWN["ink"], "axes.labelcolor": _DRAWN["ink"], "axes.edgecolor": _DRAWN["ink"],
    "xtick.color": _DRAWN["ink"], "ytick.color": _DRAWN["ink"], "axes.spines.top": False, "axes.spines.right": False,
    "axes.titleweight": "bold", "axes.titlesize": 11, "axes.facecolor": "none", "figure.facecolor": _DRAWN["paper"],
}


@dataclass(frozen=True)
class Point:
    """A design in a scatter plot.

    Attributes
    ----------
    label : str
    scheme : str
        Chooses the colour: a name of :mod:`subbyte.schemes`, "file" or "published".
    kind : str
        Chooses the shape; see :data:`SHAPES`.
    area : float
        Per MAC/cycle.
    density : float
        Throughput per area.
    estimated : bool
        Its period is an estimate: drawn hollow, and never on the front.
    """

    label: str
    scheme: str
    kind: str
    area: float
    density: float
    estimated: bool = False


@dataclass(frozen=True)
class Axes:
    """What a scatter plot's axes count in.

    Attributes
    ----------
    area, density, period : str
        Units of the area per MAC/cycle, of the throughput per area, and of the clock's period.
    scale : float
        The period, times area per MAC/cycle, times throughput per area.
    """

    area: str
    density: str
    period: str
    scale: float


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """Points that no other beats in area without losing throughput, or the other way round; by rising area.

    Of points that are equal in both, the first stays.
    """
    front = []
    for point in sorted(points, key=lambda point: (point.area, -point.density)):
        if not front or point.density > front[-1].density:
            front.append(point)
    return front


def scatter(points: Sequence[Point], units: Axes, name: str) -> str:
    """SVG for a page: area per MAC/cycle against throughput per area, both logarithmic, with the Pareto front.

    Diagonals are clock periods. `name` tells its identifiers from those of other plots in the page.
    """
    with _figure(5.2, 4.0) as figure:
        axes = figure.add_subplot()
        axes.set(xlabel=f"area per MAC/cycle ({units.area})", ylabel=f"throughput per area ({units.density})")
        _draw_points(axes, points, units)
        return _inline(figure, name)


def scatters(panels: Sequence[tuple[str, Sequence[Point]]], units: Axes) -> str:
    """SVG file with a :func:`scatter` for each title, side by side."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with _figure(5.0 * columns, 3.7 * rows + 0.4) as figure:
        figure.supxlabel(f"area per MAC/cycle ({units.area}): less is better", fontsize=10)
        figure.supylabel(f"throughput per area ({units.density}): more is better", fontsize=10)
        for number, (title, points) in enumerate(panels, 1):
            axes = figure.add_subplot(rows, columns, number)
            axes.set_title(title)
            _draw_points(axes, points, units)
        return _file(figure)


def breakdown_bars(rows: Sequence[tuple[str, dict[str, float]]], unit: str, name: str) -> str:
    """SVG for a page: stacked bars, the share of each category in the area of each labelled row."""
    categories = list(dict.fromkeys(category for _, areas in rows for category in areas))
    colours = {category: f"share-{number % len(_SHARES)}" for number, category in enumerate(categories)}
    with _figure(7.6, 1.1 + 0.5 * len(rows)) as figure:
        axes = figure.add_subplot()
        for place, (_, areas) in enumerate(rows):
            total, left = sum(areas.values()), 0.0
            for category, area in areas.items():
                share = 100 * area / total
                axes.barh(place, share, left=left, color=_DRAWN[colours[category]], edgecolor=_DRAWN["paper"], height=0.7)
                if share >= 6:
                    axes.text(left + share / 2, place, f"{share:.0f} %", ha="center", va="center", color=_DRAWN["paper"])
                left += share
            axes.text(101, place, f"{total:,.0f} {unit}", va="center")
        axes.set(xlim=(0, 100), xlabel="share of the area (%)")
        axes.set_yticks(range(len(rows)), [label for label, _ in rows])
        axes.invert_yaxis()
        figure.legend([Patch(color=_DRAWN[colours[category]]) for category in categories], categories,
                      ncols=min(3, len(categories)), loc="outside upper left", frameon=False, handlelength=1)
        return _inline(figure, name)


def _draw_points(axes, points, units):
    """Points, their front and the diagonals; labels last, where there is room."""
    axes.set(xscale="log", yscale="log", xlim=_limits([point.area for point in points]),
             ylim=_limits([point.density for point in points]))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    _draw_periods(axes, units)
    line = _front_line(points, axes.get_xlim()[1], axes.get_ylim()[0])
    axes.plot(*zip(*line), color=_DRAWN["ink"], linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    for point in points:
        axes.plot(point.area, point.density, SHAPES[point.kind], color=_DRAWN[point.scheme], markersize=6.5, zorder=3,
                  fillstyle="none" if point.estimated else "full", markeredgewidth=1.5)
    axes.figure.draw_without_rendering()  # labels need to know the layout
    place_labels(axes, [(point.area, point.density, point.label, _DRAWN[point.scheme]) for point in points],
                 lines=line, line_color=_DRAWN["published"])


def _front_line(points, right, bottom):
    """Corners of the front: what the best design gives that has at most so much area."""
    front = pareto_front(point for point in points if not point.estimated)
    levels = [bottom, *(point.density for point in front)]
    steps = [(point.area, level) for point, pair in zip(front, pairwise(levels)) for level in pair]
    return [*steps, (right, levels[-1])] if front else [(right, bottom)]


def _limits(values):
    """Limits of a logarithmic axis: at least a decade, with room for labels at both ends."""
    low, high = math.log10(min(values)), math.log10(max(values))
    room = max(0.12 * (high - low), (1 - (high - low)) / 2, 0.15)
    return 10 ** (low - room), 10 ** (high + room)


def _draw_periods(axes, units):
    """Diagonals on which the clock has the same period, each named where it enters the plot."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    powers = range(math.floor(math.log10(units.scale / (right * top))),
                   math.ceil(math.log10(units.scale / (left * bottom))))
    for period in (digit * 10.0 ** power for power in powers for digit in (1, 2, 5)):
        start = max(left, units.scale / (period * top))
        at_start, at_end = (units.scale / (period * x) for x in (start, right))
        if start * 1.3 > right or at_start < bottom * 1.3:
            continue
        axes.plot([start, right], [at_start, at_end], color=_DRAWN["faint"], linewidth=0.8, zorder=0)
        axes.annotate(f"{period:g} {units.period}", (start, at_start), (4, -6), textcoords="offset points", va="center",
                      fontsize=7, color=_DRAWN["published"], bbox={"fc": _DRAWN["paper"], "ec": "none", "pad": 0.6}, zorder=0)


@contextmanager
def _figure(width, height):
    """A figure in the plots' style; it must be saved inside."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def _svg(figure, transparent):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=transparent,
                   metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return buffer.getvalue()


def _inline(figure, name):
    """The SVG element alone, coloured by the page, its identifiers unique in it."""
    text = _svg(figure, transparent=True)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text[text.index("<svg"):])
    return _coloured(text, {key: f"var(--{key})" for key in _DRAWN})


def _file(figure):
    return _coloured(_svg(figure, transparent=False), LIGHT)


def _coloured(text, colours):
    for key, drawn in _DRAWN.items():
        text = text.replace(drawn, colours[key])
    return text
