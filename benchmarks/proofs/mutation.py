"""Mutations of files. In zip archives, a member may be mutated, so that the checksums of the archive are right."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence

import numpy as np

Mutate = Callable[[bytearray, Sequence[bytes], np.random.Generator], None]
INTERESTING = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
CHUNK = 64  # largest piece that is moved, in bytes


def flip_bit(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))


def set_byte(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    content[rng.integers(len(content))] = int(rng.integers(256))


def set_number(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    size, order = int(rng.choice([1, 2, 4, 8])), ("little", "big")[rng.integers(2)]
    number = INTERESTING[rng.integers(len(INTERESTING))] % 256**size
    place = int(rng.integers(len(content)))
    content[place : place + size] = number.to_bytes(size, order)


def set_digit(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    """Change a digit of a number that is written as text."""
    digits = [place for place, byte in enumerate(content) if 48 <= byte <= 57]
    if digits:
        content[digits[rng.integers(len(digits))]] = int(rng.integers(45, 58))


def delete(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    place = int(rng.integers(len(content)))
    del content[place : place + int(rng.integers(1, CHUNK))]


def repeat(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    place = int(rng.integers(len(content)))
    content[place:place] = content[place : place + int(rng.integers(1, CHUNK))] * int(rng.integers(1, 4))


def insert(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    place = int(rng.integers(len(content)))
    content[place:place] = rng.bytes(int(rng.integers(1, CHUNK)))


def splice(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    """Overwrite a piece by a piece of another file."""
    other = corpus[int(rng.integers(len(corpus)))]
    size = int(rng.integers(1, CHUNK))
    here, there = int(rng.integers(len(content))), int(rng.integers(max(1, len(other))))
    content[here : here + size] = other[there : there + size]


def truncate(content: bytearray, corpus: Sequence[bytes], rng: np.random.Generator) -> None:
    del content[int(rng.integers(len(content))) :]


MUTATIONS: tuple[Mutate, ...] = (
    flip_bit,
    set_byte,
    set_number,
    set_digit,
    delete,
    repeat,
    insert,
    splice,
    truncate,
)


def mutate(content: bytes, corpus: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Apply one to four mutations; for zip archives, in half of the cases to one of the members."""
    if content.startswith(b"PK") and rng.integers(2):
        return _mutate_member(content, corpus, rng)
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if changed:
            MUTATIONS[rng.integers(len(MUTATIONS))](changed, corpus, rng)
    return bytes(changed)


def _mutate_member(content: bytes, corpus: Sequence[bytes], rng: np.random.Generator) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:  # an earlier mutation has damaged the archive
        return content[: int(rng.integers(len(content)))]
    if not members:
        return content
    chosen, out = int(rng.integers(len(members))), io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, member) in enumerate(members):
            archive.writestr(name, mutate(member, corpus, rng) if number == chosen and member else member)
    return out.getvalue()
