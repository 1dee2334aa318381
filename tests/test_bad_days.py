# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Damaged caches, full disks, odd folders, no home: what is broken is made again, and what cannot be is said in a line."""

import json
import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from subbyte import cli, schemes
from subbyte.golden.bitmod import BitModConfig
from subbyte.sim import engine_run, verilate
from subbyte.tools import kept, outputs, toolchain

SLICE = "tests/data/smollm2_slice.npz"


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


DAMAGES = (truncate, flip, empty, remove)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".v", ".json", ".v.sha256"])
def test_a_damaged_engine_is_generated_again(tmp_path, monkeypatch, damage, suffix):
    made = []

    def write(component, name, path, config):
        made.append(path)
        outputs.write_whole(path, "module whole; endmodule\n")
        outputs.write_whole(path.with_suffix(".json"), json.dumps({"name": "whole"}))

    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path))
    monkeypatch.setattr(engine_run.emit, "write", write)
    scheme = SimpleNamespace(name="made", Config=BitModConfig, component=lambda part, config: (None, f"made_{part}"))
    first = engine_run._generate(scheme, BitModConfig())
    damage(made[0].with_name(made[0].stem + suffix))
    assert engine_run._generate(scheme, BitModConfig()) == first and len(made) == 2
    assert engine_run._generate(scheme, BitModConfig()) == first and len(made) == 2


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_verilog_is_made_again(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path))
    made = []

    def make():
        made.append(None)
        return "module whole; endmodule\n"

    first = kept.kept_verilog("some", None, make)
    damage(next(tmp_path.rglob("*.v")))
    assert kept.kept_verilog("some", None, make) == first and len(made) == 2


@pytest.mark.parametrize("name", ["model", "top", "model.sha256"])
@pytest.mark.parametrize("damage", [*DAMAGES, lambda path: path.chmod(0o600)], ids=[*(d.__name__ for d in DAMAGES), "no_right"])
def test_a_damaged_model_is_compiled_again(tmp_path, monkeypatch, name, damage):
    """The compiler is replaced by something that takes no time."""
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path))
    compiled = []

    def compile_quickly(folder, files, arguments, optimize):
        compiled.append(folder)
        folder.mkdir(parents=True)
        (folder / "model").write_bytes(b"#!/bin/sh\necho whole\n" * 9)
        (folder / "model").chmod(0o755)

    monkeypatch.setattr(verilate, "_compile", compile_quickly)
    folder = verilate.build("module top(input a); endmodule\n", "top", kind="stream")
    if name == "model.sha256" and damage is not remove and damage.__name__ == "<lambda>":
        return  # who may not run a text loses nothing
    damage(folder / name)
    again = verilate.build("module top(input a); endmodule\n", "top", kind="stream")
    assert again == folder and len(compiled) == 2 and (folder / "model").read_bytes().startswith(b"#!/bin/sh")
    verilate.build("module top(input a); endmodule\n", "top", kind="stream")
    assert len(compiled) == 2


@pytest.mark.parametrize("name", ["a b", "a$b", "a'b", "a;b"])
def test_a_build_folder_that_make_cannot_take_is_refused_first(request, monkeypatch, tmp_path, name):
    monkeypatch.chdir(request.config.rootpath)
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path / name))
    monkeypatch.setattr(engine_run, "_generate", None)
    result = CliRunner().invoke(cli.main, ["simulate", "bitmod", "--weights", SLICE, "--tensor", "weight"])
    assert result.exit_code == 2 and result.stderr.splitlines()[-1].startswith(
        "error: the build folder must have a path that make"
    )
    assert "SUBBYTE_BUILD=FOLDER chooses another" in result.stderr


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_tools_do_without_a_home(tmp_path, home):
    environment = {**os.environ, "SUBBYTE_BUILD": str(tmp_path), "HOME": home}
    for name in ("XDG_CACHE_HOME", "YOWASP_CACHE_DIR", "MPLCONFIGDIR"):
        environment.pop(name, None)
    program = (
        "import os; from subbyte.tools import toolchain; toolchain.prepare_environment();"
        "print(os.environ['YOWASP_CACHE_DIR'], os.environ['MPLCONFIGDIR'])"
    )
    shown = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == 2 * [str(tmp_path / "cache")]


@pytest.mark.parametrize(
    "command, output",
    [
        (["quantize", "bitmod", "--weights", SLICE, "--tensor", "weight"], "q.safetensors"),
        (["quantize", "bitmod", "--weights", SLICE, "--tensor", "weight"], "q.npz"),
        (["verilog", "bitmod", "--part", "pe"], "pe.v"),
        (["list", "--json"], "list.json"),
        (["pack", "tender", "--weights", SLICE, "--tensor", "weight", "--rows", "0:8"], "words"),
    ],
)
def test_a_full_disk_names_the_file_and_leaves_the_old_one(request, tmp_path, command, output):
    """A limit on the size of files stands for the disk."""
    path = tmp_path / output
    if path.suffix:
        path.write_text("old")
    arguments = [*command, *([] if command[-1] == "--json" else ["-o"]), str(path)]
    shown = subprocess.run(
        [sys.executable, "-m", "subbyte.cli", *arguments],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # noqa: PLW1509
    assert shown.returncode == 2, shown.stderr
    last = shown.stderr.splitlines()[-1]
    assert last.startswith(f"error: {path}") and "cannot be written: File too large" in last
    assert not path.suffix or path.read_text() == "old" and last.endswith("; what was there before is unchanged")
    assert not list(tmp_path.glob(".*"))  # nothing half made is left


def test_a_damaged_file_of_quantized_weights_is_refused(request, monkeypatch, tmp_path):
    monkeypatch.chdir(request.config.rootpath)
    path = tmp_path / "q.safetensors"
    arguments = ["--weights", SLICE, "--tensor", "weight", "-o", str(path)]
    assert CliRunner().invoke(cli.main, ["quantize", "bitmod", *arguments]).exit_code == 0
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="truncated or damaged|neither a GGUF"):
            schemes.load(path)


def test_folders_that_cannot_be_made_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/q.json: cannot be written: "):
        outputs.write_whole(tmp_path / "file" / "q.json", "text")


def test_a_tool_in_an_odd_folder_has_a_plain_path(tmp_path, monkeypatch):
    """Such as in an environment below `My Projects`."""
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path / "build"))
    for folder in (tmp_path / "a b", tmp_path / "c $d", tmp_path / "plain"):
        folder.mkdir()
        for _ in range(2):
            path = toolchain._without_odd_letters(folder)
            assert path.samefile(folder) and " " not in str(path) and "$" not in str(path)
