# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that gives the benches another text than the one they generated, and runs them on each mutant in it.

Every text that a bench simulates under Verilator passes through :func:`subbyte.sim.verilate.build`, which
:func:`subbyte.sim.verilate.exchange` lets others take part in. The environment says what is to be done:

* ``SUBBYTE_CAPTURE=FOLDER``: write each text there, with the names of its tests beside it, compile nothing, skip the rest.
* ``SUBBYTE_CAMPAIGN=FILE``: a campaign's text in place of its original, as :mod:`subbyte.mutate.run` wrote them. The tests run
  once as they are, which compiles the models, then once for each mutant, in a process of its own that ends with the
  first failure. A line for each goes to the results.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ..sim import verilate
from .mutants import CHOICE

__all__ = ["CAMPAIGN", "CAPTURE", "text_name"]

CAPTURE, CAMPAIGN = "SUBBYTE_CAPTURE", "SUBBYTE_CAMPAIGN"
POLL_S = 0.02
_FORK = multiprocessing.get_context("fork")


def text_name(top, verilog):
    """File name of a text, by its digest."""
    return f"{top}-{hashlib.sha256(verilog.encode()).hexdigest()[:16]}.v"


def pytest_configure(config):
    if os.environ.get(CAPTURE):
        verilate.exchange(_capture)
    elif os.environ.get(CAMPAIGN):
        campaign = json.loads(Path(os.environ[CAMPAIGN]).read_text())
        verilate.exchange(lambda verilog, top: campaign["text"] if text_name(top, verilog) == campaign["replaces"] else verilog)
        config.pluginmanager.register(_Runner(campaign))


def _capture(verilog, top):
    """Write a text down and leave the test."""
    folder = Path(os.environ[CAPTURE])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / text_name(top, verilog)
    path.write_text(verilog)
    with path.with_suffix(".tests").open("a") as file:
        file.write(os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0] + "\n")
    pytest.skip("captured")


class _Runner:
    """Runs the collected tests for each mutant of a campaign."""

    def __init__(self, campaign):
        self.campaign, self.failures = campaign, []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failures.append(f"{report.nodeid}: {_reason(report)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        results, items = Path(self.campaign["results"]), session.items
        if session.testsfailed or not items:
            _tell(results, {"number": 0, "outcome": "error", "reason": "no tests were collected", "seconds": 0})
            return True
        outcome, reason = self._run(session)
        if outcome == "passed":  # again, to know how long it takes with everything compiled
            outcome, reason, seconds = self._each(session, [0], 1, None)[0]
        _tell(results, {"number": 0, "outcome": outcome, "reason": reason, "seconds": round(seconds, 2)
                        if outcome == "passed" else 0})
        if outcome == "passed":
            limit = 10 * seconds + 30
            self._each(session, self.campaign["numbers"], self.campaign["jobs"], limit, results)
        return True

    def _run(self, session):
        """Run the tests here, up to the first failure."""
        self.failures = []
        for item, following in zip(session.items, [*session.items[1:], None]):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failures:
                return "failed", self.failures[0]
        return "passed", ""

    def _each(self, session, numbers, jobs, limit, results=None):
        """Run the tests in a process for each number; its outcome, the reason and the seconds of each, in the order of ends."""
        waiting, running, free, ended = list(numbers), [], list(range(jobs)), []
        while waiting or running:
            while waiting and free:
                running.append(_Child(self, session, waiting.pop(0), free.pop()))
            for child in list(running):
                outcome = child.outcome(limit)
                if outcome:
                    running.remove(child)
                    free.append(child.slot)
                    ended.append((*outcome, child.seconds))
                    if results:
                        _tell(results, {"number": child.number, "outcome": outcome[0], "reason": outcome[1],
                                        "seconds": round(child.seconds, 2)})
            time.sleep(POLL_S)
        return ended


class _Child:
    """A process that runs the tests on one mutant."""

    def __init__(self, runner, session, number, slot):
        self.number, self.slot, self.started, self.seconds = number, slot, time.monotonic(), 0.0
        self.answer, answer = _FORK.Pipe(duplex=False)
        self.process = _FORK.Process(target=_run_child, args=(runner, session, number, slot, answer))
        self.process.start()
        self.pid: int = self.process.pid  # pyright: ignore[reportAttributeAccessIssue]  # it has started
        answer.close()

    def outcome(self, limit):
        """None while it runs; else how it ended, and why."""
        self.seconds = time.monotonic() - self.started
        if limit is not None and self.seconds > limit:
            # The session that the child made, with what it started, and nothing else.
            os.killpg(self.pid, signal.SIGKILL)
            self.process.join()
            return "timeout", f"more than {limit:.0f} s"
        if self.process.is_alive():
            return None
        self.process.join()
        try:
            return self.answer.recv()
        except EOFError:
            return "error", f"the process ended with code {self.process.exitcode}"


def _run_child(runner, session, number, slot, answer):
    os.setsid()
    os.environ[CHOICE] = str(number)
    os.environ["SUBBYTE_BUILD"] = runner.campaign["slots"][slot]
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    answer.send(runner._run(session))
    answer.close()
    os._exit(0)


def _reason(report):
    """The line that says why a test failed."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return text.strip().splitlines()[0][:200] if text.strip() else report.when


def _tell(path, line):
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
