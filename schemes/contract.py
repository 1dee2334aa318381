# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What the rest of the house knows of a scheme: its config, its operands, its products, its parts, and nothing else."""

import dataclasses
import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from ..golden.config import EngineConfig
from ..golden.schedule import Timeline
from ..tools.hints import near

if TYPE_CHECKING:
    from ..weights.quantized import QuantizedTensor

__all__ = ["KINDS", "Part", "Priced", "Product", "Scheme", "describe_config"]

KINDS = ("pe", "part", "array", "engine", "baseline")
"""Processing element by itself; part of one or of an engine; array with its edge logic; whole engine; textbook design."""
_ADDED = ("float32", "float16", "int32")
"""Outputs of engines that software can add."""


def describe_config(size: str, config: Any) -> str:
    """The size of something, and every parameter that is no size and not the default, for a table."""
    fields = dataclasses.fields(config) if dataclasses.is_dataclass(config) else ()
    values = {item.name: getattr(config, item.name) for item in fields
              if item.name not in ("rows", "cols", "lanes") and getattr(config, item.name) != item.default}
    return ", ".join(filter(None, [size, *(f"{name}={_plain(value)}" for name, value in values.items())]))


def _plain(value):
    if isinstance(value, tuple):
        return "+".join(map(str, map(_plain, value)))
    return value.name if isinstance(value, enum.Enum) else value


@dataclass(frozen=True)
class Part:
    """A piece of hardware that can be generated, linted, measured.

    Attributes
    ----------
    name : str
        As typed after ``--part``.
    kind : str
        One of :data:`KINDS`.
    title : str
        What it is, for a table.
    make : callable
        From a config to its component.
    macs : callable
        From a config to MAC per cycle by precision; nothing for a part that does none by itself.
    size : callable
        From a config to what to say of its size.
    breakdown : mapping of str to str
        See :class:`subbyte.synth.designs.Design`.
    measured : mapping of str to mapping
        Designs that are measured of it without further word: their names, and parameters beside the defaults.
    released : bool
        Whether `make verilog` writes it, and `subbyte fpga` measures it without being asked.
    exists : callable
        From a config to whether there is such a part of it; asked for all the same, it is refused.
    booth : bool
        Whether its products, written with ``*``, are best as Booth's.
    """

    name: str
    kind: str
    title: str
    make: Callable[[Any], Any]
    measured: Mapping[str, Mapping[str, Any]]
    macs: Callable[[Any], Mapping[str, float]] = lambda config: {}
    size: Callable[[Any], str] = lambda config: ""
    breakdown: Mapping[str, str] = field(default_factory=dict)
    released: bool = False
    exists: Callable[[Any], bool] = lambda config: True
    booth: bool = False


class Priced(ABC):
    """What has parts that can be measured: a scheme, or textbook designs.

    Attributes
    ----------
    name, title : str
        As typed, and as read.
    colours : (str, str)
        Of its points in plots, on a light background and on a dark one.
    Config : type or None
        Its frozen dataclass of parameters, if its parts have any.
    """

    name: str
    title: str
    colours: tuple[str, str]
    Config: type | None = None

    @property
    @abstractmethod
    def parts(self) -> Sequence[Part]:
        """All of them; hardware is imported only here."""

    def part(self, name: str) -> Part:
        """The part of this name.

        Raises
        ------
        ValueError
            If there is none.
        """
        parts = {part.name: part for part in self.parts}
        if name not in parts:
            raise ValueError(f"part must be one of {', '.join(parts)}, not {name!r}{near(name, parts)}")
        return parts[name]


@dataclass(frozen=True)
class Product:
    """A matrix product as an engine must compute it, and all that is needed to let it do so; made once.

    Attributes
    ----------
    y : ndarray [M, N]
        The engine's answer, by golden, to the bit.
    flags : mapping of str to bool ndarray [M tiles, N tiles]
        What it reports of each tile.
    errors : frozenset of str
        Sticky errors that these operands raise.
    reference : float64 ndarray [M, N]
        Exact product of the quantized operands, corrections included.
    timeline : Timeline
        Predicted cycles.
    inputs : mapping of str to ndarray
        Words of each input stream.
    outputs : ndarray
        Words that must come.
    unit : float or ndarray that broadcasts to [M, N]
        What a result of 1 counts, where results are integers of some scale.
    """

    y: np.ndarray = field(repr=False)
    flags: Mapping[str, np.ndarray] = field(repr=False)
    errors: frozenset[str]
    reference: np.ndarray = field(repr=False)
    timeline: Timeline
    inputs: Mapping[str, np.ndarray] = field(repr=False)
    outputs: np.ndarray = field(repr=False)
    unit: float | np.ndarray = field(default=1.0, repr=False)

    @property
    def error(self) -> np.ndarray:
        """Of each answer against the reference, float64 [M, N]."""
        return self.y.astype(np.float64) * self.unit - self.reference


class Scheme(Priced):
    """An engine, seen from outside.

    Attributes
    ----------
    Config, Weight : type
        An :class:`~subbyte.golden.config.EngineConfig`, and the dataclass that :meth:`quantize` gives.
    idea, paper : str
        The idea in a line, and where it is from.
    formats : tuple of str
        Weight formats, the default one first.
    fits : mapping of str to mapping
        Parameters of arrays for FPGAs that are "smallest", "small" and "large".
    corners : tuple of mapping
        Parameters, beside the defaults, at which `make lint` checks the RTL; the first is the smallest engine.
    forms : mapping of str to (str, mapping)
        Other forms' files that `make verilog` writes: their top, and the part and parameters that it is.
    accelerator : (mapping, mapping)
        Parameters of the engine behind a memory that `make verilog` writes, and of what stands around it: its words of weights
        take as long on the bus as in the array.
    fpga_accelerator : (mapping, mapping)
        Likewise, of a size that `subbyte fpga` measures: for some 40,000 look-up tables.
    bench : tuple of mapping
        Parameters at which `make bench` runs layers.
    format_settings : mapping of str to mapping
        Parameters, beside the defaults, of an engine that takes a format which the default one does not.
    emulations : tuple of str
        Ways of :meth:`emulate`, the engine's own first.
    perplexities : mapping of str to float or None
        What an independent program finds for a format, with behind it how activations reach products if not as they are; None
        for what it has no figure of (`make perplexity`).
    unsteady : tuple of str
        Formats of these on whose roundings the last bit of a sum decides.
    one_token : mapping of str to object
        Parameters of an engine for one token at a time, which ``rows=1`` is one of.
    one_token_how : str or None
        How its activations are made, one of ``emulations``; None: the first.
    accurate : bool
        Whether `make bench` tabulates errors of the engine by format.
    """

    Config: type[EngineConfig]
    Weight: type
    idea: str
    paper: str
    formats: tuple[str, ...]
    fits: Mapping[str, Mapping[str, Any]]
    fpga_accelerator: tuple[Mapping[str, Any], Mapping[str, Any]] = {}, {}
    corners: tuple[Mapping[str, Any], ...]
    forms: Mapping[str, tuple[str, Mapping[str, Any]]] = {}
    accelerator: tuple[Mapping[str, Any], Mapping[str, Any]] = {}, {}
    bench: tuple[Mapping[str, Any], ...] = ({},)
    format_settings: Mapping[str, Mapping[str, Any]] = {}
    emulations: tuple[str, ...] = ("engine",)
    perplexities: Mapping[str, float | None] = {}
    unsteady: tuple[str, ...] = ()
    one_token: Mapping[str, Any] = {}
    one_token_how: str | None = None
    accurate: bool = True

    @property
    def arithmetic(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Formats, and parameters beside the defaults, of engines whose errors `make bench` tabulates on layers of a model."""
        return [(fmt, self.format_settings.get(fmt, {})) for fmt in self.formats]

    @abstractmethod
    def takes(self, fmt: str, config: EngineConfig) -> bool:
        """Whether an engine of this config takes the format."""

    @abstractmethod
    def quantize(self, weight: np.ndarray, fmt: str, config: EngineConfig) -> Any:
        """Float weight [N, K] in a format: has ``shape``, ``codes``, ``bits_per_weight``, ``dequantize()``."""

    def take(self, tensor: "QuantizedTensor", fmt: str | None, config: EngineConfig) -> tuple[Any, str]:
        """What a file holds quantized, with its codes as they are and scales as near as the format has them; and the format.

        Without a format the narrowest one that the engine takes.

        Raises
        ------
        ValueError
            If the codes are none of this format's, or of this scheme's; it says why.
        """
        raise ValueError(f"{self.title} has no format for codes of files")

    def suited(self, tensor: "QuantizedTensor") -> Mapping[str, Any]:
        """Parameters of a config that takes the tensor as it is, so far as they are no question of size."""
        del tensor
        return {}

    def prescale(self, weight: np.ndarray) -> int | None:
        """The exponent that suits a weight, for :meth:`quantize` to take as ``prescale``; None: nothing here needs that.

        The weight is multiplied by that power of two first, exactly, and what scales its codes divided by it.
        """
        del weight
        return None

    def losses(self, weight: np.ndarray, qweight: Any) -> list[str]:
        """What a user must hear of a quantization that the format's range spoils; a line each."""
        del weight, qweight
        return []

    def to_fields(self, qweight: Any) -> Mapping[str, Any]:
        """A quantized weight as arrays and what JSON holds, by the names of its fields."""
        return {item.name: getattr(qweight, item.name) for item in dataclasses.fields(qweight)}

    def from_fields(self, fields: Mapping[str, Any]) -> Any:
        """Undo :meth:`to_fields`, given lists for tuples."""
        return self.Weight(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})

    @abstractmethod
    def activations(self, x: np.ndarray, config: EngineConfig) -> Any:
        """Float [M, K] as the operand that the engine takes."""

    def site(self, x: np.ndarray, weight: np.ndarray, dequantized: np.ndarray, config: EngineConfig, normalised: bool,
             how: str | None = None, calibration: Any = None) -> tuple[Any, Mapping[str, Any]]:
        """Operand and further terms of :meth:`product` for a layer of a model, whose place in it decides how they are made.

        Parameters
        ----------
        x : float32 [M, K]
            Consecutive tokens of one sequence.
        weight, dequantized : float32 [N, K]
            Before quantization, and what the quantized one stands for.
        config : EngineConfig
        normalised : bool
            Whether ``x`` comes straight out of a normalisation, as for a Llama's q, k, v, gate and up, and not for o and down.
        how : str or None
            One of ``emulations``; None: the first.
        calibration : object or None
            What a :meth:`calibrator` for this place gives, if the operand's metadata are static.
        """
        del weight, dequantized, normalised, how, calibration
        return self.activations(x, config), {}

    def derived(
        self, x: Any, qweight: Any, config: EngineConfig, bias: np.ndarray | None = None, **terms: Any
    ) -> tuple[Mapping[str, Any], str]:
        """``terms`` of :meth:`product`, and those that an engine of this config needs beside them; and how they come, in words.

        A ``bias`` [N] becomes one of them, or is refused by a scheme whose engines add none.
        """
        del x, qweight, config
        if bias is not None:
            raise ValueError(f"--bias is for engines that add one, which {self.title}'s leave to what comes behind")
        return {}, ""

    def chunks_of(self, x: Any, **terms: Any) -> list[tuple[Any, Mapping[str, Any]]]:
        """Rows of activations, and their terms, that one job of an accelerator takes, from the first to the last."""
        return [(x, terms)]

    def words_of(self, x: Any, qweight: Any, config: EngineConfig) -> int:
        """Words of activations that a tile of rows has."""
        del x
        k, size = qweight.shape[1], getattr(qweight, "group_size", None) or qweight.shape[1]
        return sum(ceil(min(size, k - start) / config.lanes) for start in range(0, k, size))

    def cut(self, x: Any, qweight: Any, start: int, stop: int) -> tuple[Any, Any]:
        """Operands of elements ``start`` to ``stop`` of K alone; the first is the first of a group."""
        raise ValueError(f"{self.title} takes K as a whole")

    def parts_of(self, x: Any, qweight: Any, config: EngineConfig, words: int,
                 **terms: Any) -> list[tuple[Any, Any, Mapping[str, Any]]]:
        """Operands and terms of products of at most ``words`` words of activations a tile of rows, which add up to the whole.

        One if that is short enough; else K is cut between groups, and terms count with the first part alone.

        Raises
        ------
        ValueError
            If so few words hold no group, or the engine's results are not to be added.
        """
        if self.words_of(x, qweight, config) <= words:
            return [(x, qweight, terms)]
        size = getattr(qweight, "group_size", None) or 1
        step = (words - self.spare_words(x)) * config.lanes // size * size
        if step < 1:
            raise ValueError(f"{words} words of {config.lanes} activations hold no part of K")
        if config.output not in _ADDED:
            raise ValueError(f"{config.output} results of parts of K cannot be added: build it with one of {', '.join(_ADDED)}")
        k = qweight.shape[1]
        return [(*self.cut(x, qweight, start, min(start + step, k)), {} if start else terms) for start in range(0, k, step)]

    def spare_words(self, x: Any) -> int:
        """Words of a part that may be less than full, beside those of its end."""
        del x
        return 0

    @abstractmethod
    def inputs(self, x: Any, qweight: Any, config: EngineConfig, **terms: Any) -> Mapping[str, np.ndarray]:
        """Words of each input stream of :meth:`product`, without computing it."""

    @abstractmethod
    def product(self, x: Any, qweight: Any, config: EngineConfig, **terms: Any) -> Product:
        """The product of operands; ``terms`` are the scheme's further ones.

        Raises
        ------
        ValueError
            If they do not fit the config, or each other.
        """

    def reference(self, x: Any, qweight: Any, config: EngineConfig, **terms: Any) -> np.ndarray:
        """The exact product of the quantized operands of :meth:`product`, corrections included, float64 [M, N]."""
        return self.product(x, qweight, config, **terms).reference

    def answer(self, x: Any, qweight: Any, config: EngineConfig, **terms: Any) -> np.ndarray:
        """The engine's answer alone, ``y * unit`` of :meth:`product` in float32 [M, N], for whole texts.

        The bits are golden's; a scheme with a faster twin of its exact model uses that.
        """
        product = self.product(x, qweight, config, **terms)
        return (product.y * product.unit).astype(np.float32)

    def errors(self, x: Any, qweight: Any, config: EngineConfig, **terms: Any) -> tuple[np.ndarray, np.ndarray]:
        """Of each answer of :meth:`product` against its reference, and the reference: float64 [M, N] both.

        A scheme with a faster twin of its exact model uses that.
        """
        product = self.product(x, qweight, config, **terms)
        return product.error, product.reference

    @abstractmethod
    def results(self, words: np.ndarray, m: int, n: int, config: EngineConfig) -> tuple[np.ndarray, Mapping[str, np.ndarray]]:
        """Words of ``outputs`` as y [M, N] and the flags of its tiles."""

    @abstractmethod
    def shared(self, config: EngineConfig) -> str:
        """On which weights share a scale, in words."""

    def emulate(self, x: np.ndarray, weight: np.ndarray, dequantized: np.ndarray, config: EngineConfig, normalised: bool,
                how: str, calibration: Any = None) -> np.ndarray:
        """A layer of a model in float32 [M, N], with operands as of :meth:`site`: what engines add of their own is left out."""
        operand, _ = self.site(x, weight, dequantized, config, normalised, how, calibration)
        return np.asarray(operand, np.float32) @ dequantized.T

    def calibrator(self, config: EngineConfig, normalised: bool, how: str) -> Any:
        """What ``add`` shows inputs float32 [M, K] of a place to, and whose ``calibration(rounding=...)`` :meth:`site` takes.

        Raises
        ------
        ValueError
            If the scheme's activations have nothing that is calibrated.
        """
        del config, normalised, how
        raise ValueError(f"--calibration is for schemes with static metadata of activations (tender), not {self.name}")

    def config_of(self, fmt: str, **parameters: Any) -> EngineConfig:
        """An engine that takes the format, with these parameters and else the defaults."""
        return self.Config(**{**self.format_settings.get(fmt, {}), **parameters})

    def attention(self, kind: str, x: np.ndarray, other: np.ndarray, config: EngineConfig) -> tuple[Any, Any]:
        """Operands of :meth:`product` of one of attention's own products, :data:`subbyte.models.decoder.Attend`.

        Raises
        ------
        ValueError
            If the scheme publishes none.
        """
        del kind, x, other, config
        raise ValueError(f"--attention is for schemes that publish it (bitmod: INT8 keys and values; tender), not {self.name}")

    def token_config(self, fmt: str, **parameters: Any) -> EngineConfig:
        """Likewise, with the sizes of ``one_token`` for defaults, which suit a compiled simulation: lanes are cheap there."""
        return self.config_of(fmt, **{"rows": 1, **self.one_token, **parameters})

    def tables(self, path) -> None:
        """Print further tables of `make bench`, of the model file at ``path``."""

    def format_for(self, name: str | None, config: EngineConfig) -> str:
        """The format of this name, or without one the first that an engine of this config takes."""
        from ..tools.hints import near

        taken = [known for known in self.formats if self.takes(known, config)]
        if name is not None and name not in taken:
            raise ValueError(
                f"--format must be one that the engine takes ({', '.join(taken)}), not {name!r}{near(name, taken)}")
        return name or taken[0]

    def component(self, part: str, config: EngineConfig) -> tuple[Any, str]:
        """The component of a part, and the name of its Verilog module."""
        return self.part(part).make(config), f"{self.name}_{part}"
