# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of a BitMoD engine's streams, tile by tile (N outer, M inner), and their inverse.

Decided here: integer codes are sign-extended to the engine's slot, so that the RTL needs no width of its own for them; FP
codes are zero-extended. Padding is neutral: zero codes, zero scale codes, zero activations.
"""

from math import ceil

import numpy as np

from ..streams import Field, pack_beats, unpack_beats
from .config import BitModConfig, check_activations, check_weight
from .formats import Format
from .quantizer import QuantizedWeight

__all__ = [
    "activation_fields",
    "output_fields",
    "pack",
    "pack_activations",
    "pack_outputs",
    "scale_fields",
    "unpack",
    "unpack_outputs",
    "weight_fields",
]

FORMAT_BITS = 3
SELECTOR_BITS = 2
OUTPUT_DTYPES = {"float32": np.uint32, "float16": np.uint16}


def weight_fields(config: BitModConfig) -> list[Field]:
    """Payload of ``weights``; codes are [cols][lanes], selectors matter in a group's first beat only (if there are any)."""
    has_selectors = any(fmt.is_float for fmt in config.formats)
    return [
        Field("codes", config.code_bits, config.cols * config.lanes),
        *([Field("selectors", SELECTOR_BITS, config.cols)] if has_selectors else []),
        Field("format", FORMAT_BITS),
        Field("last", 1),
    ]


def activation_fields(config: BitModConfig) -> list[Field]:
    """Payload of ``activations``: binary16 [rows][lanes]."""
    return [Field("data", 16, config.rows * config.lanes), Field("last", 1)]


def scale_fields(config: BitModConfig) -> list[Field]:
    """Payload of ``scales``: one element a column, a group's scale code or (``last``) the binary32 channel scale."""
    return [Field("data", 32, config.cols), Field("last", 1)]


def output_fields(config: BitModConfig) -> list[Field]:
    """Payload of ``outputs``."""
    width = 32 if config.output == "float32" else 16
    return [Field("data", width, config.drain), Field("nonfinite", 1), Field("overflow", 1), Field("last", 1)]


def _beats_of_groups(k: int, config: BitModConfig) -> np.ndarray:
    """Group index of each beat of a tile."""
    return np.arange(ceil(k / config.lanes)) // config.group_beats


def _last(beats: int) -> np.ndarray:
    return np.arange(beats) == beats - 1


def _columns(array: np.ndarray, config: BitModConfig, fill: float = 0) -> np.ndarray:
    """[N, X] to [tiles, cols, X]."""
    padded = np.pad(array, ((0, -len(array) % config.cols), (0, 0)), constant_values=fill)
    return padded.reshape(-1, config.cols, array.shape[1])


def pack(qweight: QuantizedWeight, config: BitModConfig, m_tiles: int = 1) -> dict[str, np.ndarray]:
    """Words of ``weights`` and ``scales``; a tile of columns is sent ``m_tiles`` times, once for each tile of rows."""
    check_weight(qweight, config)
    if m_tiles < 1:
        raise ValueError(f"m_tiles must be at least 1, not {m_tiles!r}")
    k = qweight.shape[1]
    formats = np.asarray(qweight.group_formats, np.int64)
    signed = np.repeat([not Format(f).is_float for f in formats], config.group_size)[:k]
    slots = np.where(signed, qweight.values, qweight.codes).astype(np.int64)
    slots = np.pad(slots, ((0, 0), (0, -k % config.lanes)))
    group_of_beat = _beats_of_groups(k, config)
    beats = len(group_of_beat)
    weights, scales = [], []
    codes = _columns(slots, config).reshape(-1, config.cols, beats, config.lanes)
    channel_scales = _columns(qweight.channel_scales[:, None], config, fill=1).view(np.uint32).astype(np.int64)
    group_scales = _columns(qweight.scale_codes, config)
    selectors = _columns(qweight.selectors, config)
    fields = weight_fields(config)
    for tile in range(len(codes)):
        values = {
            "codes": codes[tile].transpose(1, 0, 2).reshape(beats, -1),
            "selectors": selectors[tile].T[group_of_beat],
            "format": formats[group_of_beat],
            "last": _last(beats),
        }
        weights += m_tiles * [pack_beats(fields, **{field.name: values[field.name] for field in fields})]
        data = np.concatenate([group_scales[tile].T, channel_scales[tile].T])
        scales += m_tiles * [pack_beats(scale_fields(config), data=data, last=_last(len(data)))]
    return {"weights": np.concatenate(weights), "scales": np.concatenate(scales)}


def unpack(words: dict[str, np.ndarray], config: BitModConfig, n: int, k: int, m_tiles: int = 1) -> dict[str, np.ndarray]:
    """Undo :func:`pack`.

    Returns codes uint8 [N, K], group_formats [groups], selectors and scale_codes uint8 [N, groups], channel_scales [N].
    """
    group_of_beat = _beats_of_groups(k, config)
    beats, groups = len(group_of_beat), group_of_beat[-1] + 1
    tiles = ceil(n / config.cols)
    _check_beats("weights", words, tiles * m_tiles * beats)
    _check_beats("scales", words, tiles * m_tiles * (groups + 1))
    first = [tile * m_tiles for tile in range(tiles)]
    weights = {
        name: array.reshape(tiles * m_tiles, beats, -1)[first]
        for name, array in unpack_beats(weight_fields(config), words["weights"]).items()
    }
    scales = unpack_beats(scale_fields(config), words["scales"])["data"].reshape(tiles * m_tiles, groups + 1, -1)[first]
    starts = np.arange(groups) * config.group_beats
    formats = weights["format"][0, starts, 0]
    slots = weights["codes"].reshape(tiles, beats, config.cols, config.lanes).transpose(0, 2, 1, 3)
    masks = np.repeat([(1 << Format(f).bits) - 1 for f in formats], config.group_size)[:k]
    selectors = weights.get("selectors", np.zeros((tiles, beats, config.cols), np.int64))[:, starts]
    columns = scales.transpose(0, 2, 1).reshape(-1, groups + 1)[:n]
    return {
        "codes": (slots.reshape(tiles * config.cols, -1)[:n, :k] & masks).astype(np.uint8),
        "group_formats": formats,
        "selectors": selectors.transpose(0, 2, 1).reshape(-1, groups)[:n].astype(np.uint8),
        "scale_codes": columns[:, :-1].astype(np.uint8),
        "channel_scales": columns[:, -1].astype(np.uint32).view(np.float32),
    }


def _check_beats(stream: str, words: dict[str, np.ndarray], beats: int) -> None:
    if len(words[stream]) != beats:
        raise ValueError(f"{stream} must have {beats} beats, not {len(words[stream])}")


def pack_activations(x: np.ndarray, config: BitModConfig, n_tiles: int = 1) -> np.ndarray:
    """Words of ``activations`` for x float16 [M, K], the whole of x sent once for each tile of columns."""
    x = check_activations(x)
    m, k = x.shape
    x = np.pad(x, ((0, -m % config.rows), (0, -k % config.lanes)))
    beats = x.shape[1] // config.lanes
    tiles = x.view(np.uint16).reshape(-1, config.rows, beats, config.lanes).transpose(0, 2, 1, 3)
    bits = tiles.reshape(len(tiles) * beats, -1).astype(np.int64)
    words = pack_beats(activation_fields(config), data=bits, last=np.tile(_last(beats), len(tiles)))
    return np.tile(words, (n_tiles, 1))


def unpack_outputs(words: np.ndarray, m: int, n: int, config: BitModConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N] in the output format and per-tile masks nonfinite, overflow."""
    m_tiles, n_tiles = ceil(m / config.rows), ceil(n / config.cols)
    beats = config.timing.drain_beats
    _check_beats("outputs", {"outputs": words}, m_tiles * n_tiles * beats)
    values = unpack_beats(output_fields(config), words)
    data = values["data"].reshape(n_tiles, m_tiles, config.rows, config.cols).transpose(1, 2, 0, 3)
    y = data.reshape(m_tiles * config.rows, n_tiles * config.cols)[:m, :n]
    flags = [values[name].reshape(n_tiles, m_tiles, beats).any(axis=2).T for name in ("nonfinite", "overflow")]
    return y.astype(OUTPUT_DTYPES[config.output]).view(np.dtype(config.output)), *flags


def pack_outputs(y: np.ndarray, nonfinite: np.ndarray, config: BitModConfig) -> np.ndarray:
    """The words that an engine must send for y [M, N] and the per-tile mask nonfinite: undoes :func:`unpack_outputs`."""
    beats = config.timing.drain_beats
    m_tiles, n_tiles = nonfinite.shape
    padded = np.pad(y, ((0, m_tiles * config.rows - len(y)), (0, n_tiles * config.cols - y.shape[1])))
    tiles = padded.reshape(m_tiles, config.rows, n_tiles, config.cols).transpose(2, 0, 1, 3)
    data = tiles.reshape(-1, config.drain)
    return pack_beats(
        output_fields(config),
        data=data.view(OUTPUT_DTYPES[config.output]).astype(np.int64),
        nonfinite=np.repeat(nonfinite.T.ravel(), beats),
        overflow=np.isinf(data).any(axis=1),
        last=np.tile(_last(beats), m_tiles * n_tiles),
    )
