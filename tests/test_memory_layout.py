# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What weights take in memory and on the bus, at the default sizes: their own format's bits; words that keep up."""

import re
from fractions import Fraction

import numpy as np
import pytest

from subbyte.golden.memory import MemoryLayout
from subbyte.schemes import engines, scheme

K, GROUPS = 576, 5
FORMATS = [(name, fmt) for name in engines() for fmt in scheme(name).formats
           if scheme(name).takes(fmt, scheme(name).Config(**scheme(name).accelerator[0]))]


def stated(name, fmt, beats):
    """Bits of a weight as docs/accelerator.md says, scale codes and selectors included."""
    number = int(re.search(r"\d+", fmt)[0]) if name != "rsr" else 0
    if name == "bitmod":  # a group's codes and selectors of 8 columns share 128 bits
        return number + Fraction(128 * GROUPS, 8 * K)
    if name == "bcq":  # of 32 columns a beat of codes, a plane and group; but for the alternating ones a plane is the offset
        return (number + ("alternating" not in fmt)) * (1 + Fraction(512 * GROUPS, 32 * K))
    return {"tender": 4 * Fraction(16 * beats, K), "rsr": Fraction(8, 5), "bipolar": Fraction(number)}[name]


@pytest.mark.parametrize("name, fmt", FORMATS)
def test_bits_of_a_weight(name, fmt):
    found, rng = scheme(name), np.random.default_rng(1)
    parameters, around = found.accelerator
    config = found.config_of(fmt, **parameters)
    layout, n = MemoryLayout(config, around["bus_bytes"]), 4 * config.cols
    qweight = found.quantize(rng.standard_normal((n, K)).astype(np.float32), fmt, config)
    x = found.activations(rng.standard_normal((1, K)).astype(np.float32), config)
    image = layout.image(found.inputs(x, qweight, config), 1, n)
    octets = sum(len(image.images.get(stream, ())) for stream in ("weights", "scales"))
    expected = stated(name, fmt, image.beats["weights"])
    assert Fraction(8 * octets, n * K) == expected
    terms = config.formats_taken[image.format].terms
    assert layout.units("weights", image.format) * layout.unit_bits("weights") <= layout.bus_bits * terms
    if name != "tender":  # whose groups take beats of their own
        scales = image.beats.get("scales", 0)
        assert layout.bits_per_weight(image.format, K, scales) == pytest.approx(float(expected), rel=1e-12)
