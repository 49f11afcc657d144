"""Data frames: their names, indices and types of cells. What would be read wrongly is refused, or said."""

from decimal import Decimal

import numpy as np
import pytest
from test_formats import ACT, ENDED, EPISODE, LAST, OBS, REW, check, check_warns
from test_readers import refused

from potstill.data.registry import load_dataset


class Index:
    """An index of pandas with one level, as far as potstill looks at it."""

    nlevels = 1

    def __init__(self, values, name=None):
        self.values, self.names, self.dtype = np.asarray(values), [name], np.asarray(values).dtype
        self.is_unique = len(np.unique(self.values)) == len(self.values)
        self.is_monotonic_increasing = bool((self.values[1:] >= self.values[:-1]).all())

    def get_level_values(self, level):
        assert level == 0
        return self.values


class Frame:
    """A data frame of pandas, as far as potstill looks at it. Names are those in ``columns``, in their order."""

    def __init__(self, columns, index=None):
        self.inner, self.columns, self.shape = dict(columns), [name for name, _ in columns], (len(OBS), len(columns))
        if index is not None:
            self.index = index

    def __getitem__(self, name):
        return self.inner[name]


def list_columns(**changed):
    columns = {f"observation_{i}": column for i, column in enumerate(OBS.T)}
    columns |= {f"action_{i}": column for i, column in enumerate(ACT.T)} | {"reward": REW, "terminal": ENDED}
    return list((columns | changed).items())


def test_columns_of_one_name_are_refused():
    columns = list_columns()
    refused(Frame([*columns, ("observation_0", OBS[:, 0])]), "two columns are named 'observation_0'")
    refused(Frame([*columns, (("observation", "0"), OBS[:, 0]), ("observation.0", OBS[:, 0])]), "'observation.0'")


def test_levels_of_names_are_joined():
    parts = {name: tuple(name.split("_")) if "_" in name else (name, "") for name, _ in list_columns()}
    frame = Frame([(parts[name], column) for name, column in list_columns(episode=EPISODE) if name in parts])
    check_warns(lambda: load_dataset(Frame([*zip(parts.values(), dict(list_columns()).values(), strict=True)])))
    found = load_dataset(Frame([*frame.inner.items(), (("episode", ""), EPISODE)]))
    check(found, ~LAST | ENDED)
    named = Frame([(("obs", "x"), OBS[:, 0]), (("act", "u"), ACT[:, 0]), ("reward", REW), ("terminal", ENDED)])
    refused(named, "actions=act.u")


def test_named_index_is_a_column():
    check(load_dataset(Frame(list_columns(), Index(EPISODE, "episode"))), ~LAST | ENDED)


def test_shuffled_index_is_said():
    rows = np.arange(len(OBS))
    check_warns(lambda: load_dataset(Frame(list_columns(), Index(rows))))
    check_warns(lambda: load_dataset(Frame(list_columns(), Index(rows % 5))))  # parts that were put together
    check_warns(lambda: load_dataset(Frame(list_columns(), Index(rows[::-1]))), "index is not in ascending order")
    names = Index([f"row {row}" for row in rows])  # "row 10" is before "row 9"
    check_warns(lambda: load_dataset(Frame(list_columns(), names)))


def test_decimals_and_large_integers_are_numbers():
    exact = np.array([Decimal(repr(float(value))) for value in REW], object)
    check(load_dataset(Frame(list_columns(reward=exact, episode=EPISODE))), ~LAST | ENDED)
    large = np.array([10**30] * len(OBS), object)
    assert load_dataset(Frame(list_columns(observation_0=large))).observations[0, 0] == np.float32(1e30)
    refused(Frame(list_columns(reward=np.array([10**400] * len(OBS), object))), "'reward', row 0")


def test_decimals_in_parquet_are_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = dict(list_columns(episode=EPISODE))
    columns["reward"] = pa.array([Decimal(f"{value:.3f}") for value in REW], pa.decimal128(8, 3))
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    check(load_dataset(tmp_path / "x.parquet"), ~LAST | ENDED, rewards=np.round(REW, 3))


def test_cells_that_are_no_numbers_are_named():
    states = np.empty(len(OBS), object)
    states[:] = [list(row) for row in OBS]
    states[4] = [1.0, None, 2.0]
    columns = [("observation", states), *list_columns()[3:]]
    refused(Frame(columns), "column 'observation', row 4")
    refused(Frame(list_columns(terminal=np.where(ENDED, "yes", "no"))), "holds text, expected numbers")
    days = np.datetime64("2026-01-01") + np.arange(len(OBS))
    refused(Frame(list_columns(observation_1=days)), "column 'observation_1' holds times, expected numbers")


def test_rows_without_an_episode_are_refused():
    numbers = np.where(np.arange(len(OBS)) == 14, np.nan, EPISODE)
    refused(Frame(list_columns(episode=numbers)), "row 14 has no episode")
    names = np.array([f"run {number}" for number in EPISODE], object)
    check(load_dataset(Frame(list_columns(episode=names))), ~LAST | ENDED)
    names[14] = np.nan
    refused(Frame(list_columns(episode=names)), "column 'episode', row 14 is nan, expected text")


def test_environment_in_a_column():
    ids = np.array(["Pendulum-v1"] * len(OBS), object)
    columns = [(name, column) for name, column in list_columns(env_id=ids) if name != "action_1"]
    assert load_dataset(Frame(columns)).env_id == "Pendulum-v1"
    ids[3] = "Other-v0"
    refused(Frame(columns), "column env_id holds 2 ids, expected one")


def test_long_values_are_cut_in_messages():
    refused([dict(list_columns()) for _ in range(9)], "… (list): expected str")


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(dict(list_columns()))
    frame.index = pandas.MultiIndex.from_arrays([EPISODE, np.arange(len(OBS))], names=["episode", None])
    check(load_dataset(frame.convert_dtypes(dtype_backend="numpy_nullable")), ~LAST | ENDED)
    frame.columns = pandas.MultiIndex.from_tuples(
        [tuple(name.split("_")) if "_" in name else (name, "") for name in frame]
    )
    check(load_dataset(frame), ~LAST | ENDED)
    refused(pandas.concat([frame, frame[["reward"]]], axis=1), "two columns are named 'reward'")
    check_warns(lambda: load_dataset(frame.reset_index(drop=True)[::-1]), "index is not in ascending order")
