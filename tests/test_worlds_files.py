"""Files of world models: they are read back unchanged, and damaged ones are refused in one line."""

import dataclasses
import json

import numpy as np
import pytest
from linear import TINY, linear_rows

from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.worlds import World, load_world, train_world


@pytest.fixture(scope="module")
def rows():
    return linear_rows()


@pytest.fixture(scope="module")
def world(rows):
    return train_world(rows, TINY)


def predict_rows(world, data):
    return world.step(data.normaliser(data.observations), data.action_bounds.to_unit(data.actions))


class TestFiles:
    def test_a_saved_world_is_the_same(self, world, rows, tmp_path):
        path = world.save(tmp_path / "world.safetensors")
        for source in (path, tmp_path):  # a file, or the run folder that holds it
            again = load_world(source)
            assert again.save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
            for one, other in zip(predict_rows(world, rows), predict_rows(again, rows), strict=True):
                np.testing.assert_array_equal(one, other)
            assert again.horizon == world.horizon
            assert repr(again) == repr(world) == "World('linear': 2 members, horizon 10)"

    def test_same_seed_same_bytes(self, world, rows, tmp_path):
        same, other = train_world(rows, TINY), train_world(rows, dataclasses.replace(TINY, seed=1))
        paths = [each.save(tmp_path / f"{i}.safetensors") for i, each in enumerate((world, same, other))]
        first, second, third = (path.read_bytes() for path in paths)
        assert first == second != third

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            (
                "layers.0.weight",
                np.zeros((2, 4, 16)),
                r"damaged: World.dynamics.layers\[0\]: weight has shape",
            ),
            ("layers.0.weight", np.zeros(()), r"layers\[0\]: weight has shape \(\), expected 3 axes"),
            ("layers.1.bias", np.zeros((2, 7)), r"layers\[1\]: bias has shape \(2, 7\), expected \(2, 16\)"),
            ("layers.2.weight", np.zeros((2, 16, 3)), r"layers\[2\]: bias has shape \(2, 4\), expected \(2, 3\)"),
            ("linear", np.zeros((3, 3)), r"dynamics.linear has shape \(3, 3\): expected \(4, 3\)"),
            ("scale", np.zeros(2), r"dynamics.scale has shape \(2,\): expected \(3,\)"),
            ("low", np.zeros((2, 1)), r"dynamics.low has shape \(2, 1\): expected \(2,\)"),
            ("high", None, "no array 'high'"),
            ("layers.1.weight", None, "no array 'layers.1.weight'"),
            ("layers.1.bias", None, "no array 'layers.1.bias'"),
            ("starts", np.zeros((3, 5)), r"World.starts has shape \(3, 5\): expected at least one state of 2"),
            ("starts", np.zeros((0, 2)), r"World.starts has shape \(0, 2\): expected at least one state of 2"),
            ("starts", None, "no array 'starts'"),
            ("state_mean", np.zeros(3), r"Normaliser.scale has shape \(2,\): expected \[S\] with S = 3"),
            ("action_low", None, "no array 'action_low'"),
        ],
    )
    def test_arrays_that_do_not_fit(self, world, tmp_path, name, array, message):
        path = world.save(tmp_path / "world.safetensors")
        arrays, metadata = storage.load(path, "world")
        changed = {k: v for k, v in arrays.items() if k != name}
        if array is not None:
            changed[name] = array.astype(np.float32)
        storage.save(path, "world", changed, metadata)
        with pytest.raises(PotstillError, match=message) as caught:
            load_world(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "change",
        [
            {"errors": None},
            {"errors": {"open_loop": {"one": 0.1}}},
            {"errors": {"open_loop": {"1": "small"}}},
            {"errors": {"open_loop": [1]}},
            {"dataset": "linear"},
            {"dataset": {"name": "linear"}},
            {"terminates": "no"},
            {"env_id": 3},
        ],
    )
    def test_incomplete_metadata_are_refused(self, world, tmp_path, change):
        path = world.save(tmp_path / "w.safetensors")
        storage.save(path, "world", storage.load(path, "world")[0], {**world.metadata, **change})
        with pytest.raises(PotstillError, match=r"w\.safetensors: damaged: World\.metadata: expected"):
            load_world(path)
        with pytest.raises(PotstillError, match=r"World\.metadata: expected"):
            dataclasses.replace(world, metadata={**world.metadata, **change})

    def test_other_files(self, world, teacher, tmp_path):
        with pytest.raises(PotstillError, match="expected a world, found teacher"):
            load_world(teacher.save(tmp_path / "teacher.safetensors"))
        with pytest.raises(PotstillError, match="no such file"):
            load_world(tmp_path)
        (tmp_path / "world.safetensors").write_bytes(world.save(tmp_path / "w.safetensors").read_bytes()[:-9])
        with pytest.raises(PotstillError, match="damaged or not a safetensors file"):
            load_world(tmp_path)

    def test_the_world_of_another_dataset(self, world, rows):
        world.check_dataset(rows.content_hash, rows.name)
        other = linear_rows(seed=3)
        with pytest.raises(PotstillError, match=r"\(linear\) than linear, of the same name but with other content"):
            world.check_dataset(other.content_hash, other.name)


def test_metadata_are_json(world):
    assert json.loads(json.dumps(world.metadata))["settings"]["width"] == 16
    assert isinstance(world, World)
