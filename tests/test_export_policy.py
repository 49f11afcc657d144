"""Exported policies act as the students, ensembles and teachers that they were made of, in every format."""

import ctypes
import importlib.util
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conftest import random_teacher

import potstill
from potstill.cli import main
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.exports.policies import POLICY_FORMATS, ExportedPolicy
from potstill.networks.policy import Policy, Residual, Towers
from potstill.runtime.files import hash_file
from potstill.runtime.storage import load
from potstill.students import Recipe, Students
from potstill.teachers.base import NetworkTeacher

RNG = np.random.default_rng(0)
STATES, ACTIONS = 5, 2
SCALING = Scaling(
    Normaliser(RNG.normal(size=STATES), RNG.uniform(0.5, 2.0, STATES)),
    ActionBounds(np.array([-1, 0], np.float32), np.array([2, 30], np.float32)),
)
OBSERVATIONS = RNG.normal(size=(50, STATES)).astype(np.float32)
COMPILER = shutil.which("cc")


def random_layers(*lead, sizes=(STATES, 8, 8, 8, ACTIONS)):
    draw = lambda *shape: RNG.normal(size=(*lead, *shape)).astype(np.float32)  # noqa: E731
    return [{"weight": draw(a, b) * a**-0.5, "bias": draw(b)} for a, b in itertools.pairwise(sizes)]


LINEAR = Policy(random_layers(sizes=(STATES, ACTIONS)), SCALING)
POLICIES: dict[str, Policy | Students] = {
    "plain": Policy(random_layers(), SCALING),
    "linear": LINEAR,
    "towers": Policy(Towers(random_layers(3)), SCALING),
    "residual": Policy(Residual(random_layers(sizes=(STATES, 8, 8, ACTIONS))), SCALING),
    "gaussian": Policy(random_layers(sizes=(STATES, 7, 2 * ACTIONS)), SCALING, "tanh_gaussian"),
    "students": Students(random_layers(4), SCALING),
    "students with towers": Students(Towers(random_layers(4, 3)), SCALING),
    "residual students": Students(Residual(random_layers(4)), SCALING),
}


def run_onnx(path):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    actions = session.run(["action"], {"observation": OBSERVATIONS})[0]
    return actions, {name: json.loads(text) for name, text in facts.items()}


def run_c(path):
    if COMPILER is None:
        pytest.skip("needs a C compiler")
    source, library = path.with_suffix(".c"), path.with_suffix(".so")
    source.write_text(
        f'#include "{path.name}"\n'
        "void run(const float *o, float *a, int n)\n"
        f"{{ for (int i = 0; i < n; i++) my_policy_act(o + i * {STATES}, a + i * {ACTIONS}); }}\n"
    )
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]
    subprocess.run([COMPILER, *strict, "-shared", "-fPIC", source, "-o", library, "-lm"], check=True)
    actions = np.empty((len(OBSERVATIONS), ACTIONS), np.float32)
    pointers = (array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for array in (OBSERVATIONS, actions))
    ctypes.CDLL(str(library)).run(*pointers, len(OBSERVATIONS))
    lines = (line[3:].split(": ", 1) for line in path.read_text().splitlines() if line.startswith(" * "))
    facts = {line[0]: line[1].replace("* /", "*/") for line in lines if len(line) == 2 and line[0].islower()}
    return actions, {name: json.loads(text) for name, text in facts.items() if name.isidentifier()}


def import_exported(path):
    """Import a policy that was exported as a NumPy module."""
    spec = importlib.util.spec_from_file_location("exported", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_numpy(path):
    module = import_exported(path)
    one = module.act(OBSERVATIONS[0])
    assert one.shape == (ACTIONS,)
    with pytest.raises(ValueError, match=f"expected {STATES} components"):
        module.act(OBSERVATIONS[:, 1:])
    actions = module.act(OBSERVATIONS)
    np.testing.assert_allclose(actions[0], one, rtol=1e-5)
    return actions, module.METADATA


def run_torch(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    weights = load_file(path)
    layers = []
    for i in range(0, len(weights), 2):
        outputs, inputs = weights[f"{i}.weight"].shape
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1], torch.nn.Tanh())
    network.load_state_dict(weights)
    with torch.no_grad():
        unit = network(torch.from_numpy(OBSERVATIONS)).numpy()
    return SCALING.action_bounds.from_unit(unit), load(path, "torch policy")[1]


RUNNERS = {"onnx": run_onnx, "c": run_c, "numpy": run_numpy, "torch": run_torch}


@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("name", POLICY_FORMATS)
def test_actions_are_those_of_the_policy(tmp_path, name, kind):
    policy, form = POLICIES[kind], POLICY_FORMATS[name]
    if form.package:
        pytest.importorskip(form.package)
    path = tmp_path / f"my-policy{form.suffixes[0]}"
    if isinstance(policy, Students) and not form.averages:
        with pytest.raises(potstill.PotstillError, match="the mean action of 4 policies cannot"):
            potstill.export_policy(policy, path)
        return
    assert potstill.export_policy(policy, path) == path
    before = path.read_bytes()
    with pytest.raises(potstill.PotstillError, match=r"exists: .*force=True"):
        potstill.export_policy(policy, path, name)
    assert potstill.export_policy(policy, path, name, force=True).read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    actions, facts = RUNNERS[name](path)
    expected = policy.act_as_ensemble(OBSERVATIONS) if isinstance(policy, Students) else policy(OBSERVATIONS)
    half = (SCALING.action_bounds.high - SCALING.action_bounds.low) / 2
    np.testing.assert_allclose(actions / half, expected / half, atol=1e-5)
    assert (facts["observation_size"], facts["action_size"]) == (STATES, ACTIONS)
    assert facts["action_high"] == [2.0, 30.0]
    np.testing.assert_allclose(facts["state_mean"], SCALING.normaliser.mean, rtol=1e-6)
    assert facts["potstill"] == potstill.__version__


@pytest.fixture(scope="module")
def distillate():
    """The bundled distillate with small, briefly trained students and a name that could end a comment in C."""
    bundled = potstill.load("hopper-medium-replay")
    student = Recipe(steps=2, width=8, layers=3, towers=2).to_metadata()
    dataset = bundled.metadata["dataset"] | {"name": 'a*/b"""\\'}
    return replace(bundled, metadata=bundled.metadata | {"student": student, "dataset": dataset})


def test_students_are_trained_with_the_recipe_of_the_distillate(tmp_path, distillate):
    file = distillate.save(tmp_path / "pairs.safetensors")
    states = distillate.states[:20]
    cases: list[tuple[dict[str, Any], Any, str]] = [
        ({}, distillate.train_student(0), "student with seed 0"),
        ({"student": 3}, distillate.train_student(3), "student with seed 3"),
        (
            {"average": 2},
            distillate.train_students([0, 1]).act_as_ensemble,
            "mean action of 2 students with seeds 0 to 1",
        ),
    ]
    for options, policy, words in cases:
        path = potstill.export_policy(file, tmp_path / "policy.py", force=True, **options)
        module: dict[str, Any] = {}
        exec(path.read_text(), module)
        np.testing.assert_allclose(module["act"](states), policy(states), atol=1e-5)
        facts = module["METADATA"]
        assert facts["policy"] == words
        assert facts["distillate_sha256"] == hash_file(file)
        assert facts["dataset"] == 'a*/b"""\\'
        assert facts["dataset_sha256"] == distillate.metadata["dataset"]["sha256"]
        assert facts["env_id"] == "Hopper-v5"
        assert facts["recipe"] == distillate.recipe.to_metadata()


def test_names_cannot_end_a_comment(tmp_path, distillate):
    header = potstill.export_policy(distillate, tmp_path / "policy.h").read_text()
    comment, _, code = header.partition("*/")
    assert "a* /b" in comment
    assert code.startswith("\n#ifndef POLICY_POLICY_H\n")


def test_teachers_are_exported(tmp_path):
    teacher = random_teacher(STATES, ACTIONS)
    folder = tmp_path / "run"
    teacher.save(folder / "teacher.safetensors")
    for source in (teacher, folder, folder / "teacher.safetensors"):
        module: dict[str, Any] = {}
        exec(potstill.export_policy(source, tmp_path / "t.py", teacher=True, force=True).read_text(), module)
        np.testing.assert_allclose(module["act"](OBSERVATIONS), teacher.policy(OBSERVATIONS), atol=1e-5)
        assert module["METADATA"]["teacher_sha256"] == teacher.content_hash
    assert isinstance(teacher, NetworkTeacher)


def test_the_teacher_of_a_distillate_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = potstill.load("hopper-medium-replay").save(tmp_path / "run" / "distillate.safetensors")
    facts = run_metadata(potstill.export_policy("run", "t.py", teacher=True))
    assert facts["policy"] == "teacher, rebrac"
    other = replace(potstill.load(file), metadata=potstill.load(file).metadata | {"settings": {}})
    other.save(file)
    with pytest.raises(potstill.PotstillError, match="run: its teacher, rebrac, was not found: pass its path"):
        potstill.export_policy("run", "u.py", teacher=True)


def run_metadata(path):
    module: dict[str, Any] = {}
    exec(path.read_text(), module)
    return module["METADATA"]


def test_actors_of_stable_baselines3_load_the_weights(tmp_path):
    pytest.importorskip("stable_baselines3")
    from gymnasium.spaces import Box
    from safetensors.torch import load_file
    from stable_baselines3.td3.policies import TD3Policy

    bounds = SCALING.action_bounds
    spaces = Box(-np.inf, np.inf, (STATES,)), Box(bounds.low, bounds.high)
    policy = POLICIES["plain"]
    assert isinstance(policy, Policy)
    actor = TD3Policy(*spaces, lambda _: 1e-3, net_arch=[8, 8, 8])
    weights = load_file(potstill.export_policy(policy, tmp_path / "policy.safetensors"))
    actor.actor.mu.load_state_dict(weights)
    actions, _ = actor.predict(OBSERVATIONS, deterministic=True)
    np.testing.assert_allclose(actions, policy(OBSERVATIONS), atol=1e-4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none", "x.h"], "none: no such run folder or file"),
        ([".", "x.h"], ".: no distillate and no teacher in this folder"),
        (["hopper-medium-replay", "x.pt"], "x.pt: no policy format has the suffix '.pt': use one of .onnx, .h, .py"),
        (["hopper-medium-replay", "x", "--format", "onyx"], "unknown policy format 'onyx': did you mean 'onnx'"),
        (["hopper-medium-replay", "x.onnx"], "onnx is not installed: pip install 'potstill[onnx]'"),
        (["hopper-medium-replay", "x.h", "--student", "1", "--teacher"], "--student and --teacher cannot be combined"),
        (["hopper-medium-replay", "x.h", "--student", "-1"], "--student -1: expected at least 0"),
        (["hopper-medium-replay", "x.h", "--average", "0"], "--average 0: expected at least 1"),
        (
            ["hopper-medium-replay", "x.safetensors", "--average", "2"],
            "the mean action of 2 policies cannot be written",
        ),
        (["p.safetensors", "x.h", "--student", "1"], "p.safetensors: not a distillate, so there are no students"),
        (["p.safetensors", "x.h", "--teacher"], "p.safetensors: expected a distillate, found policy"),
        (
            ["p.safetensors", "x.onnx", "--format", "c"],
            "the suffix '.onnx' is that of onnx, not of c",
        ),
        (["p.safetensors", "p.safetensors"], "p.safetensors exists: choose another path, or --force"),
    ],
)
def test_bad_input_gets_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    before = LINEAR.save("p.safetensors").read_bytes()
    assert main(["export-policy", *words]) == 2
    line = capsys.readouterr().err
    assert line.startswith("potstill: ")
    assert line.count("\n") == 1
    assert message in line
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_the_command_line_exports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = LINEAR.save("p.safetensors")
    assert main(["export-policy", str(file), "p.py"]) == 0
    assert capsys.readouterr().out == "p.py\n"
    assert potstill.export_policy(file, "q.py").read_bytes() == (tmp_path / "p.py").read_bytes()
    main(["export-policy", "--help"])
    assert ", ".join(POLICY_FORMATS) in capsys.readouterr().out


def test_students_that_diverged_are_refused(tmp_path):
    layers = random_layers()
    layers[1]["weight"][0, 0] = np.nan
    with pytest.raises(potstill.PotstillError, match="the weights of the policy are not finite"):
        potstill.export_policy(Policy(layers, SCALING), tmp_path / "x.h")
    assert list(tmp_path.iterdir()) == []


def test_layers_that_do_not_fit_are_refused(unchecked):
    layer = {"weight": np.ones((1, 1, 5, 1)), "bias": np.zeros((1, 1, 1))}
    for layers, words in (
        ([], "expected a list of layers"),
        ([layer], r"has shape \(1, 1, 5, 1\), expected \(1, 1, 2, 1"),
    ):
        with pytest.raises(potstill.PotstillError, match=rf"^ExportedPolicy\.layers.* {words}"):
            ExportedPolicy(layers, Scaling.identity(2, 1))
