# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Run a cocotb bench, Verilated or under Icarus: build, run, and turn every way of failing into an exception.

A bench is a module of cocotb tests, `tb/bench_<name>.py`; the pytest side calls `run_bench`, the bench reads what
it was given with `bench_parameters`.
"""

import json
import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..golden.parameters import check_choice
from ..tools.toolchain import build_root, check_icarus, file_lock, prepare_environment
from . import coverage
from .verilate import BuildError, build, waves_format, without_initial_values

__all__ = ["bench_parameters", "resolve_seed", "run_bench"]

_PARAMETERS = "SUBBYTE_BENCH_PARAMETERS"


def resolve_seed(seed=None):
    """The seed to use: `seed` if given, else the environment variable `SEED`, else 1.

    Returns
    -------
    int
    """
    if seed is not None:
        return int(seed)
    text = os.environ.get("SEED") or "1"
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"SEED must be an integer, not {text!r}") from None


def bench_parameters():
    """What `run_bench` was given as `parameters`, inside the simulator.

    Returns
    -------
    dict
        JSON values, and NumPy arrays under the names they were passed by.
    """
    path = Path(os.environ[_PARAMETERS])
    with np.load(path.with_suffix(".npz")) as arrays:
        return json.loads(path.read_text()) | dict(arrays)


def run_bench(design, name, bench_module, *, parameters=None, seed=None, waves=None, testcase=None, limit_s=300,
              random_power_up=True, simulator="verilator"):
    """Build a design, run a cocotb bench on it and raise if anything at all went wrong.

    Parameters
    ----------
    design : amaranth.lib.wiring.Component or str
        Unit under test, or Verilog text that has a module `name`.
    name : str
        Name of the top module; also names the folder `build/bench/<name>-<test case>` with log and results, after which
        comes the simulator unless it is Verilator.
    bench_module : str
        Import name of the module with the cocotb tests, such as `"subbyte.tb.bench_engine"`.
    parameters : dict, optional
        JSON values or NumPy arrays (directly under a name), read in the bench by `bench_parameters`.
    seed : int, optional
        Seeds the bench and the random power-up state. Without it `SEED` in the environment does.
    waves : bool, optional
        Write `dump.vcd` or `dump.fst`. By default `WAVES=1` in the environment decides.
    testcase : str, optional
        Run this cocotb test only.
    limit_s : int
        Wall time after which the simulator is stopped, in seconds.
    random_power_up : bool
        See `subbyte.sim.verilate.build`; under Icarus registers without initial values are undefined.
    simulator : "verilator" or "icarus"
        Icarus Verilog knows undefined values, compiles at once, and runs slowly.

    Returns
    -------
    pathlib.Path
        The folder with `simulation.log`, `results.xml` and the trace, if any.

    Raises
    ------
    AssertionError
        With the failing tests' messages, the seed, and the path of the log.
    BuildError, MissingTool
        See `subbyte.sim.verilate.build`.
    """
    check_choice("simulator", simulator, ("verilator", "icarus"))
    prepare_environment()
    verilog = design if isinstance(design, str) else _to_verilog(design, name)
    trace = waves_format(waves)
    verilated = simulator == "verilator"
    model = build(verilog, name, waves=trace, random_power_up=random_power_up) if verilated else None
    seed = resolve_seed(seed)
    folder = build_root() / "bench" / "-".join(filter(None, (name, testcase, None if verilated else simulator)))
    print(f"{bench_module} on {name}: SEED={seed}, {folder}")
    with file_lock(folder.with_suffix(".lock")):
        folder.mkdir(parents=True, exist_ok=True)
        if not verilated:
            model = _build_icarus(without_initial_values(verilog) if random_power_up else verilog, name, folder, trace)
        environment = {_PARAMETERS: _write_parameters(parameters or {}, folder)}
        ended = _simulate(simulator, model, name, bench_module, folder, seed, trace, testcase, limit_s, environment)
        if verilated:
            coverage.collect(folder, model)
        _check(folder, seed, ended)
    return folder


def _to_verilog(component, name):
    from ..top.emit import to_verilog

    return to_verilog(component, name)


def _write_parameters(parameters, folder):
    arrays = {name: value for name, value in parameters.items() if isinstance(value, np.ndarray)}
    path = folder / "parameters.json"
    path.write_text(json.dumps({name: value for name, value in parameters.items() if name not in arrays}))
    np.savez(path.with_suffix(".npz"), allow_pickle=False, **arrays)
    return str(path)


def _build_icarus(verilog, top, folder, trace):
    """Compile for Icarus in the bench's own folder: it takes less time than to find out whether it was done before."""
    from cocotb_tools.runner import get_runner

    check_icarus()
    source, log = folder / "design.v", folder / "build.log"
    source.write_text(verilog)
    try:
        get_runner("icarus").build(sources=[source], hdl_toplevel=top, build_dir=folder, always=True, log_file=log,
                                   timescale=("1ns", "1ps"), waves=trace is not None)
    except RuntimeError:
        raise BuildError(f"iverilog failed; see {log}\n{_log_tail(log)}") from None
    return folder


def _simulate(simulator, model, top, bench_module, folder, seed, trace, testcase, limit_s, environment):
    """Run cocotb's runner; returns how it ended, for the case that it leaves no results."""
    from cocotb_tools.runner import get_runner

    # Where it is counted what moves, power-up shall not move anything.
    random_state = [f"+verilator+seed+{seed % (2**31 - 1) + 1}", f"+verilator+rand+reset+{0 if coverage.is_on() else 2}"]
    results = folder / "results.xml"
    results.unlink(missing_ok=True)
    try:
        with _time_limit(limit_s):
            get_runner(simulator).test(
                bench_module, top, hdl_toplevel_lang="verilog", build_dir=model, test_dir=folder,
                results_xml=str(results), seed=seed, testcase=testcase, waves=trace is not None, extra_env=environment,
                plusargs=random_state if simulator == "verilator" else [],
                log_file=folder / "simulation.log")
    except TimeoutError as error:
        results.unlink(missing_ok=True)
        return str(error)
    except (RuntimeError, SystemExit) as error:
        # Whether the runner raises depends on whether it runs under pytest: only the results file decides.
        return f"the simulator ended early ({error})"
    return "the simulator ended without results"


@contextmanager
def _time_limit(seconds):
    """Raise TimeoutError in the main thread when the time is over; `subprocess.run` then ends its child."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(*_):
        raise TimeoutError(f"the simulator did not end within {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _check(folder, seed, ended):
    """Raise AssertionError unless the results file shows at least one test and no failure."""
    results, log = folder / "results.xml", folder / "simulation.log"
    where = f"(SEED={seed}, log: {log})"
    if not results.is_file():
        raise AssertionError(f"{ended} {where}\n{_log_tail(log)}")
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    bad = [(case, found) for case in cases for kind in ("failure", "error")
           if (found := case.find(kind)) is not None]
    if bad:
        messages = [f"{case.get('name')}: {_message(found)}" for case, found in bad]
        raise AssertionError(f"{len(bad)} of {len(cases)} tests failed {where}\n" + "\n".join(messages))
    if not any(case.find("skipped") is None for case in cases):
        raise AssertionError(f"no cocotb test ran {where}\n{_log_tail(log)}")


def _message(failure):
    kind, message = failure.get("type", "failure"), failure.get("message", "no message")
    if kind == "AssertionError":
        return message
    places = [line.strip() for line in (failure.text or "").splitlines() if line.lstrip().startswith("File ")]
    return f"{kind}: {message}" + (f"\n  {places[-1]}" if places else "")


def _log_tail(log, lines=15):
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.is_file() else ""
