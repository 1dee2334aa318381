# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The project's own promises: commands that exist, packages that are listed, versions that agree."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from subbyte import __version__
from subbyte.cli import commands
from subbyte.cli.schemes import NAMES

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def sources():
    packages = PROJECT["tool"]["setuptools"]["packages"]
    folders = {ROOT / name.removeprefix("subbyte").strip(".").replace(".", "/") for name in packages}
    return [*ROOT.glob("*.py"), *(file for folder in {*folders, ROOT / "tests"} for file in folder.glob("*.py"))]


def test_readme_names_only_commands_that_exist():
    mentioned = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= mentioned <= TARGETS
    examples = re.findall(r"^subbyte ([a-z]+) (?:[a-z]+ )?-", README, re.MULTILINE)
    assert set(examples) == set(commands.main.commands)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_help_is_the_default_and_lists_every_target():
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([a-z-]+) ", shown.stdout, re.MULTILINE)) == TARGETS - {"tools"}


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_missing_tool_is_named_before_anything_is_set_up(tmp_path):
    """With nothing on the path but the shell's own, each missing tool is one line that says how to get it."""
    for tool in ("sh", "make"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    command = ["make", f"SHELL={tmp_path / 'sh'}", f"VENV={tmp_path / 'venv'}", "JOBS=1", "test"]
    result = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True,
                            check=False)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode and len(lines) == 2 and all("apt install" in line for line in lines), result.stderr
    assert "Python is missing" in lines[0] and "C++ compiler" in lines[1]
    assert not (tmp_path / "venv").exists()


def test_every_package_is_listed():
    folders = {f"subbyte.{init.parent.name}" for init in ROOT.glob("*/__init__.py")} - {"subbyte.tests"}
    folders |= {f"subbyte.synth.{init.parent.name}" for init in ROOT.glob("synth/*/__init__.py")}
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert set(listed) == {"subbyte", *folders} and listed == sorted(listed)


def test_every_dependency_has_a_reason_and_a_tested_version():
    text = (ROOT / "pyproject.toml").read_text()
    wanted = PROJECT["project"]["dependencies"] + sum(PROJECT["project"]["optional-dependencies"].values(), [])
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for requirement in wanted:
        name, _, pinned = requirement.partition("==")
        line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
        assert "  # " in line or name == "pytest", f"{name} must say why it is needed"
        version = tested[re.split("[<>=]", name)[0]]
        assert pinned in ("", version)


def test_changelog_tells_of_this_version():
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_makefile_makes_every_scheme():
    assert re.search(r"^SCHEMES := (.*)$", MAKEFILE, re.MULTILINE)[1].split() == list(NAMES)


def test_every_source_names_its_licence_and_its_purpose():
    for file in sources():
        lines = file.read_text().splitlines()
        assert any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:4]), file
        assert len(lines) < 5 or any(line.startswith('"""') for line in lines[:6]), f"{file} has no docstring"


def test_nothing_is_validated_by_assert():
    """`assert` vanishes under -O and has no message for users."""
    for file in sources():
        if file.parent.name not in ("tests", "tb"):
            assert not re.search(r"^\s*assert ", file.read_text(), re.MULTILINE), file
