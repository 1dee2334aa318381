# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Kept faults: a bench that stays green with one of them is worth nothing."""

import enum
from collections.abc import Callable, Iterable, Sequence

__all__ = ["check_faults"]


def check_faults(problems: Callable[[enum.IntEnum], Sequence], faults: Iterable[enum.IntEnum]) -> None:
    """Require that a bench finds nothing without a fault (0), and something with each other one.

    Parameters
    ----------
    problems : callable
        From a fault to what the bench finds wrong with it.
    faults : enumeration
        Its member 0 is the good unit.
    """
    for fault in faults:
        found = list(problems(fault))
        if fault == 0 and found:
            raise AssertionError(f"the good unit fails: {found[0]}")
        if fault != 0 and not found:
            raise AssertionError(f"the bench stays green with {fault.name}")
