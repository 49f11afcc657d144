"""Files with very many or very long parts are refused, or read, in a few seconds."""

import io
import struct
import zipfile

import h5py
import numpy as np
import pytest
from conftest import make_columns

import potstill
from potstill import cli
from potstill.data import archives, limits
from potstill.data.columns import expand_names
from potstill.data.formats import csv
from potstill.errors import PotstillError, make_unknown_name_error

MANY = 20_000


def write_npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for key, values in make_columns().items():
            out = io.BytesIO()
            np.save(out, values)
            archive.writestr(f"{key}.npy", members.pop(key, out.getvalue()))
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return path


def refuse(path, words, **options):
    with pytest.raises(PotstillError) as caught:
        potstill.load_dataset(path, **options)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 100)
    refuse(write_npz(tmp_path / "x.npz", **{f"k{i}": b"" for i in range(100)}), "members, more than 100")


def test_a_header_that_says_it_has_gigabytes(tmp_path):
    content = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(1 << 20)
    refuse(write_npz(tmp_path / "x.npz", rewards=content), "bytes got 65524")


def test_no_rows_of_many_components(tmp_path, capsys):
    """A listing of the components would never end."""
    columns = make_columns()
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        for key, values in columns.items():
            file[key] = values
        del file["observations"]
        file.create_dataset("observations", (0, 10**12), "f4", chunks=(1, 1000), maxshape=(None, 10**12))
    assert cli.main(["inspect", str(tmp_path / "x.hdf5"), "--out", str(tmp_path / "o")]) == 2
    assert "observations 0" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["text", "categories"])
def test_text_of_parquet_that_is_stored_once(tmp_path, monkeypatch, kind):
    """A column of equal texts takes the space of one text in the file."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    rows = {key: pa.array(list(values)) for key, values in make_columns().items()}
    texts = pa.array(["x" * (1 << 16)] * 60)
    rows["episode_id"] = texts if kind == "text" else texts.dictionary_encode()
    parquet.write_table(pa.table(rows), tmp_path / "x.parquet", compression="zstd")
    refuse(tmp_path / "x.parquet", "'episode_id' would take 3.")
    short = pa.array([f"e{i // 20}" for i in range(60)])
    rows["episode_id"] = short if kind == "text" else short.dictionary_encode()
    del rows["timeouts"]
    parquet.write_table(pa.table(rows), tmp_path / "y.parquet")
    data = potstill.load_dataset(tmp_path / "y.parquet")
    assert data.episode_ends.sum() == 3


def test_many_columns_of_text(tmp_path):
    names = [*(f"observation_{i}" for i in range(MANY)), "action_0", "reward", "terminals"]
    row = ",".join(["0.5"] * (MANY + 2) + ["0"])
    (tmp_path / "x.csv").write_text("\n".join([",".join(names), *[row] * 4]))
    assert potstill.load_dataset(tmp_path / "x.csv", columns="observations=observation_*").observations.shape[1] == MANY
    refuse(tmp_path / "x.csv", f"and {MANY - 57:,} more", columns="actions=valve")


def test_a_quote_that_is_not_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "LONGEST", 100)
    rows = "0,1,0,0\n" * 10
    (tmp_path / "x.csv").write_text(f'observation_0,action_0,reward,terminals\n{rows}"{rows}{rows}')
    refuse(tmp_path / "x.csv", "line 12 opens a quote that is not closed")


def test_a_first_line_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "LONGEST_NAMES", 100)
    (tmp_path / "x.csv").write_text(",".join(f"observation_{i}" for i in range(20)) + ",action_0,reward,terminals\n")
    refuse(tmp_path / "x.csv", "its first line, with the names, has 100 characters or more")


def test_names_that_occur_twice():
    with pytest.raises(PotstillError, match="'a' occurs twice"):
        expand_names(["a", "b", "a"], ["a", "b"], source="a file")


def test_the_names_in_a_message_are_few():
    assert str(make_unknown_name_error("column", "x", map(str, range(100)))).endswith("and 40 more")
