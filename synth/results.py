# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Results of measurements as plain data, so that the command, the report and the guard read one and the same thing.

They hold no date and no path: the same design, library and tools give the same results but for ``seconds``.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ..tools.outputs import write_whole

__all__ = ["OK", "AreaReport", "AreaRow", "Measurements", "load", "save"]

OK = "ok"


@dataclass(frozen=True)
class AreaRow:
    """One design mapped to one cell library. What could not be measured is None.

    Attributes
    ----------
    name, scheme, kind, title, config : str
        Of the :class:`~subbyte.synth.designs.Design`.
    macs : mapping of str to float
        MAC per cycle by precision (its own words: "FP4", "INT8 x INT8").
    library : str
        Name of the library.
    unit : "um2" or "GE"
        Of ``area`` and ``breakdown``: silicon, or gate equivalents where the library has no technology.
    time_unit : "ps" or "FO4"
        Of the delays: picoseconds, or delays of an inverter that drives four.
    status : str
        :data:`OK`, or what went wrong ("exceeded 300 s").
    seconds : float
        Wall time of the measurement.
    cells : int
        Instances of library cells.
    area : float
        Sum of the cells' areas.
    ge : float
        ``area`` over that of the library's smallest two-input NAND.
    flipflops : int
    depth : int
        Cells on the longest path between registers or ports.
    comb_delay : float
        Longest combinational path as ABC sees it, within a module where modules keep their borders.
    period : float
        Shortest period of the clock, clk-to-q and setup included: the longest path from register to register.
    timing : "opensta", "abc" or None
        Where ``period`` comes from; "abc" is ``comb_delay`` plus the flip-flop's own figures, an estimate.
    breakdown : mapping of str to float
        Area by category; their sum is ``area``. Empty if the design was flattened.
    """

    name: str
    scheme: str
    kind: str
    title: str
    config: str
    macs: Mapping[str, float]
    library: str
    unit: str
    time_unit: str
    status: str = OK
    seconds: float = 0.0
    cells: int | None = None
    area: float | None = None
    ge: float | None = None
    flipflops: int | None = None
    depth: int | None = None
    comb_delay: float | None = None
    period: float | None = None
    timing: str | None = None
    breakdown: Mapping[str, float] = field(default_factory=dict)

    @property
    def area_per_mac(self) -> dict[str, float]:
        """Area per MAC/cycle by precision, in ``unit``."""
        return {} if self.area is None else {name: self.area / macs for name, macs in self.macs.items()}

    @property
    def density(self) -> dict[str, float]:
        """TMAC/s/mm2 by precision; empty unless the area is one of silicon and the period is OpenSTA's."""
        if self.timing != "opensta" or self.unit != "um2" or not self.period or not self.area:
            return {}
        return {name: macs / self.period / self.area * 1e6 for name, macs in self.macs.items()}

    @property
    def frequency_mhz(self) -> float | None:
        """Highest frequency of the clock; None without a period in picoseconds."""
        return 1e6 / self.period if self.period and self.time_unit == "ps" else None


@dataclass(frozen=True)
class Measurements:
    """The rows of one run of a command.

    Attributes
    ----------
    rows : tuple
        Of the class's ``Row``.
    tools : mapping of str to str
        Versions.
    command : str
        What gives these rows again.
    """

    Row: ClassVar[type]

    rows: tuple
    tools: Mapping[str, str]
    command: str

    @classmethod
    def from_dict(cls, values):
        """The report whose ``dataclasses.asdict`` this is."""
        return cls(tuple(cls.Row(**row) for row in values["rows"]), values["tools"], values["command"])


class AreaReport(Measurements):
    """The rows of one run of ``subbyte area``."""

    Row = AreaRow


def save(report, path):
    """Write a report (any dataclass) as JSON; folders are made."""
    write_whole(path, json.dumps(dataclasses.asdict(report), indent=2) + "\n")


def load(kind, path):
    """Read what :func:`save` wrote.

    Parameters
    ----------
    kind : type
        The report's class, a :class:`Measurements`.
    path : path-like

    Raises
    ------
    ValueError
        If the file is not such a report.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        return kind.from_dict(json.loads(text))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not the JSON of an {kind.__name__}: {error}") from None
