"""Exports of discrete actions: pairs with soft labels and single actions, and policies in every format."""

import ctypes
import importlib.util
import itertools
import json
import shutil
import subprocess
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
import pytest
from finite import ACTIONS
from test_export_policy import import_exported

import potstill
from potstill.data.bounds import DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.distillate import Distillate
from potstill.errors import PotstillError
from potstill.exports.card import format_card
from potstill.networks.policy import Policy, Residual, Towers
from potstill.reports.artefacts import describe_artefact
from potstill.students import Recipe, Students

RNG = np.random.default_rng(0)
STATES = 5
SCALING = Scaling(Normaliser(RNG.normal(size=STATES), RNG.uniform(0.5, 2.0, STATES)), DiscreteActions(ACTIONS))
OBSERVATIONS = RNG.normal(size=(200, STATES)).astype(np.float32)
METADATA = {
    "env_id": None,
    "dataset": {"name": "log"},
    "objective": "q-gap",
    "solver": "kernel",
    "recipe": "custom",
    "student": Recipe(steps=40, momentum=0.9, width=8, loss="cross-entropy").to_metadata(),
    "potstill": "0",
}


def random_layers(*lead, sizes=(STATES, 8, 8, 8, ACTIONS)):
    draw = lambda *shape: RNG.normal(size=(*lead, *shape)).astype(np.float32)  # noqa: E731
    return [{"weight": draw(a, b) * a**-0.5, "bias": draw(b)} for a, b in itertools.pairwise(sizes)]


def balance(policy):
    """Shift the logits, so that each action is the most probable one somewhere."""
    policies = [policy.make_policy(i) for i in range(len(policy))] if isinstance(policy, Students) else [policy]
    for i, one in enumerate(policies):
        means = np.log(one.compute_unit_actions(OBSERVATIONS)).mean(axis=0)
        bias = policy.params[-1]["bias"][i] if isinstance(policy, Students) else policy.layers[-1]["bias"]
        bias -= means
    return policy


POLICIES = {
    "plain": balance(Policy(random_layers(), SCALING, "softmax")),
    "towers": balance(Policy(Towers(random_layers(3)), SCALING, "softmax")),
    "residual": balance(Policy(Residual(random_layers(sizes=(STATES, 8, 8, ACTIONS))), SCALING, "softmax")),
    "students": balance(Students(Towers(random_layers(4, 3)), SCALING)),
}


def run_onnx(path):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["action"], {"observation": OBSERVATIONS})[0]


def run_c(path):
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    source, library = path.with_suffix(".c"), path.with_suffix(".so")
    source.write_text(f'#include "{path.name}"\nint run(const float *o) {{ return my_policy_act(o); }}\n')
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
    subprocess.run(["cc", *strict, "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    act, kind = ctypes.CDLL(str(library)).run, ctypes.POINTER(ctypes.c_float)
    return np.array([act(np.ascontiguousarray(row).ctypes.data_as(kind)) for row in OBSERVATIONS])


def run_numpy(path):
    module = import_exported(path)
    assert module.act(OBSERVATIONS[0]).shape == ()
    assert module.METADATA["actions"] == "discrete"
    return module.act(OBSERVATIONS)


def run_torch(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    weights, layers = load_file(path), []
    for i in range(0, len(weights), 2):
        outputs, inputs = weights[f"{i}.weight"].shape
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    network.load_state_dict(weights)
    with torch.no_grad():
        return network(torch.from_numpy(OBSERVATIONS)).numpy().argmax(-1)


RUNNERS = {"x.onnx": run_onnx, "my-policy.h": run_c, "x.py": run_numpy, "x.safetensors": run_torch}


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("name", RUNNERS)
def test_policies_choose_the_same_actions(tmp_path, name, kind):
    policy, path = POLICIES[kind], tmp_path / name
    if name == "x.onnx":
        pytest.importorskip("onnx")
    if kind == "students" and name == "x.safetensors":
        with pytest.raises(PotstillError, match="holds one network"):
            potstill.export_policy(policy, path)
        return
    potstill.export_policy(policy, path)
    wanted = policy.act_as_ensemble(OBSERVATIONS) if kind == "students" else policy(OBSERVATIONS)
    assert len(set(wanted.tolist())) == ACTIONS
    found = RUNNERS[name](path)
    assert (found == wanted).mean() > 0.99  # float32 may decide a tie otherwise


@pytest.fixture
def soft():
    labels = RNG.dirichlet(np.ones(ACTIONS), 12).astype(np.float32)
    return Distillate(OBSERVATIONS[:12], labels, SCALING, METADATA)


@pytest.fixture
def hard(soft):
    return replace(soft, actions=np.eye(ACTIONS, dtype=np.float32)[soft.action_numbers])


def test_a_file_keeps_the_finite_set(tmp_path, soft):
    again = potstill.load(soft.save(tmp_path / "d.safetensors"))
    assert again.action_bounds == DiscreteActions(ACTIONS)
    np.testing.assert_array_equal(again.actions, soft.actions)
    np.testing.assert_array_equal(again.action_numbers, soft.actions.argmax(-1))
    assert again.train_student(recipe=potstill.RECIPES["paper"])(OBSERVATIONS).dtype.kind == "i"
    assert again.recipe.loss == "cross-entropy"
    assert describe_artefact(tmp_path / "d.safetensors")["action_numbers"] == [0.0, 1.0, 2.0]
    with pytest.raises(PotstillError, match="action_numbers: the actions are continuous"):
        potstill.load("hopper-medium-replay").action_numbers  # noqa: B018


def test_probabilities_are_exported_where_they_can_be(tmp_path, soft):
    with np.load(potstill.export(soft, tmp_path / "x.npz")) as archive:
        np.testing.assert_array_equal(archive["actions"], soft.actions)
        assert json.loads(str(archive["potstill"]))["action_numbers"] == [0.0, 1.0, 2.0]
    names = ["x.hdf5"] + ["pairs-v0"] * (importlib.util.find_spec("minari") is not None)
    for name in names:
        with pytest.raises(PotstillError, match=r"12 of 12 pairs have probabilities.*labels='fixed'"):
            potstill.export(soft, tmp_path / name, None if "." in name else "minari")
        assert not (tmp_path / name).exists()


def test_single_actions_are_exported_as_numbers(tmp_path, hard):
    path = potstill.export(hard, tmp_path / "x.hdf5")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["actions"][:], hard.action_numbers)
        assert file["actions"].dtype == np.int64
    data = potstill.load_dataset(path)
    assert data.action_bounds == DiscreteActions(ACTIONS)
    np.testing.assert_array_equal(data.actions, hard.actions)


def test_minari_has_a_discrete_space(tmp_path, hard):
    pytest.importorskip("minari")
    potstill.export(hard, tmp_path / "pairs-v0", "minari")
    data = potstill.load_dataset(tmp_path / "pairs-v0")
    assert data.action_bounds == DiscreteActions(ACTIONS)
    np.testing.assert_array_equal(data.actions, hard.actions)


def test_the_code_in_the_card_trains_a_student(tmp_path, soft, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    potstill.export(replace(soft, weights=np.ones(12, np.float32)), tmp_path / "x", "parquet")
    text = (tmp_path / "x" / "README.md").read_text()
    assert "softmax" in text
    assert "cross-entropy" in text
    assert "tanh" not in text
    assert "action_low" not in format_card(soft).replace("(`action_low`, `action_high`)", "")
    monkeypatch.chdir(tmp_path / "x")
    space: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], space)
    assert space["policy"](OBSERVATIONS[:7]).shape == (7,)
