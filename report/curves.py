# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Perplexity against bits a weight: what `subbyte evaluate --plot` draws."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

__all__ = ["curves", "draw"]


def curves(rows: Sequence[dict[str, Any]], title: str, kind: str = "svg") -> bytes:
    """The picture of :func:`draw`, of a kind as matplotlib calls it: svg, png, pdf."""
    buffer = io.BytesIO()
    draw(rows, title).savefig(buffer, format=kind)
    return buffer.getvalue()


def draw(rows: Sequence[dict[str, Any]], title: str) -> Figure:
    """A point for each row of an evaluation, a line for those of a ``group``, in the order of their bits.

    Parameters
    ----------
    rows : sequence of dict
        With ``bits_per_weight``, ``perplexity``, ``format`` and ``group``, the line that a point belongs to.
    title : str
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for group in dict.fromkeys(row["group"] for row in rows):
        points = sorted((row["bits_per_weight"], row["perplexity"], row["format"]) for row in rows if row["group"] == group)
        axes.plot([bits for bits, _, _ in points], [value for _, value, _ in points], "o-", ms=5, lw=1, label=group)
        for bits, value, fmt in points:
            axes.annotate(fmt, (bits, value), textcoords="offset points", xytext=(5, 4), fontsize=7)
    axes.set(yscale="log", xlabel="bits a weight, scales included", ylabel="perplexity", title=title)
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=8)
    return figure
