# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of a Tender engine's streams, tile by tile, and their inverse.

A chunk of rows has its own order of channels, so weights are sent in it, again for each tile. Padding is neutral: zero
codes, zero activations, zero scales and constants.
"""

import numpy as np

from ..streams import check_beats, last_of, pack_beats, unpack_beats
from ..tiles import Order, Tiles
from .config import Beats, TenderConfig, beats_of, check_operands
from .quantizer import Decomposed, QuantizedWeight

__all__ = ["check_divisors", "constants", "pack", "pack_outputs", "unpack", "unpack_outputs"]

SMALLEST, LARGEST_SCALE, LARGEST_CONSTANT = 2.0**-100, 2.0**90, 2.0**126
"""With constants in these ranges no result is subnormal or infinite: the output unit needs no case for them."""


def constants(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    chunk: int,
    beats: Beats,
    correction: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    divisors: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """Scale, constant and, if given, divisor float32 [N] of a chunk's outputs.

    The scale is that of the last group with channels, so the shifts of empty groups behind it are in its exponent: the
    same result as shifting the sum, and it cannot overflow.
    """
    n = qweight.shape[0]
    scale = (float(decomposed.scales[chunk, 0]) * 2.0**beats.trailing * qweight.scales.astype(np.float64)).astype(np.float32)
    constant = np.zeros(n)
    for name, term, shape in (("correction", correction, (len(decomposed.xq), n)), ("bias", bias, (n,))):
        if term is None:
            continue
        term = np.asarray(term, np.float64)
        if term.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, not {term.shape}")
        constant = constant + (term[chunk] if name == "correction" else term)
    wrong = (scale != 0) & ~((scale >= SMALLEST) & (scale <= LARGEST_SCALE))
    if wrong.any():
        raise ValueError("scales of activations and weights must have products of 0 or 2**-100 to 2**90, "
                         f"not {scale[wrong][0]!r}")
    if not np.all(np.abs(constant) <= LARGEST_CONSTANT):
        raise ValueError(f"correction + bias must have a magnitude of at most 2**126, not {np.abs(constant).max()!r}")
    constant = np.where(np.abs(constant) < SMALLEST, 0, constant).astype(np.float32)
    return scale, constant, *(() if divisors is None else (np.broadcast_to(divisors[chunk], n),))


def check_divisors(divisors: np.ndarray | None, decomposed: Decomposed, n: int, config: TenderConfig) -> None:
    """Refuse divisors [C, N] that do not fit what the engine puts out."""
    if not config.requantizes:
        if divisors is not None:
            raise ValueError("divisors must be None for float32 results")
        return
    shape = (len(decomposed.xq), n)
    if divisors is None or np.shape(divisors) != shape or np.asarray(divisors).dtype != np.float32:
        found = "None" if divisors is None else f"{np.asarray(divisors).dtype} {np.shape(divisors)}"
        raise ValueError(f"divisors must be float32 {shape} for {config.output} results, not {found}")
    if not np.all((divisors == 0) | (divisors >= np.finfo(np.float32).tiny) & np.isfinite(divisors)):
        raise ValueError("divisors must be 0 or positive normal float32 numbers")


def _chunk_of_tiles(decomposed: Decomposed, tiles: Tiles) -> list[int]:
    """Chunk of each tile of rows; a tile never spans two."""
    return [i * tiles.rows // decomposed.xq.shape[1] for i in range(tiles.m_tiles)]


def pack(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    config: TenderConfig,
    correction: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    divisors: np.ndarray | None = None,
    order: Order = "n_outer",
) -> dict[str, np.ndarray]:
    """Words of ``weights``, ``activations``, ``constants`` for a whole product; arguments as of :func:`matmul`."""
    check_operands(decomposed, qweight, config)
    check_divisors(divisors, decomposed, qweight.shape[0], config)
    tiles = config.tiles(decomposed.rows, qweight.shape[0], order)
    terms = correction, bias, divisors
    parts = [_pack_chunk(decomposed, qweight, config, chunk, terms, tiles) for chunk in range(len(decomposed.xq))]
    chunks = _chunk_of_tiles(decomposed, tiles)
    return {
        "weights": np.concatenate([parts[chunks[i]]["weights"][j] for i, j in tiles.places]),
        "activations": tiles.send_rows([tile for part in parts for tile in part["activations"]]),
        "constants": np.concatenate([parts[chunks[i]]["constants"][j] for i, j in tiles.places]),
    }


def _pack_chunk(decomposed, qweight, config, chunk, terms, tiles):
    """Words of a chunk: weights and constants for each tile of columns, activations for each of its tiles of rows."""
    beats = beats_of(decomposed, chunk, config.lanes)
    count, rows = len(beats.shifts), decomposed.rows_of(chunk)
    codes = tiles.split_columns(np.pad(qweight.codes, ((0, 0), (0, 1)))[:, beats.flat].reshape(-1, count, config.lanes))
    columns = config.streams["constants"][0].element
    values = {field.name: tiles.split_columns(term) for field, term in
              zip(columns, constants(decomposed, qweight, chunk, beats, *terms), strict=True)}
    words = pack_beats(config.streams["constants"], columns=values)
    xq = np.pad(decomposed.xq[chunk, :rows], ((0, -rows % config.rows), (0, 1)))[:, beats.flat]
    xq = xq.reshape(-1, config.rows, count, config.lanes).transpose(0, 2, 1, 3)
    activations = config.streams["activations"]
    flags = {"shift": beats.shifts, "unsigned": np.full(count, int(decomposed.unsigned)), "last": last_of(count)}
    return {
        "weights": [pack_beats(config.streams["weights"], codes=tile.transpose(1, 0, 2), last=last_of(count))
                    for tile in codes],
        "constants": words[:, None],
        "activations": [pack_beats(activations, data=tile, **flags) for tile in xq],
    }


def unpack(
    words: dict[str, np.ndarray], decomposed: Decomposed, n: int, config: TenderConfig, order: Order = "n_outer"
) -> dict[str, np.ndarray]:
    """Undo :func:`pack`, by the order of channels that ``decomposed`` gives.

    Returns
    -------
    dict
        ``codes`` int8 [C, N, K], ``xq`` int16 [rows, K], ``scales`` and ``constants`` float32 [C, N], all of the first tile
        that carries them.
    """
    chunks, chunk_size, k = decomposed.xq.shape
    tiles = config.tiles(decomposed.rows, n, order)
    layout = [beats_of(decomposed, chunk, config.lanes) for chunk in range(chunks)]
    chunk_of = _chunk_of_tiles(decomposed, tiles)
    counts = [len(layout[chunk_of[i]].shifts) for i, _ in tiles.places]
    for stream, beats in (("weights", sum(counts)), ("activations", sum(counts)), ("constants", len(counts))):
        check_beats(stream, words, beats)
    starts = np.cumsum([0, *counts])
    weights = _signed(unpack_beats(config.streams["weights"], words["weights"])["codes"], config.bits_w)
    data = unpack_beats(config.streams["activations"], words["activations"])["data"]
    data = data if decomposed.unsigned else _signed(data, config.bits_a)
    columns = unpack_beats(config.streams["constants"], words["constants"])["columns"]
    found = {"codes": np.zeros((chunks, n, k), np.int8), "xq": np.zeros((decomposed.rows, k), np.int16),
             "scales": np.zeros((chunks, n), np.float32), "constants": np.zeros((chunks, n), np.float32)}
    for number in reversed(range(len(counts))):  # the first that carries something is written last
        i, j = tiles.places[number]
        chunk = chunk_of[i]
        flat, beats = layout[chunk].flat, slice(starts[number], starts[number + 1])
        real = flat < k
        rows = slice(i * config.rows, min((i + 1) * config.rows, decomposed.rows))
        cols = slice(j * config.cols, min((j + 1) * config.cols, n))
        block = weights[beats].transpose(1, 0, 2).reshape(config.cols, -1)
        found["codes"][chunk, cols][:, flat[real]] = block[: cols.stop - cols.start, real]
        block = data[beats].transpose(1, 0, 2).reshape(config.rows, -1)
        found["xq"][rows][:, flat[real]] = block[: rows.stop - rows.start, real]
        for name, term in (("scales", "scale"), ("constants", "constant")):
            found[name][chunk, cols] = columns[term][number, : cols.stop - cols.start]
    return found


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    return values - ((values >> (bits - 1)) << bits)


def unpack_outputs(
    words: np.ndarray, m: int, n: int, config: TenderConfig, order: Order = "n_outer"
) -> tuple[np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N], float32 or int16, and the per-tile mask overflow."""
    tiles = config.tiles(m, n, order)
    check_beats("outputs", {"outputs": words}, len(tiles.places) * tiles.beats)
    values = unpack_beats(config.streams["outputs"], words)
    y = tiles.from_outputs(values["data"])
    y = _signed(y, config.output_bits) if config.output.startswith("int") else y
    return y.astype(np.int16) if config.requantizes else y, tiles.flags_of(values["overflow"])


def pack_outputs(
    y: np.ndarray, overflow: np.ndarray, filling: np.ndarray, config: TenderConfig, order: Order = "n_outer"
) -> np.ndarray:
    """The words that an engine must send for y [M, N] and the per-tile mask overflow.

    ``filling`` [N] is what comes out for the rows that fill up the last tile, see :func:`subbyte.golden.tender.filling`.
    """
    m, n = y.shape
    tiles = config.tiles(m, n, order)
    y = np.concatenate([y, np.tile(filling.astype(y.dtype), (tiles.m_tiles * config.rows - len(y), 1))])
    data = tiles.to_outputs(y if config.requantizes else y.astype(np.float32))
    return pack_beats(config.streams["outputs"], data=data, overflow=tiles.flag_outputs(overflow),
                      last=last_of(tiles.beats, len(tiles.places)))
