# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender, as the rest of the house knows it."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from ..golden import tender
from ..golden.tender import fast
from .contract import Part, Product, Scheme

__all__ = ["SCHEME"]

_BITS = {f"int{bits}": {"bits_w": bits, "bits_a": bits} for bits in (4, 8)}


_GROUPS = 8


def _decompose(x, config, channel_bias, calibration=None):
    """The authors' chunks of 256 rows, 8 groups, or what a calibration has of them."""
    groups = _GROUPS if calibration is None else calibration.groups
    return tender.decompose(np.asarray(x, np.float32), config.bits_a, groups, _chunk_size(config), channel_bias=channel_bias,
                            calibration=calibration)


def _chunk_size(config):
    return max(256 // config.rows, 1) * config.rows


def _is_biased(normalised, how):
    return how != "unbiased" and (normalised or how.startswith("biased"))


class Tender(Scheme):
    """The accumulator shifts between channel groups whose scales are a factor 2 apart."""

    name, title = "tender", "Tender"
    idea = "INT4/INT8 products; activation channels in groups with scales 2x apart, and the accumulator shifts between them"
    paper = "Tender, ISCA 2024"
    colours = "#cc3311", "#ee8866"
    Config = tender.TenderConfig
    Weight = tender.QuantizedWeight
    formats = ("int4", "int8")
    accelerator = {}, {"bus_bytes": 64}
    fpga_accelerator = {"rows": 4, "cols": 8, "lanes": 4, "drain": 4}, {"bus_bytes": 16, "buffer": 256}
    corners = (
        {"rows": 1, "cols": 1, "lanes": 1, "drain": 1},
        {"rows": 2, "cols": 3, "lanes": 7, "drain": 3, "bits_w": 8, "bits_a": 8},
        {"rows": 2, "cols": 2, "lanes": 4, "drain": 2, "bits_a": 8, "accumulator_chunk": None, "output": "int8"},
        {"rows": 1, "cols": 2, "lanes": 6, "drain": 1, "bits_w": 8, "accumulator_chunk": 5, "accumulator_bits": 20,
         "max_beats": 1},
    )
    fits = {
        "smallest": {"rows": 1, "cols": 1, "lanes": 8, "drain": 1},
        "small": {"rows": 4, "cols": 4, "lanes": 16, "drain": 1},
        "large": {"rows": 8, "cols": 8, "lanes": 16, "drain": 1},
    }
    accurate = False
    format_settings = _BITS
    emulations = ("engine", "exact", "unbiased", "biased", "biased-exact")

    perplexities = {
        "int8 float": 18.45, "int8 engine": 18.48, "int8 unbiased": 18.51, "int8 biased": 23.0, "int8 exact": None,
        "int8 biased-exact": None, "int4 float": 36.1, "int4 engine": 118.0, "int4 unbiased": 125.2, "int4 biased": None,
        "int4 exact": None, "int4 biased-exact": None,
    }
    unsteady = ("int4",)
    one_token = {"cols": 16, "lanes": 32}
    one_token_how = "unbiased"  # a single token would lend its own half to the bias, and to the correction its product

    def takes(self, fmt, config):
        return fmt == f"int{config.bits_w}"

    def quantize(self, weight, fmt, config):
        return tender.quantize(weight, config.bits_w)

    def take(self, tensor, fmt, config):
        limit = (1 << config.bits_w - 1) - 1
        if tensor.has_minima:
            raise ValueError(f"{self.title} takes integers times a scale, without minima such as {tensor.source} has")
        if np.abs(tensor.values).max() > limit:
            raise ValueError(f"{self.title}'s int{config.bits_w} takes values of -{limit} to {limit}, not "
                             f"{tensor.values.min()} to {tensor.values.max()}")
        scales = tensor.channel_scales()
        if scales is None:
            raise ValueError(f"{self.title} takes one scale a channel, not {tensor.source}'s groups of {tensor.group_size}")
        return tender.QuantizedWeight(tensor.values.astype(np.int8), scales, config.bits_w), f"int{config.bits_w}"

    def suited(self, tensor):
        return {"bits_w": next((bits for bits in tender.BITS if np.abs(tensor.values).max() < 1 << bits - 1), 8)}

    def attention(self, kind, x, other, config):
        """As the authors have it: queries signed, the softmax unsigned, a scale a key and a scale an element of the values; but
        without bias at the queries and keys, whose corrections would be two products in floating point.
        """
        unsigned = kind == "mixed"
        operand = tender.decompose(x, config.bits_a, _GROUPS, _chunk_size(config), unsigned, channel_bias=False)
        return operand, tender.quantize(other, config.bits_w)

    def activations(self, x, config):
        """Without channel bias, whose correction needs the weight as it was."""
        return _decompose(x, config, channel_bias=False)

    def site(self, x, weight, dequantized, config, normalised, how=None, calibration=None):
        """With channel bias where the authors have it in a Llama, at normalised inputs, and corrected as they do, by the weight
        before quantization. ``exact``: corrected by the quantized one; ``unbiased``: without bias; ``biased`` and
        ``biased-exact``: bias at every site.
        """
        how = how or self.emulations[0]
        biased = _is_biased(normalised, how)
        x = _decompose(x, config, biased, calibration)
        return x, {"correction": tender.correction(x, dequantized if how.endswith("exact") else weight)} if biased else {}

    def calibrator(self, config, normalised, how):
        return tender.Calibrator(config.bits_a, _GROUPS, _chunk_size(config), channel_bias=_is_biased(normalised, how))

    def emulate(self, x, weight, dequantized, config, normalised, how, calibration=None):
        operand, terms = self.site(x, weight, dequantized, config, normalised, how, calibration)
        y = np.asarray(operand) @ dequantized.T
        if terms:
            y += np.repeat(terms["correction"].astype(np.float32), operand.xq.shape[1], axis=0)[: len(y)]
        return y

    def derived(self, x, qweight, config, bias=None, **terms):
        """Divisors that bring the largest result of each chunk and channel to the end of the output's range."""
        terms |= {} if bias is None else {"bias": bias}
        if not config.requantizes:
            return terms, ""
        exact = tender.reference(x, qweight, terms.get("correction")) + (0 if bias is None else bias)
        unsigned = config.output.startswith("u")
        largest = (exact if unsigned else np.abs(exact)).max(axis=1)
        divisors = np.maximum(largest / ((1 << config.output_bits - (not unsigned)) - 1), tender.SMALLEST_DIVISOR)
        terms["divisors"] = divisors.astype(np.float32)
        return terms, f"divisors for {config.output} results, from their own largest ones"

    def chunks_of(self, x, **terms):
        """A chunk each: their channels are in orders of their own."""
        chunks = []
        for chunk in range(len(x.xq)):
            one = slice(chunk, chunk + 1)
            arrays = {name: getattr(x, name)[one] for name in ("xq", "group_index", "scales", "bias")}
            of_chunk = {name: value[one] for name, value in terms.items() if name != "bias" and value is not None}
            chunks.append((replace(x, **arrays, rows=x.rows_of(chunk)), {**terms, **of_chunk}))
        return chunks

    def words_of(self, x, qweight, config):
        """Of the chunk that has most: each channel group takes whole ones."""
        return max(len(tender.beats_of(x, chunk, config.lanes).shifts) for chunk in range(len(x.xq)))

    def spare_words(self, x):
        return x.groups

    def cut(self, x, qweight, start, stop):
        part = slice(start, stop)
        return (replace(x, xq=x.xq[:, :, part], group_index=x.group_index[:, part], bias=x.bias[:, part]),
                replace(qweight, codes=qweight.codes[:, part]))

    def inputs(self, x, qweight, config, *, correction=None, bias=None, divisors=None):
        return tender.pack(x, qweight, config, correction, bias, divisors)

    def product(self, x, qweight, config, *, correction=None, bias=None, divisors=None):
        """``correction`` [C, N], ``bias`` [N], ``divisors`` [C, N] as of :func:`subbyte.golden.tender.matmul`."""
        terms = x, qweight, config, correction, bias, divisors
        y, flags = tender.matmul(*terms, flags=True)
        m, n = y.shape
        return Product(
            y, flags._asdict(), frozenset(["overflow"] if flags.overflow.any() else []),
            self.reference(x, qweight, config, correction=correction, bias=bias),
            config.timeline(m, n, config.schedule(qweight, x)), tender.pack(*terms),
            tender.pack_outputs(y, flags.overflow, tender.filling(*terms), config), self._unit(x, config, divisors),
        )

    def reference(self, x, qweight, config, *, correction=None, bias=None, divisors=None):
        del divisors  # of results, which are no further from the product for it
        exact = fast.reference(x, qweight, correction).reshape(-1, qweight.shape[0])[: x.rows]
        return exact if bias is None else exact + np.asarray(bias, np.float64)

    def answer(self, x, qweight, config, **terms):
        y = fast.matmul(x, qweight, config, **terms)
        return (y * self._unit(x, config, terms.get("divisors"))).astype(np.float32)

    @staticmethod
    def _unit(x, config, divisors):
        return np.repeat(np.asarray(divisors, np.float64), x.xq.shape[1], axis=0)[: x.rows] if config.requantizes else 1.0

    def results(self, words, m, n, config):
        y, overflow = tender.unpack_outputs(words, m, n, config)
        return y, {"overflow": overflow}

    def shared(self, config):
        return "one scale a channel"

    def tables(self, path):
        from . import tender_groups

        tender_groups.table(path)

    @cached_property
    def parts(self):
        from ..dequant.tender import Requantizer
        from ..hdl.floating import FloatScaleAdd
        from ..pe.tender import PublishedPE, TenderPE
        from ..top.tender import TenderArray, TenderEngine

        def precision(config):
            return f"INT{config.bits_a} x INT{config.bits_w}"

        def part(name, kind, title, make, macs, size, breakdown=None, released=False):
            measured = {f"tender_{bits}_{name}": settings for bits, settings in _BITS.items()}
            return Part(name, kind, title, make, measured, lambda config: {precision(config): float(macs(config))}, size,
                        breakdown or {}, released)

        def of_array(config):
            return config.rows * config.cols * config.lanes

        def lanes(config):
            return f"{precision(config)}, {config.lanes} lanes"

        def size(config):
            return f"{precision(config)}, {config.rows} x {config.cols} x {config.lanes}"

        array = {"*_mac": "PE array", "*_row": "edge logic", "*_column": "edge logic"}
        engine = {**array, "*_rescale": "dequantization", "*.core*": "edge logic", "": "shell"}
        edge = {**array, "": "edge logic"}
        return (
            Part("rescale_add", "part", "final rescale", lambda config: FloatScaleAdd(config.accumulator_bits),
                 {"tender_rescale_add": {}}),
            Part("requantize", "part", "requantization to INT8", lambda config: Requantizer(8), {"tender_requantize": {}}),
            part("pe", "pe", "processing element", TenderPE, lambda config: config.lanes, lanes, released=True),
            part("published", "pe", "element as published", PublishedPE, lambda config: 1,
                 lambda config: f"{precision(config)}, 1 lane"),
            part("array", "array", "array", lambda config: TenderArray(config, capture=False), of_array, size, edge),
            part("array_no_shift", "array", "array without the shift",
                 lambda config: TenderArray(config, shift=False, capture=False), of_array, size, edge),
            part("engine", "engine", "engine", TenderEngine, of_array, size, engine, released=True),
        )


SCHEME = Tender()
