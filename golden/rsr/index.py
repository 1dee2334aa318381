# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR as published: a fixed matrix becomes an index of codes, and equal codes share their sums.

"An Efficient Matrix Multiplication Algorithm for Accelerating Inference in Binary and Ternary Neural Networks" (Dehghankar,
Erfanian, Asudeh, ICML 2025, arXiv 2411.06360). Here with the authors' arguments, ``y = v . A`` for A [n, m] in blocks of k
columns, and integers throughout; the engine's form is the transpose (docs/rsr.md).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["MAX_BLOCK", "Index", "SplitIndex", "bucket_sums", "index_matmul", "preprocess"]

MAX_BLOCK = 12
"""Largest block: 3**12 buckets a block are half a million."""


@dataclass(frozen=True, eq=False)
class Index:
    """What the algorithm keeps of a matrix.

    Attributes
    ----------
    codes : int32 [blocks, n]
        A row's digits within the block as a number, first column most significant; for base 3 the digit is the weight
        plus 1. Padding columns have weight 0.
    base : 2 or 3
    k : int
        Columns of a block.
    columns : int
        m, without padding.
    """

    codes: np.ndarray
    base: int
    k: int
    columns: int

    @property
    def padding(self) -> int:
        """Columns appended so that k divides their number."""
        return -self.columns % self.k

    @cached_property
    def permutation(self) -> np.ndarray:
        """Rows in the order of their codes, ties in ascending order; int32 [blocks, n]."""
        return np.argsort(self.codes, axis=1, kind="stable").astype(np.int32)

    @cached_property
    def segments(self) -> np.ndarray:
        """First position in `permutation` whose code is at least j, n if there is none; int32 [blocks, base**k]."""
        every = np.arange(self.base**self.k)
        return np.array([np.searchsorted(np.sort(codes), every) for codes in self.codes], np.int32)


@dataclass(frozen=True, eq=False)
class SplitIndex:
    """A ternary matrix as the difference of two binary ones, each with an index."""

    positive: Index
    negative: Index


def preprocess(A: np.ndarray, k: int, base: int | None = None) -> Index | SplitIndex:
    """Index a matrix by blocks of k columns.

    Parameters
    ----------
    A : integer array [n, m] of {0, 1} or {-1, 0, 1}
    k : 1 to 12
    base : 2, 3 or None
        Digits of a code; None takes 3 if a weight is negative, else 2. With 2, a ternary matrix gives a `SplitIndex`.
    """
    A = np.asarray(A)
    if A.dtype.kind not in "iub":
        raise TypeError(f"A must be an integer array, not {A.dtype}")
    if A.ndim != 2 or 0 in A.shape:
        raise ValueError(f"A must have shape [n, m] with n, m at least 1, not {A.shape}")
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool):
        raise TypeError(f"k must be an integer, not {k!r}")
    if not 1 <= k <= MAX_BLOCK:
        raise ValueError(f"k must be 1 to {MAX_BLOCK}, not {k!r}")
    if base not in (None, 2, 3):
        raise ValueError(f"base must be 2, 3 or None, not {base!r}")
    A = A.astype(np.int64)
    wrong = np.argwhere(np.abs(A) > 1)
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise ValueError(f"A must be binary or ternary, not {A[where]} at {where}")
    ternary = bool((A < 0).any())
    if ternary and base == 2:
        return SplitIndex(_index(A == 1, k, 2), _index(A == -1, k, 2))
    return _index(A, k, base or (3 if ternary else 2))


def _index(A: np.ndarray, k: int, base: int) -> Index:
    n, m = A.shape
    digits = np.pad(A, ((0, 0), (0, -m % k))).astype(np.int64) + (base == 3)
    weights = base ** np.arange(k - 1, -1, -1)
    return Index((digits.reshape(n, -1, k) @ weights).T.astype(np.int32), base, int(k), m)


def bucket_sums(v: np.ndarray, index: Index | SplitIndex) -> np.ndarray:
    """Sums of the activations with equal codes, int64 [blocks, base**k]; of a `SplitIndex` positive minus negative.

    Exact for any integers v [n] whose sums fit 64 bits.
    """
    if isinstance(index, SplitIndex):
        return bucket_sums(v, index.positive) - bucket_sums(v, index.negative)
    v = np.asarray(v)
    if v.dtype.kind not in "iu":
        raise TypeError(f"v must be an integer array, not {v.dtype}")
    blocks, n = index.codes.shape
    if v.shape != (n,):
        raise ValueError(f"v must have shape [{n}] like the index, not {list(v.shape)}")
    sums = np.zeros((blocks, index.base**index.k), np.int64)
    np.add.at(sums, (np.arange(blocks)[:, None], index.codes), v.astype(np.int64)[None, :])
    return sums


def index_matmul(v: np.ndarray, index: Index | SplitIndex) -> np.ndarray:
    """``v . A`` out of the index, int64 [m]: the bucket sums, times the matrix of all codes' digits."""
    if isinstance(index, SplitIndex):
        return index_matmul(v, index.positive) - index_matmul(v, index.negative)
    codes = np.arange(index.base**index.k)
    digits = codes[:, None] // index.base ** np.arange(index.k - 1, -1, -1) % index.base - (index.base == 3)
    return (bucket_sums(v, index) @ digits).ravel()[: index.columns]
