# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is measured: every engine, its processing element and its parts, and the textbook designs beside them.

A scheme is one function that lists its designs, and one line in the table at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.lib.wiring import Component

from ..top import emit

__all__ = ["KINDS", "SCHEMES", "Design", "designs", "from_file"]

KINDS = ("pe", "part", "array", "engine", "baseline", "file")
"""Processing element by itself; part of one or of an engine; array with its edge logic; whole engine; textbook
design; a Verilog file of somebody's."""


@dataclass(frozen=True)
class Design:
    """One thing to measure.

    Attributes
    ----------
    name : str
        Of its top module, unique.
    scheme : str
        Its scheme, "baselines", or "file".
    kind : str
        One of :data:`KINDS`.
    title : str
        What it is, for a table.
    source : callable or path
        A function without arguments that makes the Amaranth component, or a Verilog file.
    macs : mapping of str to float
        MAC per cycle by precision; empty for a part that does none by itself.
    config : str
        Its parameters, for a table.
    breakdown : mapping of str to str
        Verilog module to category ("PE array", "edge logic", "dequantization", "shell", "buffers"). These modules are
        mapped once each and keep their borders; everything else is flattened into the top, which is the category of
        the key "". Empty: everything is flattened.
    """

    name: str
    scheme: str
    kind: str
    title: str
    source: Callable[[], Component] | Path
    macs: Mapping[str, float] = field(default_factory=dict)
    config: str = ""
    breakdown: Mapping[str, str] = field(default_factory=dict)

    def verilog(self) -> str:
        """Its Verilog."""
        if isinstance(self.source, Path):
            return self.source.read_text(encoding="utf-8")
        return emit.to_verilog(self.source(), self.name)


def from_file(path, top) -> Design:
    """The design whose top module is `top` of a Verilog file."""
    return Design(name=top, scheme="file", kind="file", title=f"{top} of {Path(path).name}", source=Path(path))


def _bitmod() -> list[Design]:
    from ..golden.bitmod import BitModConfig
    from ..pe.bitmod import BitModPE

    config = BitModConfig()
    per_lane = {fmt.name: config.lanes / fmt.terms for fmt in config.formats}
    return [
        Design("bitmod_pe", "bitmod", "pe", "processing element", lambda: BitModPE(config), per_lane, f"{config.lanes} lanes"),
    ]


def _baselines() -> list[Design]:
    from .baselines import DESIGNS

    return list(DESIGNS)


SCHEMES: dict[str, Callable[[], list[Design]]] = {  # one line a scheme
    "bitmod": _bitmod,
    "baselines": _baselines,
}


def designs(schemes=None) -> list[Design]:
    """The designs of these schemes; of all without an argument.

    Raises
    ------
    ValueError
        For a scheme without designs.
    """
    chosen = SCHEMES if schemes is None else schemes
    for name in chosen:
        if name not in SCHEMES:
            raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, not {name!r}")
    return [design for name in chosen for design in SCHEMES[name]()]
