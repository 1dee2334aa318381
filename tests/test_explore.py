# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Exploration: spaces refuse what they cannot mean, nothing is measured twice, no worker's end loses anything."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from subbyte import models
from subbyte.cli import main
from subbyte.explore import MEASURES, PRESETS, Better, Exploration, Outcome, Store, Workers, front, load_space, search, sweep
from subbyte.explore.store import OK, Result, source_digest
from subbyte.explore.tasks import Job, LayerSample, OtherVersion, perform
from subbyte.report.exploration import exploration_page
from subbyte.schemes import engines, scheme
from subbyte.synth import asic
from subbyte.synth.designs import design_of
from subbyte.synth.library import load_library
from subbyte.tests.small_models import write_gguf
from subbyte.tests.test_models import sentence_piece
from subbyte.tools.toolchain import Failed, build_root

SPACE = {
    "model": "SmolLM2-135M", "part": "pe", "fo4": 25, "machine": {"prompt": 4},
    "engines": [{"scheme": "rsr", "set": {"rows": 1, "cols": [4, 8, 12], "lanes": [8, 16], "drain": 1}},
            {"scheme": "tender", "format": ["int4", "int8"], "set": {"rows": [2, 4], "cols": 4, "lanes": 4, "drain": [1, 3]}}],
    "objectives": {"error": "min", "decode_cycles": "min"},
}
"""Without synthesis: six engines and four, and four whose drain divides no row of a tile."""


def written(folder, **changes):
    path = Path(folder) / "space.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in {**SPACE, **changes}.items() if value is not None}))
    return path


class Inline(Workers):
    """Performs jobs at once, in this process."""

    def __init__(self, perform=perform):
        super().__init__(count=1)
        self.given, self._perform, self._results = [], perform, []

    def submit(self, key, job):
        self.given.append(job)
        self.running += 1
        self._results.append((key, self._perform(job, source_digest())))

    def next(self):
        self.running -= 1
        return self._results.pop(0)


def explored(space, store, workers=None, **options):
    workers = workers or Inline()
    exploration = Exploration(space, store, workers, **options)
    return list(sweep(exploration)), exploration


@pytest.mark.parametrize("changes, told", {
    "key": ({"modle": 1}, "must have keys of model, .*, not 'modle' .did you mean model"),
    "model": ({"model": None}, "model must be given"),
    "objectives": ({"objectives": None}, "objectives must be given"),
    "objective": ({"objectives": {"aera": "min"}}, "objectives must have keys of .*, not 'aera'.*area"),
    "way": ({"objectives": {"area": "small"}}, "objectives.area must be min or max, not 'small'"),
    "limit": ({"constraints": {"area": 5}}, "constraints.area must be '<= NUMBER' or '>= NUMBER', not 5"),
    "limit's number": ({"constraints": {"area": "<= much"}}, "constraints.area must end in a number, not 'much'"),
    "scheme": ({"engines": [{"scheme": "bitmud"}]}, "scheme must be one of .*, not 'bitmud'"),
    "format": ({"engines": [{"scheme": "tender", "format": "int3"}]}, "format of tender must be one of int4, int8, not 'int3"),
    "parameter": ({"engines": [{"scheme": "tender", "set": {"lane": 4}}]}, "--set lane: .* no such parameter.*lanes"),
    "value": ({"engines": [{"scheme": "tender", "set": {"lanes": "four"}}]}, "lanes must be an integer, not 'four'"),
    "engines": ({"engines": "tender"}, "engines must be a list, not 'tender'"),
    "engine": ({"engines": ["tender"]}, "engines must be mappings with a scheme, not 'tender'"),
    "clock": ({"machine": {"clock": "measured"}, "fo4": None}, "machine.clock: measured must have a library, or .* fo4"),
    "machine": ({"machine": {"bus": -1}}, "machine.bus must be an integer above 0, not -1"),
    "sample": ({"sample": {"rows": 0}}, "sample.rows must be an integer above 0, not 0"),
    "perplexity": ({"perplexity": 4096}, "perplexity must have the file of weights"),
    "fo4": ({"fo4": "25 ps"}, "fo4 must be a number above 0, not '25 ps'"),
}.values())
def test_spaces_are_checked(tmp_path, changes, told):
    with pytest.raises(ValueError, match=told):
        load_space(written(tmp_path, **changes))


def test_files_of_spaces(tmp_path):
    given = load_space(written(tmp_path))
    python = tmp_path / "space.py"
    python.write_text(f"SPACE = {SPACE!r}\n")
    assert load_space(python) == given
    assert len(list(given.points())) == 6 + 8
    (tmp_path / "broken.yaml").write_text("a: [1")
    (tmp_path / "list.yaml").write_text("- 1")
    for name, told in (("broken.yaml", "must be YAML"), ("list.yaml", "must hold a mapping"), ("none.yaml", "no such file")):
        with pytest.raises(ValueError, match=told):
            load_space(tmp_path / name)


@pytest.mark.parametrize("preset", list(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_are_spaces_of_engines(preset):
    assert all(hasattr(point, "config") for point in load_space(preset).points())


@pytest.mark.parametrize("name", engines())
def test_sizes_do_not_change_answers(name):
    """Which is why errors are measured once for all of them."""
    one, rng = scheme(name), np.random.default_rng(1)
    weight = rng.standard_normal((6, 96)).astype(np.float32)
    layers = {"a": LayerSample(weight, (rng.standard_normal((3, 96)) * 8).astype(np.float32), True)}
    figures = []
    for sizes in ({"rows": 1, "cols": 2, "drain": 1}, {"rows": 2, "cols": 4, "drain": 2}):
        job = Job("error", {}, {"name": name, "fmt": one.formats[0], "config": one.Config(**sizes), "layers": layers})
        result = perform(replace(job, task=MEASURES["error"].task), source_digest())
        assert result.status == OK
        figures.append(result.figures)
    assert figures[0] == figures[1]
    dequantized = one.quantize(weight, one.formats[0], one.Config()).dequantize()
    assert figures[0]["error"] == pytest.approx(
        np.sqrt(np.square(layers["a"].x @ (dequantized - weight).T).mean() / np.square(layers["a"].x @ weight.T).mean()),
        rel=0.2)
    assert figures[0]["engine_error"] < 0.02 < figures[0]["error"]


def test_area_is_that_of_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBBYTE_BUILD", str(tmp_path))
    config = scheme("rsr").Config(lanes=8)
    job = Job(MEASURES["area"].task, {}, {"name": "rsr", "part": "decode", "config": config, "library": {}})
    result = perform(job, source_digest())
    folder = build_root() / "test-explore"
    folder.mkdir(parents=True, exist_ok=True)
    owner = scheme("rsr")
    row = asic.measure(design_of(owner, owner.part("decode"), {"lanes": 8}), load_library((), folder))
    assert result.status == OK and result.figures["area"] == row.area and result.figures["unit"] == "GE"
    assert not list((tmp_path / "explore").iterdir()), "a task must leave nothing behind"


def test_real_layers_and_perplexity(tmp_path):
    """Both as `evaluate` and the exact models have them; the model goes with the task."""
    path = write_gguf(tmp_path / "m.gguf", "llama2", sentence_piece)
    (tmp_path / "config.json").write_text(json.dumps({
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
        "num_key_value_heads": 4, "vocab_size": 300}))
    space = load_space(written(tmp_path, model=str(tmp_path / "config.json"), weights=str(path), perplexity=150,
                               sample={"rows": 16, "tokens": 4}, objectives={"perplexity": "min", "error": "min"},
                               engines=[{"scheme": "bitmod", "format": ["int8", "int3"], "set": {"group_size": 32}}]))
    workers = Inline()
    with Store(tmp_path / "store.sqlite") as store:
        outcomes, exploration = explored(space, store, workers)
    figures = {one.point.fmt: one.figures for one in outcomes}
    layers = next(job.arguments["layers"] for job in workers.given if "layers" in job.arguments)
    assert len(layers) == len(models.LINEARS) and all("blk.1." in tensor for tensor in layers)
    assert all(layer.weight.shape[0] == 16 and layer.x.shape[0] == 4 for layer in layers.values())
    assert figures["int8"]["error"] < figures["int3"]["error"] / 10
    for fmt, found in figures.items():
        done = CliRunner().invoke(main, ["evaluate", "bitmod", "--weights", str(path), "--format", fmt,
                                         "--set", "group_size=32", "--tokens", "150", "--json", str(tmp_path / "e.json")])
        assert done.exit_code == 0, done.output
        assert found["perplexity"] == json.loads((tmp_path / "e.json").read_text())["perplexity"]
    refused = load_space(written(tmp_path, model=str(tmp_path / "config.json"), weights=str(path),
                                 sample={"tensors": ["output.weight"]}))
    with Store(tmp_path / "store.sqlite") as store, pytest.raises(ValueError, match="sample.tensors must be linear layers"):
        explored(refused, store)


def test_place_and_route(tmp_path):
    space = load_space(written(tmp_path, part="to_float", fpga="ecp5-25k", objectives={"luts": "min", "fmax": "max"}, engines=[
        {"scheme": "rsr", "set": {"lanes": 8}}]))
    with Store(tmp_path / "store.sqlite") as store:
        (outcome,), _ = explored(space, store)
    assert outcome.status == OK and outcome.figures["luts"] > 20 and outcome.figures["fmax"] > 50, outcome


def test_what_is_known_is_not_measured_again(tmp_path):
    space = load_space(written(tmp_path))
    with Store(tmp_path / "store.sqlite") as store:
        first, exploration = explored(space, store)
        # an engine's answers have nothing to do with its columns, but with what it is
        assert exploration.performed == 2 + 2 + 6 + 4 and exploration.found == 0
        refused = [one for one in first if one.status.startswith("no engine: ")]
        assert len(refused) == 4 and all("drain must" in one.status for one in refused)
        again, exploration = explored(space, store)
        assert exploration.performed == 0 and {one[:3].__repr__() for one in again} == {one[:3].__repr__() for one in first}
        for change in ({"machine": {"prompt": 5}}, {"sample": {"rows": 65}}):
            _, exploration = explored(load_space(written(tmp_path, **change)), store)
            assert exploration.performed == (10 if "machine" in change else 4)


def test_the_largest_engine_comes_first(tmp_path):
    """So that no worker is left alone with it at the end."""
    workers = Inline(lambda job, digest: Result("not measured", {}, 0.0))
    with Store(tmp_path / "store.sqlite") as store:
        explored(load_space(written(tmp_path, objectives={"area": "min"})), store, workers)
    sizes = [config["rows"] * config["cols"] * config["lanes"] for config in (job.subject["config"] for job in workers.given)]
    assert len(set(sizes)) > 3 and sizes == sorted(sizes, reverse=True)


def test_goes_on_where_it_was_broken_off(tmp_path):
    space, seen = load_space(written(tmp_path)), []

    def interrupted(task, result, name):
        seen.append(task)
        if len(seen) == 5:
            raise KeyboardInterrupt

    with Store(tmp_path / "store.sqlite") as store, pytest.raises(KeyboardInterrupt):
        explored(space, store, ended=interrupted)
    with Store(tmp_path / "store.sqlite") as store:
        _, exploration = explored(space, store)
        assert exploration.performed == 14 - 5 and exploration.found >= 5


def test_failures_are_rows_that_say_why(tmp_path):
    def perform_badly(job, digest):
        if job.task.value == "performance" and job.arguments["config"].lanes == 8:
            return Result("RuntimeError: no luck", {}, 0.1)
        return perform(job, digest)

    space = load_space(written(tmp_path))
    with Store(tmp_path / "store.sqlite") as store:
        outcomes, _ = explored(space, store, Inline(perform_badly))
        failed = [one for one in outcomes if one.status == "performance: RuntimeError: no luck"]
        assert len(failed) == 3 and all("error" in one.figures for one in failed)
        assert not set(map(id, failed)) & set(map(id, front(space, outcomes)))
        _, exploration = explored(space, store)
        assert exploration.performed == 0, "a failure is known, until it is to be tried again"
        assert store.forget_failures() == 3
        outcomes, exploration = explored(space, store)
        assert exploration.performed == 3 and sum(one.status == OK for one in outcomes) == 10


def test_a_task_that_raises_is_a_result():
    task = MEASURES["error"].task
    result = perform(Job(task, {}, {"name": "nobody", "fmt": "", "config": None, "layers": {}}), source_digest())
    assert result.status.startswith("ValueError: scheme must be one of")
    with pytest.raises(OtherVersion, match="install the same"):
        perform(Job(task, {}, {}), "another")


def test_stores_are_checked(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    with pytest.raises(ValueError, match="must be a database of `subbyte explore`"):
        Store(path)


def test_the_front_is_surpassed_by_none(tmp_path):
    space = load_space(written(tmp_path, objectives={"area": "min", "fmax": "max"},
                               constraints={"bits": "<= 4", "error": ">= 0"}))
    rng = np.random.default_rng(3)
    outcomes = [Outcome(str(i), OK if i % 7 else "area: no", {"area": int(a), "fmax": int(f), "bits": int(b), "error": 0})
                for i, (a, f, b) in enumerate(rng.integers(0, 12, (200, 3)))]
    fit = [one for one in outcomes if one.status == OK and one.figures["bits"] <= 4]
    assert 0 < len(fit) < 150

    def surpasses(one, other):
        a, b = one.figures, other.figures
        return a["area"] <= b["area"] and a["fmax"] >= b["fmax"] and (a["area"], a["fmax"]) != (b["area"], b["fmax"])

    assert front(space, outcomes) == [one for one in fit if not any(surpasses(other, one) for other in fit)]
    assert space.objectives == {"area": Better.MIN, "fmax": Better.MAX}


def test_search_proposes_the_same_again(tmp_path):
    space = load_space(written(tmp_path, constraints={"bits": "<= 5"}))
    with Store(tmp_path / "store.sqlite") as store:
        everything, _ = explored(space, store)
        runs = [[one.name for one in search(Exploration(space, store, Inline()), 30, seed)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2] and len(runs[0]) == 30
    best = {one.name for one in front(space, everything)}
    assert best & set(runs[0])


def test_the_command(tmp_path):
    page, figures = tmp_path / "page.html", tmp_path / "points.json"
    arguments = ["explore", str(written(tmp_path)), "--store", str(tmp_path / "s.sqlite"), "--workers", "1",
                 "--page", str(page), "--json", str(figures)]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output
    assert "14 tasks performed, 0 results found" in run.output and "left out: tender int4" in run.output
    data = json.loads(figures.read_text())
    assert [point["status"] for point in data["points"]].count(OK) == 10 and any(point["front"] for point in data["points"])
    html = page.read_text()
    assert all(point["name"] in html for point in data["points"])
    tags = re.sub(r"(<(script|style)[^>]*>).*?</\2>", r"\1", html, flags=re.DOTALL)
    assert len(tags) < len(html) / 100 and not re.search(r"(src|href)\s*=|@import", tags), "the page must need no network"
    again = CliRunner().invoke(main, arguments)
    assert "0 tasks performed, 14 results found" in again.output
    assert exploration_page(data).count("<script") == html.count("<script")
    for arguments, told in ((["explore"], "a space must be given"),
                            (["explore", "--preset", "smol"], "--preset must be one of .*, not 'smol'")):
        refused = CliRunner().invoke(main, arguments)
        assert refused.exit_code == 2 and re.search(told, refused.output)


def test_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr("subbyte.explore.workers._PATIENCE", 1.0)
    space = load_space(written(tmp_path))
    with Store(tmp_path / "s.sqlite") as store, Workers("tcp://127.0.0.1:9", report=print) as workers, \
            pytest.raises(Failed, match="no scheduler of Dask answers at tcp://127.0.0.1:9"):
        explored(space, store, workers)


@pytest.fixture
def cluster(tmp_path):
    """A scheduler in a process of its own, and what starts workers beside it."""
    started, file = [], tmp_path / "scheduler.json"

    def start(*arguments):
        log = (tmp_path / f"{len(started)}.log").open("w")
        started.append(subprocess.Popen([sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]], stdout=log,
                                        stderr=log, cwd=Path.cwd(), start_new_session=True))
        return started[-1]

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    for _ in range(240):
        if file.exists() and file.read_text().strip().endswith("}"):
            break
        time.sleep(0.25)
    address = json.loads(file.read_text())["address"]
    yield address, scheduler, lambda: start("dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                                            "--host", "127.0.0.1", "--local-directory", str(tmp_path))
    for process in started:
        process.kill()
        process.wait()


def slow_space(folder):
    """Twelve processing elements to synthesize, some seconds each."""
    return load_space(written(folder, objectives={"area": "min"}, engines=[
        {"scheme": "rsr", "set": {"rows": 1, "cols": 4, "lanes": list(range(2, 26, 2)), "drain": 1}}]))


@pytest.mark.long
def test_a_worker_that_dies_and_one_that_joins_late(tmp_path, cluster):
    address, _, worker = cluster
    first, space, done = worker(), slow_space(tmp_path), []

    def ended(task, result, name):
        done.append(result.status)
        if len(done) == 2:
            worker()
        if len(done) == 5:
            first.send_signal(signal.SIGKILL)

    with Store(tmp_path / "s.sqlite") as store, Workers(address) as workers:
        outcomes, exploration = explored(space, store, workers, ended=ended)
    assert first.wait() == -signal.SIGKILL
    assert len(outcomes) == 12 and all(one.status == OK for one in outcomes)
    assert exploration.performed == len(done) == 24


@pytest.mark.long
def test_a_scheduler_that_goes_away(tmp_path, cluster):
    address, scheduler, worker = cluster
    worker()
    space, done = slow_space(tmp_path), []

    def ended(task, result, name):
        done.append(name)
        if len(done) == 4:
            scheduler.send_signal(signal.SIGKILL)

    with Store(tmp_path / "s.sqlite") as store, Workers(address) as workers, \
            pytest.raises(Failed, match=f"the scheduler at {address} went away; what had ended is kept"):
        explored(space, store, workers, ended=ended)
    with Store(tmp_path / "s.sqlite") as store, Workers(count=1) as workers:
        outcomes, exploration = explored(space, store, workers)
    assert all(one.status == OK for one in outcomes) and exploration.performed == 24 - len(done)
