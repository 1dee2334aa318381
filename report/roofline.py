# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The roofline of a plan: multiply-accumulates a cycle against multiply-accumulates a byte."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

__all__ = ["roofline"]


def roofline(costs: Sequence[Any], kind: str = "svg") -> bytes:
    """A point for each layer of each :class:`subbyte.explore.ModelCost`, under the roof of its engine and memory."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for index, cost in enumerate(costs):
        colour, machine = f"C{index}", cost.machine
        intensity = [layer.macs / layer.bytes for layer in cost.layers]
        peak = max(layer.peak for layer in cost.layers) * machine.engines
        low, high = min(intensity) / 4, max(*intensity, peak / machine.bytes_per_cycle) * 4
        ridge = peak / machine.bytes_per_cycle
        axes.plot([low, ridge, high], [low * machine.bytes_per_cycle, peak, peak], "-", color=colour, lw=1, alpha=0.6)
        axes.plot(intensity, [layer.macs / layer.cycles for layer in cost.layers], "o", color=colour, ms=5,
                  label=f"{machine.name}, {cost.m} token{'s' * (cost.m > 1)}")
    axes.set(xscale="log", yscale="log", xlabel="multiply-accumulates a byte", ylabel="multiply-accumulates a cycle")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind)
    return buffer.getvalue()
