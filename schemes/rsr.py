# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR, as the rest of the house knows it."""

from dataclasses import replace
from functools import cached_property
from math import ceil

import numpy as np

from ..golden import rsr
from .contract import Part, Product, Scheme
from .operands import weight_words

__all__ = ["SCHEME"]


class Rsr(Scheme):
    """Ternary weights select sums out of tables that all columns share."""

    name, title = "rsr", "RSR"
    idea = "ternary weights, five a byte, select sums of INT8 activations out of tables that all columns share"
    paper = "RSR, arXiv 2411.06360"
    colours = "#228833", "#7fc97f"
    Config = rsr.RsrConfig
    Weight = rsr.QuantizedWeight
    formats = ("ternary-tensor", "ternary-channel")  # by their absolute mean
    format_settings = {"ternary-channel": {"granularity": "channel"}}
    accelerator = {"rows": 8, "cols": 20, "lanes": 16, "drain": 5}, {"bus_bytes": 64, "buffer": 128}
    fpga_accelerator = {"rows": 4, "cols": 20, "lanes": 4, "drain": 4}, {"bus_bytes": 16, "buffer": 256}
    corners = (
        {"rows": 1, "cols": 1, "lanes": 2, "drain": 1, "product_stages": 1},
        {"rows": 2, "cols": 3, "lanes": 7, "drain": 3, "form": "tree", "granularity": "channel", "dot_stages": 1},
        {"rows": 1, "cols": 4, "lanes": 12, "drain": 2, "mu": 3, "output": "float16", "accumulator_chunk": 30},
        {"cols": 2, "lanes": 20, "drain": 1, "select": "binary", "output": "int32", "max_k": 65536, "dot_stages": 4},
        {"rows": 2, "cols": 4, "lanes": 16, "drain": 4, "mu": 4, "max_k": 16},
    )
    fits = {
        "smallest": {"cols": 2, "lanes": 8, "drain": 1, "output": "int32"},
        "small": {"cols": 8, "lanes": 32, "drain": 1},
        "large": {"cols": 16, "lanes": 64, "drain": 1},
    }

    perplexities = {"ternary-tensor": None}

    def takes(self, fmt, config):
        return fmt == f"ternary-{config.granularity}"

    def quantize(self, weight, fmt, config):
        return rsr.quantize(weight, config.granularity)

    def take(self, tensor, fmt, config):
        if tensor.has_minima:
            raise ValueError(f"{self.title} takes -1, 0, 1 times a scale, without minima such as {tensor.source} has")
        if not tensor.is_ternary:
            raise ValueError(f"{self.title} takes -1, 0, 1 times a scale, not values of {tensor.values.min()} to "
                             f"{tensor.values.max()}")
        fmt = fmt or f"ternary-{config.granularity}"
        scales = tensor.mean_scale(1 if fmt == "ternary-channel" else None).reshape(-1)
        return rsr.QuantizedWeight(tensor.values.astype(np.int8), scales, fmt.removeprefix("ternary-")), fmt

    def suited(self, tensor):
        scales = tensor.channel_scales()
        return {} if scales is None or np.isin(scales, (0, scales.max())).all() else {"granularity": "channel"}

    def activations(self, x, config):
        return rsr.quantize_activations(x)

    def cut(self, x, qweight, start, stop):
        return tuple(replace(operand, values=operand.values[:, start:stop]) for operand in (x, qweight))

    def inputs(self, x, qweight, config):
        m, n_tiles = len(x.values), ceil(qweight.shape[0] / config.cols)
        tokens = {"tokens": rsr.pack_tokens(x, config, n_tiles)} if config.has_scales else {}
        return {**weight_words(rsr.pack, qweight, config, ceil(m / config.rows)),
                "activations": rsr.pack_activations(x, config, n_tiles), **tokens}

    def product(self, x, qweight, config):
        y, flags = rsr.matmul(x, qweight, config, flags=True)
        m, n = y.shape
        return Product(
            y, flags._asdict(), frozenset(), rsr.reference(x, qweight),
            config.timeline(m, n, config.schedule(qweight, x)),
            self.inputs(x, qweight, config),
            rsr.pack_outputs(y, config),
            self._unit(x, qweight, config),
        )

    def reference(self, x, qweight, config):
        return rsr.reference(x, qweight)

    def answer(self, x, qweight, config):
        return (rsr.matmul(x, qweight, config) * self._unit(x, qweight, config)).astype(np.float32)

    @staticmethod
    def _unit(x, qweight, config):
        return 1.0 if config.has_scales else np.outer(x.scales, qweight.scales)

    def results(self, words, m, n, config):
        y, *masks = rsr.unpack_outputs(words, m, n, config)
        return y, rsr.Flags(*masks)._asdict()

    def shared(self, config):
        return f"one scale a {config.granularity}"

    @cached_property
    def parts(self):
        from ..hdl.floating import Float32, FloatScale
        from ..hdl.int_to_float import IntToFloat
        from ..pe.rsr import element
        from ..pe.rsr_edge import ActivationTable, TritDecoder
        from ..pe.rsr_scatter import RsrScatterPE
        from ..top.rsr import RsrArray, RsrEngine

        def macs(count):
            return lambda config: {"INT8 x ternary": float(count(config))}

        of_pe, of_array = macs(lambda config: config.lanes), macs(lambda config: config.rows * config.cols * config.lanes)

        def lanes(config):
            return f"{config.lanes} lanes"

        def size(config):
            return f"{config.rows} x {config.cols} x {config.lanes}"

        def part(name, kind, title, make, *arguments, measured=None, **options):
            return Part(name, kind, title, make, measured or {f"rsr_{name}": {}}, *arguments, **options)

        array = {"*_element": "PE array", "*_table": "edge logic", "*_decoder": "edge logic"}
        unit = {name: "output unit" for name in ("*_product", "*_convert", "*.unit*")}
        engine = {**array, **unit, "*.core*": "edge logic", "": "shell"}
        tree = {"form": "tree"}
        return (
            part("pe", "part", "element, tables and decoders apart", element, of_pe, lanes, released=True,
                 measured={"rsr_pe": {}, "rsr_tree_pe": tree}),
            part("scatter", "pe", "scatter element", lambda config: RsrScatterPE(config.mu, config.max_k),
                 macs(lambda config: config.mu), lambda config: f"blocks of {config.mu}",
                 measured={f"rsr_scatter_{block}_pe": {"mu": block, "lanes": 64 // block * block} for block in (2, 3)}),
            part("tables", "part", "tables of a row", ActivationTable, size=lanes),
            part("decode", "part", "decoder of ten weights", TritDecoder),
            part("to_float", "part", "sum to binary32", lambda config: IntToFloat(config.accumulator_bits)),
            part("scaler", "part", "output scaler", lambda config: FloatScale(Float32, product_stages=config.product_stages)),
            part("array", "array", "array", RsrArray, of_array, size, {**array, "": "edge logic"},
                 measured={"rsr_array": {}, "rsr_tree_array": tree}),
            part("engine", "engine", "engine", RsrEngine, of_array, size, engine, released=True),
        )


SCHEME = Rsr()
