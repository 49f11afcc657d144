"""``.csv`` and ``.tsv`` files: a line with the names of the columns, and then one step in each line."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from potstill.data.columns import TABLES, Chosen, match_columns
from potstill.data.files import reading
from potstill.data.formats.tables import log_of_columns
from potstill.data.log import Log
from potstill.errors import PotstillError

DELIMITERS = ",;\t|"
LONGEST_NAMES = 1 << 22  # characters of the first line
LONGEST = 1 << 17  # characters of a quoted cell that continues on further lines
TRUTH = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


def read_csv(path: Path, chosen: Chosen) -> Log:
    """Read a text file. The first line has the names of the columns, and determines the separator.

    Args:
        path: the file.
        chosen: columns that the user chose.

    Raises:
        PotstillError: there is no line of names, a column is missing, or a cell is not a number.
    """
    source = str(path)
    with reading(path, "a text file with columns"):
        names, separator = _read_header(path)
    found = match_columns(names, chosen, source=source)
    wanted = list(dict.fromkeys(name for parts in found.values() for name in parts))
    texts = {name for role in found.keys() - {*TABLES, "rewards"} for name in found[role]}
    numbers = _read(path, names, [name for name in wanted if name not in texts], separator, float)
    words = _read(path, names, [name for name in wanted if name in texts], separator, str)
    _keep_integers(path, names, found["actions"], separator, numbers)
    return log_of_columns(
        lambda name: numbers[name] if name in numbers else _parse_words(words[name]),
        found,
        chosen,
        source=source,
        name=path.stem,
    )


def _keep_integers(
    path: Path, names: list[str], actions: Sequence[str], separator: str, numbers: dict[str, np.ndarray]
) -> None:
    """Convert the actions to integers if all are written without a decimal point: they may number a finite set."""
    if not all((numbers[name] == np.rint(numbers[name])).all() for name in actions):
        return
    words = _read(path, names, list(actions), separator, str)
    if all(np.char.isdigit(np.char.lstrip(np.char.strip(column), "+-")).all() for column in words.values()):
        numbers.update({name: numbers[name].astype(np.int64) for name in actions})


def _read_header(path: Path) -> tuple[list[str], str]:
    """Read the names in the first line, and find the separator."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        line = file.readline(LONGEST_NAMES)
    if len(line) == LONGEST_NAMES:
        raise PotstillError(f"{path}: its first line, with the names, has {LONGEST_NAMES:,} characters or more")
    separator = max(DELIMITERS, key=line.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
    if not any(names) or any(_is_number(name) for name in names):
        raise PotstillError(f"{path}: its first line is {line.strip()[:40]!r}, expected the names of the columns")
    double = sorted(name for name, count in Counter(names).items() if count > 1)
    if double:
        raise PotstillError(f"{path}: two columns are named '{double[0]}': expected different names")
    return names, separator


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read(path: Path, names: list[str], wanted: list[str], separator: str, kind: type) -> dict[str, np.ndarray]:
    """Read columns of one type."""
    if not wanted:
        return {}
    places = {name: place for place, name in enumerate(names)}
    quiet = warnings.catch_warnings(category=UserWarning, action="ignore")  # a file without rows is refused below
    with reading(path, "a text file with columns of numbers"), path.open(encoding="utf-8-sig") as file, quiet:
        found: np.ndarray = np.loadtxt(
            _iterate_rows(file, len(names), separator, path),
            dtype=kind,
            delimiter=separator,
            comments=None,
            quotechar='"',
            usecols=[places[name] for name in wanted],
            ndmin=2,
        )
    return dict(zip(wanted, np.ascontiguousarray(found.T), strict=True))


def _iterate_rows(file: Iterable[str], cells: int, separator: str, path: Path) -> Iterator[str]:
    """Yield the lines after the first one. Each must have as many cells, or numbers would move to other columns.

    Raises:
        PotstillError: a line has more or fewer cells, or a quote is not closed.
    """
    inside = False  # whether a quoted cell continues on the next line; cells of such lines are not counted
    opened, length = 0, 0  # the line in which that cell begins, and its characters so far
    for number, line in enumerate(file, start=1):
        quotes = line.count('"')
        opens = quotes % 2 == 1
        if (quotes or line.count(separator) != cells - 1) and line.strip() and not inside and not opens:
            found = len(next(csv.reader([line], delimiter=separator)))
            if found != cells:
                raise PotstillError(f"{path}: line {number} has {found} cells, expected {cells}, as in the first line")
        if opens:
            inside, opened, length = not inside, number, 0
        length += len(line)
        if inside and length > LONGEST:
            raise PotstillError(f"{path}: line {opened} opens a quote that is not closed in {LONGEST:,} characters")
        if number > 1:
            yield line


def _parse_words(words: np.ndarray) -> np.ndarray:
    """Convert words to numbers if all are numbers or truth values; else return them, such as names of episodes."""
    try:
        return np.array([TRUTH[word] if word in TRUTH else float(word) for word in np.char.lower(words).tolist()])
    except ValueError:
        return words
