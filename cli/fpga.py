# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`subbyte fpga`: what designs take of an FPGA and how fast they run there; bitstreams for boards."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from ..hdl.target import TARGETS
from ..schemes import NAMES, Scheme, engines, priced, scheme
from ..schemes.contract import describe_config
from ..synth import fpga as flow_of
from ..synth import results
from ..synth.designs import Design, design_of, from_files
from ..synth.devices import BOARDS, DEVICES
from ..synth.fpga_results import FpgaReport
from ..tools.hints import near
from ..tools.settings import parse_settings
from ..tools.toolchain import build_root
from ..tools.yosys import DEFAULT
from . import complete
from .accelerators import ACCELERATORS, make_accelerator, split_settings
from .recorded import RecordedCommand, command_line

__all__ = ["fpga"]

_DEVICE = "ecp5-85k"
_BAUD = 1_000_000
_BAUD_ERROR = 0.02  # what a receiver that samples ten bits in their middles bears, and the other end as much


@click.command(cls=RecordedCommand)
@click.argument("names", nargs=-1, shell_complete=complete.schemes, metavar="[SCHEME...|FILE.v...]")
@click.option("--top", metavar="MODULE", help="Top module of Verilog files; with it the arguments are files.")
@click.option("--clock", metavar="PORT", default="clk", show_default=True, help="Clock of --top.")
@click.option("--part", "parts", metavar="PART", multiple=True, shell_complete=complete.parts,
              help="What of the scheme (see `subbyte list`), or accelerator, its engine in front of a memory; repeat for more. "
                   "Default: processing element and engine.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="A parameter; repeat for more. Without, an engine "
              "is of a size that suits the device, an accelerator of one for ecp5-45k; the row names it.")
@click.option("--device", "devices", metavar="DEVICE", multiple=True,
              help=f"One of {', '.join(DEVICES)}; repeat for more. Default: {_DEVICE}.")
@click.option("--board", metavar="BOARD", help=f"One of {', '.join(BOARDS)}: the engine behind a serial port, and a bitstream.")
@click.option("--baud", metavar="N", type=click.IntRange(min=1), default=_BAUD, show_default=True,
              help="Speed of the serial port, with --board.")
@click.option("--freq", metavar="MHZ", type=float, help="The clock that is wanted. With a board, its clock's.")
@click.option("--seed", "seeds", metavar="N", type=click.IntRange(min=0), multiple=True,
              help=f"Of place and route; repeat for more. Default: {', '.join(map(str, flow_of.SEEDS))}.")
@click.option("--target", metavar="|".join(TARGETS), help="Spelling of the arithmetic: for gates, for carry chains and "
              "multipliers, for these and 7 series' tables. Default: the device's own.")
@click.option("--limit", metavar="SECONDS", type=click.FloatRange(min=1), default=flow_of.LIMIT, show_default=True,
              help="Most time of a tool for one design; a design that takes longer is a row that says so.")
@click.option("--yosys", metavar="PROGRAM", default=DEFAULT, show_default=True, help="A native yosys is faster.")
@click.option("--keep", metavar="DIR", type=click.Path(path_type=Path), help="Work there, a folder for each row: sources, "
              "constraints, scripts to run by hand, logs. Default: below build/fpga.")
@click.option("--json", "output", metavar="FILE", type=click.Path(path_type=Path), help="Write the rows to a file as well.")
@click.pass_context
def fpga(ctx, names, top, clock, parts, settings, devices, board, baud, freq, seeds, target, limit, yosys, keep, output):
    """Synthesize, place and route for an FPGA: look-up tables, flip-flops, memories, multipliers, frequency.

    Without a name every scheme is measured; textbook designs are the parts of baselines. With --board, an engine that speaks
    over a serial port, and its bitstream (docs/fpga.md has the protocol).

    \b
    Example:
      subbyte fpga {engine} --device ecp5-25k --part engine --set rows=2 --set cols=2
      subbyte fpga {engine} --part accelerator --device ecp5-45k --seed 1
      subbyte fpga {engine} --board ulx3s-85f --keep build/ulx3s
    """
    if target not in (None, *TARGETS):
        raise ValueError(f"--target must be one of {', '.join(TARGETS)}, not {target!r}{near(target, TARGETS)}")
    board = _known("--board", board, BOARDS) if board else None
    devices = [board.device] if board and not devices else devices or [_DEVICE]
    flows = [flow_of.Flow(_known("--device", device, DEVICES), board, target, seeds or flow_of.SEEDS, freq, limit, yosys)
             for device in devices]
    rows, versions, bitstreams = [], {}, []
    for flow in flows:
        flow.check_tools()
        versions |= flow_of.tool_versions(flow, build_root() / "fpga")
        for design, extra in _designs(names, top, clock, parts, settings, flow, baud):
            folder = (keep or build_root() / "fpga") / f"{design.name}-{board.name if board else flow.device.name}"
            click.echo(f"{design.name} for {board.name if board else flow.device.name}, in {folder}", err=True)
            row, bitstream = flow_of.measure(design, flow, folder)
            for file, text in extra.items():
                (folder / file).write_text(text, encoding="utf-8")
            rows.append(row)
            if bitstream and board:
                bitstreams.append(f"{bitstream}: load it with `{board.load.format(bitstream=bitstream)}`")
    report = FpgaReport(tuple(rows), versions, command_line())
    if output is not None:
        results.save(report, output)
    _show(report)
    for line in bitstreams:
        click.echo(f"bitstream {line}")
    if problems := [problem for row in rows for problem in _problems(row)]:
        for problem in problems:
            click.echo(f"error: {problem}", err=True)
        ctx.exit(1)


def _known(option, name, table):
    if name not in table:
        raise ValueError(f"{option} must be one of {', '.join(table)}, not {name!r}{near(name, table)}")
    return table[name]


def _designs(names, top, clock, parts, settings, flow, baud):
    """The designs that are asked for, each with files to leave beside it."""
    if top and not names:
        raise ValueError(f"--top {top} must come with the Verilog files that hold it")
    if top:
        if flow.board or settings or parts:
            raise ValueError("--board, --set and --part are for schemes, not for Verilog files")
        return [(from_files(names, top, clock=clock), {})]
    names, known = names or engines(), engines() if flow.board else NAMES
    for name in names:
        if name not in known:
            wanted = "come with --top, its top module" if name.endswith((".v", ".sv")) else f"be one of {', '.join(known)}"
            raise ValueError(f"{name} must {wanted}{near(name, known)}")
    if not flow.board:
        return [(_part(owner, part, settings, flow.device), {}) for owner in map(priced, names)
                for part in parts or _released(owner)]
    if parts and parts != ("engine",):
        raise ValueError("--part must be engine with --board")
    return [_behind_a_serial_port(scheme(name), settings, flow, baud) for name in names]


def _released(owner):
    """Names of the parts that are measured without being asked for."""
    if not (names := [part.name for part in owner.parts if part.released]):
        raise ValueError(f"{owner.name} must come with --part, of {', '.join(part.name for part in owner.parts)}")
    return names


def _part(owner, name, settings, device):
    """A part of a scheme as it is by default; an array or engine of a size that suits the device, or an accelerator."""
    if name == ACCELERATORS[0] and isinstance(owner, Scheme):
        return _accelerator(owner, settings)
    part = owner.part(name)
    if not isinstance(owner, Scheme):
        return design_of(owner, part, dict(setting.partition("=")[::2] for setting in settings))
    fit = owner.fits.get(device.size, {}) if part.kind in ("array", "engine") else {}
    return design_of(owner, part, {**fit, **parse_settings(owner.Config, settings)})


def _accelerator(owner, settings):
    """The engine in front of a memory."""
    engine, around = owner.fpga_accelerator
    settings, given = split_settings(ACCELERATORS[0], settings)
    config, around = owner.Config(**{**engine, **parse_settings(owner.Config, settings)}), {**around, **given}
    size = describe_config(owner.part("engine").size(config), config)
    return Design(
        f"{owner.name}_{ACCELERATORS[0]}", owner.name, "engine", "engine in front of a memory",
        lambda: make_accelerator(owner, ACCELERATORS[0], config, around), owner.part("engine").macs(config),
        ", ".join([size, *(f"{key}={value}" for key, value in around.items())]))


def _behind_a_serial_port(scheme, settings, flow, baud):
    """The engine in its serial host, and what the other end of the line must know."""
    from ..top.serial_host import SerialTop

    clock_hz = flow.board.clock_mhz * 1_000_000
    divisor = max(round(clock_hz / baud), 1)
    if abs(clock_hz / divisor / baud - 1) > _BAUD_ERROR:
        raise ValueError(f"--baud must be within 2 % of the board's clock, {clock_hz} Hz, over an integer, not {baud}")
    engine = _part(scheme, "engine", settings, flow.device)
    top = SerialTop(cast(Callable, engine.source)(), divisor)  # a scheme's parts are components, not files
    host = {"baud": clock_hz / divisor, "parameters": engine.config, "ports": asdict(top.host.ports)}
    design = replace(engine, name=f"{scheme.name}_serial", title="engine behind a serial port", source=lambda: top,
                     breakdown={})
    return design, {"serial.json": json.dumps(host, indent=2) + "\n"}


def _problems(row):
    where = f"{row.name} on {row.device}"
    if row.status != results.OK:
        yield f"{where}: {row.status}"
    elif row.asked_mhz and row.fmax_mhz and not row.reached:
        yield (f"{where}: {row.asked_mhz:g} MHz is not reached with any of {len(row.fmax_mhz)} seeds, "
               f"at best {max(row.fmax_mhz.values()):.1f}")


def _show(report):
    tools = ", ".join(f"{name} {version}" for name, version in report.tools.items())
    table = Table(title=f"FPGA ({tools})", title_justify="left")
    columns = ("design", "what", "device", "ports", "LUT", "of device", "FF", "BRAM", "DSP", "Fmax, MHz", "seeds",
               "GMAC/s")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 4 else "right")
    for row in report.rows:
        what = f"{row.title}, {row.config}" if row.config else row.title
        if row.status != results.OK:
            what = f"{what}: {row.status.splitlines()[0]}"
        elif row.asked_mhz:
            what = f"{what}; {row.asked_mhz:g} MHz reached by {len(row.reached)} of {len(row.fmax_mhz)} seeds"
        share = "-" if row.utilization is None else f"{row.utilization:.0%}"
        speed = "-" if row.median_mhz is None else f"{row.median_mhz:.1f} ±{row.spread_mhz / 2:.1f}"
        luts, *others = ("-" if value is None else f"{value:,}" for value in (row.luts, row.flipflops, row.brams, row.dsps))
        rates = {f"{rate:.1f}": precision for precision, rate in reversed(row.rates.items())}  # by the first of equal ones
        rate = ", ".join(f"{rate} {precision}" for rate, precision in reversed(rates.items())) or "-"
        table.add_row(row.name, what, row.device, row.ports, luts, share, *others, speed, str(len(row.fmax_mhz)), rate)
    Console(width=None if sys.stdout.isatty() else 170, highlight=False).print(table)

