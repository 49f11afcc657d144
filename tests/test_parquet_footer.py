"""Footers of Parquet files: the counts are those of PyArrow, and no footer ends the process."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import make_columns

import potstill
from potstill.data.formats.parquet_footer import count_values
from potstill.errors import PotstillError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

READ = """
import sys, potstill
try:
    potstill.load_dataset(sys.argv[1])
except potstill.PotstillError as error:
    print(error)
"""


def make_table(rows=60):
    columns = {key: values[:rows] for key, values in make_columns().items()}
    lists = {key: values.tolist() if values.ndim > 1 else values for key, values in columns.items()}
    return pa.table(lists)


def make_nested():
    """Lists of lists, structures, empty cells and a map."""
    return pa.table(
        {
            "a": [[[1, 2], []], None, [[3, None]], []],
            "b": [{"x": 1.0, "y": ["s", "t"]}, None, {"x": None, "y": None}, {"x": 2.0, "y": []}],
            "c": pa.array([[("k", 1)], [], None, [("k", 2), ("l", 3)]], pa.map_(pa.string(), pa.int64())),
        }
    )


FILES: dict[str, tuple[Any, dict[str, Any]]] = {
    "one step per row": (make_table(), {}),
    "row groups": (make_table(), {"row_group_size": 7}),
    "nested": (make_nested(), {"row_group_size": 3}),
    "no rows": (make_table(0), {}),
    "no statistics": (make_table(), {"write_statistics": False, "use_dictionary": False}),
    "a page index": (make_table(), {"write_page_index": True, "data_page_version": "2.0", "row_group_size": 9}),
    "many columns": (pa.table({f"c{i}": np.arange(300) for i in range(40)}), {"row_group_size": 20}),
    "metadata": (make_table().replace_schema_metadata({"x": "y" * 1000}), {}),
}


@pytest.mark.parametrize("kind", FILES)
def test_counts_are_those_of_pyarrow(tmp_path, kind):
    table, settings = FILES[kind]
    pq.write_table(table, tmp_path / "x.parquet", **settings)
    metadata = pq.ParquetFile(tmp_path / "x.parquet").metadata
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    expected = [[group.column(i).num_values for i in range(group.num_columns)] for group in groups]
    assert count_values(tmp_path / "x.parquet") == expected
    assert kind == "no rows" or sum(map(sum, expected))


def write_footer(path, footer, magic=b"PAR1"):
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + magic)
    return path


def make_footer(values=b"\x56\x0e", before=b""):
    """A footer with one column in one row group, by hand: field 5 (0x56) of the column is the number 7 (0x0e)."""
    groups = b"\x09\x08\x1c"  # field 4, a list of one structure
    return before + groups + b"\x19\x1c" + b"\x3c" + values + bytes(4)


SKIPPED = {
    "nothing": b"",
    "a number, a double and a boolean": b"\x15\x80\x01" + b"\x17" + bytes(8) + b"\x11",
    "a map": b"\x1b\x02\x85\x01a\x02\x01b\x04",
    "an empty map": b"\x1b\x00",
    "a list of booleans": b"\x19\x21\x01\x02",
    "a long list of numbers": b"\x19\xf5\x10" + 16 * b"\x81\x01",
    "a long text": b"\x18\x80\x01" + 128 * b"I",
    "structures": b"\x1c\x1c\x16\x02\x00\x13\xff\x00",
}


@pytest.mark.parametrize("field", SKIPPED)
def test_other_fields_are_skipped(tmp_path, field):
    content = make_footer(SKIPPED[field] + b"\x06\x0a\x0e" + SKIPPED[field], SKIPPED[field])
    assert count_values(write_footer(tmp_path / "x.parquet", content)) == [[7]]


WRONG = {
    "nothing": (b"", "ends early"),
    "no row groups": (b"\x00", "no field 4"),
    "no number": (make_footer(b""), "no field 5"),
    "two numbers": (make_footer(b"\x56\x0e\x06\x0a\x02"), "wrong field 5"),
    "another number of 16 bits": (make_footer(b"\x56\x0e\x06\x8a\x80\x08\x02"), "wrong field 5"),
    "a number as text": (make_footer(b"\x58\x01a"), "wrong field 5"),
    "a negative number": (make_footer(b"\x56\x0d"), "fewer than 0"),
    "a number of 70 bits": (make_footer(b"\x56" + 9 * b"\xff" + b"\x7f"), "more than 64 bits"),
    "a number without an end": (make_footer(b"\x56" + 200 * b"\xff"), "more than 64 bits"),
    "many row groups": (b"\x49\xfc\xff\xff\xff\xff\x07", "ends early"),
    "row groups that are numbers": (b"\x49\x15\x02", "wrong type"),
    "many doubles": (b"\x19\xf7\xff\xff\xff\xff\x7f" + bytes(80), "ends early"),
    "a long text": (make_footer(before=b"\x18\xff\xff\x7f"), "ends early"),
    "a deep structure": (100 * b"\x1c", "32 structures deep"),
    "a deep list": (b"\x19" + 100 * b"\x19", "32 structures deep"),
    "an unknown type": (b"\x1f", "unknown type 15"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_footer(tmp_path, fault):
    content, words = WRONG[fault]
    with pytest.raises(ValueError, match=words):
        count_values(write_footer(tmp_path / "x.parquet", content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no footer"),
        (b"PAR1", "no footer"),
        (b"PAR1" + make_footer() + b"\x0e\0\0\0PARE", "encrypted"),
        (b"PAR1" + b"\xff\xff\xff\x7fPAR1", "too long"),
    ],
)
def test_a_wrong_end(tmp_path, content, words):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        count_values(tmp_path / "x.parquet")


def test_mutated_footers_are_read_or_refused(tmp_path):
    """No other error and no loop, wherever a byte changes or the footer ends."""
    pq.write_table(make_nested(), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    footer, rng, refused = content[-8 - length : -8], np.random.default_rng(0), 0
    places = range(0, length, 13)
    for place in places:
        changed = bytearray(footer)
        changed[place] = int(rng.integers(256))
        for mutated in (bytes(changed), footer[:place]):
            try:
                counts = count_values(write_footer(tmp_path / "y.parquet", mutated))
                assert all(count >= 0 for group in counts for count in group)
            except ValueError:
                refused += 1
    assert len(places) < refused < 2 * len(places)  # all shorter ones, and some that have changed


def test_statistics_that_contradict_the_schema(tmp_path):
    """PyArrow ends the process if Python looks at such a column, so another process reads the file."""
    path = tmp_path / "x.parquet"
    pq.write_table(make_table(), path)
    content = path.read_bytes()
    optional = b"\x02\x18\x0cobservations"  # makes the cells of the column optional, which adds a level to its lists
    assert content.count(optional) == 1
    path.write_bytes(content.replace(optional, b"\x00" + optional[1:]))
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    assert "evel histogram size mismatch" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_damaged_footer_is_refused_in_one_line(tmp_path):
    pq.write_table(make_table(), tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(content[:-4] + b"PARE")
    with pytest.raises(PotstillError) as caught:
        potstill.load_dataset(tmp_path / "x.parquet")
    assert len(str(caught.value).splitlines()) == 1
