# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""RSR: ternary weights times INT8 activations, to the bit (docs/rsr.md gives the reasons).

For one token and one output channel::

    acc = sum(a * w)                          exact; a INT8, -128 included, w in {-1, 0, 1}
    s   = RNE32(weight_scale * token_scale)   below 2**-126 it counts as zero
    y   = RNE(acc * s)                        to binary32 or binary16; or y = acc, 32-bit integers

The order of the sum changes nothing, so every form of the engine (table, tree) and of the algorithm (index, buckets) gives
the same bits. :func:`preprocess`, :func:`bucket_sums` and :func:`index_matmul` are the published algorithm.
"""

from typing import NamedTuple

import numpy as np

from ..floating import scaled_sums
from .config import RsrConfig, check_weight
from .quantizer import QuantizedActivations, QuantizedWeight, check_activations

__all__ = ["Flags", "matmul", "reference"]


class Flags(NamedTuple):
    """Per tile [ceil(M / rows), ceil(N / cols)]: what the engine reports beside the numbers.

    overflow
        A result of the tile exceeded the output format and became infinite.
    """

    overflow: np.ndarray


def _sums(x: QuantizedActivations, qweight: QuantizedWeight) -> np.ndarray:
    """Exact sums int64 [M, N]; float64 products of these integers are exact and use BLAS."""
    return (x.values.astype(np.float64) @ qweight.values.T.astype(np.float64)).astype(np.int64)


def matmul(
    x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight, config: RsrConfig, flags: bool = False
) -> np.ndarray | tuple[np.ndarray, Flags]:
    """The engine's answer bit for bit: y [M, N] in the config's output format, and its flags.

    Parameters
    ----------
    x : INT8 [M, K], with token scales as `QuantizedActivations` or, with scales of 1, as an integer array
    qweight : QuantizedWeight [N, K]
    """
    check_weight(qweight, config)
    x = check_activations(x, qweight.shape[1])
    sums = _sums(x, qweight)
    y, overflow = sums.astype(np.int32), np.zeros(sums.shape, bool)
    if config.has_scales:
        y, overflow = scaled_sums(sums, x.scales[:, None], qweight.scales[None, :], np.dtype(config.output))
    return (y, Flags(config.tiles(*y.shape).any(overflow))) if flags else y


def reference(x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight) -> np.ndarray:
    """Float64 product of the quantized operands, scales included."""
    x = check_activations(x, qweight.shape[1])
    return _sums(x, qweight) * (x.scales.astype(np.float64)[:, None] * qweight.scales.astype(np.float64)[None, :])
