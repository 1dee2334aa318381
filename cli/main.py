# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The command `subbyte` itself: its commands, imported when they are used, and how each of them ends.

Exit codes mean the same everywhere: 0 done; 1 something went wrong on the way, such as a tool that failed or RTL that differs;
2 what was asked cannot be; 130 interrupted.
"""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from importlib import import_module

import click

from .. import __version__
from ..schemes import ENGINES_EXAMPLE
from ..tools.hints import near
from ..tools.toolchain import Failed

__all__ = ["Failure", "main"]

# Who measures a part of a core leaves the rest of it unused, which Amaranth would tell.
warnings.filterwarnings("ignore", message=".*created but never used")

COMMANDS = {
    "verilog": ("commands", "Generate an engine, or one of its parts, as Verilog-2005."),
    "quantize": ("commands", "Quantize a tensor of a model file, and say what it costs and loses."),
    "inspect": ("inspect", "Say what a model file holds, and which scheme takes it with what loss."),
    "pack": ("pack", "Write the words of an engine's streams for a layer, and what they are."),
    "simulate": ("commands", "Run a layer of a model file through the engine's RTL, bit for bit."),
    "evaluate": ("evaluate", "Measure a model's perplexity with a scheme's weights and activations."),
    "mix": ("mix", "Choose a format for each layer of a model under a budget of bits."),
    "generate": ("generate", "Let a model write text, its linear products computed by the engine's RTL."),
    "plan": ("plan", "Predict cycles, bytes and tokens a second of a model on engines and a memory."),
    "explore": ("explore", "Measure a space of engines on a model, and show the best of them."),
    "area": ("area", "Map designs to a cell library: area, period, and what a MAC costs."),
    "energy": ("energy", "Map an engine, let its netlist compute a layer, and price every transition."),
    "fpga": ("fpga", "Synthesize, place and route for an FPGA; bitstreams for boards."),
    "report": ("report", "Compare all designs in one page."),
    "mutate": ("mutate", "Put faults into the RTL, and say which of them the benches notice."),
    "list": ("catalogue", "List schemes, their formats and their parts."),
    "doctor": ("doctor", "Say what is installed, and what is missing for which command."),
    "completion": ("completion", "Print a script that completes commands in a shell."),
}
"""Every command: the module of this folder that has it, and what it does."""


class Failure(click.ClickException):
    """One line on stderr and an exit code."""

    def __init__(self, message, exit_code: int):
        super().__init__(str(message))
        self.exit_code = exit_code  # pyright: ignore[reportAttributeAccessIssue]  # click's is 1


def _hear_interrupts(unraisable, otherwise=sys.unraisablehook):
    """Python drops what a finalizer raises. Where that is Ctrl-C, it comes again when the finalizer is over."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        otherwise(unraisable)


class _Commands(Mapping):
    """The commands by name; one is imported when it is asked for."""

    def __iter__(self):
        return iter(COMMANDS)

    def __len__(self):
        return len(COMMANDS)

    def __getitem__(self, name):
        module, _ = COMMANDS[name]
        return getattr(import_module(f".{module}", __package__), f"list_{name}" if name == "list" else name)


class _Group(click.Group):
    """Turns whatever ends a command into one clean line and an exit code."""

    def resolve_command(self, ctx, args):
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise Failure(f"{args[0]!r} must be one of {', '.join(COMMANDS)}{near(args[0], COMMANDS)}", 2)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(self, args=None, prog_name=None, complete_var=None, standalone_mode=True, **extra):
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        sys.unraisablehook = _hear_interrupts
        debug = "--debug" in (sys.argv[1:] if args is None else args) or os.environ.get("SUBBYTE_DEBUG", "0") not in ("", "0")
        try:
            code = super().main(args, prog_name, complete_var, False, **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            if debug and error.__cause__:
                traceback.print_exception(error.__cause__)
            click.echo(f"error: {error.format_message()}", err=True)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            warnings.simplefilter("ignore")  # of what is left half made
            click.echo("error: interrupted", err=True)
            code = 130
        except BrokenPipeError:  # whoever reads has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = 0
        except Exception as error:
            if debug:
                traceback.print_exc()
            click.echo(f"error: {type(error).__name__}: {error} (--debug shows where)", err=True)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            raise Failure(error, 2) from error
        except Failed as error:
            raise Failure(error, 1) from error


@click.group(cls=_Group, commands=_Commands(),
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, help=f"""\
RTL for matrix products with sub-byte weights: generate it, and run real layers through it.

\b
Exit codes: 0 done; 1 something went wrong on the way (a tool failed, RTL differs); 2 what was asked
cannot be; 130 interrupted.

\b
Example:
  subbyte verilog {ENGINES_EXAMPLE} --set rows=4 --set cols=4 -o build/verilog/{ENGINES_EXAMPLE}_engine.v
""")
@click.version_option(__version__, package_name="subbyte", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error. SUBBYTE_DEBUG=1 does so, too.")
def main(debug):
    """See ``help``."""
    del debug  # looked for before anything is parsed
