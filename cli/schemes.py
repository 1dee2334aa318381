# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the commands need to know of a scheme: one entry each in one table, and nothing else of it."""

import difflib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

__all__ = ["NAMES", "Scheme", "near", "scheme"]


@dataclass(frozen=True)
class Scheme:
    """One engine, seen from outside.

    Attributes
    ----------
    name, title : str
        As typed, and as read.
    config : type
        Its frozen dataclass of parameters.
    parts : mapping of str to callable
        What Verilog can be made of: name of the part to a function from a config to a component.
    formats : tuple of str
        Weight formats, the default one first.
    takes : callable
        ``(format, config)``: whether an engine of this config takes the format.
    quantize : callable
        ``(weight, format, config) -> qweight``, for float `weight` [N, K].
    activations : callable
        ``(x, config)``: float array [M, K] to the operand that the engine takes.
    pack : callable
        ``(x, qweight, config) -> {stream: words}``, all input streams of the whole product.
    unpack : callable
        ``(words, m, n, config) -> (y, flags)``, flags being a mapping of name to mask.
    golden : callable
        ``(x, qweight, config) -> (y, flags)``, to the bit.
    reference : callable
        ``(x, qweight) -> y`` in float64.
    timeline : callable
        ``(x, qweight, config)`` to the predicted `subbyte.golden.schedule.Timeline`.
    corners : tuple of mapping
        Parameters, beside the defaults, at which `make lint` checks the RTL.
    lanes : tuple of int
        At which `make bench` runs layers.
    shared : callable
        From a config to words on which weights share a scale.
    """

    name: str
    title: str
    config: type
    parts: Mapping[str, Callable]
    formats: tuple[str, ...]
    takes: Callable
    quantize: Callable
    activations: Callable
    pack: Callable
    unpack: Callable
    golden: Callable
    reference: Callable
    timeline: Callable
    corners: tuple[Mapping[str, Any], ...]
    lanes: tuple[int, ...]
    shared: Callable = lambda config: f"groups of {config.group_size}"

    def format_for(self, name, config):
        """The format of this name, or without one the first that an engine of this config takes."""
        taken = [known for known in self.formats if self.takes(known, config)]
        if name is not None and name not in taken:
            raise ValueError(
                f"--format must be one that the engine takes ({', '.join(taken)}), not {name!r}{near(name, taken)}")
        return name or taken[0]

    def component(self, part, config):
        """The component of a part, and the name of its Verilog module."""
        if part not in self.parts:
            raise ValueError(f"part must be one of {', '.join(self.parts)}, not {part!r}")
        return self.parts[part](config), f"{self.name}_{part}"


def _float16(x):
    """Activations as binary16; a finite number beyond its range is refused, since its infinity would count as zero."""
    x = np.asarray(x)
    with np.errstate(over="ignore"):
        rounded = x.astype(np.float16)
    lost = np.isfinite(x) & np.isinf(rounded)
    if lost.any():
        where = tuple(np.argwhere(lost)[0].tolist())
        raise ValueError(f"activations must be within binary16, +-65504, not {x[where]:g} at {where!r}")
    return rounded


def _bitmod():
    from ..golden import bitmod
    from ..golden.bitmod.quantizer import FORMATS

    def pe(config):
        from ..pe.bitmod import BitModPE

        return BitModPE(config)

    def engine(config):
        from ..top.bitmod import BitModEngine

        return BitModEngine(config)

    def pack(x, qweight, config):
        m_tiles, n_tiles = ceil(len(x) / config.rows), ceil(qweight.shape[0] / config.cols)
        return {**bitmod.pack(qweight, config, m_tiles), "activations": bitmod.pack_activations(x, config, n_tiles)}

    def unpack(words, m, n, config):
        y, *masks = bitmod.unpack_outputs(words["outputs"], m, n, config)
        return y, bitmod.Flags(*masks)._asdict()

    def golden(x, qweight, config):
        y, flags = bitmod.matmul(x, qweight, config, flags=True)
        return y, flags._asdict()

    return Scheme(
        name="bitmod",
        title="BitMoD",
        config=bitmod.BitModConfig,
        parts={"pe": pe, "engine": engine},
        formats=("bitmod-fp4", *(name for name in FORMATS if name != "bitmod-fp4")),
        takes=lambda name, config: any(fmt.name.lower() in name for fmt in config.formats),
        quantize=lambda weight, fmt, config: bitmod.quantize(
            weight, fmt, group_size=config.group_size, scale_bits=config.scale_bits,
            special_values=config.special_values),
        activations=lambda x, config: _float16(x),
        pack=pack,
        unpack=unpack,
        golden=golden,
        reference=bitmod.reference,
        timeline=lambda x, qweight, config: config.timeline(len(x), qweight.shape[0], config.schedule(qweight, x)),
        corners=(
            {"rows": 1, "cols": 1, "lanes": 1, "drain": 1},
            {"rows": 3, "cols": 5, "lanes": 8, "drain": 5, "group_size": 32, "scale_bits": 2},
            {"rows": 2, "cols": 4, "lanes": 16, "guard_bits": 0, "output": "float16", "group_size": 256},
            {"rows": 2, "cols": 2, "formats": ("INT3",), "dequant_chunk": None},
            {"rows": 2, "cols": 2, "formats": ("FP3", "FP4"), "guard_bits": 13, "max_k": 65536},
        ),
        lanes=(4, 8),
    )


def _tender():
    from ..golden import tender

    def pe(config):
        from ..pe.tender import TenderPE

        return TenderPE(config)

    def published(config):
        from ..pe.tender import PublishedPE

        return PublishedPE(config)

    def array(config):
        from ..top.tender import TenderArray

        return TenderArray(config, capture=False)

    def engine(config):
        from ..top.tender import TenderEngine

        return TenderEngine(config)

    def activations(x, config):
        """The authors' chunks of 256 rows, 8 groups; without channel bias, whose correction needs the weight as it was."""
        chunk_size = max(256 // config.rows, 1) * config.rows
        return tender.decompose(np.asarray(x, np.float32), config.bits_a, 8, chunk_size, channel_bias=False)

    def unpack(words, m, n, config):
        y, overflow = tender.unpack_outputs(words["outputs"], m, n, config)
        return y, {"overflow": overflow}

    def golden(x, qweight, config):
        y, flags = tender.matmul(x, qweight, config, flags=True)
        return y, flags._asdict()

    def reference(x, qweight):
        return tender.reference(x, qweight).reshape(-1, qweight.shape[0])[: x.rows]

    return Scheme(
        name="tender",
        title="Tender",
        config=tender.TenderConfig,
        parts={"pe": pe, "published": published, "array": array, "engine": engine},
        formats=("int4", "int8"),
        takes=lambda name, config: name == f"int{config.bits_w}",
        quantize=lambda weight, fmt, config: tender.quantize(weight, config.bits_w),
        activations=activations,
        pack=tender.pack,
        unpack=unpack,
        golden=golden,
        reference=reference,
        timeline=lambda x, qweight, config: config.timeline(x.rows, qweight.shape[0], config.schedule(qweight, x)),
        corners=(
            {"rows": 1, "cols": 1, "lanes": 1, "drain": 1},
            {"rows": 2, "cols": 3, "lanes": 7, "drain": 3, "bits_w": 8, "bits_a": 8},
            {"rows": 2, "cols": 2, "lanes": 4, "drain": 2, "bits_a": 8, "chunk": None, "output": "int8"},
            {"rows": 1, "cols": 2, "lanes": 6, "drain": 1, "bits_w": 8, "chunk": 5, "accumulator_bits": 20, "max_beats": 1},
        ),
        lanes=(16,),
        shared=lambda config: "one scale a channel",
    )


def _rsr():
    from ..golden import rsr

    def pe(config):
        from ..pe.rsr import element

        return element(config)

    def scatter(config):
        from ..pe.rsr_scatter import RsrScatterPE

        return RsrScatterPE(config.mu, config.max_k)

    def engine(config):
        from ..top.rsr import RsrEngine

        return RsrEngine(config)

    def pack(x, qweight, config):
        m_tiles, n_tiles = ceil(len(x) / config.rows), ceil(qweight.shape[0] / config.cols)
        tokens = {"tokens": rsr.pack_tokens(x, config, n_tiles)} if config.has_scales else {}
        return {**rsr.pack(qweight, config, m_tiles), "activations": rsr.pack_activations(x, config, n_tiles), **tokens}

    def unpack(words, m, n, config):
        y, *masks = rsr.unpack_outputs(words["outputs"], m, n, config)
        return y, rsr.Flags(*masks)._asdict()

    def golden(x, qweight, config):
        y, flags = rsr.matmul(x, qweight, config, flags=True)
        return y, flags._asdict()

    return Scheme(
        name="rsr",
        title="RSR",
        config=rsr.RsrConfig,
        parts={"pe": pe, "scatter": scatter, "engine": engine},
        formats=("ternary-tensor", "ternary-channel"),  # by their absolute mean
        takes=lambda name, config: name == f"ternary-{config.granularity}",
        quantize=lambda weight, fmt, config: rsr.quantize(weight, config.granularity),
        activations=lambda x, config: rsr.quantize_activations(x),
        pack=pack,
        unpack=unpack,
        golden=golden,
        reference=rsr.reference,
        timeline=lambda x, qweight, config: config.timeline(len(x), qweight.shape[0], config.schedule(qweight, x)),
        corners=(
            {"rows": 1, "cols": 1, "lanes": 2, "drain": 1, "product_stages": 1},
            {"rows": 2, "cols": 3, "lanes": 7, "drain": 3, "form": "tree", "granularity": "channel", "sum_stages": 1},
            {"rows": 1, "cols": 4, "lanes": 12, "drain": 2, "mu": 3, "output": "float16", "chunk": 30},
            {"cols": 2, "lanes": 20, "drain": 1, "select": "binary", "output": "int32", "max_k": 65536, "sum_stages": 4},
            {"rows": 2, "cols": 4, "lanes": 16, "drain": 4, "mu": 4, "max_k": 16},
        ),
        lanes=(64,),
        shared=lambda config: f"one scale a {config.granularity}",
    )


_MAKERS = {  # one line a scheme
    "bitmod": _bitmod,
    "tender": _tender,
    "rsr": _rsr,
}

NAMES = tuple(_MAKERS)
"""Every scheme that the commands take."""


@functools.cache
def scheme(name):
    """The scheme of a name; what it needs is imported only now, its hardware only when a part is made."""
    if name not in _MAKERS:
        raise ValueError(f"scheme must be one of {', '.join(NAMES)}, not {name!r}{near(name, NAMES)}")
    return _MAKERS[name]()


def near(name, names):
    """A hint for a message about an unknown name: the names that look like it, or nothing."""
    by_lower_case = {known.lower(): known for known in names}
    matches = [by_lower_case[match] for match in difflib.get_close_matches(name.lower(), by_lower_case, n=3)]
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""
