# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The numbers that bipolar words stand for, their bit planes, and one-bit products of planes.

Bit i of a word of n bits counts ``+2**i`` or ``-2**i``: with u the plain reading of the same bits, the value is
``2 u - (2**n - 1)``. So it is odd, there are 2**n of them, symmetric about zero, and no plane is a sign (Ma et al.,
arXiv 2409.17870).
"""

import numpy as np

from ..parameters import check_integer

__all__ = [
    "MAX_BITS", "check_bits", "check_codes", "constant", "decode", "encode", "packed_planes", "preprocess", "product",
    "restore", "signed_codes", "xor_sums",
]

MAX_BITS = 8
"""Widest word."""
WORD = 32
"""Bits of K in a word of :func:`preprocess`."""


def check_bits(name: str, bits: object) -> None:
    """Refuse what is no number of bits of a word."""
    check_integer(name, bits, 1, MAX_BITS)


def check_codes(name: str, codes: object, bits: int) -> np.ndarray:
    """Return codes; refuse any but uint8 words of so many bits."""
    codes = np.asarray(codes)
    if codes.dtype != np.uint8:
        raise TypeError(f"{name} must be uint8 codes, not {codes.dtype}")
    if codes.size and codes.max() >> bits:
        raise ValueError(f"{name} must be below 2**{bits} for words of {bits} bits, not reach {codes.max()}")
    return codes


def _integers(values: object) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"values must be integers, not {values.dtype}")
    return values.astype(np.int64)


def encode(values: np.ndarray, bits: int) -> np.ndarray:
    """Odd integers from ``1 - 2**bits`` to ``2**bits - 1``, of any shape, as uint8 codes."""
    check_bits("bits", bits)
    values, largest = _integers(values), 2**bits - 1
    wrong = (values % 2 == 0) | (np.abs(values) > largest)
    if wrong.any():
        raise ValueError(f"values must be odd and from -{largest} to {largest} for {bits} bits, not {values[wrong][0]}")
    return ((values + largest) // 2).astype(np.uint8)


def decode(codes: np.ndarray, bits: int) -> np.ndarray:
    """uint8 codes as odd integers, int64; undoes :func:`encode`."""
    check_bits("bits", bits)
    return 2 * check_codes("codes", codes, bits).astype(np.int64) - (2**bits - 1)


def signed_codes(values: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement integers x as uint8 codes of ``2 x + 1``, without loss: the words with their top bit inverted."""
    check_bits("bits", bits)
    values, half = _integers(values), 2 ** (bits - 1)
    wrong = (values < -half) | (values >= half)
    if wrong.any():
        raise ValueError(f"values must be from {-half} to {half - 1} for {bits} bits, not {values[wrong][0]}")
    return (values + half).astype(np.uint8)


def constant(k: int, bits_a: int, bits_w: int) -> int:
    """C: the product of K pairs of largest values."""
    return k * (2**bits_a - 1) * (2**bits_w - 1)


def product(a_codes: np.ndarray, w_codes: np.ndarray, bits_a: int, bits_w: int) -> np.ndarray:
    """Exact int64 [M, N] of uint8 codes [M, K] and [N, K]; float64 products of these integers are exact and use BLAS."""
    a, w = decode(a_codes, bits_a), decode(w_codes, bits_w)
    _check_shapes(a, w)
    return (a.astype(np.float64) @ w.T.astype(np.float64)).astype(np.int64)


def _check_shapes(a, w):
    if a.ndim != 2 or w.ndim != 2 or a.shape[1] != w.shape[1]:
        raise ValueError(f"a_codes and w_codes must have shapes [M, K] and [N, K], not {a.shape} and {w.shape}")


def packed_planes(codes: np.ndarray, bits: int) -> np.ndarray:
    """Bit planes of codes [R, K]: uint64 [bits, R, ceil(K / 64)], lowest plane first, K from bit 0 up, filled up with zeros."""
    codes = check_codes("codes", codes, bits)
    padded = np.pad(codes, ((0, 0), (0, -codes.shape[1] % 64)))
    planes = padded[None] >> np.arange(bits, dtype=np.uint8)[:, None, None] & 1
    return np.packbits(planes, axis=-1, bitorder="little").view("<u8")


def xor_sums(a_codes: np.ndarray, w_codes: np.ndarray, bits_a: int, bits_w: int) -> np.ndarray:
    """S [M, N], int64: the sum of ``2**(i + j) popcount(w_i ^ a_j)`` over all pairs of planes.

    The product is ``C - 2 S``, C of the true K: lanes in which both operands are filled up with equal bits add nothing.
    """
    _check_shapes(np.asarray(a_codes), np.asarray(w_codes))
    a, w = packed_planes(a_codes, bits_a), packed_planes(w_codes, bits_w)
    sums = np.zeros((a.shape[1], w.shape[1]), np.int64)
    for row in range(len(sums)):  # a row at a time keeps the words of all outputs small
        for j in range(bits_a):
            for i in range(bits_w):
                sums[row] += np.bitwise_count(a[j, row] ^ w[i]).sum(axis=-1, dtype=np.int64) << (i + j)
    return sums


def preprocess(codes: np.ndarray, bits: int, rows: int = 8, words: int = 4) -> np.ndarray:
    """Codes [R, K] as the paper's kernels want them in memory: all planes of a tile next to each other.

    Parameters
    ----------
    codes : uint8 [R, K]
    bits : int
    rows, words : int
        Rows of a tile, and words of ``32`` bits along K.

    Returns
    -------
    uint32 [ceil(R / rows), ceil(K / 32 words), bits, rows, words]
        Bit 0 of a word is the first of its K; what fills up is zero, in both operands neutral to an XOR.
    """
    for name, value in (("rows", rows), ("words", words)):
        check_integer(name, value, 1)
    check_bits("bits", bits)
    codes = check_codes("codes", codes, bits)
    if codes.ndim != 2:
        raise ValueError(f"codes must have shape [R, K], not {codes.shape}")
    r, k = codes.shape
    codes = np.pad(codes, ((0, -r % rows), (0, -k % (WORD * words))))
    planes = codes[None] >> np.arange(bits, dtype=np.uint8)[:, None, None] & 1
    packed = np.packbits(planes, axis=-1, bitorder="little").view("<u4")
    return packed.reshape(bits, -1, rows, packed.shape[-1] // words, words).transpose(1, 3, 0, 2, 4).copy()


def restore(planes: np.ndarray, r: int, k: int) -> np.ndarray:
    """Undo :func:`preprocess`: uint8 codes [r, k]."""
    tiles, _, bits, rows, _ = planes.shape
    packed = np.ascontiguousarray(planes.astype("<u4").transpose(2, 0, 3, 1, 4)).reshape(bits, tiles * rows, -1)
    unpacked = np.unpackbits(packed.view(np.uint8), axis=-1, bitorder="little")[:, :r, :k]
    return (unpacked << np.arange(bits, dtype=np.uint8)[:, None, None]).sum(axis=0, dtype=np.uint8)
