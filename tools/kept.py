# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Generated Verilog kept in the build folder: making it takes longer than simulating a layer.

It is kept under a digest of all that it is made from: parameters, our sources, tools.
"""

import functools
import hashlib
import inspect
import os
from pathlib import Path

from . import toolchain

__all__ = ["ROOMS", "digest", "kept_verilog", "sources_of"]

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
    return _digest_of(root / "__init__.py", *(source for room in ROOMS for source in sources_of(root / room)),
                      *sorted((root / "top").glob("*.rdl")))


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
    module = Path(inspect.getsourcefile(make))
    made_by = _digest_of(module, *sources_of(module.parent))
    path = toolchain.build_root() / "sim" / f"{name}-{digest(name, key, made_by)}.v"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_stem(f"{path.stem}-{os.getpid()}")
        unfinished.write_text(make())
        unfinished.replace(path)
    return path.read_text()
