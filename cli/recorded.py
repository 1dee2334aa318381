# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Commands whose results say what gives them again."""

import shlex

import click

__all__ = ["RecordedCommand", "command_line"]


class RecordedCommand(click.Command):
    """Keeps what the user typed, for the report."""

    def parse_args(self, ctx, args):
        ctx.meta[__name__] = shlex.join([*ctx.command_path.split(), *args])
        return super().parse_args(ctx, args)


def command_line():
    """What the user typed, of the :class:`RecordedCommand` that runs."""
    return click.get_current_context().meta[__name__]
