# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of an RSR engine's streams, tile by tile, and their inverse.

The array adds activations in offset binary, a + 128, and one's complements of them; what that adds too much depends on the
weights alone and is summed here into one offset a column (:func:`column_offsets`). Padding is neutral: zero weights.
"""

from functools import cache
from math import ceil
from typing import Any

import numpy as np

from ..parameters import check_integer
from ..streams import check_beats, last_of, pack_beats, unpack_beats
from ..tiles import Order
from .codes import fold, folded_digits, numbers_of, pack_trits, unfold, unpack_trits
from .config import RsrConfig, check_weight
from .quantizer import QuantizedActivations, QuantizedWeight, check_activations

__all__ = [
    "column_offsets", "excess_of_terms", "pack", "pack_activations", "pack_outputs", "pack_tokens", "unpack", "unpack_outputs",
]


@cache
def excess_of_terms(config: RsrConfig) -> np.ndarray:
    """What a term of each |t| [entries + 1] and sign [2] adds beside its sum of activations: 128 for each activation of a
    sum, 127 for a complemented one; and the complement of that if the whole term is complemented."""
    digits = folded_digits(config.term_weights)
    excess = 128 * (digits == 1).sum(axis=1) + 127 * (digits == -1).sum(axis=1)
    return np.stack([excess, np.where(excess, (1 << config.term_bits) - 1 - excess, 0)], axis=1)


def column_offsets(qweight: QuantizedWeight, config: RsrConfig) -> np.ndarray:
    """What is added to each output's accumulator, int64 [N]: minus the excess of all its terms."""
    values = np.pad(qweight.values, ((0, 0), (0, -qweight.shape[1] % config.lanes)))
    terms = numbers_of(values.reshape(len(values), -1, config.term_weights))
    positive, negative = excess_of_terms(config).T
    return -np.concatenate([negative[:0:-1], positive])[terms + (len(positive) - 1)].sum(axis=1)


def pack(qweight: QuantizedWeight, config: RsrConfig, m_tiles: int = 1, order: Order = "n_outer") -> dict[str, np.ndarray]:
    """Words of ``weights`` and ``constants``; a tile of columns is sent for each of the ``m_tiles`` tiles of rows."""
    check_weight(qweight, config)
    check_integer("m_tiles", m_tiles, 1)
    n, k = qweight.shape
    tiles = config.tiles(m_tiles * config.rows, n, order)
    trits = tiles.split_columns(np.pad(qweight.values, ((0, 0), (0, -k % config.lanes))))
    flat = trits.reshape(tiles.n_tiles, config.cols, -1, config.lanes).transpose(0, 2, 1, 3)
    flat = flat.reshape(*flat.shape[:2], -1)
    codes = pack_trits(flat) if config.has_trit_bytes else fold(flat.reshape(*flat.shape[:2], -1, config.mu))
    beats = codes.shape[1]
    weights = pack_beats(config.streams["weights"], codes=codes.reshape(-1, codes.shape[2]), last=last_of(beats, len(codes)))
    weights = weights.reshape(len(codes), beats, -1)
    fields = config.streams["constants"]
    half = 1 << config.accumulator_bits - 1
    offsets = (column_offsets(qweight, config) + half) % (2 * half) - half  # sums are modulo that, too
    values: dict[str, Any] = {"columns": tiles.split_columns(offsets)}
    if fields[0].is_struct:
        scales = np.broadcast_to(qweight.scales, n)
        values["columns"] = {"offset": values["columns"], "scale": tiles.split_columns(scales)}
    elif config.has_scales:
        values["common"] = {"scale": np.repeat(qweight.scales, tiles.n_tiles)}
    constants = pack_beats(fields, **values)[:, None]
    return {"weights": tiles.send_columns(weights), "constants": tiles.send_columns(constants)}


def unpack(
    words: dict[str, np.ndarray], config: RsrConfig, n: int, k: int, m_tiles: int = 1, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Undo :func:`pack`: values int8 [N, K], offsets int64 [N], and float32 scales [1] or [N] if there are any."""
    tiles, beats = config.tiles(m_tiles * config.rows, n, order), ceil(k / config.lanes)
    first = tiles.first_of_columns()
    check_beats("weights", words, len(tiles.places) * beats)
    check_beats("constants", words, len(tiles.places))
    codes = unpack_beats(config.streams["weights"], words["weights"])["codes"].reshape(len(tiles.places), beats, -1)[first]
    count = config.cols * config.lanes
    trits = unpack_trits(codes, count) if config.has_trit_bytes else unfold(codes, config.mu)
    values = trits.reshape(len(first), beats, config.cols, config.lanes).transpose(0, 2, 1, 3)
    found = unpack_beats(config.streams["constants"], words["constants"][first])
    columns = found["columns"]
    per_channel = isinstance(columns, dict)
    result = {
        "values": values.reshape(len(first) * config.cols, -1)[:n, :k].astype(np.int8),
        "offsets": (columns["offset"] if per_channel else columns).reshape(-1)[:n],
    }
    if config.has_scales:
        result["scales"] = columns["scale"].reshape(-1)[:n] if per_channel else found["common"]["scale"][:1]
    return result


def pack_activations(
    x: np.ndarray | QuantizedActivations, config: RsrConfig, n_tiles: int = 1, order: Order = "n_outer"
) -> np.ndarray:
    """Words of ``activations`` for x [M, K]; a tile of rows is sent for each of the ``n_tiles`` tiles of columns."""
    values = check_activations(x).values
    tiles = config.tiles(len(values), n_tiles * config.cols, order)
    values = np.pad(values, ((0, 0), (0, -values.shape[1] % config.lanes)))
    beats = values.shape[1] // config.lanes
    data = tiles.split_rows(values).reshape(tiles.m_tiles, config.rows, beats, config.lanes).transpose(0, 2, 1, 3)
    fields = config.streams["activations"]
    return tiles.send_rows([pack_beats(fields, data=tile, last=last_of(beats)) for tile in data])


def pack_tokens(
    x: np.ndarray | QuantizedActivations, config: RsrConfig, n_tiles: int = 1, order: Order = "n_outer"
) -> np.ndarray:
    """Words of ``tokens`` for x [M, K], likewise. There is no such stream without scales."""
    if not config.has_scales:
        raise ValueError(f"config must have scales, not output={config.output!r}, which has no stream 'tokens'")
    scales = check_activations(x).scales
    tiles = config.tiles(len(scales), n_tiles * config.cols, order)
    return tiles.send_rows(pack_beats(config.streams["tokens"], rows=tiles.split_rows(scales))[:, None])


def unpack_outputs(
    words: np.ndarray, m: int, n: int, config: RsrConfig, order: Order = "n_outer"
) -> tuple[np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N] in the output format, and the per-tile mask overflow."""
    tiles = config.tiles(m, n, order)
    check_beats("outputs", {"outputs": words}, len(tiles.places) * tiles.beats)
    values = unpack_beats(config.streams["outputs"], words)
    overflow = values.get("overflow", np.zeros(len(words), np.int64))
    return tiles.from_outputs(values["data"]).astype(config.output), tiles.flags_of(overflow)


def pack_outputs(y: np.ndarray, config: RsrConfig, order: Order = "n_outer") -> np.ndarray:
    """The words that an engine must send for y [M, N]: undoes :func:`unpack_outputs`."""
    m, n = y.shape
    tiles = config.tiles(m, n, order)
    data = tiles.to_outputs(y)
    overflow = {"overflow": np.isinf(data).any(axis=1)} if config.has_scales else {}
    return pack_beats(config.streams["outputs"], data=data, last=last_of(tiles.beats, len(tiles.places)), **overflow)
