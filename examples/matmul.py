# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""One matrix product through generated RTL: quantize, compute exactly, simulate, compare every bit."""

import sys

import numpy as np

from subbyte.golden import bitmod
from subbyte.schemes import scheme
from subbyte.sim.engine_run import EngineModel

rng = np.random.default_rng(0)
weight = rng.standard_normal((32, 256)).astype(np.float32)               # [N, K]
x = rng.standard_normal((4, 256)).astype(np.float16)                     # [M, K]

config = bitmod.BitModConfig(rows=4, cols=4, lanes=4)
qweight = bitmod.quantize(weight, "bitmod-fp4", group_size=128)          # 4.2 bits a weight
exact = bitmod.matmul(x, qweight, config)                                # the engine's answer, by NumPy

engine = EngineModel(scheme("bitmod"), config)                           # Verilog, compiled by Verilator
run = engine.run(engine.scheme.product(x, qweight, config))

if run.problems or not np.array_equal(run.y, exact):
    sys.exit("\n".join(run.problems))
print(f"{run.y.size} outputs, bit-identical; {run.run.cycles} cycles, {run.timeline.cycles} predicted")
print(f"error of the format {np.std(qweight.dequantize() - weight):.3f}, of the engine {run.error:.1e}")
