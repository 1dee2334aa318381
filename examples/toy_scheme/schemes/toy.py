# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The toy, as the rest of the house knows it."""

from functools import cached_property

import numpy as np

from ..golden import toy
from .contract import Part, Product, Scheme

__all__ = ["SCHEME"]


class Toy(Scheme):
    """Plain INT8 products."""

    name, title = "toy", "Toy"
    idea = "INT8 weights times INT8 activations, plainly"
    paper = "docs/adding-a-scheme.md"
    colours = "#6e7781", "#9198a1"
    Config = toy.ToyConfig
    Weight = toy.Quantized
    formats = ("int8",)
    fits = {size: {} for size in ("smallest", "small", "large")}
    corners = ({"rows": 1, "cols": 1, "lanes": 1, "drain": 1},)
    accurate = False

    def takes(self, fmt, config):
        return fmt == "int8"

    def quantize(self, weight, fmt, config):
        return toy.quantize(weight)

    def activations(self, x, config):
        return toy.quantize(x)

    def inputs(self, x, qweight, config):
        return toy.pack(x, qweight, config)

    def product(self, x, qweight, config):
        y = toy.matmul(x, qweight)
        return Product(
            y, {}, frozenset(), toy.reference(x, qweight), config.timeline(*y.shape, config.schedule(qweight, x)),
            self.inputs(x, qweight, config), toy.pack_outputs(y, config), np.outer(x.scales, qweight.scales).astype(np.float64))

    def results(self, words, m, n, config):
        return toy.unpack_outputs(words, m, n, config), {}

    def shared(self, config):
        return "one scale a channel"

    @cached_property
    def parts(self):
        from ..pe.toy import ToyPE
        from ..top.toy import ToyEngine

        def macs(count):
            return lambda config: {"INT8 x INT8": float(count(config))}

        return (
            Part("pe", "pe", "processing element", ToyPE, {"toy_pe": {}}, macs(lambda config: config.lanes),
                 lambda config: f"{config.lanes} lanes", released=True),
            Part("engine", "engine", "engine", ToyEngine, {"toy_engine": {}},
                 macs(lambda config: config.rows * config.cols * config.lanes),
                 lambda config: f"{config.rows} x {config.cols} x {config.lanes}",
                 {"*_pe": "PE array", "*.core*": "edge logic", "": "shell"}, released=True),
        )


SCHEME = Toy()
