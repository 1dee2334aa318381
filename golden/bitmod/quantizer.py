# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's weight quantizer, equal to the authors' float16 arithmetic to the bit.

Every operator rounds to binary16 as in the published code: a quantizer in wider arithmetic picks other codes for about
1 weight in 2000 and other special values for up to a quarter of the groups. What is stored per group (selector, scale)
and the second-level scale are the hardware's own packing.
"""

import difflib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .formats import DEFAULT_SPECIAL_VALUES, Format, code_points, decode, encode, two_terms
from .search import LARGEST, best_special_values

__all__ = ["FORMATS", "GROUP_SIZES", "QuantizedWeight", "from_integers", "losses", "prescale_for", "quantize",
           "values_of"]

GROUP_SIZES = (32, 64, 128, 256)
"""Group sizes that the quantizer accepts."""

_SELECTORS = ("er-pos", "er-neg", "ea-pos", "ea-neg")
_INTEGERS = {fmt.name.lower(): fmt for fmt in Format if not fmt.is_float}
_FLOATS = {fmt.name.lower(): fmt for fmt in Format if fmt.is_float}

_CANDIDATES = {
    **{name: (fmt, (None,)) for name, fmt in (_INTEGERS | _FLOATS).items()},
    **{f"bitmod-{name}": (fmt, (0, 1, 2, 3)) for name, fmt in _FLOATS.items()},
    **{f"{name}-{kind}": (fmt, (selector,))
       for name, fmt in _FLOATS.items() for selector, kind in enumerate(_SELECTORS)},
}

FORMATS = tuple(_CANDIDATES)
"""Names that `quantize` takes: plain types, ``bitmod-*`` (special value chosen per group) and fixed special values."""

_SCALE_MIN, _SCALE_MAX = np.float16(1e-5), np.float16(1e4)
_WORST_ERROR = np.float16(1e3)


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight matrix in BitMoD's formats, by groups along K.

    Attributes
    ----------
    group_fmts : tuple of str, length groups
        Name of each group's type, one of `FORMATS`.
    codes : uint8 [N, K]
        The stored bits.
    values : int16 [N, K]
        The integer code points: what the hardware multiplies.
    scales : float16 [N, groups]
        First-level scales for `values`; a group that no type represents has all-zero codes and the smallest scale.
    selectors : uint8 [N, groups]
        Which special value a group uses, 0 where its type has none.
    scale_codes : uint8 [N, groups] or None
        Second level: the group's scale in units of its row's channel scale.
    channel_scales : float32 [N] or None
        Second level: one scale for each output channel.
    group_size : int
        Weights in a group; the last group of a row may be shorter.
    scale_bits : int or None
        Width of `scale_codes`; None without second level.
    special_values : dict of Format to tuple of int
        The special-value registers in selector order, for each floating-point format that occurs.
    prescale : int
        The weight was multiplied by ``2**prescale`` first: `scales` are of the product, `channel_scales` of the weight itself.
    """

    group_fmts: tuple[str, ...]
    codes: np.ndarray
    values: np.ndarray
    scales: np.ndarray
    selectors: np.ndarray
    scale_codes: np.ndarray | None
    channel_scales: np.ndarray | None
    group_size: int
    scale_bits: int | None
    special_values: dict[Format, tuple[int, ...]]
    prescale: int = 0

    def __post_init__(self) -> None:
        rows, groups = self.scales.shape
        if len(self.group_fmts) != groups or groups != -(-self.values.shape[1] // self.group_size):
            raise ValueError(f"group_fmts and scales must have one entry for each group of {self.group_size!r} in "
                             f"{self.values.shape[1]!r} columns, not {len(self.group_fmts)!r} and {groups!r}")
        for name, shape in {"codes": self.values.shape, "selectors": (rows, groups), "scale_codes": (rows, groups),
                            "channel_scales": (rows,)}.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} must have the shape {shape!r}, not {array.shape!r}")

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.values.shape

    @property
    def fmt(self) -> str:
        """Name of the type, or ``mixed`` when groups differ."""
        return self.group_fmts[0] if len(set(self.group_fmts)) == 1 else "mixed"

    @property
    def group_formats(self) -> np.ndarray:
        """`Format` code of each group, uint8 [groups]."""
        return np.array([_CANDIDATES[name][0] for name in self.group_fmts], np.uint8)

    @property
    def format(self) -> Format:
        """The `Format` of all groups; ValueError when groups differ."""
        formats = set(self.group_formats.tolist())
        if len(formats) != 1:
            raise ValueError(f"groups must have one format, not {[Format(code).name for code in sorted(formats)]!r}")
        return Format(formats.pop())

    @property
    def group_lengths(self) -> np.ndarray:
        """Weights of a row in each group, int64 [groups]: all `group_size` but perhaps the last."""
        starts = np.arange(0, self.shape[1], self.group_size)
        return np.minimum(self.shape[1] - starts, self.group_size)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits, codes and everything stored per group and per channel, for each weight."""
        codes = sum(length * Format(code).bits for length, code in zip(self.group_lengths, self.group_formats))
        selectors = sum(2 for name in self.group_fmts if name.startswith("bitmod-"))
        scales = (self.scale_bits or 16) * len(self.group_fmts)
        return float(codes + selectors + scales + (32 if self.scale_bits else 0)) / self.shape[1]

    @property
    def second_level(self) -> tuple[np.ndarray, np.ndarray]:
        """`scale_codes` and `channel_scales`; ValueError for a weight that has none."""
        if self.scale_codes is None or self.channel_scales is None:
            raise ValueError("qweight must have second-level scales (scale_bits 2 to 8), not scale_bits=None")
        return self.scale_codes, self.channel_scales

    def dequantize(self) -> np.ndarray:
        """Return float32 [N, K].

        Without second level the product of value and scale is rounded to float16, as the authors do; with it the
        product of value, scale code and channel scale is rounded once, to float32.
        """
        if self.scale_bits is None:
            with np.errstate(over="ignore"):  # the largest float16 weights may round up to infinity; so do the authors'
                return (self.values.astype(np.float16) * self._spread(self.scales)).astype(np.float32)
        scale_codes, channel_scales = self.second_level
        products = self.values.astype(np.float32) * self._spread(scale_codes)  # exact: below 2**15
        return products * channel_scales[:, None]

    def _spread(self, groups):
        """Repeat per-group data for each weight."""
        return np.repeat(groups, self.group_size, axis=1)[:, :self.shape[1]]

    @classmethod
    def concatenate(cls, parts: "Iterable[QuantizedWeight]") -> "QuantizedWeight":
        """Join quantized weights along K, whose types may differ from group to group.

        Channel scales and scale codes are computed anew over the joined row.

        Parameters
        ----------
        parts : sequence of QuantizedWeight
            With equal N, group_size, scale_bits and special values for each format; all but the last of whole groups.
        """
        parts = list(parts)
        if not parts:
            raise ValueError("parts must hold at least one quantized weight, not none")
        _common("N", (part.shape[0] for part in parts))
        group_size = _common("group_size", (part.group_size for part in parts))
        scale_bits = _common("scale_bits", (part.scale_bits for part in parts))
        prescale = _common("prescale", (part.prescale for part in parts))
        special_values = {}
        for fmt, registers in (item for part in parts for item in part.special_values.items()):
            _common(f"special_values of {fmt.name}", (special_values.setdefault(fmt, registers), registers))
        if any(part.shape[1] % group_size for part in parts[:-1]):
            raise ValueError(f"parts before the last must have whole groups of {group_size!r}, not K = "
                             f"{[part.shape[1] for part in parts]!r}")
        joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts], axis=1)
                  for name in ("codes", "values", "scales", "selectors")}
        return cls(**joined, **_second_level(joined["scales"], scale_bits, prescale), group_size=group_size,
                   group_fmts=sum((part.group_fmts for part in parts), ()), special_values=special_values)


def quantize(weight: np.ndarray, fmt: str, group_size: int = 128, scale_bits: int | None = 8,
             special_values: Mapping[Format, Sequence[int]] | None = None, prescale: int = 0) -> QuantizedWeight:
    """Quantize a weight matrix to a BitMoD type.

    Parameters
    ----------
    weight : float array [N, K]
        Rows are output channels. Anything wider than float16 is rounded to float16 first.
    fmt : str
        One of `FORMATS`. ``bitmod-fp3`` and ``bitmod-fp4`` choose the special value that gives each group the smallest
        mean squared error, as computed in float16; the first one wins a tie.
    group_size : 32, 64, 128 or 256
        Consecutive weights of a row that share a scale; the last group of a row may be shorter.
    scale_bits : 2..8 or None
        Width of the unsigned second-level scale. None keeps the float16 scales, exactly the authors' quantizer.
    special_values : mapping of Format to 4 int, optional
        Contents of the special-value registers in the order er_pos, er_neg, ea_pos, ea_neg, for the formats that
        differ from `DEFAULT_SPECIAL_VALUES`.
    prescale : int, optional
        Multiply the weight by ``2**prescale`` first, exactly, and divide the channel scales by it: for a weight that binary16
        cannot hold (:func:`prescale_for`). Needs the second level.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    TypeError, ValueError
        For a weight that is no finite, non-empty float matrix within float16's range, or an unknown argument.

    Notes
    -----
    Procedure of the published code (``quant_datatype``, ``search_datatype``). A group that every candidate represents
    with a mean squared error of 1000 or more comes out as zeros, exactly like a group of zeros.
    """
    number_format, candidates = _candidates(fmt)
    registers = _registers(number_format, special_values)
    _check_group_size(group_size)
    _check_scale_bits(scale_bits)
    if prescale and scale_bits is None:
        raise ValueError("prescale needs channel scales, scale_bits 2 to 8, which take it back")
    groups = split_groups(_float16(np.ldexp(weight, prescale) if prescale else weight), group_size)
    rows, columns = np.shape(weight)
    lengths = np.minimum(columns - np.arange(0, columns, group_size), group_size)

    peak = (groups.view(np.uint16) & 0x7FFF).max(axis=-1).view(np.float16)  # bits of magnitudes sort like them, and fast
    if len(candidates) == 1:
        selectors = np.full(peak.shape, candidates[0] or 0, np.uint8)
        values, scales = round_groups(groups, peak, number_format, _pick(registers, candidates[0]))
        codes = encode(values, number_format, candidates[0] or 0, registers)
    else:
        values, codes, scales, selectors = _search(groups, peak, lengths, number_format, registers)

    values, codes = (array.reshape(rows, -1)[:, :columns] for array in (values, codes))
    return QuantizedWeight(
        group_fmts=(fmt,) * len(lengths), codes=codes, values=values,
        scales=scales, selectors=selectors, **_second_level(scales, scale_bits, prescale),
        group_size=group_size, special_values={number_format: registers} if registers else {})


def _search(groups, peak, lengths, number_format, registers):
    """Choose each group's special value: the first of the smallest float16 errors, none at or above 1000."""
    values, codes = np.empty(groups.shape, np.int16), np.empty(groups.shape, np.uint8)
    scales, selectors = np.empty(peak.shape, np.float16), np.empty(peak.shape, np.uint8)
    lengths = np.broadcast_to(lengths, peak.shape)
    usual = peak <= LARGEST
    if usual.any():
        part = slice(None) if usual.all() else usual  # all: without a copy
        flat = groups[part].reshape(-1, groups.shape[-1])
        choices = np.array([scales_of(peak[part].ravel(), number_format, value) for value in registers])
        *found, chosen = best_special_values(flat, choices, lengths[part].ravel(), number_format, registers, mean_of)
        values[part], codes[part] = (array.reshape(groups[part].shape) for array in found)
        scales[part] = choices[chosen, np.arange(len(chosen))].reshape(peak[part].shape)
        selectors[part] = chosen.reshape(peak[part].shape)
    if not usual.all():
        part = ~usual
        values[part], scales[part], selectors[part] = _search_plainly(
            groups[part], peak[part], lengths[part], number_format, registers)
        codes[part] = encode(values[part], number_format, selectors[part][:, None], registers)
    return values, codes, scales, selectors


def _search_plainly(groups, peak, lengths, number_format, registers):
    """What :func:`_search` does, in float16 arithmetic, for groups of any magnitude."""
    best = np.full(peak.shape, _WORST_ERROR)
    values = np.zeros(groups.shape, np.int16)
    scales = np.full(peak.shape, _SCALE_MIN)
    selectors = np.zeros(peak.shape, np.uint8)
    for selector, special_value in enumerate(registers):
        candidate, candidate_scales = round_groups(groups, peak, number_format, special_value)
        error = mean_squared_error(groups, candidate, candidate_scales, lengths)
        better = error < best
        best[better] = error[better]
        values[better] = candidate[better]
        scales[better] = candidate_scales[better]
        selectors[better] = selector
    return values, scales, selectors


def scales_of(peak, number_format, special_value):
    """Float16 scales of groups, by their largest magnitudes."""
    return np.clip(peak / _rounding_table(number_format, special_value)[1], _SCALE_MIN, _SCALE_MAX)


def round_groups(groups, peak, number_format, special_value):
    """Quantize groups with one set of code points; returns int16 values and float16 scales."""
    table, _ = _rounding_table(number_format, special_value)
    scales = scales_of(peak, number_format, special_value)
    return table[(groups / scales[..., None]).view(np.uint16)], scales


@functools.cache
def _rounding_table(number_format, special_value):
    """Nearest code point of each of the 65536 float16 quotients, and the largest code point as float16.

    Integers round half to even, the floating-point types half towards minus infinity. The most negative integer is
    never used.
    """
    quotients = np.nan_to_num(np.arange(1 << 16, dtype=np.uint16).view(np.float16)).astype(np.float32)
    if number_format.is_float:
        points = np.unique(code_points(number_format, special_value))
        table = points[np.searchsorted((points[1:] + points[:-1]) / 2, quotients, side="left")]
        largest = np.abs(points).max()
    else:
        largest = (1 << (number_format.bits - 1)) - 1
        table = np.clip(np.rint(quotients), -largest, largest)
    return table.astype(np.int16), np.float16(largest)


def mean_squared_error(groups, values, scales, lengths):
    """Mean squared error of groups [..., G] in float16 with the published code's roundings: of difference and square."""
    with np.errstate(over="ignore"):  # an infinite error is a candidate that loses
        return mean_of(np.square(values.astype(np.float16) * scales[..., None] - groups).astype(np.float32), lengths)


def mean_of(squares, lengths):
    """Mean of float32 [..., G] along the last axis, as float16.

    PyTorch's mean over a contiguous axis sums in float32: 32 running sums over every 32nd element, which are added as four
    vectors of eight and then one by one.
    """
    partial = np.moveaxis(squares.reshape(*squares.shape[:-1], -1, 4, 8), (-3, -2, -1), (0, 1, 2))
    for _ in range(3):
        partial = functools.reduce(np.add, partial)
    with np.errstate(over="ignore"):
        return (partial / lengths.astype(np.float32)).astype(np.float16)


def from_integers(values: np.ndarray, fmt: str, scales: np.ndarray, group_size: int = 128, scale_bits: int = 8,
                  special_values: Mapping[Format, Sequence[int]] | None = None) -> QuantizedWeight:
    """Take code points that are quantized already.

    Parameters
    ----------
    values : integer array [N, K]
    fmt : str
        An integer type of `FORMATS` that holds them, the most negative one included; or ``fp3``, ``fp4``, without using special
        values.
    scales : float32 [N, groups]
        Positive, or zero for a group of zeros. Where each row's are multiples, up to ``2**scale_bits - 1``, of one number, they
        are taken exactly; else a row's are rounded to ``2**scale_bits - 1`` steps of its largest, as :func:`quantize` does.
    group_size, scale_bits, special_values
        As for :func:`quantize`.
    """
    known = _INTEGERS | _FLOATS
    if fmt not in known:
        raise ValueError(f"fmt must be one of {', '.join(known)}, not {fmt!r}")
    number_format = known[fmt]
    registers = _registers(number_format, special_values)
    _check_group_size(group_size)
    _check_scale_bits(scale_bits)
    values = np.asarray(values, np.int16)
    rounded, (units, multiples) = _second_level(np.maximum(scales, np.float32(1e-30)), scale_bits), _units(scales)
    exact = multiples.max(axis=1) < 1 << scale_bits
    with np.errstate(over="ignore"):
        first_level = scales.astype(np.float16)
    return QuantizedWeight(
        group_fmts=(fmt,) * scales.shape[1], codes=encode(values, number_format), values=values, scales=first_level,
        selectors=np.zeros(scales.shape, np.uint8),
        scale_codes=np.where(exact[:, None], multiples, rounded["scale_codes"]).astype(np.uint8),
        channel_scales=np.where(exact, units, rounded["channel_scales"]), group_size=group_size, scale_bits=scale_bits,
        special_values={number_format: registers} if registers else {})


def values_of(codes: np.ndarray, group_fmts: Sequence[str], selectors: np.ndarray, group_size: int,
              special_values: Mapping[Format, Sequence[int]]) -> np.ndarray:
    """The code points int16 [N, K] of codes; arguments are fields of `QuantizedWeight`."""
    formats = np.repeat([_CANDIDATES[name][0] for name in group_fmts], group_size)[:codes.shape[1]]
    spread = np.repeat(selectors, group_size, axis=1)[:, :codes.shape[1]]
    values = np.empty(codes.shape, np.int16)
    for fmt in map(Format, np.unique(formats)):
        of_format = formats == fmt
        values[:, of_format] = decode(codes[:, of_format], fmt, spread[:, of_format], special_values.get(fmt))
    return values


def _units(scales):
    """The largest number that divides all scales of a row, float32 [N], and the quotients int64 [N, groups]."""
    mantissas, exponents = np.frexp(scales.astype(np.float64))
    least = np.where(scales > 0, exponents, 1 << 20).min(axis=1, keepdims=True)
    integers = (mantissas * 2.0**24).astype(np.int64) << np.clip(exponents - least, 0, 38)  # beyond: never within 8 bits
    common = np.gcd.reduce(integers, axis=1)
    empty = common == 0
    units = np.ldexp(common.astype(np.float64), np.where(empty, 24, least[:, 0]) - 24).astype(np.float32)
    return np.where(empty, np.float32(1), units), integers // np.maximum(common, 1)[:, None]


def prescale_for(weight: np.ndarray) -> int:
    """The exponent that brings a weight's largest magnitude to 16..32, where errors and scales are well within binary16."""
    largest = float(np.abs(weight).max())
    return 5 - int(np.frexp(largest)[1]) if largest else 0


def losses(weight: np.ndarray, qweight: QuantizedWeight) -> list[str]:
    """What the ranges of binary16 and of the scale codes spoil; a line each, nothing for a usual weight."""
    padded = np.pad(weight, ((0, 0), (0, -weight.shape[1] % qweight.group_size)))
    used = np.abs(padded).reshape(*qweight.scales.shape, -1).max(axis=2) > 0
    scales = qweight.scales
    values = np.pad(qweight.values, ((0, 0), (0, -weight.shape[1] % qweight.group_size)))
    empty = ~values.reshape(*qweight.scales.shape, -1).any(axis=2)
    smallest, subnormal = scales <= _SCALE_MIN, scales < np.finfo(np.float16).tiny
    counts = {
        f"scales end at {_SCALE_MIN:.0e}, the smallest that the published quantizer takes": used & ~empty & smallest,
        "scales are subnormal in binary16, with fewer digits": used & subnormal & ~smallest,
        f"scales end at {_SCALE_MAX:.0e}, the largest that the published quantizer takes": used & (scales >= _SCALE_MAX),
        "groups become zeros, since no value or error of theirs is within binary16": used & empty,
    }
    hint = "" if qweight.prescale else " (--prescale helps)"
    lines = [f"{mask.sum()} of {used.sum()} {what}{hint}" for what, mask in counts.items() if mask.any()]
    if qweight.scale_codes is not None:
        lost = used & ~empty & (qweight.scale_codes == 0)
        if lost.any():
            lines.append(f"{lost.sum()} of {used.sum()} groups are lost beside a far larger one of their row: scale code 0")
    return lines


def _second_level(scales, scale_bits, prescale=0) -> dict[str, Any]:
    """Scale codes and channel scales, as `QuantizedWeight` fields, from group scales."""
    if scale_bits is None:
        return {"scale_codes": None, "channel_scales": None, "scale_bits": None}
    largest = (1 << scale_bits) - 1
    scales = scales.astype(np.float32)
    channel_scales = scales.max(axis=1) / np.float32(largest)
    codes = np.clip(np.rint(scales / channel_scales[:, None]), 0, largest).astype(np.uint8)
    return {"scale_codes": codes, "channel_scales": np.ldexp(channel_scales, -prescale), "scale_bits": scale_bits,
            **({"prescale": prescale} if prescale else {})}


def split_groups(weight, group_size):
    """View a float16 matrix as [N, groups, group_size]; zeros fill the last group and change nothing in it."""
    padded = np.pad(weight, ((0, 0), (0, -weight.shape[1] % group_size)))
    return padded.reshape(len(weight), -1, group_size)


def _float16(weight):
    """Check a weight matrix and round it to float16."""
    weight = np.asarray(weight)
    if not np.issubdtype(weight.dtype, np.floating):
        raise TypeError(f"weight must be an array of floats, not {weight.dtype.name!r}")
    if weight.ndim != 2 or not weight.size:
        raise ValueError(f"weight must be a non-empty matrix [N, K], not an array of shape {weight.shape!r}")
    with np.errstate(over="ignore"):
        rounded = weight.astype(np.float16)
    if (rounded.view(np.uint16) & 0x7FFF).max() >= 0x7C00:
        row, column = (int(index) for index in np.argwhere(~np.isfinite(rounded))[0])
        raise ValueError(f"weight must be finite and within float16's +-65504, not {float(weight[row, column])!r} "
                         f"at [{row}, {column}]")
    return rounded


def _candidates(fmt):
    """Format and candidate selectors of a type name."""
    if not isinstance(fmt, str):
        raise TypeError(f"fmt must be a string, not {fmt!r}")
    if fmt not in _CANDIDATES:
        near = difflib.get_close_matches(fmt, FORMATS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"fmt must be one of {', '.join(FORMATS)}, not {fmt!r}{hint}")
    return _CANDIDATES[fmt]


def _registers(number_format, special_values):
    """Special values of a format, each one that the hardware can multiply by; None for integers."""
    if not number_format.is_float:
        return None
    registers = tuple(int(value) for value in {**DEFAULT_SPECIAL_VALUES, **(special_values or {})}[number_format])
    if len(registers) != len(_SELECTORS):
        raise ValueError(f"special_values of {number_format.name} must be {len(_SELECTORS)} numbers, not {registers!r}")
    for value in registers:
        two_terms(value)  # raises for a value that two terms cannot make
    return registers


def _pick(registers, selector):
    """Special value of a selector; None for a type without special value."""
    return None if selector is None else registers[selector]


def _check_group_size(group_size):
    if group_size not in GROUP_SIZES:
        raise ValueError(f"group_size must be one of {GROUP_SIZES!r}, not {group_size!r}")


def _check_scale_bits(scale_bits):
    if scale_bits is not None and (isinstance(scale_bits, bool) or scale_bits not in range(2, 9)):
        raise ValueError(f"scale_bits must be None or in 2..8, not {scale_bits!r}")


def _common(name, values):
    """The one value that all parts share."""
    values = list(values)
    if any(value != values[0] for value in values):
        raise ValueError(f"parts must share one {name}, not {values!r}")
    return values[0]
