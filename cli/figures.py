# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What commands print, as JSON for programs."""

import io
import json
from pathlib import Path

from .. import __version__
from ..tools.outputs import write_whole
from ..tools.toolchain import tool_versions
from .recorded import command_line

__all__ = ["Tee", "save_figures", "tables_of"]


class Tee(io.StringIO):
    """What is written goes on to another stream as well."""

    def __init__(self, behind):
        super().__init__()
        self._behind = behind

    def write(self, text):
        self._behind.write(text)
        return super().write(text)

    def flush(self):
        self._behind.flush()


def tables_of(markdown: str) -> list[dict]:
    """The tables of a Markdown text: each with its title, the line of text before it, and rows of cells by column."""
    tables, title, header = [], "", []
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            title, header = (line or title), []
        elif not header:
            header = cells
            tables.append({"title": title, "rows": []})
        elif set(line) - set("|-: "):
            tables[-1]["rows"].append(dict(zip(header, cells)))
    return tables


def save_figures(path: Path, figures: dict) -> None:
    """Write figures with the versions of what made them, and the command that gives them again."""
    told = {"subbyte": __version__, "versions": tool_versions(), "command": command_line(), **figures}
    write_whole(path, json.dumps(told, indent=2, default=_plain) + "\n")


def _plain(value):
    return value.item() if hasattr(value, "item") else str(value)
