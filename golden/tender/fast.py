# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Tender: the bits of :func:`subbyte.golden.tender.matmul`, several times as fast (:mod:`subbyte.golden.fast`).

Sums wrap, so that shifts and additions may be done in any order: one exact product of activations that are shifted before it.
"""

import numpy as np

from ..fast import integer_product
from .config import TenderConfig, beats_of, check_operands
from .model import finish
from .model import reference as golden_reference
from .quantizer import Decomposed, QuantizedWeight
from .streams import check_divisors, constants

__all__ = ["matmul", "reference"]


def matmul(decomposed: Decomposed, qweight: QuantizedWeight, config: TenderConfig, **terms: np.ndarray | None) -> np.ndarray:
    """The engine's answer bit for bit, [rows, N]; operands and terms are those of :func:`subbyte.golden.tender.matmul`."""
    check_operands(decomposed, qweight, config)
    check_divisors(terms.get("divisors"), decomposed, qweight.shape[0], config)
    half, results = np.int64(1) << config.accumulator_bits - 1, []
    for chunk in range(len(decomposed.xq)):
        group = decomposed.group_index[chunk]
        xq = decomposed.xq[chunk, : decomposed.rows_of(chunk)].astype(np.int64) << group - group.min()
        acc = (integer_product(xq, qweight.codes) + half & 2 * half - 1) - half
        beats = beats_of(decomposed, chunk, config.lanes)
        results.append(finish(acc, constants(decomposed, qweight, chunk, beats, **terms), config))
    return np.concatenate(results)


def reference(decomposed: Decomposed, qweight: QuantizedWeight, correction: np.ndarray | None = None) -> np.ndarray:
    """The float64 of :func:`subbyte.golden.tender.reference`, [C, R, N]."""
    if decomposed.groups + 2 * decomposed.bits + decomposed.xq.shape[2].bit_length() > 63:  # golden's own limit, and its error
        return golden_reference(decomposed, qweight, correction)
    acc = np.stack([integer_product(xq.astype(np.int64) << group, qweight.codes)
                    for xq, group in zip(decomposed.xq, decomposed.group_index)])
    smallest = decomposed.scales[:, :1].astype(np.float64) * qweight.scales.astype(np.float64)
    y = acc * smallest[:, None, :]
    return y if correction is None else y + np.asarray(correction, np.float64)[:, None, :]
