# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Mixed precision: a format for each linear layer of a model, chosen under a budget of bits by measured sensitivities."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..schemes import Scheme
from ..tools.outputs import write_whole

__all__ = ["Mixed", "choose", "load_mixed"]


@dataclass(frozen=True)
class Mixed:
    """A format for each linear layer.

    Attributes
    ----------
    scheme : str
    settings : mapping of str to object
        Parameters of all engines, beside the defaults.
    formats : mapping of str to str
        By the layer, such as ``blk.0.attn_q``.
    bits_per_weight : float
        Over all weights.
    """

    scheme: str
    settings: Mapping[str, Any]
    formats: Mapping[str, str]
    bits_per_weight: float

    def format_of(self, tensor: str) -> str:
        """The format of a layer, with or without ``.weight`` behind its name.

        Raises
        ------
        ValueError
            If the file has none for it.
        """
        name = tensor.removesuffix(".weight")
        if name not in self.formats:
            known = next(iter(self.formats))
            raise ValueError(f"--mixed has formats of {len(self.formats)} layers, such as {known!r}, none of {tensor!r}")
        return self.formats[name]

    def check(self, one: Scheme) -> "Mixed":
        """Itself, if it is of this scheme, and its formats are.

        Raises
        ------
        ValueError
            If it is not.
        """
        if one.name != self.scheme:
            raise ValueError(f"--mixed is a file of formats of {self.scheme}, not of {one.name}")
        unknown = sorted(set(self.formats.values()) - set(one.formats))
        if unknown:
            raise ValueError(f"--mixed must have formats of {one.name} ({', '.join(one.formats)}), not {unknown[0]!r}")
        return self

    def save(self, path: Path, **more: Any) -> None:
        """Write it as JSON, with what else is to be told."""
        write_whole(path, json.dumps({"mixed": 1, "scheme": self.scheme, "settings": dict(self.settings),
                                      "bits_per_weight": self.bits_per_weight, **more, "formats": dict(self.formats)},
                                     indent=2) + "\n")


def load_mixed(path: str | os.PathLike) -> Mixed:
    """What :meth:`Mixed.save` wrote.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    try:
        told = json.loads(Path(path).read_text())
        formats, scheme = told["formats"], told["scheme"]
        wrong = not formats or not all(isinstance(text, str) for item in formats.items() for text in item)
        if wrong or told["mixed"] != 1 or not isinstance(scheme, str):
            raise KeyError
        return Mixed(scheme, told["settings"], formats, float(told["bits_per_weight"]))
    except FileNotFoundError:
        raise ValueError(f"--mixed: no such file: {path}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"--mixed: {path} is no file of formats as `subbyte mix` writes it") from None


def choose(
    bits: Mapping[str, Mapping[str, float]], losses: Mapping[str, Mapping[str, float]], sizes: Mapping[str, int],
    formats: Sequence[str], budget: float,
) -> dict[str, str]:
    """A format for each layer whose bits a weight, over all layers, are within a budget.

    From the first format everywhere on, the layer whose loss rises least for a bit saved takes a narrower format, until the
    budget is met; losses of layers are taken to add up.

    Parameters
    ----------
    bits, losses : mapping of layer to mapping of format to float
        Bits a weight; how much worse the model becomes if this layer alone takes the format instead of the first.
    sizes : mapping of str to int
        Weights of each layer.
    formats : sequence of str
        The one of most bits first.
    budget : float
        Bits a weight.

    Raises
    ------
    ValueError
        If not even the narrowest formats meet it.
    """
    chosen = dict.fromkeys(sizes, formats[0])
    left = budget * sum(sizes.values()) - sum(size * bits[layer][chosen[layer]] for layer, size in sizes.items())
    while left < 0:
        moves = []
        for layer, now in chosen.items():
            for fmt in formats:
                saved = sizes[layer] * (bits[layer][now] - bits[layer][fmt])
                if saved > 0:
                    moves.append(((losses[layer][fmt] - losses[layer][now]) / saved, layer, fmt, saved))
        if not moves:
            least = budget - left / sum(sizes.values())
            raise ValueError(f"--bits must be at least {least:.3f}, which the narrowest of the formats take, not {budget}")
        _, layer, fmt, saved = min(moves)
        chosen[layer], left = fmt, left + saved
    return chosen
