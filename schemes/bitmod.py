# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD, as the rest of the house knows it."""

from dataclasses import replace
from functools import cached_property
from math import ceil

import numpy as np

from ..golden import bitmod
from ..golden.fast import has_compiler
from .contract import Part, Product, Scheme
from .operands import to_binary16, weight_words

__all__ = ["SCHEME"]


_PLAIN = ("int3", "fp3", "int4", "fp4", "int5", "int6", "int8")
"""Formats without special values, the narrowest first."""


def _holds(name, tensor):
    """Whether all values of a tensor are code points of a plain format."""
    fmt = bitmod.Format[name.upper()]
    return bool(np.isin(tensor.values, bitmod.code_points(fmt)).all()) if fmt.is_float else tensor.value_bits <= fmt.bits


class BitMod(Scheme):
    """One bit-serial PE takes every data type."""

    name, title = "bitmod", "BitMoD"
    idea = "one bit-serial PE for FP3/FP4 with special values and INT8..INT3; FP16 activations, a scale per group"
    paper = "BitMoD, HPCA 2025"
    colours = "#4477aa", "#77aadd"
    Config = bitmod.BitModConfig
    Weight = bitmod.QuantizedWeight
    formats = ("bitmod-fp4", *(name for name in bitmod.FORMATS if name != "bitmod-fp4"))
    accelerator = {"form": "dense", "lanes": 16}, {"bus_bytes": 64, "buffer": 128}
    fpga_accelerator = {"form": "dense", "rows": 2, "cols": 4, "lanes": 8, "drain": 4}, {"bus_bytes": 16, "buffer": 128}
    corners = (
        {"rows": 1, "cols": 1, "lanes": 1, "drain": 1},
        {"rows": 3, "cols": 5, "lanes": 8, "drain": 5, "group_size": 32, "scale_bits": 2},
        {"rows": 2, "cols": 4, "lanes": 16, "guard_bits": 0, "output": "float16", "group_size": 256},
        {"rows": 2, "cols": 2, "formats": ("INT3",), "dequant_chunk": None},
        {"rows": 2, "cols": 2, "formats": ("FP3", "FP4"), "guard_bits": 13, "max_k": 65536},
        {"rows": 3, "cols": 2, "lanes": 8, "form": "dense", "exponents": "found", "dequantizers": 2},
    )
    forms = {
        "bitmod_dense_pe": ("element", {"form": "dense"}),
        "bitmod_dense_engine": ("engine", {"form": "dense"}),
    }
    bench = ({"lanes": 4}, {"lanes": 8}, {"lanes": 16, "form": "dense"})
    perplexities = {
        "int8": 18.48, "int6": 19.22, "int5": 20.53, "bitmod-fp4": 22.82, "fp4": 24.49, "int4": 28.21, "bitmod-fp3": 54.90,
        "fp3": 159.0, "int3": 522.0,
    }
    arithmetic = (
        *(("bitmod-fp4", {"guard_bits": guard_bits}) for guard_bits in (0, 2, 4, 6, 8, 13)),
        *(("bitmod-fp4", {"form": "dense", "guard_bits": guard_bits}) for guard_bits in (4, 8)),
        *(("bitmod-fp3", {"guard_bits": guard_bits}) for guard_bits in (4, 8)),
    )
    # One more rank in the cross-group adder than on silicon: there it would be registers for nothing.
    fits = {
        "smallest": {"rows": 1, "cols": 1, "lanes": 2, "drain": 1, "group_size": 32, "formats": ("FP4",), "sum_stages": 6},
        "small": {"rows": 2, "cols": 2, "lanes": 4, "sum_stages": 6},
        "large": {"rows": 4, "cols": 4, "lanes": 4, "sum_stages": 6},
    }

    one_token = {"cols": 16, "lanes": 16}

    def token_config(self, fmt, **parameters):
        """For the one format."""
        formats = tuple(known for known in bitmod.Format if known.name.lower() in fmt)
        return super().token_config(fmt, **{"formats": formats, **parameters})

    def takes(self, fmt, config):
        return any(taken.name.lower() in fmt for taken in config.formats)

    def quantize(self, weight, fmt, config, prescale=0):
        return bitmod.quantize(weight, fmt, group_size=config.group_size, scale_bits=config.scale_bits,
                               special_values=config.special_values, prescale=prescale)

    def take(self, tensor, fmt, config):
        if tensor.has_minima:
            raise ValueError(f"{self.title} takes integers times a scale, without minima such as {tensor.source} has")
        names = [name for name in _PLAIN if self.takes(name, config)]
        chosen = [name for name in names if fmt in (None, name) and _holds(name, tensor)]
        if not chosen:
            asked = fmt or f"the engine, which has {', '.join(names)},"
            better = next((f"; {name} does" for name in _PLAIN if _holds(name, tensor)), "")
            raise ValueError(f"{asked} does not hold integers of {tensor.values.min()} to {tensor.values.max()}{better}")
        scales = tensor.scales_by(config.group_size)
        if scales is None:
            raise ValueError(f"scales are of groups of {tensor.group_size}, not {config.group_size}")
        return bitmod.from_integers(tensor.values, chosen[0], scales, config.group_size, config.scale_bits,
                                    config.special_values), chosen[0]

    def suited(self, tensor):
        sizes = [size for size in reversed(bitmod.GROUP_SIZES) if tensor.scales_by(size) is not None]
        return {"group_size": 128 if 128 in sizes else sizes[0]} if sizes else {}

    def prescale(self, weight):
        return bitmod.prescale_for(weight)

    def losses(self, weight, qweight):
        return bitmod.losses(weight, qweight)

    def to_fields(self, qweight):
        """Without the values, which the codes give."""
        special_values = {fmt.name: values for fmt, values in qweight.special_values.items()}
        fields = {**super().to_fields(qweight), "special_values": special_values}
        return {name: value for name, value in fields.items() if name != "values"}

    def from_fields(self, fields):
        special_values = {bitmod.Format[name]: tuple(values) for name, values in fields["special_values"].items()}
        told = {name: fields[name] for name in ("codes", "group_fmts", "selectors", "group_size")}
        values = bitmod.values_of(**told, special_values=special_values)
        return super().from_fields({**fields, "special_values": special_values, "values": values})

    def attention(self, kind, x, other, config):
        """Keys and values in INT8; queries and the softmax in binary16."""
        del kind
        return self.activations(x, config), self.quantize(other, "int8", config)

    def activations(self, x, config):
        return to_binary16(x)

    def cut(self, x, qweight, start, stop):
        groups, part = slice(start // qweight.group_size, ceil(stop / qweight.group_size)), slice(start, stop)
        return x[:, part], replace(
            qweight, group_fmts=qweight.group_fmts[groups],
            **{name: getattr(qweight, name)[:, part] for name in ("codes", "values")},
            **{name: getattr(qweight, name)[:, groups] for name in ("scales", "selectors", "scale_codes")
               if getattr(qweight, name) is not None})

    def inputs(self, x, qweight, config):
        return {**weight_words(bitmod.pack, qweight, config, ceil(len(x) / config.rows)),
                "activations": bitmod.pack_activations(x, config, ceil(qweight.shape[0] / config.cols))}

    def product(self, x, qweight, config):
        y, flags = bitmod.matmul(x, qweight, config, flags=True)
        m, n = y.shape
        return Product(
            y, flags._asdict(), frozenset(["nonfinite"] if flags.nonfinite.any() else []), bitmod.reference(x, qweight),
            config.timeline(m, n, config.schedule(qweight, x)),
            self.inputs(x, qweight, config),
            bitmod.pack_outputs(y, flags.nonfinite, config),
        )

    def reference(self, x, qweight, config):
        return bitmod.reference(x, qweight)

    def answer(self, x, qweight, config):
        if not has_compiler():
            return bitmod.matmul(x, qweight, config).astype(np.float32)
        from ..golden.bitmod import fast

        return fast.matmul(x, qweight, config).astype(np.float32, copy=False)

    def errors(self, x, qweight, config):
        reference = bitmod.reference(x, qweight)
        return self.answer(x, qweight, config).astype(np.float64) - reference, reference

    def results(self, words, m, n, config):
        y, *masks = bitmod.unpack_outputs(words, m, n, config)
        return y, bitmod.Flags(*masks)._asdict()

    def shared(self, config):
        return f"groups of {config.group_size}"

    @cached_property
    def parts(self):
        from ..dequant.bitmod import BitSerialDequantizer, ColumnSum
        from ..dequant.bitmod_dense import ColumnDequantizer
        from ..hdl.aligner import Aligner
        from ..hdl.floating import Float32, FloatScale
        from ..pe.bitmod import BitModPE, GroupMac, TermEncoder
        from ..pe.bitmod_dense import ColumnEdge, Element, RowEdge
        from ..top.bitmod import BitModCore, BitModEngine
        from ..top.lookahead import Lookahead

        def of_pe(config):
            return {f"FP16 x {fmt.name}": config.lanes / config.terms_of(fmt) for fmt in config.formats}

        def of_array(config):
            return {name: config.rows * config.cols * macs for name, macs in of_pe(config).items()}

        def lanes(config):
            return f"{config.lanes} lanes"

        def size(config):
            return f"{config.rows} x {config.cols} x {config.lanes}"

        def part(name, kind, title, make, macs=lambda config: {}, size=lanes, breakdown=None, released=False, **more):
            return Part(name, kind, title, make, {f"bitmod_{name}": {}}, macs, size, breakdown or {}, released, **more)

        def is_serial(config):
            return not config.is_dense

        def finds_exponents(config):
            return config.exponents == "found"

        array = {
            "*_mac": "PE array",
            "*_aligner": "edge logic",
            "*_encoder": "edge logic",
            "*.special*": "edge logic",
            "*_dequant": "dequantization",
            "*_column_sum": "dequantization",
            "*.readout": "dequantization",
            "*_element": "PE array",
            "*_row_edge": "edge logic",
            "*_column_edge": "edge logic",
            "*_column_dequant_*": "dequantization",
            "*.visits_*": "dequantization",
        }
        engine = {**array, "*_scale": "dequantization", "*_convert": "dequantization", "*.core": "edge logic", "": "shell"}

        def nothing(config):
            return ""

        return (
            part("pe", "pe", "processing element: alignment, MAC, dequantizer", BitModPE, of_pe, released=True,
                 exists=is_serial),
            part("mac", "part", "MAC of a row and column", GroupMac, of_pe),
            part("dequant", "part", "bit-serial dequantizer", BitSerialDequantizer, size=nothing),
            part("encoder", "part", "term encoder of a column", TermEncoder),
            part("aligner", "part", "aligner of a row", lambda config: Aligner(config.lanes, config.guard_bits)),
            part("column_sum", "part", "cross-group sum of a column", ColumnSum, size=lambda config: f"{config.rows} rows"),
            part("scale", "part", "output scaler", lambda config: FloatScale(
                Float32, product_stages=config.output_stages - FloatScale.ROUNDING_STAGES), size=nothing),
            Part("element", "part", "element of the dense form", Element, {}, of_pe, lanes),
            Part("row_edge", "part", "row edge of the dense form", RowEdge, {}, size=lanes),
            Part("column_edge", "part", "column edge of the dense form", ColumnEdge, {}, size=lanes),
            Part("column_dequant", "part", "column dequantizer of the dense form", lambda config: ColumnDequantizer(
                config, ceil(config.rows / config.dequantizers)), {}, size=lambda config: f"{config.rows} rows"),
            Part("lookahead", "part", "edge that finds exponents of groups", Lookahead, {}, size=size, exists=finds_exponents),
            part("array", "array", "array with edge logic and dequantization", BitModCore.of, of_array, size,
                 {**array, "": "edge logic"}),
            part("engine", "engine", "engine", BitModEngine, of_array, size, engine, released=True),
        )


SCHEME = BitMod()
