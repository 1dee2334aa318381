# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Floating-point parts: fields of the formats, fused accumulation of scaled integers, scaling.

All units are pipelines: a result leaves `latency` cycles after its operands
came in, one per cycle. All state is data in the `sync` domain and is not reset: nothing in it says that it is
valid. All round exactly once, to nearest, ties to even. `subbyte.golden.floating` gives the same answers to
the bit.
"""

from .float_accumulate import FloatAccumulate
from .float_format import Float16, Float32
from .float_scale import FloatScale
from .float_scale_add import FloatScaleAdd

__all__ = ["Float16", "Float32", "FloatAccumulate", "FloatScale", "FloatScaleAdd"]
