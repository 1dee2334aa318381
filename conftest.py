# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests rely on: the packaged tools on the path and warm, property tests that repeat themselves, a second simulator."""

import os
import subprocess
from pathlib import Path

import hypothesis
import pytest

from subbyte.tools.toolchain import MissingTool, check_icarus, needs_icarus, prepare_environment

# No deadline: the first example pays for imports and caches, on a machine that may be busy. Derandomized: a run that
# was green stays green.
hypothesis.settings.register_profile("subbyte", deadline=None, derandomize=True)
hypothesis.settings.load_profile("subbyte")


def pytest_configure(config):
    """Make the tools usable, and once per run, before workers start, let Yosys compile itself.

    The packaged Yosys is WebAssembly, compiled on its first call (a minute) and cached per user. Workers that made
    that call side by side would each do it, and its message would end up in the answers that they parse.
    """
    prepare_environment()
    Path("build").mkdir(exist_ok=True)  # pytest makes its own folder in it, but not this one
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        subprocess.run([os.environ["YOSYS"], "-V"], check=True, capture_output=True)


@pytest.fixture(scope="session")
def icarus():
    """For tests that simulate with Icarus Verilog: they are skipped without it, unless it is required."""
    try:
        check_icarus()
    except MissingTool as error:
        if needs_icarus():
            raise
        pytest.skip(str(error))
