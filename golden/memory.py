# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An accelerator's operands and results in memory: the one place that knows the layout, and the bytes that cross the bus.

Each stream of the engine is an array in memory. A *column stream* (``weights``, ``scales``, ``constants``) has the words of
each tile of columns once, and is read once for each tile of rows; a *row stream* (``activations``, ``tokens``) has those of
each tile of rows and is read once. Results follow in the order of tiles, ``m_outer``. A word in memory is what the engine
needs and counters cannot tell: without ``last`` and ``format``; weights of several widths take their format's own bits, as
planes, lowest first; what matters in a group's first beat alone rides with the group's scales.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import gcd

import numpy as np

from .config import EngineConfig
from .parameters import check_choice
from .streams import Field, payload_bits

__all__ = ["BUS_BYTES", "COLUMN_STREAMS", "ROW_STREAMS", "MemoryImage", "MemoryLayout"]

BUS_BYTES = (4, 8, 16, 32, 64)
COLUMN_STREAMS, ROW_STREAMS = ("weights", "scales", "constants"), ("activations", "tokens")
_UNITS_OF_A_BEAT = 8
_UNEVEN = "{} must have as many words for each tile of a job: tiles that differ are jobs of their own"


@dataclass(frozen=True)
class MemoryImage:
    """A product as a job finds it in memory.

    Attributes
    ----------
    m, n : int
    format : int
        Code of the weights' format.
    beats : mapping of str to int
        Words of each input stream a tile.
    images : mapping of str to uint8 [bytes]
        Of each input stream, whole beats.
    output_bytes : int
        Whole beats.
    """

    m: int
    n: int
    format: int
    beats: Mapping[str, int]
    images: Mapping[str, np.ndarray] = field(repr=False)
    output_bytes: int

    def total_bytes(self, grain: int = 1) -> int:
        """Bytes of all arrays and the results, each rounded up to ``grain``."""
        sizes = [*map(len, self.images.values()), self.output_bytes]
        return sum(-(-size // grain) * grain for size in sizes)


class MemoryLayout:
    """How words lie in memory for an engine's config and a bus of so many bytes a beat.

    Words of a column stream follow each other in *units*: the largest size that divides the words of all formats and a beat,
    but at least an eighth of a beat; a word fills up its last unit. A pass, all tiles of columns, ends with a whole beat. Words
    of row streams begin with a beat each. Results take the smallest power of two of bytes, or whole beats.
    """

    def __init__(self, config: EngineConfig, bus_bytes: int):
        check_choice("bus_bytes", bus_bytes, BUS_BYTES)
        self.config, self.bus_bytes, self.bus_bits = config, bus_bytes, 8 * bus_bytes
        self.inputs = tuple(name for name in config.streams if name != "outputs")
        self.columns = tuple(name for name in self.inputs if name in COLUMN_STREAMS)
        self.rows = tuple(name for name in self.inputs if name in ROW_STREAMS)

    def fields(self, name: str) -> tuple[Field, ...]:
        """Fields of a stream's word in memory, before weights' codes become planes."""
        return self._fields[name]

    @cached_property
    def _fields(self) -> Mapping[str, tuple[Field, ...]]:
        streams, carried = self.config.streams, self.config.first_of_group
        found = {name: [item for item in fields if item.name not in ("last", "format")] for name, fields in streams.items()}
        found["outputs"] = found["outputs"][:1]
        if carried:
            found["scales"] += [item for item in found["weights"] if item.name in carried]
            found["weights"] = [item for item in found["weights"] if item.name not in carried]
        return {name: tuple(fields) for name, fields in found.items()}

    @cached_property
    def code_widths(self) -> Mapping[int, int]:
        """Bits that a weight of a format takes in memory; nothing if formats do not differ in it."""
        return {code: stored[0] for code in self.config.formats_taken if (stored := self.config.stored_code(code))}

    @cached_property
    def slot_bits(self) -> int:
        """Bits of a code's slot on ``weights``."""
        return payload_bits((replace(self.config.streams["weights"][0], shape=()),))

    def word_bits(self, name: str, fmt: int | None = None) -> int:
        """Bits of a word, of this format or, without one, of the widest."""
        bits = payload_bits(self.fields(name))
        if name != "weights" or not self.code_widths:
            return bits
        return bits // self.slot_bits * (max(self.code_widths.values()) if fmt is None else self.code_widths[fmt])

    def unit_bits(self, name: str) -> int:
        """Bits of a unit: an even share of a beat."""
        if name in ROW_STREAMS:
            return self.bus_bits
        if name == "outputs":
            return min(8 << (-(-self.word_bits(name) // 8) - 1).bit_length(), self.bus_bits)
        widths = [self.word_bits(name, fmt) for fmt in self.config.formats_taken]
        return max(gcd(self.bus_bits, *widths), self.bus_bits // _UNITS_OF_A_BEAT)

    def units(self, name: str, fmt: int | None = None) -> int:
        """Units of a word."""
        return -(-self.word_bits(name, fmt) // self.unit_bits(name))

    def pass_bytes(self, name: str, words: int, fmt: int) -> int:
        """Bytes of so many words that follow each other."""
        units = words * self.units(name, fmt)
        return -(-units * self.unit_bits(name) // self.bus_bits) * self.bus_bytes

    def bits_per_weight(self, fmt: int, k: int, scales: int) -> float:
        """Bits on the bus for a weight of whole tiles of ``k`` elements: codes, words of scales, what rides with them."""
        config, beats = self.config, -(-k // self.config.lanes) * self.config.formats_taken[fmt].passes
        bits = beats * self.units("weights", fmt) * self.unit_bits("weights")
        if "scales" in self.columns:
            bits += scales * self.units("scales") * self.unit_bits("scales")
        return bits / (k * config.cols)

    def outputs_bytes(self, m: int, n: int) -> int:
        """Bytes of a product's results, ragged tiles filled up."""
        tiles = self.config.tiles(m, n, "m_outer")
        return self.pass_bytes("outputs", tiles.m_tiles * tiles.n_tiles * tiles.beats, 0)

    def traffic(self, image: MemoryImage) -> tuple[int, int]:
        """Bytes that a job reads and writes: column streams once a tile of rows, row streams once."""
        passes = self.config.tiles(image.m, image.n).m_tiles
        read = sum(len(array) * (passes if name in self.columns else 1) for name, array in image.images.items())
        return read, image.output_bytes

    def image(self, inputs: Mapping[str, np.ndarray], m: int, n: int) -> MemoryImage:
        """A product's words, uint8 [beats, bytes] of each stream in the order ``n_outer``, as they lie in memory.

        Raises
        ------
        ValueError
            If formats change within the product, or tiles of rows have different weights: they are different jobs.
        """
        return self._image(*self._tiles_of(inputs, m, n), m, n)

    def images(
        self, inputs: Mapping[str, np.ndarray], m: int, n: int, room: int, grain: int = 1
    ) -> list[tuple[MemoryImage, int, int]]:
        """As :meth:`image`, in as many parts as fit ``room`` bytes each, arrays rounded up to ``grain``.

        Returns
        -------
        list of (MemoryImage, int, int)
            A part, and its first row and column of Y. Columns are parted first.

        Raises
        ------
        ValueError
            If not even a single tile fits.
        """
        fmt, of_tiles = self._tiles_of(inputs, m, n)
        tiles = self.config.tiles(m, n)
        for rows, cols in [*((tiles.m_tiles, count) for count in _halves(tiles.n_tiles)),
                           *((count, 1) for count in _halves(tiles.m_tiles))]:
            parts = [self._part(fmt, of_tiles, m, n, (row, row + rows), (col, col + cols))
                     for row in range(0, tiles.m_tiles, rows) for col in range(0, tiles.n_tiles, cols)]
            if all(part.total_bytes(grain) <= room for part, _, _ in parts):
                return parts
        raise ValueError(f"room must hold a tile's {parts[0][0].total_bytes(grain)} bytes, not {room!r}")

    def _part(self, fmt, of_tiles, m, n, rows, cols):
        """The image of tiles of rows and of columns from one number to before another."""
        config = self.config
        chosen = {name: words[slice(*(cols if name in COLUMN_STREAMS else rows))] for name, words in of_tiles.items()}
        row, col = rows[0] * config.rows, cols[0] * config.cols
        image = self._image(fmt, chosen, min(rows[1] * config.rows, m) - row, min(cols[1] * config.cols, n) - col)
        return image, row, col

    def _tiles_of(self, inputs, m, n):
        """The format, and words [tiles, beats, bits] of each stream's tiles of columns or rows."""
        tiles = self.config.tiles(m, n)
        bits = {name: np.unpackbits(np.ascontiguousarray(inputs[name]), axis=1, bitorder="little") for name in self.inputs}
        fmt = self._format(bits["weights"])
        return fmt, {name: self._unique(name, words, tiles) for name, words in bits.items()}

    def _image(self, fmt, of_tiles, m, n):
        beats, carried = {name: words.shape[1] for name, words in of_tiles.items()}, {}
        if self.config.first_of_group:
            carried = self._first_of_groups(of_tiles["weights"], beats["scales"])
        images = {}
        for name, words in of_tiles.items():
            kept = [_of_field(words, self.config.streams[name], item.name) for item in self.fields(name)
                    if item.name not in carried]
            if name == "scales":
                kept += list(carried.values())
            if name == "weights" and self.code_widths:
                kept[0] = self._planes(kept[0], fmt)
            images[name] = self._lay(name, np.concatenate(kept, axis=2), fmt)
        return MemoryImage(m, n, fmt, beats, images, self.outputs_bytes(m, n))

    def results(self, octets: np.ndarray, m: int, n: int) -> np.ndarray:
        """Bytes of results to words of ``outputs`` in the order ``n_outer``, flags zero."""
        config = self.config
        tiles, bits, payload = config.tiles(m, n), self.word_bits("outputs"), payload_bits(config.streams["outputs"])
        unit = self.units("outputs") * self.unit_bits("outputs")
        count = len(tiles.places) * tiles.beats
        words = np.unpackbits(octets, bitorder="little")[:count * unit].reshape(tiles.m_tiles, tiles.n_tiles, tiles.beats, unit)
        words = words[..., :bits].transpose(1, 0, 2, 3).reshape(count, bits)
        return np.packbits(np.pad(words, ((0, 0), (0, payload - bits))), axis=1, bitorder="little")

    def _format(self, weights):
        """The format of all words."""
        fields = self.config.streams["weights"]
        if not any(item.name == "format" for item in fields):
            return next(iter(self.config.formats_taken))
        codes = _of_field(weights[None], fields, "format")[0]
        if (codes != codes[0]).any():
            raise ValueError("weights must be of one format for a job of the memory form, not of several")
        return int(codes[0] @ (1 << np.arange(codes.shape[1])))

    def _unique(self, name, words, tiles):
        """Words [beats, bits] as those of each tile of columns or rows, once: [tiles, beats, bits]."""
        if len(words) % len(tiles.places):
            raise ValueError(_UNEVEN.format(name))
        words = words.reshape(len(tiles.places), -1, words.shape[1])
        number = {place: index for index, place in enumerate(tiles.places)}
        grid = np.array([[number[i, j] for j in range(tiles.n_tiles)] for i in range(tiles.m_tiles)])
        grid = grid.T if name in ROW_STREAMS else grid
        has_last = self.config.streams[name][-1].name == "last"
        ends = words[..., payload_bits(self.config.streams[name]) - 1]
        if has_last and (ends != (np.arange(words.shape[1]) == words.shape[1] - 1)).any():
            raise ValueError(_UNEVEN.format(name))
        if any((words[grid[0]] != words[other]).any() for other in grid[1:]):
            raise ValueError(f"{name} must be the same for each tile of a job: those that differ are jobs of their own")
        return words[grid[0]]

    def _first_of_groups(self, weights, groups):
        starts = np.arange(groups) * self.config.group_beats
        fields = self.config.streams["weights"]
        return {name: _of_field(weights[:, starts], fields, name) for name in self.config.first_of_group}

    def _planes(self, codes, fmt):
        """Codes in slots as planes of their own bits: lossless, or refused."""
        slot, (width, is_signed) = self.slot_bits, self.config.stored_code(fmt) or (self.slot_bits, False)
        codes = codes.reshape(*codes.shape[:2], -1, slot)
        above = codes[..., width - 1:width] if is_signed else 0
        if (codes[..., width:] != above).any():
            raise ValueError(f"weights must fit the {width} bits of their format")
        return codes[..., :width].transpose(0, 1, 3, 2).reshape(*codes.shape[:2], -1)

    def _lay(self, name, words, fmt):
        """Words [tiles, beats, bits] as bytes."""
        unit = self.units(name, fmt) * self.unit_bits(name)
        words = words.reshape(-1, words.shape[2])
        flat = np.pad(words, ((0, 0), (0, unit - words.shape[1]))).reshape(-1)
        return np.packbits(np.pad(flat, (0, -len(flat) % self.bus_bits)), bitorder="little")


def _halves(count):
    """``count``, half of it, and so on, to one."""
    while count > 1:
        yield count
        count = -(-count // 2)
    yield 1


def _of_field(words, fields, name):
    """The bits of a field of words [..., bits]."""
    start = 0
    for item in fields:
        if item.name == name:
            return words[..., start:start + payload_bits((item,))]
        start += payload_bits((item,))
    raise ValueError(f"name must be one of the fields, not {name!r}")
