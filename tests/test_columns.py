"""Roles of columns: names that are known, chosen or nearly right, and columns that are joined."""

from typing import Any

import numpy as np
import pytest
from test_readers import refused

from potstill.data.columns import match_columns, parse_columns
from potstill.data.joined import Joined, SideBySide
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError


def table(rows=60):
    """A log with a user's own names, in three episodes."""
    rng = np.random.default_rng(0)
    return {
        "temperature": rng.normal(size=rows),
        "forces": rng.normal(size=(rows, 2)),
        "valve": rng.uniform(-1, 1, rows),
        "profit": rng.normal(size=rows),
        "run": np.repeat(["a", "c", "b"], rows // 3),
    }


CHOSEN = "observations=temperature+forces,actions=valve,rewards=profit,terminations=none,episodes=run"


def test_chosen_columns_are_joined():
    log = table()
    data = load_dataset(log, columns=CHOSEN)
    assert (len(data), data.state_size, data.action_size) == (57, 3, 1)
    assert np.flatnonzero(data.truncations).tolist() == [18, 37, 56]
    assert not data.terminations.any()
    np.testing.assert_array_equal(data.observations[:19, 1:], log["forces"][:19].astype(np.float32))
    as_mapping = {"observations": ["temperature", "forces"], "actions": "valve", "rewards": ["profit"]}
    as_mapping |= {"terminations": "none", "episodes": "run"}
    assert load_dataset(log, columns=as_mapping).content_hash == data.content_hash
    card: Any = data.card
    assert card["columns"]["observations"] == "temperature+forces"


def test_stars_are_sorted_by_number():
    log = {f"x{i}": np.full(9, float(i)) for i in range(12)} | {"u": np.linspace(-1, 1, 9), "r": np.ones(9)}
    data = load_dataset(log, columns="observations=x*,actions=u,rewards=r,terminations=none")
    assert data.observations[0].tolist() == list(range(12))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("observations", ["expected ROLE=NAME"]),
        ("observation=x", ["unknown role", "did you mean 'observations'"]),
        ("observations=temprature", ["has no 'temprature'", "did you mean 'temperature'"]),
        ("observations=none,actions=valve,rewards=profit,terminations=none", ["observations=none"]),
        ("observations=temperature+run,actions=valve,rewards=profit,terminations=none", ["'run' holds", "numbers"]),
        ("observations=temperature,actions=valve,terminations=none", ["no column 'rewards'", "rewards=none"]),
        (CHOSEN.replace("none,episodes=run", "run"), ["expected numbers"]),
        (f"{CHOSEN},rewards=r", ["'rewards' occurs twice"]),
        (CHOSEN.replace("observations=", "observations=temp*+"), ["'temperature' occurs twice in one role"]),
    ],
)
def test_refused_choices(columns, words):
    refused(table(), *words, columns=columns)


def test_a_choice_that_is_not_a_name(unchecked):
    refused(table(), "observations is 3, expected a name or names", columns={"observations": 3})


def test_names_that_are_nearly_right_are_printed_ready_to_paste():
    log = {"State": np.random.default_rng(0).normal(size=(9, 2)), "u": np.linspace(-1, 1, 9), "r": np.ones(9)}
    log |= {"term": np.arange(9) == 8, "next_state": np.zeros((9, 2))}
    with pytest.raises(PotstillError) as caught:
        load_dataset(log)
    line = str(caught.value)
    assert "\n" not in line
    pasted = line.rpartition("columns=")[2].strip("'")
    assert pasted == "observations=State,actions=u,rewards=r,terminations=term,next_observations=next_state"
    assert len(load_dataset(log, columns=pasted)) == 9
    nested = {"Observations": {"position": np.zeros(9), "speed": np.ones((9, 1))}, "actions": log["u"]}
    refused(
        nested | {"rewards": log["r"], "terminals": log["term"]},
        "columns='observations=Observations.position+Observations.speed'",
    )
    mixed = {"Obs_0": np.ones(9), "Obs_1": np.ones(9), "action": log["u"], "reward": log["r"], "terminal": log["term"]}
    refused(mixed, "columns='observations=Obs_0+Obs_1'")
    grouped = {
        "train": {"observations": np.ones(9), "actions": log["u"], "rewards": log["r"], "terminals": log["term"]}
    }
    refused(
        grouped,
        "observations=train.observations,actions=train.actions,rewards=train.rewards,terminations=train.terminals",
    )
    many = {f"x{i}": np.ones(9) for i in range(100)}
    refused(many, "and 80 more. Choose it")
    numbered = {"obs_00": np.ones(9), "obs_10": np.ones(9), "action": log["u"], "reward": log["r"]}
    refused(numbered, "numbered [0, 10]", "columns='observations=obs_00+obs_10'")


def test_known_names():
    found = match_columns(["('next', 'reward')", "observation", "action", "done", "next/terminated"], source="a table")
    assert found == {
        "observations": ("observation",),
        "actions": ("action",),
        "rewards": ("('next', 'reward')",),
        "terminations": ("next/terminated",),
    }
    assert parse_columns({"rewards": []}) == parse_columns("rewards=none") == {"rewards": ()}


def test_done_beside_truncations():
    """Where every truncation is done as well, it is not a termination; else done marks terminations alone."""
    base = {"obs": np.arange(6.0), "act": np.linspace(-1, 1, 6), "rew": np.ones(6), "next_obs": np.arange(1.0, 7.0)}
    both = base | {"done": [0, 1, 0, 0, 0, 1], "truncated": [0, 1, 0, 0, 0, 0]}
    assert load_dataset(both).terminations.tolist() == [False] * 5 + [True]
    apart = base | {"done": [0, 0, 0, 1, 0, 0], "truncated": [0, 1, 0, 0, 0, 1]}
    data = load_dataset(apart)
    assert np.flatnonzero(data.terminations).tolist() == [3]
    assert np.flatnonzero(data.truncations).tolist() == [1, 5]


def test_rows_of_an_episode_must_be_together_and_in_order():
    log = table() | {"terminal": np.zeros(60)}
    refused(log | {"run": np.tile(["a", "b"], 30)}, "the rows of episode a are apart", columns=CHOSEN)
    frames = {
        "observation": np.zeros(9),
        "action": np.linspace(-1, 1, 9),
        "reward": np.ones(9),
        "terminal": np.zeros(9),
    }
    frames |= {"episode_index": np.repeat([0, 1, 2], 3), "frame_index": np.tile([0, 1, 2], 3)}
    assert len(load_dataset(frames)) == 6
    refused(frames | {"frame_index": np.array([0, 1, 2, 0, 2, 1, 0, 1, 2])}, "row 4 is frame 2 of episode 1")


def test_joined_columns_read_any_slice():
    parts = [np.arange(6).reshape(3, 2), np.arange(6, 8).reshape(1, 2), np.arange(8, 14.0).reshape(3, 2)]
    column, whole = Joined(parts, "x", source="a test"), np.concatenate(parts)
    assert (column.shape, column.dtype, len(column)) == ((7, 2), np.float64, 7)
    for start in range(8):
        for stop in range(start, 9):
            np.testing.assert_array_equal(column[start:stop], whole[start:stop])
    np.testing.assert_array_equal(np.asarray(column, np.float32), whole)
    beside = SideBySide({"a": column, "b": np.arange(7)}, source="a test")
    np.testing.assert_array_equal(beside[2:5], np.column_stack([whole, np.arange(7)])[2:5])
    for wrong in ([], [np.zeros((2, 2)), np.zeros((2, 3))]):
        with pytest.raises(PotstillError, match="a test"):
            Joined(wrong, "x", source="a test")
    with pytest.raises(PotstillError, match="unequal numbers of rows: a 2, b 3"):
        SideBySide({"a": np.zeros(2), "b": np.zeros(3)}, source="a test")
