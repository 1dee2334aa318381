# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte pack` and the manifest: together they are enough to drive an engine, without Python, in any simulator."""

import json
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.golden import rsr
from subbyte.golden.streams import unpack_beats
from subbyte.schemes import engines, scheme
from subbyte.tools import toolchain
from subbyte.top import emit

SLICE = "tests/data/smollm2_slice.npz"


@pytest.fixture(autouse=True)
def at_root(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)


def subbyte(*arguments):
    result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="subbyte")
    assert result.exit_code == 0, result.output
    return result


def settings_of(name):
    """The smallest engine of a scheme."""
    return [word for key, value in scheme(name).corners[0].items() for word in ("--set", f"{key}={_text(value)}")]


def _text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def bench(folder):
    """A Verilog bench out of the JSON files of a folder alone: it sends every word, compares every word, and says so."""
    packed = json.loads((folder / "pack.json").read_text())
    manifest = json.loads((folder / packed["manifest"]).read_text())
    streams = {entry["name"]: entry for entry in manifest["streams"]}
    lines, ports, sends = [], [".clk(clk)", ".rst(rst)"], []
    for name, entry in packed["streams"].items():
        stream, beats, bits = streams[name], entry["beats"], entry["bits"]
        lines.append(f"reg [{bits - 1}:0] {name}_words [0:{beats - 1}]; integer {name}_at = 0; wire {name}_ready;")
        lines.append(f'initial $readmemh("{entry["readmemh"]}", {name}_words);')
        if entry["direction"] == "input":
            lines.append(f"wire {name}_valid = !rst && {name}_at < {beats};")
            # what is beyond the last word is undefined, as is what is offered without valid
            lines.append(f"wire [{bits - 1}:0] {name}_payload = {name}_valid ? {name}_words[{name}_at] : {bits}'bx;")
            sends.append(f"if ({name}_valid && {name}_ready) {name}_at <= {name}_at + 1;")
        else:
            lines.append(f"wire {name}_valid; wire [{bits - 1}:0] {name}_payload; assign {name}_ready = !rst;")
            sends.append(f"""if ({name}_valid && {name}_ready) begin
  if ({name}_payload !== {name}_words[{name}_at]) begin
    $display("beat %0d: %h, not %h", {name}_at, {name}_payload, {name}_words[{name}_at]); $finish;
  end
  {name}_at <= {name}_at + 1;
  if ({name}_at == {beats - 1}) begin $display("errors=%h", errors); $finish; end
end""")
        ports += [f".{stream[part]}({name}_{part})" for part in ("payload", "valid", "ready")]
    handshakes = {stream[part] for stream in streams.values() for part in ("payload", "valid", "ready")}
    for port in manifest["ports"]:
        if port["name"] not in handshakes:
            if port["direction"] == "input":
                ports.append(f".{port['name']}({port['width']}'b0)")
            elif port["name"] == "errors":
                lines.append(f"wire [{port['width'] - 1}:0] errors;")
                ports.append(".errors(errors)")
    newline = "\n"
    return f"""`timescale 1ns/1ps
module bench;
reg clk = 0, rst = 1;
always #5 clk = ~clk;
{newline.join(lines)}
{manifest["name"]} dut ({", ".join(ports)});
initial begin
  repeat (3) @(posedge clk); rst <= 0;
  repeat ({10 * packed["cycles"] + 1000}) @(posedge clk); $display("stuck"); $finish;
end
always @(posedge clk) begin
{newline.join(sends)}
end
endmodule
"""


def simulate(folder):
    """What Icarus Verilog prints."""
    name = json.loads((folder / "pack.json").read_text())["manifest"].removesuffix(".json")
    (folder / "bench.v").write_text(bench(folder))
    subprocess.run(["iverilog", "-g2005", "-o", "bench.vvp", "bench.v", f"{name}.v"], cwd=folder, check=True, timeout=120)
    run = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True, timeout=240)
    return run.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("name", engines())
def test_manifest_and_words_are_enough_to_drive_an_engine(name, tmp_path):
    try:
        toolchain.check_icarus()
    except toolchain.MissingTool as missing:
        if toolchain.needs_icarus():
            raise
        pytest.skip(str(missing))
    settings = settings_of(name)
    np.savez(tmp_path / "m.npz", w=np.random.default_rng(1).normal(0, 1, (3, 40)))
    subbyte("pack", name, "--weights", tmp_path / "m.npz", "--tensor", "w", "--tokens", "2", *settings, "-o", tmp_path)
    subbyte("verilog", name, *settings, "-o", tmp_path)
    packed = json.loads((tmp_path / "pack.json").read_text())
    bits = {entry["name"]: entry["bit"] for entry in json.loads((tmp_path / packed["manifest"]).read_text())["usage"]["errors"]}
    expected = sum(1 << bits[error] for error in packed["errors"])
    printed = simulate(tmp_path)
    assert printed.startswith("errors=") and int(printed.removeprefix("errors="), 16) == expected, printed
    # A bench that cannot fail would be none: one bit of one word of the weights.
    words = (tmp_path / "weights.hex").read_text().splitlines()
    words[0] = f"{int(words[0], 16) ^ 1:0{len(words[0])}x}"
    (tmp_path / "weights.hex").write_text("\n".join(words))
    assert simulate(tmp_path).startswith("beat ")


@pytest.mark.parametrize("name", engines())
def test_a_manifest_says_how_the_engine_is_driven(name):
    entry = scheme(name)
    engine, top = entry.component("engine", entry.Config())
    described = json.loads(emit.to_json(emit.manifest(engine, top)))
    usage, errors = described["usage"], next(port for port in described["ports"] if port["name"] == "errors")
    assert set(usage["streams"]) == {stream["name"] for stream in described["streams"]}
    for stream in usage["streams"].values():
        assert stream["beat"] and stream["taken"] and stream["beats_per_tile"]
    assert [error["name"] for error in usage["errors"]] == [leaf["path"] for leaf in errors["fields"]]
    assert all(error["cause"] and error["remedy"] for error in usage["errors"])
    assert usage["codes"]["weight"] and "order" in usage["tiles"] and described["figures"]["largest_k"]


def test_trit_bytes_and_offsets_of_the_manifest_are_those_of_the_words():
    """Weights and constants of an RSR engine made from the manifest alone."""
    rng, config = np.random.default_rng(2), rsr.RsrConfig(rows=1, cols=4, lanes=6, drain=1, max_k=64)
    qweight = rsr.from_ternary(rng.integers(-1, 2, (4, 12)), 0.5)
    words, entry = rsr.pack(qweight, config), scheme("rsr")
    codes = json.loads(emit.to_json(emit.manifest(entry.component("engine", config)[0], "e")))["usage"]["codes"]
    values = {"+": 1, "0": 0, "-": -1}
    tables = [[[values[trit] for trit in row] for row in codes[f"trits_of_{place}_bytes"]] for place in ("even", "odd")]
    found = unpack_beats(config.streams["weights"], words["weights"])["codes"]
    trits = np.array([[tables[place % 2][byte] for place, byte in enumerate(beat)] for beat in found]).reshape(len(found), -1)
    trits = trits[:, :24].reshape(2, 4, 6).transpose(1, 0, 2).reshape(4, 12)
    np.testing.assert_array_equal(trits, qweight.values)
    offsets = []
    for row in trits.reshape(4, -1, 2):
        number = row @ [3, 1]
        offsets.append(-sum(codes["excess"][int(t < 0)][abs(t)] for t in number.tolist()))
    constants = unpack_beats(config.streams["constants"], words["constants"])["columns"]
    np.testing.assert_array_equal(constants[0], offsets)


def test_binary_words_are_those_of_the_hex_files(tmp_path):
    np.savez(tmp_path / "m.npz", w=np.random.default_rng(1).normal(0, 1, (3, 40)))
    subbyte("pack", "bitmod", "--weights", tmp_path / "m.npz", "--tensor", "w", *settings_of("bitmod"), "-o", tmp_path / "p")
    packed = json.loads((tmp_path / "p" / "pack.json").read_text())
    assert packed["taken"] == "anew, from float64" and set(packed["streams"]) == {
        "weights",
        "activations",
        "scales",
        "constants",
        "outputs",
    }
    for name, entry in packed["streams"].items():
        words = (tmp_path / "p" / entry["binary"]).read_bytes()
        lines = (tmp_path / "p" / entry["readmemh"]).read_text().splitlines()
        size = entry["bytes_per_beat"]
        assert len(words) == size * entry["beats"] and len(lines) == entry["beats"], name
        assert [int(line, 16) for line in lines] == [
            int.from_bytes(words[start : start + size], "little") for start in range(0, len(words), size)
        ]
