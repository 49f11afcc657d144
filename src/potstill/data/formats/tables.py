"""The common part of readers of named columns: they join the chosen columns, and read the action space."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from potstill.data.bounds import MOST_ACTIONS, ActionBounds, DiscreteActions
from potstill.data.columns import Chosen, find_keys
from potstill.data.files import Column
from potstill.data.formats.lanes import has_lanes, unstack_lanes
from potstill.data.joined import SideBySide
from potstill.data.log import Log
from potstill.errors import PotstillError, name_option

BOUNDS = ("action_low", "action_high")
COUNT = "action_count"  # the number of actions of a finite set
SPACE = (*BOUNDS, COUNT)
"""Names under which a file may state its action space."""
UNKNOWN_ENDS = "'{0}' does not state why episodes end: all ends count as time-outs"


def describe_unclear_ends(name: str) -> str:
    """Describe what is assumed about a column that marks ends without saying which are terminations."""
    return (
        f"'{name}' does not distinguish terminations from time-outs: all ends count as time-outs. If they are "
        f"terminations, use {name_option('columns', f'terminations={name}')}"
    )


def log_of_columns(
    read: Callable[[str], Column],
    found: Chosen,
    chosen: Chosen,
    *,
    source: str,
    name: str,
    stated: Mapping[str, object] | None = None,
    card: Mapping[str, object] | None = None,
) -> Log:
    """Make a log of the named columns of a file.

    Args:
        read: returns the column of a name, as an array or as a column that is read when it is indexed.
        found: the names of each role, as :func:`~potstill.data.columns.match_columns` finds them.
        chosen: columns that the user chose.
        source: name of the data in error messages.
        name: name of the dataset.
        stated: facts in the file: ``env_id``; ``action_low`` and ``action_high``, or ``action_count`` for a finite set;
            and ``pos`` and ``full`` of a replay buffer.
        card: the origin of the data.

    Raises:
        PotstillError: a column cannot be joined with others, or a stated fact is invalid.
    """
    stated = stated or {}
    columns: dict[str, Column] = {}
    for role, parts in found.items():
        single = len(parts) == 1 and not find_keys(parts, role)
        columns[role] = read(parts[0]) if single else SideBySide({part: read(part) for part in parts}, source=source)
    lanes = has_lanes(columns)
    notes = []
    if not {"terminations", "truncations", "last_steps"} & {*found, *chosen}:
        notes += [describe_unclear_ends(found["dones"][0])] if "dones" in found else []
        notes += [UNKNOWN_ENDS.format(*found["starts"])] if "starts" in found else []
    return Log(
        unstack_lanes(columns, stated, source=source) if lanes else columns,
        source,
        name,
        env_id=as_text(stated.get("env_id"), f"{source}: env_id"),
        bounds=read_bounds(stated, source=source),
        card=dict(card or {}) | ({"columns": {k: "+".join(v) for k, v in found.items()}} if chosen else {}),
        notes=tuple(notes),
        unit_actions=lanes and "dones" in columns and columns["actions"].dtype.kind == "f",
    )


def read_bounds(stated: Mapping[str, object], *, source: str) -> ActionBounds | None:
    """Read the action bounds ``action_low`` and ``action_high`` of a file; ``None`` if they are not finite.

    ``action_count`` instead states the number of actions of a finite set.

    Raises:
        PotstillError: one of the bounds is missing, or they are not numbers, or in the wrong order.
    """
    if stated.get(COUNT) is not None:
        count = np.asarray(stated[COUNT])
        if count.shape not in ((), (1,)) or count.dtype.kind not in "iu" or not 2 <= count.item() <= MOST_ACTIONS:
            raise PotstillError(
                f"{source}: {COUNT} is {str(stated[COUNT])[:40]}, expected a whole number of at least 2"
            )
        return DiscreteActions(int(count.item()))
    given = [key for key in BOUNDS if stated.get(key) is not None]
    if not given:
        return None
    if len(given) == 1:
        raise PotstillError(f"{source}: has {given[0]} alone, expected both action_low and action_high")
    try:
        low, high = (np.atleast_1d(np.asarray(stated[key], np.float32)) for key in BOUNDS)
    except (ValueError, TypeError):
        raise PotstillError(f"{source}: action_low and action_high: expected numbers") from None
    if low.shape == high.shape and low.ndim == 1 and not np.isfinite([low, high]).all():
        return None
    try:
        return ActionBounds(low, high)
    except PotstillError as error:
        raise PotstillError(f"{source}: {error}") from None


def as_text(value: object, what: str) -> str | None:
    """Read text that a file stores as a string, as bytes, or as an array of one of these; ``None`` if it is empty.

    Raises:
        PotstillError: the value is something else, or bytes that are not UTF-8.

    Example:
        >>> as_text(np.array(b"Hopper-v5"), "a file: env_id")
        'Hopper-v5'
    """
    value = np.asarray(value).item() if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1 else value
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bytes):
        try:
            return value.decode() or None
        except UnicodeDecodeError:
            pass
    raise PotstillError(f"{what} is {str(value)[:40]!r}, expected text")
