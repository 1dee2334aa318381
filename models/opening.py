# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The model of a file, of whichever kind."""

import os
from pathlib import Path

from .characters import CharacterModel
from .files import Model

__all__ = ["open_model"]


def open_model(path: str | os.PathLike) -> Model:
    """The model of a file: a character model if it is an .npz archive, else one of the Llama family; see :class:`Model`."""
    return (CharacterModel if Path(path).suffix == ".npz" else Model)(path)
