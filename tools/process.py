# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run an external program in its folder, with a log and a time limit; failures say what and where in one message."""

import os
import re
import shutil
import signal
import subprocess

from .toolchain import Failed, MissingTool, prepare_environment

__all__ = ["TimeExceeded", "ToolError", "excerpt", "run_tool"]

# Whole words: designs have signals called errors.
_RELEVANT = re.compile(r"\b(error|fatal|abort|aborted|terminate|terminated|cannot|can't|not found)\b", re.IGNORECASE)


class ToolError(Failed):
    """A program failed; the message holds its last relevant lines and the path of its log."""


class TimeExceeded(ToolError):
    """A program was stopped at its time limit."""


def run_tool(command, folder, log, limit=None):
    """Run a program to its end.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments; files in it are named relative to `folder`, since the packaged tools cannot see
        every absolute path.
    folder : pathlib.Path
        Where it runs; made if missing.
    log : str
        Name of a file in `folder`; what the program prints is added to it, after what it writes there itself.
    limit : float, optional
        Seconds of wall time.

    Returns
    -------
    str
        The log.

    Raises
    ------
    MissingTool
        If the program is not on the path.
    TimeExceeded, ToolError
    """
    prepare_environment()
    if shutil.which(command[0]) is None:
        raise MissingTool(f"the program {command[0]!r} is not on the path")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / log
    path.unlink(missing_ok=True)
    # A session of its own: its children (Yosys runs ABC) end with it.
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        printed, _ = process.communicate(timeout=limit)
    except BaseException as stopped:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        if isinstance(stopped, subprocess.TimeoutExpired):
            raise TimeExceeded(f"{command[0]} exceeded {limit:g} s; its log is {path}") from None
        raise
    finally:
        with path.open("a", encoding="utf-8") as file:
            file.write(printed)
    text = path.read_text(encoding="utf-8", errors="replace")
    if process.returncode:
        raise ToolError(f"{command[0]} failed with exit code {process.returncode}; {excerpt(text, path)}")
    return text


def excerpt(text, path):
    """The log's path and its last relevant lines, for a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    relevant = list(dict.fromkeys(line for line in lines if _RELEVANT.search(line))) or lines
    return "\n  ".join([f"its log is {path} and says:", *(relevant[-3:] or ["(nothing)"])])
