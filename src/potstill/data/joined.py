"""Columns that join several arrays, one after the other or side by side. Arrays are read when they are indexed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from potstill.data.checks import check_equal_rows, make_type_error
from potstill.data.files import Column
from potstill.errors import PotstillError


class Joined:
    """Arrays one after the other, such as those of all episodes, as one column.

    Args:
        parts: arrays or HDF5 datasets whose rows have the same shape.
        name: name of the column in error messages.
        source: name of the data in error messages.

    Raises:
        PotstillError: there are no parts, or their rows differ in shape.

    Example:
        >>> column = Joined([np.zeros((2, 3)), np.ones((1, 3))], "observations", source="two episodes")
        >>> column.shape, column[1:3].tolist()
        ((3, 3), [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    """

    def __init__(self, parts: Sequence[Column], name: str, *, source: str) -> None:
        shapes = {part.shape[1:]: number for number, part in reversed(list(enumerate(parts)))}
        if not parts or any(not part.shape for part in parts):
            raise PotstillError(f"{source}: no rows in '{name}'")
        if len(shapes) > 1:
            (one, first), (other, second) = list(shapes.items())[:2]
            sizes = [f"{shape[0]} components" if len(shape) == 1 else f"shape {shape}" for shape in (one, other)]
            raise PotstillError(f"{source}: {name} of {sizes[0]} in episode {first} and of {sizes[1]} in {second}")
        self.parts, self.source = parts, source
        self.first = np.cumsum([0, *(len(part) for part in parts)])
        self.shape: tuple[int, ...] = (int(self.first[-1]), *parts[0].shape[1:])
        self.dtype: np.dtype[np.generic] = np.result_type(*{part.dtype for part in parts})

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | tuple[()]) -> np.ndarray:
        start, stop, _ = rows.indices(len(self)) if isinstance(rows, slice) else (0, len(self), 1)
        return np.concatenate(
            [np.zeros((0, *self.shape[1:]), self.dtype), *self._iterate_pieces(start, stop)], dtype=self.dtype
        )

    def _iterate_pieces(self, start: int, stop: int) -> Iterator[np.ndarray]:
        for i in range(int(np.searchsorted(self.first, start, "right")) - 1, len(self.parts)):
            if self.first[i] >= stop:
                return
            yield np.asarray(self.parts[i][max(start - self.first[i], 0) : stop - self.first[i]])

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[()], dtype)


class SideBySide:
    """Columns side by side, such as the parts of a dictionary of observations, as one column with two axes.

    Parts with more axes are flattened row by row (C order).

    Args:
        parts: arrays or HDF5 datasets with equal numbers of rows, by name.
        source: name of the data in error messages.

    Raises:
        PotstillError: a part has no rows, does not hold numbers, or has a different number of rows.

    Example:
        >>> SideBySide({"angle": np.arange(2.0), "forces": np.ones((2, 2))}, source="a file")[0:2].tolist()
        [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(self, parts: Mapping[str, Column], *, source: str) -> None:
        for name, part in parts.items():
            if not part.shape:
                raise PotstillError(f"{source}: '{name}' is a single number: expected one row for each step")
            if part.dtype.kind not in "fiub":
                raise make_type_error(name, part.dtype, source=source)
        check_equal_rows(parts, source=source)
        self.named, self.parts = dict(parts), list(parts.values())
        width = sum(math.prod(part.shape[1:]) for part in self.parts)
        self.shape: tuple[int, ...] = (len(self.parts[0]), width)
        self.dtype: np.dtype[np.generic] = np.result_type(*{part.dtype for part in self.parts})

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | tuple[()]) -> np.ndarray:
        read = [np.asarray(part[rows]) for part in self.parts]
        return np.concatenate([part.reshape(len(part), math.prod(part.shape[1:])) for part in read], axis=1)

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[()], dtype)
