"""Observations that are not vectors: dictionaries and stacks."""

import dataclasses
import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from finite import finite_columns, finite_teacher
from reach import SIDE, distil_and_evaluate, find_rule, play_log
from test_readers import hand_minari, timed_out

import potstill
from potstill import PotstillError, load_dataset
from potstill.environments import make, play
from potstill.environments.observations import ObservationRule
from potstill.teachers.algorithms.bc import Bc
from potstill.teachers.lookup import find_teacher
from potstill.teachers.settings import Training
from potstill.teachers.training import Learner


def test_a_dictionary_is_flattened_in_alphabetical_order_and_a_rule_is_recorded():
    seen, columns = play_log("ReachTest-v0")
    nested = {
        "point": {key: np.stack([one["point"][key] for one in seen]) for key in ("speed", "place")},
        "goal": np.stack([one["goal"] for one in seen]),
    }
    data = load_dataset({"observations": nested, **columns}, env_id="ReachTest-v0")
    assert find_rule(data).describe() == "goal (1) + point/place (2) + point/speed (1): 4 numbers"
    first = seen[0]
    expected = np.concatenate([first["goal"], first["point"]["place"], first["point"]["speed"]])
    np.testing.assert_allclose(data.observations[0], expected, rtol=1e-6)
    live = make("ReachTest-v0", find_rule(data)).reset(seed=0)[0]
    np.testing.assert_array_equal(live, data.observations[0])
    np.testing.assert_array_equal(make("ReachTest-v0").reset(seed=0)[0], live)  # the default order


def test_the_order_of_a_rule_is_that_of_its_parts():
    rule = ObservationRule.of({"point/speed": ((1,), "float32"), "goal": ((1,), "float64")})
    env = make("ReachTest-v0", rule)
    observation, _ = env.reset(seed=3)
    assert observation.shape == (2,)
    assert observation.tolist() == [0.0, np.float32(env.unwrapped.goal[0])]


@pytest.mark.parametrize("form", ["npz", "hdf5", "chosen"])
def test_groups_of_files_are_dictionaries(tmp_path, form):
    seen, columns = play_log("ReachTest-v0")
    arrays = {"obs/goal": np.stack([one["goal"] for one in seen]), **columns}
    for key in ("speed", "place"):
        arrays[f"obs/point/{key}"] = np.stack([one["point"][key] for one in seen])
    path = tmp_path / f"log.{'npz' if form == 'npz' else 'hdf5'}"
    if form == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    chosen = "observations=obs/point/speed+obs/goal" if form == "chosen" else None
    data = load_dataset(path, env_id="ReachTest-v0", columns=chosen)
    names = ["point/speed", "goal"] if form == "chosen" else ["goal", "point/place", "point/speed"]
    assert [part.name for part in find_rule(data).parts] == names
    assert data.state_size == sum(part.size for part in find_rule(data).parts)


def test_dictionaries_of_minari(tmp_path):
    parts = list(timed_out())
    nested = [{key: part[key] for key in part if key != "observations"} for part in parts]
    for inner, part in zip(nested, parts, strict=True):
        inner |= {"observations/a": part["observations"][:, :1], "observations/b": part["observations"][:, 1:]}
    space = json.dumps({"type": "Dict", "subspaces": {"b": {"type": "Box", "shape": [3]}, "a": {"type": "Box"}}})
    found = load_dataset(hand_minari(tmp_path / "a", nested, {"observation_space": space}))
    assert [part.name for part in find_rule(found).parts] == ["a", "b"]
    assert found.content_hash == load_dataset(hand_minari(tmp_path / "b", parts)).content_hash


def test_next_observations_have_the_same_parts():
    rows = 20
    base = {"actions": np.zeros((rows, 1)), "rewards": np.ones(rows), "terminations": np.zeros(rows)}
    own = {"a": np.arange(rows), "b": np.zeros((rows, 2))}
    after = {"b": np.ones((rows, 2)), "a": np.arange(rows) + 1}
    data = load_dataset({"observations": own, "next_observations": after, **base})
    assert data.next_observations[0].tolist() == [1.0, 1.0, 1.0]
    wrong = {"a": np.arange(rows) + 1, "b": np.ones((rows, 3))}
    with pytest.raises(PotstillError, match=r"next_observations are a \(\), b \(3,\), but observations are a"):
        load_dataset({"observations": own, "next_observations": wrong, **base})
    short = {"a": np.arange(rows - 1), "b": np.zeros((rows, 2))}
    with pytest.raises(PotstillError, match=r"unequal numbers of rows: observations.a 19, observations.b 20"):
        load_dataset({"observations": short, **base})


def test_stacks_of_vectors_and_small_images_are_flattened():
    rows = 30
    base = {"actions": np.zeros((rows, 1)), "rewards": np.ones(rows), "terminations": np.zeros(rows)}
    stack = np.random.default_rng(0).normal(size=(rows, 4, 3))
    data = load_dataset({"observations": stack, **base})
    np.testing.assert_array_equal(data.observations, stack[:-1].reshape(-1, 12).astype(np.float32))
    image = np.full((rows, 4, 4), 51, np.uint8)
    assert load_dataset({"observations": image, **base}).observations[0, 0] == np.float32(0.2)


def test_dictionaries_end_to_end(tmp_path):
    made = potstill.collect("ReachTest-v0", steps=200, level="random", out=tmp_path / "c")
    data = load_dataset(made.path / "dataset.hdf5")
    assert find_rule(data).describe().startswith("goal (1) + point/place (2)")
    folder = potstill.convert(made.path / "dataset.hdf5", out=tmp_path / "v").path
    run, evaluation = distil_and_evaluate(folder, tmp_path)
    assert find_rule(potstill.load(run)) == find_rule(data)
    assert evaluation.result.student.mean < 0


def test_a_teacher_of_other_observations_is_refused():
    rules = [ObservationRule.of({name: ((4,), "float32")}) for name in ("a", "b")]
    own, other = (load_dataset(finite_columns(), actions="discrete") for _ in rules)
    for data, rule in zip((own, other), rules, strict=True):
        data.card["observation_rule"] = rule.to_json()
    learner = SimpleNamespace(algorithm=Bc(), settings=Bc(), data=own, done=0, training=Training())
    metadata = Learner._make_metadata(learner)  # type: ignore[arg-type]
    teacher = dataclasses.replace(finite_teacher(), metadata=metadata)
    assert teacher.metadata["observation_rule"] == rules[0].to_json()
    find_teacher(teacher, "x", own)
    with pytest.raises(PotstillError, match=r"the teacher sees a \(4\): 4 numbers; but the states of .* are b \(4\)"):
        find_teacher(teacher, "x", other)


@pytest.mark.parametrize(
    ("env_id", "arrays", "message"),
    [
        ("ReachTest-v0", {"aim": ((1,), "float32")}, "no 'aim' as the data have .*goal, point/place, point/speed"),
        ("ReachTest-v0", {"goal": ((2,), "float32")}, r"'goal' is float64 \(1,\), but float32 \(2,\) in the data"),
        ("CameraTest-v0", {"": ((2, SIDE, SIDE, 1), "float32")}, r"is uint8 \(2, 12, 12, 1\), but float32"),
        ("Pendulum-v1", {"a": ((1,), "float32"), "b": ((1,), "float32")}, "no 'a' as the data have .*no dictionary"),
        ("MixedTest-v0", {"mode": ((), "int64")}, r"'mode' of its observations is Discrete\(3\), expected a Box"),
        ("MixedTest-v0", None, r"'mode' of its observations is Discrete\(3\)"),
    ],
)
def test_environments_that_disagree_are_refused(env_id, arrays, message):
    rule = None if arrays is None else ObservationRule.of(arrays)
    with pytest.raises(PotstillError, match=message):
        make(env_id, rule)


def test_flattened_environments_are_used_as_they_are():
    rule = ObservationRule.of({"angle": ((2,), "float32"), "speed": ((1,), "float32")})
    still = lambda observations: np.zeros((len(observations), 1))  # noqa: E731
    assert play(still, "Pendulum-v1", np.arange(1), rule=rule) == play(still, "Pendulum-v1", np.arange(1))
