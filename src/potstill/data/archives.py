"""``.npz`` archives, whose arrays are read one by one, and images block by block."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from potstill.data.files import Column, allow, reading
from potstill.errors import PotstillError
from potstill.runtime.files import check_regular

MOST_MEMBERS = 10_000  # of an archive; to open more takes seconds
LONGEST_HEADER = 1 << 16  # bytes; NumPy reads as many as a header says that it has
NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Archive(Mapping[str, np.ndarray]):
    """The arrays of an ``.npz`` archive, by name. Each is read when it is looked up."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        if len(archive.infolist()) > MOST_MEMBERS:
            raise ValueError(f"it has {len(archive.infolist()):,} members, more than {MOST_MEMBERS:,}")
        for member in archive.infolist():
            archive.open(member).close()  # raises if the member's own name differs from the archive's directory
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        [(name, count)] = Counter(member.filename for member in members).most_common(1) or [("", 0)]
        if count > 1:
            raise ValueError(f"it has {count} members called '{name}'")
        self.members = {member.filename.removesuffix(".npy"): member for member in members}

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, name: str) -> np.ndarray:
        """Read an array after a check of its size. Arrays of objects are refused: nothing is unpickled.

        Raises:
            PotstillError: the array is too large for the archive.
            ValueError: the member is damaged, or holds objects.
        """
        member = self.members[name]
        allow(member.file_size, f"'{name}'")
        self._read_header(name)
        with self.archive.open(member) as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))

    def _read_header(self, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
        """Read shape, order and type of an array, and the size of this header."""
        member = self.members[name]
        with self.archive.open(member) as whole:
            file = io.BytesIO(whole.read(LONGEST_HEADER))
            version = np.lib.format.read_magic(file)
            if version not in NPY_HEADERS:
                raise ValueError(f"'{name}' has version {version} of NumPy's format")
            shape, in_columns, kind = NPY_HEADERS[version](file)
            start = file.tell()
        if math.prod(shape) * kind.itemsize > member.file_size:
            raise ValueError(f"'{name}' has {member.file_size:,} bytes, not {math.prod(shape)} numbers")
        return shape, in_columns, kind, start

    def find_column(self, name: str) -> Column:
        """Return an array. One with more than two axes is not read: :class:`ArchiveColumn` reads its rows."""
        shape, in_columns, kind, start = self._read_header(name)
        if len(shape) <= 2 or in_columns or kind.hasobject:
            return self[name]
        allow(self.members[name].file_size, f"'{name}'")
        return ArchiveColumn(self.archive, self.members[name], shape, kind, start)


class ArchiveColumn:
    """An array in an open ``.npz`` archive, whose rows are read when they are indexed, best in order."""

    def __init__(
        self,
        archive: zipfile.ZipFile,
        member: zipfile.ZipInfo,
        shape: tuple[int, ...],
        kind: np.dtype[np.generic],
        start: int,
    ) -> None:
        self.shape, self.dtype, self.start = shape, kind, start
        self.bytes_per_row = math.prod(shape[1:]) * kind.itemsize
        self.file = archive.open(member)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | tuple[()]) -> np.ndarray:
        start, stop, _ = rows.indices(len(self)) if isinstance(rows, slice) else (0, len(self), 1)
        count = max(stop - start, 0)
        self.file.seek(self.start + start * self.bytes_per_row)  # forwards, it reads on; backwards, it starts again
        content = self.file.read(count * self.bytes_per_row)
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def __array__(self, dtype: np.dtype[np.generic] | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[()], dtype)


@contextmanager
def open_npz(path: Path) -> Iterator[Archive]:
    """Open an ``.npz`` archive for reading.

    Raises:
        PotstillError: it is damaged.
    """
    check_regular(path)
    if not zipfile.is_zipfile(path):
        raise PotstillError(f"{path}: truncated, damaged or not an .npz archive")
    with reading(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        yield Archive(archive)
