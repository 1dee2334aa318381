# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Which benches' texts are mutated, and which tests must notice.

Engines are mutated as their benches compile them, every module of them. What several schemes share and a bench of its own drives
much harder (:data:`SHARED`) is mutated there, and counts for every scheme that uses it.
"""

import re
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
    """

    name: str
    schemes: tuple[str, ...]
    tests: tuple[str, ...]
    units: str = r".*"

    def takes(self, unit: str) -> bool:
        """Whether the unit is mutated here."""
        return re.fullmatch(self.units, unit) is not None


# Parts of engines that have a bench of their own, by the name that engines give them.
SHARED = r"(?!(?:scale|product|scale_product|convert|column_sum)$).*"


def _engine(name, scheme, module, config, *more):
    """An engine of a config of its bench; what else runs on it."""
    tests = [f"tb/{module}.py::{test}" for test in (f"test_engine[{config}]", *more)]
    return Campaign(name, (scheme,), tuple(tests), SHARED)


CAMPAIGNS = (
    _engine("bitmod", "bitmod", "test_bitmod", "default_formats-asic", "test_special_value_registers_are_programmable",
            "test_error_flags"),
    _engine("bitmod dense", "bitmod", "test_bitmod_dense", "all_formats", "test_extremes", "test_every_code",
            "test_every_special_value", "test_error_flags"),
    _engine("tender", "tender", "test_tender", "int4", "test_error_flags"),
    _engine("rsr", "rsr", "test_rsr", "lookup", "test_error_flags"),
    _engine("bipolar", "bipolar", "test_bipolar", "integers", "test_every_operand", "test_every_precision[asic]",
            "test_error_flags"),
    _engine("bcq", "bcq", "test_bcq", "small-asic", "test_extremes", "test_engine_under_cocotb"),
)


def campaigns_of(scheme: str) -> list[Campaign]:
    """The campaigns of a scheme, or of ``all``."""
    return [campaign for campaign in CAMPAIGNS if scheme in ("all", *campaign.schemes)]
