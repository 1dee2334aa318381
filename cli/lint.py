# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make lint`: the generated Verilog of many configurations, read by three tools; ruff and Pyright on the Python.

Every scheme's parts are generated at the default parameters and at the scheme's corners. A warning fails as an error
does; no tool is told to overlook one.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from ..schemes import engines, scheme
from ..tools.toolchain import MissingTool, build_root, check_icarus, needs_icarus, prepare_environment
from ..top import emit

__all__ = ["check_verilog", "main", "tools"]

def tools():
    """Commands that check one file, by tool; ``{file}`` and ``{top}`` stand for it and its top module."""
    commands = {
        "verilator": ["verilator_bin", "--lint-only", "{file}"],
        "yosys": [os.environ["YOSYS"], "-q", "-p",
                  "read_verilog {file}; hierarchy -check -top {top}; proc; check -assert"],
    }
    if shutil.which("iverilog"):
        commands["iverilog"] = ["iverilog", "-g2005", "-Wall", "-t", "null", "-s", "{top}", "{file}"]
    return commands


def check_verilog(path, top, commands):
    """Complaints about one Verilog file: the tool's name and a line of its output, each."""
    found = []
    for tool, command in commands.items():
        # In the file's folder, by its name alone: the packaged Yosys cannot see every absolute path.
        arguments = [part.format(file=path.name, top=top) for part in command]
        result = subprocess.run(arguments, cwd=path.parent, capture_output=True, text=True, check=False)
        lines = [line for line in (result.stdout + result.stderr).splitlines() if _is_complaint(tool, line)]
        if result.returncode and not lines:
            lines = [f"exit code {result.returncode}", *result.stderr.splitlines()[-3:]]
        found += [(tool, line) for line in lines]
    return found


def main():
    """Check everything; returns the exit code."""
    prepare_environment()
    failures, files = 0, 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for label, complaints in pool.map(_check, *zip(*_configurations(), strict=True)):
            print(f"{'FAIL' if complaints else 'ok  '} {label}", flush=True)
            for tool, line in complaints[:20]:
                print(f"     {tool}: {line}")
            files, failures = files + 1, failures + bool(complaints)
    failures += _python()
    print(f"\n{files} generated files, read by {', '.join(tools())}; {failures} failed")
    try:
        check_icarus()
    except MissingTool as error:
        print(f"{'error' if needs_icarus() else 'note'}: Icarus Verilog is skipped: {error}")
        failures += needs_icarus()
    return int(failures > 0)


def _configurations():
    for name in engines():
        for index, settings in enumerate(({}, *scheme(name).corners)):
            for part in scheme(name).parts:
                if (part.released or part.kind in ("pe", "array")) and part.exists(scheme(name).Config(**settings)):
                    yield name, part.name, settings, build_root() / "lint" / f"{name}-{index}"


def _check(name, part, settings, folder):
    """Generate one file and check it: its label, and the complaints."""
    label = f"{name} {part} " + (" ".join(f"{key}={value}" for key, value in settings.items()) or "(defaults)")
    component, top = scheme(name).component(part, scheme(name).Config(**settings))
    path, _ = emit.write(component, top, folder / f"{top}.v")
    return label, check_verilog(path, top, tools())


def _is_complaint(tool, line):
    marks = r"^%(Error|Warning)" if tool == "verilator" else r"(?i)error|warning|sorry"
    return bool(re.search(marks, line))


def _python():
    root = Path(__file__).parents[1]
    if not (root / "pyproject.toml").is_file():
        print("note: ruff and Pyright are skipped outside a source checkout")
        return 0
    failures = 0
    for arguments in (["ruff", "check", "--quiet", "."], ["basedpyright", "--pythonpath", sys.executable]):
        result = subprocess.run([sys.executable, "-m", *arguments], cwd=root, capture_output=True, text=True, check=False)
        print(f"{'FAIL' if result.returncode else 'ok  '} {arguments[0]}")
        if result.returncode:
            print(result.stdout + result.stderr)
        failures += result.returncode != 0
    return failures


if __name__ == "__main__":
    sys.exit(main())
