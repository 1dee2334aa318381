# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What is measured: parts of schemes, textbook designs, and Verilog files of anybody's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amaranth.lib.wiring import Component

from ..schemes import NAMES, Part, Priced, contract, priced
from ..schemes.contract import describe_config
from ..tools.hints import near
from ..top import emit

__all__ = ["KINDS", "Design", "design_of", "designs", "from_files"]

KINDS = (*contract.KINDS, "file")
"""Those of parts, and a Verilog file of somebody's."""


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
    source : callable or tuple of pathlib.Path
        A function without arguments that makes the Amaranth component, or Verilog files.
    macs : mapping of str to float
        MAC per cycle by precision; empty for a part that does none by itself.
    config : str
        Its parameters, for a table.
    breakdown : mapping of str to str
        Verilog module to category ("PE array", "edge logic", "dequantization", "shell", "buffers"). These modules are
        mapped once each and keep their borders; everything else is flattened into the top, which is the category of
        the key "". Keys may be patterns; the first that fits counts. Empty: everything is flattened.
    parameters : mapping of str to str
        Of the top module of Verilog files, as Yosys reads constants.
    clock : str
        Port of its one clock.
    booth : bool
        Let Yosys make Booth multipliers of ``*``.
    """

    name: str
    scheme: str
    kind: str
    title: str
    source: Callable[[], Component] | tuple[Path, ...]
    macs: Mapping[str, float] = field(default_factory=dict)
    config: str = ""
    breakdown: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    clock: str = "clk"
    booth: bool = False

    def verilog(self) -> str:
        """Its Verilog."""
        if callable(self.source):
            return emit.to_verilog(self.source(), self.name)
        return "\n".join(path.read_text(encoding="utf-8") for path in self.source)


def from_files(paths, top, parameters=None, clock="clk") -> Design:
    """The design whose top module is `top` of Verilog files; see :class:`Design` for the rest."""
    parameters = parameters or {}
    return Design(
        name=top, scheme="file", kind="file", title=top, source=tuple(map(Path, paths)), parameters=parameters, clock=clock,
        config=", ".join(f"{name}={value}" for name, value in parameters.items()),
    )


def design_of(owner: Priced, part: Part, settings: Mapping[str, object], name: str | None = None) -> Design:
    """A part with parameters beside the defaults, as a design; with a name it is one that is measured without further word."""
    if owner.Config is None and settings:
        raise ValueError(f"{owner.name} must be measured as they are: they have no parameters, not {', '.join(settings)}")
    config = owner.Config(**settings) if owner.Config else None
    size = part.size(config)
    return Design(name or f"{owner.name}_{part.name}", owner.name, part.kind, part.title, lambda: part.make(config),
                  part.macs(config), size if name else describe_config(size, config), part.breakdown, booth=part.booth)


def _measured(owner: Priced) -> list[Design]:
    return [design_of(owner, part, settings, name) for part in owner.parts for name, settings in part.measured.items()]


def designs(names=(), kinds=KINDS) -> list[Design]:
    """Designs by the names of schemes or their own, of some kinds; all of these kinds without a name.

    Raises
    ------
    ValueError
        For a name that is neither, or where nothing is left.
    """
    registered = [design for owner in NAMES for design in _measured(priced(owner))]
    known = [*NAMES, *(design.name for design in registered)]
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} must be a scheme ({', '.join(NAMES)}) or a design{near(name, known)}")
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}{near(kind, KINDS)}")
    chosen = [design for design in registered
              if design.kind in kinds and (not names or {design.scheme, design.name} & set(names))]
    if not chosen:
        raise ValueError(f"{', '.join(names)} must have a design of kind {' or '.join(kinds)}")
    return chosen
