# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The bare-metal driver in C, and a product's arrays as C source for it."""

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["DRIVER", "product_source", "result_bytes"]

DRIVER = tuple(Path(__file__).with_name("driver") / name for name in ("subbyte.h", "subbyte.c"))
"""Header and source; they need ``subbyte_registers.h`` of :func:`subbyte.top.registers.write_header` beside them."""
_STREAMS = ("weights", "activations", "scales", "constants", "tokens")


def product_source(image: Any, k: int, name: str, expected: np.ndarray) -> str:
    """C that defines a product: ``<name>_<stream>``, ``<name>_expected``, and ``<name>_job`` but for its addresses.

    Parameters
    ----------
    image : MemoryImage
        See :mod:`subbyte.golden.memory`.
    k : int
    name : str
        A C identifier.
    expected : uint8 [bytes]
        Results as they lie in memory, whole beats.

    Returns
    -------
    str
        Arrays of ``uint32_t``, 64-byte aligned and constant; the job's sizes and numbers of bytes, all addresses zero.
    """
    if len(expected) != image.output_bytes:
        raise ValueError(f"expected must have the image's {image.output_bytes} bytes, not {len(expected)}")
    arrays = {**image.images, "expected": expected}
    lines = [f"/* X[{image.m}, {k}] @ W[{image.n}, {k}].T, written by subbyte.host.c_source. */",
             "#include <stdint.h>", '#include "subbyte.h"']
    for stream, octets in arrays.items():
        words = np.ascontiguousarray(octets).view("<u4")
        lines.append(f"const uint32_t {name}_{stream}[{len(words)}] __attribute__((aligned(64))) = {{")
        lines += ["    " + " ".join(f"0x{word:08x}," for word in words[at:at + 8]) for at in range(0, len(words), 8)]
        lines.append("};")
    lines += [f"const subbyte_job {name}_job = {{", f"    .m = {image.m}, .n = {image.n}, .k = {k}, .format = {image.format},",
              f"    .weight_words = {image.beats['weights']}, .activation_words = {image.beats['activations']}, "
              f".scale_words = {image.beats.get('scales', 0)},"]
    lines += [f"    .{stream} = {{0, {len(image.images[stream])}}}," for stream in _STREAMS if stream in image.images]
    lines += [f"    .outputs = {{0, {image.output_bytes}}},", "};"]
    return "\n".join(lines) + "\n"


def result_bytes(layout: Any, words: np.ndarray, m: int, n: int) -> np.ndarray:
    """A product's results as they lie in memory, uint8 [bytes], whole beats.

    Parameters
    ----------
    layout : MemoryLayout
        See :mod:`subbyte.golden.memory`.
    words : uint8 [beats, bytes]
        Of the stream ``outputs``, as a product has them.
    m, n : int
    """
    tiles, bits = layout.config.tiles(m, n), layout.word_bits("outputs")
    unit = layout.units("outputs") * layout.unit_bits("outputs")
    flat = np.unpackbits(words, axis=1, bitorder="little")[:, :bits]
    flat = np.pad(flat, ((0, 0), (0, unit - bits))).reshape(tiles.n_tiles, tiles.m_tiles, -1).transpose(1, 0, 2).reshape(-1)
    return np.packbits(np.pad(flat, (0, -len(flat) % layout.bus_bits)), bitorder="little")
