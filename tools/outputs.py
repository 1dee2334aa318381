# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all: written beside their place, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["whole_file", "write_whole"]


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to; what is there at the end takes the place of `path`, and nothing does if something goes wrong.

    Folders are made. The path given has the suffix of `path`.

    Raises
    ------
    OSError
        If it cannot be written, such as on a full disk; it names `path`.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        state = "; what was there before is unchanged" if path.exists() else ""
        raise OSError(f"{path}: cannot be written: {error.strerror or error}{state}") from error
    finally:
        try:
            unfinished.unlink(missing_ok=True)
        except OSError:
            pass  # the folder itself could not be made


def write_whole(path: str | os.PathLike, data: bytes | str) -> None:
    """Write all of a file, text as UTF-8."""
    with whole_file(path) as unfinished:
        unfinished.write_bytes(data if isinstance(data, bytes) else data.encode())
