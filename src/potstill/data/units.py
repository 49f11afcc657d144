"""Choose the action bounds of a dataset, and handle actions outside.

Every component has bounds of its own, in its own unit, such as a power in W and a temperature in °C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from potstill.data.bounds import ActionBounds, DiscreteActions, describe_bounds
from potstill.data.checks import widen_bounds
from potstill.environments.making import Environment, count_actions, make
from potstill.environments.observations.rule import ObservationRule
from potstill.errors import PotstillError, make_unknown_name_error, name_option

BOUNDS = ("file", "environment", "data")
OUTSIDE = ("refuse", "clip", "scale")
KINDS = ("discrete", "continuous")
FEW_ROWS = 100  # below this number, the range of the actions is not used to rule out bounds of ±1
SMALL_SPAN = 0.25  # components that span less than this fraction of ±1 are probably in other units


@dataclass(frozen=True)
class Units:
    """How the actions of a dataset are scaled.

    Raises:
        PotstillError: the settings contradict each other, or a number is out of range.
    """

    low: tuple[float, ...] = ()
    """Lower bounds, one for each component, or one for all. Empty: see ``bounds``."""
    high: tuple[float, ...] = ()
    """Upper bounds."""
    bounds: Literal["file", "environment", "data"] | None = None
    """The source of the bounds. ``None``: the first that exists of ``low`` and ``high``, the file's bounds and the
    environment's bounds; else ±1 if the actions span it or are few; else the data's own range."""
    outside: Literal["refuse", "clip", "scale"] = "refuse"
    """What to do with actions outside the bounds: refuse them, move them to the nearest bound, or multiply each
    component by the largest factor that brings its actions inside."""
    scale: tuple[float, ...] = (1.0,)
    """Factors by which the actions are multiplied first, one for each component, or one for all."""
    actions: Literal["discrete", "continuous"] | None = None
    """Whether the actions are numbers of a finite set. ``None``: see :mod:`potstill.data.discrete`."""

    def __post_init__(self) -> None:
        for label, value, known in (
            ("action bounds", self.bounds, BOUNDS),
            ("way with actions out of bounds", self.outside, OUTSIDE),
            ("kind of actions", self.actions, KINDS),
        ):
            if value is not None and value not in known:
                raise make_unknown_name_error(label, str(value), known)
        if bool(self.low) != bool(self.high):
            raise PotstillError(
                f"{name_option('action_low')} and {name_option('action_high')}: expected both or neither"
            )
        if self.low and self.bounds is not None:
            raise PotstillError(
                f"{name_option('action_bounds', self.bounds)}: contradicts {name_option('action_low')} and "
                f"{name_option('action_high')}"
            )
        scaled = bool(self.low) or self.bounds is not None or self.outside != "refuse" or self.scale != (1.0,)
        if self.actions == "discrete" and scaled:
            raise PotstillError(f"{name_option('actions', 'discrete')}: discrete actions have no bounds and no scale")
        for factor in self.scale or (0.0,):
            if not 0.0 < factor < np.inf:
                raise PotstillError(f"{name_option('action_scale', factor)}: expected a number above 0")


@dataclass(frozen=True)
class Fit:
    """The conversion of logged actions to actions inside their bounds."""

    bounds: ActionBounds
    stated_by: str
    """The source of the bounds: ``options``, ``file``, ``environment``, ``data``, or ``nobody`` if ±1 is assumed."""
    factor: Float[np.ndarray, " A"]
    clips: bool
    inside: bool
    """Whether all scaled actions are inside the bounds."""
    unit: bool = False
    """Whether the logged actions lie in [−1, 1], regardless of the bounds."""
    notes: tuple[str, ...] = ()

    numbered: bool = False
    """Whether the logged actions are numbers of discrete actions, which become vectors."""

    def __call__(self, actions: Float[np.ndarray, "M _"]) -> Float[np.ndarray, "M A"]:
        """Scale and clip logged actions; turn the numbers of discrete actions into vectors."""
        if isinstance(self.bounds, DiscreteActions):
            if self.numbered:
                return self.bounds.to_vectors(actions[:, 0])
            wrong = np.flatnonzero(~self.bounds.is_hard(actions))
            if len(wrong):
                raise PotstillError(
                    f"actions, row {wrong[0]}: expected 1 for the action that was taken and 0 for all others"
                )
            return actions
        if self.unit and self.bounds != ActionBounds.unit(len(self.bounds)):
            actions = self.bounds.from_unit(actions).astype(np.float32)
        if (self.factor != 1.0).any():
            actions = actions * self.factor
        return self.bounds.clip(actions) if self.clips else actions

    def make_card_entries(self) -> dict[str, object]:
        """Make the entries of the dataset's card."""
        if self.bounds.discrete:
            return {"actions": "discrete", "action_numbers": self.stated_by}
        entries: dict[str, object] = {"action_bounds": self.stated_by}
        if (self.factor != 1.0).any():
            factors = [float(f"{value:.6g}") for value in self.factor]
            entries["action_scale"] = factors[0] if len(set(factors)) == 1 else factors
        if self.clips:
            entries["actions_outside"] = "clipped"
        return entries


def fit_units(
    low: Float[np.ndarray, " A"],
    high: Float[np.ndarray, " A"],
    units: Units,
    *,
    rows: int,
    stated: ActionBounds | None,
    environment: ActionBounds | None,
    env_id: str | None,
    unit: bool,
    source: str,
) -> Fit:
    """Find the bounds for actions in [``low``, ``high``], and how to convert the actions to lie inside.

    Args:
        low: the lowest logged value of each component.
        high: the highest.
        units: what the user asks for.
        rows: M, the number of actions.
        stated: bounds in the file.
        environment: bounds of the environment.
        env_id: its id.
        unit: whether the file's layout has actions in [−1, 1].
        source: name of the data in error messages.

    Raises:
        PotstillError: the chosen source states no bounds, their number is not that of the components, or no factor
            brings the actions inside.
    """
    factor = _repeat_for_each(units.scale, len(low), "action_scale", source)
    low, high = low * factor, high * factor
    bounds, stated_by, notes = _choose(low, high, rows, units, stated, environment, source)
    if stated_by in ("file", "options") and environment is not None and not are_same_bounds(bounds, environment):
        notes.append(
            f"the action bounds of the {stated_by}, {describe_bounds(bounds)}, differ from those of {env_id}, "
            f"{describe_bounds(environment)}: rollouts in {env_id} use its own bounds"
        )
    unit = unit and not mark_outside(low, high, ActionBounds.unit(len(low))).any()
    wrong = np.zeros(len(low), np.bool_) if unit else mark_outside(low, high, bounds)
    if wrong.any() and units.outside == "scale":
        factor = factor * _find_factors(low, high, bounds, wrong, source)
    clips = bool(wrong.any()) and units.outside == "clip"
    inside = not wrong.any() or units.outside != "refuse"
    return Fit(bounds, stated_by, factor, clips, inside, unit, tuple(notes))


def _choose(
    low: np.ndarray,
    high: np.ndarray,
    rows: int,
    units: Units,
    stated: ActionBounds | None,
    environment: ActionBounds | None,
    source: str,
) -> tuple[ActionBounds, str, list[str]]:
    """Choose the bounds; return them, their source, and a note if they were assumed."""
    if units.low:
        low, high = (
            _repeat_for_each(values, len(low), f"action_{name}", source)
            for name, values in (("low", units.low), ("high", units.high))
        )
        return ActionBounds(low, high), "options", []
    for name, found in (("file", stated), ("environment", environment)):
        if units.bounds == name and found is None:
            raise PotstillError(f"{source}: {name_option('action_bounds', name)}: the {name} states no action bounds")
        if found is not None and units.bounds in (None, name):
            if len(found) != len(low):
                raise PotstillError(f"{source}: {len(low)} action components, but bounds for {len(found)}")
            return found, name, []
    size = len(low)
    used = rows < FEW_ROWS or (((high - low) == 0) | ((high - low) >= 2 * SMALL_SPAN)).all()
    if units.bounds is None and used and not mark_outside(low, high, ActionBounds.unit(size)).any():
        return ActionBounds.unit(size), "nobody", []
    bounds = find_own_range(low, high)
    if units.bounds == "data":
        return bounds, "data", []
    return (
        bounds,
        "data",
        [
            f"neither the data nor an environment state the action bounds: the range of the data is used, "
            f"{describe_bounds(bounds)}. State others with {name_option('action_low')} and "
            f"{name_option('action_high')}"
        ],
    )


def find_own_range(low: Float[np.ndarray, " A"], high: Float[np.ndarray, " A"]) -> ActionBounds:
    """Return the lowest and highest actions as bounds; a constant component gets bounds of ±1 around its value."""
    room = np.where(low < high, 0.0, np.maximum(1.0, 4 * np.spacing(np.abs(high)))).astype(np.float32)
    return ActionBounds((low - room).astype(np.float32), (high + room).astype(np.float32))


def mark_outside(low: np.ndarray, high: np.ndarray, bounds: ActionBounds) -> np.ndarray:
    """Mark which components have actions outside the bounds, beyond float32 rounding."""
    lowest, highest = widen_bounds(bounds)
    wrong: np.ndarray = (low < lowest) | (high > highest)
    return wrong


def _find_factors(
    low: np.ndarray, high: np.ndarray, bounds: ActionBounds, wrong: np.ndarray, source: str
) -> Float[np.ndarray, " A"]:
    """Find the largest factor that brings each component inside its bounds; 1 for components that are inside."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [np.where(high > 0, bounds.high / high, np.inf), np.where(low < 0, bounds.low / low, np.inf)]
    factor = np.where(wrong, np.min([*shares, np.ones_like(low)], axis=0), 1.0)
    stuck = np.flatnonzero((factor <= 0) | mark_outside(low * factor, high * factor, bounds))
    if len(stuck):
        i = int(stuck[0])
        raise PotstillError(
            f"{source}: no factor brings actions[{i}] from [{low[i]:.4g}, {high[i]:.4g}] into its bounds "
            f"[{bounds.low[i]:.4g}, {bounds.high[i]:.4g}]: use {name_option('out_of_bounds', 'clip')}, or state other "
            "bounds"
        )
    return factor.astype(np.float32)


def _repeat_for_each(values: Sequence[float], size: int, option: str, source: str) -> Float[np.ndarray, " A"]:
    if len(values) not in (1, size):
        raise PotstillError(
            f"{name_option(option, *values)}: {len(values)} numbers, but {source} has {size} action components"
        )
    return np.broadcast_to(np.array(values, np.float32), (size,))


def are_same_bounds(one: ActionBounds, other: ActionBounds) -> bool:
    """Whether two action spaces are the same, up to rounding."""
    return bool(
        one.discrete == other.discrete
        and len(one) == len(other)
        and np.allclose([one.low, one.high], [other.low, other.high])
    )


def find_environment_bounds(
    env_id: str, states: int, actions: int, *, source: str, rule: ObservationRule | None = None
) -> ActionBounds:
    """Find the action bounds of an environment, or its finite set of actions.

    Discrete actions may be numbers (one column) or vectors (a column for each action).

    Raises:
        PotstillError: the environment is unknown or not supported, or its sizes or its observations differ from those
            of the data.
    """
    env = make(env_id, rule)
    bounds = find_bounds(env)
    env.close()
    own, size = {"observations": states, "actions": actions}, env.observation_space.shape[0]
    fitting = {"observations": (size,), "actions": (1, len(bounds)) if bounds.discrete else (len(bounds),)}
    for what, sizes in fitting.items():
        if own[what] not in sizes:
            found = " or ".join(map(str, sizes))
            raise PotstillError(f"{source}: {own[what]} {what} columns, but {env_id} has {found}")
    return bounds


def find_bounds(env: Environment) -> ActionBounds:
    """Return the action bounds of an environment, or its finite set of actions."""
    count = count_actions(env)
    if count is not None:
        return DiscreteActions(count)
    return ActionBounds(env.action_space.low.astype(np.float32), env.action_space.high.astype(np.float32))
