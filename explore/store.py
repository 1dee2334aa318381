# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of tasks in one SQLite file: what is there is not measured again. Only the client writes it."""

import hashlib
import importlib.metadata
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__

__all__ = ["HARDWARE", "NUMBERS", "OK", "Result", "Store", "key_of", "package_version", "source_digest"]

OK = "ok"

_TABLE = """create table if not exists results (
  key text primary key, task text, subject text, versions text, status text, figures text, seconds real, finished text)"""


class Result(NamedTuple):
    """What a task found: :data:`OK` or why not; figures; seconds of its work."""

    status: str
    figures: Mapping[str, Any]
    seconds: float


HARDWARE = ("dequant", "golden", "hdl", "pe", "schemes", "synth", "tools", "top")
"""Rooms that what is synthesized depends on."""
NUMBERS = ("golden", "models", "schemes", "tools", "weights")
"""Those that errors and perplexities depend on."""


@cache
def source_digest(rooms: tuple[str, ...] = (*HARDWARE, "explore", "models", "weights")) -> str:
    """Of every Python file of rooms of the package; of all that results depend on, if nothing else is said."""
    root, digest = Path(__file__).parents[1], hashlib.sha256(__version__.encode())
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def package_version(name: str) -> str:
    """Of an installed package."""
    return importlib.metadata.version(name)


def key_of(task: str, subject: Mapping, versions: Mapping) -> str:
    """Of a result: the same subject by the same tools has the same."""
    return hashlib.sha256(json.dumps([task, subject, versions], sort_keys=True).encode()).hexdigest()


class Store:
    """The file; a context manager.

    Raises
    ------
    ValueError
        If the file is something else.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(path, timeout=60)
            self._database.execute("pragma journal_mode=wal")
            self._database.execute(_TABLE)
        except sqlite3.OperationalError as error:
            raise OSError(f"{path}: cannot be written: {error}") from None
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path}: must be a database of `subbyte explore`: {error}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._database.close()

    def get(self, key: str) -> Result | None:
        """What is known, if anything is."""
        row = self._database.execute("select status, figures, seconds from results where key = ?", (key,)).fetchone()
        return row and Result(row[0], json.loads(row[1]), row[2])

    def put(self, key: str, task: str, subject: Mapping, versions: Mapping, result: Result) -> None:
        """Keep a result, at once."""
        with self._database:
            self._database.execute("insert or replace into results values (?, ?, ?, ?, ?, ?, ?, ?)", (
                key, task, json.dumps(subject, sort_keys=True), json.dumps(versions, sort_keys=True), result.status,
                json.dumps(result.figures), result.seconds, datetime.now(UTC).isoformat(timespec="seconds")))

    def forget_failures(self) -> int:
        """Remove them, so that they are tried again; returns how many."""
        with self._database:
            return self._database.execute("delete from results where status != ?", (OK,)).rowcount
