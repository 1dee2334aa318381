# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The toy engine: its core, and the core in the shell."""

from amaranth.hdl import Module

from ..dequant.toy import ToyOutput
from ..golden.toy import ToyConfig
from ..hdl.pipeline import delay
from ..hdl.place import place
from ..pe.toy import ToyPE
from .core import Core
from .engine import Engine

__all__ = ["ToyCore", "ToyEngine"]


class ToyCore(Core):
    """An element for each pair of row and column."""

    CONFIG = ToyConfig
    latency = ToyPE.LATENCY
    interval = 1

    def output_unit(self):
        """Adds biases."""
        return ToyOutput(self.config)

    def elaborate(self, platform):
        m = Module()
        for r in range(self.config.rows):
            for c in range(self.config.cols):
                pe = place(m, platform, f"pe_{r}_{c}", "pe", ToyPE, self.config)
                m.d.comb += [
                    pe.activations.eq(self.activations.data[r]),
                    pe.codes.eq(self.weights.codes[c]),
                    pe.valid.eq(self.step.valid),
                    pe.first.eq(self.step.first.tile),
                    pe.last.eq(self.step.last.tile),
                    self.results[r][c].eq(pe.sum),
                ]
        m.d.comb += self.done.eq(delay(m, self.step.valid & self.step.last.tile, self.latency, "done", reset=True))
        return m


class ToyEngine(Engine):
    """The toy engine: INT8 weights and activations, sums in 32 bits."""

    CORE = ToyCore
