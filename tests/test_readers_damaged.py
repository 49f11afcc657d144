"""Malformed files and arrays: valid transitions or one line, never a traceback.

POTSTILL_EXAMPLES=5000 python -m pytest tests/test_readers_damaged.py  # 60 for each reader by default
"""

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from golden.write import episodes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_readers import hand_d3rlpy, hand_minari, write_columns

from potstill.data.checks import check_transitions
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = int(os.environ.get("POTSTILL_EXAMPLES", "60"))
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = pytest.mark.filterwarnings("ignore::potstill.errors.PotstillWarning")

KEYS = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations")


def load_or_line(source):
    """The transitions, whose invariants hold, or ``None`` if they were refused in one line."""
    try:
        data = load_dataset(source)
    except PotstillError as error:
        assert str(error)
        assert len(str(error).splitlines()) == 1
        return None
    check_transitions(data.to_columns(), data.action_bounds, source=data.name)
    return data


def columns_of(paired):
    parts = list(episodes())
    join = lambda key, rows=slice(None): np.concatenate([part[key][rows] for part in parts])  # noqa: E731
    columns = {key: join(key) for key in ("rewards", "terminations", "truncations")}
    columns["actions"] = join("actions") / 2
    columns["observations"] = join("observations", slice(None, -1))
    return columns | ({"next_observations": join("observations", slice(1, None))} if paired else {})


@st.composite
def malformed(draw):
    """A column with a shape close to the right one, any type of number, and sometimes one bad value."""
    shape = draw(
        st.sampled_from([(7,), (7, 3), (7, 2), (7, 1), (9, 3), (8,), (6, 3), (7, 0), (0, 3), (0,), (), (7, 3, 1)])
    )
    kinds = ["f2", "f4", "f8", ">f4", "i1", "i8", "u1", "?", "c8", "S3"]
    values = np.random.default_rng(draw(st.integers(0, 9))).uniform(-1, 1, shape)
    if draw(st.booleans()):
        values = (values > 0.5).astype(float)
    bad = draw(st.sampled_from([None, np.nan, np.inf, -np.inf, 1e300, 3.0]))
    if bad is not None and values.size:
        values.flat[draw(st.integers(0, values.size - 1))] = bad
    with np.errstate(all="ignore"):
        return values.astype(draw(st.sampled_from(kinds)))


def spoil(draw, columns):
    """Replace, add or drop up to three columns."""
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        if draw(st.booleans()):
            columns[key] = draw(malformed())
        else:
            columns.pop(key, None)
    return columns


def rows_of(table):
    """The rows of a table in float32; numbers in one dimension are rows of one component."""
    values = np.asarray(table).astype(np.float32)
    return {tuple(row) for row in (values[:, None] if values.ndim == 1 else values).tolist()}


def check_faithful(data, columns):
    """Every state and action occurs in the columns, and there are no additional flags."""
    if data is None:
        return
    known = [columns[key] for key in ("observations", "next_observations") if key in columns]
    states = {row for table in known for row in rows_of(table)}
    for table in (data.observations, data.next_observations):
        assert {tuple(row) for row in table.tolist()} <= states
    actions = rows_of(columns["actions"])
    read = data.actions.argmax(-1)[:, None].astype(float) if data.action_bounds.discrete else data.actions
    assert {tuple(row) for row in read.tolist()} <= actions
    assert data.terminations.sum() <= np.sum(columns["terminations"])
    assert not (data.terminations & data.truncations).any()


D4RL = {"terminations": "terminals", "truncations": "timeouts"}


@many
@given(draws=st.data(), paired=st.booleans(), form=st.sampled_from(["arrays", "npz", "hdf5"]))
def test_malformed_columns(tmp_path, draws, paired, form):
    columns = spoil(draws.draw, columns_of(paired))
    source = columns
    if form == "npz":
        source = write_columns(tmp_path / "x.npz", columns)
    elif form == "hdf5":
        source = write_columns(tmp_path / "x.hdf5", {D4RL.get(key, key): values for key, values in columns.items()})
    check_faithful(load_or_line(source), columns)


@many
@given(draws=st.data(), paired=st.booleans())
def test_malformed_parquet(tmp_path, draws, paired):
    pa = pytest.importorskip("pyarrow")
    columns = spoil(draws.draw, columns_of(paired))
    same = {key: values for key, values in columns.items() if values.ndim and len(values) == 7}
    lists = {k: v.tolist() if v.dtype.kind != "c" else [str(x) for x in v.tolist()] for k, v in same.items()}
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(lists), tmp_path / "x.parquet")
    data = load_or_line(tmp_path / "x.parquet")
    if data is not None:
        tables = {k: v[:, None] if v.ndim == 1 and k not in D4RL else v for k, v in same.items()}
        check_faithful(data, tables)


@many
@given(draws=st.data(), form=st.sampled_from(["minari", "d3rlpy"]))
def test_malformed_episodes(tmp_path, draws, form):
    parts = [part | {"actions": part["actions"] / 2} for part in episodes()]
    parts[draws.draw(st.integers(0, 1))] = spoil(draws.draw, dict(parts[0]))
    if form == "minari":
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        try:
            path = hand_minari(tmp_path / "x", parts)
        except (KeyError, TypeError, IndexError):  # a part that the writer itself cannot write
            return
    else:
        if any(not part.keys() >= {"observations", "actions", "rewards"} for part in parts):
            return
        path = hand_d3rlpy(tmp_path / "x.h5", parts, [draws.draw(malformed()), True])
    load_or_line(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@many
@given(
    key=st.sampled_from(
        ["data_format", "total_episodes", "total_steps", "observation_space", "action_space", "env_spec"]
    ),
    value=json_values,
    nested=st.sampled_from([None, "type", "shape", "low", "high", "id", "kwargs"]),
)
def test_malformed_metadata(tmp_path, key, value, nested):
    folder = tmp_path / "x"
    shutil.copytree(GOLDEN / "golden" / "hdf5-v0", folder, dirs_exist_ok=True)
    path = folder / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    if nested is None:
        metadata[key] = value
    else:
        inner = json.loads(metadata.get(key, "{}")) if key.endswith(("space", "spec")) else {}
        metadata[key] = json.dumps(inner | {nested: value})
    path.write_text(json.dumps(metadata))
    load_or_line(folder)


@st.composite
def damage(draw, content):
    """Truncate the bytes, overwrite some, or remove some."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["overwrite", "overwrite", "cut", "remove"]))
        if kind == "overwrite":
            content[at : at + 4] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "cut":
            del content[at:]
        else:
            del content[at : at + draw(st.integers(1, 64))]
    return bytes(content)


def golden_files(folder):
    """One intact file for each reader, by suffix and name, made once."""
    columns = columns_of(True)
    np.savez(folder / "plain.npz", **columns)
    np.savez_compressed(folder / "packed.npz", **columns)
    with h5py.File(folder / "d4rl.hdf5", "w") as file:
        for key, values in columns_of(False).items():
            file.create_dataset(D4RL.get(key, key), data=values, compression="gzip" if values.ndim == 2 else None)
        file.attrs.update(env_id="Pendulum-v1", card="{}", name="x")
    shutil.copy(GOLDEN / "d3rlpy.h5", folder)
    shutil.copy(GOLDEN / "pandas.parquet", folder)
    return folder


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return golden_files(tmp_path_factory.mktemp("intact"))


@pytest.mark.parametrize("name", ["plain.npz", "packed.npz", "d4rl.hdf5", "d3rlpy.h5", "pandas.parquet"])
@many
@given(draws=st.data())
def test_damaged_files(tmp_path, intact, name, draws):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(draws.draw(damage((intact / name).read_bytes())))
    load_or_line(path)


@pytest.mark.parametrize(
    "name", ["hdf5-v0/data/main_data.hdf5", "arrow-v0/data/0/part-0.arrow", "hdf5-v0/data/metadata.json"]
)
@many
@given(draws=st.data())
def test_damaged_minari_folders(tmp_path, name, draws):
    if name.startswith("arrow"):
        pytest.importorskip("pyarrow")
    folder = tmp_path / name.split("/", maxsplit=1)[0]
    shutil.copytree(GOLDEN / "golden" / folder.name, folder, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(draws.draw(damage((GOLDEN / "golden" / name).read_bytes())))
    load_or_line(folder)


@many
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".npz", ".hdf5", ".h5"]))
def test_any_bytes(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert load_or_line(path) is None
