# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Generated Verilog kept in the build folder: making it takes longer than simulating a layer.

It is kept under a digest of all that it is made from: parameters, our sources, tools.
"""

import functools
import hashlib
import os
from pathlib import Path

from . import toolchain

__all__ = ["digest", "kept_verilog"]

_SOURCES = ("golden", "hdl", "pe", "dequant", "top", "tb", "synth/baselines")


@functools.cache
def _sources():
    """Digest of every source file that can change a generated text, as they are when first asked for."""
    state = hashlib.sha256()
    for folder in _SOURCES:
        for source in sorted((Path(__file__).parents[1] / folder).glob("*.py")):
            state.update(source.read_bytes())
    return state.hexdigest()


def digest(*key):
    """Digest of a key (anything whose ``repr`` tells it apart), our sources and the tools."""
    parts = (key, _sources(), toolchain.tool_versions(), os.environ.get("YOSYS"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def kept_verilog(name, key, make):
    """Return ``make()``, or what it returned for the same name and key before.

    Parameters
    ----------
    name : str
        Names the file, for people.
    key : object
        Parameters of the text, by their ``repr``.
    make : callable without arguments
        Makes the text.
    """
    path = toolchain.build_root() / "sim" / f"{name}-{digest(name, key)}.v"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_stem(f"{path.stem}-{os.getpid()}")
        unfinished.write_text(make())
        unfinished.replace(path)
    return path.read_text()
