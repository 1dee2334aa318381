# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""A space of engines to explore, read from YAML or Python: docs/explore.md has its keys."""

import itertools
import runpy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..golden.config import EngineConfig
from ..schemes import Scheme, scheme
from ..schemes.contract import describe_config
from ..tools.hints import near
from ..tools.settings import parse_settings
from .engines import engine_for
from .measures import MEASURES, Better
from .shapes import Shape, shape_of

__all__ = ["PRESETS", "Limit", "Point", "Sample", "Space", "load_space"]

PRESETS = Path(__file__).parent / "presets"
"""Folder of spaces that come with the package."""
MEASURED = "measured"
"""As a clock: that of the period which synthesis finds."""

_MACHINE = {"clock": 500.0, "bandwidth": 25.6, "latency": 100, "engines": 1, "bus": 32, "prompt": 512, "batch": 1}


@dataclass(frozen=True)
class Point:
    """An engine with a format; ``settings`` are what the space says of it."""

    scheme: Scheme
    fmt: str
    settings: Mapping[str, Any]
    config: EngineConfig

    @property
    def name(self) -> str:
        """As `subbyte plan` takes it, so far as a parameter is not the default."""
        size = f"{self.config.rows} x {self.config.cols} x {self.config.lanes}"
        return f"{self.scheme.name} {self.fmt} {describe_config(size, self.config)}"


class Refused(NamedTuple):
    """A combination that is no engine, and the rule that says so."""

    name: str
    why: str


class Limit(NamedTuple):
    """A bound on a measure."""

    above: bool
    value: float

    def excess(self, found: float) -> float:
        """By how much of the bound a value is beyond it; not more than 0 where it is within."""
        return ((self.value - found) if self.above else (found - self.value)) / (abs(self.value) or 1)


class Sample(NamedTuple):
    """Of a model's layers, on which errors are measured: the first output channels, and tokens of a text that reach them."""

    tensors: tuple[str, ...] = ()
    rows: int = 64
    tokens: int = 8


@dataclass(frozen=True)
class Grid:
    """Engines of a scheme: formats, and values of each parameter, every one with every other."""

    scheme: Scheme
    formats: tuple[str, ...]
    values: Mapping[str, tuple]

    def settings(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Formats with parameters."""
        for fmt, *chosen in itertools.product(self.formats, *self.values.values()):
            yield fmt, dict(zip(self.values, chosen))


@dataclass(frozen=True)
class Space:
    """What is explored, for what, under which conditions.

    Attributes
    ----------
    name : str
    shape : Shape
        The model whose layers the engines compute.
    grids : tuple of Grid
    part : str
        What of an engine is synthesized.
    library : tuple of Path
        Liberty files; none: the project's own.
    fo4 : float or None
        Picoseconds of the project's own library's unit of time.
    fpga : str or None
        A device.
    weights : Path or None
        The model's file; None: errors are those of random operands.
    sample : Sample
    perplexity : int or None
        Tokens of a text.
    machine : mapping
        Clock (MHz, or "measured"), engines, bandwidth (GB/s), latency (cycles), bus (bytes), prompt and batch (tokens).
    constraints : mapping of str to Limit
    objectives : mapping of str to Better
    """

    name: str
    shape: Shape
    grids: tuple[Grid, ...]
    part: str = "engine"
    library: tuple[Path, ...] = ()
    fo4: float | None = None
    fpga: str | None = None
    weights: Path | None = None
    sample: Sample = Sample()
    perplexity: int | None = None
    machine: Mapping[str, Any] = field(default_factory=lambda: dict(_MACHINE))
    constraints: Mapping[str, Limit] = field(default_factory=dict)
    objectives: Mapping[str, Better] = field(default_factory=dict)

    def point(self, grid: Grid, fmt: str, settings: Mapping[str, Any]) -> Point | Refused:
        """The engine of a combination, or the rule of its config that forbids it."""
        longest = max(layer.k for layer in self.shape.layers)
        try:
            return Point(grid.scheme, fmt, settings, engine_for(grid.scheme.name, fmt, settings, longest)[2])
        except ValueError as error:
            given = ", ".join(f"{key}={value}" for key, value in settings.items())
            return Refused(f"{grid.scheme.name} {fmt} {given}".strip(), str(error))

    def points(self) -> Iterator[Point | Refused]:
        """All combinations."""
        for grid in self.grids:
            for fmt, settings in grid.settings():
                yield self.point(grid, fmt, settings)


def load_space(path: str | Path) -> Space:
    """Read a space: YAML, or a Python file whose ``SPACE`` is such a mapping. Files are named as seen from here.

    Raises
    ------
    ValueError
        For a key, value or engine that cannot be; it names the key, the rule and the value.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file of a space")
    try:
        given = runpy.run_path(str(path)).get("SPACE") if path.suffix == ".py" else yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: must be YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, Mapping):
        raise ValueError(f"{path}: must hold a mapping of keys{' as SPACE' if path.suffix == '.py' else ''}, not "
                         f"{type(given).__name__}")
    try:
        return _space(path.stem, given)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


_KEYS = ("model", "weights", "sample", "perplexity", "library", "fo4", "fpga", "part", "machine", "engines", "constraints",
         "objectives")


def _space(name, given):
    _known("the space", given, _KEYS)
    for key in ("model", "engines", "objectives"):
        if not given.get(key):
            raise ValueError(f"{key} must be given")
    sample = _mapping(given, "sample")
    _known("sample", sample, Sample._fields)
    machine = _mapping(given, "machine")
    _known("machine", machine, _MACHINE)
    library, weights = given.get("library") or (), given.get("weights")
    space = Space(
        name, shape_of(str(given["model"])), tuple(_grid(entry) for entry in _list("engines", given["engines"])),
        given.get("part", "engine"), tuple(map(Path, [library] if isinstance(library, str) else library)),
        None if given.get("fo4") is None else _number("fo4", given["fo4"]), given.get("fpga"), weights and Path(weights),
        Sample(tuple(_list("sample.tensors", sample.get("tensors") or ())), *(
            _integer(f"sample.{key}", sample.get(key, Sample._field_defaults[key])) for key in ("rows", "tokens"))),
        None if given.get("perplexity") is None else _integer("perplexity", given["perplexity"]),
        _machine(machine), {key: _limit(key, text) for key, text in _mapping(given, "constraints").items()},
        {key: _better(key, way) for key, way in _mapping(given, "objectives").items()})
    for key in ("constraints", "objectives"):
        _known(key, getattr(space, key), MEASURES)
    if space.perplexity and not weights:
        raise ValueError("perplexity must have the file of weights: weights")
    if space.machine["clock"] == MEASURED and not space.library and not space.fo4:
        raise ValueError("machine.clock: measured must have a library, or with the project's own one fo4, in picoseconds")
    return space


def _known(where, given, names):
    for key in given:
        if key not in names:
            raise ValueError(f"{where} must have keys of {', '.join(names)}, not {key!r}{near(str(key), names)}")


def _mapping(given, key):
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{key} must be a mapping, not {value!r}")
    return value


def _list(key, value):
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError(f"{key} must be a list, not {value!r}")
    return value


def _number(key, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError(f"{key} must be a number above 0, not {value!r}")
    return float(value)


def _integer(key, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{key} must be an integer above 0, not {value!r}")
    return value


def _machine(given):
    found = {**_MACHINE, **given}
    for key, value in found.items():
        if key in ("clock", "bandwidth"):
            found[key] = MEASURED if key == "clock" and value == MEASURED else _number(f"machine.{key}", value)
        elif key != "latency" or value != 0:
            _integer(f"machine.{key}", value)
    return found


def _grid(entry):
    if not isinstance(entry, Mapping):
        raise ValueError(f"engines must be mappings with a scheme, not {entry!r}")
    _known("engines", entry, ("scheme", "format", "set"))
    one = scheme(str(entry.get("scheme")))
    formats = entry.get("format") or one.formats[0]
    formats = one.formats if formats == "all" else (formats,) if isinstance(formats, str) else tuple(formats)
    for fmt in formats:
        if fmt not in one.formats:
            raise ValueError(f"format of {one.name} must be one of {', '.join(one.formats)}, not {fmt!r}"
                             f"{near(str(fmt), one.formats)}")
    values = {}
    for key, choices in _mapping(entry, "set").items():
        choices = choices if isinstance(choices, (list, tuple)) else (choices,)
        values[key] = tuple(parse_settings(one.Config, [f"{key}={_text(choice)}"])[key] for choice in choices)
    return Grid(one, formats, values)


def _text(value):
    """A value as it is typed after ``--set``."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _limit(key, text):
    sign, _, number = str(text).partition(" ")
    if sign not in ("<=", ">="):
        raise ValueError(f"constraints.{key} must be '<= NUMBER' or '>= NUMBER', not {text!r}")
    try:
        return Limit(sign == ">=", float(number))
    except ValueError:
        raise ValueError(f"constraints.{key} must end in a number, not {number!r}") from None


def _better(key, way):
    ways = {member.value: member for member in Better}
    if way not in ways:
        raise ValueError(f"objectives.{key} must be {' or '.join(ways)}, not {way!r}")
    return ways[way]
