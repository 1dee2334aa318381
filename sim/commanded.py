# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A compiled model that does what it is told, a line at a time, in a process of its own."""

import subprocess
from pathlib import Path

from ..tools.toolchain import Failed

__all__ = ["CommandedModel"]


class CommandedModel:
    """A program that answers each line of its standard input with one; it ends with :meth:`close`.

    Parameters
    ----------
    program : Path
    arguments
        Of the program.
    """

    def __init__(self, program: Path, *arguments: object):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([program, *map(str, arguments)], stdin=pipe, stdout=pipe, text=True)

    def ask(self, *commands: str) -> str:
        """The answer to the last of some commands, which are given at once.

        Raises
        ------
        Failed
            If the program says that something went wrong, or has ended.
        """
        to_model, from_model = self._process.stdin, self._process.stdout
        if to_model is None or from_model is None or to_model.closed:
            raise Failed("the simulated device was closed")
        to_model.write("\n".join([*commands, ""]))
        to_model.flush()
        answer = ""
        for command in commands:
            answer = from_model.readline().strip()
            if not answer or answer.startswith("error"):
                raise Failed(f"the simulated device must answer {command[:40]!r}, not {answer or 'end'!r}")
        return answer

    def close(self):
        """End the process."""
        self._process.communicate()
