"""The log: the columns and facts that every reader returns, before rows are paired and actions scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from potstill.data.bounds import ActionBounds, describe_remedies
from potstill.data.checks import as_flags, check_equal_rows, check_type_and_shape, describe_outside, find_outside
from potstill.data.columns import TABLES
from potstill.data.discrete import fit_actions
from potstill.data.ends import FLAGS, NUMBERS, USUAL_LIMIT, Ends, count_timeouts, find_ends
from potstill.data.files import Column
from potstill.data.joined import SideBySide
from potstill.data.pairing import NOTHING, Plan, Rows, pair_in_order, pair_own, plan_rows
from potstill.data.successors import Successors
from potstill.data.transitions import NO_REWARDS, Transitions
from potstill.data.units import Fit, Units, are_same_bounds, find_environment_bounds
from potstill.environments.making import find_plain_id
from potstill.environments.observations.rule import ENTRY, ObservationRule
from potstill.errors import PotstillError, make_printable, name_option, naming_source

VALUES = (*TABLES, "rewards")
SAMPLE = 1024  # rows in which the loss of precision is measured
NO_ENVIRONMENT = "none"  # in place of an id


@dataclass(frozen=True)
class Log:
    """Columns by role, in any of the layouts of :mod:`potstill.data.pairing`, and the facts that their source states.

    Columns may be read when they are indexed. Readers implement neither pairing nor the scaling of actions.
    """

    columns: Mapping[str, Column]
    """Columns by role; see :data:`potstill.data.columns.SYNONYMS`."""
    source: str
    """Name of the data in error messages."""
    name: str
    env_id: str | None = None
    bounds: ActionBounds | None = None
    """Action bounds that the source states."""
    card: Mapping[str, object] = field(default_factory=dict)
    """Where the data come from."""
    notes: tuple[str, ...] = ()
    """Warnings about the source."""
    trusts_environment: bool = True
    """Whether an environment that cannot be made or differs from the data is an error. If not, it is ignored."""
    unit_actions: bool = False
    """Whether actions lie in [−1, 1], regardless of the bounds."""
    rule: ObservationRule | None = None
    """How observations became vectors, see :func:`potstill.data.observations.apply_rule`."""


class Paired(NamedTuple):
    """The transitions of a log, before their actions are scaled."""

    rows: Rows
    dropped: Int[np.ndarray, " X"]
    """Rows of the log that are not transitions."""
    notes: tuple[str, ...]
    integers: bool = False
    """Whether the actions are stored as integers."""


class Prepared(NamedTuple):
    """The checked columns of a log, and how its rows are paired."""

    columns: dict[str, Column]
    ends: Ends
    plan: Plan | None
    """``None``: each row has its own next observation."""
    notes: tuple[str, ...]

    @property
    def integers(self) -> bool:
        """Whether the actions are stored as integers."""
        return self.columns["actions"].dtype.kind in "iub"


def prepare(log: Log, limit: int | None) -> Prepared:
    """Check the columns of a log, find the ends of its episodes, and plan how rows are paired. Only flags are read.

    Args:
        log: the log.
        limit: the time limit of its environment, if it is known.

    Raises:
        PotstillError: a column has a wrong type or shape, columns are of unequal length, or no row is left.
    """
    if log.columns["actions"].shape[:1] == (0,):
        raise PotstillError(f"{log.source}: 0 rows, expected at least 2")
    columns: dict[str, Column] = {key: _widen(key, log.columns[key], log) for key in VALUES if key in log.columns}
    for key, column in columns.items():
        check_type_and_shape(key, column, source=log.source)
    rows = len(columns["actions"])
    notes = [*log.notes, *_find_lost_precision(columns)]
    if "rewards" not in columns:
        columns["rewards"] = np.zeros(rows, np.float32)
        notes.append("no rewards: they are set to 0, and only behavioural cloning can use the data")
    flags = _read_flags(log, rows)
    columns_of_rows = {key: columns[key] for key in ("actions", "rewards")} | flags
    check_equal_rows(columns_of_rows, source=log.source)
    found = find_ends(flags, rows, source=log.source)
    if "next_observations" in columns:
        return Prepared(columns, found, None, tuple(notes))
    if not found.known and len(columns["observations"]) == rows:
        timeouts = count_timeouts(found.terminations, limit or USUAL_LIMIT)
        found = found._replace(ends=found.ends | timeouts)
        if limit is None and timeouts[:-1].any():
            notes.append(
                f"nothing marks time-outs, and the environment is unknown: one every {USUAL_LIMIT:,} steps is assumed, "
                "as in D4RL. To mark ends, add a column of truncations or of episode numbers"
            )
    return Prepared(columns, found, plan_rows(columns, found, source=log.source), tuple(notes))


def _widen(key: str, column: Column, log: Log) -> Column:
    """Add the second axis to a column of states or actions with a single component."""
    return SideBySide({key: column}, source=log.source) if key in TABLES and len(column.shape) == 1 else column


def _read_flags(log: Log, rows: int) -> dict[str, np.ndarray]:
    """Read the columns that mark the ends of episodes. Optional ones without one value per row are ignored."""
    flags = {}
    for key in (key for key in (*FLAGS, *NUMBERS) if key in log.columns):
        array = np.asarray(log.columns[key])
        array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        if key not in ("terminations", "truncations") and array.shape != (rows,):
            continue
        if key in FLAGS:
            check_type_and_shape(key, array, source=log.source)
            array = as_flags(key, array, source=log.source)
        flags[key] = array
    return flags


def _find_lost_precision(columns: Mapping[str, Column]) -> list[str]:
    """Warn of components, such as seconds since 1970, whose values all become one number in float32."""
    found = []
    for key, column in columns.items():
        if (column.dtype.itemsize <= 4 and column.dtype.kind == "f") or not len(column):
            continue
        sample = np.asarray(column[:SAMPLE]).astype(np.float64, copy=False)
        for i, values in enumerate(sample.reshape(len(sample), -1).T):
            low, high = values.min(), values.max()
            noise = 0.0 if column.dtype.kind in "iu" else 1e-10  # rounding errors between numbers that should be equal
            if not (np.isfinite([low, high]).all() and high - low > noise * max(abs(low), abs(high))):
                continue
            with np.errstate(over="ignore"):
                kept, distinct = len(np.unique(values.astype(np.float32))), len(np.unique(values))
            if kept == 1:
                name = f"{key}[{i}]" if key in TABLES else key
                found.append(
                    f"float32 keeps 1 of {distinct} values of {name}, which are about {high:.3g}: subtract an "
                    "offset, such as the first value"
                )
    return found


def read_rows(log: Log, limit: int | None) -> Paired:
    """Read the transitions of a log, each column once.

    Raises:
        PotstillError: as :func:`prepare`, or a value is NaN or infinite, or exceeds float32.
    """
    prepared = prepare(log, limit)
    columns, ends, plan, notes = prepared
    if plan is None:
        return Paired(pair_own(columns, ends, source=log.source), NOTHING, notes, prepared.integers)
    return Paired(pair_in_order(columns, plan, source=log.source), plan.dropped, notes, prepared.integers)


def make_transitions(log: Log, paired: Paired, units: Units, env_id: str | None) -> tuple[Transitions, list[str]]:
    """Scale the actions of paired rows, and make a dataset.

    Args:
        log: where the rows come from.
        paired: the rows.
        units: how actions are scaled.
        env_id: the environment, if it is not the log's own; ``none`` for no environment.

    Returns:
        The dataset, and warnings about it.

    Raises:
        PotstillError: the environment does not fit, or an action is outside its bounds.
    """
    rows = paired.rows
    found = find_environment(log, env_id, rows.observations.shape[1], rows.actions.shape[1])
    low, high = rows.actions_seen.low, rows.actions_seen.high
    fit = fit_log_units(log, low, high, len(rows.actions), units, found, integers=paired.integers)
    with naming_source(log.source):
        actions = fit(rows.actions)
    wrong = None if fit.inside else find_outside(actions, fit.bounds)
    if wrong is not None:
        (row, column), count = wrong
        of_log = int(np.delete(np.arange(len(actions) + len(paired.dropped)), paired.dropped)[row])
        line = describe_outside(float(actions[row, column]), fit.bounds, (of_log, column), count, source=log.source)
        raise PotstillError(f"{line}: {describe_remedies(low * fit.factor, high * fit.factor)}")
    after = rows.next_observations
    data = Transitions(
        rows.observations,
        actions,
        rows.rewards,
        rows.observations if isinstance(after, Successors) else after,
        rows.terminations,
        rows.truncations,
        fit.bounds,
        make_printable(log.name),
        found.env_id,
        make_card(log, fit),
        finite=True,
    )
    if isinstance(after, Successors):
        after.defer(data)
    if log.rule is not None:
        vars(data)["rule"] = log.rule  # a function as encoder is not in the card
    return data, [*paired.notes, *found.notes, *fit.notes]


def make_card(log: Log, fit: Fit) -> dict[str, object]:
    """Make the card of a dataset: its origin, the source of its action bounds, and whether it lacks rewards."""
    rewards = {} if "rewards" in log.columns else {"rewards": NO_REWARDS}
    rule = {} if log.rule is None else {ENTRY: log.rule.to_json()}
    return {**log.card, **fit.make_card_entries(), **rewards, **rule}


class FoundEnvironment(NamedTuple):
    """The environment of a log."""

    bounds: ActionBounds | None
    env_id: str | None
    notes: tuple[str, ...] = ()


def find_environment(log: Log, env_id: str | None, states: int, actions: int) -> FoundEnvironment:
    """Make the environment of a log once to find its action bounds.

    Args:
        log: the log, which may name an environment.
        env_id: the environment that the user names instead, or ``none``.
        states: S.
        actions: A.

    Raises:
        PotstillError: the environment is unknown or not supported, or does not fit the data. If
            ``log.trusts_environment`` is false, the result has a note instead, and no environment.
    """
    if env_id is not None:
        if env_id == NO_ENVIRONMENT:
            return FoundEnvironment(None, None)
        found = find_environment_bounds(env_id, states, actions, source=log.source, rule=log.rule)
        return FoundEnvironment(found, env_id)
    named = log.env_id
    if named is None:
        return FoundEnvironment(None, None)
    try:
        if ":" in named:  # Gymnasium would import the module before the colon, and data files must not run code
            named = find_plain_id(named)
        bounds = find_environment_bounds(named, states, actions, source=log.source, rule=log.rule)
        if not log.trusts_environment and log.bounds is not None and not are_same_bounds(log.bounds, bounds):
            raise PotstillError(f"its action bounds differ from those of {named}")
    except PotstillError as error:
        what = str(error).removeprefix(f"{log.source}: ")
        if log.trusts_environment and ":" not in named:
            without = name_option("env_id", NO_ENVIRONMENT)
            raise PotstillError(f"{log.source}: {what}; to read it without an environment: {without}") from None
        return FoundEnvironment(None, None, (f"used without an environment: {what}",))
    return FoundEnvironment(bounds, named)


def fit_log_units(
    log: Log,
    low: np.ndarray,
    high: np.ndarray,
    rows: int,
    units: Units,
    found: FoundEnvironment,
    *,
    integers: bool,
) -> Fit:
    """Find how the actions of a log, ``rows`` rows in [``low``, ``high``], are converted to vectors or into bounds."""
    return fit_actions(
        low,
        high,
        units,
        rows=rows,
        stated=log.bounds,
        environment=found.bounds,
        env_id=found.env_id,
        unit=log.unit_actions,
        integers=integers,
        source=log.source,
    )
