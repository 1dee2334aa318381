# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a Tender engine, the beats of its tiles, its latencies, and the checks of its operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from ..config import EngineConfig, Work, chunk_skew
from ..parameters import check_choice, check_integer
from ..schedule import GroupSchedule, Schedule, Timing
from ..streams import BINARY32, Field, Number, signed, unsigned
from .quantizer import BITS, Decomposed, QuantizedWeight

__all__ = ["Beats", "TenderConfig", "beats_of", "check_operands"]

OUTPUTS = ("float32", "int4", "uint4", "int8", "uint8")
"""Formats of results."""
RESCALE_STAGES = 7
"""Cycles from a sum to its scaled form."""


@dataclass(frozen=True)
class TenderConfig(EngineConfig):
    """Parameters of a Tender engine: one object for golden model, packer and RTL.

    The number of channel groups is none of them: the engine takes a shift with any beat.

    Parameters
    ----------
    rows, cols : int
        Tokens and output channels of a tile, at least 1.
    lanes : int
        Elements of K per beat.
    bits_w, bits_a : 4 or 8
        Bits of a weight (signed) and of an activation (signed or unsigned, as the beat says).
    accumulator_bits : 16 to 32
        Width of the wrapping accumulators.
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    max_beats : int
        Longest tile.
    dot_stages : 1 to 8, or None
        Pipeline stages of a dot product; None: 3, or 4 where weights or activations have 8 bits.
    accumulator_chunk : int or None
        Bits of a chunk of the accumulator, at least 2; None: a single adder.
    output : "float32", "int4", "uint4", "int8" or "uint8"
        Results as they are, or requantized for the next layer.
    """

    rows: int = 8
    cols: int = 8
    lanes: int = 16
    bits_w: int = 4
    bits_a: int = 4
    accumulator_bits: int = 32
    drain: int = 4
    max_beats: int = 4096
    dot_stages: int | None = None
    accumulator_chunk: int | None = 8
    output: str = "float32"

    tile_flags = ("overflow",)

    def __post_init__(self) -> None:
        for name, choices in (("bits_w", BITS), ("bits_a", BITS), ("output", OUTPUTS)):
            check_choice(name, getattr(self, name), choices)
        for name in ("rows", "cols", "drain"):
            check_integer(name, getattr(self, name), 1)
        ranges = {"lanes": (1, 256), "accumulator_bits": (16, 32), "max_beats": (1, 2**24), "dot_stages": (1, 8)}
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high, rule=f"at least {low} and at most {high}",
                          optional=name == "dot_stages")
        check_integer("accumulator_chunk", self.accumulator_chunk, 2, optional=True)
        self._check_drain()
        if self.dot_bits > self.accumulator_bits:
            raise ValueError(f"accumulator_bits must be at least {self.dot_bits}, the bits of a beat's dot product, "
                             f"not {self.accumulator_bits!r}")

    @property
    def formats_taken(self) -> Mapping[int, Work]:
        """One."""
        return {0: Work(f"INT{self.bits_w}")}

    @property
    def group_beats(self) -> int:
        """Most beats of a tile, which is one group of the shell's schedule."""
        return self.max_beats

    @property
    def result(self) -> Number:
        """A sum."""
        return signed(self.accumulator_bits)

    @property
    def streams(self) -> Mapping[str, Sequence[Field]]:
        """Payload of each stream; codes are [cols][lanes]. Without requantization results are binary32."""
        last, cols, lanes = Field("last"), self.cols, self.lanes
        output = unsigned(self.output_bits) if self.requantizes else BINARY32
        terms = ("scale", "constant", *(["divisor"] if self.requantizes else []))
        return {
            "weights": (Field("codes", self.bits_w, (cols, lanes)), last),
            "activations": (Field("data", self.bits_a, (self.rows, lanes)), Field("shift"), Field("unsigned"), last),
            "constants": (Field("columns", tuple(Field(name, BINARY32) for name in terms), cols),),
            "outputs": (Field("data", output, self.drain), Field("overflow"), last),
        }

    @property
    def dot_bits(self) -> int:
        """Bits of a beat's dot product, signed: any activations, any codes."""
        return ((2**self.bits_a - 1) * 2 ** (self.bits_w - 1) * self.lanes - 1).bit_length() + 1

    @property
    def requantizes(self) -> bool:
        """Whether results are the next layer's integers."""
        return self.output != "float32"

    @property
    def output_bits(self) -> int:
        """Bits of a result on ``outputs``."""
        return int(self.output.lstrip("floatuin"))

    @property
    def output_stages(self) -> int:
        """Cycles from a sum to its result: the rescale, and a division of two bits more than it keeps."""
        return RESCALE_STAGES + (self.output_bits + 4 if self.requantizes else 0)

    @property
    def dot_latency(self) -> int:
        """Cycles from the operand registers to a dot product."""
        return self.dot_stages or (3 if self.bits_w == self.bits_a == 4 else 4)

    @property
    def skew(self) -> int:
        """Cycles by which an accumulator's last chunk works later than the first."""
        return chunk_skew(self.accumulator_bits, self.accumulator_chunk)

    @property
    def timing(self) -> Timing:
        """Latencies of the engine.

        Tiles keep a distance: a sum is taken before the next one reaches its chunk.
        """
        return Timing(
            interval=self.skew + 1,
            result=1 + self.dot_latency + self.skew + 2,
            output=self.output_stages,
            drain_beats=self.drain_beats,
        )

    def schedule(self, qweight: QuantizedWeight, activations: Decomposed) -> tuple[Schedule, ...]:
        """The work of each tile of rows: a chunk's beats are those of its channel groups. The weight does not matter."""
        check_operands(activations, qweight, self)
        k, schedules = qweight.shape[1], []
        for chunk in range(len(activations.xq)):
            group = GroupSchedule(k, len(beats_of(activations, chunk, self.lanes).shifts), 1)
            schedules += ceil(activations.rows_of(chunk) / self.rows) * [Schedule((group,))]
        return tuple(schedules)


@dataclass(frozen=True, eq=False)
class Beats:
    """The beats of a chunk's tiles.

    Attributes
    ----------
    channels : int64 [beats, lanes]
        Channel in each lane; K stands for none.
    shifts : int64 [beats]
        1: the sums are shifted before the beat is added.
    trailing : int
        Shifts that are left when the last beat is added; they double the scale instead.
    """

    channels: np.ndarray
    shifts: np.ndarray
    trailing: int

    @cached_property
    def flat(self) -> np.ndarray:
        """Channels of all beats in one row."""
        return self.channels.ravel()


def beats_of(decomposed: Decomposed, chunk: int, lanes: int) -> Beats:
    """Lay a chunk's channels into beats, largest scale first; a beat never holds channels of two groups.

    Empty groups cost a beat of zeros with a shift between two that are not empty, and nothing elsewhere.
    """
    k = decomposed.xq.shape[2]
    order, counts = decomposed.order[chunk], decomposed.counts[chunk]
    occupied = np.flatnonzero(counts)
    channels, shifts, start = [], [], 0
    for group in range(occupied[0], occupied[-1] + 1):
        number = max(ceil(counts[group] / lanes), 1)
        beats = np.full(number * lanes, k)
        beats[: counts[group]] = order[start : start + counts[group]]
        start += counts[group]
        channels.append(beats.reshape(number, lanes))
        shifts += [int(group != occupied[0])] + [0] * (number - 1)
    return Beats(np.concatenate(channels), np.array(shifts), int(len(counts) - 1 - occupied[-1]))


def check_operands(decomposed: Decomposed, qweight: QuantizedWeight, config: TenderConfig) -> None:
    """Refuse, with an error that names the rule, operands that an engine of this config cannot take."""
    for name, value, kind in (("config", config, TenderConfig), ("decomposed", decomposed, Decomposed),
                              ("qweight", qweight, QuantizedWeight)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not {value!r}")
    if qweight.bits != config.bits_w:
        raise ValueError(f"qweight.bits must be the config's bits_w, {config.bits_w}, not {qweight.bits!r}")
    if decomposed.bits != config.bits_a:
        raise ValueError(f"decomposed.bits must be the config's bits_a, {config.bits_a}, not {decomposed.bits!r}")
    chunks, chunk_size, k = decomposed.xq.shape
    if qweight.shape[1] != k:
        raise ValueError(f"qweight must have K = {k} like the activations, not {qweight.shape[1]}")
    if chunks > 1 and chunk_size % config.rows:
        raise ValueError(f"chunk_size must be a multiple of rows {config.rows}, since a tile never spans two chunks, "
                         f"not {chunk_size}")
    longest = max(len(beats_of(decomposed, chunk, config.lanes).shifts) for chunk in range(chunks))
    if longest > config.max_beats:
        raise ValueError(f"K and its channel groups must take at most max_beats {config.max_beats} beats, not {longest}")
