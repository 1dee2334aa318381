# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Turn Verilog text into a compiled Verilator model, once for each distinct text and set of options.

Both kinds of model are made here: one that cocotb drives through VPI, and one with the C++ stream driver. A
build is kept under a name derived from everything that it depends on and is reused as long as it is complete.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ..tools.kept import is_sealed, seal
from ..tools.toolchain import (
    Failed,
    build_root,
    check_build_folder,
    check_tools,
    compiler,
    file_lock,
    include_folders,
    prepare_environment,
    tool_versions,
)
from . import coverage

__all__ = ["BuildError", "build", "exchange", "port_widths", "waves_format", "without_initial_values"]

_ARGUMENTS = ("--cc", "--exe", "--prefix", "Vtop", "-o", "model", "-CFLAGS", "-std=c++17", "-Wno-fatal",
              "--x-assign", "unique", "--x-initial", "unique")
_PUBLIC = "public.vlt"
# A bench runs for some thousand cycles and is mostly Python: what counts is the time to compile.
_OPTIMIZE = {"cocotb": "-O0", "stream": "-O1"}
# All registers but those with which Yosys makes a combinational process run at time zero.
_INITIAL_VALUE = re.compile(r"^(\s*reg (?:signed )?(?:\[[^]]+\] )?(?:\w+|\\(?!\$(?:auto|always)\$)\S+ )) ?= [^;]+;$",
                            re.MULTILINE)


_exchanges = []


class BuildError(Failed):
    """Verilator or the C++ compiler refused a model; the message holds the lines that say why."""


def waves_format(waves=None):
    """Decide whether, and in which format, signals are traced.

    Parameters
    ----------
    waves : bool, optional
        Given, it decides; otherwise the environment variable `WAVES` does (`1` is on).

    Returns
    -------
    str or None
        `"fst"` (small, where lz4's header is installed), `"vcd"`, or None for no trace.
    """
    if waves is None:
        waves = os.environ.get("WAVES", "0") not in ("", "0")
    if not waves:
        return None
    return "fst" if any((Path(folder) / "lz4.h").exists() for folder in include_folders()) else "vcd"


def without_initial_values(verilog):
    """Remove the power-up values of registers from Amaranth's Verilog; memories keep theirs.

    Silicon has no power-up values. Without them Verilator starts every register at random, so a design that
    relies on more than its reset shows it.
    """
    return _INITIAL_VALUE.sub(r"\1;", verilog)


def port_widths(verilog, top):
    """Widths of the ports of module `top`.

    Parameters
    ----------
    verilog : str
        Verilog as Amaranth writes it: one declaration a line.
    top : str
        Module name.

    Returns
    -------
    dict of str to tuple of (str, int)
        Port name to direction (`"input"` or `"output"`) and width in bits.
    """
    body = re.search(rf"^module {re.escape(top)}\b.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"top must name a module of the Verilog text, not {top!r}")
    ports = re.findall(r"^\s*(input|output) (?:wire |reg )?(?:signed )?(?:\[(\d+):0\] )?(\w+)",
                       body[0], re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in ports}


def exchange(function):
    """Let a function change every text before it is compiled: mutation testing puts faults in, unseen by the benches.

    Parameters
    ----------
    function : callable
        From Verilog and the name of its top module to the Verilog that is compiled in its place.
    """
    _exchanges.append(function)


def build(verilog, top, *, kind="cocotb", sources=None, waves=None, random_power_up=True):
    """Compile module `top` of a Verilog text into the program `model`, or find it already compiled.

    Parameters
    ----------
    verilog : str
        The design.
    top : str
        Its top module.
    kind : str
        `"cocotb"`: with VPI, for cocotb's runner. `"stream"`: plain C++, `sources` bring the main program.
    sources : dict of str to str, optional
        File name to text of further C++ sources; files ending in `.cpp` are compiled.
    waves : str, optional
        `"vcd"` or `"fst"` for a model that can write traces.
    random_power_up : bool
        Take registers' initial values away, so that they start at random and only a reset defines them.

    Returns
    -------
    pathlib.Path
        The build folder: `model` (also linked as `top`'s name, which cocotb's runner expects), `build.log`.

    Raises
    ------
    MissingTool
        If there is no C++ compiler or no make.
    BuildError
        On an error or a warning; generated Verilog takes back those that mean nothing for itself.
    """
    if kind not in ("cocotb", "stream"):
        raise ValueError(f"kind must be 'cocotb' or 'stream', not {kind!r}")
    prepare_environment()
    check_build_folder()
    if random_power_up:
        verilog = without_initial_values(verilog)
    for function in _exchanges:
        verilog = function(verilog, top)
    files = {"design.v": verilog, **(sources or {})}
    if kind == "cocotb":
        files[_PUBLIC] = _public_ports(verilog, top)
    arguments = [*_ARGUMENTS, "--top-module", top, *_kind_arguments(kind), *_trace_arguments(waves),
                 *coverage.ARGUMENTS * coverage.is_on()]
    folder = build_root() / "sim" / f"{top}-{_digest(files, arguments, kind)}"
    if not _is_whole(folder, top):
        check_tools()
        with file_lock(folder.with_suffix(".lock")):
            if not _is_whole(folder, top):
                shutil.rmtree(folder, ignore_errors=True)
                _compile(folder, files, arguments, _optimize(kind))
                (folder / top).symlink_to("model")
                seal(folder / "model")
    return folder


def _is_whole(folder, top):
    """Whether a build is there as it was made."""
    return is_sealed(folder / "model") and os.access(folder / top, os.X_OK)


def _optimize(kind):
    return "-O0" if coverage.is_on() else _OPTIMIZE[kind]


def _kind_arguments(kind):
    if kind == "stream":
        return []
    from cocotb_tools import config

    return ["--vpi", _PUBLIC,
            "-LDFLAGS", f"-Wl,-rpath,{config.libs_dir} -L{config.libs_dir} -lcocotbvpi_verilator",
            str(config.share_dir / "lib" / "verilator" / "verilator.cpp")]


def _public_ports(verilog, top):
    """What cocotb sees: the top's ports and nothing else. Each further signal stays in the model, and to be compiled takes
    time: the names that Amaranth gives to the fields of payloads alone double it."""
    lines = [f'public_flat_rw -module "{top}" -var "{port}"' for port in port_widths(verilog, top)]
    return "\n".join(["`verilator_config", *lines, ""])


def _trace_arguments(waves):
    return {None: [], "vcd": ["--trace"], "fst": ["--trace-fst"]}[waves]


def _digest(files, arguments, kind):
    state = hashlib.sha256(repr((sorted(files.items()), arguments, _optimize(kind), tool_versions(), compiler())).encode())
    return state.hexdigest()[:16]


def _compile(folder, files, arguments, optimize):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    compiled = ["design.v", *(name for name in files if name.endswith(".cpp"))]
    log = folder / "build.log"
    verilator = Path(os.environ["VERILATOR_ROOT"]) / "bin" / "verilator_bin"
    _run([verilator, "-Mdir", ".", *arguments, *compiled], folder, log)
    _refuse_warnings(log)
    # On the command line, not by MAKEFLAGS: the caller may itself run under make. The packaged makefile names
    # the compiler of the machine it was packaged on, and leaves the flag for precompiled headers empty.
    # One job compiles the model as one file: what takes time in a small one are the headers, read once then.
    jobs = 1 if "PYTEST_XDIST_WORKER" in os.environ else os.cpu_count() or 1
    variables = {"OPT_FAST": optimize, "VM_PARALLEL_BUILDS": int(jobs > 1), "CFG_CXXFLAGS_PCH_I": "-include",
                 "CXX": compiler(), "LINK": compiler(), "PYTHON3": Path(sys.executable).name,
                 "OBJCACHE": os.environ.get("OBJCACHE", "")}
    _run(["make", f"-j{jobs}", "-f", "Vtop.mk", *(f"{k}={v}" for k, v in variables.items()), "model"], folder, log)


def _run(command, folder, log):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    with log.open("a") as output:
        result = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    if result.returncode:
        lines = log.read_text().splitlines()
        telling = [line for line in lines if "%Error" in line or "error:" in line or "undefined reference" in line]
        raise BuildError(f"{Path(command[0]).name} failed; see {log}\n" + "\n".join(telling[:20] or lines[-20:]))


def _refuse_warnings(log):
    found = [line for line in log.read_text().splitlines() if line.startswith("%Warning")]
    if found:
        raise BuildError(f"Verilator warns about the design; see {log}\n" + "\n".join(found[:20]))
