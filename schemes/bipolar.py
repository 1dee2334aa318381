# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT, as the rest of the house knows it."""

from dataclasses import replace
from functools import cached_property
from math import ceil

import numpy as np

from ..golden import bipolar
from .contract import Part, Product, Scheme

__all__ = ["SCHEME"]


class Bipolar(Scheme):
    """Any precision from one-bit products: n x m of them, by XOR and population count."""

    name, title = "bipolar", "bipolar-INT"
    idea = "1 to 8 bits on either side, chosen tile by tile: n x m one-bit products by XOR and population count"
    paper = "Ma et al., arXiv 2409.17870 (ASP-DAC 2025)"
    colours = "#aa3377", "#dd88bb"
    Config = bipolar.BipolarConfig
    Weight = bipolar.QuantizedWeight
    formats = ("bipolar4", *(f"bipolar{bits}" for bits in (1, 2, 3, 5, 6, 7, 8)))
    accelerator = {"rows": 16, "lanes": 192}, {"bus_bytes": 64, "buffer": 8}
    fpga_accelerator = {"rows": 4, "cols": 8, "lanes": 64, "drain": 4}, {"bus_bytes": 16, "buffer": 32}
    corners = (
        {"rows": 1, "cols": 1, "lanes": 1, "drain": 1, "bits_w": 1, "bits_a": 1, "max_k": 100},
        {"rows": 2, "cols": 3, "lanes": 7, "drain": 3, "output": "float32", "dot_stages": 1, "max_k": 700},
        {"rows": 1, "cols": 4, "lanes": 64, "drain": 2, "bits_a": 4, "bits_w": 2, "output": "float16",
         "accumulator_chunk": None},
        {"rows": 2, "cols": 2, "lanes": 33, "drain": 1, "bits_w": 4, "dot_stages": 4, "accumulator_chunk": 5},
        {"rows": 2, "cols": 2, "lanes": 32, "drain": 1, "output": "float16", "scale_bits": 8, "max_k": 4096},
    )
    fits = {
        "smallest": {"rows": 1, "cols": 1, "lanes": 16, "drain": 1, "bits_w": 4, "bits_a": 4, "max_k": 4096,
                     "accumulator_chunk": None},
        "small": {"rows": 2, "cols": 4, "lanes": 64, "drain": 1, "accumulator_chunk": None},
        "large": {"rows": 4, "cols": 4, "lanes": 128, "drain": 1, "accumulator_chunk": None},
    }
    bench = ({"rows": 2, "cols": 4, "lanes": 64, "drain": 4},)
    perplexities = {"bipolar8": 18.42, "bipolar4": 95.4}
    accurate = False
    one_token = {"cols": 16, "lanes": 64, "drain": 4, "output": "float32"}
    arithmetic = (("bipolar4", {"output": "float32"}), ("bipolar8", {"output": "float32"}))

    def takes(self, fmt, config):
        return int(fmt.removeprefix("bipolar")) <= config.bits_w

    def quantize(self, weight, fmt, config):
        group_size = config.lanes if config.has_groups else None
        return bipolar.quantize(weight, int(fmt.removeprefix("bipolar")), group_size, scale_bits=config.scale_bits)

    def take(self, tensor, fmt, config):
        """Two's complement, without loss: what its codes lack is a constant of the row."""
        if tensor.has_minima:
            raise ValueError(f"{self.title} takes integers times a scale, without minima such as {tensor.source} has")
        bits = tensor.value_bits if fmt is None else int(fmt.removeprefix("bipolar"))
        if not tensor.value_bits <= bits <= config.bits_w:
            raise ValueError(f"{self.title} needs {tensor.value_bits} bits for values of {tensor.values.min()} to "
                             f"{tensor.values.max()}, more than {fmt or f'the engine takes, bits_w={config.bits_w}'}")
        if config.has_groups:
            raise ValueError(f"{self.title} takes two's complement with one scale a channel, scale_bits=None, not in groups")
        scales = tensor.channel_scales()
        if scales is None:
            raise ValueError(f"{self.title} takes one scale a channel, not {tensor.source}'s groups of {tensor.group_size}")
        return bipolar.from_signed(tensor.values, bits, scales), f"bipolar{bits}"

    def suited(self, tensor):
        return {"bits_w": max(tensor.value_bits, self.Config.bits_w)}

    def activations(self, x, config):
        return bipolar.quantize_activations(x, config.bits_a)

    def cut(self, x, qweight, start, stop):
        part = {"codes": qweight.codes[:, start:stop]}
        if qweight.group_size is not None:
            groups = slice(start // qweight.group_size, ceil(stop / qweight.group_size))
            name = "scales" if qweight.scale_codes is None else "scale_codes"
            part[name] = getattr(qweight, name)[:, groups]
        return replace(x, codes=x.codes[:, start:stop]), replace(qweight, **part)

    def inputs(self, x, qweight, config):
        return bipolar.pack(x, qweight, config)

    def product(self, x, qweight, config):
        y, flags = bipolar.matmul(x, qweight, config, flags=True)
        m, n = y.shape
        return Product(
            y, flags._asdict(), frozenset(), bipolar.reference(x, qweight),
            config.timeline(m, n, config.schedule(qweight, x)), self.inputs(x, qweight, config),
            bipolar.pack_outputs(bipolar.padded_results(x, qweight, config)[0], m, n, config),
            self._unit(x, qweight, config),
        )

    def reference(self, x, qweight, config):
        return bipolar.reference(x, qweight)

    def answer(self, x, qweight, config):
        from ..golden.bipolar import fast

        return (fast.matmul(x, qweight, config) * self._unit(x, qweight, config)).astype(np.float32)

    @staticmethod
    def _unit(x, qweight, config):
        return 1.0 if config.has_scales else np.outer(x.scales.astype(np.float64), qweight.scales.astype(np.float64))

    def results(self, words, m, n, config):
        y, *masks = bipolar.unpack_outputs(words, m, n, config)
        return y, bipolar.Flags(*masks)._asdict()

    def shared(self, config):
        return f"groups of {config.lanes} with scale codes of {config.scale_bits} bits" if config.has_groups else (
            "one scale a channel")

    def tables(self, path):
        from . import bipolar_precision

        bipolar_precision.table(path)

    @cached_property
    def parts(self):
        from ..dequant.bipolar import BipolarOutput, GroupDequantizer
        from ..pe.bipolar import BipolarPE, PlaneSlicer, XorCount
        from ..top.bipolar import BipolarArray, BipolarEngine

        def bit_products(count):
            """And the products of integers that they make."""
            return lambda config: {"1 bit x 1 bit": float(count(config))} | {
                f"INT{bits} x INT{bits}": count(config) / bits**2
                for bits in (4, 8) if bits <= min(config.bits_w, config.bits_a)}

        of_pe = bit_products(lambda config: config.lanes)
        of_array = bit_products(lambda config: config.rows * config.cols * config.lanes)

        def lanes(config):
            return f"{config.lanes} lanes"

        def size(config):
            return f"{config.rows} x {config.cols} x {config.lanes}"

        def part(name, kind, title, make, *arguments, measured=None, **options):
            return Part(name, kind, title, make, measured or {f"bipolar_{name}": {}}, *arguments, **options)

        array = {"*_element": "PE array", "*_plane": "PE array", "*_slicer": "edge logic"}
        unit = ("*_scale_product", "*_convert", "*_product", "*.unit*")
        engine = {**array, "*_dequant": "dequantization", **dict.fromkeys(unit, "output unit"),
                  "*.core*": "edge logic", "": "shell"}
        grouped = {"lanes": 128, "output": "float32", "scale_bits": 8}
        scaled = {"bipolar_engine": {}, "bipolar_float32_engine": {"output": "float32"}, "bipolar_groups_engine": grouped}
        return (
            part("pe", "pe", "processing element", BipolarPE, of_pe, lanes, released=True),
            part("element", "part", "element without operand and shadow registers",
                 lambda config: XorCount(config, capture=False), of_pe, lanes),
            part("slicer", "part", "slicer of a row", PlaneSlicer, size=lanes),
            part("dequant", "part", "dequantizer of a column", GroupDequantizer, size=lambda config: f"{config.rows} rows",
                 measured={"bipolar_dequant": grouped}, exists=lambda config: config.has_groups),
            part("output", "part", "output unit", BipolarOutput, size=lambda config: f"{config.drain} results"),
            part("array", "array", "array", lambda config: BipolarArray(config, slices=False, capture=False), of_array, size,
                 {**array, "": "PE array"}),
            part("sliced_array", "array", "array with slicers",
                 lambda config: BipolarArray(config, capture=False), of_array, size, {**array, "": "PE array"}),
            part("engine", "engine", "engine", BipolarEngine, of_array, size, engine, measured=scaled, released=True),
        )


SCHEME = Bipolar()
