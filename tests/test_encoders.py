"""Images as observations, and the encoders that make features of them."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from reach import SIDE, distil_and_evaluate, find_rule, images_log
from test_readers import hand_minari, timed_out

import potstill
from potstill import PotstillError, load_dataset
from potstill.environments import make
from potstill.environments.observations import ENCODERS, ObservationRule, OnnxEncoder, Part, RandomConv, read_rule


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


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "onnx"])
def test_the_features_of_an_image_do_not_depend_on_others(name):
    encoder = ENCODERS[name]()
    images = np.random.default_rng(1).random((3, 20, 14, 3), np.float32)
    whole = encoder.encode(images)
    np.testing.assert_allclose(np.concatenate([encoder.encode(images[i : i + 1]) for i in range(3)]), whole, atol=1e-5)
    settings = {key: value for key, value in encoder.to_json().items() if key != "name"}
    assert encoder.to_json()["name"] == name
    assert ENCODERS[name](**json.loads(json.dumps(settings))) == encoder


def test_random_features_depend_on_the_seed_alone():
    images = np.random.default_rng(1).random((5, 20, 14, 3), np.float32)
    encoder = RandomConv(seed=1, features=9)
    features = encoder.encode(images)
    assert features.shape == (5, 9)
    assert features.tobytes() == RandomConv(seed=1, features=9).encode(images).tobytes()
    assert not np.allclose(features, RandomConv(seed=2, features=9).encode(images))
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
    assert find_rule(data).images[0].image_shape == (SIDE, SIDE, 2)
    run = potstill.convert(tmp_path / "images.npz", encoder="random-conv", out=tmp_path / "c")
    assert find_rule(load_dataset(run.path)).encoder == RandomConv()


def test_images_of_minari(tmp_path):
    parts, rng, encoder = list(timed_out()), np.random.default_rng(0), RandomConv(features=3)
    for part in parts:
        part["observations"] = rng.integers(0, 256, (len(part["observations"]), 6, 6, 3), dtype=np.uint8)
    path = hand_minari(tmp_path, parts, {"observation_space": '{"type": "Box", "shape": [6, 6, 3]}'})
    expected = [encoder.encode((part["observations"][:-1] / 255).astype(np.float32)) for part in parts]
    np.testing.assert_allclose(load_dataset(path, encoder=encoder).observations, np.concatenate(expected), atol=1e-5)


def test_images_end_to_end(tmp_path, capsys):
    images_log(tmp_path / "images.npz")
    folder = potstill.convert(tmp_path / "images.npz", encoder=RandomConv(features=16), out=tmp_path / "v").path
    run, evaluation = distil_and_evaluate(folder, tmp_path)
    assert evaluation.result.student.mean < 0
    rule = find_rule(potstill.load(run))
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
    run, evaluation = distil_and_evaluate(data, tmp_path, encoder=halve)
    pairs = potstill.load(run)
    again = potstill.evaluate(pairs, students=1, episodes=1, out=tmp_path / "g", encoder=halve)
    assert again.result.student == evaluation.result.student
    assert again.result.sha256 == evaluation.result.sha256
    with pytest.raises(PotstillError, match=r"the distillate does not name an environment"):
        potstill.evaluate(pairs, students=1, episodes=1, out=tmp_path / "h", env_id="none")
    with pytest.raises(PotstillError, match=r"Python function .*halve, which is not stored: pass it as encoder"):
        potstill.evaluate(run, students=1, episodes=1, out=tmp_path / "f")
    with pytest.raises(PotstillError, match="differ from those of the data"):
        potstill.evaluate(run, students=1, episodes=1, out=tmp_path / "f", encoder=lambda images: 2 * halve(images))
    with pytest.raises(PotstillError, match="differ from those of the data"):
        potstill.evaluate(run, students=1, episodes=1, out=tmp_path / "f", encoder=lambda images: images[:, 0, 0])


def test_other_weights_are_refused(tmp_path):
    rule = find_rule(load_dataset(images_log(), encoder=RandomConv(features=8)))
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
    assert rule is not None
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
        ((6, 6, 3), np.complex64, RandomConv(), "holds complex numbers, expected numbers"),
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
    with pytest.raises(PotstillError, match="holds objects, expected numbers"):
        load_dataset(log, encoder=RandomConv())


def test_images_that_collect_flattened_are_encoded(tmp_path):
    made = potstill.collect("CameraTest-v0", steps=100, level="random", out=tmp_path / "c")
    data = load_dataset(made.path / "dataset.hdf5", encoder=RandomConv(features=8))
    live, _ = make("CameraTest-v0", find_rule(data)).reset(seed=0)
    assert live.shape == (8,)
    assert np.abs(data.observations).max() < 100  # pixels were divided by 255


def test_a_converted_dataset_has_no_images(tmp_path):
    images_log(tmp_path / "images.npz")
    folder = potstill.convert(tmp_path / "images.npz", encoder="random-conv", out=tmp_path / "v").path
    with pytest.raises(PotstillError, match="no images to encode"):
        potstill.convert(folder, encoder="random-conv", out=tmp_path / "w")
