# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The exact words of a Tender engine's streams, tile by tile (N outer, M inner), and their inverse.

A chunk of rows has its own order of channels, so weights are sent in it, again for each tile. Padding is neutral: zero
codes, zero activations, zero scales and constants.
"""

from math import ceil

import numpy as np

from ..streams import Field, pack_beats, unpack_beats
from .config import Beats, TenderConfig, beats_of, check_operands
from .quantizer import Decomposed, QuantizedWeight

__all__ = [
    "activation_fields",
    "check_divisors",
    "constants",
    "output_fields",
    "pack",
    "pack_outputs",
    "scale_fields",
    "unpack",
    "unpack_outputs",
    "weight_fields",
]

SMALLEST, LARGEST_SCALE, LARGEST_CONSTANT = 2.0**-100, 2.0**90, 2.0**126
"""With constants in these ranges no result is subnormal or infinite: the output unit needs no case for them."""


def weight_fields(config: TenderConfig) -> list[Field]:
    """Payload of ``weights``; codes are [cols][lanes]."""
    return [Field("codes", config.bits_w, config.cols * config.lanes), Field("last", 1)]


def activation_fields(config: TenderConfig) -> list[Field]:
    """Payload of ``activations``; data are [rows][lanes]."""
    return [Field("data", config.bits_a, config.rows * config.lanes), Field("shift", 1), Field("unsigned", 1), Field("last", 1)]


def scale_fields(config: TenderConfig) -> list[Field]:
    """Payload of ``scales``, all binary32: for each column scale, constant and, if the engine requantizes, divisor."""
    return [Field("data", 32, (2 + config.requantizes) * config.cols), Field("last", 1)]


def output_fields(config: TenderConfig) -> list[Field]:
    """Payload of ``outputs``."""
    return [Field("data", config.output_bits, config.drain), Field("overflow", 1), Field("last", 1)]


def constants(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    chunk: int,
    beats: Beats,
    correction: np.ndarray | None,
    bias: np.ndarray | None,
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


def _last(beats: int) -> np.ndarray:
    return np.arange(beats) == beats - 1


def _columns(array: np.ndarray, config: TenderConfig) -> np.ndarray:
    """[N, ...] to [tiles, cols, ...]."""
    padded = np.pad(array, ((0, -len(array) % config.cols),) + ((0, 0),) * (array.ndim - 1))
    return padded.reshape(-1, config.cols, *array.shape[1:])


def pack(
    decomposed: Decomposed,
    qweight: QuantizedWeight,
    config: TenderConfig,
    correction: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    divisors: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Words of ``weights``, ``activations`` and ``scales`` for a whole product; arguments as of :func:`matmul`."""
    check_operands(decomposed, qweight, config)
    check_divisors(divisors, decomposed, qweight.shape[0], config)
    terms = correction, bias, divisors
    parts = [_pack_chunk(decomposed, qweight, config, chunk, terms) for chunk in range(len(decomposed.xq))]
    n_tiles = ceil(qweight.shape[0] / config.cols)
    weights, scales = ([part[name][tile] for tile in range(n_tiles) for part in parts for _ in range(part["m_tiles"])]
                       for name in ("weights", "scales"))
    activations = np.concatenate([part["activations"] for part in parts])
    return {
        "weights": np.concatenate(weights),
        "activations": np.tile(activations, (n_tiles, 1)),
        "scales": np.concatenate(scales),
    }


def _pack_chunk(decomposed, qweight, config, chunk, terms):
    """Words of a chunk: weights and scales for each tile of columns, activations of all its tiles of rows."""
    beats = beats_of(decomposed, chunk, config.lanes)
    count, rows = len(beats.shifts), decomposed.rows_of(chunk)
    codes = np.pad(qweight.codes, ((0, 0), (0, 1)))[:, beats.flat].reshape(-1, count, config.lanes)
    words = constants(decomposed, qweight, chunk, beats, *terms)
    words = _columns(np.stack(words, axis=1).view(np.uint32).astype(np.int64), config)
    xq = np.pad(decomposed.xq[chunk, :rows], ((0, -rows % config.rows), (0, 1)))[:, beats.flat]
    tiles = xq.reshape(-1, config.rows, count, config.lanes).transpose(0, 2, 1, 3)
    # An unsigned number above the signed range has the bits of a negative one.
    bits = (tiles.astype(np.int64) + 2 ** (config.bits_a - 1)) % 2**config.bits_a - 2 ** (config.bits_a - 1)
    return {
        "m_tiles": len(tiles),
        "weights": [pack_beats(weight_fields(config), codes=tile.transpose(1, 0, 2).reshape(count, -1), last=_last(count))
                    for tile in _columns(codes, config)],
        "scales": [pack_beats(scale_fields(config), data=tile.reshape(1, -1), last=_last(1)) for tile in words],
        "activations": pack_beats(
            activation_fields(config),
            data=bits.reshape(len(tiles) * count, -1),
            shift=np.tile(beats.shifts, len(tiles)),
            unsigned=np.full(len(tiles) * count, int(decomposed.unsigned)),
            last=np.tile(_last(count), len(tiles)),
        ),
    }


def unpack(words: dict[str, np.ndarray], decomposed: Decomposed, n: int, config: TenderConfig) -> dict[str, np.ndarray]:
    """Undo :func:`pack`, by the order of channels that ``decomposed`` gives.

    Returns
    -------
    dict
        ``codes`` int8 [C, N, K], ``xq`` int16 [rows, K], ``scales`` and ``constants`` float32 [C, N], all of the first tile
        that carries them.
    """
    chunks, _, k = decomposed.xq.shape
    layout = [beats_of(decomposed, chunk, config.lanes) for chunk in range(chunks)]
    m_tiles = [ceil(decomposed.rows_of(chunk) / config.rows) for chunk in range(chunks)]
    n_tiles = ceil(n / config.cols)
    per_pass = sum(tiles * len(beats.shifts) for tiles, beats in zip(m_tiles, layout, strict=True))
    for stream, beats in (("weights", per_pass), ("activations", per_pass), ("scales", sum(m_tiles))):
        if len(words[stream]) != n_tiles * beats:
            raise ValueError(f"{stream} must have {n_tiles * beats} beats, not {len(words[stream])}")
    codes = _signed(unpack_beats(weight_fields(config), words["weights"])["codes"], config.bits_w)
    codes = codes.reshape(n_tiles, per_pass, config.cols, config.lanes)
    data = unpack_beats(activation_fields(config), words["activations"][:per_pass])["data"]
    data = (data if decomposed.unsigned else _signed(data, config.bits_a)).reshape(per_pass, config.rows, config.lanes)
    scales = unpack_beats(scale_fields(config), words["scales"])["data"].astype(np.uint32).view(np.float32)
    scales = scales.reshape(n_tiles, sum(m_tiles), config.cols, -1)
    found = {"codes": np.zeros((chunks, n, k), np.int8), "xq": np.zeros((decomposed.rows, k), np.int16),
             "scales": np.zeros((chunks, n), np.float32), "constants": np.zeros((chunks, n), np.float32)}
    beat = tile = row = 0
    for chunk, (tiles, beats) in enumerate(zip(m_tiles, layout, strict=True)):
        count, real = len(beats.shifts), beats.flat < k
        block = codes[:, beat : beat + count].transpose(0, 2, 1, 3).reshape(n_tiles * config.cols, -1)
        found["codes"][chunk][:, beats.flat[real]] = block[:n, real]
        found["scales"][chunk], found["constants"][chunk] = scales[:, tile, :, :2].reshape(-1, 2)[:n].T
        rows = decomposed.rows_of(chunk)
        block = data[beat : beat + tiles * count].reshape(tiles, count, config.rows, config.lanes).transpose(0, 2, 1, 3)
        found["xq"][row : row + rows, beats.flat[real]] = block.reshape(tiles * config.rows, -1)[:rows, real]
        beat, tile, row = beat + tiles * count, tile + tiles, row + rows
    return found


def _signed(values: np.ndarray, bits: int) -> np.ndarray:
    return values - ((values >> (bits - 1)) << bits)


def unpack_outputs(words: np.ndarray, m: int, n: int, config: TenderConfig) -> tuple[np.ndarray, np.ndarray]:
    """Words of ``outputs`` to y [M, N], float32 or int16, and the per-tile mask overflow."""
    m_tiles, n_tiles, beats = ceil(m / config.rows), ceil(n / config.cols), config.timing.drain_beats
    if len(words) != m_tiles * n_tiles * beats:
        raise ValueError(f"outputs must have {m_tiles * n_tiles * beats} beats, not {len(words)}")
    values = unpack_beats(output_fields(config), words)
    data = values["data"].reshape(n_tiles, m_tiles, config.rows, config.cols).transpose(1, 2, 0, 3)
    y = data.reshape(m_tiles * config.rows, n_tiles * config.cols)[:m, :n]
    y = _signed(y, config.output_bits).astype(np.int16) if config.output.startswith("int") else y
    y = y.astype(np.int16) if config.requantizes else y.astype(np.uint32).view(np.float32)
    return y, values["overflow"].reshape(n_tiles, m_tiles, beats).any(axis=2).T


def pack_outputs(y: np.ndarray, overflow: np.ndarray, filling: np.ndarray, config: TenderConfig) -> np.ndarray:
    """The words that an engine must send for y [M, N] and the per-tile mask overflow.

    ``filling`` [N] is what comes out for the rows that fill up the last tile, see :func:`subbyte.golden.tender.filling`.
    """
    m_tiles, n_tiles = overflow.shape
    beats = config.timing.drain_beats
    y = np.concatenate([y, np.tile(filling.astype(y.dtype), (m_tiles * config.rows - len(y), 1))])
    padded = np.pad(y, ((0, 0), (0, n_tiles * config.cols - y.shape[1])))
    tiles = padded.reshape(m_tiles, config.rows, n_tiles, config.cols).transpose(2, 0, 1, 3)
    return pack_beats(
        output_fields(config),
        data=(tiles if config.requantizes else tiles.astype(np.float32).view(np.uint32)).reshape(-1, config.drain),
        overflow=np.repeat(overflow.T.ravel(), beats),
        last=np.tile(_last(beats), m_tiles * n_tiles),
    )
