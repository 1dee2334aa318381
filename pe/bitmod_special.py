# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""BitMoD's programmable special values: four registers for each floating-point format, read as decoded terms."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..golden.bitmod import BitModConfig
from ..golden.bitmod.formats import Format, two_terms

__all__ = ["SpecialTerms", "SpecialValues", "SpecialWrite", "WeightTerm", "term_fields"]


class WeightTerm(data.Struct):
    """One term of a weight, decoded: the activation times one of 1 2 4 8, or nothing; negated or not."""

    select: 4
    negate: 1


class SpecialTerms(data.Struct):
    """The two terms of a special value, low first; the high one counts double."""

    low: WeightTerm
    high: WeightTerm


class SpecialWrite(data.Struct):
    """A write to a special-value register: ``fp4`` chooses its format; ``value`` is a code point (FP4: half units)."""

    value: signed(6)
    selector: 2
    fp4: 1
    enable: 1


def term_fields(sign: int, exp: int, man: int) -> dict[str, int]:
    """A table's term (:mod:`subbyte.golden.bitmod.formats`) as the fields of a :class:`WeightTerm`."""
    return {"select": man << exp, "negate": sign & man}


class SpecialValues(wiring.Component):
    """The register file (BitMoD, section IV-A and Fig. 4), decoded once for all columns.

    Each register holds a code point as :mod:`subbyte.golden.bitmod.formats` writes it in two terms. A value that needs more
    terms is refused: the register keeps its own. Reset: the config's special values.

    Members
    -------
    write : In(SpecialWrite)
    refused : Out(1)
        The write of this cycle is not taken.
    terms : Out(ArrayLayout(ArrayLayout(SpecialTerms, 4), number of float formats))
    """

    def __init__(self, config: BitModConfig):
        self.config = config
        self.formats = config.float_formats
        super().__init__({
            "write": In(SpecialWrite),
            "refused": Out(1),
            "terms": Out(data.ArrayLayout(data.ArrayLayout(SpecialTerms, 4), len(self.formats))),
        })

    def elaborate(self, platform):
        m = Module()
        decoded, taken = Signal(SpecialTerms), Signal()
        with m.Switch(self.write.value):
            for value, (low, high) in _representable().items():
                with m.Case(value):
                    m.d.comb += [
                        taken.eq(self._chosen(0) | self._chosen(1)),
                        decoded.eq(SpecialTerms.const({"low": term_fields(*low), "high": term_fields(*high)})),
                    ]
        m.d.comb += self.refused.eq(self.write.enable & ~taken)
        for i, fmt in enumerate(self.formats):
            for selector, value in enumerate(self.config.special_values[fmt]):
                low, high = two_terms(value)
                register = Signal(SpecialTerms, name=f"{fmt.name.lower()}_{selector}",
                                  init={"low": term_fields(*low), "high": term_fields(*high)})
                m.d.comb += self.terms[i][selector].eq(register)
                chosen = self.write.fp4 == (fmt == Format.FP4)
                with m.If(self.write.enable & taken & chosen & (self.write.selector == selector)):
                    m.d.sync += register.eq(decoded)
        return m

    def _chosen(self, bit):
        """The write names a format that this engine has, by its bit."""
        exists = (Format.FP4 if bit else Format.FP3) in self.formats
        return (self.write.fp4 == bit) & int(exists)


def _representable():
    """Two terms of every value that has them."""
    found = {}
    for value in range(-31, 32):
        try:
            found[value] = two_terms(value)
        except ValueError:
            continue
    return found
