# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A payload means nothing while its stream's ``valid`` is low: whatever is there, the results of no engine change.

Verilator gets changing noise, as in every bench. Icarus, which knows four states, gets undefined bits, also in registers that
no reset defines: a result that depended on one of them would be undefined.
"""

import importlib

import numpy as np
import pytest

from subbyte.schemes import engines, scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.tb.engine_bench import EngineBench, first_of_each


@pytest.mark.parametrize("name, form", list(first_of_each(
    (name, form) for name in engines() for form in importlib.import_module(f"subbyte.tb.test_{name}").CONFIGS)))
def test_undefined_bits(name, form, icarus):
    """The cases of the scheme's own bench, pauses everywhere, every idle payload undefined."""
    tests, seed = importlib.import_module(f"subbyte.tb.test_{name}"), resolve_seed()
    bench = EngineBench(scheme(name), tests.CONFIGS[form])
    cases = list(tests.engine_cases(bench.config, np.random.default_rng(seed)))
    cases = sorted(cases, key=lambda case: case.product.timeline.cycles)[:3]  # it is slow
    bench.check_cocotb(cases, seed, "undefined", simulator="icarus", idle_payload="x")
