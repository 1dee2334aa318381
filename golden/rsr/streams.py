# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of an RSR engine's streams, tile by tile (N outer, M inner), and their inverse.

The array adds activations in offset binary, a + 128, and one's complements of them; what that adds too much depends on the
weights alone and is summed here into one offset a column (:func:`column_offsets`). Padding is neutral: zero weights.
"""

from functools import cache
from math import ceil

import numpy as np

from ..streams import Field, pack_beats, unpack_beats
from .codes import fold, folded_digits, pack_trits, unfold, unpack_trits
from .config import RsrConfig, check_weight
from .quantizer import QuantizedActivations, QuantizedWeight, check_activations

__all__ = [
    "activation_fields", "column_offsets", "output_fields", "pack", "pack_activations", "pack_outputs", "pack_tokens",
    "scale_fields", "token_fields", "unpack", "unpack_outputs", "weight_fields",
]

OUTPUT_DTYPES = {"float32": np.uint32, "float16": np.uint16, "int32": np.uint32}


def weight_fields(config: RsrConfig) -> list[Field]:
    """Payload of ``weights``: the trits [cols][lanes] in order, five a byte or folded by mu."""
    return [Field("codes", config.code_bits, config.codes_per_beat), Field("last", 1)]


def activation_fields(config: RsrConfig) -> list[Field]:
    """Payload of ``activations``: INT8 [rows][lanes]."""
    return [Field("data", 8, config.rows * config.lanes), Field("last", 1)]


def scale_fields(config: RsrConfig) -> list[Field]:
    """Payload of ``scales``, one beat a tile: an offset a column, with scales a binary32 one too, or one for the tile."""
    per_channel = config.has_scales and config.granularity == "channel"
    return [
        Field("columns", config.accumulator_bits + 32 * per_channel, config.cols),
        *([Field("scale", 32)] if config.has_scales and not per_channel else []),
        Field("last", 1),
    ]


def token_fields(config: RsrConfig) -> list[Field]:
    """Payload of ``tokens``, one beat a tile: a binary32 scale a row. There is no such stream without scales."""
    return [Field("scales", 32, config.rows)]


def output_fields(config: RsrConfig) -> list[Field]:
    """Payload of ``outputs``."""
    width = 16 if config.output == "float16" else 32
    return [Field("data", width, config.drain), *([Field("overflow", 1)] if config.has_scales else []), Field("last", 1)]


def _last(beats: int) -> np.ndarray:
    return np.arange(beats) == beats - 1


def _tiles(qweight: QuantizedWeight, config: RsrConfig) -> np.ndarray:
    """Trits [tiles, beats, cols, lanes]."""
    n, k = qweight.shape
    padded = np.pad(qweight.values, ((0, -n % config.cols), (0, -k % config.lanes)))
    return padded.reshape(-1, config.cols, padded.shape[1] // config.lanes, config.lanes).transpose(0, 2, 1, 3)


@cache
def _excess(config: RsrConfig) -> np.ndarray:
    """What a term of each |t| [entries + 1] and sign [2] adds beside its sum of activations: 128 for each activation of a
    sum, 127 for a complemented one; and the complement of that if the whole term is complemented."""
    digits = folded_digits(config.group)
    excess = 128 * (digits == 1).sum(axis=1) + 127 * (digits == -1).sum(axis=1)
    return np.stack([excess, np.where(excess, (1 << config.term_bits) - 1 - excess, 0)], axis=1)


def column_offsets(qweight: QuantizedWeight, config: RsrConfig) -> np.ndarray:
    """What is added to each output's accumulator, int64 [N]: minus the excess of all its terms."""
    values = np.pad(qweight.values, ((0, 0), (0, -qweight.shape[1] % config.lanes)))
    codes = fold(values.reshape(len(values), -1, config.group))
    sign_bit = (len(_excess(config)) - 1).bit_length()
    return -_excess(config)[codes & (1 << sign_bit) - 1, codes >> sign_bit].sum(axis=1)


def pack(qweight: QuantizedWeight, config: RsrConfig, m_tiles: int = 1) -> dict[str, np.ndarray]:
    """Words of ``weights`` and ``scales``; a tile of columns is sent ``m_tiles`` times, once for each tile of rows."""
    check_weight(qweight, config)
    if m_tiles < 1:
        raise ValueError(f"m_tiles must be at least 1, not {m_tiles!r}")
    trits = _tiles(qweight, config)
    count, beats = trits.shape[:2]
    flat = trits.reshape(count, beats, -1)
    codes = pack_trits(flat) if config.has_trit_bytes else fold(flat.reshape(count, beats, -1, config.mu))
    weights = pack_beats(weight_fields(config), codes=codes.reshape(count * beats, -1), last=np.tile(_last(beats), count))
    columns = _pad_columns(column_offsets(qweight, config), config) & (1 << config.accumulator_bits) - 1
    fields = scale_fields(config)
    values = {"last": np.ones(count, np.int64)}
    if fields[1].name == "scale":
        values["scale"] = np.full(count, qweight.scales.view(np.uint32)[0])
    elif config.has_scales:
        scales = np.broadcast_to(qweight.scales, len(qweight.values)).view(np.uint32).astype(np.int64)
        columns |= _pad_columns(scales, config) << config.accumulator_bits
    scales = pack_beats(fields, columns=columns, **values)
    return {"weights": _repeat(weights.reshape(count, beats, -1), m_tiles), "scales": _repeat(scales[:, None], m_tiles)}


def _pad_columns(values: np.ndarray, config: RsrConfig) -> np.ndarray:
    """[N] to [tiles, cols]."""
    return np.pad(values, (0, -len(values) % config.cols)).reshape(-1, config.cols)


def _repeat(words: np.ndarray, times: int) -> np.ndarray:
    """Words [tiles, beats, bytes], each tile several times, as [beats, bytes]."""
    return np.repeat(words, times, axis=0).reshape(-1, words.shape[-1])


def unpack(words: dict[str, np.ndarray], config: RsrConfig, n: int, k: int, m_tiles: int = 1) -> dict[str, np.ndarray]:
    """Undo :func:`pack`: values int8 [N, K], offsets int64 [N], and float32 scales [1] or [N] if there are any."""
    tiles, beats = ceil(n / config.cols), ceil(k / config.lanes)
    _check_beats("weights", words, tiles * m_tiles * beats)
    _check_beats("scales", words, tiles * m_tiles)
    codes = unpack_beats(weight_fields(config), words["weights"])["codes"].reshape(tiles, m_tiles, beats, -1)[:, 0]
    count = config.cols * config.lanes
    trits = unpack_trits(codes, count) if config.has_trit_bytes else unfold(codes, config.mu)
    values = trits.reshape(tiles, beats, config.cols, config.lanes).transpose(0, 2, 1, 3)
    scales = {name: array[::m_tiles] for name, array in unpack_beats(scale_fields(config), words["scales"]).items()}
    columns = scales["columns"].ravel()[:n]
    width = config.accumulator_bits
    offsets = columns & (1 << width) - 1
    result = {
        "values": values.reshape(tiles * config.cols, -1)[:n, :k].astype(np.int8),
        "offsets": offsets - (offsets >> width - 1 << width),
    }
    if config.has_scales:
        bits = scales["scale"][0] if "scale" in scales else columns >> width
        result["scales"] = bits.astype(np.uint32).view(np.float32)
    return result


def _check_beats(stream: str, words: dict[str, np.ndarray], beats: int) -> None:
    if len(words[stream]) != beats:
        raise ValueError(f"{stream} must have {beats} beats, not {len(words[stream])}")


def pack_activations(x: np.ndarray | QuantizedActivations, config: RsrConfig, n_tiles: int = 1) -> np.ndarray:
    """Words of ``activations`` for x [M, K], the whole of x sent once for each tile of columns."""
    values = check_activations(x).values
    m, k = values.shape
    values = np.pad(values, ((0, -m % config.rows), (0, -k % config.lanes)))
    beats = values.shape[1] // config.lanes
    tiles = values.reshape(-1, config.rows, beats, config.lanes).transpose(0, 2, 1, 3)
    data = tiles.reshape(len(tiles) * beats, -1)
    words = pack_beats(activation_fields(config), data=data, last=np.tile(_last(beats), len(tiles)))
    return np.tile(words, (n_tiles, 1))


def pack_tokens(x: np.ndarray | QuantizedActivations, config: RsrConfig, n_tiles: int = 1) -> np.ndarray:
    """Words of ``tokens`` for x [M, K], the whole of x sent once for each tile of columns."""
    scales = check_activations(x).scales
    scales = np.pad(scales, (0, -len(scales) % config.rows)).view(np.uint32).reshape(-1, config.rows)
    return np.tile(pack_beats(token_fields(config), scales=scales.astype(np.int64)), (n_tiles, 1))


def unpack_outputs(words: np.ndarray, m: int, n: int, config: RsrConfig) -> tuple[np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N] in the output format, and the per-tile mask overflow."""
    m_tiles, n_tiles = ceil(m / config.rows), ceil(n / config.cols)
    beats = config.timing.drain_beats
    _check_beats("outputs", {"outputs": words}, m_tiles * n_tiles * beats)
    values = unpack_beats(output_fields(config), words)
    data = values["data"].reshape(n_tiles, m_tiles, config.rows, config.cols).transpose(1, 2, 0, 3)
    y = data.reshape(m_tiles * config.rows, n_tiles * config.cols)[:m, :n]
    overflow = values.get("overflow", np.zeros((len(words), 1), np.int64)).reshape(n_tiles, m_tiles, beats).any(axis=2).T
    return y.astype(OUTPUT_DTYPES[config.output]).view(np.dtype(config.output)), overflow


def pack_outputs(y: np.ndarray, config: RsrConfig) -> np.ndarray:
    """The words that an engine must send for y [M, N]: undoes :func:`unpack_outputs`."""
    m_tiles, n_tiles = ceil(len(y) / config.rows), ceil(y.shape[1] / config.cols)
    padded = np.pad(y, ((0, m_tiles * config.rows - len(y)), (0, n_tiles * config.cols - y.shape[1])))
    tiles = padded.reshape(m_tiles, config.rows, n_tiles, config.cols).transpose(2, 0, 1, 3)
    data = np.ascontiguousarray(tiles).reshape(-1, config.drain)
    values = {
        "data": data.view(OUTPUT_DTYPES[config.output]).astype(np.int64),
        "overflow": np.isinf(data).any(axis=1),
        "last": np.tile(_last(config.timing.drain_beats), m_tiles * n_tiles),
    }
    return pack_beats(output_fields(config), **{field.name: values[field.name] for field in output_fields(config)})
