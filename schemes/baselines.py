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
        from ..hdl.floating import Float32
        from ..pe.textbook import DequantizeFma, IntegerMac, TernaryTree, TunedIntegerMac, XnorPopcount

        def part(name, title, make, macs, size):
            return Part(name, "baseline", title, lambda config: make(), {f"baseline_{name}": {}}, lambda config: macs,
                        lambda config: size)

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
            part("xnor_popcount", "XNOR, popcount", XnorPopcount, {"1 bit x 1 bit": 256}, "256 lanes, 32-bit sum"),
        )


SCHEME = Baselines()
