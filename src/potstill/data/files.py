"""Open data files, and convert every error of a parser into a one-line error."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from potstill.data.heaps import check_heaps
from potstill.data.limits import Allowance
from potstill.errors import PotstillError

if TYPE_CHECKING:
    import h5py

WHOLE = 1 << 24  # largest HDF5 file that is searched for heaps before anything is read, in bytes
DEEPEST = 32  # groups in groups of an HDF5 file; the time to find an object grows with the square of its depth
OF_THE_SYSTEM = {errno.EACCES, errno.EAGAIN, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPERM}
"""Errors of the operating system that do not depend on the content of a file."""
_allowance: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


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
        """Return the object named ``key``, or ``None``."""
        ...

    def __len__(self) -> int: ...

    def __contains__(self, key: object) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def __getitem__(self, key: str) -> Column: ...


def find_user_folder(variable: str, *parts: str) -> Path:
    """Return the folder in an environment variable, or a folder in the user's home folder.

    Raises:
        PotstillError: the variable is not set, and there is no home folder, as in some containers.
    """
    if os.environ.get(variable):
        return Path(os.environ[variable])
    try:
        return Path.home().joinpath(*parts)
    except RuntimeError:
        raise PotstillError(f"this user has no home folder: set {variable} to the folder of the datasets") from None


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Convert any error that a parser raises while it reads ``path`` into a one-line :class:`PotstillError`.

    A damaged file can make a parser raise almost any exception: its own, the decompressor's, or a ``MemoryError``. For
    errors of the operating system, such as a lock of another program, the message does not call the file damaged.
    :func:`allow` counts the arrays that are read in this context. Only regular files are read.

    Args:
        path: the file, or a folder of files, each of which is read in a context of its own.
        kind: what the file should be, for the message, such as ``"an HDF5 file"``.
    """
    before = _allowance.set(None if path.is_dir() else Allowance(path))
    try:
        yield
    except PotstillError:
        raise
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
            locked = "another program writes to it" if error.errno == errno.EAGAIN else os.strerror(error.errno)
            raise PotstillError(f"cannot read {path}: {locked}") from None
        if isinstance(error, MemoryError):
            why = "its content does not fit into memory"
        raise PotstillError(f"{path}: truncated, damaged or not {kind} ({why})") from None
    finally:
        _allowance.reset(before)


def allow(count: int, what: str) -> None:
    """Count bytes before they are allocated. The limit depends on the size of the file that :func:`reading` reads.

    Raises:
        PotstillError: the bytes are too many for the size of the file.
    """
    allowance = _allowance.get()
    if allowance is not None:
        allowance.take(count, what)


@contextmanager
def open_hdf5(path: Path) -> Iterator[Group]:
    """Open an HDF5 file for reading.

    Raises:
        PotstillError: the file is damaged, has links to other files, or groups that are nested too deeply.
    """
    import h5py

    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        wrong = file.id.links.visit(_find_wrong_link, info=True)
        if wrong is not None:
            raise PotstillError(f"{path}: {wrong}")
        if path.stat().st_size <= WHOLE:  # a larger one only if it has values of variable length that are read
            _check_heaps(file)
        yield file


def _check_heaps(item: Any) -> None:
    """Check the heaps of the HDF5 file of an object, once while :func:`reading` reads it.

    Raises:
        PotstillError: a heap is damaged.
    """
    import h5py

    allowance = _allowance.get()
    if allowance is None or allowance.heaps_checked:
        return
    allowance.heaps_checked = True
    _, width = h5py.h5i.get_file_id(item.id).get_create_plist().get_sizes()
    check_heaps(allowance.path, width)


def read_attribute(group: Group, key: str) -> object:
    """Read an attribute of an HDF5 file or group; ``None`` if there is none.

    Raises:
        PotstillError: a heap of the file is damaged, so that libhdf5 might never end.
    """
    attributes = cast("h5py.Group", group).attrs
    if key not in attributes:
        return None
    if attributes.get_id(key).dtype.hasobject:  # of variable length
        _check_heaps(group)
    value: object = attributes[key]
    return value


def _find_wrong_link(name: bytes, link: Any) -> str | None:
    """Return what is wrong with a link of an HDF5 file, or ``None``. Links to other files are refused."""
    import h5py

    text = name[:80].decode(errors="replace")
    if link.type >= h5py.h5l.TYPE_EXTERNAL:
        return f"'{text}' is a link to another file, which is not followed: copy the data into one file"
    if name.count(b"/") >= DEEPEST:
        return f"'{text}…' is more than {DEEPEST} groups deep"
    return None


def list_datasets(file: Group) -> list[str]:
    """List the paths of all datasets in an HDF5 file or group, such as ``rewards`` and ``infos/qpos``.

    Links are not followed.
    """
    import h5py

    found: list[str] = []

    def add(name: bytes, item: Any) -> None:
        if item.type == h5py.h5o.TYPE_DATASET:
            found.append(name.decode(errors="surrogateescape"))

    h5py.h5o.visit(cast(h5py.Group, file).id, add, info=True)  # the objects are not opened
    return found


def read_array(group: Group, key: str, path: Path) -> np.ndarray:
    """Read the array ``key`` of an HDF5 group.

    Raises:
        PotstillError: ``key`` is missing or is a group, or :func:`find_dataset` refuses it.
    """
    dataset = find_dataset(group, key, path)
    if dataset.dtype.kind in "OV":  # objects or structures
        raise PotstillError(f"{path}: '{key}' holds {dataset.dtype}, expected numbers")
    return np.asarray(dataset[()])


def find_dataset(group: Group, key: str, path: Path, *, counted: bool = True) -> Column:
    """Return the HDF5 dataset ``key`` of a group without reading it.

    Args:
        group: the file or a group.
        key: the path in the group.
        path: the file.
        counted: whether the dataset will be read, so that :func:`allow` counts its bytes.

    Raises:
        PotstillError: ``key`` is missing or is a group, its values are in other files, or it is too large for its file.
    """
    import h5py

    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset):
        problem = "a group of arrays (a dictionary space?)" if isinstance(dataset, h5py.Group) else "missing"
        raise PotstillError(f"{path}: '{key}' is {problem}, expected one array")
    if dataset.dtype.hasobject:  # of variable length
        _check_heaps(dataset)
    chunk: tuple[int, ...] = ()
    if dataset.id.get_offset() is None:  # otherwise the values are in one piece, in this file
        stored = dataset.id.get_create_plist()  # the properties of ``dataset`` would fetch it several times
        layout = stored.get_layout()
        if layout == h5py.h5d.VIRTUAL or stored.get_external_count():
            raise PotstillError(
                f"{path}: the values of '{key}' are in other files, which are not read: copy them into one"
            )
        chunk = stored.get_chunk() if layout == h5py.h5d.CHUNKED else ()
    if not counted:
        return cast(Column, dataset)
    allow(max(math.prod(dataset.id.shape or ()), math.prod(chunk)) * dataset.id.get_type().get_size(), f"'{key}'")
    return cast(Column, dataset)
