# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Hints for messages about names that do not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["near"]


def near(name: str, names: Iterable[str], most: int = 3, cutoff: float = 0.6) -> str:
    """The names that look like an unknown one, as an end of a message, or nothing."""
    by_lower_case = {known.lower(): known for known in names}
    matches = [by_lower_case[match] for match in difflib.get_close_matches(name.lower(), by_lower_case, n=most, cutoff=cutoff)]
    return f" (did you mean {' or '.join(matches)}?)" if matches else ""
