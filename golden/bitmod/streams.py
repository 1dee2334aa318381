# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of a BitMoD engine's streams, tile by tile, and their inverse.

Decided here: integer codes are sign-extended to the engine's slot, so that the RTL needs no width of its own for them; FP
codes are zero-extended. Padding is neutral: zero codes, zero scale codes, zero activations.
"""

from math import ceil

import numpy as np

from ..parameters import check_integer
from ..streams import check_beats, last_of, pack_beats, unpack_beats
from ..tiles import Order
from .config import BitModConfig, check_activations, check_weight
from .formats import Format
from .model import group_exponents
from .quantizer import QuantizedWeight

__all__ = ["pack", "pack_activations", "pack_outputs", "unpack", "unpack_outputs"]


def _beats_of_groups(k: int, config: BitModConfig) -> np.ndarray:
    """Group index of each beat of a tile."""
    return np.arange(ceil(k / config.lanes)) // config.group_beats


def pack(
    qweight: QuantizedWeight, config: BitModConfig, m_tiles: int = 1, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Words of ``weights``, ``scales``, ``constants``; a tile of columns is sent for each of the ``m_tiles`` tiles of rows."""
    check_weight(qweight, config)
    check_integer("m_tiles", m_tiles, 1)
    n, k = qweight.shape
    tiles = config.tiles(m_tiles * config.rows, n, order)
    formats = np.asarray(qweight.group_formats, np.int64)
    is_integer = np.repeat([not Format(f).is_float for f in formats], config.group_size)[:k]
    slots = np.where(is_integer, qweight.values, qweight.codes).astype(np.int64)
    slots = np.pad(slots, ((0, 0), (0, -k % config.lanes)))
    group_of_beat = _beats_of_groups(k, config)
    beats = len(group_of_beat)
    codes = tiles.split_columns(slots).reshape(tiles.n_tiles, config.cols, beats, config.lanes).transpose(0, 2, 1, 3)
    selectors = tiles.split_columns(qweight.selectors).transpose(0, 2, 1)[:, group_of_beat]
    scale_codes, channel_scales = qweight.second_level
    fields = config.streams["weights"]
    weights = []
    for tile in range(tiles.n_tiles):
        values = {"codes": codes[tile], "selectors": selectors[tile], "format": formats[group_of_beat], "last": last_of(beats)}
        weights.append(pack_beats(fields, **{field.name: values[field.name] for field in fields}))
    scales = [pack_beats(config.streams["scales"], codes=group, last=last_of(len(group)))
              for group in tiles.split_columns(scale_codes).transpose(0, 2, 1)]
    constants = pack_beats(config.streams["constants"], columns=tiles.split_columns(channel_scales, fill=1))[:, None]
    return {name: tiles.send_columns(words) for name, words in
            (("weights", weights), ("scales", scales), ("constants", constants))}


def unpack(
    words: dict[str, np.ndarray], config: BitModConfig, n: int, k: int, m_tiles: int = 1, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Undo :func:`pack`.

    Returns codes uint8 [N, K], group_formats [groups], selectors and scale_codes uint8 [N, groups], channel_scales [N].
    """
    group_of_beat = _beats_of_groups(k, config)
    beats, groups = len(group_of_beat), int(group_of_beat[-1]) + 1
    tiles = config.tiles(m_tiles * config.rows, n, order)
    first = tiles.first_of_columns()
    found = {}
    for stream, count in (("weights", beats), ("scales", groups), ("constants", 1)):
        check_beats(stream, words, len(tiles.places) * count)
        each = words[stream].reshape(len(tiles.places), count, -1)[first].reshape(len(first) * count, -1)
        found[stream] = {name: array.reshape(len(first), count, *array.shape[1:])
                         for name, array in unpack_beats(config.streams[stream], each).items()}
    weights = found["weights"]
    starts = np.arange(groups) * config.group_beats
    formats = weights["format"][0, starts]
    masks = np.repeat([(1 << Format(f).bits) - 1 for f in formats], config.group_size)[:k]
    selectors = weights.get("selectors", np.zeros((len(first), beats, config.cols), np.int64))[:, starts]
    slots = weights["codes"].transpose(0, 2, 1, 3).reshape(len(first) * config.cols, -1)
    return {
        "codes": (slots[:n, :k] & masks).astype(np.uint8),
        "group_formats": formats,
        "selectors": selectors.transpose(0, 2, 1).reshape(-1, groups)[:n].astype(np.uint8),
        "scale_codes": found["scales"]["codes"].transpose(0, 2, 1).reshape(-1, groups)[:n].astype(np.uint8),
        "channel_scales": found["constants"]["columns"].reshape(-1)[:n],
    }


def pack_activations(x: np.ndarray, config: BitModConfig, n_tiles: int = 1, order: Order = "n_outer") -> np.ndarray:
    """Words of ``activations`` for x float16 [M, K]; a tile of rows is sent for each of the ``n_tiles`` tiles of columns."""
    x = check_activations(x)
    tiles = config.tiles(len(x), n_tiles * config.cols, order)
    x = np.pad(x, ((0, 0), (0, -x.shape[1] % config.lanes)))
    beats = x.shape[1] // config.lanes
    x = tiles.split_rows(x).reshape(tiles.m_tiles * config.rows, -1)
    data = x.reshape(tiles.m_tiles, config.rows, beats, config.lanes).transpose(0, 2, 1, 3)
    fields = config.streams["activations"]
    if "exponents" not in [field.name for field in fields]:
        return tiles.send_rows([pack_beats(fields, data=tile, last=last_of(beats)) for tile in data])
    exponents = group_exponents(x, config).reshape(tiles.m_tiles, config.rows, -1).transpose(0, 2, 1)
    exponents = exponents[:, _beats_of_groups(x.shape[1], config)]
    return tiles.send_rows([pack_beats(fields, data=tile, exponents=of_rows, last=last_of(beats))
                            for tile, of_rows in zip(data, exponents, strict=True)])


def unpack_outputs(
    words: np.ndarray, m: int, n: int, config: BitModConfig, order: Order = "n_outer"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N] in the output format and per-tile masks nonfinite, overflow."""
    tiles = config.tiles(m, n, order)
    check_beats("outputs", {"outputs": words}, len(tiles.places) * tiles.beats)
    values = unpack_beats(config.streams["outputs"], words)
    return tiles.from_outputs(values["data"]), tiles.flags_of(values["nonfinite"]), tiles.flags_of(values["overflow"])


def pack_outputs(y: np.ndarray, nonfinite: np.ndarray, config: BitModConfig, order: Order = "n_outer") -> np.ndarray:
    """The words that an engine must send for y [M, N] and the per-tile mask nonfinite: undoes :func:`unpack_outputs`."""
    m, n = y.shape
    tiles = config.tiles(m, n, order)
    data = tiles.to_outputs(y)
    return pack_beats(config.streams["outputs"], data=data, nonfinite=tiles.flag_outputs(nonfinite),
                      overflow=np.isinf(data).any(axis=1), last=last_of(tiles.beats, len(tiles.places)))
