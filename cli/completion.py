# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte completion`: the shell completes commands and options."""

import click
from click.shell_completion import get_completion_class

from .main import main

__all__ = ["completion"]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell):
    """Print a script that completes commands and options of subbyte in a shell.

    \b
    It belongs into a file that the shell reads:
      bash  ~/.local/share/bash-completion/completions/subbyte
      zsh   ~/.zfunc/_subbyte
      fish  ~/.config/fish/completions/subbyte.fish

    \b
    Example:
      subbyte completion bash
    """
    click.echo(get_completion_class(shell)(main, {}, "subbyte", "_SUBBYTE_COMPLETE").source())
