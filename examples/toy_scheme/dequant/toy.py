# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The toy's last step: a bias for each column."""

from amaranth.hdl import Module

from .output_unit import OutputUnit

__all__ = ["ToyOutput"]


class ToyOutput(OutputUnit):
    """Adds the columns' biases."""

    latency = 1

    def elaborate(self, platform):
        m = Module()
        with m.If(self.enable):
            m.d.sync += [self.payload.data[i].eq(self.results[i] + self.columns[i]) for i in range(self.config.drain)]
        return m
