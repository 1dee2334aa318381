# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bcq, the binary-coded lookup engine, as the rest of the house knows it."""

from dataclasses import replace
from functools import cached_property
from math import ceil

import numpy as np

from ..golden import bcq
from ..golden.fast import has_compiler
from .contract import Part, Product, Scheme
from .operands import to_binary16, weight_words

__all__ = ["SCHEME"]

_GROUP_SIZES = (128, 256, 64, 32)


class Bcq(Scheme):
    """Sums of a few activations are tabulated once and read by the bits of all columns' planes."""

    name, title = "bcq", "nuQmm"
    idea = "1 to 8 planes of +-1 with an alpha each, uniform weights among them; FP16 activations, tables of their sums"
    paper = "nuQmm / LUT-GEMM, ICLR 2024; FIGLUT, HPCA 2025"
    colours = "#997700", "#ccaa44"
    Config = bcq.BcqConfig
    Weight = bcq.QuantizedWeight
    formats = ("bcq4", "bcq3", "bcq2", "bcq1", *(f"bcq{bits}-alternating" for bits in (4, 3, 2, 1)),
               *(f"bcq{bits}-uniform" for bits in (4, 3, 2)))
    accelerator = {}, {"bus_bytes": 64, "buffer": 128}
    fpga_accelerator = {"rows": 2, "cols": 8, "lanes": 8, "drain": 4}, {"bus_bytes": 8, "buffer": 128}
    corners = (
        {"rows": 1, "cols": 1, "lanes": 1, "drain": 1, "mu": 2, "group_size": 32, "planes": 1, "max_k": 64},
        {"rows": 3, "cols": 5, "lanes": 8, "drain": 5, "mu": 3, "group_size": 32, "scale_digits": 24, "planes": 9},
        {"rows": 2, "cols": 2, "lanes": 16, "guard_bits": 0, "output": "float16", "group_size": 256, "drain": 1},
        {"rows": 3, "cols": 2, "lanes": 16, "group_size": 64, "drain": 1, "form": "uniform", "planes": 4,
         "dequantizers": 2, "readers": 1},
    )
    fits = {
        "smallest": {"rows": 1, "cols": 1, "lanes": 4, "drain": 1, "group_size": 32, "max_k": 2048},
        "small": {"rows": 2, "cols": 4, "lanes": 8, "drain": 1},
        "large": {"rows": 4, "cols": 8, "lanes": 16, "drain": 1},
    }
    bench = ({"rows": 8, "cols": 8, "lanes": 16},)
    accurate = True

    def takes(self, fmt, config):
        bits, _, method = fmt.removeprefix("bcq").partition("-")
        if config.merges:
            return method == "uniform" and int(bits) <= config.planes
        return int(bits) + (method != "alternating") <= config.planes

    def quantize(self, weight, fmt, config, importance=None):
        bits, _, method = fmt.removeprefix("bcq").partition("-")
        return bcq.quantize(weight, int(bits), config.group_size, method or "grid", importance=importance)

    def take(self, tensor, fmt, config):
        """As it is: planes of the codes' bits, an offset for zero points and minima."""
        name = f"bcq{tensor.bits}{'-uniform' if config.merges else ''}"
        if fmt not in (None, name):
            raise ValueError(f"{fmt} must be {name} for codes of {tensor.bits} bits")
        if tensor.group_size != config.group_size and tensor.groups > 1:
            raise ValueError(f"scales are of groups of {tensor.group_size}, not {config.group_size}")
        repeats = -(-tensor.shape[1] // config.group_size) if tensor.groups == 1 else 1
        scales, zeros = (np.repeat(array, repeats, axis=1) for array in (tensor.scales, tensor.zeros))
        minima = None if tensor.minima is None else np.repeat(tensor.minima, repeats, axis=1)
        if minima is not None:
            minima, zeros = minima - scales * zeros, None
        qweight = bcq.from_uniform(tensor.codes, scales, zeros, minima, tensor.bits, config.group_size)
        bcq.check_operands(qweight, config)
        return qweight, name

    def suited(self, tensor):
        size = tensor.group_size if tensor.groups > 1 else 128
        return {"group_size": size, "planes": max(tensor.bits + 1, self.Config.planes), "scale_digits": 24} if (
            size in _GROUP_SIZES) else {}

    def activations(self, x, config):
        return to_binary16(x)

    def cut(self, x, qweight, start, stop):
        groups = slice(start // qweight.group_size, ceil(stop / qweight.group_size))
        offset = None if qweight.offset is None else qweight.offset[:, groups]
        return x[:, start:stop], replace(qweight, B=qweight.B[:, start:stop], alpha=qweight.alpha[:, groups], offset=offset)

    def inputs(self, x, qweight, config):
        return {**weight_words(bcq.pack, qweight, config, ceil(len(x) / config.rows)),
                "activations": bcq.pack_activations(x, config, ceil(qweight.shape[0] / config.cols))}

    def product(self, x, qweight, config):
        y, flags = bcq.matmul(x, qweight, config, flags=True)
        m, n = y.shape
        return Product(
            y, flags._asdict(), frozenset(["nonfinite"] if flags.nonfinite.any() else []), bcq.reference(x, qweight),
            config.timeline(m, n, config.schedule(qweight, x)),
            self.inputs(x, qweight, config),
            bcq.pack_outputs(y, flags.nonfinite, config),
        )

    def reference(self, x, qweight, config):
        return bcq.reference(x, qweight)

    def answer(self, x, qweight, config):
        if not has_compiler():
            return bcq.matmul(x, qweight, config).astype(np.float32)
        from ..golden.bcq import fast

        return fast.matmul(x, qweight, config).astype(np.float32, copy=False)

    def results(self, words, m, n, config):
        y, *masks = bcq.unpack_outputs(words, m, n, config)
        return y, bcq.Flags(*masks)._asdict()

    def shared(self, config):
        return f"groups of {config.group_size}, an alpha a plane"

    @cached_property
    def parts(self):
        from ..dequant.bcq import PlaneDequantizer
        from ..pe.bcq import BcqElement, BcqPE, KeyDecoder, TableEdge
        from ..top.bcq import BcqCore, BcqEngine

        def planes(count):
            """Weights of so many bits take as many cycles, without an offset."""
            return lambda config: {f"FP16 x W{bits}": count(config) / bits for bits in (4, 3, 2, 1) if bits <= config.planes}

        def served(config):
            return ceil(config.rows / config.dequantizers)

        def lanes(config):
            return f"{config.lanes} lanes"

        def size(config):
            return f"{config.rows} x {config.cols} x {config.lanes}"

        def part(name, kind, title, make, macs=lambda config: {}, size=lanes, breakdown=None, released=False):
            return Part(name, kind, title, make, {f"bcq_{name}": {}}, macs, size, breakdown or {}, released)

        array = {"*_element": "PE array", "*_ones": "dequantization", "*_dequant*": "dequantization",
                 **dict.fromkeys(("*_row", "*_copy", "*_keys"), "edge logic")}
        of_pe = planes(lambda config: config.lanes)
        of_array = planes(lambda config: config.rows * config.cols * config.lanes)
        return (
            part("pe", "pe", "processing element: tables, keys, element", BcqPE, of_pe, released=True),
            part("element", "part", "element: reads tables, accumulates", BcqElement, of_pe),
            part("row", "part", "aligner and tables of a row", TableEdge),
            part("keys", "part", "key decoder of a column", KeyDecoder),
            part("dequant", "part", "dequantizer of a column", lambda config: PlaneDequantizer(config, served(config)),
                 size=lambda config: f"{served(config)} rows"),
            part("array", "array", "array with tables and dequantization", BcqCore.of, of_array, size,
                 {**array, "": "edge logic"}),
            part("engine", "engine", "engine", BcqEngine, of_array, size,
                 {**array, "*_scale": "dequantization", "*.core": "edge logic", "": "shell"}, released=True),
        )


SCHEME = Bcq()
