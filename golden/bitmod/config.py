# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a BitMoD engine, the widths and latencies that follow from them, and the checks of its operands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from ..alignment import EXPONENT_BITS, MANTISSA_BITS, check_binary16
from ..config import EngineConfig, Work, chunk_skew, conversion_stages
from ..parameters import check_choice, check_integer
from ..schedule import GroupSchedule, Schedule, Timing
from ..streams import BINARY16, BINARY32, Field, Number, signed, unsigned
from .formats import DEFAULT_SPECIAL_VALUES, Format, max_partial, two_terms
from .quantizer import QuantizedWeight

__all__ = ["BitModConfig", "check_activations", "check_weight"]

LARGEST_SPECIAL_VALUE = 8 + 16
"""Both terms of a special value at their largest."""
ALIGN_STAGES, MAC_STAGES = 2, 3
"""Cycles from an activation to its aligned form, and from there to the group's sum."""
FORMAT_BITS, SELECTOR_BITS = 3, 2
DENSE_SPECIAL_MAGNITUDES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16)
"""What an element of the dense form can select in formats with special values."""
DENSE_EDGE_STAGES, DENSE_MAC_STAGES, DENSE_SUM_STAGES = 4, 3, 5
"""Cycles from a beat to its multiples, from there to the group's sum, and from a visit to the sum over groups."""
DENSE_READ_STAGE = 2
"""The cycle of a visit in which the row's earlier sum is read."""
MAX_K = 2**20
"""Longest reduction that the engine's counters and exponents are checked for."""


@dataclass(frozen=True)
class BitModConfig(EngineConfig):
    """Parameters of a BitMoD engine: one object for golden model, packer and RTL.

    Parameters
    ----------
    rows, cols : int
        Tokens and output channels of a tile, at least 1.
    lanes : int
        Elements of K per beat; divides ``group_size``.
    group_size : 32, 64, 128 or 256
        Weights along K that share a scale.
    scale_bits : 2 to 8
        Bits of a group's unsigned scale code; the dequantizer takes one per cycle.
    formats : tuple of Format
        The formats this engine takes. Fewer formats make narrower codes and accumulators.
    guard_bits : 0 to 13
        Bits kept below the significand of an aligned activation.
    output : "float32" or "float16"
    drain : int
        Results per beat on ``outputs``; divides ``cols``.
    max_k : int
        Longest reduction; bounds the window of the cross-group sum.
    special_fp3, special_fp4 : four integers
        Reset contents of the special-value registers in selector order, in code points (FP4 in half units).
    dequant_chunk : int or None
        Chunk of the dequantizer's shift-accumulator in bits; None: a single adder.
    sum_stages : 1 to 6
        Pipeline stages of the cross-group adder.
    output_stages : 3 to 26
        Pipeline stages of the output scaler.
    form : "serial" or "dense"
        Of the array: two or more terms a weight and a dequantizer an element, or a weight of up to four bits a cycle and a
        dequantizer a column (docs/bitmod.md). The dense one has no use for ``dequant_chunk`` and ``sum_stages``.
    exponents : "given" or "found"
        Where the dense form has the exponent of a row's group from: ``activations``, or a buffer of a group that finds it.
    dequantizers : 1 or 2
        Of a column of the dense form; the second one halves the shortest distance of group ends, for short groups.
    """

    rows: int = 8
    cols: int = 8
    lanes: int = 4
    group_size: int = 128
    scale_bits: int = 8
    formats: tuple[Format, ...] = tuple(Format)
    guard_bits: int = 4
    output: str = "float32"
    drain: int = 2
    max_k: int = 16384
    special_fp3: tuple[int, int, int, int] = DEFAULT_SPECIAL_VALUES[Format.FP3]
    special_fp4: tuple[int, int, int, int] = DEFAULT_SPECIAL_VALUES[Format.FP4]
    dequant_chunk: int | None = 20
    sum_stages: int = 5
    output_stages: int = 4
    form: str = "serial"
    dequantizers: int = 1
    exponents: str = "given"

    tile_flags = ("nonfinite",)

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "lanes", "drain", "max_k"):
            check_integer(name, getattr(self, name), 1)
        check_integer("group_size", self.group_size)
        check_choice("group_size", self.group_size, (32, 64, 128, 256), "32, 64, 128 or 256")
        if self.group_size % self.lanes:
            raise ValueError(f"lanes must divide group_size {self.group_size}, not be {self.lanes!r}")
        check_integer("scale_bits", self.scale_bits, 2, 8)
        check_integer("guard_bits", self.guard_bits, 0, 13)
        self._check_drain()
        check_choice("output", self.output, ("float32", "float16"), "'float32' or 'float16'")
        check_integer("dequant_chunk", self.dequant_chunk, 1, rule="None or at least 1", optional=True)
        check_choice("form", self.form, ("serial", "dense"), "'serial' or 'dense'")
        check_choice("exponents", self.exponents, ("given", "found") if self.is_dense else ("given",),
                     "'given' or 'found'" if self.is_dense else "'given' without form 'dense'")
        check_integer("dequantizers", self.dequantizers)
        check_choice("dequantizers", self.dequantizers, (1, 2) if self.is_dense else (1,),
                     "1 or 2" if self.is_dense else "1 without form 'dense'")
        self._check_formats()
        check_integer("max_k", self.max_k, None, MAX_K, rule=f"at most {MAX_K}")
        if self.is_dense and self.sum_bits > 54:
            raise ValueError(
                f"max_k must be less, so that a sum over groups of form 'dense' has at most 54 bits, not {self.sum_bits}")
        check_integer("sum_stages", self.sum_stages, 1, 6)
        check_integer("output_stages", self.output_stages, 3, 26)

    def _check_formats(self) -> None:
        if isinstance(self.formats, str) or not isinstance(self.formats, Sequence):
            raise TypeError(f"formats must be a sequence of formats, not {self.formats!r}")
        names = [f.name if isinstance(f, Format) else str(f).upper() for f in self.formats]
        if not names or len(set(names)) != len(names) or not set(names) <= set(Format.__members__):
            known = ", ".join(Format.__members__)
            raise ValueError(f"formats must name at least one of {known}, each once, not {self.formats!r}")
        object.__setattr__(self, "formats", tuple(Format[name] for name in names))
        for name in ("special_fp3", "special_fp4"):
            values = getattr(self, name)
            if not isinstance(values, Sequence) or not all(isinstance(value, int) for value in values) or len(values) != 4:
                raise ValueError(f"{name} must be four integers, not {values!r}")
            for value in values:
                try:
                    two_terms(value)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
                if self.is_dense and abs(value) not in DENSE_SPECIAL_MAGNITUDES:
                    raise ValueError(f"{name} of form 'dense' must have magnitudes of {DENSE_SPECIAL_MAGNITUDES}, not {value}")
            object.__setattr__(self, name, tuple(values))

    @property
    def is_dense(self) -> bool:
        """Whether the array has the dense form."""
        return self.form == "dense"

    def terms_of(self, fmt: Format) -> int:
        """Cycles that a beat of the format takes: those of its terms, or of its hexadecimal digits."""
        return ceil(fmt.bits / 4) if self.is_dense else fmt.terms

    @property
    def special_values(self) -> dict[Format, tuple[int, int, int, int]]:
        """Contents of the special-value registers by format."""
        return {Format.FP3: self.special_fp3, Format.FP4: self.special_fp4}

    @property
    def float_formats(self) -> tuple[Format, ...]:
        """The formats of this engine that have special values."""
        return tuple(fmt for fmt in (Format.FP3, Format.FP4) if fmt in self.formats)

    @property
    def formats_taken(self) -> Mapping[int, Work]:
        """Those of ``formats``."""
        return {fmt.value: Work(fmt.name, self.terms_of(fmt)) for fmt in self.formats}

    @property
    def first_of_group(self) -> tuple[str, ...]:
        """Selectors, if a format has special values."""
        return ("selectors",) if self.float_formats else ()

    def stored_code(self, fmt: int) -> tuple[int, bool]:
        """The format's own bits; integers are signed."""
        return Format(fmt).bits, not Format(fmt).is_float

    @property
    def streams(self) -> Mapping[str, Sequence[Field]]:
        """Payload of each stream.

        Codes are [cols][lanes]; selectors matter in a group's first beat only, and are there if a format has special values.
        A group has a scale code, a column a channel scale. In the dense form a row's exponent of a group comes with the group's
        first beat, if it is given.
        """
        last, cols, lanes = Field("last"), self.cols, self.lanes
        output = BINARY32 if self.output == "float32" else BINARY16
        return {
            "weights": (
                Field("codes", self.code_bits, (cols, lanes)),
                *([Field("selectors", SELECTOR_BITS, cols)] if self.float_formats else []),
                Field("format", unsigned(FORMAT_BITS, Format)),
                last,
            ),
            "activations": (
                Field("data", BINARY16, (self.rows, lanes)),
                *([Field("exponents", EXPONENT_BITS, self.rows)] if self.is_dense and self.exponents == "given" else []),
                last,
            ),
            "scales": (Field("codes", self.scale_bits, cols), last),
            "constants": (Field("columns", BINARY32, cols),),
            "outputs": (Field("data", output, self.drain), Field("nonfinite"), Field("overflow"), last),
        }

    @property
    def code_bits(self) -> int:
        """Width of a weight's slot on the ``weights`` stream: that of the widest format."""
        return max(fmt.bits for fmt in self.formats)

    @property
    def group_beats(self) -> int:
        """Beats of a full group."""
        return self.group_size // self.lanes

    @property
    def aligned_bits(self) -> int:
        """Width of an aligned activation, two's complement."""
        return MANTISSA_BITS + self.guard_bits + 1

    @property
    def max_aligned(self) -> int:
        """Largest magnitude of an aligned activation."""
        return (2**MANTISSA_BITS - 1) << self.guard_bits

    @property
    def accumulator_bits(self) -> int:
        """Width of a group's partial sum: it cannot overflow, whatever the codes."""
        # A register may be written with any value that has two terms, and its low term alone is smaller.
        largest = max(LARGEST_SPECIAL_VALUE if fmt.is_float else max_partial(fmt) for fmt in self.formats)
        return (self.max_aligned * largest * self.group_size).bit_length() + 1

    @property
    def product_bits(self) -> int:
        """Width of a dequantized group sum, exact."""
        return self.accumulator_bits + self.scale_bits

    @property
    def sum_bits(self) -> int:
        """Width of the dense form's sum over groups, in fixed point: it cannot overflow."""
        return self.product_bits + (self.max_groups - 1).bit_length()

    @property
    def result(self) -> Number | tuple[Field, ...]:
        """A binary32 sum; in the dense form one in fixed point, and the exponent of its unit."""
        return (Field("sum", signed(self.sum_bits)), Field("exponent", EXPONENT_BITS)) if self.is_dense else BINARY32

    @property
    def conversion_stages(self) -> int:
        """Cycles in which the dense form makes a sum over groups a binary32 number."""
        return conversion_stages(self.sum_bits)

    @property
    def exponent_bias(self) -> int:
        """A group's product ``p`` at alignment E stands for ``p * 2**(E + exponent_bias)``."""
        return -25 - self.guard_bits

    @property
    def max_groups(self) -> int:
        """Most groups that a cross-group sum takes."""
        return ceil(self.max_k / self.group_size)

    @property
    def dequant_cycles(self) -> int:
        """Cycles of a bit-serial dequantization, the skew of its chunks included."""
        return self.scale_bits + chunk_skew(self.product_bits, self.dequant_chunk)

    @property
    def timing(self) -> Timing:
        """Latencies of the engine.

        Group ends keep a distance: the dequantizers' results are visited row by row before the next ones replace them, a
        column's scale register is empty before the next code enters it, and a row's sum is written before it is read again.
        """
        if self.is_dense:
            capture = DENSE_EDGE_STAGES + DENSE_MAC_STAGES
            return Timing(
                interval=max(ceil(self.rows / self.dequantizers), DENSE_SUM_STAGES - DENSE_READ_STAGE + 1),
                result=capture + 1 + DENSE_SUM_STAGES + 2,
                output=self.conversion_stages + self.output_stages,
                drain_beats=self.drain_beats,
                edge=3 + (self.lanes - 1).bit_length() // 2 if self.exponents == "found" else 0,
                gathers=self.exponents == "found",
            )
        capture = ALIGN_STAGES + MAC_STAGES + 1
        return Timing(
            interval=max(self.dequant_cycles + self.rows - 1, capture + self.scale_bits - 1, self.sum_stages + 1),
            result=capture + self.dequant_cycles + self.sum_stages + 1,
            output=self.output_stages,
            drain_beats=self.drain_beats,
        )

    def schedule(self, qweight: QuantizedWeight, activations: object = None) -> Schedule:
        """The groups of one tile. The activations do not matter to this scheme."""
        check_weight(qweight, self)
        k = qweight.shape[1]
        groups = []
        for index, fmt in enumerate(map(Format, qweight.group_formats)):
            elements = min(self.group_size, k - index * self.group_size)
            groups.append(GroupSchedule(elements, ceil(elements / self.lanes), self.terms_of(fmt)))
        return Schedule(tuple(groups))


def check_weight(qweight: QuantizedWeight, config: BitModConfig) -> None:
    """Refuse, with a ValueError that names the rule, a weight that an engine of this config cannot take."""
    if not isinstance(config, BitModConfig):
        raise TypeError(f"config must be a BitModConfig, not {config!r}")
    scale_codes, scales = qweight.second_level
    if qweight.scale_bits != config.scale_bits:
        raise ValueError(f"qweight.scale_bits must be the config's {config.scale_bits}, not {qweight.scale_bits!r}")
    if qweight.group_size != config.group_size:
        raise ValueError(f"qweight.group_size must be the config's {config.group_size}, not {qweight.group_size!r}")
    if qweight.shape[1] > config.max_k:
        raise ValueError(f"K must be at most max_k {config.max_k}, not {qweight.shape[1]}")
    for fmt in map(Format, np.unique(qweight.group_formats)):
        if fmt not in config.formats:
            raise ValueError(f"qweight's format {fmt.name} must be one of the config's {[f.name for f in config.formats]}")
        if fmt.is_float and tuple(qweight.special_values[fmt]) != config.special_values[fmt]:
            raise ValueError(
                f"qweight.special_values of {fmt.name} must be the config's {config.special_values[fmt]}, "
                f"not {tuple(qweight.special_values[fmt])}"
            )
    if scale_codes.max() >= 1 << config.scale_bits:
        raise ValueError(f"qweight.scale_codes must fit {config.scale_bits} bits, not reach {scale_codes.max()}")
    if qweight.selectors.max() > 3:
        raise ValueError(f"qweight.selectors must be 0 to 3, not reach {qweight.selectors.max()}")
    if not np.all(np.isfinite(scales) & (scales >= np.finfo(np.float32).tiny)):
        raise ValueError("qweight.channel_scales must be positive normal float32 numbers")


def check_activations(x: np.ndarray, k: int | None = None) -> np.ndarray:
    """Return x as float16 [M, K]; a wider input is refused, since its rounding is the caller's decision."""
    return check_binary16(x, k, "x")
