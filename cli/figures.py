# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What commands print, as JSON for programs."""

import json
from pathlib import Path

from .. import __version__
from ..tools.outputs import write_whole
from ..tools.toolchain import tool_versions
from .recorded import command_line

__all__ = ["save_figures"]


def save_figures(path: Path, figures: dict) -> None:
    """Write figures with the versions of what made them, and the command that gives them again."""
    told = {"subbyte": __version__, "versions": tool_versions(), "command": command_line(), **figures}
    write_whole(path, json.dumps(told, indent=2, default=_plain) + "\n")


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
