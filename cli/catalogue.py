# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte list`: what there is."""

from pathlib import Path

import click

from ..schemes import NAMES, Scheme, priced
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["list_list"]


@click.command("list", cls=RecordedCommand)
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write it to a file as well.")
def list_list(output):
    """List schemes, their weight formats and their parts; and the textbook designs beside them.

    \b
    Example:
      subbyte list --json schemes.json
    """
    found = []
    for name in NAMES:
        owner = priced(name)
        entry = {"name": name, "title": owner.title, "parts": {part.name: part.title for part in owner.parts}}
        if isinstance(owner, Scheme):
            entry |= {"idea": owner.idea, "paper": owner.paper, "formats": list(owner.formats)}
        found.append(entry)
    if output is not None:
        save_figures(output, {"schemes": found})
    for entry in found:
        click.secho(f"{entry['name']:<11}{entry['title']}: {entry['idea']}" if "idea" in entry else
                    f"{entry['name']:<11}{entry['title']}", bold=True)
        if "formats" in entry:
            click.echo(f"  formats  {', '.join(entry['formats'])}")
        click.echo(f"  parts    {', '.join(entry['parts'])}")
