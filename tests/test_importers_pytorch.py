"""Imported teachers against the original PyTorch modules."""

import io
import itertools
import json
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.teachers.importers.archive import read_tensors


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
    """Compare mean actions and values of an imported teacher with those of the PyTorch modules."""
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
    assert potstill.import_teacher(tmp_path / "agent.zip").policy.action_bounds == data.action_bounds
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
    params = {"observation_scaler": scaler, "action_scaler": {"type": "none"}}
    inner = {"type": "td3_plus_bc", "params": params}
    config = json.dumps({"observation_shape": [4], "action_size": 2, "config": inner})
    path = tmp_path / "model.d3"
    path.write_bytes(pickle.dumps({"torch": content.getvalue(), "config": config, "version": "2.8.1"}))
    for option in ({"activation": "tanh"}, {"use_layer_norm": True}):
        odd = params | {"actor_encoder_factory": {"type": "vector", "params": option}}
        other = json.dumps({"config": {**inner, "params": odd}})
        (tmp_path / "odd.d3").write_bytes(pickle.dumps({"torch": content.getvalue(), "config": other}))
        with pytest.raises(PotstillError, match="actor_encoder_factory has"):
            potstill.import_teacher(tmp_path / "odd.d3")
    scaler = {"type": "min_max", "params": {"minimum": [-0.5, 0.0], "maximum": [0.5, 3.0]}}
    scaled = json.dumps({"config": {**inner, "params": params | {"action_scaler": scaler}}})
    (tmp_path / "scaled.d3").write_bytes(pickle.dumps({"torch": content.getvalue(), "config": scaled}))
    bounds = potstill.import_teacher(tmp_path / "scaled.d3").policy.action_bounds
    assert bounds == ActionBounds(np.array([-0.5, 0.0], np.float32), np.array([0.5, 3.0], np.float32))
    teacher = potstill.import_teacher(path)
    assert teacher.policy.action_bounds == ActionBounds.unit(2)
    pairs = [lambda x, b=b, h=h: h(b(x)) for b, h in zip(bodies, heads, strict=True)]
    check(teacher, lambda x: mean(actor_body(x)), pairs, STATES)
    np.testing.assert_allclose(teacher.normaliser.scale, [2.001, 1.001, 1.001, 1.001])
    if noise == "constant":  # halfway between -5 and 2
        np.testing.assert_allclose(teacher.policy.layers[-1]["bias"][2:], -1.5, atol=1e-6)


def test_tensors_outside_their_storage_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"part": whole[1:, ::2], "turned": whole.T}, tmp_path / "t.pt")
    found = read_tensors((tmp_path / "t.pt").read_bytes(), "t.pt")
    np.testing.assert_array_equal(found["part"], [[4.0, 6.0], [8.0, 10.0]])
    np.testing.assert_array_equal(found["turned"], whole.T.numpy())
