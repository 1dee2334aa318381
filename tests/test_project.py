# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The project's own promises: commands that exist, packages that are listed, versions that agree."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from subbyte import __version__, cli
from subbyte.schemes import engines, scheme
from subbyte.tools.kept import ROOMS, sources_of

ROOT = Path(__file__).parents[1]
TOY = ROOT / "examples" / "toy_scheme"
MAKEFILE = (ROOT / "Makefile").read_text()
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def sources():
    rooms = [path.parent for path in ROOT.glob("*/__init__.py")]
    return [*ROOT.glob("*.py"), *(file for room in rooms for file in room.rglob("*.py"))]


def test_readme_names_only_commands_that_exist():
    mentioned = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= mentioned <= TARGETS
    examples = re.findall(r"(?:bin/|`)subbyte ([a-z]+)", README)
    assert examples and set(examples) <= set(cli.main.commands)


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


@pytest.mark.long
def test_wheel_alone_with_a_scheme_more(tmp_path):
    """The toy of docs/adding-a-scheme.md, its own files and one line, in a wheel installed where nothing else of ours is.

    Packages that a build forgets are found missing here. Without a network the new environment borrows the dependencies of
    this one. Only a folder's own .pth files are read, so the checkout, which one of them brings here, stays out.
    """
    source, wheels, home = tmp_path / "source", tmp_path / "wheels", tmp_path / "venv"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__"))
    shutil.copytree(TOY, source, dirs_exist_ok=True)
    registry = source / "schemes" / "__init__.py"
    lines = [re.sub(r'^NAMES = \((.*)\)$', r'NAMES = (\1, "toy")', line) for line in registry.read_text().splitlines()]
    registry.write_text("\n".join(lines) + "\n")
    assert sum(a != b for a, b in zip(lines, (ROOT / "schemes" / "__init__.py").read_text().splitlines(), strict=True)) == 1
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source], check=True)
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    subprocess.run([*pip, "install", "--no-deps", "--target", site, next(wheels.glob("*.whl"))], check=True)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SUBBYTE_BUILD")}

    def run(*arguments):
        command = [python, "-P", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("-c", "import subbyte; print(subbyte.__file__)").strip() == str(site / "subbyte" / "__init__.py")
    for name in (*engines(), "toy"):
        sizes = [] if name == "toy" else scheme(name).corners[0].items()
        run("-m", "subbyte.cli", "verilog", name, *(word for key, value in sizes for word in ("--set", f"{key}={value}")),
            "-o", f"{name}_engine.v")
    complaints = ("from pathlib import Path; from subbyte.cli.lint import check_verilog, tools; "
                  "print(check_verilog(Path('toy_engine.v').absolute(), 'toy_engine', tools()))")
    assert run("-c", complaints).strip() == "[]"
    done = run("-m", "subbyte.cli", "simulate", "toy", "--weights", ROOT / "tests/data/smollm2_slice.npz", "--tensor", "weight",
               "--rows", "0:5", "--tokens", 3)
    assert "All 15 outputs are bit-identical to the exact model; cycles are as predicted." in done
    run("-m", "pytest", "-c", source / "pyproject.toml", "-p", "no:cacheprovider", source / "tb" / "test_toy.py")
    run("-m", "subbyte.cli", "area", "toy", "--part", "pe", "--set", "lanes=4", "--json", "area.json")
    (row,) = json.loads((tmp_path / "area.json").read_text())["rows"]
    assert (row["name"], row["scheme"], row["kind"], row["config"]) == ("toy_pe", "toy", "pe", "4 lanes")
    assert row["macs"] == {"INT8 x INT8": 4} and row["area"] > 1000
    for data in ("sim/stream_driver.cpp", "schemes/area/rsr.json", "report/templates/report.html", "synth/boards/ulx3s.lpf",
                 "top/registers.rdl", "host/driver/subbyte.c"):
        assert (site / "subbyte" / data).is_file(), f"{data} is not in the wheel"


def test_caches_see_sources_in_packages(tmp_path):
    """A source that moves into a package, or changes there, is another one; pytest's modules do not count."""
    (tmp_path / "package").mkdir()
    for name in ("a.py", "test_a.py", "package/b.py"):
        (tmp_path / name).write_text("")
    assert sources_of(tmp_path) == [tmp_path / "a.py", tmp_path / "package" / "b.py"]
    for room in ROOMS:
        assert (ROOT / room / "__init__.py") in sources_of(ROOT / room)
    assert ROOT / "golden" / "bitmod" / "quantizer.py" in sources_of(ROOT / "golden")


def test_every_dependency_has_a_reason_and_a_tested_version():
    text = (ROOT / "pyproject.toml").read_text()
    wanted = PROJECT["project"]["dependencies"] + sum(PROJECT["project"]["optional-dependencies"].values(), [])
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for requirement in (requirement for requirement in wanted if not requirement.startswith("subbyte[")):
        name, _, pinned = requirement.partition("==")
        line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
        assert "  # " in line or name == "pytest", f"{name} must say why it is needed"
        version = tested[re.split("[<>=]", name)[0]]
        assert pinned in ("", version)


def test_changelog_tells_of_this_version():
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


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
