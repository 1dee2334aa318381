# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of parameters: a bad one is named, with the rule and the value."""

from collections.abc import Iterable

__all__ = ["check_choice", "check_integer"]


def check_integer(
    name: str, value: object, low: int | None = None, high: int | None = None, *, rule: str | None = None,
    optional: bool = False,
) -> None:
    """Refuse what is no integer (or None, if that is allowed), or outside of a range; ``rule`` says the range otherwise."""
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer{' or None' * optional}, not {value!r}")
    if low is not None and value < low or high is not None and value > high:
        raise ValueError(f"{name} must be {rule or (f'at least {low}' if high is None else f'{low} to {high}')}, not {value!r}")


def check_choice(name: str, value: object, choices: Iterable[object], rule: str | None = None) -> None:
    """Refuse what is none of the choices, by type too; ``rule`` says them otherwise."""
    choices = tuple(choices)
    if not any(value is choice or type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be {rule or f'one of {choices}'}, not {value!r}")
