# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Stream words and the order of tiles: what all schemes pack with, and the layouts that hardware derives from it."""

import enum

import numpy as np
import pytest
from amaranth.lib import data

from subbyte.golden import bitmod, rsr, tender
from subbyte.golden.streams import BINARY16, BINARY32, Field, last_of, pack_beats, payload_bits, signed, unpack_beats, unsigned
from subbyte.golden.tiles import ORDERS, Tiles
from subbyte.hdl.layouts import payload_layout
from subbyte.top import emit


class Colour(enum.IntEnum):
    RED = 0
    BLUE = 2


FIELDS = (
    Field("codes", 3, (2, 2)),
    Field("pair", (Field("offset", signed(5)), Field("scale", BINARY16)), 2),
    Field("colour", unsigned(2, Colour)),
    Field("wide", BINARY32),
    Field("last"),
)
RNG = np.random.default_rng(1)
VALUES = {
    "codes": RNG.integers(0, 8, (4, 2, 2)),
    "pair": {"offset": RNG.integers(-16, 16, (4, 2)), "scale": RNG.normal(0, 1, (4, 2)).astype(np.float16)},
    "colour": np.array([0, 2, 2, 0]),
    "wide": np.float32([1, -2, np.inf, 0.1]),
    "last": last_of(4),
}


def test_words_give_the_values_back_in_their_own_types():
    words = pack_beats(FIELDS, **VALUES)
    assert words.shape == (4, -(-payload_bits(FIELDS) // 8)) and payload_bits(FIELDS) == 12 + 42 + 2 + 32 + 1
    found = unpack_beats(FIELDS, words)
    for name in ("codes", "colour", "wide", "last"):
        np.testing.assert_array_equal(found[name], VALUES[name], err_msg=name)
    for name in ("offset", "scale"):
        np.testing.assert_array_equal(found["pair"][name], VALUES["pair"][name], err_msg=name)
    assert found["wide"].dtype == np.float32 and found["pair"]["scale"].dtype == np.float16


def test_bits_lie_where_the_layout_of_the_hardware_says():
    """Every leaf of the layout that Amaranth gets, cut out of the words."""
    layout = payload_layout(FIELDS)
    bits = np.unpackbits(pack_beats(FIELDS, **VALUES), axis=1, bitorder="little").astype(object)
    leaves = {leaf["path"]: sum(bits[:, leaf["offset"] + i] << i for i in range(leaf["width"])) for leaf in emit.layout(layout)}
    np.testing.assert_array_equal(leaves["codes[1][0]"], VALUES["codes"][:, 1, 0])
    np.testing.assert_array_equal(leaves["pair[1].offset"], VALUES["pair"]["offset"][:, 1] & 31)
    np.testing.assert_array_equal(leaves["wide.sign"], [0, 1, 0, 0])
    np.testing.assert_array_equal(leaves["colour"], VALUES["colour"])
    np.testing.assert_array_equal(leaves["last"], [0, 0, 0, 1])
    assert isinstance(layout["pair"].shape, data.ArrayLayout) and layout.size == payload_bits(FIELDS)


@pytest.mark.parametrize("changes, error, message", [
    ({"codes": np.full((4, 2, 2), 8)}, ValueError, "codes must fit 3 bits, not reach 8 or 8"),
    ({"wide": np.zeros(4)}, TypeError, "wide must hold integers or float32, not float64"),
    ({"colour": np.zeros(4)}, TypeError, "colour must hold integers, not float64"),
    ({"more": 1}, ValueError, r"values must be given for \['codes', 'pair', 'colour', 'wide', 'last'\], not \["),
    ({"pair": {"offset": VALUES["pair"]["offset"]}}, ValueError,
     r"pair must be given for \['offset', 'scale'\], not \['offset'\]"),
])
def test_wrong_values_are_named(changes, error, message):
    with pytest.raises(error, match=f"^{message}"):
        pack_beats(FIELDS, **{**VALUES, **changes})


def test_order_of_tiles_and_outputs():
    """Five by three on tiles of two by two, worked out by hand."""
    y = np.arange(15).reshape(5, 3)
    tiles = Tiles(5, 3, rows=2, cols=2, drain=1)
    assert tiles.places == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    first = [0, 1, 3, 4]
    np.testing.assert_array_equal(tiles.to_outputs(y)[:8, 0], [*first, 6, 7, 9, 10])
    other = Tiles(5, 3, rows=2, cols=2, drain=1, order="m_outer")
    np.testing.assert_array_equal(other.to_outputs(y)[:8, 0], [*first, 2, 0, 5, 0])
    assert tiles.describe(13) == "tile (0, 1), row 0, columns 1..1"
    for each in (tiles, other):
        np.testing.assert_array_equal(each.from_outputs(each.to_outputs(y)), y)
        rows, cols = np.indices((5, 3))
        np.testing.assert_array_equal(each.to_outputs(y)[each.beat_of(rows, cols), 0], y)
        mask = y == 14
        np.testing.assert_array_equal(each.flags_of(each.flag_outputs(each.any(mask))), each.any(mask))
        assert np.argwhere(each.any(mask)).tolist() == [[2, 1]]
    with pytest.raises(ValueError, match="order must be one of n_outer, m_outer, not 'k_outer'"):
        Tiles(1, 1, 1, 1, 1, "k_outer")


@pytest.mark.parametrize("order", ORDERS)
def test_every_scheme_packs_in_either_order(order):
    """What is packed is found again, and each tile has its own words beside each other on all streams."""
    weight, x = RNG.normal(0, 1, (5, 40)).astype(np.float32), RNG.normal(0, 1, (5, 40)).astype(np.float32)
    config = bitmod.BitModConfig(rows=2, cols=2, lanes=4, group_size=32, drain=1)
    qweight = bitmod.quantize(weight, "bitmod-fp4", group_size=32)
    words = bitmod.pack(qweight, config, 3, order)
    for name, array in bitmod.unpack(words, config, 5, 40, 3, order).items():
        np.testing.assert_array_equal(array, getattr(qweight, name))
    y, flags = bitmod.matmul(x.astype(np.float16), qweight, config, flags=True)
    words = bitmod.pack_outputs(y, flags.nonfinite, config, order)
    np.testing.assert_array_equal(bitmod.unpack_outputs(words, 5, 5, config, order)[0], y)
    config, ternary = rsr.RsrConfig(rows=2, cols=2, lanes=4, drain=1), rsr.quantize(weight, "tensor")
    np.testing.assert_array_equal(rsr.unpack(rsr.pack(ternary, config, 3, order), config, 5, 40, 3, order)["values"],
                                  ternary.values)
    config = tender.TenderConfig(rows=2, cols=2, lanes=4, drain=1)
    decomposed, codes = tender.decompose(x, 4, 3, 2), tender.quantize(weight, 4)
    found = tender.unpack(tender.pack(decomposed, codes, config, order=order), decomposed, 5, config, order)
    assert all((part == codes.codes).all() for part in found["codes"])
    np.testing.assert_array_equal(found["xq"], decomposed.xq.reshape(-1, 40)[:5])
