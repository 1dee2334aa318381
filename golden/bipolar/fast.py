# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""bipolar-INT: the bits of :func:`subbyte.golden.bipolar.matmul`, many times as fast (:mod:`subbyte.golden.fast`).

One-bit products make, by their weights, the product of the integers that words stand for: ``-2 S = product - C``.
"""

import numpy as np

from ..fast import integer_product
from ..floating import scaled_sums
from .codes import constant, decode
from .config import BipolarConfig, check_operands
from .model import corrections, folded_scales
from .quantizer import QuantizedActivations, QuantizedWeight, check_activations

__all__ = ["matmul"]


def matmul(x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig) -> np.ndarray:
    """The engine's answer bit for bit, [M, N]; operands are those of :func:`subbyte.golden.bipolar.matmul`."""
    x = check_activations(x)
    check_operands(x, qweight, config)
    fix = corrections(x, qweight)
    total = fix.columns[None, :] + fix.rows[:, None] + _differences(x, qweight)
    if not config.has_scales:
        return (total >> fix.halvings).astype(np.int32)
    tokens = folded_scales(x, fix.halvings)
    return scaled_sums(total, tokens[:, None], qweight.scales[None, :], np.dtype(config.output))[0]


def _differences(x, qweight):
    """Minus twice the weighted differing bits [M, N], those of each group times its scale code."""
    a, w, k = decode(x.codes, x.bits), decode(qweight.codes, qweight.bits), qweight.shape[1]
    if qweight.scale_codes is None:
        return integer_product(a, w) - constant(k, x.bits, qweight.bits)
    total, size = np.zeros((len(a), len(w)), np.int64), qweight.group_size or k
    for group, start in enumerate(range(0, k, size)):
        inside = slice(start, min(start + size, k))
        part = integer_product(a[:, inside], w[:, inside]) - constant(inside.stop - start, x.bits, qweight.bits)
        total += part * qweight.scale_codes[:, group]
    return total
