# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Mutants that no bench can kill though Yosys does not prove it: ``judged.json`` says why, by module, wire and mode."""

import fnmatch
import json
from dataclasses import dataclass
from pathlib import Path

from .mutants import Mutant

__all__ = ["Judged"]

_FILE = Path(__file__).with_name("judged.json")


@dataclass(frozen=True)
class Judged:
    """The list.

    Attributes
    ----------
    entries : tuple of dict
        ``module``, ``wire`` and ``mode``, each of which may be a shell's pattern; ``why``; ``campaign``, if only one is meant.
    """

    entries: tuple[dict, ...] = ()

    @classmethod
    def load(cls, path: Path = _FILE) -> "Judged":
        """Read the list.

        Raises
        ------
        ValueError
            If an entry has no reason, or names no mutant.
        """
        entries = json.loads(path.read_text(encoding="utf-8"))
        for entry in entries:
            missing = {"module", "wire", "mode", "why"} - {name for name, text in entry.items() if text.strip()}
            if missing:
                raise ValueError(f"{path}: each entry must have module, wire, mode and why, and {entry} has no "
                                 f"{', '.join(sorted(missing))}")
        return cls(tuple(entries))

    def reason(self, campaign: str, mutant: Mutant) -> str | None:
        """Why the mutant is equivalent, or None."""
        key = dict(zip(("module", "wire", "mode"), mutant.key, strict=True))
        for entry in self.entries:
            if entry.get("campaign", campaign) == campaign and all(_matches(value, entry[name]) for name, value in key.items()):
                return entry["why"]
        return None


def _matches(value, pattern):
    """Brackets are indices here, no sets of letters."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
