# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a bcq engine, the widths and latencies that follow from them, and the checks of its operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np

from ..alignment import EXPONENT_BITS, MANTISSA_BITS, check_binary16
from ..config import EngineConfig, Work, conversion_stages
from ..parameters import check_choice, check_integer
from ..schedule import GroupSchedule, Schedule, Timing
from ..streams import BINARY16, BINARY32, Field, Number, signed
from .quantizer import MAX_BITS, NO_PLACE, SCALE_RANGE, QuantizedWeight, places_of

__all__ = ["EDGE_STAGES", "MAC_STAGES", "PRODUCT_STAGES", "READ_STAGE", "SCALE_EXPONENT_BITS", "SUM_STAGES", "BcqConfig",
           "Scales", "check_operands", "scale_fields"]

EDGE_STAGES, MAC_STAGES, PRODUCT_STAGES = 4, 2, 5
"""Ranks of a row's edge: alignment, its rounding, sums of two, sums of ``mu``; of an element; of a dequantizer's product."""
READ_STAGE, SUM_STAGES = PRODUCT_STAGES - 1, PRODUCT_STAGES + 2
"""A dequantizer reads a row's sum in the one and writes it in the other, counted from the row's turn."""
SCALE_EXPONENT_BITS = SCALE_RANGE.bit_length()
"""Of a scale."""
_SUM_BITS = 63
"""What the model's integers hold."""


class Scales(NamedTuple):
    """Scales as an engine takes them: a value is ``significand * 2**(exponent - 15 - scale_digits) * column``.

    significand, exponent : int64 [N, groups, visits]
        A visit for each plane, an offset's behind them; or one for all, of the plane of weight 1.
    column : float32 [N]
        Powers of two.
    offset : int64 [N, groups, visits] or None
        The offset's significand, of the same exponent; None: it is a plane.
    """

    significand: np.ndarray
    exponent: np.ndarray
    column: np.ndarray
    offset: np.ndarray | None = None


@dataclass(frozen=True)
class BcqConfig(EngineConfig):
    """Parameters of a bcq engine: one object for golden model, packer and RTL.

    The number of planes is none of them: every group has its own, up to ``planes``.

    Parameters
    ----------
    rows, cols : int
        Tokens and output channels of a tile, at least 1.
    lanes : int
        Elements of K per beat; divides the group size.
    mu : 2 to 4
        Activations of a table; divides ``lanes``.
    group_size : 32, 64, 128 or 256
        Consecutive weights of a row that share alphas.
    planes : 1 to 9
        Most planes of a weight; an offset counts as one.
    scale_digits : 8 to 24
        Of an alpha or an offset.
    guard_bits : 0 to 13
        Bits below binary16's last place that alignment keeps.
    output : "float32" or "float16"
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    max_k : int
        Longest reduction.
    form : "planes" or "uniform"
        A product for each plane, with an alpha of its own; or planes of weights ``2**i`` that elements merge, a product and an
        offset for each group.
    dequantizers : 1 or 2
        A column has; each serves as many of its rows.
    readers : int
        Most columns that read one copy of a row's tables. If there are several copies, they are registers behind the tables.
    output_stages : 3 to 26
        Pipeline stages of the output scaler.
    """

    rows: int = 8
    cols: int = 32
    lanes: int = 16
    mu: int = 4
    group_size: int = 128
    planes: int = 5
    scale_digits: int = 11
    guard_bits: int = 5
    output: str = "float32"
    drain: int = 4
    max_k: int = 16384
    form: str = "planes"
    dequantizers: int = 1
    readers: int = 64
    output_stages: int = 4

    tile_flags = ("nonfinite",)

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "lanes", "drain", "max_k", "readers"):
            check_integer(name, getattr(self, name), 1)
        for name, low, high in (("mu", 2, 4), ("planes", 1, MAX_BITS + 1), ("scale_digits", 8, 24), ("guard_bits", 0, 13),
                                ("dequantizers", 1, 2), ("output_stages", 3, 26)):
            check_integer(name, getattr(self, name), low, high)
        check_integer("group_size", self.group_size)
        check_choice("group_size", self.group_size, (32, 64, 128, 256), "32, 64, 128 or 256")
        if self.group_size % self.lanes:
            raise ValueError(f"lanes must divide group_size {self.group_size}, not be {self.lanes!r}")
        check_choice("output", self.output, ("float32", "float16"), "'float32' or 'float16'")
        check_choice("form", self.form, ("planes", "uniform"), "'planes' or 'uniform'")
        self._check_drain()
        check_integer("max_k", self.max_k, 1, 2**17)
        if self.sum_bits > _SUM_BITS:
            raise ValueError(f"scale_digits must leave sums {_SUM_BITS} bits, not be {self.scale_digits} for {self.sum_bits}; "
                             "fewer planes or guard_bits or a smaller max_k spare some")

    @property
    def merges(self) -> bool:
        """Whether elements merge planes."""
        return self.form == "uniform"

    @property
    def tables(self) -> int:
        """Tables of a beat; the last one may be of fewer activations."""
        return ceil(self.lanes / self.mu)

    @property
    def copies(self) -> int:
        """Of a row's tables."""
        return ceil(self.cols / self.readers)

    @property
    def edge_stages(self) -> int:
        """Cycles from a beat to the tables that elements read."""
        return EDGE_STAGES + (self.copies > 1)

    @property
    def capture_stages(self) -> int:
        """Cycles from a pass's last beat to the capture of its sums; the first row's turn is a cycle later."""
        return self.edge_stages + MAC_STAGES

    @property
    def group_beats(self) -> int:
        """Beats of a full group."""
        return self.group_size // self.lanes

    @property
    def max_groups(self) -> int:
        """Most groups of a tile."""
        return ceil(self.max_k / self.group_size)

    @property
    def formats_taken(self) -> Mapping[int, Work]:
        """Planes of a group, less one; a pass each."""
        return {planes - 1: Work(f"{planes} planes", passes=planes) for planes in range(1, self.planes + 1)}

    @property
    def streams(self) -> Mapping[str, Sequence[Field]]:
        """Payload of each stream.

        A beat of ``weights`` is a plane of them, all beats of a group before the next plane; an offset's plane is of ones. A
        row's exponent of a group comes with each of its beats. A plane has a scale for each column, a column a power of two.
        Planes that elements merge have one scale, and an offset instead of a plane; the one of most weight comes first.
        """
        last = Field("last")
        scale = (Field("significand", signed(self.scale_digits + 1)), Field("exponent", SCALE_EXPONENT_BITS),
                 *([Field("offset", signed(self.offset_bits))] if self.merges else []))
        return {
            "weights": (Field("plane", 1, (self.cols, self.lanes)), Field("format", 4), last),
            "activations": (
                Field("data", BINARY16, (self.rows, self.lanes)), Field("exponents", EXPONENT_BITS, self.rows), last),
            "scales": (Field("alphas", scale, self.cols), last),
            "constants": (Field("columns", BINARY32, self.cols),),
            "outputs": (Field("data", BINARY32 if self.output == "float32" else BINARY16, self.drain), Field("nonfinite"),
                        Field("overflow"), last),
        }

    @property
    def scale_names(self) -> tuple[str, ...]:
        """Fields of a scale, as `Scales` calls them."""
        return ("significand", "exponent", *(["offset"] if self.merges else []))

    @property
    def aligned_bits(self) -> int:
        """Width of an aligned activation, two's complement."""
        return MANTISSA_BITS + self.guard_bits + 1

    @property
    def entry_bits(self) -> int:
        """Width of a table's entry, two's complement."""
        return self.aligned_bits + (self.mu - 1).bit_length()

    @property
    def plane_bits(self) -> int:
        """Width of a plane's sum over a group."""
        return (self._largest_sum).bit_length() + 1

    @property
    def accumulator_bits(self) -> int:
        """Width of what an element sums: a plane, or all of them; it cannot overflow."""
        return (self._largest_sum * (2**self.planes - 1 if self.merges else 1)).bit_length() + 1

    @property
    def _largest_sum(self) -> int:
        return ((2**MANTISSA_BITS - 1) << self.guard_bits) * self.group_size

    @property
    def offset_bits(self) -> int:
        """Width of an offset that is no plane, in units of its group's scale."""
        return self.scale_digits + self.planes + 1

    @property
    def most_negations(self) -> int:
        """Of keys, in what an element sums."""
        return self.tables * self.group_beats * (2**self.planes - 1 if self.merges else 1)

    @property
    def product_bits(self) -> int:
        """Width of a sum times its scale, and of that with an offset."""
        return self.accumulator_bits + self.scale_digits + self.merges

    @property
    def exponent_bias(self) -> int:
        """A sum ``s`` at the running exponent R counts ``s * 2**(R + exponent_bias)`` column constants.

        So does a product of alignment R and the largest scale exponent, `SCALE_RANGE`.
        """
        return -25 - self.guard_bits - self.scale_digits

    @property
    def max_visits(self) -> int:
        """Most products that a result is the sum of."""
        return self.max_groups * (1 if self.merges else self.planes)

    @property
    def sum_bits(self) -> int:
        """Width of a sum over planes and groups, in fixed point: it cannot overflow."""
        return self.product_bits + (self.max_visits - 1).bit_length()

    @property
    def result(self) -> Number | tuple[Field, ...]:
        """A sum in fixed point, and the exponent of its unit."""
        return (Field("sum", signed(self.sum_bits)), Field("exponent", EXPONENT_BITS))

    @property
    def timing(self) -> Timing:
        """Latencies of the engine.

        Ends of passes keep a distance: all rows are visited before the next sums leave the elements, and a row's sum is written
        before it is read again.
        """
        return Timing(
            interval=max(ceil(self.rows / self.dequantizers), SUM_STAGES - READ_STAGE + 1),
            result=self.capture_stages + 1 + SUM_STAGES + 2,
            output=conversion_stages(self.sum_bits) + self.output_stages,
            drain_beats=self.drain_beats,
            scaled="group" if self.merges else "pass",
        )

    def passes(self, qweight: QuantizedWeight) -> int:
        """Of a group: its planes; an offset is one of them if it is not merged."""
        return qweight.bits + (qweight.offset is not None and not self.merges)

    def schedule(self, qweight: QuantizedWeight, activations: object = None) -> Schedule:
        """The groups of a tile; activations do not matter."""
        del activations
        check_operands(qweight, self)
        k, passes = qweight.shape[1], self.passes(qweight)
        lengths = [min(self.group_size, k - start) for start in range(0, k, self.group_size)]
        return Schedule(tuple(GroupSchedule(length, ceil(length / self.lanes), 1, passes) for length in lengths))


def scale_fields(qweight: QuantizedWeight, config: BcqConfig) -> Scales:
    """Alphas and offsets as an engine takes them.

    Raises
    ------
    ValueError
        If one has too many digits, or alphas are not those of uniform weights where planes merge.
    """
    alpha = qweight.alpha.astype(np.float64)
    offset = None if qweight.offset is None else qweight.offset.astype(np.float64)[:, :, None]
    if not config.merges:
        scales = alpha if offset is None else np.concatenate([alpha, offset], axis=2)
        return _in_units(config, scales, places_of(scales), None)
    if not qweight.uniform:
        raise ValueError("qweight.alpha must double from plane to plane for form 'uniform'; form 'planes' takes any")
    offset = np.zeros_like(alpha[:, :, :1]) if offset is None else offset
    places = np.maximum(places_of(alpha[:, :, :1]), places_of(offset) - config.planes)
    return _in_units(config, alpha[:, :, :1], places, offset)


def _in_units(config: BcqConfig, scales: np.ndarray, places: np.ndarray, offset: np.ndarray | None) -> Scales:
    """Scales, and offsets, in units that follow from places [N, groups, visits]."""
    top = places.reshape(len(places), -1).max(axis=1)
    top = np.where(top <= NO_PLACE, 0, top)[:, None, None]
    exponent = np.where(places <= NO_PLACE, 0, np.maximum(places - top, -SCALE_RANGE) + SCALE_RANGE)

    def whole(values: np.ndarray) -> np.ndarray:
        units = np.ldexp(values, config.scale_digits + SCALE_RANGE - top - exponent)
        inexact = np.argwhere(units != np.rint(units))
        if len(inexact):
            where = tuple(inexact[0].tolist())
            raise ValueError(f"scale_digits must hold all alphas and offsets of qweight, not {config.scale_digits} for "
                             f"{values[where].item()!r} of row {where[0]}, group {where[1]}")
        return units.astype(np.int64)

    column = np.ldexp(np.float32(1), top[:, 0, 0]).astype(np.float32)
    return Scales(whole(scales), exponent.astype(np.int64), column, None if offset is None else whole(offset))


def check_operands(qweight: QuantizedWeight, config: BcqConfig, x: np.ndarray | None = None) -> None:
    """Refuse, with an error that names the rule, operands that an engine of this config cannot take."""
    for name, value, kind in (("config", config, BcqConfig), ("qweight", qweight, QuantizedWeight)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
    if qweight.group_size != config.group_size:
        raise ValueError(f"qweight.group_size must be the config's {config.group_size}, not {qweight.group_size}")
    if config.passes(qweight) > config.planes:
        raise ValueError(f"planes must be at least {config.passes(qweight)} for {qweight.bits} bits"
                         f"{' and an offset' if config.passes(qweight) > qweight.bits else ''}, not {config.planes}")
    if qweight.shape[1] > config.max_k:
        raise ValueError(f"K must be at most max_k {config.max_k}, not {qweight.shape[1]}")
    column = scale_fields(qweight, config).column
    if not np.all(np.isfinite(column) & (column >= np.finfo(np.float32).tiny)):
        raise ValueError("qweight.alpha and offset must be within binary32's normal range")
    if x is not None:
        check_binary16(x, qweight.shape[1])
