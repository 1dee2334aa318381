# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What every kind of weight file offers: names, shapes, types, numbers and codes."""

import difflib
from abc import ABC, abstractmethod

import numpy as np

from .quantized import QuantizedTensor

__all__ = ["Index", "Reader", "WeightFileError", "check_finite"]

Index = slice | tuple | list
"""Which part of a tensor: rows, or an expert and its rows."""


class WeightFileError(ValueError):
    """A weight file, or a tensor in it, cannot be used; the message says which and why."""


class Reader(ABC):
    """One open file, or several that are one checkpoint.

    Attributes
    ----------
    path : str
        As given.
    kind : str
        Of file, for messages.
    files : tuple of str
        All that it reads from.
    """

    kind: str

    def __init__(self, path: str):
        self.path = path
        self.files = (str(path),)

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and the NumPy shape of each tensor, in the file's order."""

    @abstractmethod
    def type_of(self, name: str) -> str:
        """What the file calls the tensor's type."""

    @abstractmethod
    def _load(self, name: str, index: Index) -> np.ndarray:
        """Numbers of a tensor that exists, in a floating-point type."""

    def _codes(self, name: str, index: Index) -> QuantizedTensor | None:
        del name, index
        return None

    def known(self, name: str) -> str:
        """The name of a tensor that must exist."""
        shapes = self.shapes()
        if name not in shapes:
            by_lower_case = {known.lower(): known for known in shapes}
            near = difflib.get_close_matches(name.lower(), by_lower_case, n=5, cutoff=0.4)
            if near:
                hint = f"; near matches: {', '.join(by_lower_case[match] for match in near)}"
            else:
                hint = f"; it has {', '.join(shapes) if 0 < len(shapes) <= 12 else f'{len(shapes)} tensors'}"
            raise WeightFileError(f"{self.path}: no tensor {name!r}{hint}")
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor that must exist."""
        return self.shapes()[self.known(name)]

    def load(self, name: str, index: Index = slice(None)) -> np.ndarray:
        """A tensor, or part of it, as finite float32."""
        return check_finite(self._load(self.known(name), index), self.path, name, index)

    def codes(self, name: str, index: Index = slice(None)) -> QuantizedTensor | None:
        """A matrix as the codes that the file holds; None if they are none of those that :class:`QuantizedTensor` knows."""
        tensor = self._codes(self.known(name), index)
        if tensor is not None and not (
            np.isfinite(tensor.scales).all() and (tensor.minima is None or np.isfinite(tensor.minima).all())
        ):
            with np.errstate(invalid="ignore"):
                check_finite(
                    tensor.spread(tensor.scales if tensor.minima is None else tensor.scales + tensor.minima),
                    self.path,
                    name,
                    index,
                )
        return tensor


def check_finite(array: np.ndarray, path: str, name: str, index: Index = slice(None)) -> np.ndarray:
    """The array as float32, if it has elements and all of them are finite and within float32."""
    if not array.size:
        raise WeightFileError(f"{path}: tensor {name!r} has no elements")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32, copy=False)
    wrong = ~np.isfinite(single)
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        value, place = array[where], _place(where, index)
        rule = "within float32, +-3.4e38," if np.isfinite(value) else "finite,"
        raise WeightFileError(f"{path}: tensor {name!r} must be {rule} not {value:g} at {place}")
    return single


def _place(where, index):
    """A place in a part, counted from the tensor's beginning."""
    rows = index[-1] if isinstance(index, tuple) else index
    if isinstance(rows, slice):
        first = where[0] + (rows.start or 0)
    else:
        first = rows[where[0]]
    lead = index[:-1] if isinstance(index, tuple) else ()
    return (*lead, int(first), *where[1:])
