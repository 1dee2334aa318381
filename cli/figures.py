# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What commands print, as JSON for programs."""

import json
import os
from pathlib import Path

from .. import __version__
from .recorded import command_line

__all__ = ["save_figures"]


def save_figures(path: Path, figures: dict) -> None:
    """Write figures with the command that gives them again; under a temporary name first, so that no half of it is left."""
    text = json.dumps({"subbyte": __version__, "command": command_line(), **figures}, indent=2, default=_plain) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
