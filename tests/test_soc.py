# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make soc`: what it asks for, and what the CPU says."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "examples" / "litex" / "soc.py"


def test_it_asks_for_what_is_missing(tmp_path):
    done = subprocess.run([sys.executable, PROGRAM, "--check"], cwd=ROOT, env={**os.environ, "PATH": str(tmp_path)},
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: make soc needs more programs. Debian/Ubuntu: apt install gcc-riscv64-unknown-elf make\n"


@pytest.mark.long
def test_a_cpu_computes_a_layer_on_two_accelerators(tmp_path):
    """The CPU finds every word right, by the memory of the accelerator and by the SoC's bus, with interrupts; the engine is at
    work for nine tenths of the time that the CPU sees a layer of eight tokens take.
    """
    if importlib.util.find_spec("litex") is None:
        pytest.skip("litex is not installed (pip install 'subbyte[soc]')")
    if not shutil.which("riscv64-unknown-elf-gcc"):
        pytest.skip("riscv64-unknown-elf-gcc is not installed (Debian: gcc-riscv64-unknown-elf)")
    done = subprocess.run([sys.executable, PROGRAM, "--build", tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: every word of every result is right" in done.stdout and "FAIL" not in done.stdout
    assert len(re.findall(r"^  (?:own memory|SoC's bus): \d+ product", done.stdout, re.MULTILINE)) == 10
    assert len(re.findall(r"^    0 of \d+ words of results wrong$", done.stdout, re.MULTILINE)) == 6
    layers = done.stdout.split("X[8, 576] @ W[1536, 576].T")[1:]
    shares = [float(share) for layer in layers for share in re.findall(r"\(engine ([\d.]+) %", layer.split("X[")[0])]
    assert len(shares) == 4 and min(shares) >= 90, shares
    assert all(int(count) > 0 for count in re.findall(r"^  (\d+) interrupts$", done.stdout, re.MULTILINE))
