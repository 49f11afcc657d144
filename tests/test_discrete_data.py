"""Datasets with discrete actions: every format that can hold them, what decides, and what is refused."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import h5py
import numpy as np
import pytest
from conftest import SHARED
from finite import ACTIONS, finite_columns
from test_readers import refused

from potstill.data import load_dataset
from potstill.data.bounds import ActionBounds, DiscreteActions
from potstill.data.formats.d4rl import write_d4rl
from potstill.data.formats.minari_spaces import check_space
from potstill.data.mapped import read_mapped, write_mapped
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser, Transitions
from potstill.errors import PotstillError, PotstillWarning

COLUMNS = finite_columns()
KEPT = ~COLUMNS["timeouts"]  # the last row of an episode that is cut has no next observation
VECTORS = np.eye(ACTIONS, dtype=np.float32)[COLUMNS["actions"]][KEPT]


def check(data, vectors=VECTORS):
    assert data.action_bounds == DiscreteActions(vectors.shape[1])
    assert data.card["actions"] == "discrete"
    np.testing.assert_array_equal(data.actions, vectors)


def save(path, columns):
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".hdf5":
        with h5py.File(path, "w") as file:
            file.update(columns)
    elif path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        lists = {k: pa.array(v.tolist() if v.ndim > 1 else v) for k, v in columns.items()}
        write_table(pa.table(lists), path)
    else:
        flat = {f"obs_{i}": x for i, x in enumerate(columns["observations"].T)}
        flat |= {k: v.astype(int) if v.dtype == bool else v for k, v in columns.items() if k != "observations"}
        lines = [",".join(flat), *(",".join(map(str, row)) for row in zip(*flat.values(), strict=True))]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".npz", ".hdf5", ".parquet", ".csv"])
def test_a_column_of_integers_is_a_finite_set(tmp_path, suffix):
    """It is said once, unless the user says it."""
    path = save(tmp_path / f"log{suffix}", COLUMNS)
    with pytest.warns(PotstillWarning, match="read as a finite set of 3 actions: .*actions='continuous'"):
        check(load_dataset(path))
    check(load_dataset(path, actions="discrete"))
    numbers = load_dataset(path, actions="continuous", action_bounds="data")
    assert numbers.action_bounds == ActionBounds(np.zeros(1), np.full(1, 2.0))
    assert not numbers.action_bounds.discrete
    np.testing.assert_array_equal(numbers.actions[:, 0], COLUMNS["actions"][KEPT])


def test_data_in_memory(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({f"obs_{i}": x for i, x in enumerate(COLUMNS["observations"].T)})
    frame = frame.assign(**{key: column for key, column in COLUMNS.items() if key != "observations"})
    for source in (COLUMNS, frame, COLUMNS | {"actions": COLUMNS["actions"][:, None].astype(np.uint8)}):
        check(load_dataset(source, actions="discrete"))
    check(load_dataset(COLUMNS | {"action_count": 5}), np.pad(VECTORS, ((0, 0), (0, 2))))
    truth = COLUMNS | {"actions": COLUMNS["actions"] > 0}
    assert load_dataset(truth, actions="discrete").action_bounds == DiscreteActions(2)


def test_the_environment_decides():
    columns = COLUMNS | {"actions": COLUMNS["actions"] % 2, "env_id": "CartPole-v1"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(load_dataset(columns), np.eye(2, dtype=np.float32)[columns["actions"]][KEPT])
        decimal = load_dataset(columns | {"actions": columns["actions"].astype(np.float32)})
        whole = load_dataset(columns | {"actions": np.eye(2, dtype=np.int64)[columns["actions"]]})
    for data in (decimal, whole):
        np.testing.assert_array_equal(data.actions, load_dataset(columns).actions)
    assert decimal.card["action_numbers"] == "environment"
    refused(COLUMNS, "actions from 0 to 2, but the actions of the environment are 0 to 1", env_id="CartPole-v1")
    half = columns | {"actions": columns["actions"] / 2}
    refused(half, "action 0.5 in row", "whole numbers from 0 to 1")
    refused(columns, "actions='continuous', but the actions of CartPole-v1 are discrete", actions="continuous")
    both = columns | {"actions": np.ones((120, 2))}
    refused(both, "expected 1 for the action that was taken and 0 for all others")


def test_unclear_integers_are_refused():
    """The message names the option that decides."""
    integers = lambda x: COLUMNS | {"actions": np.asarray(x)}  # noqa: E731
    two = np.stack([COLUMNS["actions"]] * 2, axis=1)
    refused(integers(two), "2 columns of integer actions", "actions='continuous'")
    refused(integers(COLUMNS["actions"] - 1), "integers from -1 to 1", "actions='discrete'")
    refused(integers(COLUMNS["actions"] * 100), "integers from 0 to 200", "actions='continuous'")
    refused(integers(COLUMNS["actions"]) | {"action_low": [0.0], "action_high": [9.0]}, "bounds of continuous actions")
    pendulum = {**COLUMNS, "observations": COLUMNS["observations"][:, :3], "env_id": "Pendulum-v1"}
    refused(pendulum, "integers, but bounds of continuous actions are stated")
    assert not load_dataset(pendulum, actions="continuous").action_bounds.discrete
    refused(pendulum, "actions='discrete', but the actions of Pendulum-v1 are continuous", actions="discrete")
    assert len(load_dataset(integers(COLUMNS["actions"] * 100), actions="discrete").action_bounds) == 201
    refused(integers(COLUMNS["actions"] - 1), "actions='discrete': expected whole numbers from 0", actions="discrete")
    refused(integers(two), "actions='discrete': expected one column", actions="discrete")
    refused(integers(COLUMNS["actions"] * 0.3), "expected whole numbers", actions="discrete")
    refused(COLUMNS, "discrete actions have no bounds and no scale", actions="discrete", action_scale=2.0)
    refused(COLUMNS | {"action_count": 1}, "action_count is 1, expected a whole number of at least 2")
    refused(COLUMNS | {"action_count": 3, "env_id": "CartPole-v1"}, "different numbers of actions: 3 in the file")


def test_csv_with_points_is_continuous(tmp_path):
    """Numbers such as 1.0 are not integers; the suspicion of a finite set is only said."""
    path = save(tmp_path / "log.csv", COLUMNS | {"actions": COLUMNS["actions"].astype(float)})
    with pytest.warns(PotstillWarning, match="whole numbers from 0 to 2: are they discrete.*actions='discrete'"):
        assert not load_dataset(path, action_bounds="data").action_bounds.discrete


def test_d4rl_layout_states_the_number_of_actions(tmp_path):
    path = tmp_path / "x.hdf5"
    write_d4rl(path, COLUMNS, env_id=None, card={}, action_count=4)
    check(load_dataset(path), np.pad(VECTORS, ((0, 0), (0, 1))))
    with h5py.File(path) as file:
        assert file["actions"].dtype == np.int64


def test_a_replay_buffer_of_stable_baselines3():
    lanes = lambda x: np.stack([x, x], axis=1)  # noqa: E731
    buffer = SimpleNamespace(
        observations=lanes(COLUMNS["observations"]),
        next_observations=lanes(np.roll(COLUMNS["observations"], -1, axis=0)),
        actions=lanes(COLUMNS["actions"][:, None]),
        rewards=lanes(COLUMNS["rewards"]),
        dones=lanes(COLUMNS["terminals"] | COLUMNS["timeouts"]).astype(np.float32),
        timeouts=lanes(COLUMNS["timeouts"]).astype(np.float32),
        pos=0,
        full=True,
        action_space=gymnasium.spaces.Discrete(ACTIONS),
    )
    data = load_dataset(buffer)
    assert data.action_bounds == DiscreteActions(ACTIONS)
    np.testing.assert_array_equal(data.actions[:120], np.eye(ACTIONS)[COLUMNS["actions"]])
    buffer.action_space = gymnasium.spaces.Discrete(ACTIONS, start=1)
    refused(buffer, "actions numbered from 1")


def test_minari(tmp_path):
    minari = pytest.importorskip("minari")
    assert minari
    from potstill.exports.minari import write_dataset

    ends = np.flatnonzero(COLUMNS["terminals"] | COLUMNS["timeouts"]) + 1
    parts = [slice(end - 20, end) for end in ends]
    episodes = [
        {
            "observations": np.append(COLUMNS["observations"][part], COLUMNS["observations"][:1], axis=0),
            "actions": COLUMNS["actions"][part],
            "rewards": COLUMNS["rewards"][part],
            "terminations": COLUMNS["terminals"][part],
            "truncations": COLUMNS["timeouts"][part],
        }
        for part in parts
    ]
    write_dataset(tmp_path / "discrete-v0", episodes, DiscreteActions(ACTIONS), None, {})
    check(load_dataset(tmp_path / "discrete-v0"), np.eye(ACTIONS, dtype=np.float32)[COLUMNS["actions"]])


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"type": "Discrete", "n": 3, "start": 1}, "actions numbered from 1: expected numbers from 0"),
        ({"type": "MultiDiscrete", "nvec": [3]}, "space MultiDiscrete: expected a one-dimensional Box"),
    ],
)
def test_spaces_that_are_refused(space, words):
    with pytest.raises(PotstillError, match=words):
        check_space(space, Path("x"))


def test_mapped_data_stay_discrete(tmp_path):
    data = load_dataset(COLUMNS, actions="discrete")
    write_mapped(tmp_path, [data.to_columns()], len(data), state_size=4, bounds=data.action_bounds, name="log")
    again = read_mapped(tmp_path)
    assert again.action_bounds == DiscreteActions(ACTIONS)
    assert again.content_hash == data.content_hash
    assert load_dataset(tmp_path).mapped


def test_transitions_hold_single_actions():
    data = load_dataset(COLUMNS, actions="discrete")
    soft = data.to_columns() | {"actions": np.full_like(data.actions, 1 / ACTIONS)}
    with pytest.raises(PotstillError, match="row 0: expected 1 for the action that was taken"):
        Transitions.of(soft, data.action_bounds)
    assert "actions in {0, 1, 2}" in repr(data)


def test_discrete_and_continuous_sets_differ():
    box, actions = ActionBounds(np.zeros(2), np.ones(2)), DiscreteActions(2)
    assert box != actions
    assert actions != box
    assert actions == DiscreteActions(2)
    scaling = Scaling(Normaliser.identity(1), actions)
    assert Scaling.from_arrays(scaling.to_arrays(), "x").action_bounds == actions
    assert Scaling.from_arrays(Scaling(Normaliser.identity(1), box).to_arrays(), "x").action_bounds == box
    with pytest.raises(PotstillError, match="x: action_numbers and the action bounds"):
        Scaling.from_arrays(scaling.to_arrays() | {"action_high": np.ones(2, np.float32) * 2}, "x")
    with pytest.raises(PotstillError, match=r"DiscreteActions\.count"):
        DiscreteActions(1)


@pytest.mark.skipif(not (SHARED / "real").is_dir(), reason="needs ../shared/real")
@pytest.mark.parametrize(
    ("name", "rows"), [("stable-baselines/expert_cartpole", 49_427), ("imitation/cartpole", 26_964)]
)
def test_published_cartpole_files(name, rows):
    with pytest.warns(PotstillWarning, match="count as time-outs"):
        data = load_dataset(SHARED / "real" / f"{name}.npz", env_id="CartPole-v1")
    assert data.action_bounds == DiscreteActions(2)
    assert len(data) == rows
    assert data.actions.mean() == 0.5


def test_the_memory_of_vectors_is_bounded():
    with pytest.raises(PotstillError, match=r"DiscreteActions\.count 1025: expected at most 1024"):
        DiscreteActions(1025)
    vectors = DiscreteActions(1024).to_vectors(np.array([[3], [1023]]))
    assert vectors.shape == (2, 1, 1024)
    assert vectors.argmax(-1).ravel().tolist() == [3, 1023]
    assert vectors.sum() == 2
