"""Teachers of other libraries: read without running anything, act and value as they did there."""

import io
import itertools
import json
import os
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SHARED

import potstill
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.evaluation.scores import policy_returns
from potstill.evaluation.statistics import summarise
from potstill.teachers.importers.archive import read_tensors

CORL = SHARED / "teachers" / "corl-cal-ql"
CHECKPOINT = CORL / "hopper-medium-replay-v2.checkpoint.pt"
# Five episodes in Gymnasium's -v4 environments (method, section 5), and the paper's own table.
SCORES = {
    "halfcheetah-medium-replay": (46.2, 45.8),
    "halfcheetah-medium": (48.1, 47.6),
    "halfcheetah-medium-expert": (40.4, 50.8),
    "hopper-medium-replay": (87.3, 98.0),
    "hopper-medium": (50.3, 56.4),
    "hopper-medium-expert": (96.5, 107.3),
    "walker2d-medium-replay": (85.4, 87.4),
    "walker2d-medium": (69.8, 84.0),
    "walker2d-medium-expert": (108.2, 109.0),
}
BODIES = {"halfcheetah": "HalfCheetah-v4", "hopper": "Hopper-v4", "walker2d": "Walker2d-v4"}
here = pytest.mark.skipif(not CORL.exists(), reason="needs ../shared")


def arrays_of(name):
    from safetensors.numpy import load_file

    return load_file(CORL / f"{name}-v2.safetensors")


def normaliser_of(arrays):
    return Normaliser(arrays["observation_mean"], arrays["observation_std"] + np.float32(1e-3))


def as_checkpoint(path, arrays):
    """The arrays of a published teacher as the checkpoint that they came from."""
    torch = pytest.importorskip("torch")
    found = {}
    for name, value in arrays.items():
        part, _, rest = name.partition(".")
        if rest:
            found.setdefault(part, {})[rest] = torch.from_numpy(value)
    torch.save(found, path)
    return path


@here
def test_a_real_checkpoint():
    arrays = arrays_of("hopper-medium-replay")
    teacher = potstill.import_teacher(CHECKPOINT, normaliser=normaliser_of(arrays))
    states = np.random.default_rng(0).normal(size=(5, 11)).astype(np.float32)
    x = states
    for i in (0, 2, 4, 6):
        x = x @ arrays[f"actor.base_network.{i}.weight"].T + arrays[f"actor.base_network.{i}.bias"]
        x = np.maximum(x, 0.0) if i < 6 else x
    np.testing.assert_allclose(teacher.act(jnp.asarray(states)), np.tanh(x[:, :3]), rtol=1e-4, atol=1e-5)
    scale, shift = arrays["actor.log_std_multiplier.constant"], arrays["actor.log_std_offset.constant"]
    last = teacher.policy.layers[-1]
    np.testing.assert_allclose(last["bias"][3:], arrays["actor.base_network.6.bias"][3:] * scale + shift, rtol=1e-5)
    actions = np.tanh(states[:, :3])
    y = np.concatenate([states, actions], axis=1)
    for i in (0, 2, 4):
        y = y @ arrays[f"critic2.network.{i}.weight"].T + arrays[f"critic2.network.{i}.bias"]
        y = np.maximum(y, 0.0) if i < 4 else y
    found = teacher.action_values(jnp.asarray(states), jnp.asarray(actions))
    np.testing.assert_allclose(found[1], y[:, 0], rtol=1e-4, atol=1e-2)


@here
@pytest.mark.parametrize("name", SCORES)
def test_the_papers_own_teachers_score_what_they_are_said_to_pytorch(name, tmp_path):
    arrays = arrays_of(name)
    teacher = potstill.import_teacher(as_checkpoint(tmp_path / "t.pt", arrays), normaliser=normaliser_of(arrays))
    env_id = BODIES[name.split("-")[0]]
    scores = summarise(policy_returns(teacher.policy, env_id, 10, seed=3), env_id)
    noise = 3.0 * max(scores["std"], 2.0) / np.sqrt(10)  # three standard errors of ten episodes
    assert min(SCORES[name]) - noise < scores["mean"] < max(SCORES[name]) + noise


@here
def test_the_dataset_gives_the_normaliser_and_distil_takes_the_file(tmp_path):
    with pytest.raises(PotstillError, match="have no normaliser: name the dataset"):
        potstill.import_teacher(CHECKPOINT)
    options = {"size": 4, "steps": 1, "batch": 16, "episodes": 0, "students": 1}
    run = potstill.distill("hopper-medium-replay", teacher=CHECKPOINT, out=tmp_path / "run", **options)
    data = potstill.load_dataset("hopper-medium-replay")
    np.testing.assert_array_equal(potstill.load(run).normaliser.mean, data.normaliser.mean)


class Evil:
    def __reduce__(self):
        return os.system, ("touch " + os.environ["EVIL"],)


@pytest.mark.parametrize("suffix", [".pt", ".zip", ".d3"])
def test_nothing_in_a_file_is_run(tmp_path, monkeypatch, suffix):
    target = tmp_path / "was-here"
    monkeypatch.setenv("EVIL", str(target))
    bomb = pickle.dumps({"actor": Evil(), "config": Evil(), "torch": Evil()})
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    content = {".pt": inside.getvalue(), ".d3": bomb}.get(suffix)
    path = tmp_path / f"evil{suffix}"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("policy.pth", inside.getvalue())
    else:
        path.write_bytes(content)
    with pytest.raises(PotstillError):
        potstill.import_teacher(path, normaliser=Normaliser.identity(3))
    assert not target.exists()


@here
def test_damaged_checkpoints_are_one_line(tmp_path):
    good, rng = CHECKPOINT.read_bytes(), np.random.default_rng(0)
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(CHECKPOINT) as archive:
        root = next(n for n in archive.namelist() if n.endswith("data.pkl")).removesuffix("data.pkl")
        papers = archive.read(f"{root}data.pkl")
        storages = {n: archive.read(n) for n in archive.namelist() if "/data/" in n}
    for trial in range(40):
        if trial < 10:
            path.write_bytes(good[: rng.integers(len(good))])
        else:
            spoiled = bytearray(papers)
            for _ in range(5):
                spoiled[rng.integers(len(spoiled))] = rng.integers(256)
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(f"{root}data.pkl", bytes(spoiled))
                for name, content in storages.items():
                    archive.writestr(name, content)
        try:
            potstill.import_teacher(path, normaliser=Normaliser.identity(11))
        except PotstillError as error:
            assert str(path) in str(error)


def test_unknown_kinds(tmp_path):
    with pytest.raises(PotstillError, match=r"unknown kind of teacher file '\.ptt': did you mean '\.pt'"):
        potstill.import_teacher(tmp_path / "x.ptt")
    with pytest.raises(PotstillError, match="no such file"):
        potstill.import_teacher(tmp_path / "x.pt")


def networks(sizes, out_bias=0.0):
    from torch import nn

    layers = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i < len(sizes) - 2 else [])
    return nn.Sequential(*layers)


def holder(**parts):
    """A module with these attributes, for its state dictionary."""
    from torch import nn

    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def check(teacher, mean, values, states):
    """Mean actions and values of an imported teacher against the PyTorch modules themselves."""
    import torch

    with torch.no_grad():
        x = torch.from_numpy(states)
        actions = torch.tanh(mean(x))
        wanted = [value(torch.cat([x, actions], 1))[..., 0].numpy() for value in values]
    found = teacher.act(jnp.asarray(states))
    np.testing.assert_allclose(found, actions.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(teacher.action_values(jnp.asarray(states), found), wanted, rtol=1e-3, atol=1e-4)


STATES = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def test_corl_td3_bc_and_iql_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    actor, one, other = networks((4, 8, 8, 2)), networks((6, 8, 1)), networks((6, 8, 1))
    critics = {f"critic_{i}": holder(net=net).state_dict() for i, net in ((1, one), (2, other))}
    torch.save({"actor": holder(net=actor).state_dict(), **critics}, tmp_path / "td3.pt")
    plain = Normaliser.identity(4)
    check(potstill.import_teacher(tmp_path / "td3.pt", normaliser=plain), actor, (one, other), STATES)
    twin = holder(q1=holder(net=one), q2=holder(net=other)).state_dict()
    gaussian = {**holder(net=holder(net=actor)).state_dict(), "log_std": torch.full((2,), -1.5)}
    torch.save({"actor": gaussian, "qf": twin}, tmp_path / "iql.pt")
    teacher = potstill.import_teacher(tmp_path / "iql.pt", normaliser=plain)
    check(teacher, actor, (one, other), STATES)
    assert teacher.policy.head == "gaussian"
    np.testing.assert_array_equal(teacher.policy.layers[-1]["bias"][2:], -1.5)


def test_corl_edac_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    trunk, mu, sigma = networks((4, 8, 8)), torch.nn.Linear(8, 2), torch.nn.Linear(8, 2)
    trunk.append(torch.nn.ReLU())
    sizes, stacks = (6, 8, 1), {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        stacks[f"critic.{2 * i}.weight"], stacks[f"critic.{2 * i}.bias"] = torch.randn(3, a, b), torch.randn(3, 1, b)

    def value(j):
        def forward(x):
            x = torch.relu(x @ stacks["critic.0.weight"][j] + stacks["critic.0.bias"][j])
            return x @ stacks["critic.2.weight"][j] + stacks["critic.2.bias"][j]

        return forward

    actor = holder(trunk=trunk, mu=mu, log_sigma=sigma).state_dict()
    torch.save({"actor": actor, "critic": stacks, "log_alpha": 0.5}, tmp_path / "edac.pt")
    teacher = potstill.import_teacher(tmp_path / "edac.pt", normaliser=Normaliser.identity(4))
    check(teacher, lambda x: mu(trunk(x)), [value(j) for j in range(3)], STATES)


@pytest.mark.parametrize("algorithm", ["SAC", "TD3"])
def test_stable_baselines3_pytorch(tmp_path, algorithm):
    sb3 = pytest.importorskip("stable_baselines3")
    agent = getattr(sb3, algorithm)("MlpPolicy", "Pendulum-v1", seed=0, learning_starts=20, device="cpu")
    agent.learn(60)
    agent.save(tmp_path / "agent.zip")
    from potstill.data.transitions import Transitions

    bound, none = 2.0 * np.ones(1, np.float32), np.zeros(8, bool)
    states = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    rewards = np.arange(8, dtype=np.float32)
    data = Transitions(states, np.zeros((8, 1), np.float32), rewards, states, none, none, ActionBounds(-bound, bound))
    teacher = potstill.import_teacher(tmp_path / "agent.zip", data=data)
    wanted, _ = agent.predict(states, deterministic=True)
    np.testing.assert_allclose(teacher.policy(states), wanted, rtol=1e-4, atol=1e-5)
    import torch

    with torch.no_grad():
        values = agent.critic(torch.from_numpy(states), torch.zeros(8, 1))
    found = teacher.action_values(jnp.asarray(states), jnp.zeros((8, 1)))
    np.testing.assert_allclose(found, [v[:, 0] for v in values], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("noise", ["none", "linear", "constant"])
def test_d3rlpy_pytorch(tmp_path, noise):
    """A model in d3rlpy's layout (it cannot be installed beside current Gymnasium)."""
    torch = pytest.importorskip("torch")
    relu = torch.nn.ReLU
    body = lambda size: torch.nn.Sequential(torch.nn.Linear(size, 8), relu(), torch.nn.Linear(8, 8), relu())  # noqa: E731
    actor_body, mean = body(4), torch.nn.Linear(8, 2)
    parts = {"_encoder": holder(_layers=actor_body), "_fc" if noise == "none" else "_mu": mean}
    if noise == "linear":
        parts["_logstd"] = torch.nn.Linear(8, 2)
    if noise == "constant":
        parts["_logstd"] = torch.nn.Parameter(torch.zeros(1, 2))
    bodies, heads = [body(6), body(6)], [torch.nn.Linear(8, 1), torch.nn.Linear(8, 1)]
    values = torch.nn.ModuleList(
        holder(_encoder=holder(_layers=b), _fc=h) for b, h in zip(bodies, heads, strict=True)
    ).state_dict()
    content = io.BytesIO()
    torch.save({"policy": holder(**parts).state_dict(), "q_funcs": values, "actor_optim": {"step": 3}}, content)
    scaler = {"type": "standard", "params": {"mean": [1.0, 0, 0, 0], "std": [2.0, 1, 1, 1], "eps": 1e-3}}
    inner = {"type": "td3_plus_bc", "params": {"observation_scaler": scaler, "action_scaler": {"type": "none"}}}
    config = json.dumps({"observation_shape": [4], "action_size": 2, "config": inner})
    path = tmp_path / "model.d3"
    path.write_bytes(pickle.dumps({"torch": content.getvalue(), "config": config, "version": "2.8.1"}))
    for option in ({"activation": "tanh"}, {"use_layer_norm": True}):
        odd = inner["params"] | {"actor_encoder_factory": {"type": "vector", "params": option}}
        other = json.dumps({"config": {**inner, "params": odd}})
        (tmp_path / "odd.d3").write_bytes(pickle.dumps({"torch": content.getvalue(), "config": other}))
        with pytest.raises(PotstillError, match="actor_encoder_factory has"):
            potstill.import_teacher(tmp_path / "odd.d3")
    teacher = potstill.import_teacher(path)
    pairs = [lambda x, b=b, h=h: h(b(x)) for b, h in zip(bodies, heads, strict=True)]
    check(teacher, lambda x: mean(actor_body(x)), pairs, STATES)
    np.testing.assert_allclose(teacher.normaliser.scale, [2.001, 1.001, 1.001, 1.001])
    if noise == "constant":  # halfway between -5 and 2
        np.testing.assert_allclose(teacher.policy.layers[-1]["bias"][2:], -1.5, atol=1e-6)


def test_tensors_keep_to_their_storage(tmp_path):
    torch = pytest.importorskip("torch")
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"part": whole[1:, ::2], "turned": whole.T}, tmp_path / "t.pt")
    found = read_tensors((tmp_path / "t.pt").read_bytes(), "t.pt")
    np.testing.assert_array_equal(found["part"], [[4.0, 6.0], [8.0, 10.0]])
    np.testing.assert_array_equal(found["turned"], whole.T.numpy())
