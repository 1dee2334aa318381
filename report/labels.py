# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Labels beside the points of a plot, none over another: nobody should have to match colours with a legend."""

from itertools import pairwise, product

import numpy as np
from matplotlib.transforms import Bbox

__all__ = ["place_labels"]

_GAP = 7  # points between a marker and its label
_CLEAR = 4  # half the size of a marker


def _candidates():
    """Offsets in points and the alignment of the label there, the nearest first."""
    beside = [(sign * _GAP, level * 11, "left" if sign > 0 else "right", "center")
              for level, sign in product((0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7), (1, -1))]
    above = [(0, sign * _GAP, "center", "bottom" if sign > 0 else "top") for sign in (1, -1)]
    return sorted(beside + above, key=lambda offset: abs(offset[0]) + 2 * abs(offset[1]))


_CANDIDATES = _candidates()
_SHARE = {"left": 0, "bottom": 0, "center": 0.5, "right": 1, "top": 1}  # of its size that a label reaches back


def _overlap(a, b):
    """Area that two boxes share."""
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(width, 0) * max(height, 0)


def place_labels(axes, labels, *, lines=(), line_color):
    """Write labels beside their points, off other labels, markers and lines.

    Limits and scales of the axes must be set before, and the figure's layout done.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    labels : sequence of (x, y, text, color)
        In data coordinates; what comes first gets the better place.
    lines : sequence of (x, y)
        Corners of a line of horizontal and vertical pieces, in data coordinates.
    line_color : color
        Of the line between a label and its point where they are apart.

    Returns
    -------
    list of matplotlib.transforms.Bbox
        Where the labels are, in pixels.
    """
    figure, placed = axes.figure, []
    scale = figure.dpi / 72
    centres = [axes.transData.transform((x, y)) for x, y, *_ in labels]
    markers = [Bbox.from_extents(x - _CLEAR * scale, y - _CLEAR * scale, x + _CLEAR * scale, y + _CLEAR * scale)
               for x, y in centres]
    corners = [axes.transData.transform(corner) for corner in lines]
    pieces = [Bbox([start, end]) for start, end in pairwise(corners)]
    taken = [*markers, *(Bbox.from_extents(*(piece.min - scale), *(piece.max + scale)) for piece in pieces)]
    inside = axes.get_window_extent()
    for (x, y, text, color), centre in zip(labels, centres):
        note = axes.annotate(text, (x, y), (0, 0), textcoords="offset points", color=color, fontsize=8.5)
        size = note.get_window_extent().size

        def box(candidate, centre=centre, size=size):
            shift = [_SHARE[align] for align in candidate[2:]]
            corner = centre + scale * np.array(candidate[:2]) - size * shift
            return Bbox([corner, corner + size])

        def cost(candidate, box=box):
            here = box(candidate)
            outside = here.width * here.height - _overlap(here, inside)
            return sum(_overlap(here, other) for other in (*taken, *placed)) + 3 * outside

        best = min(_CANDIDATES, key=cost)  # the first of several that are free
        note.set(position=best[:2], ha=best[2], va=best[3])
        placed.append(box(best))
        if abs(best[1]) > 2 * _GAP:
            axes.annotate("", (x, y), best[:2], textcoords="offset points",
                          arrowprops={"arrowstyle": "-", "color": line_color, "lw": 0.7, "shrinkA": 0, "shrinkB": 3})
    return placed
