"""Files and objects in the layouts of other projects, written here by hand, give the transitions that they mean."""

import warnings

import h5py
import numpy as np
import pytest
from test_readers import refused, write_columns

from potstill.data.registry import load_dataset
from potstill.errors import PotstillError, PotstillWarning

EPISODES, STEPS = 3, 5


def trajectories(states=3, actions=2):
    """Episodes of five steps: states with the last one, actions, rewards. The second episode terminates."""
    rng = np.random.default_rng(0)
    for number in range(EPISODES):
        yield {
            "states": rng.normal(size=(STEPS + 1, states)).astype(np.float32),
            "actions": rng.uniform(-1, 1, size=(STEPS, actions)).astype(np.float32),
            "rewards": rng.normal(size=STEPS).astype(np.float32),
            "terminated": number == 1,
        }


def joined(key, rows=slice(None)):
    return np.concatenate([part[key][rows] for part in trajectories()])


OBS, NEXT = joined("states", slice(None, -1)), joined("states", slice(1, None))
ACT, REW = joined("actions"), joined("rewards")
LAST = np.arange(EPISODES * STEPS) % STEPS == STEPS - 1
ENDED = np.arange(EPISODES * STEPS) == 2 * STEPS - 1  # the termination
EPISODE = np.arange(EPISODES * STEPS) // STEPS


def check(data, kept=None, ended=ENDED, rewards=REW):
    """The transitions are those of the trajectories: all, or the ``kept`` ones."""
    kept = np.ones(len(ACT), bool) if kept is None else kept
    np.testing.assert_array_equal(data.observations, OBS[kept])
    np.testing.assert_array_equal(data.actions, ACT[kept])
    np.testing.assert_array_equal(data.rewards, rewards[kept])
    live = ~data.terminations
    np.testing.assert_array_equal(data.next_observations[live], NEXT[kept][live])
    np.testing.assert_array_equal(data.terminations, ended[kept])
    assert np.flatnonzero(data.episode_ends).tolist() == np.flatnonzero(np.append(np.diff(EPISODE[kept]), 1)).tolist()


def check_warns(load, *words):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load()
    lines = [str(warning.message) for warning in caught if warning.category is PotstillWarning]
    assert len(lines) == len(words), lines
    for line, word in zip(lines, words, strict=True):
        assert word in line
    return data


# ---- named columns


def test_neorl2(tmp_path):
    columns = {"obs": OBS, "action": ACT, "next_obs": NEXT, "reward": REW[:, None]}
    flags = {"done": ENDED.astype("f4"), "truncated": (LAST & ~ENDED).astype("f4")}
    check(load_dataset(write_columns(tmp_path / "x.npz", columns | flags)))
    refused(columns | {"done": LAST, "index": np.arange(3) * 5}, "columns='terminations=done'")


@pytest.mark.parametrize("kind", [str, np.bytes_])
def test_text_as_bytes(tmp_path, kind):
    columns = {"observations": OBS, "actions": ACT[:, :1] * 2, "rewards": REW, "terminals": ENDED, "timeouts": LAST}
    path = write_columns(tmp_path / "x.hdf5", columns)
    with h5py.File(path, "a") as file:
        file.attrs.update(env_id=kind("Pendulum-v1"), name=kind("mine"), card=kind('{"seed": 3}'))
    data = load_dataset(path)
    assert (data.env_id, data.name, data.card["seed"]) == ("Pendulum-v1", "mine", 3)
    assert (
        load_dataset(write_columns(tmp_path / "x.npz", columns | {"env_id": kind("Pendulum-v1")})).env_id == data.env_id
    )
    with h5py.File(path, "a") as file:
        file.attrs["env_id"] = np.bytes_(b"\xff")
    refused(path, "env_id is", "expected text")


def test_the_time_limit_of_the_environment_ends_episodes(tmp_path):
    """As in D4RL, for files without time-outs; without an environment 1,000 steps are assumed, with a warning."""
    rows = 2000
    columns = {"observations": np.random.default_rng(0).normal(size=(rows, 3)), "actions": np.linspace(-2, 2, rows)}
    columns |= {"rewards": np.ones(rows), "terminals": np.zeros(rows, bool)}
    path = write_columns(tmp_path / "x.hdf5", columns)
    data = load_dataset(path, env_id="Pendulum-v1")
    assert np.diff(data.episode_bounds).tolist() == [199] * 10
    data = check_warns(lambda: load_dataset(path, action_bounds="data"), "one every 1,000 steps is assumed")
    assert np.diff(data.episode_bounds).tolist() == [999, 999]
    assert len(load_dataset(columns | {"terminals": np.arange(rows) % 500 == 499}, action_bounds="data")) == rows


def test_tianshous_columns(tmp_path):
    columns = {"obs": OBS, "act": ACT, "rew": REW, "terminated": ENDED, "truncated": LAST & ~ENDED, "done": LAST}
    check(load_dataset(write_columns(tmp_path / "x.hdf5", columns | {"obs_next": NEXT})))


@pytest.mark.parametrize("pattern", ["next.{}", "next/{}", "next_{}"])
def test_torchrls_columns(pattern):
    """Flags and rewards of the transition are those after ``next``; flags of the state are never set."""
    columns = {"observation": OBS, "action": ACT, "terminated": ENDED & False, "done": ENDED & False}
    after = {"observation": NEXT, "reward": REW, "terminated": ENDED, "truncated": LAST & ~ENDED, "done": LAST}
    check(load_dataset(columns | {pattern.format(key): values for key, values in after.items()}))


def steps(parts, terminal_reward=9.0):
    """RLDS: each episode has one step more, which holds its last observation alone."""
    rows: dict[str, list[np.ndarray]] = {
        key: [] for key in ("observation", "action", "reward", "is_first", "is_last", "is_terminal")
    }
    for part in parts:
        last = np.arange(STEPS + 1) == STEPS
        rows["observation"].append(part["states"])
        rows["action"].append(np.append(part["actions"], np.zeros((1, 2), np.float32), axis=0))
        rows["reward"].append(np.append(part["rewards"], np.float32(terminal_reward)))
        rows["is_first"].append(np.arange(STEPS + 1) == 0)
        rows["is_last"].append(last)
        rows["is_terminal"].append(last & part["terminated"])
    return {key: np.concatenate(values) for key, values in rows.items()}


def test_rlds(tmp_path):
    pytest.importorskip("pyarrow")
    data = load_dataset(write_columns(tmp_path / "x.parquet", steps(trajectories())))
    check(data)
    assert load_dataset(steps(trajectories())).content_hash == data.content_hash
    wrong = steps(trajectories())
    refused(wrong | {"is_terminal": np.arange(18) == 3}, "row 3 is_terminal but not is_last")
    cut = {"is_last": np.arange(18) == 17, "is_terminal": np.zeros(18)}
    refused(wrong | cut, "an episode ends in row 5, but is_last does not mark that end")


def test_nested_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    after = {"reward": REW, "terminated": ENDED, "truncated": LAST & ~ENDED, "observation": list(NEXT)}
    inner = pa.StructArray.from_arrays([pa.array(values) for values in after.values()], list(after))
    table = pa.table({"observation": list(OBS), "action": list(ACT), "next": inner})
    bounds = {"action_low": "[-2, -3]", "action_high": "[2, 3]"}
    pyarrow.parquet.write_table(table.replace_schema_metadata(bounds), tmp_path / "x.parquet")
    data = load_dataset(tmp_path / "x.parquet")
    check(data)
    assert data.action_bounds.high.tolist() == [2, 3]


def test_stable_baselines_expert_data(tmp_path):
    columns = {"obs": OBS, "actions": ACT, "rewards": REW, "episode_returns": np.ones(3)}
    path = write_columns(tmp_path / "x.npz", columns | {"episode_starts": np.roll(LAST, 1)})
    data = check_warns(lambda: load_dataset(path), "'episode_starts' does not state why episodes end")
    check(data, ~LAST, ENDED & False)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_text_files(tmp_path, separator):
    names = [*(f"obs_{i}" for i in range(3)), "action_0", "action_1", "reward", "terminated", "episode_id", "note"]
    lines = [
        [*map(repr, map(float, (*OBS[i], *ACT[i], REW[i]))), str(bool(ENDED[i])), f"run {EPISODE[i]}", "words"]
        for i in range(len(OBS))
    ]
    text = "\n".join(separator.join(line) for line in [names, *lines])
    path = tmp_path / ("x.tsv" if separator == "\t" else "x.csv")
    path.write_text("\ufeff" + text)
    check(load_dataset(path), ~LAST | ENDED)
    path.write_text(text.replace(repr(float(REW[3])), ""))
    refused(path, str(path), "row 3")
    path.write_text(separator.join(["0.1", "0.2"]))
    refused(path, "expected the names of the columns")
    path.write_text(separator.join(names))
    refused(path, "0 rows")
    path.write_bytes(b"\xff\xfe\x00")
    refused(path, str(path))


class Frame:
    """A data frame of pandas, as far as potstill looks at it."""

    def __init__(self, columns):
        self.inner, self.columns, self.shape = columns, list(columns), (len(OBS), len(columns))

    def __getitem__(self, name):
        return self.inner[name]


def test_data_frames():
    lists = np.empty(len(OBS), object)
    lists[:] = list(OBS)
    columns = {"observation": lists, "action_0": ACT[:, 0], "action_1": ACT[:, 1], "reward": REW, "terminal": ENDED}
    columns["episode"] = EPISODE
    check(load_dataset(Frame(columns)), ~LAST | ENDED)
    lists[4] = lists[4][:2]
    refused(Frame(columns), "the data frame: column 'observation' holds lists of different lengths")
    holes = REW.astype(object)
    holes[2] = None
    refused(Frame({"observation": OBS[:, 0], "action": ACT[:, 0], "reward": holes, "terminal": ENDED}), "row 2 is None")


def test_arrow_tables():
    pa = pytest.importorskip("pyarrow")
    columns = {"observation": list(OBS), "action": list(ACT), "reward": REW, "terminal": ENDED, "episode": EPISODE}
    check(load_dataset(pa.table(columns)), ~LAST | ENDED)


def test_rows_of_text_with_other_numbers_of_cells(tmp_path):
    """One cell more, such as 1,000.5 without quotes, would move numbers to other columns."""
    path, rows = tmp_path / "x.csv", [f"{i},{i % 3 / 3},1,0" for i in range(9)]
    for row, count in (("1,000.5,0,1,0", 5), ("1,0,1", 3), ('"1,0",1,0', 3)):
        path.write_text("\n".join(["obs,action,reward,terminal", *rows, row]))
        with pytest.raises(PotstillError, match=f"line 11 has {count} cells, expected 4"):
            load_dataset(path)
    path.write_text("\n".join(["obs,action,reward,terminal,note", *(f'{row},"a, b\nc"' for row in rows), ""]))
    assert load_dataset(path).observations[:, 0].tolist() == list(range(8))


def test_parquet_files_are_in_the_order_of_their_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"observation": np.zeros(3), "action": np.array([-1.0, 0, 1]), "terminal": np.array([0, 0, 1])}
    for number in (0, 2, 10):
        parquet.write_table(
            pa.table(columns | {"reward": np.full(3, float(number))}), tmp_path / f"part-{number}.parquet"
        )
    assert load_dataset(tmp_path).rewards[::3].tolist() == [0, 2, 10]
    parquet.write_table(pa.table(columns | {"reward": np.zeros(3, np.float32)}), tmp_path / "part-11.parquet")
    with pytest.raises(PotstillError, match=r"part-11.parquet: 'reward' holds float, expected double as in part-0"):
        load_dataset(tmp_path)
    parquet.write_table(pa.table({"x": np.zeros(3)}), tmp_path / "part-11.parquet")
    with pytest.raises(PotstillError, match=r"part-11.parquet: has no column 'observation'"):
        load_dataset(tmp_path)
