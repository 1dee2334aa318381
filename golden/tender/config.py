# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a Tender engine, the beats of its tiles, its latencies, and the checks of its operands."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from ..schedule import GroupSchedule, Predicted, Schedule, Timing
from .quantizer import BITS, Decomposed, QuantizedWeight, check_choice

__all__ = ["Beats", "TenderConfig", "beats_of", "check_operands"]

OUTPUTS = ("float32", "int4", "uint4", "int8", "uint8")
"""Formats of results."""


@dataclass(frozen=True)
class TenderConfig(Predicted):
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
    chunk : int or None
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
    chunk: int | None = 8
    output: str = "float32"

    RESCALE_STAGES = 7

    def __post_init__(self) -> None:
        check_choice("bits_w", self.bits_w, BITS)
        check_choice("bits_a", self.bits_a, BITS)
        check_choice("output", self.output, OUTPUTS)
        ranges = {
            "rows": (1, None), "cols": (1, None), "lanes": (1, 256), "accumulator_bits": (16, 32), "drain": (1, None),
            "max_beats": (1, 2**24), "dot_stages": (1, 8), "chunk": (2, None),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            optional = name in ("dot_stages", "chunk")
            if optional and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an integer{' or None' * optional}, not {value!r}")
            if value < low or high is not None and value > high:
                raise ValueError(f"{name} must be at least {low}{f' and at most {high}' if high else ''}, not {value!r}")
        if self.cols % self.drain:
            raise ValueError(f"drain must divide cols {self.cols}, not be {self.drain!r}")
        if self.dot_bits > self.accumulator_bits:
            raise ValueError(f"accumulator_bits must be at least {self.dot_bits}, the bits of a beat's dot product, "
                             f"not {self.accumulator_bits!r}")

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
        return self.RESCALE_STAGES + (self.output_bits + 4 if self.requantizes else 0)

    @property
    def dot_latency(self) -> int:
        """Cycles from the operand registers to a dot product."""
        return self.dot_stages or (3 if self.bits_w == self.bits_a == 4 else 4)

    @property
    def skew(self) -> int:
        """Cycles by which an accumulator's last chunk works later than the first."""
        return 0 if self.chunk is None else ceil(self.accumulator_bits / self.chunk) - 1

    @property
    def timing(self) -> Timing:
        """Latencies of the engine; the RTL is built from the same stages and the benches assert the cycles.

        Tiles keep a distance: a chunk's shadow register is read before the next tile's value enters it.
        """
        return Timing(
            interval=self.skew + 2,
            result=1 + self.dot_latency + self.skew + 2,
            output=self.output_stages,
            drain_beats=self.rows * self.cols // self.drain,
        )

    def schedule(self, qweight: QuantizedWeight, activations: Decomposed) -> tuple[Schedule, ...]:
        """The work of each tile of rows: a chunk's beats are those of its channel groups. The weight does not matter."""
        check_operands(activations, qweight, self)
        k, schedules = qweight.shape[1], []
        for chunk in range(len(activations.xq)):
            group = GroupSchedule(k, len(beats_of(activations, chunk, self.lanes).shifts), 1, format=f"int{self.bits_w}")
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
