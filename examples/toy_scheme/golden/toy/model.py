# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a toy engine answers, to the bit, and the words of its streams."""

import numpy as np

from ..streams import check_beats, last_of, pack_beats, unpack_beats
from .config import ToyConfig
from .quantizer import Quantized

__all__ = ["matmul", "pack", "pack_outputs", "reference", "unpack_outputs"]


def matmul(x: Quantized, qweight: Quantized) -> np.ndarray:
    """Exact sums int32 [M, N]."""
    return x.codes.astype(np.int32) @ qweight.codes.T.astype(np.int32)


def reference(x: Quantized, qweight: Quantized) -> np.ndarray:
    """Float64 product of the quantized operands."""
    return matmul(x, qweight) * np.outer(x.scales, qweight.scales).astype(np.float64)


def pack(x: Quantized, qweight: Quantized, config: ToyConfig, order: str = "n_outer") -> dict[str, np.ndarray]:
    """Words of all input streams."""
    tiles = config.tiles(len(x), len(qweight), order)
    columns = np.zeros((tiles.n_tiles, config.cols), np.int64)
    return {
        "weights": tiles.send_columns(_beats(tiles.split_columns(qweight.codes), "codes", config.streams["weights"], config)),
        "activations": tiles.send_rows(_beats(tiles.split_rows(x.codes), "data", config.streams["activations"], config)),
        "constants": tiles.send_columns(pack_beats(config.streams["constants"], columns=columns)[:, None]),
    }


def _beats(tiles, name, fields, config):
    padded = np.pad(tiles, ((0, 0), (0, 0), (0, -tiles.shape[2] % config.lanes)))
    beats = padded.reshape(*padded.shape[:2], -1, config.lanes).transpose(0, 2, 1, 3)
    return [pack_beats(fields, **{name: tile}, last=last_of(len(tile))) for tile in beats]


def unpack_outputs(words: np.ndarray, m: int, n: int, config: ToyConfig, order: str = "n_outer") -> np.ndarray:
    """Words of ``outputs`` to y int32 [M, N]."""
    tiles = config.tiles(m, n, order)
    check_beats("outputs", {"outputs": words}, len(tiles.places) * tiles.beats)
    return tiles.from_outputs(unpack_beats(config.streams["outputs"], words)["data"]).astype(np.int32)


def pack_outputs(y: np.ndarray, config: ToyConfig, order: str = "n_outer") -> np.ndarray:
    """The words that an engine must send: undoes :func:`unpack_outputs`."""
    tiles = config.tiles(*y.shape, order)
    return pack_beats(config.streams["outputs"], data=tiles.to_outputs(y), last=last_of(tiles.beats, len(tiles.places)))
