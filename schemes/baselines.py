# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Textbook designs for the engines' jobs, as the rest of the house knows them; :mod:`subbyte.pe.textbook` has them."""

from functools import cached_property

from .contract import Part, Priced

__all__ = ["SCHEME"]


class Baselines(Priced):
    """What an engine has to be better than."""

    name, title = "baselines", "textbook designs"
    colours = "#1f2328", "#e6edf3"

    @cached_property
    def parts(self):
        from ..golden.bitmod import BitModConfig
        from ..hdl.floating import Float32
        from ..pe.textbook import (
            DequantizeFma,
            FmaArray,
            IntegerArray,
            IntegerMac,
            PackedArray,
            TernaryArray,
            TernaryTree,
            TunedIntegerMac,
            XnorPopcount,
        )
        from ..top.bitmod_textbook import TextbookCore

        aligned = BitModConfig(rows=8, cols=16, lanes=16, formats=("INT4",), form="dense")
        of_array = {"*_dot": "PE array", "": "edge logic"}
        of_aligned = {"*_element": "PE array", "*_edge": "edge logic", "*_column_dequant_*": "dequantization",
                      "*.visits_*": "dequantization", "": "edge logic"}

        def part(name, title, make, macs, size):
            return Part(name, "baseline", title, lambda config: make(), {f"baseline_{name}": {}}, lambda config: macs,
                        lambda config: size)

        def array(name, title, make, macs, size, breakdown=of_array, booth=False):
            # Large ones: measured by name of the part only.
            return Part(name, "baseline", title, lambda config: make(), {}, lambda config: macs, lambda config: size, breakdown,
                        booth=booth)

        return (
            part("int8_mac", "INT8 MAC, * and +", lambda: IntegerMac(8, 8), {"INT8 x INT8": 1}, "32-bit sum"),
            part("int8_mac_tuned", "INT8 MAC, tuned", lambda: TunedIntegerMac(8, 8, budget=4), {"INT8 x INT8": 1},
                 "32-bit sum"),
            part("int4_mac", "INT4 MAC, * and +", lambda: IntegerMac(4, 4), {"INT4 x INT4": 1}, "32-bit sum"),
            part("int4_mac_tuned", "INT4 MAC, tuned", lambda: TunedIntegerMac(4, 4), {"INT4 x INT4": 1}, "32-bit sum"),
            part("int4_fp16_fma", "INT4 to FP16, FMA", lambda: DequantizeFma(4), {"FP16 x INT4": 1}, "FP16 sums, 4 in turn"),
            part("int4_fp32_fma", "INT4 to FP16, FMA", lambda: DequantizeFma(4, Float32), {"FP16 x INT4": 1},
                 "FP32 sums, 4 in turn"),
            part("int8_fp16_fma", "INT8 to FP16, FMA", lambda: DequantizeFma(8), {"FP16 x INT8": 1}, "FP16 sums, 4 in turn"),
            part("ternary_tree", "ternary carry-save tree", TernaryTree, {"INT8 x ternary": 64}, "64 lanes, 24-bit sum"),
            array("int4_array", "INT4 array, * and +", lambda: IntegerArray(8, 8, 16, 4, 4, 4), {"INT4 x INT4": 1024},
                  "8 x 8 x 16, Booth, sums of 4", booth=True),
            array("int8_array", "INT8 array, * and +", lambda: IntegerArray(8, 8, 16, 8, 8, 2), {"INT8 x INT8": 1024},
                  "8 x 8 x 16, Booth, sums of 2", booth=True),
            array("int8_blocks", "INT8 array, a multiplier block each", lambda: IntegerArray(4, 3, 13, 8, 8, 2),
                  {"INT8 x INT8": 156}, "4 x 3 x 13"),
            array("int4_blocks", "INT4 array, a multiplier block each", lambda: IntegerArray(4, 3, 13, 4, 4, 2),
                  {"INT4 x INT4": 156}, "4 x 3 x 13"),
            array("int4_packed_blocks", "INT4 array, two rows a multiplier block", lambda: PackedArray(8, 3, 13, 4, 4, 2),
                  {"INT4 x INT4": 312}, "8 x 3 x 13"),
            array("ternary_array", "ternary array, carry-save trees", lambda: TernaryArray(1, 32), {"INT8 x ternary": 2048},
                  "1 x 32 x 64"),
            array("int4_fp16_fma_array", "INT4 to FP16 once a column, FMA", lambda: FmaArray(8, 8), {"FP16 x INT4": 64},
                  "8 x 8, FP16 sums, 4 in turn", {"*_fma": "PE array", "": "edge logic"}),
            array("aligned_int4_array", "aligned once a group x INT4, * and +", lambda: TextbookCore(aligned),
                  {"FP16 x INT4": 2048}, "8 x 16 x 16, with BitMoD's dequantization", of_aligned),
            part("xnor_popcount", "XNOR, popcount", XnorPopcount, {"1 bit x 1 bit": 256}, "256 lanes, 32-bit sum"),
        )


SCHEME = Baselines()
