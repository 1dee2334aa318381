# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Mapped netlists against golden, and against the RTL that they were mapped from: ``make netlist``.

A netlist is the one that `subbyte area` measures, in the project's own library and in that of the environment's ``LIBERTY``
(one file or several). Engines, whose elements keep their borders as when they are measured, run the cases of their benches in
Icarus, which knows four states: every register is undefined before the reset, every payload while ``valid`` is low. Elements
by themselves are proved equal to their RTL, all inputs free, for all time, where the proof ends.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from subbyte.schemes import engines, scheme
from subbyte.sim.cocotb_run import resolve_seed
from subbyte.synth.asic import measure
from subbyte.synth.designs import Design
from subbyte.synth.library import load_library
from subbyte.synth.netlist import NETLIST, prove_equal, simulated
from subbyte.synth.results import OK
from subbyte.tb import test_bcq, test_bipolar, test_bitmod, test_bitmod_dense, test_rsr, test_tender
from subbyte.tb.engine_bench import EngineBench
from subbyte.tests.recordings import SHARED
from subbyte.tools.process import ToolError

GIVEN = [Path(path) for path in os.environ.get("LIBERTY", "").split()] or list(SHARED.glob("liberty/nangate45_typ.lib.gz"))
LIBRARIES = {"generic": [], **({"given": GIVEN} if GIVEN else {})}
ENGINES = {
    "bitmod": (test_bitmod, "one_by_one"), "bitmod dense": (test_bitmod_dense, "integers"), "tender": (test_tender, "int4"),
    "rsr": (test_rsr, "lookup"), "bipolar": (test_bipolar, "integers"), "bcq": (test_bcq, "one_by_one"),
}
"""Benches of engines, and which of their configs."""
ELEMENTS = {
    "bitmod dense": (test_bitmod_dense, "all_formats", "element"), "tender": (test_tender, "int4", "pe"),
    "rsr": (test_rsr, "lookup", "pe"), "rsr tree": (test_rsr, "tree", "pe"), "bipolar": (test_bipolar, "integers", "pe"),
    "bcq": (test_bcq, "small", "element"),
}
"""Benches of elements, their configs and parts. Proofs of BitMoD's serial element, and of bcq's with its tables, do not end."""


def mapped(name, config, part, files, folder):
    """A part as a design, after the flow that measures it, and the library."""
    owner, library = scheme(name.partition(" ")[0]), load_library(files, folder.absolute())
    of = owner.part(part)
    design = Design(f"{owner.name}_{part}", owner.name, of.kind, of.title, lambda: of.make(config), breakdown=of.breakdown,
                    booth=of.booth)
    row = measure(design, library)
    assert row.status == OK, row.status
    return design, library


def plant(design, library):
    """Make three XORs, spread over the netlist, XNORs."""
    path = library.folder / design.name / NETLIST
    netlist = path.read_text()
    places = [place.start() for place in re.finditer(r"^  XOR2_X1 ", netlist, re.MULTILINE)]
    for quarter in (1, 2, 3):
        place = places[len(places) * quarter // 4]
        netlist = f"{netlist[:place]}  XNOR2_X1{netlist[place + len('  XOR2_X1'):]}"
        places = [other + (other > place) for other in places]  # the text has become longer
    path.write_text(netlist)


def every(names, short):
    """Names with libraries, as parameters: one of them in `make test`, the others long."""
    return [pytest.param(name, library, marks=[] if (name, library) == short else [pytest.mark.long])
            for library in LIBRARIES for name in names]


def test_all_schemes():
    assert {name.partition(" ")[0] for name in ENGINES} == set(engines())


@pytest.mark.parametrize("name, library", every(ELEMENTS, ("bipolar", "generic")))
def test_element(name, library, tmp_path):
    """Proved equal to its RTL; the same proof of a netlist with wrong gates fails."""
    tests, form, part = ELEMENTS[name]
    design, library = mapped(name, tests.CONFIGS[form], part, LIBRARIES[library], tmp_path)
    prove_equal(design, library)
    if library.generic:
        plant(design, library)
        with pytest.raises(ToolError, match="unproven"):
            prove_equal(design, library)


@pytest.mark.parametrize("name, library", every(ENGINES, None))
def test_engine(name, library, tmp_path, icarus):
    """The shortest products of its bench, pauses everywhere, payloads undefined while idle; wrong gates are noticed."""
    tests, form = ENGINES[name]
    bench, seed = EngineBench(scheme(name.partition(" ")[0]), tests.CONFIGS[form]), resolve_seed()
    cases = list(tests.engine_cases(bench.config, np.random.default_rng(seed)))
    cases = sorted(cases, key=lambda case: case.product.timeline.cycles)[:3]
    design, library = mapped(name, bench.config, "engine", LIBRARIES[library], tmp_path)

    def check():
        bench.verilog = simulated(design, library)
        bench.check_cocotb(cases, seed, "undefined", simulator="icarus", idle_payload="x")

    check()
    if library.generic:
        plant(design, library)
        with pytest.raises(AssertionError, match="first difference|undefined bits|no transfer"):
            check()
