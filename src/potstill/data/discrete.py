"""Decide whether the actions of a dataset are numbers of a finite set, and how many actions there are.

Integers are never read as continuous actions unasked, and fractional numbers never as a finite set. The decision
follows, in this order:

1. ``--actions discrete`` or ``continuous``;
2. the action space of the file or the environment;
3. the type of the column: one column of integers from 0 to 99 is a finite set. Other integers are ambiguous and are
   refused.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from potstill.data.bounds import MOST_ACTIONS, ActionBounds, DiscreteActions
from potstill.data.units import Fit, Units, fit_units
from potstill.errors import PotstillError, name_option

MOST = 100  # actions of a finite set that is inferred from the column alone


def fit_actions(
    low: Float[np.ndarray, " A"],
    high: Float[np.ndarray, " A"],
    units: Units,
    *,
    rows: int,
    stated: ActionBounds | None,
    environment: ActionBounds | None,
    env_id: str | None,
    unit: bool,
    integers: bool,
    source: str,
) -> Fit:
    """Find how logged actions are converted: to vectors of a finite set (:func:`fit_discrete`), or into bounds.

    The arguments are those of :func:`fit_discrete` and :func:`~potstill.data.units.fit_units`.

    Raises:
        PotstillError: one of these functions refuses the actions.
    """
    spaces = {"stated": stated, "environment": environment}
    found = fit_discrete(low, high, units, **spaces, env_id=env_id, integers=integers, source=source)
    if found is not None:
        return found
    return fit_units(low, high, units, rows=rows, **spaces, env_id=env_id, unit=unit, source=source)


def fit_discrete(
    low: Float[np.ndarray, " A"],
    high: Float[np.ndarray, " A"],
    units: Units,
    *,
    stated: ActionBounds | None,
    environment: ActionBounds | None,
    env_id: str | None,
    integers: bool,
    source: str,
) -> Fit | None:
    """Find how logged actions in [``low``, ``high``] are converted to vectors; ``None`` if they are continuous.

    Args:
        low: the lowest logged value of each component.
        high: the highest.
        units: what the user asks for.
        stated: the action space of the file.
        environment: that of the environment.
        env_id: its id.
        integers: whether the actions are stored as integers.
        source: name of the data in error messages.

    Raises:
        PotstillError: the actions are ambiguous integers; or file, environment, data and options contradict each other.
    """
    for name, space in (("the file", stated), (env_id, environment)):
        if space is not None and units.actions is not None and space.discrete != (units.actions == "discrete"):
            kind = "discrete" if space.discrete else "continuous"
            raise PotstillError(
                f"{source}: {name_option('actions', units.actions)}, but the actions of {name} are {kind}"
            )
    if stated is not None and environment is not None and stated.discrete != environment.discrete:
        kinds = ["discrete" if space.discrete else "continuous" for space in (stated, environment)]
        raise PotstillError(f"{source}: the actions of the file are {kinds[0]}, but those of {env_id} are {kinds[1]}")
    spaces = {"file": stated, "environment": environment}
    known = {name: space for name, space in spaces.items() if isinstance(space, DiscreteActions)}
    if len({len(space) for space in known.values()}) > 1:
        counts = " and ".join(f"{len(space)} in the {name}" for name, space in known.items())
        raise PotstillError(f"{source}: different numbers of actions: {counts}")
    if known:
        return _use_known(low, high, *next(iter(known.items())), source=source)
    if units.actions == "continuous" or (units.actions is None and not integers):
        return None
    if units.actions is None:
        _check_clear(low, high, stated or environment, source)
    return _count(low, high, units, source)


def _use_known(low: np.ndarray, high: np.ndarray, name: str, space: DiscreteActions, *, source: str) -> Fit:
    """Fit actions to a known set. The actions are numbers, or vectors with a component for each action."""
    count, ones = len(space), np.ones(len(low), np.float32)
    if len(low) not in (1, count):
        raise PotstillError(f"{source}: {len(low)} action components, but there are {count} actions: expected 1")
    numbered = len(low) == 1
    if numbered and not (low[0] >= 0 and high[0] < count):
        raise PotstillError(
            f"{source}: actions from {low[0]:g} to {high[0]:g}, but the actions of the {name} are 0 to {count - 1}"
        )
    return Fit(space, name, ones, clips=False, inside=True, numbered=numbered)


def _check_clear(low: np.ndarray, high: np.ndarray, box: ActionBounds | None, source: str) -> None:
    """Raise unless integers can only be the numbers of a finite set. No action space is stated."""
    if box is not None:
        raise PotstillError(
            f"{source}: actions are integers, but bounds of continuous actions are stated: if they are quantities such "
            f"as forces, read them with {name_option('actions', 'continuous')}"
        )
    if len(low) > 1:
        raise PotstillError(
            f"{source}: {len(low)} columns of integer actions: if they are continuous, read them with "
            f"{name_option('actions', 'continuous')}; sets with several components are not supported"
        )
    if low[0] < 0 or high[0] >= MOST:
        raise PotstillError(
            f"{source}: actions are integers from {low[0]:g} to {high[0]:g}: if they are continuous, read them with "
            f"{name_option('actions', 'continuous')}; if they number a finite set from 0, with "
            f"{name_option('actions', 'discrete')}"
        )


def _count(low: np.ndarray, high: np.ndarray, units: Units, source: str) -> Fit:
    """Fit actions to the set of all numbers up to the highest in the data."""
    if len(low) != 1:
        raise PotstillError(
            f"{source}: {name_option('actions', 'discrete')}: expected one column of numbers, not {len(low)}"
        )
    if low[0] < 0 or high[0] >= MOST_ACTIONS or high[0] != np.rint(high[0]):
        raise PotstillError(
            f"{source}: {name_option('actions', 'discrete')}: expected whole numbers from 0, not from {low[0]:g} to "
            f"{high[0]:g}"
        )
    space = DiscreteActions(max(2, int(high[0]) + 1))
    discrete, continuous = (name_option("actions", kind) for kind in ("discrete", "continuous"))
    note = (
        f"actions are integers and were read as a finite set of {len(space)} actions: confirm this with {discrete}, or "
        f"read quantities such as forces with {continuous}"
    )
    notes = () if units.actions else (note,)
    return Fit(space, "options" if units.actions else "data", np.ones(1, np.float32), False, True, False, notes, True)
