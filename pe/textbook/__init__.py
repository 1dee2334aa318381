# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Textbook designs for the engines' jobs, written as a good engineer would: what an engine has to be better than.

A win over a strawman is worth nothing, so each is pipelined as far as that pays, counts its operand registers and its
accumulators, and is tested to the bit (`tb/test_baselines.py`). On Nangate45 with OpenSTA, in um2 per MAC/cycle and
TMAC/s/mm2 (``subbyte area baselines --liberty ...``), beside published or earlier RTL by the same recipe:

* INT8 and INT4 MAC with ``*`` and ``+``: 1,089 and 0.77, 639 and 1.44. The same as plain Verilog: 1,099 and 0.83, 626 and
  1.5; ours align ``enable`` and ``clear`` with the operands, and ABC's adders differ by such amounts from case to case.
* The same, tuned (compressor for the product, accumulator in chunks): 1,124 and 1.46, 584 and 2.96.
* INT4 to FP16, fused multiply-add, FP16 sums: 2,177 and 0.47, against 2,119 and 0.147 with HardFloat in one stage; with FP32
  sums 3,865 and 0.20, against 3,700 and 0.063; INT8 weights and FP16 sums 2,844 and 0.31, against 2,449 and 0.112. The
  registers of the loop's four ranks cost about what is saved by significands no wider than the weight's and by one rounding
  for both signs; the clock is 2.5 to 4 times as fast.
* 64-lane ternary tree: 132 and 12.0, against 132 and 2.8 in one stage; registers between its stages cost what its
  compressor saves.
* 256-lane XNOR and population count: 19.5 and 84, against 17.5 and 27 in one stage.
"""

from .arrays import IntegerArray, TernaryArray
from .floating import DequantizeFma, FmaArray
from .integer import IntegerMac, TunedIntegerMac
from .packed import PackedArray
from .reduction import TernaryTree, XnorPopcount

__all__ = [
    "DequantizeFma", "FmaArray", "IntegerArray", "IntegerMac", "PackedArray", "TernaryArray", "TernaryTree", "TunedIntegerMac",
    "XnorPopcount",
]
