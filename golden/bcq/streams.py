# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of a bcq engine's streams, tile by tile, and their inverse; the published kernels' words."""

from math import ceil

import numpy as np

from ..alignment import check_binary16
from ..parameters import check_integer
from ..streams import check_beats, last_of, pack_beats, unpack_beats
from ..tiles import Order
from .config import BcqConfig, check_operands, scale_fields
from .model import group_exponents
from .quantizer import SCALE_RANGE, QuantizedWeight

__all__ = ["from_kernel_words", "kernel_words", "pack", "pack_activations", "pack_outputs", "unpack", "unpack_outputs"]


def kernel_words(qweight: QuantizedWeight) -> np.ndarray:
    """Planes as the published kernels read them, uint32 [K/32, bits, N]: bit t of a word is 1 where input 32 w + t is +1."""
    n, k = qweight.shape
    if k % 32:
        raise ValueError(f"K must be a multiple of 32, the kernels' word, not {k}")
    ones = (qweight.B > 0).reshape(n, k // 32, 32, qweight.bits).transpose(1, 3, 0, 2)
    return (ones.astype(np.uint32) << np.arange(32, dtype=np.uint32)).sum(axis=3, dtype=np.uint32)


def from_kernel_words(words: np.ndarray) -> np.ndarray:
    """Undo :func:`kernel_words`: planes int8 [N, K, bits]."""
    if words.dtype != np.uint32 or words.ndim != 3:
        raise ValueError(f"words must be uint32 [K/32, bits, N], not {words.dtype} {words.shape}")
    bits = words[..., None] >> np.arange(32, dtype=np.uint32) & 1
    planes = bits.transpose(2, 0, 3, 1).reshape(words.shape[2], -1, words.shape[1])
    return (2 * planes.astype(np.int8) - 1).astype(np.int8)


def pack(
    qweight: QuantizedWeight, config: BcqConfig, m_tiles: int = 1, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Words of ``weights``, ``scales``, ``constants``; a tile of columns is sent for each of the ``m_tiles`` tiles of rows."""
    check_operands(qweight, config)
    check_integer("m_tiles", m_tiles, 1)
    n, k = qweight.shape
    tiles, passes = config.tiles(m_tiles * config.rows, n, order), config.passes(qweight)
    planes = qweight.B[:, :, ::-1] if config.merges else qweight.planes
    bits = np.pad((planes > 0).astype(np.uint8), ((0, 0), (0, -k % config.lanes), (0, 0)))
    beats = _in_passes(tiles.split_columns(bits), config)
    code = np.full(beats.shape[1], passes - 1)
    weights = [pack_beats(config.streams["weights"], plane=tile, format=code, last=last_of(len(tile))) for tile in beats]
    found = scale_fields(qweight, config)
    fields, last = config.streams["scales"], last_of(found.significand[0].size)
    arrays = {name: tiles.split_columns(getattr(found, name)) for name in config.scale_names}
    scales = [pack_beats(fields, alphas={name: _by_pass(array[tile]) for name, array in arrays.items()}, last=last)
              for tile in range(tiles.n_tiles)]
    constants = pack_beats(config.streams["constants"], columns=tiles.split_columns(found.column, fill=1))[:, None]
    return {name: tiles.send_columns(words) for name, words in
            (("weights", weights), ("scales", scales), ("constants", constants))}


def _in_passes(bits, config):
    """Planes [tiles, cols, K, planes] in the order of beats, uint8 [tiles, beats, cols, lanes]."""
    n_tiles, cols, k, planes = bits.shape
    beats = bits.reshape(n_tiles, cols, k // config.lanes, config.lanes, planes).transpose(0, 2, 4, 1, 3)
    groups = [beats[:, start : start + config.group_beats].transpose(0, 2, 1, 3, 4).reshape(n_tiles, -1, cols, config.lanes)
              for start in range(0, beats.shape[1], config.group_beats)]
    return np.concatenate(groups, axis=1)


def _by_pass(scales):
    """[cols, groups, planes] as the beats of ``scales`` [groups * planes, cols]."""
    return scales.transpose(1, 2, 0).reshape(-1, len(scales))


def unpack(
    words: dict[str, np.ndarray], config: BcqConfig, n: int, k: int, m_tiles: int = 1, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Undo :func:`pack`: ``planes`` int8 [N, K, planes] of -1 and +1, ``scales`` float64 [N, groups, planes], offsets last.

    Where planes merge, the one of least weight is the first again, its scale the only one, and ``offset`` is beside it.
    """
    tiles, groups = config.tiles(m_tiles * config.rows, n, order), ceil(k / config.group_size)
    found = {name: unpack_beats(config.streams[name], words[name]) for name in ("weights", "scales", "constants")}
    passes, beats, cols = int(found["weights"]["format"][0]) + 1, ceil(k / config.lanes), tiles.first_of_columns()
    places = len(tiles.places)
    visits = 1 if config.merges else passes
    for name, count in (("weights", beats * passes), ("scales", groups * visits), ("constants", 1)):
        check_beats(name, words, places * count)
    bits = found["weights"]["plane"].reshape(places, beats * passes, config.cols, config.lanes)[cols]
    parts, start = [], 0
    for first in range(0, beats, config.group_beats):
        size = min(config.group_beats, beats - first)
        group = bits[:, start : start + size * passes].reshape(len(cols), passes, size, config.cols, config.lanes)
        parts.append(group.transpose(0, 3, 2, 4, 1).reshape(len(cols) * config.cols, -1, passes))
        start += size * passes
    planes = np.concatenate(parts, axis=1)[:n, :k]
    column = found["constants"]["columns"][cols].reshape(-1)[:n].astype(np.float64)
    alphas = {}
    for name, array in found["scales"]["alphas"].items():
        of_tile = array.reshape(places, groups, visits, config.cols)[cols].transpose(0, 3, 1, 2)
        alphas[name] = of_tile.reshape(-1, groups, visits)[:n]
    unit = np.ldexp(column[:, None, None] * 2.0 ** -(SCALE_RANGE + config.scale_digits), alphas["exponent"])
    values = {"planes": (2 * planes - 1).astype(np.int8), "scales": alphas["significand"] * unit}
    if not config.merges:
        return values
    return {**values, "planes": values["planes"][:, :, ::-1], "offset": alphas["offset"] * unit}


def pack_activations(x: np.ndarray, config: BcqConfig, n_tiles: int = 1, order: Order = "n_outer") -> np.ndarray:
    """Words of ``activations`` for x float16 [M, K]; a tile of rows is sent for each of the ``n_tiles`` tiles of columns."""
    x = check_binary16(x)
    check_integer("n_tiles", n_tiles, 1)
    tiles, beats = config.tiles(len(x), n_tiles * config.cols, order), ceil(x.shape[1] / config.lanes)
    padded = np.pad(x, ((0, 0), (0, -x.shape[1] % config.lanes)))
    data = tiles.split_rows(padded).reshape(tiles.m_tiles, config.rows, beats, config.lanes).transpose(0, 2, 1, 3)
    exponents = np.repeat(group_exponents(x, config), config.group_beats, axis=1)[:, :beats]
    exponents = np.maximum(tiles.split_rows(exponents), 1)  # of rows that fill up, too
    fields = config.streams["activations"]
    return tiles.send_rows([pack_beats(fields, data=tile, exponents=of_rows.T, last=last_of(beats))
                            for tile, of_rows in zip(data, exponents, strict=True)])


def unpack_outputs(
    words: np.ndarray, m: int, n: int, config: BcqConfig, order: Order = "n_outer"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N] in the output format and per-tile masks nonfinite, overflow."""
    tiles = config.tiles(m, n, order)
    check_beats("outputs", {"outputs": words}, len(tiles.places) * tiles.beats)
    values = unpack_beats(config.streams["outputs"], words)
    return tiles.from_outputs(values["data"]), tiles.flags_of(values["nonfinite"]), tiles.flags_of(values["overflow"])


def pack_outputs(y: np.ndarray, nonfinite: np.ndarray, config: BcqConfig, order: Order = "n_outer") -> np.ndarray:
    """The words that an engine must send for y [M, N] and the per-tile mask nonfinite: undoes :func:`unpack_outputs`."""
    m, n = y.shape
    tiles = config.tiles(m, n, order)
    data = tiles.to_outputs(y)
    return pack_beats(config.streams["outputs"], data=data, nonfinite=tiles.flag_outputs(nonfinite),
                      overflow=np.isinf(data).any(axis=1), last=last_of(tiles.beats, len(tiles.places)))
