# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender's quantizers: weights by output channel, activations by channel groups whose scales are exactly a factor 2 apart.

Equal to the integers of the authors' code bit for bit, which fixes the order and the precision of every operation: bias,
maxima and scales in the dtype of the input, the division of signed data in float32, of unsigned data in the dtype of the
input. Source: Tender (ISCA 2024, arXiv 2406.12930), section III, and the code published with it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..parameters import check_choice

__all__ = [
    "BITS",
    "Calibration",
    "Decomposed",
    "QuantizedWeight",
    "check_sign",
    "check_site",
    "chunks_of",
    "counts_of",
    "decompose",
    "divide_and_round",
    "dynamic_bias",
    "finite_matrix",
    "group_index_of",
    "quantize",
]

BITS = (4, 8)
"""Widths of weights and activations."""
SMALLEST_DIVISOR = np.float32(1e-9)
"""The authors divide signed data by no scale below this one; it stays what it is everywhere else."""
MAX_GROUPS = 32


@dataclass(frozen=True, eq=False)
class QuantizedWeight:
    """A weight matrix in symmetric integers with a scale per output channel.

    Attributes
    ----------
    codes : int8 [N, K]
        Magnitudes at most ``2**(bits - 1) - 1``.
    scales : float [N], dtype of the weight
        0 for an all-zero channel.
    bits : 4 or 8
    """

    codes: np.ndarray
    scales: np.ndarray
    bits: int

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        return self.codes.shape

    @property
    def bits_per_weight(self) -> float:
        """Bits of codes and of scales, 32 each, by weight."""
        return self.bits + 32 / self.shape[1]

    def dequantize(self) -> np.ndarray:
        """Float32 [N, K]: the numbers that codes and scales stand for."""
        return (self.codes * self.scales[:, None]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Decomposed:
    """Activations of one matmul in channel groups, chunk of rows by chunk. C chunks of R rows, G groups.

    Attributes
    ----------
    xq : int16 [C, R, K]
        Integers; the rows that fill up the last chunk included, as the authors quantise them.
    group_index : int64 [C, K]
        Group of each channel in the authors' numbering: 0 has the smallest scale.
    scales : float [C, G]
        In that numbering; each exactly twice the one before. Zeros for a chunk of zeros.
    bias : float [C, K]
        Subtracted from each channel before quantization; zeros if there is none.
    bits : 4 or 8
    unsigned : bool
    rows : int
        Rows that are no filling.
    """

    xq: np.ndarray
    group_index: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    bits: int
    unsigned: bool
    rows: int

    @property
    def groups(self) -> int:
        """G."""
        return self.scales.shape[1]

    @cached_property
    def order(self) -> np.ndarray:
        """Channels in the engine's order int64 [C, K]: largest scale first, ascending inside a group."""
        return np.argsort(-self.group_index, axis=1, kind="stable")

    @cached_property
    def counts(self) -> np.ndarray:
        """Channels of each group in the engine's order int64 [C, G]: largest scale first."""
        return counts_of(self.group_index, self.groups)

    def dequantize(self) -> np.ndarray:
        """Float32 [rows, K]: the numbers that integers and scales stand for, without the bias that was subtracted."""
        scales = np.take_along_axis(self.scales, self.group_index, axis=1).astype(np.float32)
        return (self.xq * scales[:, None, :]).reshape(-1, self.xq.shape[2])[: self.rows]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """As :meth:`dequantize`."""
        return self.dequantize().astype(dtype or np.float32)

    def rows_of(self, chunk: int) -> int:
        """Rows of a chunk that are no filling."""
        return min(self.rows - chunk * self.xq.shape[1], self.xq.shape[1])


@dataclass(frozen=True, eq=False)
class Calibration:
    """Static metadata of a site: a row for each chunk of the sequence.

    Attributes
    ----------
    bias : array [C, K] or None
        Channel bias; None stands for zeros.
    tmax : array [C]
        Largest magnitude after subtraction of the bias.
    group_index : integer array [C, K]
        Group of each channel, 0 with the smallest scale.
    groups : int or None
        The number of groups it was made for, if known: :func:`decompose` then takes no other.
    """

    bias: np.ndarray | None
    tmax: np.ndarray
    group_index: np.ndarray
    groups: int | None = None

    def __post_init__(self) -> None:
        tmax, index = np.asarray(self.tmax), np.asarray(self.group_index)
        if tmax.ndim != 1 or index.ndim != 2 or len(tmax) != len(index):
            raise ValueError(f"tmax and group_index must have shapes [C] and [C, K], not {tmax.shape} and {index.shape}")
        if not np.all(np.isfinite(tmax) & (tmax >= 0)):
            raise ValueError(f"tmax must be finite and not negative, not {tmax}")
        if not np.all(index == np.floor(index)) or index.min(initial=0) < 0:
            raise ValueError("group_index must be integers from 0")
        if self.bias is not None and np.shape(self.bias) != index.shape:
            raise ValueError(f"bias must have the shape of group_index, {index.shape}, not {np.shape(self.bias)}")
        if self.groups is not None and index.max(initial=0) >= self.groups:
            raise ValueError(f"group_index must be below groups, {self.groups}, not reach {index.max()}")

    def from_chunk(self, chunk: int) -> "Calibration":
        """What applies to rows that start with a later chunk of the sequence: a decoded token stands at row // chunk_size."""
        if chunk not in range(len(self.tmax)):
            raise ValueError(f"chunk must be one of the {len(self.tmax)} calibrated, not {chunk!r}")
        bias = None if self.bias is None else self.bias[chunk:]
        return Calibration(bias, self.tmax[chunk:], self.group_index[chunk:], self.groups)


def finite_matrix(name: str, array: np.ndarray, axes: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{name} must be float16, float32 or float64, not {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} must have shape {axes} with no empty axis, not {array.shape}")
    if not np.isfinite(array).all():
        where = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"{name} must be finite, not {array[where]} at {where}")
    return array


def divide_and_round(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Values over scales, rounded half to even to integers; zero where the scale is zero."""
    with np.errstate(over="ignore"):
        quotient = np.divide(values, scales, out=np.zeros(values.shape, values.dtype), where=scales != 0)
    return np.rint(quotient)


def _quantize_signed(values: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """The authors' signed quantizer: a true division in float32; scales broadcast with the values."""
    divisor = np.where(scales == 0, np.float32(0), np.maximum(scales.astype(np.float32), SMALLEST_DIVISOR))
    integers = divide_and_round(values.astype(np.float32), np.broadcast_to(divisor, values.shape))
    return np.clip(integers, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def quantize(weight: np.ndarray, bits: int) -> QuantizedWeight:
    """Quantize a weight [N, K]: one scale per output channel, ``max |w| / (2**(bits - 1) - 1)``.

    Where the authors' code stops at a channel of zeros, its codes and its scale are zero here.
    """
    check_choice("bits", bits, BITS)
    weight = finite_matrix("weight", weight, "[N, K]")
    scales = np.abs(weight).max(axis=1) / weight.dtype.type(2 ** (bits - 1) - 1)
    return QuantizedWeight(_quantize_signed(weight, scales[:, None], bits).astype(np.int8), scales, bits)


def chunks_of(x: np.ndarray, chunk_size: int) -> np.ndarray:
    """[rows, K] to [C, R, K], zero rows at the end."""
    padded = np.pad(x, ((0, -len(x) % chunk_size), (0, 0)))
    return padded.reshape(-1, chunk_size, x.shape[1])


def dynamic_bias(chunks: np.ndarray) -> np.ndarray:
    """Middle of each channel's range [C, K]; the filling rows take part."""
    with np.errstate(over="ignore"):
        return (chunks.max(axis=1) + chunks.min(axis=1)) / chunks.dtype.type(2)


def _thresholds(tmax: np.ndarray, groups: int) -> np.ndarray:
    """``tmax / 2**(G - 1 - i)`` [C, G]."""
    return tmax[:, None] / np.exp2(np.arange(groups - 1, -1, -1)).astype(tmax.dtype)


def group_index_of(cmax: np.ndarray, tmax: np.ndarray, groups: int) -> np.ndarray:
    """Smallest i with ``cmax <= threshold i`` [C, K]: a maximum on a threshold takes the smaller scale."""
    return (cmax[:, :, None] > _thresholds(tmax, groups)[:, None, :]).sum(axis=2)


def counts_of(group_index: np.ndarray, groups: int) -> np.ndarray:
    return np.stack([(group_index == i).sum(axis=1) for i in reversed(range(groups))], axis=1)


def check_site(bits: int, groups: int, chunk_size: int, unsigned: bool, channel_bias: bool | None) -> bool:
    """Check the parameters common to decomposition and calibration; returns whether there is a bias."""
    check_choice("bits", bits, BITS)
    for name, value, high in (("groups", groups, MAX_GROUPS), ("chunk_size", chunk_size, None)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value < 1 or high is not None and value > high:
            raise ValueError(f"{name} must be at least 1{f' and at most {high}' if high else ''}, not {value!r}")
    check_choice("unsigned", unsigned, (False, True))
    check_choice("channel_bias", channel_bias, (None, False, True))
    if unsigned and channel_bias:
        raise ValueError("channel_bias must be False for unsigned data: they have none")
    return not unsigned if channel_bias is None else channel_bias


def check_sign(x: np.ndarray, unsigned: bool) -> None:
    if unsigned and (x < 0).any():
        raise ValueError(f"x must not be negative where unsigned is set, not {x.min()!r}")


def decompose(
    x: np.ndarray,
    bits: int,
    groups: int,
    chunk_size: int = 256,
    unsigned: bool = False,
    channel_bias: bool | None = None,
    calibration: Calibration | None = None,
) -> Decomposed:
    """Decompose and quantize the activations x [rows, K] of one matmul, in the dtype of x.

    Rows are cut into chunks; each has its own channel bias, scales and map of channels to groups: from its own data
    (dynamic), or from a calibration (static), whose row c is for chunk c. A dynamic chunk of one row is meaningless, since
    the bias is the row itself: a single token needs a calibration.

    Parameters
    ----------
    x : float16, float32 or float64 [rows, K]
        Finite. In float16 deep groups have subnormal scales, which are not a factor 2 apart: refused.
    bits : 4 or 8
    groups : int
        Scales, each half of the next, from 1 to 32.
    chunk_size : int
        Rows that share their metadata.
    unsigned : bool
        Data from 0 (behind softmax or ReLU): integers from 0 to ``2**bits - 1``.
    channel_bias : bool or None
        Subtract a bias from each channel; None: unless unsigned.
    calibration : Calibration or None

    Returns
    -------
    Decomposed
    """
    biased = check_site(bits, groups, chunk_size, unsigned, channel_bias)
    x = finite_matrix("x", x, "[rows, K]")
    check_sign(x, unsigned)
    if biased and chunk_size == 1 and calibration is None:
        raise ValueError("chunk_size must be at least 2 for a dynamic channel bias, which equals a single row; "
                         "one token needs a calibration")
    chunks = chunks_of(x, chunk_size)
    if calibration is None:
        bias = dynamic_bias(chunks) if biased else np.zeros((len(chunks), x.shape[1]), x.dtype)
    else:
        bias = _static_bias(calibration, chunks, groups, biased)
    with np.errstate(over="ignore"):
        centered = chunks - bias[:, None, :]
    if not np.isfinite(centered).all():
        raise ValueError(f"x must stay finite in {x.dtype} when the bias is subtracted")
    if calibration is None:
        cmax = np.abs(centered).max(axis=1)
        tmax = cmax.max(axis=1)
        index = group_index_of(cmax, tmax, groups)
    else:
        tmax = np.asarray(calibration.tmax)[: len(chunks)].astype(x.dtype)
        index = np.asarray(calibration.group_index)[: len(chunks)].astype(np.int64)
    qmax = 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1
    scales = _thresholds(tmax, groups) / x.dtype.type(qmax)
    if np.any(scales[:, 1:] != 2 * scales[:, :-1]) or np.any((tmax != 0) & (scales[:, 0] == 0)):
        raise ValueError(f"groups must leave scales normal numbers of {x.dtype}, exactly a factor 2 apart, not be {groups} "
                         f"at a maximum of {tmax.min()!r}; a wider dtype or fewer groups do")
    scale = np.take_along_axis(scales, index, axis=1)[:, None, :]
    if unsigned:
        integers = np.clip(divide_and_round(centered, np.broadcast_to(scale, centered.shape)), 0, qmax)
    else:
        integers = _quantize_signed(centered, scale, bits)
    return Decomposed(integers.astype(np.int16), index, scales, bias, bits, unsigned, len(x))


def _static_bias(calibration: Calibration, chunks: np.ndarray, groups: int, biased: bool) -> np.ndarray:
    """Bias [C, K] from a calibration that fits the chunks."""
    count, _, k = chunks.shape
    calibrated, channels = np.shape(calibration.group_index)
    if calibrated < count or channels != k:
        raise ValueError(f"calibration must be for at least {count} chunks of {k} channels, not {calibrated} of {channels}")
    if calibration.groups not in (None, groups) or np.max(calibration.group_index) >= groups:
        raise ValueError(f"groups must be those of the calibration, {calibration.groups or 'more'}, not {groups!r}")
    if calibration.bias is None:
        return np.zeros((count, k), chunks.dtype)
    if not biased and np.any(calibration.bias):
        raise ValueError("calibration must have no bias where channel_bias is False")
    return np.asarray(calibration.bias)[:count].astype(chunks.dtype)
