# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is kept in the build folder, since making it takes longer than simulating a layer: generated Verilog, compiled models.

It is kept under a digest of all that it is made from: parameters, our sources, tools. Beside it lies a seal, the digest of what
it holds: what is not as it was sealed, such as after a full disk, is made again.
"""

import functools
import hashlib
import inspect
import os
from pathlib import Path

from . import toolchain
from .outputs import write_whole

__all__ = ["ROOMS", "digest", "is_sealed", "kept_verilog", "seal", "sources_of"]

ROOMS = ("golden", "hdl", "dequant", "pe", "top", "schemes")
"""Folders whose sources can change the Verilog of an engine."""


def sources_of(folder):
    """Python sources of a folder and of all folders in it, without pytest's modules; sorted."""
    return sorted(path for path in Path(folder).rglob("*.py") if not path.name.startswith("test_"))


@functools.cache
def _digest_of(*paths):
    """Digest of files as they are when first asked for, names included: one that moves counts."""
    state = hashlib.sha256()
    for path in paths:
        state.update(repr((str(path), path.read_bytes())).encode())
    return state.hexdigest()


@functools.cache
def _our_sources():
    root = Path(__file__).parents[1]
    rooms = (source for room in ROOMS for source in sources_of(root / room))
    return _digest_of(root / "__init__.py", root / "tools" / "yosys.py", *rooms, *sorted((root / "top").glob("*.rdl")))


def digest(*key):
    """Digest of a key (anything whose ``repr`` tells it apart), our sources and the tools."""
    parts = (key, _our_sources(), toolchain.tool_versions(), os.environ.get("YOSYS"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def kept_verilog(name, key, make):
    """Return ``make()``, or what it returned for the same name and key before.

    Parameters
    ----------
    name : str
        Names the file, for people.
    key : object
        Parameters of the text, by their ``repr``.
    make : function without arguments
        Makes the text, of our rooms' parts and of what stands in its own module and beside it.
    """
    module = Path(inspect.getfile(make))
    made_by = _digest_of(module, *sources_of(module.parent))
    path = toolchain.build_root() / "sim" / f"{name}-{digest(name, key, made_by)}.v"
    if not is_sealed(path):
        write_whole(path, make())
        seal(path)
    return path.read_text()


def seal(*files):
    """Write down what files of one folder hold, for :func:`is_sealed`: beside the first one, as `sha256sum` does it."""
    write_whole(_seal_of(files[0]), _sums(files))


def is_sealed(*files):
    """Whether these files are what they were when they were sealed."""
    try:
        return _seal_of(files[0]).read_text() == _sums(files)
    except (OSError, UnicodeDecodeError):
        return False


def _seal_of(path):
    return path.with_name(f"{path.name}.sha256")


def _sums(files):
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
