# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a bipolar engine, the widths and latencies that follow from them, and the checks of its operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..config import EngineConfig, Work
from ..parameters import check_choice, check_integer
from ..schedule import GroupSchedule, Schedule, Timing
from ..streams import BINARY16, BINARY32, Field, signed
from .codes import MAX_BITS, constant
from .quantizer import QuantizedActivations, QuantizedWeight

__all__ = ["DEQUANT_STAGES", "LONGEST", "OUTPUTS", "BipolarConfig", "check_operands", "format_code"]

OUTPUTS = ("int32", "float32", "float16")
DEQUANT_STAGES = 5
"""Ranks of a column's dequantizer: a row's sum is chosen, multiplied in three, added to the tile's."""
LONGEST = 2**15 - 1
"""Longest reduction whose sums of 8 by 8 bits, corrections included, fit 32 bits."""


def format_code(bits_a: int, bits_w: int) -> int:
    """A tile's precision as the stream of weights says it."""
    return bits_a - 1 << 3 | bits_w - 1


@dataclass(frozen=True)
class BipolarConfig(EngineConfig):
    """Parameters of a bipolar engine: one object for golden model, packer and RTL.

    The precision is none of them: every tile has its own.

    Parameters
    ----------
    rows, cols : int
        Tokens and output channels of a tile, at least 1.
    lanes : int
        Elements of K per beat, and bit products of an element per cycle.
    bits_w, bits_a : 1 to 8
        Widest weights and activations.
    output : "int32", "float32" or "float16"
        int32: the exact products of integers, without scales.
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    max_k : int
        Longest reduction; sets the width of the sums.
    dot_stages : 1 to 8
        Register ranks of the population count, the last one behind its result.
    accumulator_chunk : int or None
        Bits of an accumulator that are added in a cycle; the carry between two chunks waits for the next one. None: all.
    product_stages : 2 to 24
        Pipeline stages of each scale's multiplier.
    scale_bits : 2 to 8, or None
        Groups of ``lanes`` weights have scale codes of so many bits, which a dequantizer a column multiplies their sums by;
        results are scaled then. None: one scale a channel.
    """

    rows: int = 8
    cols: int = 8
    lanes: int = 256
    bits_w: int = 8
    bits_a: int = 8
    output: str = "int32"
    drain: int = 8
    max_k: int = 28672
    dot_stages: int = 3
    accumulator_chunk: int | None = 8
    product_stages: int = 2
    scale_bits: int | None = None

    group_beats = 1
    """A group of the shell's schedule is a beat of activations: its passes are the planes of weights, its terms those of
    activations."""

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "drain", "max_k"):
            check_integer(name, getattr(self, name), 1)
        for name, low, high in (("lanes", 1, 1024), ("bits_w", 1, MAX_BITS), ("bits_a", 1, MAX_BITS), ("dot_stages", 1, 8),
                                ("product_stages", 2, 24)):
            check_integer(name, getattr(self, name), low, high)
        check_integer("accumulator_chunk", self.accumulator_chunk, 2, optional=True)
        check_integer("scale_bits", self.scale_bits, 2, 8, optional=True)
        check_choice("output", self.output, OUTPUTS, f"one of {', '.join(OUTPUTS)}")
        if self.has_groups and not self.has_scales:
            raise ValueError(f"output must be float32 or float16 for groups with scales, not {self.output!r}")
        self._check_drain()
        if self.max_k < self.lanes or self.largest_k > LONGEST:
            raise ValueError(f"max_k must be lanes {self.lanes} to {LONGEST // self.lanes * self.lanes}, not {self.max_k!r}")

    @property
    def has_groups(self) -> bool:
        """Whether groups of ``lanes`` weights have scales."""
        return self.scale_bits is not None

    @property
    def max_groups(self) -> int:
        """Most beats of activations of a tile."""
        return ceil(self.max_k / self.lanes)

    @property
    def formats_taken(self) -> Mapping[int, Work]:
        """Every precision up to the widest; a beat of weights, one plane, is worked on for a term a plane of activations."""
        return {format_code(m, n): Work(f"W{n}A{m}", terms=m, passes=n)
                for m in range(1, self.bits_a + 1) for n in range(1, self.bits_w + 1)}

    @property
    def partial(self) -> tuple[Field, ...]:
        """An element's sum of weighted differing bits, of a tile or a group, and the carries that wait between its chunks."""
        return _saved(self.chunks)

    @property
    def result(self) -> tuple[Field, ...]:
        """What leaves the array, likewise: an element's sum, or the sums of groups times their scale codes, summed."""
        return _saved(self.result_chunks)

    @property
    def streams(self) -> Mapping[str, Sequence[Field]]:
        """Payload of each stream.

        A beat of ``weights`` is a plane of them; of each beat of activations the lowest plane comes first. The constants of
        columns and rows are added to minus twice the sum; integer results are what ``halvings`` leave of that. With groups
        there are ``scales``, a code for each column and beat of ``activations``.
        """
        last, scaled = Field("last"), self.has_scales

        def of(name, number, count):
            scale = [Field("scale", BINARY32)] if scaled else []
            return Field(name, (Field("addend", signed(number)), *scale), count)

        data = {"int32": signed(32), "float32": BINARY32, "float16": BINARY16}[self.output]
        return {
            "weights": (Field("planes", 1, (self.cols, self.lanes)), Field("format", 6), last),
            "activations": (Field("data", self.bits_a, (self.rows, self.lanes)), last),
            **({"scales": (Field("codes", self.scale_bits, self.cols), last)} if self.scale_bits else {}),
            "constants": (of("columns", self.total_bits, self.cols),
                          *([] if scaled else [Field("common", (Field("halvings", 2),))])),
            "tokens": (of("rows", self.row_sum_bits, self.rows),),
            "outputs": (Field("data", data, self.drain), *([Field("overflow")] if scaled else []), last),
        }

    @property
    def count_bits(self) -> int:
        """Width of a population count."""
        return self.lanes.bit_length()

    @property
    def largest_shift(self) -> int:
        """Weight of the highest pair of planes, as an exponent."""
        return self.bits_a + self.bits_w - 2

    @property
    def shift_shape(self) -> range:
        """Values of such a weight; at least a bit wide, since not every tool takes signals of none."""
        return range(max(self.largest_shift + 1, 2))

    @property
    def plane_shape(self) -> range:
        """Numbers of activations' planes, likewise."""
        return range(max(self.bits_a, 2))

    @property
    def accumulator_bits(self) -> int:
        """Width of an element's sum, without a sign: all bits differ, in as many whole beats as a tile, or group, may have."""
        return constant(self.lanes if self.has_groups else self.largest_k, self.bits_a, self.bits_w).bit_length()

    @property
    def sum_bits(self) -> int:
        """Width of a tile's sum, each group's times its scale code; without a sign."""
        return (constant(self.largest_k, self.bits_a, self.bits_w) * self.largest_scale_code).bit_length()

    @property
    def largest_scale_code(self) -> int:
        """Of a group; 1 without."""
        return 2**self.scale_bits - 1 if self.scale_bits else 1

    @property
    def chunks(self) -> tuple[int, ...]:
        """Bits of each chunk of the accumulator, lowest first."""
        return self._cut(self.accumulator_bits)

    @property
    def result_chunks(self) -> tuple[int, ...]:
        """Bits of each chunk of a result, lowest first."""
        return self._cut(self.sum_bits)

    def _cut(self, width):
        size = self.accumulator_chunk or width
        return tuple(min(size, width - start) for start in range(0, width, size))

    @property
    def total_bits(self) -> int:
        """Width of a product with all that its corrections multiply and add, signed."""
        return ((self.largest_k << self.bits_a + self.bits_w) * self.largest_scale_code).bit_length() + 1

    @property
    def row_sum_bits(self) -> int:
        """Width of a sum of a row's odd integers, signed."""
        return (self.largest_k * (2**self.bits_a - 1)).bit_length() + 1

    @property
    def has_scales(self) -> bool:
        """Whether results are scaled."""
        return self.output != "int32"

    @property
    def output_stages(self) -> int:
        """Latency of the output unit: operands, their sum in two; two products, each aligned and rounded."""
        return 3 + 2 * (self.product_stages + 2) * self.has_scales

    @property
    def timing(self) -> Timing:
        """Latencies of the engine.

        A result: planes are registered, counted, added to the accumulator, taken into the shadow registers and from there into
        those of the drain. With groups: from there through the columns' dequantizers, a row a cycle.
        """
        captured = 1 + self.dot_stages + 2
        if self.has_groups:
            return Timing(interval=max(self.rows, captured), result=captured + DEQUANT_STAGES, output=self.output_stages,
                          drain_beats=self.drain_beats)
        return Timing(interval=1, result=captured + 1, output=self.output_stages, drain_beats=self.drain_beats, kept=2)

    def schedule(self, qweight: QuantizedWeight, activations: QuantizedActivations) -> Schedule:
        """A group for each beat of activations."""
        check_operands(activations, qweight, self)
        k = qweight.shape[1]
        return Schedule(tuple(GroupSchedule(min(self.lanes, k - start), 1, activations.bits, qweight.bits)
                              for start in range(0, k, self.lanes)))


def _saved(chunks):
    """A sum in chunks, and the carries between them."""
    return (Field("sum", sum(chunks)), *([Field("carries", len(chunks) - 1)] if len(chunks) > 1 else []))


def check_operands(x: QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig) -> None:
    """Refuse, with an error that names the rule, operands that an engine of this config cannot take."""
    for name, value, kind in (("config", config, BipolarConfig), ("x", x, QuantizedActivations),
                              ("qweight", qweight, QuantizedWeight)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
    for name, bits, widest in (("x.bits", x.bits, config.bits_a), ("qweight.bits", qweight.bits, config.bits_w)):
        if bits > widest:
            raise ValueError(f"{name} must be at most {widest}, which the engine is built for, not {bits}")
    _check_groups(qweight, config)
    n, k = qweight.shape
    if x.codes.shape[1] != k:
        raise ValueError(f"x must have K = {k} like the weight, not {x.codes.shape[1]}")
    if k > config.max_k:
        raise ValueError(f"K must be at most max_k {config.max_k}, which the accumulator holds, not {k}")
    smallest = np.finfo(np.float32).tiny * 2 ** (x.signed + qweight.signed)
    lost = (x.scales != 0) & (x.scales < smallest)
    if config.has_scales and lost.any():
        raise ValueError(f"x.scales must be 0 or at least {smallest!r}, to stay normal when halved for two's complement, "
                         f"not {x.scales[lost][0]!r}")


def _check_groups(qweight, config):
    if not config.has_groups:
        if qweight.group_size is not None:
            raise ValueError("qweight.group_size must be None, one scale a channel, for an engine without scale_bits, "
                             f"not {qweight.group_size}")
        return
    if qweight.group_size != config.lanes:
        raise ValueError(f"qweight.group_size must be lanes {config.lanes} for an engine with scale_bits, "
                         f"not {qweight.group_size}")
    if qweight.signed:
        raise ValueError("qweight.signed must be False with groups: each would want the sums of its activations")
    if qweight.scale_codes is None or qweight.scale_codes.max() > config.largest_scale_code:
        largest = "none" if qweight.scale_codes is None else qweight.scale_codes.max()
        raise ValueError(f"qweight.scale_codes must be there and at most {config.largest_scale_code}, scale_bits "
                         f"{config.scale_bits}, not {largest}")
