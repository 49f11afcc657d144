"""Observations of a log that are not vectors: find their parts, and apply a rule to them, some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from potstill.data.checks import check_equal_rows, make_type_error
from potstill.data.columns import find_keys
from potstill.data.files import Column
from potstill.data.joined import Joined, SideBySide
from potstill.data.log import Log
from potstill.environments.observations.encoders import EncoderLike
from potstill.environments.observations.rule import ObservationRule, count_rows_at_once
from potstill.errors import PotstillError, naming_source

NEXT = "next_observations"
Parts = dict[str, Column]


class Observed:
    """Arrays to which a rule is applied when they are indexed, as one column of vectors.

    Images are read and encoded in blocks of some rows, so that those of all rows are never in memory together.

    Args:
        parts: arrays [M, …] by the names of the rule's parts.
        rule: the rule.
        source: name of the data in error messages.

    Raises:
        PotstillError: the arrays have different numbers of rows.
    """

    def __init__(self, parts: Mapping[str, Column], rule: ObservationRule, *, source: str) -> None:
        check_equal_rows(parts, source=source)
        self.parts, self.rule, self.source = parts, rule, source
        self.shape: tuple[int, ...] = (len(next(iter(parts.values()))), rule.size)
        self.dtype: np.dtype[np.generic] = np.dtype(np.float32)
        self.at_once = min(count_rows_at_once(part) for part in rule.parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | tuple[()]) -> np.ndarray:
        start, stop, _ = rows.indices(len(self)) if isinstance(rows, slice) else (0, len(self), 1)
        found = np.empty((max(stop - start, 0), self.shape[1]), np.float32)
        for first in range(start, stop, self.at_once):
            block = slice(first, min(first + self.at_once, stop))
            arrays = {name: np.asarray(part[block]) for name, part in self.parts.items()}
            with naming_source(self.source), np.errstate(over="ignore"):  # numbers beyond float32 are found later
                found[block.start - start : block.stop - start] = self.rule(arrays)
        return found

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[()], dtype)


def apply_rule(log: Log, encoder: EncoderLike | None = None) -> Log:
    """Turn the observations of a log into vectors, and record the rule.

    Observations that are vectors already are not changed: they need no rule.

    Args:
        log: the log, whose columns of observations may have several parts, and any number of axes.
        encoder: the encoder of images.

    Raises:
        PotstillError: parts do not hold numbers, are too large without an encoder, or differ from those of the next
            observations; or there is no image to encode.
    """
    parts, named = _split(log.columns["observations"], "observations")
    shapes = {name: tuple(part.shape[1:]) for name, part in parts.items()}
    shown = _find_flattened(log.card.get("observations"), shapes) if encoder is not None else None
    if not named and encoder is None and all(len(shape) <= 1 for shape in shapes.values()):
        return log
    for name, part in parts.items():
        if part.dtype.kind not in "fiub" or not part.shape:
            raise make_type_error(name or "observations", part.dtype, source=log.source)
    with naming_source(log.source):
        arrays = {name: (shape, str(parts[name].dtype)) for name, shape in shapes.items()} if shown is None else shown
        rule = ObservationRule.of(arrays, encoder)
    columns = {**log.columns, "observations": _join(parts, rule, log.source)}
    if NEXT in log.columns:
        after = _match(_split(log.columns[NEXT], NEXT)[0], parts, log.source)
        _check_pixels(after, rule, log.source)
        columns[NEXT] = _join(after, rule, log.source)
    return replace(log, columns=columns, rule=rule)


def _split(column: Column, role: str) -> tuple[Parts, bool]:
    """Split a column into its parts by name; return them, and whether the names are keys of a dictionary."""
    parts = split_parts(column)
    if len(parts) == 1 and not find_keys(list(parts)[:1], role):
        return {"": next(iter(parts.values()))}, False
    group = find_keys(list(parts), role)
    if len(group) < len(parts):
        return parts, False
    return {group[name]: part for name, part in parts.items()}, True


def split_parts(column: Column) -> Parts:
    """Return the columns that are side by side in a column, by name. A column without parts has an empty name."""
    if isinstance(column, SideBySide):
        return dict(column.named)
    if isinstance(column, Joined) and all(isinstance(part, SideBySide) for part in column.parts):
        split = [split_parts(part) for part in column.parts]
        return {name: Joined([one[name] for one in split], name, source=column.source) for name in split[0]}
    return {"": column}


def _join(parts: Parts, rule: ObservationRule, source: str) -> Column:
    """Put parts side by side. A rule that only flattens them does not change their type."""
    return Observed(parts, rule, source=source) if rule.changes_values else SideBySide(parts, source=source)


def _match(after: Parts, parts: Parts, source: str) -> Parts:
    """Put the parts of the next observations into the order of those of the observations.

    Raises:
        PotstillError: they are others.
    """
    shapes = [{name: part.shape[1:] for name, part in one.items()} for one in (parts, after)]
    if shapes[0] != shapes[1]:
        found = [", ".join(f"{name} {shape}".strip() for name, shape in one.items()) for one in shapes]
        raise PotstillError(f"{source}: next_observations are {found[1]}, but observations are {found[0]}")
    return {name: after[name] for name in parts}


def _check_pixels(after: Parts, rule: ObservationRule, source: str) -> None:
    """Raise unless the images of the next observations have the range of the others: all are divided alike."""
    for part in rule.images:
        found = str(after[part.name].dtype)
        if (found == "uint8") != (part.dtype == "uint8"):
            raise PotstillError(f"{source}: images of next_observations hold {found}, but others {part.dtype}")


def _find_flattened(
    known: object, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[tuple[int, ...], str]] | None:
    """Find the shape and type of images that ``potstill collect`` has flattened, in an entry of the dataset's card."""
    if not isinstance(known, Mapping) or "flattened" not in known or "dtype" not in known:
        return None
    shape = known.get("shape")
    if not isinstance(shape, list | tuple) or not all(isinstance(side, int) and side > 0 for side in shape):
        return None
    flat = list(shapes.values()) == [(math.prod(shape),)]
    return {"": (tuple(shape), str(known["dtype"]))} if flat else None
