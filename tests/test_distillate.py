"""The distillate: its file, invalid files, and its students."""

import dataclasses
import functools
import json
from typing import Any

import numpy as np
import pytest

from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.students import RECIPES, Pairs, Recipe, train_students
from potstill.worlds import measure_imagined_returns


def make(states=11, actions=3, pairs=256):
    rng = np.random.default_rng(0)
    metadata = dict.fromkeys(("env_id", "dataset", "objective", "solver", "potstill"), "x") | {"recipe": "default"}
    return Distillate(
        rng.normal(size=(pairs, states)).astype(np.float32),
        rng.uniform(-1, 1, size=(pairs, actions)).astype(np.float32),
        Scaling.identity(states, actions),
        metadata,
    )


def test_round_trip_and_size(tmp_path):
    distillate = make()
    path = distillate.save(tmp_path / "d.safetensors")
    again = load(path)
    np.testing.assert_array_equal(again.states, distillate.states)
    np.testing.assert_array_equal(again.actions, distillate.actions)
    assert again.metadata == distillate.metadata
    assert path.stat().st_size < 16_500
    before = path.read_bytes()
    assert distillate.save(path).read_bytes() == before


def test_students_are_trained_from_the_file(tmp_path):
    distillate = load(make(pairs=16).save(tmp_path / "d.safetensors"))
    policy = distillate.train_student(seed=1)
    assert policy(np.zeros(11)).shape == (3,)
    np.testing.assert_array_equal(policy(distillate.states), distillate.train_student(seed=1)(distillate.states))


def with_student(distillate, student):
    return dataclasses.replace(distillate, metadata={**distillate.metadata, "student": student})


def test_distillate_uses_its_stored_recipe():
    distillate = make(pairs=16)
    assert distillate.recipe == RECIPES["default"]
    for own in (Recipe(steps=7, width=24), Recipe(layers=5, optimiser="adamw", initialisation="he")):
        assert with_student(distillate, own.to_metadata()).recipe == own


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"widht": 24}, "unknown recipe setting 'widht': did you mean 'width'"),
        ({"width": "24"}, r"Recipe\.width is '24' \(str\): expected int"),
        ({"width": None}, r"Recipe\.width is None"),
        ({"start": "lecum"}, "did you mean 'lecun'"),
    ],
)
def test_invalid_stored_recipe_is_refused(unchecked, student, message):
    with pytest.raises(PotstillError, match=message):
        _ = with_student(make(pairs=16), student).recipe


def test_a_recipe_of_0_1_is_read():
    """In files of 0.1, the initialisation is called ``start``, and there is no weight decay."""
    stored = {"steps": 300, "learning_rate": 0.03, "optimiser": "sgd", "momentum": 0.9, "width": 128, "towers": 16}
    stored |= {"layers": 4, "residual": False, "start": "orthogonal", "output_gain": 2.0, "sampled": False}
    assert with_student(make(pairs=16), stored).recipe == RECIPES["default"]


def test_students_with_another_recipe():
    distillate = make(pairs=16)
    own = Recipe(steps=5, layers=3, optimiser="adamw", learning_rate=1e-3, width=24)
    policy = distillate.train_student(seed=0, recipe=own)
    assert [layer["weight"].shape for layer in policy.layers] == [(11, 24), (24, 24), (24, 3)]


def check_fails(path, *words):
    with pytest.raises(PotstillError) as caught:
        load(path)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_refused_input(tmp_path):
    path = make().save(tmp_path / "d.safetensors")
    good = path.read_bytes()
    check_fails(tmp_path / "none.safetensors", "no such file")
    path.write_bytes(good[:-100])
    check_fails(path, "damaged")
    path.write_bytes(b"junk")
    check_fails(path, "damaged")
    path.write_bytes(good.replace(b'format_version\\": 1', b'format_version\\": 9'))
    check_fails(path, "format version 9", "upgrade")
    storage.save(path, "policy", {"x": np.zeros(2)}, {})
    check_fails(path, "expected a distillate, found policy")
    arrays, metadata = {"states": np.zeros((2, 3), np.float32)}, make().metadata
    storage.save(path, "distillate", arrays, metadata)
    check_fails(path, "no array")
    storage.save(path, "distillate", {**_arrays(), "actions": np.zeros((9, 3), np.float32)}, metadata)
    check_fails(path, "Distillate.actions has shape (9, 3)")
    storage.save(path, "distillate", _arrays(), {"recipe": "default"})
    check_fails(path, "the metadata contain no 'env_id'")


def _arrays():
    both, one = np.zeros((8, 3), np.float32), np.ones(3, np.float32)
    scaling = {"state_mean": one, "state_scale": one, "action_low": -one, "action_high": one}
    return {"states": both, "actions": both, **scaling}


def test_fields_are_checked_and_lists_converted(unchecked):
    normaliser, bounds = Normaliser([0.0, 0.0], [1, 2]), ActionBounds([-1], [1])  # type: ignore[arg-type]
    assert normaliser.scale.dtype == bounds.low.dtype == np.float32
    make: Any = functools.partial(Distillate, scaling=Scaling(normaliser, bounds), metadata={})
    assert make([[0.0, 1.0]], [[0.5]], weights=[1]).actions.tolist() == [[0.5]]
    for states, actions, weights, message in (
        ([[0.0, 1.0]], [[0.5], [0.5]], None, r"actions has shape \(2, 1\): expected \[N, A\] with N = 1"),
        ([[0.0]], [[0.5]], None, "states have 1 components, Distillate.scaling has 2"),
        ([0.0, 1.0], [[0.5]], None, r"states has shape \(2,\): expected \[N, S\]"),
        ([[0.0, np.nan]], [[0.5]], None, r"states\[0, 1\] is not finite"),
        ([["a", "b"]], [[0.5]], None, "expected an array of numbers"),
        ([[0.0, 1.0]], [[0.5]], [0.0], r"weights\[0\] is 0: expected a number above 0"),
    ):
        with pytest.raises(PotstillError, match=message):
            make(states, actions, weights=weights)
    for mean, scale in (([0.0], [1.0, 1.0]), ([0.0], [0.0]), ([np.inf], [1.0]), ([], [])):
        with pytest.raises(PotstillError, match="Normaliser"):
            Normaliser(mean, scale)  # type: ignore[arg-type]


def test_failed_save_leaves_nothing(tmp_path):
    broken = make()
    broken.states[3, 3] = np.nan
    with pytest.raises(PotstillError, match="contains NaN or infinity"):
        broken.save(tmp_path / "d.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_damaged_headers_get_one_line(tmp_path):
    """A file with a damaged header is either read or refused in one line."""
    path = make(pairs=4).save(tmp_path / "d.safetensors")
    good = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoiled = good.copy()
        spoiled[rng.integers(len(good) - 300)] = rng.integers(256)
        path.write_bytes(bytes(spoiled))
        try:
            load(path)
        except PotstillError as error:
            assert "\n" not in str(error)


def test_metadata_are_json(tmp_path):
    path = make().save(tmp_path / "d.safetensors")
    head = path.read_bytes()
    size = int.from_bytes(head[:8], "little")
    header = json.loads(head[8 : 8 + size])["__metadata__"]
    metadata = json.loads(header["potstill"])
    assert metadata["format"] == "distillate"
    assert metadata["metadata"]["recipe"] == "default"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((np.ones((4, 3)), np.ones((3, 2))), r"Pairs\.actions has shape \(3, 2\): expected \[N, A\] with N = 4"),
        ((np.ones((4, 3)), np.ones((4, 2)), np.ones(5)), r"Pairs\.weights has shape \(5,\): expected \[N\] with N = 4"),
        ((np.ones((4, 3)), np.full((4, 2), np.nan)), r"Pairs\.actions\[0, 0\] is not finite"),
        ((np.ones((4, 3)), np.ones((4, 1))), r"\(3, 1\) state and action components, but the scaling has \(3, 2\)"),
        (
            (np.ones((4, 3)), np.ones((4, 2), int)),
            r"Pairs\.actions is an array of int64: expected .* floating",
        ),
        (([[1.0]], [[1.0]]), r"Pairs\.states is a list: expected an array"),
    ],
    ids=["states", "weights", "finite", "sizes", "whole", "lists"],
)
def test_pairs_are_checked(unchecked, pairs, message):
    with pytest.raises(PotstillError, match=message):
        train_students(Pairs(*pairs), [0], RECIPES["plain"], Scaling.identity(3, 2))


class TestChoose:
    """Several students are trained, and the best one in a world model is returned."""

    @pytest.fixture
    def distillate(self, linear_world):
        rng = np.random.default_rng(0)
        metadata = make().metadata | {"dataset": dict(linear_world.metadata["dataset"])}
        states, actions = rng.normal(size=(8, 2)), rng.uniform(-1, 1, size=(8, 1))
        scaling = Scaling(linear_world.normaliser, linear_world.action_bounds)
        return Distillate(states.astype(np.float32), actions.astype(np.float32), scaling, metadata)

    def test_the_student_with_the_highest_return(self, distillate, linear_world, monkeypatch):
        short = functools.partial(measure_imagined_returns, steps=5)
        monkeypatch.setattr("potstill.distillate.measure_imagined_returns", short)
        recipe = Recipe(steps=3, width=8)
        chosen = distillate.train_student(4, recipe, choose=3, world=linear_world)
        students = distillate.train_students([4, 5, 6], recipe)
        # Every student plays ten episodes, as the seeds of one rollout of thirty.
        returns = short(linear_world, students.act_separately, 30).reshape(3, 10).mean(axis=1)
        assert np.ptp(returns) > 1e-3
        best = students.make_policy(int(np.argmax(returns)))
        np.testing.assert_array_equal(chosen(distillate.states), best(distillate.states))
        worst = students.make_policy(int(np.argmin(returns)))
        assert not np.array_equal(chosen(distillate.states), worst(distillate.states))

    def test_models_that_cannot_compare(self, distillate, linear_world):
        other = dataclasses.replace(
            distillate, metadata={**distillate.metadata, "dataset": {"name": "b", "sha256": "c"}}
        )
        with pytest.raises(PotstillError, match="learned from other data"):
            other.train_student(choose=2, world=linear_world)
        errors = linear_world.metadata["errors"] | {"open_loop": {"1": 2.0}}
        poor = dataclasses.replace(linear_world, metadata={**linear_world.metadata, "errors": errors})
        with pytest.raises(PotstillError, match="errors of the world model are too large to compare students"):
            distillate.train_student(choose=2, world=poor)

    def test_a_number_without_a_model(self, distillate, linear_world):
        for given in ({"choose": 2}, {"world": linear_world}):
            with pytest.raises(PotstillError, match="choose and world belong together"):
                distillate.train_student(**given)
        with pytest.raises(PotstillError, match="choose 0: expected at least 1"):
            distillate.train_student(choose=0)
