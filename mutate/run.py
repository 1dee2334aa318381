# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run campaigns: take the texts that the benches compile, draw mutants, run the benches on each, prove what lived."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..tools.outputs import write_whole
from ..tools.process import ToolError, excerpt
from ..tools.toolchain import Failed, build_root, check_build_folder, check_tools, file_lock
from ..tools.yosys import DEFAULT
from .campaigns import Campaign
from .equivalence import prove
from .judged import Judged
from .mutants import Mutant, draw, modules, share, units, write
from .plugin import CAMPAIGN, CAPTURE, text_name

__all__ = ["ROOT", "How", "Row", "run"]

ROOT = Path(__file__).parents[1]
_PLUGIN = "subbyte.mutate.plugin"


@dataclass
class Row:
    """What became of a unit's mutants.

    Attributes
    ----------
    unit : str
    sampled, killed, proved, argued : int
        Mutants; those that a bench noticed; that Yosys proved equivalent; that the list of judged ones has.
    alive : list of dict
        The others: ``module``, ``wire``, ``mode``, ``at``, and Yosys' own words for it, ``line``.
    """

    unit: str
    sampled: int
    killed: int
    proved: int
    argued: int
    alive: list[dict]

    @property
    def equivalent(self) -> int:
        """Proved and argued ones."""
        return self.proved + self.argued

    @property
    def score(self) -> float | None:
        """Killed ones of those that are not equivalent; None if there are none."""
        real = self.sampled - self.equivalent
        return self.killed / real if real else None

    def to_dict(self) -> dict:
        """As JSON has it."""
        return {"unit": self.unit, "sampled": self.sampled, "killed": self.killed, "equivalent": self.equivalent,
                "proved": self.proved, "argued": self.argued, "alive": self.alive}


@dataclass(frozen=True)
class How:
    """How campaigns are run.

    Attributes
    ----------
    seed : int
        Draws the mutants. The benches have a seed of their own, ``SEED``.
    jobs : int
        Tests side by side.
    yosys : str
        See :func:`subbyte.tools.yosys.run_yosys`.
    say : callable
        Takes a line about what goes on.
    """

    seed: int = 1
    jobs: int = 1
    yosys: str = DEFAULT
    say: Callable[[str], None] = lambda text: None


def run(campaigns: Sequence[Campaign], sample: int, how: How = How()) -> Iterator[Row]:
    """Sample mutants and run the benches on them.

    Parameters
    ----------
    campaigns : sequence of Campaign
    sample : int
        Mutants in all, spread evenly over the units of all campaigns.
    how : How

    Yields
    ------
    Row
        For each unit of which a mutant was drawn.

    Raises
    ------
    Failed
        If there is no checkout with benches here, or a bench fails without a mutant.
    """
    if not (ROOT / "tb" / "test_engine.py").is_file() or not (ROOT / "pyproject.toml").is_file():
        raise Failed(f"mutation testing runs the benches of a checkout of the repository, and {ROOT} is none")
    check_build_folder()
    check_tools()
    folder = build_root() / "mutate"
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / "run.lock"):
        how.say(f"taking the texts of {len(campaigns)} benches")
        texts = _capture(campaigns, folder)
        found = [campaign.modules(units(modules(text), top)) for campaign, (top, text) in zip(campaigns, texts, strict=True)]
        counts = share([f"{i} {unit}" for i, of in enumerate(found) for unit in of], sample, how.seed)
        for i, (campaign, of) in enumerate(zip(campaigns, found, strict=True)):
            chosen = {unit: (names, count) for unit, names in of.items() if (count := counts[f"{i} {unit}"])}
            if chosen:
                yield from _run_campaign(campaign, texts[i], chosen, folder / campaign.name.replace(" ", "-"), how)


def _pytest(tests, environment, folder, log):
    """Run tests with the plugin, in the checkout; returns the log's path."""
    path = folder / log
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-p", "no:cacheprovider", "-p", _PLUGIN, "--tb=short",
               f"--basetemp={folder / 'pytest'}", "-m", "", "-s", *tests]
    with path.open("w") as output:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output,
                              stderr=subprocess.STDOUT, check=False)
    return done.returncode, path


def _capture(campaigns, folder):
    """Name of the top and text of each campaign."""
    place = folder / "capture"
    shutil.rmtree(place, ignore_errors=True)
    tests = list(dict.fromkeys(campaign.tests[0] for campaign in campaigns))
    _, log = _pytest(tests, {CAPTURE: str(place), "SUBBYTE_BUILD": str(build_root())}, folder, "capture.log")
    first = {}
    for path in sorted(place.glob("*.tests"), key=lambda path: path.stat().st_mtime):
        for test in path.read_text().splitlines():
            for name in (test, test.partition("[")[0]):
                first.setdefault(name, path.with_suffix(".v"))
    texts = []
    for campaign in campaigns:
        path = first.get(campaign.tests[0])
        if path is None:
            raise Failed(f"the test {campaign.tests[0]} compiled nothing; see {log}\n{excerpt(log.read_text(), log)}")
        texts.append((path.name.rpartition("-")[0], path.read_text()))
    return texts


def _run_campaign(campaign, design, chosen, folder, how):
    """Rows of a campaign's units."""
    top, text = design
    shutil.rmtree(folder, ignore_errors=True)
    mutants = draw(text, top, chosen, how.seed, folder, how.yosys)
    mutated = write(top, mutants, folder, how.yosys)
    how.say(f"{campaign.name}: {len(mutants)} mutants of {len(chosen)} units; compiling, and running the benches without one")
    outcomes = _outcomes(campaign, text_name(top, text), mutated, [mutant.number for mutant in mutants], folder, how)
    lived = [mutant for mutant in mutants if outcomes[mutant.number]["outcome"] == "passed"]
    how.say(f"{campaign.name}: {len(mutants) - len(lived)} killed; asking Yosys about the other {len(lived)}")
    judged, verdicts = Judged.load(), {}
    for mutant in lived:
        if judged.reason(campaign.name, mutant):
            verdicts[mutant.number] = "argued"
        elif prove(top, mutant, folder, how.yosys):
            verdicts[mutant.number] = "proved"
    write_whole(folder / "mutants.json", json.dumps([
        {**_described(mutant), "unit": mutant.unit, **outcomes[mutant.number], "verdict": verdicts.get(mutant.number, "")}
        for mutant in mutants], indent=1) + "\n")
    return [_row(f"{campaign.name}: {unit}", [mutant for mutant in mutants if mutant.unit == unit], lived, verdicts)
            for unit in chosen]


def _row(name, mutants, lived, verdicts):
    alive = [mutant for mutant in mutants if mutant in lived]
    given = [verdicts.get(mutant.number) for mutant in alive]
    return Row(name, len(mutants), len(mutants) - len(alive), given.count("proved"), given.count("argued"),
               [_described(mutant) for mutant in alive if mutant.number not in verdicts])


def _described(mutant: Mutant):
    return {**mutant.key, "line": mutant.line.split(" -src ")[0]}


def _outcomes(campaign, replaces, mutated, numbers, folder, how):
    """What pytest found of each mutant, by number."""
    results, description = folder / "results.jsonl", folder / "campaign.json"
    description.write_text(json.dumps({
        "text": mutated, "replaces": replaces, "numbers": numbers, "results": str(results), "jobs": how.jobs,
        "slots": [str(_slot(number)) for number in range(how.jobs)]}))
    _, log = _pytest(campaign.tests, {CAMPAIGN: str(description), "SUBBYTE_BUILD": str(build_root())}, folder, "pytest.log")
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    found = {line["number"]: line for line in lines}
    if found.get(0, {}).get("outcome") != "passed":
        why = found[0]["reason"] if 0 in found else excerpt(log.read_text(), log)
        raise Failed(f"the benches of {campaign.name} must pass without a mutant; see {log}\n{why}")
    missing = [number for number in numbers if number not in found]
    if missing:
        raise ToolError(f"pytest ended before mutant {missing[0]} of {campaign.name} ran; see {log}")
    return found


def _slot(number):
    """A build folder for tests beside others: benches lock theirs, compiled models are shared."""
    if number == 0:
        return build_root()
    folder = build_root() / "mutate" / f"slot-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("sim", "model", "ccache"):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(build_root() / name)
    return folder
