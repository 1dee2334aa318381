# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of the authors' own code: a small part stands in ``tests/data``, more may lie beside the checkout."""

import os
from pathlib import Path

__all__ = ["SHARED", "recordings"]

SHARED = Path(os.environ.get("SUBBYTE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
"""Where more is looked for."""


def recordings(pattern: str) -> list[Path]:
    """Files that match, by name; each once."""
    found = {path.name: path for path in (SHARED / "vectors").glob(pattern)}
    found |= {path.name: path for path in (Path(__file__).parent / "data" / "vectors").glob(pattern)}
    return [found[name] for name in sorted(found)]
