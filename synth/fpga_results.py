# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a design takes of an FPGA, as plain data; see :mod:`subbyte.synth.results` for how it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from .results import OK, Measurements

__all__ = ["FpgaReport", "FpgaRow"]


@dataclass(frozen=True)
class FpgaRow:
    """One design on one device. What could not be measured is None.

    Attributes
    ----------
    name, scheme, kind, title, config : str
        Of the :class:`~subbyte.synth.designs.Design`.
    macs : mapping of str to float
        MAC per cycle by precision.
    device : str
    ports : str
        What became of the ports: "out of context", "in shift registers", "pins of" a board, "unplaced".
    target : str
        Spelling of the arithmetic, "fpga" or "asic"; "" for Verilog files.
    status : str
        :data:`~subbyte.synth.results.OK`, or what went wrong.
    seconds : float
        Wall time of the whole.
    luts : int
        Sites of look-up tables in use: logic, carries, small memories. On iCE40 logic cells.
    flipflops, brams, dsps : int
    lut_capacity : int
        Look-up tables of the device.
    asked_mhz : float or None
        Frequency asked for.
    fmax_mhz : mapping of str to float
        Highest frequency of the clock after place and route by seed, worst corner of the tool.
    """

    name: str
    scheme: str
    kind: str
    title: str
    config: str
    macs: Mapping[str, float]
    device: str
    ports: str
    target: str
    status: str = OK
    seconds: float = 0.0
    luts: int | None = None
    flipflops: int | None = None
    brams: int | None = None
    dsps: int | None = None
    lut_capacity: int | None = None
    asked_mhz: float | None = None
    fmax_mhz: Mapping[str, float] = field(default_factory=dict)

    @property
    def utilization(self) -> float | None:
        """Share of the device's look-up tables."""
        return self.luts / self.lut_capacity if self.luts is not None and self.lut_capacity else None

    @property
    def median_mhz(self) -> float | None:
        """Median over the seeds."""
        return median(self.fmax_mhz.values()) if self.fmax_mhz else None

    @property
    def rates(self) -> dict[str, float]:
        """1e9 MAC/s by precision, at the median frequency."""
        return {} if self.median_mhz is None else {name: macs * self.median_mhz / 1000 for name, macs in self.macs.items()}

    @property
    def spread_mhz(self) -> float | None:
        """Largest less smallest over the seeds."""
        return max(self.fmax_mhz.values()) - min(self.fmax_mhz.values()) if self.fmax_mhz else None

    @property
    def reached(self) -> tuple[str, ...]:
        """Seeds with which the frequency asked for was reached."""
        return tuple(seed for seed, mhz in self.fmax_mhz.items() if self.asked_mhz is not None and mhz >= self.asked_mhz)


class FpgaReport(Measurements):
    """The rows of one run of ``subbyte fpga``."""

    Row = FpgaRow
