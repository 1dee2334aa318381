# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of a bipolar engine's streams, tile by tile, and their inverse.

Weights leave plane by plane: for each ``lanes`` elements of K all planes, lowest first, ``lanes`` bits for every column.
Padding is equal bits, zeros, in both operands: no XOR counts them.
"""

from math import ceil
from typing import Any

import numpy as np

from ..parameters import check_integer
from ..streams import check_beats, last_of, pack_beats, unpack_beats
from ..tiles import Order
from .config import BipolarConfig, check_operands, format_code
from .model import corrections, folded_scales
from .quantizer import QuantizedActivations, QuantizedWeight, check_activations

__all__ = ["pack", "pack_activations", "pack_outputs", "pack_tokens", "unpack", "unpack_outputs"]


def pack(
    x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Words of all streams of a product. Of the activations the constants depend on bits and signs alone."""
    x = check_activations(x)
    check_operands(x, qweight, config)
    fix = corrections(x, qweight)
    tiles = config.tiles(len(x), qweight.shape[0], order)
    planes = _planes(tiles.split_columns(qweight.codes), qweight.bits, config.lanes)
    beats = planes.shape[1]
    code = np.full(beats, format_code(x.bits, qweight.bits))
    weights = [pack_beats(config.streams["weights"], planes=tile, format=code, last=last_of(beats)) for tile in planes]
    columns = {"addend": tiles.split_columns(fix.columns)}
    if config.has_scales:
        columns["scale"] = tiles.split_columns(qweight.scales)
    common = {} if config.has_scales else {"common": {"halvings": np.full(tiles.n_tiles, fix.halvings)}}
    constants = pack_beats(config.streams["constants"], columns=columns, **common)[:, None]
    scales = {}
    if qweight.scale_codes is not None:
        groups = tiles.split_columns(qweight.scale_codes).transpose(0, 2, 1)
        fields = config.streams["scales"]
        scales = {"scales": tiles.send_columns([pack_beats(fields, codes=tile, last=last_of(len(tile))) for tile in groups])}
    return {
        "weights": tiles.send_columns(weights),
        "activations": pack_activations(x, config, tiles.n_tiles, order),
        **scales,
        "constants": tiles.send_columns(constants),
        "tokens": pack_tokens(x, qweight, config, order),
    }


def _planes(codes, bits, lanes):
    """Codes [tiles, cols, K] as the planes of a tile's beats, uint8 [tiles, beats, cols, lanes]."""
    codes = np.pad(codes, ((0, 0), (0, 0), (0, -codes.shape[2] % lanes)))
    n_tiles, cols, k = codes.shape
    codes = codes.reshape(n_tiles, cols, k // lanes, 1, lanes)
    planes = codes >> np.arange(bits, dtype=np.uint8)[:, None] & 1
    return planes.transpose(0, 2, 3, 1, 4).reshape(n_tiles, -1, cols, lanes)


def pack_activations(
    x: np.ndarray | QuantizedActivations, config: BipolarConfig, n_tiles: int = 1, order: Order = "n_outer"
) -> np.ndarray:
    """Words of ``activations`` for x [M, K]; a tile of rows is sent for each of the ``n_tiles`` tiles of columns."""
    check_integer("n_tiles", n_tiles, 1)
    codes = check_activations(x).codes
    tiles = config.tiles(len(codes), n_tiles * config.cols, order)
    codes = np.pad(codes, ((0, 0), (0, -codes.shape[1] % config.lanes)))
    beats = codes.shape[1] // config.lanes
    data = tiles.split_rows(codes).reshape(tiles.m_tiles, config.rows, beats, config.lanes).transpose(0, 2, 1, 3)
    return tiles.send_rows([pack_beats(config.streams["activations"], data=tile, last=last_of(beats)) for tile in data])


def pack_tokens(
    x: np.ndarray | QuantizedActivations, qweight: QuantizedWeight, config: BipolarConfig, order: Order = "n_outer"
) -> np.ndarray:
    """Words of ``tokens`` for x [M, K], likewise; the sums of rows are there if the weights are two's complement."""
    x = check_activations(x)
    fix = corrections(x, qweight)
    tiles = config.tiles(len(x), qweight.shape[0], order)
    rows = {"addend": tiles.split_rows(fix.rows)}
    if config.has_scales:
        rows["scale"] = tiles.split_rows(folded_scales(x, fix.halvings))
    return tiles.send_rows(pack_beats(config.streams["tokens"], rows=rows)[:, None])


def unpack(
    words: dict[str, np.ndarray], config: BipolarConfig, m: int, n: int, k: int, order: Order = "n_outer"
) -> dict[str, Any]:
    """Undo :func:`pack`.

    Returns
    -------
    dict
        ``weights`` uint8 [N, K] and ``activations`` uint8 [M, K], codes; ``format``; ``columns`` [N] and ``rows`` [M], what is
        added; ``column_scales``, ``row_scales`` float32 if results are scaled, ``halvings`` if not; with groups ``scale_codes``
        uint8 [N, groups].
    """
    tiles, groups = config.tiles(m, n, order), ceil(k / config.lanes)
    found = {name: unpack_beats(fields, words[name]) for name, fields in config.streams.items() if name != "outputs"}
    code = int(found["weights"]["format"][0])
    bits_w, places = (code & 7) + 1, len(tiles.places)
    for name, beats in (("weights", groups * bits_w), ("activations", groups), ("constants", 1), ("tokens", 1)):
        check_beats(name, words, places * beats)
    rows, cols = tiles.first_of_rows(), tiles.first_of_columns()
    planes = found["weights"]["planes"].reshape(places, groups, bits_w, config.cols, config.lanes)[cols]
    codes = (planes << np.arange(bits_w)[:, None, None]).sum(axis=2).transpose(0, 2, 1, 3)
    data = found["activations"]["data"].reshape(places, groups, config.rows, config.lanes)[rows].transpose(0, 2, 1, 3)
    columns, tokens = found["constants"]["columns"], found["tokens"]["rows"]
    result: dict[str, Any] = {
        "weights": codes.reshape(len(cols) * config.cols, -1)[:n, :k].astype(np.uint8),
        "activations": data.reshape(len(rows) * config.rows, -1)[:m, :k].astype(np.uint8),
        "format": code,
        "columns": columns["addend"][cols].reshape(-1)[:n],
        "rows": tokens["addend"][rows].reshape(-1)[:m],
    }
    if config.has_groups:
        check_beats("scales", words, places * groups)
        scale_codes = found["scales"]["codes"].reshape(places, groups, config.cols)[cols].transpose(0, 2, 1)
        result["scale_codes"] = scale_codes.reshape(-1, groups)[:n].astype(np.uint8)
    if config.has_scales:
        return result | {"column_scales": columns["scale"][cols].reshape(-1)[:n],
                         "row_scales": tokens["scale"][rows].reshape(-1)[:m]}
    return result | {"halvings": int(found["constants"]["common"]["halvings"][0])}


def unpack_outputs(
    words: np.ndarray, m: int, n: int, config: BipolarConfig, order: Order = "n_outer"
) -> tuple[np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N] in the output format, and the per-tile mask overflow."""
    tiles = config.tiles(m, n, order)
    check_beats("outputs", {"outputs": words}, len(tiles.places) * tiles.beats)
    values = unpack_beats(config.streams["outputs"], words)
    overflow = values.get("overflow", np.zeros(len(words), np.int64))
    return tiles.from_outputs(values["data"]).astype(config.output), tiles.flags_of(overflow)


def pack_outputs(y: np.ndarray, m: int, n: int, config: BipolarConfig, order: Order = "n_outer") -> np.ndarray:
    """The words that an engine must send for a product [m, n], from the results y of whole tiles."""
    tiles = config.tiles(m, n, order)
    data = tiles.to_outputs(y)
    overflow = {"overflow": np.isinf(data).any(axis=1)} if config.has_scales else {}
    return pack_beats(config.streams["outputs"], data=data, last=last_of(tiles.beats, len(tiles.places)), **overflow)
