"""Encoders and logs of images that would give wrong features, and stored rules that no one wrote."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from reach import SIDE
from test_cli import refused

from potstill import PotstillError, load_dataset
from potstill.environments import make
from potstill.environments.observations import ObservationRule, OnnxEncoder, RandomConv, read_rule

ROWS = 20
BASE = {"actions": np.zeros((ROWS, 1)), "rewards": np.ones(ROWS), "terminations": np.arange(ROWS) % 10 == 9}
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, 8, 8, 3), dtype=np.uint8)
VECTORS = {"a": ((2,), "float32"), "b": ((), "float32")}


def read(observations=IMAGES, encoder=None, **columns):
    return load_dataset({**BASE, "observations": observations, **columns}, encoder=encoder)


@pytest.fixture
def save(tmp_path):
    """Return a function that writes an ONNX model of some nodes from "x" to "y", and its path."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT

    def write(shape, *nodes, weight=None, inputs=("x",), name="encoder.onnx"):
        given = [helper.make_tensor_value_info(one, kind, shape) for one in inputs]
        made = [helper.make_tensor_value_info("y", kind, None)]
        weights = [] if weight is None else [onnx.numpy_helper.from_array(np.asarray(weight, np.float32), "w")]
        parts = [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes]
        graph = helper.make_graph(parts, "g", given, made, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, tmp_path / name)
        return OnnxEncoder(str(tmp_path / name))

    return write


CHW = ["B", 3, 8, 8]
POOL = ("GlobalMaxPool", ["x"], ["y"])


def test_a_model_without_one_clear_input_is_refused(save):
    both = ("Add", ["x", "z"], ["y"])
    for encoder, message in (
        (save([], ("Identity", ["w"], ["y"]), weight=[1.0, 2.0], inputs=()), "with four axes, not none"),
        (save(CHW, both, inputs=("x", "z"), name="two.onnx"), r"one input .*, not tensor\(float\) .*, tensor"),
        (save(["B", "C", "H", "W"], POOL, name="any.onnx"), r"may be \[B, C, H, W\] or \[B, H, W, C\]"),
        (save(["B", 4, 8, 8], POOL, name="four.onnx"), "but the images are"),
    ):
        with pytest.raises(PotstillError, match=message) as caught:
            read(encoder=encoder)
        assert "\n" not in str(caught.value)


def test_weights_outside_the_folder_of_a_model_are_not_read(save, tmp_path):
    onnx = pytest.importorskip("onnx")
    encoder = save(CHW, ("Mul", ["x", "w"], ["y"]), weight=np.ones((1, 3, 8, 8)))
    model = onnx.load(encoder.path)
    (tmp_path / "sub").mkdir()
    for place in ("../weights.bin", str(tmp_path / "weights.bin")):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        np.ones((1, 3, 8, 8), np.float32).tofile(tmp_path / "weights.bin")
        onnx.external_data_helper.set_external_data(changed.graph.initializer[0], place)
        changed.graph.initializer[0].ClearField("raw_data")
        onnx.save(changed, tmp_path / "sub" / "encoder.onnx")
        with pytest.raises(PotstillError, match="not an ONNX model"):
            read(encoder=OnnxEncoder(str(tmp_path / "sub" / "encoder.onnx")))


def test_a_replaced_model_of_the_same_size_is_opened_again(save, tmp_path):
    found = []
    for factor in (1.0, 2.0):
        encoder = save(CHW, ("Mul", ["x", "w"], ["y"]), weight=factor)
        found.append(read(encoder=encoder).observations[0])
    np.testing.assert_allclose(found[1], 2.0 * found[0])


def test_features_must_not_depend_on_other_images_or_on_chance(save):
    centred = (("ReduceMean", ["x"], ["m"], {"axes": [0]}), ("Sub", ["x", "m"], ["y"]))
    rng = np.random.default_rng(0)
    encoders = [
        save(CHW, *centred),
        save(CHW, ("RandomNormalLike", ["x"], ["y"]), name="random.onnx"),
        lambda images: (images - images.mean(0)).reshape(len(images), -1),
        lambda images: rng.normal(size=(len(images), 2)),
        lambda images: np.zeros((len(images), len(images))),
    ]
    for encoder in encoders:
        with pytest.raises(PotstillError, match="other features alone than beside another one"):
            read(encoder=encoder)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_features_that_are_not_finite_are_refused(value):
    with pytest.raises(PotstillError, match=r"(nan|inf) in column observations\[0\], row 0"):
        read(encoder=lambda images: np.full((len(images), 2), value))


def test_next_images_in_another_range_are_refused():
    scaled = IMAGES.astype(np.float32) / 255
    for encoder in (RandomConv(features=3), None):
        with pytest.raises(PotstillError, match="images of next_observations hold float32, but others uint8"):
            read(encoder=encoder, next_observations=scaled)


def test_two_arrays_of_one_key_are_refused():
    with pytest.raises(PotstillError, match="two arrays of the key 'a/b'"):
        read({"a/b": np.zeros(ROWS), "a": {"b": np.ones(ROWS)}})


def test_replay_buffers_of_dictionaries_are_refused():
    arrays = {"a": np.zeros((ROWS, 1, 2))}
    ring = {"pos": 0, "full": True, "optimize_memory_usage": False}
    buffer = SimpleNamespace(observations=arrays, next_observations=arrays, actions=np.zeros((ROWS, 1, 1)), **ring)
    buffer.rewards = buffer.dones = np.zeros((ROWS, 1))
    with pytest.raises(PotstillError, match="not read from a DictReplayBuffer: pass a mapping of arrays"):
        load_dataset(buffer)


@pytest.mark.parametrize("form", ["lists", "bytes", "dictionary"])
def test_images_in_parquet_are_refused(form, tmp_path, capsys):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    made = {
        "lists": [image.tolist() for image in IMAGES],
        "bytes": [image.tobytes() for image in IMAGES],
        "dictionary": [{"camera": {"bytes": image.tobytes(), "path": None}, "speed": 1.0} for image in IMAGES],
    }
    columns = {"action": np.zeros(ROWS), "reward": np.ones(ROWS), "terminated": BASE["terminations"]}
    table = arrow.table({"observation": arrow.array(made[form]), **columns})
    parquet.write_table(table, tmp_path / "images.parquet")
    line = refused(
        capsys, "convert", tmp_path / "images.parquet", "--encoder", "random-conv", "--out", tmp_path / "run"
    )
    assert "images and stacks in Parquet are not read; write arrays to HDF5 or .npz" in line
    assert not (tmp_path / "run").exists()


def test_fields_without_an_encoder_are_refused(tmp_path, capsys):
    np.savez(tmp_path / "images.npz", observations=IMAGES, **BASE)
    line = refused(capsys, "convert", tmp_path / "images.npz", "--encoder.features", "3", "--out", tmp_path / "run")
    assert line.endswith("--encoder.features: name the encoder as well, with --encoder")
    many = ("--encoder", "random-conv", "--encoder.features", "1000000000", "--out", tmp_path / "run")
    line = refused(capsys, "convert", tmp_path / "images.npz", *many)
    assert "RandomConv.features 1,000,000,000: for images of 8 × 8 pixels, expected at most" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("change", [{"width": 1}, {"width": -1}, {"shape": [-2]}, {"shape": [-1, -2]}, {"width": 2.0}])
def test_parts_of_impossible_sizes_are_refused(change):
    stored = ObservationRule.of(VECTORS).to_json()
    stored["parts"][0] |= change
    with pytest.raises(PotstillError, match="the stored rule of observations"):
        read_rule(stored)


def test_a_stored_encoder_does_not_take_all_memory():
    stored = json.loads(json.dumps(ObservationRule.of({"": ((2, SIDE, SIDE, 1), "uint8")}, RandomConv()).to_json()))
    stored["encoder"]["features"] = 10**9
    with pytest.raises(PotstillError, match=r"RandomConv\.features 1,000,000,000"):
        make("CameraTest-v0", read_rule(stored))


@pytest.mark.parametrize("shape", [5, "ab", [1.5], [-2, 8], None, [{}]])
def test_a_card_with_another_shape_is_no_image(shape):
    from potstill.data.observations import _find_flattened

    known = {"flattened": True, "dtype": "uint8", "shape": [2, 2]}
    assert _find_flattened(known, {"": (4,)}) == {"": ((2, 2), "uint8")}
    assert _find_flattened({**known, "shape": shape}, {"": (4,)}) is None
