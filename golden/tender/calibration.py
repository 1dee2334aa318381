# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Static metadata of a Tender site: bias, maxima and channel groups from samples, and the accumulator they need."""

from collections.abc import Iterable

import numpy as np

from ..parameters import check_choice
from .quantizer import (
    Calibration,
    check_sign,
    check_site,
    chunks_of,
    counts_of,
    dynamic_bias,
    finite_matrix,
    group_index_of,
)

__all__ = ["Calibrator", "calibrate", "worst_case_bits"]


class Calibrator:
    """Static metadata of one site out of sample inputs, as the authors make it; it keeps what a sample says, not the sample.

    The bias is the mean over the samples of the dynamic one; maxima are the largest over the samples, each measured
    under its own dynamic bias, so that some saturation at run time is part of the method.

    Parameters
    ----------
    bits, groups, chunk_size, unsigned, channel_bias
        As for :func:`decompose`.
    """

    def __init__(self, bits: int, groups: int, chunk_size: int = 256, unsigned: bool = False,
                 channel_bias: bool | None = None):
        self._biased = check_site(bits, groups, chunk_size, unsigned, channel_bias)
        self._bits, self._groups, self._chunk_size, self._unsigned = bits, groups, chunk_size, unsigned
        self._biases: list[np.ndarray] = []
        self._cmaxs: list[np.ndarray] = []

    def add(self, sample: np.ndarray) -> None:
        """Take one more sample, float [rows, K]; all are of one shape."""
        sample = finite_matrix("samples", sample, "[rows, K]")
        check_sign(sample, self._unsigned)
        chunks = chunks_of(sample, self._chunk_size)
        if self._cmaxs and (len(chunks), sample.shape[1]) != self._cmaxs[0].shape:
            raise ValueError(f"samples must all have chunks and channels {self._cmaxs[0].shape}, "
                             f"not {(len(chunks), sample.shape[1])}")
        bias = dynamic_bias(chunks) if self._biased else np.zeros((len(chunks), sample.shape[1]), sample.dtype)
        self._biases.append(bias)
        self._cmaxs.append(np.abs(chunks - bias[:, None, :]).max(axis=1))

    def calibration(self, rounding: str = "up", accumulator_bits: int | None = 32, cap: bool = False) -> Calibration:
        """What the samples so far say.

        Parameters
        ----------
        rounding : "up" or "down"
            "down" puts each channel one group lower, at half the scale, clipped, and leaves the top group empty. The authors
            try both and keep the better one.
        accumulator_bits : int or None
            The channels' sums, weights of the same ``bits``, must fit in the worst case; None: not checked.
        cap : bool
            Take fewer groups where that check fails, instead of raising ValueError.

        Returns
        -------
        Calibration
            Its ``groups`` may be fewer with ``cap``.
        """
        check_choice("rounding", rounding, ("up", "down"))
        if not self._cmaxs:
            raise ValueError("samples must not be empty")
        bias = np.mean(np.sort(self._biases, axis=0), axis=0)  # the same whichever sample came first
        cmax, groups = np.max(self._cmaxs, axis=0), self._groups
        tmax = cmax.max(axis=1)
        for fewer in range(groups, 0, -1):
            index = group_index_of(cmax, tmax, fewer)
            if rounding == "down":
                index = np.maximum(index - 1, 0)
            needed = worst_case_bits(counts_of(index, fewer), self._bits, self._bits, self._unsigned).max()
            if accumulator_bits is None or needed <= accumulator_bits:
                return Calibration(bias, tmax, index, fewer)
            if not cap:
                raise ValueError(f"groups must be fewer than {groups} or accumulator_bits at least {needed}: the channels of a "
                                 f"chunk can reach {needed} bits, not {accumulator_bits}; cap=True takes as many as fit")
        raise ValueError(f"accumulator_bits must be at least {needed} for K = {cmax.shape[1]} in one group, "
                         f"not {accumulator_bits}")


def calibrate(
    samples: Iterable[np.ndarray],
    bits: int,
    groups: int,
    chunk_size: int = 256,
    unsigned: bool = False,
    channel_bias: bool | None = None,
    *,
    rounding: str = "up",
    accumulator_bits: int | None = 32,
    cap: bool = False,
) -> Calibration:
    """Make static metadata from sample inputs [rows, K] of one site, at once; see :class:`Calibrator`."""
    calibrator = Calibrator(bits, groups, chunk_size, unsigned, channel_bias)
    for sample in samples:
        calibrator.add(sample)
    return calibrator.calibration(rounding, accumulator_bits, cap)


def worst_case_bits(counts: np.ndarray, bits_a: int, bits_w: int, unsigned: bool) -> np.ndarray:
    """Accumulator bits [C] that no operands exceed, from the channels of each group [C, G], largest scale first."""
    groups = counts.shape[1]
    channels = [sum(int(n) << groups - 1 - g for g, n in enumerate(row)) for row in counts]
    largest = (2**bits_a - 1 if unsigned else 2 ** (bits_a - 1)) * (2 ** (bits_w - 1) - 1)
    return np.array([(largest * number).bit_length() + 1 for number in channels])
