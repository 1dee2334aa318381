# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: from nothing to a layer of a real model that has run through generated RTL, bit for bit."""

import os
import shlex
import sys
from pathlib import Path

import click

from ..schemes import ENGINES_EXAMPLE, scheme
from ..tools.toolchain import MissingTool, build_root, check_tools
from ..weights.smollm2 import ModelUnavailable, fetch_model
from . import main as subbyte

__all__ = ["main"]

_ROOT = Path(__file__).parents[1]
_SLICE = _ROOT / "tests" / "data" / "smollm2_slice.npz"
_DENSE = ("--set", "form=dense")
"""A weight a cycle: a compiled simulation's cycles cost time."""
_HAPPENED = """\
What happened: real weights were quantized to 4 bits and packed into the engine's stream words; the
generated Verilog, compiled by Verilator, multiplied real activations with them; every output was compared
with the exact NumPy model, and the number of cycles with the predicted one."""
_CHARACTERS = _ROOT / "examples" / "shakespeare_ternary.npz"


def main():
    """Run the demo; returns the exit code."""
    try:
        check_tools()
    except MissingTool as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    build = Path(os.path.relpath(build_root()))
    model = None
    try:
        model = str(fetch_model(build / "model"))
        operands = ["--weights", model, "--tensor", "blk.0.ffn_up.weight"]
        layer = "the whole ffn_up of block 0 of SmolLM2-135M, 1536 x 576 weights"
    except ModelUnavailable as error:
        print(f"The model cannot be fetched ({error}).\nThe slice of it that comes with subbyte serves instead.")
        operands = ["--weights", os.path.relpath(_SLICE), "--tensor", "weight"]
        layer = "64 x 576 weights of ffn_up of block 0 of SmolLM2-135M"
    engine = scheme(ENGINES_EXAMPLE)
    _step("1. Generate the RTL", ["verilog", engine.name, "-o", str(build / "verilog" / f"{engine.name}_engine.v")])
    _step(f"2. Run 8 tokens through {layer}, in 4-bit {engine.title}",
          ["simulate", engine.name, *operands, "--format", engine.formats[0], "--tokens", "8"])
    if model is not None:
        _step("3. Let the whole model go on with a text, all of its 210 linear products a token computed by the engine",
              ["generate", engine.name, "--weights", model, *_DENSE, "--prompt", "Once upon a", "--tokens", "3"])
        print(f"\n{_HAPPENED} Then the model\nwrote text through an engine for one token at a time, its products compared "
              "likewise.")
        return 0
    _step("3. Write a few characters with a ternary language model, its products computed by the RSR engine",
          ["generate", "rsr", "--weights", os.path.relpath(_CHARACTERS), "--prompt", "ROMEO:", "--tokens", "6"])
    print(f"\n{_HAPPENED} Then a trained\nternary model wrote text, all of its 42 matrix products per character computed and "
          "compared likewise.")
    return 0


def _step(title, arguments):
    """Show a command and run it; its failure ends the demo with its exit code."""
    print(f"\n{title}\n$ subbyte {shlex.join(arguments)}", flush=True)
    try:
        subbyte(arguments, prog_name="subbyte", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
