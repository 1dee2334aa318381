# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""What a shell offers for schemes, and for parts, formats and parameters of the scheme that stands before them."""

import dataclasses
from typing import Any, cast

from ..schemes import NAMES, Scheme, priced

__all__ = ["formats", "parameters", "parts", "schemes"]


def schemes(context, parameter, incomplete):
    """Names of schemes."""
    del context, parameter
    return [name for name in NAMES if name.startswith(incomplete)]


def parts(context, parameter, incomplete):
    """Names of the scheme's parts."""
    del parameter
    owner = _chosen(context)
    return [part.name for part in owner.parts if part.name.startswith(incomplete)] if owner else []


def formats(context, parameter, incomplete):
    """The scheme's weight formats."""
    del parameter
    owner = _chosen(context)
    return [name for name in owner.formats if name.startswith(incomplete)] if isinstance(owner, Scheme) else []


def parameters(context, parameter, incomplete):
    """The scheme's parameters, as far as the equals sign."""
    del parameter
    owner = _chosen(context)
    names = [item.name for item in dataclasses.fields(cast(Any, owner.Config))] if isinstance(owner, Scheme) else []
    return [f"{name}=" for name in names if name.startswith(incomplete)]


def _chosen(context):
    """The scheme among the arguments so far, or None. While an option lacks its value, click leaves arguments as they are."""
    words = [*(context.params.get("names") or ()), *context.args]
    return context.params.get("scheme") or next((priced(word) for word in words if word in NAMES), None)
