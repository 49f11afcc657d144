"""Open data files, and turn every error of a parser into a one-line error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np

from potstill.errors import PotstillError


@runtime_checkable
class Column(Protocol):
    """A NumPy array, or an HDF5 dataset. HDF5 datasets are read when they are indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | tuple[()], /) -> np.ndarray: ...

    def __array__(self) -> np.ndarray: ...


@runtime_checkable
class Group(Protocol):
    """An HDF5 file or group: arrays and further groups by name."""

    @property
    def attrs(self) -> Mapping[str, object]:
        """Attributes by name."""
        ...

    def get(self, key: str) -> object:
        """The object called ``key``, or ``None``."""
        ...

    def __len__(self) -> int: ...

    def __contains__(self, key: object) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def __getitem__(self, key: str) -> Column: ...


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn any error that a parser raises while it reads ``path`` into a one-line :class:`PotstillError`.

    A damaged file can make a parser raise almost any exception: its own, the decompressor's, or a ``MemoryError``.

    Args:
        path: the file.
        kind: what the file should be, for the message, such as ``"an HDF5 file"``.
    """
    try:
        yield
    except PotstillError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise PotstillError(f"{path}: truncated, damaged or not {kind} ({why})") from None


@contextmanager
def open_hdf5(path: Path) -> Iterator[Group]:
    """Open an HDF5 file for reading."""
    import h5py

    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        yield file


def find_datasets(file: Group) -> dict[str, Column]:
    """All datasets in an HDF5 file or group by their paths, such as ``rewards`` and ``infos/qpos``.

    They are not read. Links are not followed.
    """
    import h5py

    found: dict[str, Column] = {}

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = cast(Column, item)

    cast(h5py.Group, file).visititems(add)
    return found


def read_array(group: Group, key: str, path: Path) -> np.ndarray:
    """Read the array ``key`` of an HDF5 group.

    Raises:
        PotstillError: ``key`` is missing or is a group.
    """
    return np.asarray(find_dataset(group, key, path)[()])


def find_dataset(group: Group, key: str, path: Path) -> Column:
    """Return the HDF5 dataset ``key`` of a group without reading it.

    Raises:
        PotstillError: ``key`` is missing or is a group.
    """
    import h5py

    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset):
        problem = "a group of arrays (a dictionary space?)" if isinstance(dataset, h5py.Group) else "missing"
        raise PotstillError(f"{path}: '{key}' is {problem}, expected one array")
    return cast(Column, dataset)
