# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands whose results say what gives them again, and whose help takes its examples from the schemes."""

import shlex

import click

from ..schemes import ENGINES_EXAMPLE, scheme

__all__ = ["RecordedCommand", "command_line"]


class RecordedCommand(click.Command):
    """Keeps what the user typed; in its help ``{engine}`` and ``{format}`` stand for a scheme and a weight format of it."""

    def __init__(self, *args, help=None, **options):
        if help and "{" in help:
            help = help.replace("{engine}", ENGINES_EXAMPLE).replace("{format}", scheme(ENGINES_EXAMPLE).formats[0])
        super().__init__(*args, help=help, **options)

    def parse_args(self, ctx, args):
        ctx.meta[__name__] = shlex.join([*ctx.command_path.split(), *args])
        return super().parse_args(ctx, args)


def command_line():
    """What the user typed, of the :class:`RecordedCommand` that runs."""
    return click.get_current_context().meta[__name__]
