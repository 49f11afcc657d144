"""Check the sizes of Arrow files before memory is allocated: buffers may be compressed, and rows implied.

Source: Arrow's columnar format, https://arrow.apache.org/docs/format/Columnar.html, and FlatBuffers' binary format,
https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from potstill.data.files import allow
from potstill.errors import PotstillError

MAGIC = b"ARROW1\0\0"  # first bytes of Arrow's file format; its stream format lacks them
NUMBER = 8  # largest size of a number in memory, in bytes
DICTIONARY, BATCH = 2, 3  # kinds of messages with data


def check_sizes(path: Path, pyarrow: ModuleType) -> None:
    """Count the numbers and the decompressed bytes of an Arrow file before memory is allocated for them.

    Args:
        path: the file, which :func:`~potstill.data.files.reading` reads.
        pyarrow: the library.

    Raises:
        PotstillError: the numbers or bytes are too many for the size of the file, or it lists parts more than once.
        struct.error: the file is damaged.
    """
    count = 0
    with pyarrow.memory_map(str(path)) as file:
        listed = None
        if file.read(len(MAGIC)) == MAGIC:
            listed = pyarrow.ipc.open_file(file).num_record_batches
            file.seek(len(MAGIC))
        else:
            file.seek(0)
        for message in _iterate_messages(pyarrow.ipc.MessageReader.open_stream(file)):
            kind, batch = _find_batch(message.metadata.to_pybytes())
            if kind in (DICTIONARY, BATCH):
                allow(_count_bytes(batch, message.body), f"part {count}")
                count += kind == BATCH
    if listed not in (None, count):
        raise PotstillError(f"{path}: damaged, it lists {listed} parts, but contains {count}")


def _iterate_messages(reader: Any) -> Iterator[Any]:
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


class _Table:
    """A FlatBuffers table. Its first number points to the offsets of its fields."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place
        self.fields = place - self._read("<i", place)
        self.size = self._read("<H", self.fields)

    def _read(self, form: str, place: int) -> int:
        return int(struct.unpack_from(form, self.content, place)[0])

    def find(self, field: int) -> int | None:
        """Find the position of a field; ``None`` if the field has its default."""
        at = 4 + 2 * field
        offset = self._read("<H", self.fields + at) if at < self.size else 0
        return self.place + offset if offset else None

    def find_table(self, field: int) -> _Table | None:
        """Find the table that a field points to."""
        at = self.find(field)
        return None if at is None else _Table(self.content, at + self._read("<I", at))

    def read_pairs(self, field: int) -> list[tuple[int, int]]:
        """Read a vector of structures of two 64-bit integers."""
        at = self.find(field)
        if at is None:
            return []
        start = at + self._read("<I", at)
        count = self._read("<I", start)
        return list(struct.iter_unpack("<qq", self.content[start + 4 : start + 4 + 16 * count]))


def _find_batch(content: bytes) -> tuple[int, _Table | None]:
    """Find the kind of a message, and its record batch."""
    message = _Table(content, struct.unpack_from("<I", content)[0])
    at = message.find(1)
    kind, header = content[at] if at else 0, message.find_table(2)
    return kind, header.find_table(1) if kind == DICTIONARY and header is not None else header


def _count_bytes(batch: _Table | None, body: Any) -> int:
    """Count the bytes of a part in memory: of its numbers or of its decompressed buffers, whichever are more."""
    if batch is None:
        return 0
    numbers = NUMBER * sum(max(length, 0) for length, _ in batch.read_pairs(1))
    if batch.find(3) is None or body is None:
        return numbers
    content, taken = memoryview(body), 0
    for offset, length in batch.read_pairs(2):
        size = struct.unpack_from("<q", content, offset)[0] if length >= 8 else 0  # −1: this buffer is not compressed
        taken += length if size < 0 else size
    return max(numbers, taken)
