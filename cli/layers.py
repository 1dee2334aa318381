# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""The weight of a model's layer in a scheme's format, for commands that run whole models."""

import numpy as np

from ..models import Model, Site
from ..schemes import Scheme
from ..weights import load_quantized

__all__ = ["layer_weight"]


def layer_weight(one: Scheme, model: Model, site: Site, weight: np.ndarray, fmt: str, config):
    """The quantized weight: of a model whose file has integers with scales these as they are, else of float32 [N, K].

    Raises
    ------
    ValueError
        If the format does not hold what the file has.
    """
    if not model.quantized:
        return one.quantize(weight, fmt, config)
    tensor = load_quantized(model.path, model.stored(site.tensor))
    if tensor is None:
        raise ValueError(f"{model.path}: tensor {model.stored(site.tensor)!r} must hold integers with scales")
    return one.take(tensor, fmt, config)[0]
