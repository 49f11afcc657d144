"""Count the values of a Parquet file from its footer, without PyArrow.

PyArrow ends the process if Python looks at a column of a footer whose statistics contradict each other. The numbers are
needed before memory is allocated, so they are read here. Sources: the file format and ``parquet.thrift`` of Apache
Parquet, and the compact protocol of Apache Thrift.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
LARGEST = 1 << 26  # bytes of a footer
DEEPEST = 32  # structures in structures; those of Parquet are less than ten deep
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)  # types of the protocol
NUMBERS = {I16, I32, I64}
ROW_GROUPS, COLUMNS, COLUMN_METADATA, NUM_VALUES = (4, LIST), (1, LIST), (3, STRUCT), (5, I64)  # (field, type)


def count_values(path: Path) -> list[list[int]]:
    """Return the number of values in each column chunk of each row group of a Parquet file.

    Empty cells and the elements of lists count as values. The columns are those of the schema, in its order.

    Raises:
        ValueError: the footer is damaged, encrypted, or larger than 64 MiB.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 8, 0))
        tail = file.read(8)
        length, magic = int.from_bytes(tail[:4], "little"), tail[4:]
        if magic != b"PAR1":
            raise ValueError("its footer is encrypted" if magic == b"PARE" else "it has no footer")
        if length > min(size - 8, LARGEST):
            raise ValueError(f"its footer of {length} bytes is too long")
        file.seek(size - 8 - length)
        footer = _Footer(file.read(length))

    def read_column() -> int:
        count = footer.read_field(COLUMN_METADATA, lambda: footer.read_field(NUM_VALUES, footer.read_signed))
        if count < 0:
            raise ValueError("a column has fewer than 0 values")
        return count

    def read_group() -> list[int]:
        return footer.read_field(COLUMNS, lambda: footer.read_structs(read_column))

    try:
        return footer.read_field(ROW_GROUPS, lambda: footer.read_structs(read_group))
    except IndexError:
        raise ValueError("its footer ends early") from None


class _Footer:
    """Reads values of the compact protocol, one after the other. Past the end, it raises an ``IndexError``."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def read_field(self, wanted: tuple[int, int], read: Callable[[], T]) -> T:
        """Read one field of a structure, given as its number and its type, and skip the others."""
        found = self._read_fields(0, wanted, read)
        if not found:
            raise ValueError(f"its footer has no field {wanted[0]}")
        return found[0]

    def read_structs(self, read: Callable[[], T]) -> list[T]:
        """Read a list of structures."""
        kind, count = self._read_list_header()
        if kind != STRUCT and count:
            raise ValueError("its footer has a list of a wrong type")
        return [read() for _ in range(count)]

    def read_signed(self) -> int:
        """Read a number whose lowest bit is its sign (zigzag)."""
        value = self._read_number()
        return (value >> 1) ^ -(value & 1)

    def _read_fields(
        self, depth: int, wanted: tuple[int, int] = (0, 0), read: Callable[[], T] | None = None
    ) -> list[T]:
        """Skip the fields of a structure, except one. Most of a footer is skipped here, so common fields need no calls.

        The wanted field may not repeat or have another type, because parsers differ on that.
        """
        content, place, number = self.content, self.place, 0
        found: list[T] = []
        while (head := content[place]) & 15:
            kind, place, number = head & 15, place + 1, number + (head >> 4)
            if head < 16:
                self.place = place
                number, place = self.read_signed(), self.place
            if read is not None and not (number - wanted[0]) & 0xFFFF:  # numbers of fields have 16 bits
                if found or kind != wanted[1]:
                    raise ValueError(f"its footer has a wrong field {wanted[0]}")
                self.place = place
                found.append(read())
                place = self.place
            elif kind in NUMBERS:
                while content[place] > 127:
                    place += 1
                place += 1
            elif kind == BINARY and content[place] < 128:
                place += 1 + content[place]
            else:
                self.place = place
                self._skip(kind, depth + 1)
                place = self.place
        self.place = place + 1
        return found

    def _skip(self, kind: int, depth: int, *, in_list: bool = False) -> None:
        if depth > DEEPEST:
            raise ValueError(f"its footer is more than {DEEPEST} structures deep")
        if kind == STRUCT:
            self._read_fields(depth)
        elif kind in (LIST, SET):
            inner, count = self._read_list_header()
            for _ in range(count):
                self._skip(inner, depth + 1, in_list=True)
        elif kind in NUMBERS:
            self._read_number()
        elif kind == BINARY:
            self._move(self._read_number())
        elif kind in (TRUE, FALSE):
            self._move(in_list)  # a field has its value in its type
        elif kind in (BYTE, DOUBLE):
            self._move(1 if kind == BYTE else 8)
        elif kind == MAP:
            count = self._read_number()
            kinds = self._read_byte() if count else 0
            for _ in range(count):
                self._skip(kinds >> 4, depth + 1, in_list=True)
                self._skip(kinds & 15, depth + 1, in_list=True)
        else:
            raise ValueError(f"its footer has the unknown type {kind}")

    def _read_list_header(self) -> tuple[int, int]:
        head = self._read_byte()
        return head & 15, head >> 4 if head >> 4 < 15 else self._read_number()

    def _read_number(self) -> int:
        """Read seven bits a byte, the lowest first."""
        value = self._read_byte()
        if value < 128:
            return value
        value, shift = value & 127, 7
        while (byte := self._read_byte()) > 127:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                break
        value |= byte << shift
        if value >> 64:
            raise ValueError("its footer has a number of more than 64 bits")
        return value

    def _read_byte(self) -> int:
        self.place += 1
        return self.content[self.place - 1]

    def _move(self, count: int) -> None:
        self.place += count
        if self.place > len(self.content):
            raise IndexError
