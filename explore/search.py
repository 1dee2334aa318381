# SPDX-FileCopyrightText: 2026 subbyte contributors
# SPDX-License-Identifier: Apache-2.0
"""Which points of a space are measured: all, or those that a search proposes."""

from collections.abc import Iterator

from ..tools.toolchain import Failed
from .exploration import Exploration, Outcome
from .measures import Better
from .space import Space
from .store import OK

__all__ = ["search", "sweep"]

_AT_ONCE = 4
"""Proposals that are measured side by side: later ones know less of those before."""


def sweep(exploration: Exploration) -> Iterator[Outcome]:
    """All points of the space."""
    for point in exploration.space.points():
        exploration.add(point)
    yield from exploration.outcomes()


def search(exploration: Exploration, trials: int, seed: int = 0) -> Iterator[Outcome]:
    """So many points as Optuna's tree-structured Parzen estimator proposes for several objectives under constraints.

    The same seed proposes the same points where results come in the same order; what is known already costs nothing.
    """
    try:
        import optuna
    except ImportError:
        raise Failed("--search optuna needs Optuna: pip install 'subbyte[explore]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, asked = exploration.space, {}
    study = optuna.create_study(
        directions=["minimize" if better is Better.MIN else "maximize" for better in space.objectives.values()],
        sampler=optuna.samplers.TPESampler(seed=seed))

    def ask():
        trial = study.ask()
        point = _propose(trial, space)
        asked.setdefault(point.name, []).append(trial)
        exploration.add(point)

    left = trials - min(_AT_ONCE, trials)
    for _ in range(trials - left):
        ask()
    for outcome in exploration.outcomes():
        _tell(study, asked[outcome.name].pop(0), outcome, space, optuna.trial.TrialState.FAIL)
        yield outcome
        if left:
            left -= 1
            ask()


def _propose(trial, space: Space):
    """A combination of the space."""
    index = trial.suggest_categorical("engine", range(len(space.grids))) if len(space.grids) > 1 else 0
    grid = space.grids[index]
    fmt = trial.suggest_categorical(f"{index}.format", grid.formats)
    chosen = {key: values[trial.suggest_int(f"{index}.{key}", 0, len(values) - 1)] for key, values in grid.values.items()}
    return space.point(grid, fmt, chosen)


def _tell(study, trial, outcome, space, failed):
    if outcome.status != OK:
        study.tell(trial, state=failed)
        return
    for name, limit in space.constraints.items():
        trial.set_constraint(name, limit.excess(outcome.figures[name]))
    study.tell(trial, [outcome.figures[name] for name in space.objectives])
