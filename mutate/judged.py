# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Mutants that no bench can kill though Yosys does not prove it: ``judged.json`` says why, by module, wire and mode.

A wire without a name is ``$``; then, and where a fault at one port is another one than at the next, ``at`` says where.
"""

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
        ``module``, ``wire``, ``mode`` and, unless the wire's name says it all, ``at``, as patterns of a shell; ``why``;
        ``campaign``, if only one is meant.
    """

    entries: tuple[dict, ...] = ()

    @classmethod
    def load(cls, path: Path = _FILE) -> "Judged":
        """Read the list.

        Raises
        ------
        ValueError
            If an entry has no reason, or does not say what it is about.
        """
        entries = json.loads(path.read_text(encoding="utf-8"))
        for entry in entries:
            needed = {"module", "wire", "mode", "why", *(["at"] if entry.get("wire") == "$" else [])}
            missing = needed - {name for name, text in entry.items() if text.strip()}
            if missing:
                raise ValueError(f"{path}: each entry must have module, wire, mode, why, and at for a wire $; {entry} has no "
                                 f"{', '.join(sorted(missing))}")
        return cls(tuple(entries))

    def reason(self, campaign: str, mutant: Mutant) -> str | None:
        """Why the mutant is equivalent, or None."""
        for entry in self.entries:
            if entry.get("campaign", campaign) == campaign and all(
                    _matches(value, entry.get(name, "*")) for name, value in mutant.key.items()):
                return entry["why"]
        return None


def _matches(value, pattern):
    """Brackets are indices here, no sets of letters."""
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
