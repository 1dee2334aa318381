# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the faster twins of the exact models share (``golden/<scheme>/fast.py``).

The NumPy models stay the definition: a twin gives the same bits, and is tested to. Some need numba (:mod:`.kernels`).
"""

from importlib.util import find_spec

import numpy as np

__all__ = ["has_compiler", "exact_type", "integer_product"]


def has_compiler() -> bool:
    """Whether numba is there, which compiles kernels."""
    return find_spec("numba") is not None


def exact_type(largest: int) -> type[np.number]:
    """The fastest type in which sums of integers are exact that never exceed this magnitude, in any order."""
    floats = (kind for kind in (np.float32, np.float64) if largest <= 1 << np.finfo(kind).nmant + 1)
    return next(floats, np.int64)


def integer_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b.T`` of integers [M, K] and [N, K], int64 [M, N], exact or, beyond 64 bits, modulo 2**64; by BLAS where it can."""
    largest = int(np.abs(a).max(initial=0)) * int(np.abs(b).max(initial=0)) * a.shape[1]
    kind = exact_type(largest)
    return (a.astype(kind) @ b.astype(kind).T).astype(np.int64)
