"""Malformed teacher files of other libraries are refused in one line that names the fault."""

import io
import itertools
import json
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import potstill
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.teachers.importers.archive import _copy_tensor, read_tensors

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
SCALER: dict[str, Any] = {"type": "standard", "params": {"mean": [0.0] * 4, "std": [1.0] * 4}}
CONFIG = {"config": {"type": "sac", "params": {"observation_scaler": SCALER}}}


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def linear(name, inputs, outputs):
    return {f"{name}.weight": normal(outputs, inputs), f"{name}.bias": normal(outputs)}


def mlp(name, *sizes):
    layers = [linear(f"{name}.{2 * i}", a, b) for i, (a, b) in enumerate(itertools.pairwise(sizes))]
    return {key: value for layer in layers for key, value in layer.items()}


def critics(one, other):
    return mlp(one, 6, 8, 8, 1) | mlp(other, 6, 8, 8, 1)


def d3rlpy(**heads):
    found = mlp("policy._encoder._layers", 4, 8, 8)
    for i in range(2):
        found |= mlp(f"q_funcs.{i}._encoder._layers", 6, 8, 8) | linear(f"q_funcs.{i}._fc", 8, 1)
    for name, value in heads.items():
        found |= {f"policy.{name}": value} if isinstance(value, np.ndarray) else linear(f"policy.{name}", 8, value)
    return found


def stacked():
    shapes = [("0", (3, 6, 8)), ("2", (3, 8, 8)), ("4", (3, 8, 1))]
    weights = {f"critic.critic.{i}.weight": normal(*shape) for i, shape in shapes}
    return weights | {f"critic.critic.{i}.bias": normal(shape[0], 1, shape[2]) for i, shape in shapes}


LOG_STD = {f"actor.log_std_{name}.constant": normal() for name in ("multiplier", "offset")}
ENTROPIC = mlp("actor.trunk", 4, 8, 8) | linear("actor.mu", 8, 2) | linear("actor.log_sigma", 8, 2)
SAC = mlp("actor.latent_pi", 4, 8, 8) | linear("actor.mu", 8, 2) | linear("actor.log_std", 8, 2)
FILES = {
    "cql.pt": mlp("actor.base_network", 4, 8, 4) | LOG_STD | critics("critic1.network", "critic2.network"),
    "td3-bc.pt": mlp("actor.net", 4, 8, 2) | critics("critic_1.net", "critic_2.net"),
    "iql.pt": mlp("actor.net.net", 4, 8, 2) | {"actor.log_std": normal(2)} | critics("qf.q1.net", "qf.q2.net"),
    "edac.pt": ENTROPIC | stacked(),
    "sac.zip": SAC | critics("critic.qf0", "critic.qf1"),
    "td3.zip": mlp("actor.mu", 4, 8, 2) | critics("critic.qf0", "critic.qf1"),
    "td3.d3": d3rlpy(_fc=2),
    "sac.d3": d3rlpy(_mu=2, _logstd=2),
    "iql.d3": d3rlpy(_mu=2, _logstd=normal(1, 2)),
}
OPTIONAL = {("iql.pt", "actor.log_std")}  # CORL's deterministic policy has none


def write(path, arrays, *, parts=None, config=CONFIG, spoil=None):
    """Write a file in the format of the library that its suffix indicates; ``spoil`` changes the pickle in it."""
    nested: dict[str, Any] = {}
    for name, value in arrays.items():
        part, _, rest = name.partition(".")
        nested.setdefault(part, {})[rest] = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
    flat = {f"{part}.{k}": v for part, values in nested.items() for k, v in values.items()}
    saved = io.BytesIO()
    torch.save(flat if path.suffix == ".zip" else nested | (parts or {}), saved)
    content = repacked(saved.getvalue(), spoil) if spoil else saved.getvalue()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("policy.pth", content)
        return path
    path.write_bytes(
        content if path.suffix == ".pt" else pickle.dumps({"torch": content, "config": json.dumps(config)})
    )
    return path


def repacked(content, spoil):
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, spoil(old.read(name)) if name.endswith("data.pkl") else old.read(name))
    return changed.getvalue()


def read(path):
    return potstill.import_teacher(path, normaliser=Normaliser.identity(4) if path.suffix == ".pt" else None)


def refusal(path):
    """The line with which the file is refused, or an empty string if it contains a working teacher."""
    try:
        teacher = read(path)
    except PotstillError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
        return str(error)
    assert np.isfinite(teacher.policy(np.zeros((2, 4), np.float32))).all()
    assert np.isfinite(teacher.action_values(jnp.zeros((2, 4)), jnp.zeros((2, 2)))).all()
    return ""


@pytest.mark.parametrize("kind", FILES)
def test_missing_and_infinite_arrays_are_named(tmp_path, kind):
    path, whole = tmp_path / kind, FILES[kind]
    assert refusal(write(path, whole)) == ""
    for name, value in whole.items():
        rest = {k: v for k, v in whole.items() if k != name}
        for spoiled in (rest, whole | {name: None}, whole | {name: "text"}, whole | {name: {}}):
            line = refusal(write(path, spoiled))
            assert (line == "") if (kind, name) in OPTIONAL else (f"'{name}'" in line), (name, line)
        for number in (np.nan, np.inf, 1e300):
            odd = value.astype(np.float64)
            odd.flat[-1] = number
            assert f"'{name}' is not finite" in refusal(write(path, whole | {name: odd}))


@pytest.mark.parametrize("kind", FILES)
def test_arrays_of_another_shape(tmp_path, kind):
    path, whole = tmp_path / kind, FILES[kind]
    for name, value in whole.items():
        others = [np.zeros(shape, np.float32) for shape in ((), (0,), (7,), (7, 7), (7, 7, 7)) if shape != value.shape]
        for other in [*others, np.repeat(np.atleast_1d(value), 2, axis=0), np.repeat(np.atleast_1d(value), 2, axis=-1)]:
            assert refusal(write(path, whole | {name: other})), (name, other.shape)


@pytest.mark.parametrize("kind", FILES)
def test_layers_with_mismatched_sizes(tmp_path, kind):
    path, whole = tmp_path / kind, FILES[kind]
    layers = {name.rpartition(".")[0] for name in whole if name.endswith(".weight")}
    for layer in layers:
        rest = {k: v for k, v in whole.items() if not k.startswith(f"{layer}.")}
        if "4" not in layer.split(".") and not layer.startswith("critic.critic"):
            assert refusal(write(path, rest | linear(layer, 5, 5))), layer
        assert refusal(write(path, rest)) or whole[f"{layer}.weight"].shape[-2:] == (8, 8), layer


@pytest.mark.parametrize("kind", [kind for kind in FILES if not kind.endswith(".zip")])
@pytest.mark.parametrize("odd", [None, 3, "text\nin two lines", [1, 2], {}, np.zeros(2), {3: {}}])
def test_parts_that_are_not_dictionaries(tmp_path, kind, odd):
    odd = torch.from_numpy(odd) if isinstance(odd, np.ndarray) else odd
    for part in {name.partition(".")[0] for name in FILES[kind]}:
        assert refusal(write(tmp_path / kind, FILES[kind], parts={part: odd})), part


class Shadowed:
    """A dictionary whose pickle gives it an attribute in place of a method."""

    def __reduce__(self):
        pairs = {k.removeprefix("actor."): v for k, v in FILES["td3-bc.pt"].items() if k.startswith("actor.")}
        return OrderedDict, (), {"items": 5}, None, iter([(k, torch.from_numpy(v)) for k, v in pairs.items()])


def test_unexpected_array_names(tmp_path):
    path, whole = tmp_path / "td3-bc.pt", FILES["td3-bc.pt"]
    endless = whole | {f"actor.net.{'9' * 5000}.weight": normal(1)}
    assert "not a teacher in the format of corl (ValueError" in refusal(write(path, endless))
    assert "two\\nlines" in refusal(write(path, {}, parts={"two\nlines": torch.zeros(1)}))
    assert refusal(write(path, whole, parts={"actor": Shadowed()})) == ""


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        "text",
        {"config": 5},
        {"config": {}},
        {"config": {"params": [1]}},
        {"config": {"params": {"action_scaler": "text"}}},
        {"config": {"params": {"action_scaler": {"type": "standard"}}}},
        {"config": {"params": {"observation_scaler": [1]}}},
        {"config": {"params": {"observation_scaler": {"type": ["min\nmax"]}}}},
    ],
)
def test_odd_configurations(tmp_path, config):
    assert "configuration" in (line := refusal(write(tmp_path / "sac.d3", FILES["sac.d3"], config=config))) or (
        "scaler of type" in line
    )


@pytest.mark.parametrize("name", ["mean", "std", "eps"])
@pytest.mark.parametrize("odd", [None, "text", {}, [[1.0], [1.0, 2.0]], [1.0] * 3, [np.nan] * 4, [-1.0] * 4, 10**400])
def test_odd_scalers(tmp_path, name, odd):
    params = SCALER["params"] | {name: odd}
    config = {"config": {"params": {"observation_scaler": SCALER | {"params": params}}}}
    line = refusal(write(tmp_path / "sac.d3", FILES["sac.d3"], config=config))
    wanted = "a whole number of 401 digits" if odd == 10**400 else "observation"
    assert wanted in line or (name, odd) == ("mean", [-1.0] * 4)


@settings(max_examples=250, deadline=None)
@given(
    kind=st.sampled_from(sorted(FILES)),
    inside=st.booleans(),
    end=st.floats(0.0, 2.0),
    changes=st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_any_bytes_give_a_teacher_or_one_line(tmp_path_factory, kind, inside, end, changes):
    def spoil(content):
        content = bytearray(content)
        for place, byte in changes:
            content[int(place * len(content))] = byte
        return bytes(content[: int(end * len(content)) or 1])

    path = write(tmp_path_factory.mktemp("any") / kind, FILES[kind], spoil=spoil if inside else None)
    if not inside:
        path.write_bytes(spoil(path.read_bytes()))
    refusal(path)


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 2), (3, 1)),
        (0, (10**12,), (0,)),
        (0, (-1,), (1,)),
        (0, (-2, -2), (1, 1)),
        (0, (2,), (-1,)),
        (-1, (2,), (1,)),
        (10**30, (1,), (1,)),
        (0, (2,), (1, 1)),
        (0, (np.int64(2),), (np.int64(2**63 - 1),)),
        (0, (2.0,), (1.0,)),
    ],
)
def test_a_tensor_outside_its_storage(offset, shape, stride):
    with pytest.raises((pickle.UnpicklingError, TypeError, ValueError)):
        _copy_tensor(np.arange(4.0), offset, shape, stride)


def test_a_file_cannot_ask_for_more_memory_than_it_holds(tmp_path):
    torch.save({"x": torch.zeros(1).expand(10**6)}, tmp_path / "wide.pt")
    assert "outside its storage" in refusal(tmp_path / "wide.pt")
    (tmp_path / "memo.d3").write_bytes(b"\x80\x02}r\xff\xff\xff\xff.")
    assert "memo index 4294967295" in refusal(tmp_path / "memo.d3")
    torch.save({"x": torch.zeros(0, 3)}, tmp_path / "empty.pt")
    assert read_tensors((tmp_path / "empty.pt").read_bytes(), "empty.pt")["x"].shape == (0, 3)


def test_stable_baselines3_with_other_activations_pytorch(tmp_path):
    sb3, torch = pytest.importorskip("stable_baselines3"), pytest.importorskip("torch")
    options = {"activation_fn": torch.nn.Tanh}
    sb3.TD3("MlpPolicy", "Pendulum-v1", policy_kwargs=options, device="cpu").save(tmp_path / "agent.zip")
    with pytest.raises(PotstillError, match=r"Tanh.*only ReLU"):
        potstill.import_teacher(tmp_path / "agent.zip", normaliser=Normaliser.identity(3))


def test_stable_baselines3_with_a_features_extractor_pytorch(tmp_path):
    sb3, torch = pytest.importorskip("stable_baselines3"), pytest.importorskip("torch")
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class Norm(BaseFeaturesExtractor):
        def __init__(self, space):
            super().__init__(space, features_dim=3)
            self.norm = torch.nn.LayerNorm(3)

        def forward(self, x):
            return self.norm(x)

    options = {"features_extractor_class": Norm, "net_arch": [8, 8]}
    sb3.TD3("MlpPolicy", "Pendulum-v1", policy_kwargs=options, device="cpu", buffer_size=9).save(tmp_path / "agent.zip")
    with pytest.raises(PotstillError, match="features extractor"):
        potstill.import_teacher(tmp_path / "agent.zip")
