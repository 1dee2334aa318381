# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""An engine that a model's layers fit."""

from collections.abc import Mapping
from typing import Any

from ..golden.config import EngineConfig
from ..schemes import Scheme, scheme

__all__ = ["engine_for"]


def engine_for(name: str, fmt: str | None, parameters: Mapping[str, Any], longest: int) -> tuple[Scheme, str, EngineConfig]:
    """A scheme, a format (None: the first that fits) and a config with these parameters, whose sums hold `longest` products.

    Raises
    ------
    ValueError
        If there is no such scheme, format or engine.
    """
    one = scheme(name)
    fmt = fmt or one.format_for(None, one.Config(**parameters))
    config = one.config_of(fmt, **parameters)
    if config.largest_k < longest and "max_k" not in parameters and hasattr(config, "max_k"):
        config = one.config_of(fmt, **parameters, max_k=-(-longest // 1024) * 1024)
    return one, one.format_for(fmt, config), config
