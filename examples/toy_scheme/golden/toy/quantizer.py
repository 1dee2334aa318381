# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""INT8 with a scale for each row, for weights and activations alike."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Quantized", "quantize"]


@dataclass(frozen=True, eq=False)
class Quantized:
    """``codes * scales[:, None]``: int8 [rows, K] and float32 [rows]."""

    codes: np.ndarray
    scales: np.ndarray

    def __len__(self):
        return len(self.codes)

    @property
    def shape(self):
        """(rows, K)."""
        return self.codes.shape

    @property
    def bits_per_weight(self):
        """Codes and scales."""
        return 8 + 32 / self.codes.shape[1]

    def dequantize(self):
        """float32 [rows, K]."""
        return self.codes * self.scales[:, None]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.dequantize(), dtype)


def quantize(array) -> Quantized:
    """Round to 255 levels, ties to even."""
    array = np.asarray(array, np.float32)
    scales = np.maximum(np.abs(array).max(axis=1), np.finfo(np.float32).tiny * 127) / np.float32(127)
    return Quantized(np.rint(array / scales[:, None]).astype(np.int8), scales.astype(np.float32))
