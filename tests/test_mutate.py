# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Mutation testing itself: mutants that can and cannot be killed, planted; benches that check all and nothing."""

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from subbyte import cli
from subbyte.mutate import run as mutation
from subbyte.mutate.campaigns import CAMPAIGNS, Campaign, campaigns_of
from subbyte.mutate.equivalence import prove
from subbyte.mutate.judged import Judged
from subbyte.mutate.mutants import DESIGN, draw, modules, share, units
from subbyte.schemes import engines
from subbyte.tools.toolchain import Failed

PLANTED = """
module planted(clk, rst, a__payload, a__valid, a__ready, y__payload, y__valid, y__ready);
  input clk;
  input rst;
  input a__valid;
  input y__ready;
  input [7:0] a__payload;
  output [7:0] y__payload;
  output y__valid;
  output a__ready;
  wire [3:0] both;
  planted__same same(.a(a__payload[3:0]), .b(a__payload[7:4]), .y(both));
  assign y__payload[3:0] = both;
  assign y__payload[7:4] = a__payload[3:0] + a__payload[7:4];
  assign y__valid = a__valid;
  assign a__ready = y__ready;
endmodule
module planted__same(a, b, y);
  input [3:0] a, b;
  output [3:0] y;
  wire [3:0] hidden;
  assign hidden = a & b;
  assign y = hidden | a;
endmodule
"""
"""What ``hidden`` is does not matter: where it is 1 ``a`` is, and ``y`` with it. That it is stuck at 1 does."""
BENCH = '''
import numpy as np
from subbyte.sim.stream_model import StreamModel


def results():
    a = np.arange(256, dtype=np.uint8)[:, None]
    model = StreamModel({text!r}, "planted", inputs={{"a": 8}}, outputs={{"y": 8}})
    return a[:, 0], model.run({{"a": a}}, {{"y": 256}}, seed=1).outputs["y"][:, 0]


def test_everything():
    a, y = results()
    assert (y == (a & 15 | ((a & 15) + (a >> 4)) << 4)).all()


def test_nothing():
    results()


def test_what_fails():
    assert results() is None
'''


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Every mutant of the module whose wire does not matter, and where they were drawn."""
    folder = tmp_path_factory.mktemp("planted")
    return folder, draw(PLANTED, "planted", {"same": (["planted__same"], 400)}, 1, folder)


def test_equivalence(planted):
    """Proved of the planted wire where it is stuck at 0, and of none that is another function."""
    folder, drawn = planted
    by_key = {(mutant.wire, mutant.mode, mutant.at[0]): mutant for mutant in drawn}
    assert (folder / DESIGN).is_file()
    assert prove("planted", by_key["hidden[2]", "const0", "Y"], folder)
    assert prove("planted", by_key["b[0]", "const1", "B"], folder)
    for key in (("hidden[2]", "const1", "Y"), ("y[1]", "inv", "Y")):
        assert not prove("planted", by_key[key], folder), key


def campaign(tmp_path, test):
    """A campaign of the planted design with one of the tests above."""
    path = tmp_path / "test_planted.py"
    path.write_text(BENCH.format(text=PLANTED))
    return Campaign("planted", ("rsr",), (f"{path.relative_to(mutation.ROOT)}::{test}",))


@pytest.fixture
def built(monkeypatch, tmp_path_factory):
    """A build folder of its own: the campaigns of one run one after the other."""
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path_factory.getbasetemp() / "mutation"))


@pytest.mark.long
def test_a_bench_that_checks_all_and_one_that_checks_nothing(built, tmp_path):
    """All that is no equivalent is killed, or all of it lives; the same seed draws the same."""
    good, blind = (list(mutation.run([campaign(tmp_path, test)], 16, mutation.How(seed=1)))
                   for test in ("test_everything", "test_nothing"))
    assert [row.unit for row in good] == ["planted: shell", "planted: same"]
    for seen, unseen in zip(good, blind, strict=True):
        assert seen.sampled == unseen.sampled == 8 and seen.proved == unseen.proved and seen.argued == unseen.argued == 0
        assert not seen.alive and seen.killed == seen.sampled - seen.equivalent == len(unseen.alive) + unseen.killed
    same = blind[1]
    assert same.proved > 0 and same.killed == 0  # handshakes of the shell are checked by the driver
    assert {"module", "wire", "mode", "at", "line"} == set(same.alive[0])


@pytest.mark.long
def test_benches_must_pass_without_a_mutant(built, tmp_path):
    with pytest.raises(Failed, match="the benches of planted must pass without a mutant"):
        list(mutation.run([campaign(tmp_path, "test_what_fails")], 16))
    with pytest.raises(Failed, match="compiled nothing"):
        list(mutation.run([campaign(tmp_path, "test_that_is_not_there")], 4))


def test_units_and_shares():
    names = modules(PLANTED)
    assert names == ["planted", "planted__same"]
    assert units([*names, "planted.core", "planted.core.sum", "other"], "planted") == {
        "shell": ["planted"], "same": ["planted__same"], "core": ["planted.core", "planted.core.sum"]}
    assert sum(share("abcde", 18, 3).values()) == 18 and set(share("abcde", 18, 3).values()) == {3, 4}


def test_every_engine_has_campaigns_whose_tests_exist(request):
    assert all(campaigns_of(name) for name in engines())
    tests = sorted({test for each in CAMPAIGNS for test in each.tests})
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", "--collect-only", "-q",
               "--basetemp=build/pytest-collected", "-m", "", *tests]
    done = subprocess.run(command, cwd=request.config.rootpath, env={**os.environ, "PYTEST_ADDOPTS": ""}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_list_of_judged(tmp_path, planted):
    """Every entry of the list has a reason; one counts for its module, wire and mode, whatever their numbers are."""
    Judged.load()
    _, drawn = planted
    mutant = next(mutant for mutant in drawn if (mutant.wire, mutant.mode, mutant.at[0]) == ("hidden[2]", "const0", "Y"))
    assert mutant.key == {"module": "planted__same", "wire": "hidden[2]", "mode": "const0",
                          "at": "Y[2]: assign hidden = a & b;"}
    entry = {"module": "planted__same", "wire": "hidden[2]", "mode": "const*", "why": "planted"}
    assert Judged((entry,)).reason("planted", mutant) == "planted"
    for other in ({"wire": "hidden[3]"}, {"module": "planted"}, {"mode": "inv"}, {"campaign": "others"}, {"at": "A*"}):
        assert Judged(({**entry, **other},)).reason("planted", mutant) is None
    (tmp_path / "judged.json").write_text(json.dumps([{**entry, "why": " "}]))
    with pytest.raises(ValueError, match="each entry must have module, wire, mode, why, .* has no why"):
        Judged.load(tmp_path / "judged.json")
    (tmp_path / "judged.json").write_text(json.dumps([{**entry, "wire": "$"}]))
    with pytest.raises(ValueError, match="has no at$"):
        Judged.load(tmp_path / "judged.json")


@pytest.mark.parametrize("arguments, says", [
    (["tendr"], "scheme must be one of .*did you mean tender"),
    (["baselines"], "scheme must be one of bitmod"),
    (["rsr", "--sample", "0"], "0 is not in the range"),
    (["rsr", "--seed", "-1"], "-1 is not in the range"),
    (["rsr", "--campaign", "rsr tre"], "--campaign must be one of rsr, rsr tree, .*, not 'rsr tre'"),
])
def test_refused(arguments, says):
    result = CliRunner().invoke(cli.main, ["mutate", *arguments], prog_name="subbyte")
    assert result.exit_code == 2
    assert re.search(says, result.output), result.output
