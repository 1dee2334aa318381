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

FORMS = [*((name, {}) for name in engines()), ("bitmod", {"form": "dense", "lanes": 8})]
SMALL = {"rows": 2, "cols": 2, "drain": 2}
# A fault that any product shows, with the bench's tops that have it.
FAULTS = {"bitmod": ("bitmod_tops", "EngineFault", "SUM_NOT_CLEARED"), "dense": ("bitmod_dense_tops", "Fault", "SUM_NOT_CLEARED"),
          "tender": ("tender_tops", "TenderFault", "SUM_NOT_CLEARED"), "rsr": ("rsr_tops", "EngineFault", "ROWS_SHARE_A_SCALE"),
          "bipolar": ("bipolar_tops", "BipolarFault", "SUM_NOT_CLEARED"), "bcq": ("bcq_tops", "BcqFault", "SUM_NOT_CLEARED")}


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


@pytest.mark.parametrize("name, settings", FORMS, ids=lambda value: value if isinstance(value, str) else value.get("form", ""))
def test_it_passes_and_a_wrong_word_fails(name, settings, tmp_path):
    sizes = [word for key, value in {**SMALL, **settings}.items() for word in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(cli.main, ["verilog", name, *sizes, "--testbench", "-o", str(tmp_path)])
    assert done.exit_code == 0 and f"{name}_engine_tb_weights.hex" in done.stderr, done.output
    code, printed = simulate(tmp_path, f"{name}_engine")
    assert code == 0 and printed.startswith("PASS: ") and "FAIL" not in printed, printed
    words = tmp_path / f"{name}_engine_tb_weights.hex"
    lines = words.read_text().splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
    words.write_text("\n".join(lines) + "\n")
    code, printed = simulate(tmp_path, f"{name}_engine")
    assert code == 1 and "FAIL: word" in printed and "PASS" not in printed, printed


@pytest.mark.parametrize("kind", FAULTS)
def test_a_kept_fault_fails(kind, tmp_path):
    name = "bitmod" if kind == "dense" else kind
    module, faults, fault = FAULTS[kind]
    tops = importlib.import_module(f"subbyte.tb.{module}")
    found = scheme(name)
    config = found.Config(**SMALL, **({"form": "dense", "lanes": 8} if kind == "dense" else {}))
    engine = tops.FaultyEngine(config)
    source, _ = emit.write(engine, "engine", tmp_path, config)
    manifest, product = emit.manifest(engine, "engine", config), ragged_product(found, config)
    for value in (0, getattr(tops, faults)[fault]):
        for file, text in make_testbench(manifest, config, product, source.name, {"fault": int(value)}).items():
            (tmp_path / file).write_text(text)
        code, printed = simulate(tmp_path, "engine")
        assert code == bool(value) and ("PASS" in printed) == (not value), printed


def test_what_it_is_not_for_is_refused(tmp_path):
    for arguments in (["--part", "pe", "-o", str(tmp_path)], []):
        done = CliRunner().invoke(cli.main, ["verilog", "rsr", "--testbench", *arguments])
        assert done.exit_code == 2 and done.stderr == "error: --testbench is for --part engine, and needs -o\n"
