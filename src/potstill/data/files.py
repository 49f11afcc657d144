"""Opening files of others: whatever a parser says of a damaged one becomes a single line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Raise one line for any error of a parser while it reads ``path``, a file of ``kind``.

    Parsers meet damage with almost any exception (of their own, of the decompressor, out of memory).
    """
    try:
        yield
    except PotstillError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise PotstillError(f"{path}: truncated, damaged or not {kind} ({why})") from None


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading."""
    import h5py

    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        yield file


def read_array(group: Any, key: str, path: Path) -> np.ndarray:
    """The array under ``key`` of an HDF5 group.

    Raises:
        PotstillError: there is a group, or nothing.
    """
    return np.asarray(dataset_in(group, key, path)[()])


def dataset_in(group: Any, key: str, path: Path) -> Any:
    """The HDF5 dataset under ``key`` of a group, not read yet; raises as :func:`read_array` does."""
    import h5py

    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset):
        what = "a group of arrays (a dictionary space?)" if isinstance(dataset, h5py.Group) else "missing"
        raise PotstillError(f"{path}: '{key}' is {what}, one array is needed")
    return dataset
