# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A data type of your own and its price: another set of special values for BitMoD's FP4, its error and its area.

The published set is +-5 and +-8 in units of FP4's code points: +-10 and +-16 in the half units that the hardware counts. Any
four integers that are sums of two of +-1, 2, 4, 8, 16 may stand in the registers; what a set is worth, real weights say, and
what it costs, synthesis of the element (`subbyte area bitmod --part pe` is the same from the command line).
"""

import click
import numpy as np
from five_engines import LAYER, rms

from subbyte.golden import bitmod
from subbyte.golden.bitmod import Format
from subbyte.schemes import scheme
from subbyte.synth import asic, designs
from subbyte.synth.library import load_library
from subbyte.tools.toolchain import build_root

SETS = {"published": (10, -10, 16, -16), "wide": (14, -14, 18, -18), "inside": (5, -5, 10, -10), "none": (0, 0, 0, 0)}
"""Contents of the four special-value registers, in half units."""


def error(special):
    """Rms error of the slice's weights in FP4 with these special values, over their rms."""
    weight = np.load(LAYER)["weight"].astype(np.float32)
    qweight = bitmod.quantize(weight, "bitmod-fp4", group_size=128, special_values={Format.FP4: special})
    return rms(qweight.dequantize() - weight) / rms(weight)


def gates(special):
    """Gate equivalents of the processing element whose registers reset to these values, in the project's own library."""
    one = scheme("bitmod")
    design = designs.design_of(one, one.part("pe"), {"special_fp4": special})
    return asic.measure(design, load_library((), build_root() / "area")).ge


@click.command()
@click.option("--own", metavar="A,B,C,D", help="Another set, four integers in half units, such as 7,-7,16,-16.")
@click.option("--area/--no-area", default=True, help="Synthesize the element, ten seconds a set.")
def main(own, area):
    """Price sets of special values.

    Example: python examples/own_data_type.py --own 7,-7,16,-16
    """
    sets = SETS | ({"own": tuple(map(int, own.split(",")))} if own else {})
    print("| set | special values | error of the weights | GE of the element |\n|---|---|---|---|")
    for name, special in sets.items():
        values = ", ".join(f"{value / 2:+g}" for value in special)
        print(f"| {name} | {values} | {error(special):.2%} | {gates(special):,.0f} |" if area else
              f"| {name} | {values} | {error(special):.2%} | |", flush=True)


if __name__ == "__main__":
    main()
