# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte verilog --testbench`: passes in Icarus Verilog with its files alone, and fails on a kept fault in the engine."""

import importlib
import subprocess

import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.schemes import engines, scheme
from subbyte.sim.testbench import make_testbench, ragged_product
from subbyte.tools import toolchain
from subbyte.top import emit

SIZES = {
    "bitmod": {"lanes": 4, "group_size": 32}, "dense": {"form": "dense", "lanes": 8, "group_size": 32}, "tender": {"lanes": 4},
    "rsr": {"lanes": 4}, "bipolar": {"lanes": 8}, "bcq": {"lanes": 8, "mu": 2, "group_size": 32},
}
"""Beside rows, columns and drain, which are 2: Icarus takes its time."""
FAULTS = {
    "bitmod": ("bitmod_tops", "EngineFault", "SUM_NOT_CLEARED"), "dense": ("bitmod_dense_tops", "Fault", "SUM_NOT_CLEARED"),
    "tender": ("tender_tops", "TenderFault", "SUM_NOT_CLEARED"), "rsr": ("rsr_tops", "EngineFault", "ROWS_SHARE_A_SCALE"),
    "bipolar": ("bipolar_tops", "BipolarFault", "SUM_NOT_CLEARED"), "bcq": ("bcq_tops", "BcqFault", "SUM_NOT_CLEARED"),
}
"""A fault that any product shows, and where the bench's tops have it."""


def config_of(kind):
    """A scheme and a small config; of BitMoD's two forms one is called dense."""
    found = scheme("bitmod" if kind == "dense" else kind)
    return found, {"rows": 2, "cols": 2, "drain": 2, **SIZES[kind]}


def test_every_scheme_is_here():
    assert {*engines(), "dense"} == set(SIZES) == set(FAULTS)


@pytest.fixture(autouse=True)
def icarus():
    try:
        toolchain.check_icarus()
    except toolchain.MissingTool as missing:
        if toolchain.needs_icarus():
            raise
        pytest.skip(str(missing))


def simulate(folder, top):
    """Exit code and what Icarus prints of ``<top>.v`` and its testbench."""
    subprocess.run(["iverilog", "-g2005", "-o", "bench.vvp", f"{top}_tb.v", f"{top}.v"], cwd=folder, check=True, timeout=120)
    run = subprocess.run(["vvp", "-N", "bench.vvp"], cwd=folder, capture_output=True, text=True, timeout=240)
    return run.returncode, run.stdout


_KINDS = [kind if kind == "rsr" else pytest.param(kind, marks=pytest.mark.long) for kind in SIZES]


@pytest.mark.parametrize("kind", _KINDS)
def test_it_passes_and_a_wrong_word_fails(kind, tmp_path):
    found, settings = config_of(kind)
    sizes, top = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")], f"{found.name}_engine"
    done = CliRunner().invoke(cli.main, ["verilog", found.name, *sizes, "--testbench", "-o", str(tmp_path)])
    assert done.exit_code == 0 and f"{top}_tb_weights.hex" in done.stderr, done.output
    code, printed = simulate(tmp_path, top)
    assert code == 0 and printed.startswith("PASS: ") and "FAIL" not in printed, printed
    words = tmp_path / f"{top}_tb_weights.hex"
    lines = words.read_text().splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
    words.write_text("\n".join(lines) + "\n")
    code, printed = simulate(tmp_path, top)
    assert code == 1 and "FAIL: word" in printed and "PASS" not in printed, printed


@pytest.mark.parametrize("kind", _KINDS)
def test_a_kept_fault_fails(kind, tmp_path):
    found, settings = config_of(kind)
    config, (module, faults, fault) = found.Config(**settings), FAULTS[kind]
    tops = importlib.import_module(f"subbyte.tb.{module}")
    engine = tops.FaultyEngine(config)
    source, _ = emit.write(engine, "engine", tmp_path, config)
    manifest, (_, product) = emit.manifest(engine, "engine", config), ragged_product(found, config)
    for value in (0, getattr(tops, faults)[fault]):
        for file, text in make_testbench(manifest, config, product, source.name, {"fault": int(value)}).items():
            (tmp_path / file).write_text(text)
        code, printed = simulate(tmp_path, "engine")
        assert code == bool(value) and ("PASS" in printed) == (not value), printed


def test_what_it_is_not_for_is_refused(tmp_path):
    for arguments in (["--part", "pe", "-o", str(tmp_path)], []):
        done = CliRunner().invoke(cli.main, ["verilog", "rsr", "--testbench", *arguments])
        assert done.exit_code == 2 and done.stderr == "error: --testbench is for --part engine or accelerator, and needs -o\n"
