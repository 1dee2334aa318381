# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make verilog`: the released parts of every scheme, and its engine behind buses; only what changed is written."""

import os
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ..schemes import engines, scheme
from ..tools.kept import digest
from ..tools.toolchain import build_root, prepare_environment
from ..top import emit
from .accelerators import ACCELERATORS, write_accelerator

__all__ = ["main", "write"]


def write(name: str, part: str, folder: Path, top: str, settings: Mapping[str, Any]) -> str:
    """Write a part at parameters, unless what stands there was made of the same; returns what was done."""
    found = scheme(name)
    config = found.Config(**settings)
    source, stamp = folder / f"{top}.v", build_root() / "stamps" / f"{top}.txt"
    # The texts are part of the stamp: one that was changed by hand, or is damaged, is written anew.
    if stamp.is_file() and stamp.read_text() == _stamp(config, source):
        return f"{source} is up to date"
    if part in ACCELERATORS:
        write_accelerator(found, part, config, top, source)
    else:
        component, _ = found.component(part, config)
        emit.write(component, top, source, config)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(_stamp(config, source))
    return f"wrote {source} and {source.with_suffix('.json')}"


def _stamp(config, source):
    texts = [path.read_bytes() if path.is_file() else b"" for path in (source, source.with_suffix(".json"))]
    return digest(config, *texts)


def main() -> int:
    """Write all; returns the exit code."""
    prepare_environment()
    folder = Path(os.path.relpath(build_root())) / "verilog"
    parts = [(name, part.name, f"{name}_{part.name}", {}) for name in engines() for part in scheme(name).parts if part.released]
    for form in ACCELERATORS:
        parts += [(name, form, f"{name}_{form}", scheme(name).accelerator[0] if form == ACCELERATORS[0] else {})
                  for name in engines()]
    parts += [(name, part, top, settings) for name in engines() for top, (part, settings) in scheme(name).forms.items()]
    # The largest first: the engines.
    parts.sort(key=lambda item: item[1] not in ("engine", *ACCELERATORS))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        written = [pool.submit(write, name, part, folder, top, settings) for name, part, top, settings in parts]
        for done in as_completed(written):
            print(done.result(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
