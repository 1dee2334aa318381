# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of an RSR engine, the widths and latencies that follow from them, and the checks of its operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from ..config import EngineConfig, Work, chunk_skew
from ..parameters import check_choice, check_integer
from ..schedule import GroupSchedule, Schedule, Timing
from ..streams import BINARY16, BINARY32, Field, Number, signed
from .codes import folded_bits
from .quantizer import GRANULARITIES, QuantizedWeight

__all__ = ["FORMS", "MAX_K", "OUTPUTS", "SELECTS", "RsrConfig", "check_weight"]

FORMS = ("lookup", "tree")
SELECTS = ("one_hot", "binary")
OUTPUTS = ("float32", "float16", "int32")
MAX_K = 2**16
"""Longest reduction whose sums binary32 holds exactly."""


@dataclass(frozen=True)
class RsrConfig(EngineConfig):
    """Parameters of an RSR engine: one object for golden model, packer and RTL.

    Parameters
    ----------
    rows, cols : int
        Tokens and output channels of a tile, at least 1.
    lanes : int
        Elements of K per beat; a multiple of ``mu`` if ``form`` is "lookup".
    form : "lookup" or "tree"
        Sums of ``mu`` activations in a table that all columns share, or an adder tree for each column.
    mu : 2 to 5
        Activations of a table. 2: weights are stored five trits a byte. More: as folded codes, (1.67, 1.75, 1.6 bits a
        weight for 3, 4, 5).
    select : "one_hot" or "binary"
        How a table's sum is named in the array: for gates, or, with mu = 2, for the multiplexers and carry chains of an FPGA.
    output : "float32", "float16" or "int32"
        int32: the sums themselves, without scales.
    granularity : "tensor" or "channel"
        What shares a weight scale.
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    max_k : int
        Longest reduction; sets the width of the sums.
    dot_stages : int
        Register ranks of the compressor of a beat's terms, the last one behind its result.
    accumulator_chunk : int
        Bits of the accumulator that are added in a cycle.
    product_stages : 1 to 24
        Pipeline stages of each scale's multiplier.
    """

    rows: int = 1
    cols: int = 32
    lanes: int = 64
    form: str = "lookup"
    mu: int = 2
    select: str = "one_hot"
    output: str = "float32"
    granularity: str = "tensor"
    drain: int = 8
    max_k: int = 16384
    dot_stages: int = 2
    accumulator_chunk: int = 8
    product_stages: int = 2

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "lanes", "drain", "max_k", "accumulator_chunk"):
            check_integer(name, getattr(self, name), 1)
        for name, choices in (("form", FORMS), ("select", SELECTS), ("output", OUTPUTS), ("granularity", GRANULARITIES)):
            check_choice(name, getattr(self, name), choices, f"one of {', '.join(choices)}")
        for name, low, high in (("mu", 2, 5), ("dot_stages", 1, 8), ("product_stages", 1, 24)):
            check_integer(name, getattr(self, name), low, high)
        if self.form == "lookup" and self.lanes % self.mu:
            raise ValueError(f"lanes must be a multiple of mu {self.mu}, not {self.lanes!r}")
        if self.select == "binary" and (self.form != "lookup" or self.mu != 2 or self.dot_stages < 2):
            raise ValueError("select must be 'one_hot', unless form is 'lookup', mu 2 and dot_stages at least 2, not 'binary'")
        self._check_drain()
        if not self.lanes <= self.max_k <= MAX_K:
            raise ValueError(f"max_k must be lanes {self.lanes} to {MAX_K}, not {self.max_k!r}")

    @property
    def formats_taken(self) -> Mapping[int, Work]:
        """One."""
        return {0: Work("ternary")}

    @property
    def group_beats(self) -> int:
        """Most beats of a tile, which is one group of the shell's schedule."""
        return ceil(self.max_k / self.lanes)

    @property
    def result(self) -> Number:
        """A sum, without its column's offset."""
        return signed(self.accumulator_bits)

    @cached_property
    def streams(self) -> Mapping[str, Sequence[Field]]:
        """Payload of each stream.

        ``weights`` are the trits [cols][lanes] in order, five a byte or folded by mu. A column has an offset and, per channel,
        a scale; per tensor there is one for the tile. Tokens have scales too, unless results are the sums.
        """
        last, offset, scale = Field("last"), Field("offset", signed(self.accumulator_bits)), Field("scale", BINARY32)
        per_channel = self.has_scales and self.granularity == "channel"
        columns = Field("columns", (offset, scale) if per_channel else offset.element, self.cols)
        output = {"float32": BINARY32, "float16": BINARY16, "int32": signed(32)}[self.output]
        return {
            "weights": (Field("codes", self.code_bits, self.codes_per_beat), last),
            "activations": (Field("data", 8, (self.rows, self.lanes)), last),
            "constants": (columns, *([Field("common", (scale,))] if self.has_scales and not per_channel else [])),
            **({"tokens": (Field("rows", BINARY32, self.rows),)} if self.has_scales else {}),
            "outputs": (Field("data", output, self.drain), *([Field("overflow")] if self.has_scales else []), last),
        }

    @property
    def term_weights(self) -> int:
        """Weights that select one term: mu, or 1 in a tree."""
        return self.mu if self.form == "lookup" else 1

    @property
    def has_trit_bytes(self) -> bool:
        """Whether weights come five trits a byte; else as folded codes."""
        return self.term_weights <= 2

    @property
    def codes_per_beat(self) -> int:
        """Codes of a ``weights`` beat."""
        return ceil(self.cols * self.lanes / 5) if self.has_trit_bytes else self.cols * self.lanes // self.mu

    @property
    def code_bits(self) -> int:
        """Width of a code."""
        return 8 if self.has_trit_bytes else folded_bits(self.mu)

    @property
    def term_bits(self) -> int:
        """Width of a table's sums, in offset binary, and of a term."""
        return (255 * self.term_weights).bit_length()

    @property
    def accumulator_bits(self) -> int:
        """Width of a sum, sign included: +128 K, from -128 times -1, fits for as many whole beats as a tile may have."""
        return (128 * self.largest_k).bit_length() + 1

    @property
    def has_scales(self) -> bool:
        """Whether results are scaled; else they are the sums."""
        return self.output != "int32"

    @property
    def output_stages(self) -> int:
        """Latency of the output unit: the sum of offset and result, then two products, each aligned and rounded."""
        return 1 + 2 * (self.product_stages + 2) * self.has_scales

    @property
    def timing(self) -> Timing:
        """Latencies of the engine.

        A result: operands are registered, summed up in the heap, added chunk by chunk, taken into the shadow registers and
        from there into those of the drain. Tiles end so far apart that a sum is taken before the next one reaches its chunk.
        """
        skew = chunk_skew(self.accumulator_bits, self.accumulator_chunk)
        return Timing(
            interval=skew + 1,
            result=1 + self.dot_stages + skew + 3,
            output=self.output_stages,
            drain_beats=self.drain_beats,
            kept=2,
        )

    def schedule(self, qweight: QuantizedWeight, activations: object = None) -> Schedule:
        """One group: all of K, a term for each beat. The activations do not matter to this scheme."""
        check_weight(qweight, self)
        k = qweight.shape[1]
        return Schedule((GroupSchedule(k, ceil(k / self.lanes), 1),))


def check_weight(qweight: QuantizedWeight, config: RsrConfig) -> None:
    """Refuse, with a ValueError that names the rule, a weight that an engine of this config cannot take."""
    if not isinstance(config, RsrConfig):
        raise TypeError(f"config must be an RsrConfig, not {config!r}")
    if not isinstance(qweight, QuantizedWeight):
        raise TypeError(f"qweight must be a QuantizedWeight, not {type(qweight).__name__}")
    if qweight.shape[1] > config.max_k:
        raise ValueError(f"K must be at most max_k {config.max_k}, which the accumulator holds, not {qweight.shape[1]}")
    if not config.has_scales:
        return
    if qweight.granularity == "channel" and config.granularity == "tensor":
        raise ValueError("qweight.granularity must be 'tensor' like the config's, not 'channel'")
    scales = qweight.scales
    if not np.all((scales == 0) | (scales >= np.finfo(np.float32).tiny)):
        raise ValueError("qweight.scales must be zero or normal float32 numbers")
