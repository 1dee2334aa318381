# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Which benches' texts are mutated, and which tests must notice.

Engines are mutated as their benches compile them, every module of them, but for what several schemes share and a bench of its
own drives much harder (:data:`SHARED`): that is mutated there, and counts for every scheme that uses it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["CAMPAIGNS", "Campaign", "campaigns_of"]


@dataclass(frozen=True)
class Campaign:
    """A text that a test compiles, and what runs on its mutants.

    Attributes
    ----------
    name : str
        Stands before the names of its units.
    schemes : tuple of str
        Whose hardware it is.
    tests : tuple of str
        Tests that must notice, by pytest's names. The text is the first that the first of them compiles, unless ``of`` names
        another test; where the others compile the same text they run on mutants, too.
    units : str
        Pattern of the units that are mutated; see :func:`subbyte.mutate.mutants.units`.
    without : str
        Pattern of modules that are not.
    whole : str
        Name of the one unit that all of them are; empty: each unit is by itself.
    """

    name: str
    schemes: tuple[str, ...]
    tests: tuple[str, ...]
    units: str = r".*"
    without: str = r""
    whole: str = ""

    def modules(self, found: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Of the modules of a design, by unit, those that are mutated here."""
        kept = {unit: [name for name in names if not re.fullmatch(self.without, name)]
                for unit, names in found.items() if re.fullmatch(self.units, unit)}
        if self.whole:
            return {self.whole: [name for names in kept.values() for name in names]}
        return {unit: names for unit, names in kept.items() if names}


SHARED = r".*(__(scale|product|scale_product|column_sum)(\..*)?|\.(scale_add|requantizer)(\..*)?)"
"""Modules of engines that are mutated in a bench of their own, which drives them much harder."""


def _engine(name, scheme, module, config, *more, units=r".*"):
    """An engine of a config of its bench; what else runs on it."""
    tests = [f"tb/{module}.py::{test}" for test in (f"test_engine[{config}]", *more)]
    return Campaign(name, (scheme,), tuple(tests), units, SHARED)


def _part(name, schemes, module, *tests, units=r".*", without=r"", whole=""):
    """Parts side by side in one bench, or what stands around an engine."""
    return Campaign(name, schemes, tuple(f"tb/{module}.py::{test}" for test in tests), units, without, whole)


ENGINES = ("bitmod", "tender", "rsr", "bipolar", "bcq")
CAMPAIGNS = (
    _engine("bitmod", "bitmod", "test_bitmod", "default_formats-asic", "test_special_value_registers_are_programmable",
            "test_error_flags"),
    _engine("bitmod dense", "bitmod", "test_bitmod_dense", "all_formats", "test_every_code", "test_extremes",
            "test_every_special_value"),
    _engine("tender", "tender", "test_tender", "int4", "test_real_layer"),
    _engine("rsr", "rsr", "test_rsr", "lookup", "test_error_flags"),
    _engine("rsr tree", "rsr", "test_rsr", "tree", units="core|decoder|element|table"),
    _engine("bipolar", "bipolar", "test_bipolar", "integers", "test_every_operand", "test_every_precision[asic]",
            "test_error_flags[integers]"),
    _engine("bipolar groups", "bipolar", "test_bipolar", "groups", units="core|convert|dequant|drain"),
    _engine("bcq", "bcq", "test_bcq", "small-asic", "test_extremes", "test_constants_of_any_significand",
            "test_engine_under_cocotb"),
    _engine("bcq uniform", "bcq", "test_bcq", "uniform-asic", units="core|dequant|element|keys|ones"),
    _part("floats", ("bitmod", "rsr", "bipolar", "bcq"), "test_floating", "test_large_accumulate", "test_largest_sum",
          "test_large_scale", "test_deep_underflow_to_binary16", "test_near_ties",
          units="accumulate_large|scale_single|scale_half"),
    _part("scale and add", ("tender",), "test_float_scale_add", "test_good_unit", units="good"),
    _part("requantizer", ("tender",), "test_requantizer", "test_equals_division", units="int8|uint4"),
    _part("shell", ENGINES, "test_engine", "test_shell[2_True_1_group_3_False]", "test_errors[True]",
          units="shell|drain|sequencer|replay"),
    _part("shell, two tiles", ENGINES, "test_engine", "test_shell[1_False_2_group_3_False]", units="drain|sequencer|shell"),
    _part("stream form", ENGINES, "test_accelerator", "test_streams[tender-16]",
          units="shell|jobs|registers|(receive|send|skid)_.*", whole="wrapper"),
    _part("memory form", ENGINES, "test_memory_accelerator", "test_memory[tender-8]",
          units="shell|arbiter|queue|registers|results|writer|(read|words)_.*", whole="wrapper"),
    _part("serial host", ("bitmod",), "test_serial_host", "test_an_engine_behind_the_line[1.03]", units="host",
          without=r".*\.host\.engine(\..*)?"),
)
"""All there are."""


def campaigns_of(scheme: str) -> list[Campaign]:
    """The campaigns of a scheme, or of ``all``."""
    return [campaign for campaign in CAMPAIGNS if scheme in ("all", *campaign.schemes)]
