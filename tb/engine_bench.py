# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The one bench of engines, pytest's side: cases that a scheme's tests list, put through the RTL in two forms.

The *compiled* form (:func:`check_compiled`) drives a Verilated model from C++: for volume and real layers. The *cocotb* form
(:func:`check_cocotb`, with :mod:`subbyte.tb.bench_engine` inside the simulator) drives the same cases from Python.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ..golden.config import EngineConfig
from ..golden.streams import pack_beats, unpack_beats
from ..hdl.target import XILINX_7
from ..schemes import Product, Scheme
from ..sim.cocotb_run import run_bench
from ..sim.engine_run import EngineModel
from ..sim.stream_model import StreamError
from ..tools.kept import kept_verilog
from ..top.emit import to_verilog

__all__ = ["Case", "EngineBench", "first_of_each", "shell_errors"]


def first_of_each(keys):
    """Tuples that begin with a scheme's name, as parameters of a test: of each scheme all but the first are long tests."""
    seen = set()
    for key in keys:
        yield pytest.param(*key, marks=[pytest.mark.long] if key[0] in seen else [])
        seen.add(key[0])

BENCH = "subbyte.tb.bench_engine"
DUAL_TABLE = """
module LUT6_2 #(parameter [63:0] INIT = 0) (input I0, I1, I2, I3, I4, I5, output O6, O5);
  assign O6 = INIT[{I5, I4, I3, I2, I1, I0}];
  assign O5 = INIT[{1'b0, I4, I3, I2, I1, I0}];
endmodule
"""
"""What the vendor documents of the table that :mod:`subbyte.hdl.dual_table` places (UG953)."""


@dataclass(frozen=True)
class Case:
    """A product, and what to call it; of operands that are spoiled on purpose only the errors count."""

    name: str
    product: Product
    spoiled: bool = False


class EngineBench:
    """An engine of a scheme at the bench.

    Parameters
    ----------
    scheme : Scheme
    config : EngineConfig
    engine : class, optional
        Other than the scheme's own: one with faults, chosen by its port ``fault``.
    target : str
        Spelling of the arithmetic, see :mod:`subbyte.hdl.target`.
    """

    def __init__(self, scheme: Scheme, config: EngineConfig, engine=None, target: str = "asic"):
        self.scheme, self.config = scheme, config
        self.make = engine or scheme.part("engine").make
        self.top = f"{scheme.name}_engine"
        self.verilog = kept_verilog(
            self.top, (self.make.__qualname__, config, target),
            lambda: to_verilog(self.make(config), self.top, target=target) + DUAL_TABLE * (target == XILINX_7))
        self._model = None

    @property
    def model(self) -> EngineModel:
        """The compiled model."""
        if self._model is None:
            self._model = EngineModel(self.scheme, self.config, engine=self.make(self.config), verilog=self.verilog)
        return self._model

    def problems(self, case: Case, seed: int, **knobs) -> list[str]:
        """Everything in which a run is not what golden says."""
        try:
            run = self.model.run(case.product, seed=seed, **knobs)
        except StreamError as error:
            return [f"{case.name} {knobs}: {error}"]
        return [f"{case.name} {knobs}: {problem}" for problem in [*run.problems, *self._distances(run)]]

    def check(self, cases: Iterable[Case], seed: int) -> None:
        """Put each case through the compiled model: exact cycles; each stream paused alone, then all; back-pressure; outputs
        that wait for a beat before they are ready; a reset.

        Then all of them again in one go, tiles of all products back to back.
        """
        cases = list(cases)
        for case in cases:
            cycles, streams = case.product.timeline.cycles, case.product.inputs
            courses = [{}, *({"idle": {name: 0.7}} for name in streams), {"backpressure": 0.8}, {"ready_waits": True},
                       {"idle": 0.3, "backpressure": 0.5}, {"reset_at": random.Random(seed).randrange(1, cycles)}]
            for course in courses:
                found = self.problems(case, seed, **course)
                if found:
                    raise AssertionError("\n".join(found))
        self._check_in_one_go(cases, seed)

    def _distances(self, run) -> list[str]:
        """Tiles' ends (and groups', where they have scales) come in the predicted cycles, if nothing pauses."""
        ends = run.product.timeline.ends
        if not run.predictable:
            return []
        stream = "scales" if "scales" in self.config.streams else "weights"
        taken = run.run.input_cycles[stream].astype(int) - run.run.first_cycle
        taken = taken if stream == "scales" else taken[np.cumsum(run.product.timeline.beats) - 1]
        wrong = np.flatnonzero(taken != np.asarray(ends))
        return [f"end {wrong[0]} must come in cycle {ends[wrong[0]]}, not {taken[wrong[0]]}"] if wrong.size else []

    def _check_in_one_go(self, cases, seed):
        words = {name: np.concatenate([case.product.inputs[name] for case in cases]) for name in cases[0].product.inputs}
        expected = np.concatenate([case.product.outputs for case in cases])
        for knobs in ({}, {"idle": 0.2, "backpressure": 0.4}):
            run = self.model.model.run(words, {"outputs": len(expected)}, seed=seed, **knobs)
            wrong = np.flatnonzero((run.outputs["outputs"] != expected).any(axis=1))
            if wrong.size:
                raise AssertionError(f"all cases in one go {knobs}: {wrong.size} of {len(expected)} beats differ, "
                                     f"beat {wrong[0]} first (SEED={seed})")

    def check_cocotb(self, cases: Iterable[Case], seed: int, testcase: str = "engine", module: str = BENCH,
                     simulator: str = "verilator", **more) -> None:
        """Put cases through the same RTL under cocotb, with a test of a bench module; ``more`` are parameters of it."""
        arrays, described = {}, []
        for i, case in enumerate(cases):
            product, m_n = case.product, case.product.y.shape
            arrays |= {f"{name}_{i}": words for name, words in {**product.inputs, "outputs": product.outputs}.items()}
            tiles = self.config.tiles(*m_n)
            described.append({
                "name": case.name, "streams": list(product.inputs), "cycles": product.timeline.cycles,
                "errors": sorted(product.errors), "places": [tiles.describe(beat) for beat in range(len(product.outputs))],
            })
        errors = list(self.make(self.config).errors.shape().members)
        run_bench(self.verilog, self.top, module, seed=seed, testcase=testcase, simulator=simulator,
                  parameters={"cases": described, "seed": seed, "errors": errors, **more, **arrays})


def spoil(product: Product, config: EngineConfig, stream: str, field: str, beat, value, errors: Sequence[str]) -> Product:
    """The product with a field of some beats of a stream changed."""
    fields = config.streams[stream]
    values = unpack_beats(fields, product.inputs[stream])
    values[field][beat] = value
    return replace(product, inputs={**product.inputs, stream: pack_beats(fields, **values)}, errors=frozenset(errors))


def shell_errors(product: Product, config: EngineConfig) -> list[Case]:
    """Cases for each error of the shell that an engine of this config knows, made of a product of a single tile."""
    beats = len(product.inputs["weights"])
    cases = [Case("none", product, True),
             Case("k_mismatch", spoil(product, config, "activations", "last", -1, 0, ["k_mismatch"]), True)]
    if "scales" in config.streams:
        cases += [Case("scales_order, early", spoil(product, config, "scales", "last", 0, 1, ["scales_order"]), True),
                  Case("scales_order, late", spoil(product, config, "scales", "last", -1, 0, ["scales_order"]), True)]
    formats = next((field.element for field in config.streams["weights"] if field.name == "format"), None)
    if formats:
        code = unpack_beats(config.streams["weights"], product.inputs["weights"])["format"][1]
        other = next(known for known in config.formats_taken if known != code)
        cases.append(Case("format_changed", spoil(product, config, "weights", "format", 1, other, ["format_changed"]), True))
        unknown = set(range(1 << formats.width)) - set(config.formats_taken)
        cases += [Case(f"format {value}", spoil(product, config, "weights", "format", slice(None), value,
                                                ["format_unsupported"]), True) for value in sorted(unknown)]
    more = config.largest_k // config.lanes + 1 - beats
    longer = {name: np.concatenate([words[:1]] * more + [words]) for name, words in product.inputs.items()
              if name in ("weights", "activations")}
    if "scales" in product.inputs:
        scales = product.inputs["scales"]
        longer["scales"] = np.concatenate([scales[:1]] * (config.max_groups + 1 - len(scales)) + [scales])
    return [*cases, Case("k_too_long", replace(product, inputs={**product.inputs, **longer}, errors=frozenset(["k_too_long"])),
                         True)]
