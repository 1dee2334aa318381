# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Public RTL for the engines' jobs, so that reports show an engine beside what it has to be better than.

Each design was mapped by the recipe of ``subbyte area`` to Nangate45 (typical corner, before layout, ideal clock; sums and,
unless noted, operand registers counted) and timed with OpenSTA. These are figures of designs as their authors published
them, functional repairs noted; nothing was tuned.
"""

from dataclasses import dataclass

__all__ = ["BARS", "LIBRARY", "RECIPE", "Bar"]

LIBRARY = "NangateOpenCellLibrary"
"""Name of the library that the figures are for."""

RECIPE = ("Public RTL measured with the same recipe: Yosys synth -flatten, ABC with the same constraints, Nangate45 typical, "
          "OpenSTA register to register, before layout.")


@dataclass(frozen=True)
class Bar:
    """A public design.

    Attributes
    ----------
    precision : str
        As in the ``macs`` of our designs.
    design : str
        Its name, short enough for a label.
    area_per_mac : float
        um2 per MAC/cycle.
    density : float
        TMAC/s/mm2.
    note : str
    """

    precision: str
    design: str
    area_per_mac: float
    density: float
    note: str = ""


BARS = (
    Bar("FP16 x INT4", "HardFloat, FP16 sum", 2119, 0.147, "INT4 to FP16, FMA in one stage"),
    Bar("FP16 x INT4", "HardFloat, FP32 sum", 3700, 0.063, "INT4 to FP16, FMA in one stage"),
    Bar("FP16 x INT4", "FP-INT-MAC", 7647, 0.085, "bit-serial, repaired; one lane"),
    Bar("FP16 x INT4", "LUT Tensor Core W4", 1639, 0.19, "building of tables not counted"),
    Bar("FP16 x INT2", "LUT Tensor Core W2", 790, 0.39, "building of tables not counted"),
    Bar("FP16 x INT8", "HardFloat, FP16 sum", 2449, 0.112, "INT8 to FP16, FMA in one stage"),
    Bar("FP16 x INT8", "HardFloat, FP32 sum", 4006, 0.053, "INT8 to FP16, FMA in one stage"),
    Bar("FP16 x FP16", "HardFloat FMA", 2876, 0.094, "one stage"),
    Bar("FP16 x FP16", "cvfpu FMA", 2806, 0.094, "one stage"),
    Bar("MXINT8", "KUL MX MAC", 5559, 0.036, "precision-scalable"),
    Bar("MXFP8", "KUL MX MAC", 1390, 0.14, "precision-scalable"),
    Bar("MXFP4", "KUL MX MAC", 695, 0.28, "precision-scalable"),
    Bar("INT8 x INT8", "Camus conventional", 892, 1.14, "20-bit sum"),
    Bar("INT8 x INT8", "MX-for-FPGA dot", 599, 0.57, "32 lanes"),
    Bar("INT8 x INT8", "ITA dot", 738, 0.52, "64 lanes"),
    Bar("INT8 x INT4", "NE16 column", 569, 1.04),
    Bar("INT8 x INT4", "BISMO-256", 595, 1.11, "bit-serial"),
    Bar("INT4 x INT4", "Camus sum-together", 469, 1.8),
    Bar("INT4 x INT4", "MX-for-FPGA dot", 204, 1.87, "32 lanes"),
    Bar("INT4 x INT4", "BISMO-256", 297, 2.2, "bit-serial"),
    Bar("FP4 x FP4", "MX-for-FPGA dot", 201, 1.92, "E2M1, 32 lanes"),
    Bar("INT8 x ternary", "tt09 matvec tile", 168, 9.0, "8-bit sums that wrap"),
    Bar("INT8 x ternary", "BitNet DE10-Nano", 188, 6.8, "64 PE, pipelined tree, 20-bit sum"),
    Bar("INT8 x ternary", "tiny-asic 1.58-bit", 768, 1.33, "five trits a byte at the pins"),
    Bar("INT8 x ternary", "MatMulFree neuron", 275, 5.2, "one MAC"),
    Bar("1 bit x 1 bit", "BISMO DPU", 18.6, 35.5, "256 lanes, shift in the accumulator"),
    Bar("1 bit x 1 bit", "PULP RBE block", 26, 29),
    Bar("1 bit x 1 bit", "BARVINN lane", 43, 16),
)
