"""Observations that are not vectors: dictionaries, stacks and images."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import gymnasium
import h5py
import numpy as np
import pytest
from finite import finite_columns, finite_teacher
from gymnasium.spaces import Box, Dict, Discrete

import potstill
from potstill import PotstillError, load_dataset
from potstill.environments import make, play
from potstill.environments.observations import ObservationRule, OnnxEncoder, Part, RandomConv, read_rule
from potstill.teachers.algorithms.bc import Bc
from potstill.teachers.lookup import find_teacher
from potstill.teachers.settings import Training
from potstill.teachers.training import Learner

SIDE = 12


class Reach(gymnasium.Env):
    """A point that moves on a line, with nested dictionaries of observations."""

    observation_space = Dict(
        point=Dict(speed=Box(-9, 9, (1,)), place=Box(-9, 9, (2,))), goal=Box(-1, 1, (1,), np.float64)
    )
    action_space = Box(-1, 1, (1,))

    def observe(self):
        return {
            "goal": self.goal.copy(),
            "point": {"place": np.array([self.place, 0.0], np.float32), "speed": np.array([self.speed], np.float32)},
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.speed = self.np_random.uniform(-1, 1), 0.0
        self.goal = self.np_random.uniform(-1, 1, 1)
        return self.observe(), {}

    def step(self, action):
        self.speed = 0.3 * float(action[0])
        self.place += self.speed
        return self.observe(), -abs(self.place - float(self.goal[0])), False, False, {}


class Camera(Reach):
    """The same point, seen as two frames of 12 × 12 pixels."""

    observation_space = Box(0, 255, (2, SIDE, SIDE, 1), np.uint8)

    def observe(self):
        frames = np.zeros((2, SIDE, SIDE, 1), np.uint8)
        for row, value in ((0, self.place - self.speed), (1, self.place)):
            frames[row, 5, int(np.clip(6 + 4 * value, 0, SIDE - 1))] = 255
        frames[:, 9, int(6 + 4 * float(self.goal[0]))] = 128
        return frames


class Mixed(Reach):
    observation_space = Dict(goal=Box(-1, 1, (1,)), mode=Discrete(3))


gymnasium.register("ReachTest-v0", Reach, max_episode_steps=8)
gymnasium.register("CameraTest-v0", Camera, max_episode_steps=8)
gymnasium.register("MixedTest-v0", Mixed, max_episode_steps=8)


def play_log(env_id, episodes=12):
    """Raw observations and random actions, with one more observation than actions in each episode."""
    env, rng = gymnasium.make(env_id), np.random.default_rng(0)
    seen, actions, rewards = [], [], []
    for seed in range(episodes):
        seen.append(env.reset(seed=seed)[0])
        for _ in range(8):
            actions.append(rng.uniform(-1, 1, 1).astype(np.float32))
            observation, reward, *_ = env.step(actions[-1])
            seen.append(observation)
            rewards.append(reward)
    count = len(actions)
    ends = np.arange(count) % 8 == 7
    flags = {"terminations": np.zeros(count, bool), "truncations": ends}
    return seen, {"actions": np.stack(actions), "rewards": np.array(rewards), **flags}


def images_log(path=None):
    seen, columns = play_log("CameraTest-v0")
    columns = {"observations": np.stack(seen), **columns, "env_id": "CameraTest-v0"}
    if path is not None:
        np.savez_compressed(path, **columns)
    return columns


QUICK = potstill.Recipe(steps=5, layers=2, width=8)


def distil_and_evaluate(dataset, folder, **options):
    """Two steps of a distillation without a teacher, and the return of one student."""
    quick = {"size": 8, "steps": 2, "students": 1, "episodes": 1, "batch": 16, "curve_points": 1}
    run = potstill.distill(dataset, objective="dbc", recipe=QUICK, out=folder / "d", **quick)
    return run, potstill.evaluate(run, students=1, episodes=1, out=folder / "e", **options)


def test_a_dictionary_is_flattened_in_alphabetical_order_and_a_rule_is_recorded():
    seen, columns = play_log("ReachTest-v0")
    nested = {
        "point": {key: np.stack([one["point"][key] for one in seen]) for key in ("speed", "place")},
        "goal": np.stack([one["goal"] for one in seen]),
    }
    data = load_dataset({"observations": nested, **columns}, env_id="ReachTest-v0")
    assert data.rule.describe() == "goal (1) + point/place (2) + point/speed (1): 4 numbers"
    first = seen[0]
    expected = np.concatenate([first["goal"], first["point"]["place"], first["point"]["speed"]])
    np.testing.assert_allclose(data.observations[0], expected, rtol=1e-6)
    live = make("ReachTest-v0", data.rule).reset(seed=0)[0]
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
    assert [part.name for part in data.rule.parts] == names
    assert data.state_size == data.rule.size == sum(part.size for part in data.rule.parts)


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


@pytest.mark.parametrize(
    ("shape", "dtype", "layout"),
    [
        ((64, 64, 3), "uint8", "HWC"),
        ((4, 84, 84), "uint8", "CHW"),
        ((5, 7), "uint8", "HW"),
        ((3, 8, 9, 1), "float32", "THWC"),
        ((3, 1, 8, 9), "float32", "TCHW"),
    ],
)
def test_layouts(shape, dtype, layout):
    part = Part("", shape, dtype, 1)
    assert (part.is_image, part.layout) == (True, layout)
    values = np.arange(2 * part.size).reshape(2, *shape).astype(dtype)
    images = part.to_images(values) * part.divisor
    assert images.shape == (2, *part.image_shape)
    axes = dict(zip(layout, np.unravel_index(part.size - 2, shape), strict=True))  # one pixel, by hand
    channels = shape[layout.index("C")] if "C" in layout else 1
    channel = axes.get("T", 0) * channels + axes.get("C", 0)
    assert images[1, axes["H"], axes["W"], channel] == values[1].reshape(-1)[part.size - 2]


def test_stacks_of_vectors_and_small_images_are_flattened():
    rows = 30
    base = {"actions": np.zeros((rows, 1)), "rewards": np.ones(rows), "terminations": np.zeros(rows)}
    stack = np.random.default_rng(0).normal(size=(rows, 4, 3))
    data = load_dataset({"observations": stack, **base})
    np.testing.assert_array_equal(data.observations, stack[:-1].reshape(-1, 12).astype(np.float32))
    image = np.full((rows, 4, 4), 51, np.uint8)
    assert load_dataset({"observations": image, **base}).observations[0, 0] == np.float32(0.2)


def test_random_features_depend_on_the_seed_alone():
    images = np.random.default_rng(1).random((5, 20, 14, 3), np.float32)
    encoder = RandomConv(seed=1, features=9)
    features = encoder.encode(images)
    assert features.shape == (5, 9)
    assert features.tobytes() == RandomConv(seed=1, features=9).encode(images).tobytes()
    assert not np.allclose(features, RandomConv(seed=2, features=9).encode(images))
    np.testing.assert_allclose(encoder.encode(images[2:3]), features[2:3], atol=1e-5)
    assert encoder.hash_weights((20, 14, 3)).startswith("fd5f5777"), "the weights of a seed never change"
    moved = np.roll(images, 3, axis=1)
    assert np.abs(encoder.encode(moved) - features).max() > 0.05  # features keep where something is


def test_random_features_are_those_of_a_direct_convolution():
    from potstill.environments.observations.random_conv import draw_weights

    image = np.random.default_rng(2).random((1, 5, 6, 2), np.float32)
    x = (image - 0.5)[0].astype(np.float64)
    *layers, last = draw_weights(3, 4, (5, 6, 2))
    for weight in layers:
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        out = np.zeros((-(-x.shape[0] // 2), -(-x.shape[1] // 2), weight.shape[1]))
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                patch = padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].reshape(-1)
                out[i, j] = np.maximum(patch @ weight, 0)
        x = out
    np.testing.assert_allclose(RandomConv(3, 4).encode(image)[0], x.reshape(-1) @ last, rtol=1e-4, atol=1e-5)


def test_images_of_files_and_arrays_give_the_same_features(tmp_path, monkeypatch):
    columns = images_log(tmp_path / "images.npz")
    with h5py.File(tmp_path / "images.hdf5", "w") as file:
        for name, array in columns.items():
            file[name] = array
    encoder = RandomConv(features=16)
    data = load_dataset(columns, encoder=encoder)
    monkeypatch.setattr("potstill.environments.observations.rule.BLOCK_BYTES", 1 << 17)  # several blocks
    for path in ("images.npz", "images.hdf5"):
        other = load_dataset(tmp_path / path, encoder=encoder)
        np.testing.assert_allclose(other.observations, data.observations, atol=1e-5)
        np.testing.assert_allclose(other.next_observations, data.next_observations, atol=1e-5)
    assert data.rule.images[0].image_shape == (SIDE, SIDE, 2)
    run = potstill.convert(tmp_path / "images.npz", encoder="random-conv", out=tmp_path / "c")
    assert load_dataset(run.path).rule.encoder == RandomConv()


def test_dictionaries_end_to_end(tmp_path):
    made = potstill.collect("ReachTest-v0", steps=200, level="random", out=tmp_path / "c")
    data = load_dataset(made.path / "dataset.hdf5")
    assert data.rule.describe().startswith("goal (1) + point/place (2)")
    folder = potstill.convert(made.path / "dataset.hdf5", out=tmp_path / "v").path
    run, evaluation = distil_and_evaluate(folder, tmp_path)
    assert potstill.load(run).rule == data.rule
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


def test_images_end_to_end(tmp_path, capsys):
    images_log(tmp_path / "images.npz")
    folder = potstill.convert(tmp_path / "images.npz", encoder=RandomConv(features=16), out=tmp_path / "v").path
    run, evaluation = distil_and_evaluate(folder, tmp_path)
    assert evaluation.result.student.mean < 0
    rule = potstill.load(run).rule
    assert "as 16 features, images encoded by random-conv" in rule.describe()
    potstill.inspect(run, out=tmp_path / "i")
    assert "random-conv" in capsys.readouterr().out
    path = potstill.export_policy(run, tmp_path / "policy.h")
    assert "as 16 features" in Path(path).read_text()


def test_a_python_function_is_needed_again(tmp_path):
    def halve(images):
        return images[:, 1::2, ::2].reshape(len(images), -1)

    columns = images_log()
    data = load_dataset(columns, encoder=halve)
    assert data.state_size == SIDE // 2 * SIDE // 2 * 2
    run, _ = distil_and_evaluate(data, tmp_path, encoder=halve)
    with pytest.raises(PotstillError, match=r"Python function .*halve, which is not stored: pass it as encoder"):
        potstill.evaluate(run, students=1, episodes=1, out=tmp_path / "f")
    with pytest.raises(PotstillError, match="differ from those of the data"):
        potstill.evaluate(run, students=1, episodes=1, out=tmp_path / "f", encoder=lambda images: 2 * halve(images))
    with pytest.raises(PotstillError, match="differ from those of the data"):
        potstill.evaluate(run, students=1, episodes=1, out=tmp_path / "f", encoder=lambda images: images[:, 0, 0])


def test_other_weights_are_refused(tmp_path):
    rule = load_dataset(images_log(), encoder=RandomConv(features=8)).rule
    stored = json.loads(json.dumps(rule.to_json()))
    assert read_rule(stored) == rule
    stored["encoder"]["seed"] = 1
    with pytest.raises(PotstillError, match="the weights of the encoder random-conv"):
        make("CameraTest-v0", read_rule(stored))
    with pytest.raises(PotstillError, match="it makes 8 numbers, but states have 9"):
        read_rule(rule.to_json(), 9)


@pytest.mark.parametrize(
    "change", [{"parts": []}, {"parts": 3}, {"parts": [{"name": "a"}]}, {"encoder": {"name": "x"}}]
)
def test_damaged_rules_are_refused(change):
    stored = ObservationRule.of({"": ((8, 8), "uint8")}, RandomConv(features=3)).to_json()
    with pytest.raises(PotstillError, match="the stored rule of observations"):
        read_rule({**stored, **change})


def test_onnx_encoders(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    given = [helper.make_tensor_value_info("images", kind, ["B", 2, SIDE, SIDE])]
    made = [helper.make_tensor_value_info("features", kind, ["B", 2, 1, 1])]
    graph = helper.make_graph([helper.make_node("GlobalMaxPool", ["images"], ["features"])], "pool", given, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "encoder.onnx"
    onnx.save(model, path)
    columns = images_log()
    data = load_dataset(columns, encoder=OnnxEncoder(str(path)))
    expected = columns["observations"][0].max(axis=(1, 2, 3)) / 255
    np.testing.assert_allclose(data.observations[0], expected)
    rule = read_rule(data.card["observation_rule"])
    make("CameraTest-v0", rule)
    path.rename(tmp_path / "moved.onnx")
    with pytest.raises(PotstillError, match="no such file"):
        make("CameraTest-v0", rule)
    make("CameraTest-v0", rule.with_encoder(OnnxEncoder(str(tmp_path / "moved.onnx"))))
    (tmp_path / "moved.onnx").write_bytes(b"no model")
    with pytest.raises(PotstillError, match="the weights of the encoder onnx"):
        rule.with_encoder(OnnxEncoder(str(tmp_path / "moved.onnx")))
    with pytest.raises(PotstillError, match="not an ONNX model"):
        load_dataset(columns, encoder=OnnxEncoder(str(tmp_path / "moved.onnx")))


@pytest.mark.parametrize(
    ("shape", "kind", "encoder", "message"),
    [
        ((64, 64, 3), np.uint8, None, r"12,288 numbers \(64 × 64 × 3\), more than 4,096: encode images first"),
        ((9,), np.float32, RandomConv(), "there is no image to encode"),
        ((32, 32, 32), np.uint8, RandomConv(), "expected an image"),
        ((3, 3, 1), np.uint8, RandomConv(), "at least 4 × 4"),
        ((1024, 1025, 1), np.uint8, RandomConv(), "shrink the images first"),
        ((6, 6, 3), np.uint8, len, "expected .*features"),
        ((6, 6, 3), np.uint8, lambda images: 1 / 0, "the encoder raised ZeroDivisionError"),
        ((6, 6, 3), np.complex64, RandomConv(), "holds complex64, expected numbers"),
    ],
)
def test_what_cannot_be_encoded_is_refused(shape, kind, encoder, message):
    images = np.broadcast_to(np.zeros((), kind), (10, *shape))
    log = {"observations": images, "actions": np.zeros((10, 1)), "rewards": np.ones(10), "terminations": np.zeros(10)}
    with pytest.raises(PotstillError, match=message):
        load_dataset(log, encoder=encoder)


def test_ragged_images_are_refused():
    ragged = np.empty(5, object)
    ragged[:] = [np.zeros((size, 4, 3), np.uint8) for size in range(4, 9)]
    log = {"observations": ragged, "actions": np.zeros((5, 1)), "rewards": np.ones(5), "terminations": np.zeros(5)}
    with pytest.raises(PotstillError, match="holds object, expected numbers"):
        load_dataset(log, encoder=RandomConv())


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


def test_images_that_collect_flattened_are_encoded(tmp_path):
    made = potstill.collect("CameraTest-v0", steps=100, level="random", out=tmp_path / "c")
    data = load_dataset(made.path / "dataset.hdf5", encoder=RandomConv(features=8))
    live, _ = make("CameraTest-v0", data.rule).reset(seed=0)
    assert live.shape == (8,)
    assert np.abs(data.observations).max() < 100  # pixels were divided by 255


def test_a_converted_dataset_has_no_images(tmp_path):
    images_log(tmp_path / "images.npz")
    folder = potstill.convert(tmp_path / "images.npz", encoder="random-conv", out=tmp_path / "v").path
    with pytest.raises(PotstillError, match="no images to encode"):
        potstill.convert(folder, encoder="random-conv", out=tmp_path / "w")
