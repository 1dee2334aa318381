# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Products whose K is longer than an accelerator takes: parts between groups that add up to the whole."""

import numpy as np
import pytest

from subbyte.schemes import engines, scheme


def operands(found, config, m, n, k, rng):
    fmt = found.format_for(None, config)
    qweight = found.quantize(rng.standard_normal((n, k)).astype(np.float32), fmt, config)
    return found.activations(rng.standard_normal((m, k)).astype(np.float32), config), qweight


@pytest.mark.parametrize("name", engines())
def test_parts_add_up(name):
    """To the exact product of the quantized operands; none has more words than allowed, and fewer parts would not do."""
    found = scheme(name)
    config = found.Config(lanes=8, rows=2, cols=4, drain=4)
    x, qweight = operands(found, config, 3, 4, 1000, np.random.default_rng(1))
    (whole,) = found.parts_of(x, qweight, config, found.words_of(x, qweight, config))
    assert whole == (x, qweight, {})
    parts = found.parts_of(x, qweight, config, 40)
    assert sum(weight.shape[1] for _, weight, _ in parts) == 1000
    assert max(found.words_of(part, weight, config) for part, weight, _ in parts) <= 40
    assert len(parts) == -(-1000 // ((40 - found.spare_words(x)) * 8 // 128 * 128)) or not hasattr(qweight, "group_size")
    total = sum(found.reference(part, weight, config) for part, weight, _ in parts)
    np.testing.assert_allclose(total, found.reference(x, qweight, config), rtol=1e-12, atol=1e-12)


def test_what_has_no_parts():
    tender, bitmod, rng = scheme("tender"), scheme("bitmod"), np.random.default_rng(1)
    config = bitmod.Config(lanes=8, rows=2, cols=4, drain=4)
    with pytest.raises(ValueError, match="2 words of 8 activations hold no part of K"):
        bitmod.parts_of(*operands(bitmod, config, 3, 4, 1000, rng), config, 2)
    config = tender.Config(lanes=8, rows=2, cols=4, drain=4, output="int8")
    with pytest.raises(ValueError, match="int8 results of parts of K cannot be added: build it with one of float32"):
        tender.parts_of(*operands(tender, config, 3, 4, 1000, rng), config, 40)
