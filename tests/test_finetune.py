"""Fine-tuning of a student by TD3: its start, its constraint, its warm-up, the command, and what is refused."""

import dataclasses
import json
import signal
import sys
from typing import Any

import numpy as np
import pytest
from test_cli import refused

import potstill
from potstill.cli import main
from potstill.data.bounds import DiscreteActions
from potstill.errors import PotstillError
from potstill.finetuning import FineTuning, copy_policy, make_agent
from potstill.finetuning.curve import compute_area
from potstill.runtime import storage

RECIPE = dataclasses.replace(potstill.RECIPES["pytorch"], steps=60, width=16)
WORDS = ("--recipe.width", "16", "--recipe.steps", "60", "--batch", "8", "--episodes", "1")
SHORT = FineTuning(steps=60, warmup=30, constraint=1.0, fade=20, batch=8)
ENV = "Pendulum-v1"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def td3():
    return pytest.importorskip("stable_baselines3", reason="needs the extra 'collect'")


@pytest.fixture
def distillate():
    """Pairs for Pendulum, with an odd scaling of the states and weights."""
    rng = np.random.default_rng(0)
    states = rng.uniform([-1, -1, -8], [1, 1, 8], (12, 3)).astype(np.float32)
    mean, scale = np.array([0.1, -0.2, 1.0]), np.array([0.5, 0.7, 4.0])
    bounds = potstill.ActionBounds(np.array([-2.0]), np.array([2.0]))
    scaling = potstill.Scaling(potstill.Normaliser(mean, scale), bounds)
    bundled = potstill.load("hopper-medium-replay").metadata
    kept = {key: bundled[key] for key in ("objective", "solver", "recipe", "potstill")}
    metadata = {**kept, "env_id": ENV, "dataset": {"name": "made up"}}
    return potstill.Distillate(states, 1.8 * np.tanh(states[:, :1]), scaling, metadata, np.linspace(0.5, 1.5, 12))


@pytest.fixture
def path(distillate, tmp_path):
    return distillate.save(tmp_path / "pairs.safetensors")


def draw_states():
    return np.random.default_rng(1).uniform([-1, -1, -8], [1, 1, 8], (50, 3))


@pytest.mark.usefixtures("td3")
def test_the_actor_starts_as_the_student(distillate):
    student = distillate.train_student(3, RECIPE)
    agent = make_agent(student, distillate, ENV, SHORT)
    states, wanted = draw_states(), student(draw_states())
    seen = student.normaliser(states).astype(np.float32)
    np.testing.assert_allclose(agent.predict(seen, deterministic=True)[0], wanted, atol=1e-5)
    np.testing.assert_allclose(copy_policy(agent, student.scaling)(states), wanted, atol=1e-5)
    first = agent.get_env().reset()[0]
    angle, speed = agent.get_env().envs[0].unwrapped.state
    wanted = student.normaliser(np.array([np.cos(angle), np.sin(angle), speed]))
    np.testing.assert_allclose(first, wanted, atol=1e-5)


@pytest.mark.usefixtures("td3")
def test_only_critics_are_trained_in_the_warm_up(distillate):
    student = distillate.train_student(0, RECIPE)
    agent = make_agent(student, distillate, ENV, SHORT)
    critic = agent.critic.state_dict()["qf0.0.weight"].clone()
    agent.learn(SHORT.warmup)
    assert not np.allclose(agent.critic.state_dict()["qf0.0.weight"], critic)
    states = draw_states()
    np.testing.assert_allclose(copy_policy(agent, student.scaling)(states), student(states), atol=1e-5)
    agent.learn(10, reset_num_timesteps=False)
    assert not np.allclose(copy_policy(agent, student.scaling)(states), student(states), atol=1e-4)


@pytest.mark.usefixtures("td3")
def test_the_distance_by_hand(distillate):
    student = distillate.train_student(0, RECIPE)
    agent = make_agent(student, distillate, ENV, SHORT)
    apart = (student(distillate.states) - distillate.actions)[:, 0] / 2.0  # in units of [−1, 1]
    wanted = np.average(apart**2, weights=distillate.weights)
    np.testing.assert_allclose(float(agent.compute_distance().detach()), wanted, rtol=1e-3)


@pytest.mark.usefixtures("td3")
def test_the_constraint_holds_the_actor_and_fades(distillate):
    """From a new network, the constraint leads to the actions of the pairs; without it, nothing does."""
    start = distillate.train_student(0, dataclasses.replace(RECIPE, steps=0))
    found = {}
    for weight in (0.0, 1e4):
        held = FineTuning(steps=250, warmup=20, constraint=weight, fade=100_000, batch=8, actor_learning_rate=3e-3)
        agent = make_agent(start, distillate, ENV, held)
        agent.learn(held.steps)
        found[weight] = float(agent.compute_distance().detach())
    assert found[1e4] < 0.2 * found[0.0]
    ends = [SHORT.compute_constraint(step) for step in (0, 30, 40, 50, 60)]
    assert ends == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert FineTuning(steps=130, warmup=30, constraint=3.0).compute_constraint(130) == pytest.approx(1.0)  # a third


@pytest.mark.usefixtures("td3")
def test_the_prior_holds_the_actor_in_replayed_states(distillate):
    """It may standardise states otherwise. The pairs hardly count here: their states are far from the replayed ones."""
    import torch

    student, start = distillate.train_student(1, RECIPE), distillate.train_student(0, RECIPE)
    other = dataclasses.replace(start, scaling=potstill.Scaling(potstill.Normaliser.identity(3), start.action_bounds))
    states = draw_states()
    seen = torch.as_tensor(np.asarray(other.normaliser(states), np.float32))
    wanted, found = student.compute_unit_actions(states), {}
    for weight in (0.0, 1e4):
        held = FineTuning(steps=150, warmup=20, constraint=weight, fade=100_000, batch=8, actor_learning_rate=1e-2)
        agent = make_agent(other, distillate, ENV, held, prior=student)
        np.testing.assert_allclose(agent.prior(seen), wanted, atol=1e-5)
        agent.learn(held.steps)
        replayed = agent.replay_buffer.observations[:150, 0]
        unit = student.compute_unit_actions(replayed)
        found[weight] = np.square(copy_policy(agent, other.scaling).compute_unit_actions(replayed) - unit).mean()
    assert found[1e4] < 0.3 * found[0.0]


@pytest.mark.usefixtures("td3")
def test_the_same_seed_gives_the_same_policy(path, tmp_path):
    words = ["finetune", str(path), "--env-steps", "30", "--warmup", "20", *WORDS, "--evaluate-every", "30"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main([*words, "--seed", seed, "--out", name]) == 0
    policies = [(tmp_path / name / "policy.safetensors").read_bytes() for name in "abc"]
    assert policies[0] == policies[1] != policies[2]


@pytest.mark.usefixtures("td3")
def test_the_command(path, tmp_path, capsys):
    words = ["finetune", str(path), "--env-steps", "50", "--warmup", "20", "--update-every", "2", *WORDS]
    assert main([*words, "--evaluate-every", "20", "--out", "run"]) == 0
    assert "steps" in capsys.readouterr().out
    run = potstill.Run("run")
    assert [line["steps"] for line in run.metrics] == [0, 20, 40, 50]
    result = run.result
    assert [entry["steps"] for entry in result["history"]] == [0, 20, 40, 50]
    assert result["teacher"] is None
    assert result["steps_to_teacher"] is None
    returns = [entry["mean"] for entry in result["history"]]
    assert result["area"] == pytest.approx(compute_area([0, 20, 40, 50], returns))
    assert (tmp_path / "run" / "learning_curve.png").exists()
    arrays, metadata = storage.load(tmp_path / "run" / "policy.safetensors", "policy")
    assert (metadata["env_id"], metadata["steps"], metadata["start"]) == (ENV, 50, "student")
    assert len(arrays["layers.0.bias"]) == 16
    potstill.export_policy("run", "policy.py")
    options: dict[str, Any] = {
        "constraint": 0.0,
        "env_steps": 20,
        "warmup": 20,
        "batch": 8,
        "episodes": 1,
        "evaluate_every": 20,
    }
    again = potstill.finetune(path, start="run", out="again", **options)
    first, second = (potstill.load_policy(f"{name}/policy.safetensors") for name in ("run", "again"))
    np.testing.assert_allclose(second(draw_states()), first(draw_states()), atol=1e-5)
    assert again.result.first.raw_mean == pytest.approx(result["last"]["raw_mean"], rel=1e-4)


@pytest.mark.usefixtures("td3")
def test_from_scratch_there_are_random_actions_and_no_constraint(path):
    options: dict[str, Any] = {
        "recipe": RECIPE,
        "env_steps": 30,
        "warmup": 20,
        "batch": 8,
        "episodes": 1,
        "evaluate_every": 30,
    }
    words = ["finetune", str(path), "--env-steps", "30", "--warmup", "20", *WORDS, "--evaluate-every", "30"]
    assert main([*words, "--start", "scratch", "--out", "run"]) == 0
    run = potstill.Run("run")
    assert {line["constraint"] for line in run.metrics} == {0.0}
    assert run.result.updates == 10
    assert run.result.start == "scratch"
    assert potstill.finetune(path, out="other", **options).result.updates == 30


@pytest.mark.usefixtures("td3")
def test_an_interruption_keeps_curve_and_policy(path, tmp_path, monkeypatch, capsys):
    from potstill.commands.finetuning_job import FineTuningJob

    evaluate = FineTuningJob._evaluate

    def interrupt(job, tracker):
        evaluate(job, tracker)
        if job.done == 20:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(FineTuningJob, "_evaluate", interrupt)
    words = ["finetune", str(path), "--env-steps", "60", "--warmup", "10", *WORDS, "--evaluate-every", "20"]
    assert main([*words, "--out", "run"]) == 130
    said = capsys.readouterr().err
    assert "stopped after 20 of 60 steps" in said
    assert "--env-steps 60" in said
    assert "--out run --force; or start from the policy: --start run/policy.safetensors" in said
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["steps"] for line in lines] == [0, 20]
    assert not (tmp_path / "run" / "result.json").exists()
    potstill.load_policy(tmp_path / "run" / "policy.safetensors")


def test_without_stable_baselines(path, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    line = refused(capsys, "finetune", path, "--out", "run")
    assert line == "potstill: stable-baselines3 is not installed: pip install 'potstill[collect]'"
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("td3")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--env-steps", "-5"], ["--env-steps -5", "at least 1"]),
        (["--env-steps", "0"], ["--env-steps 0", "at least 1"]),
        (["--warmup", "-1"], ["--warmup -1", "at least 0"]),
        (["--constraint", "-1"], ["--constraint -1", "at least 0"]),
        (["--constraint", "nan"], ["--constraint nan"]),
        (["--learning-rate", "inf"], ["--learning-rate inf"]),
        (["--discount", "1"], ["--discount 1", "(0, 1)"]),
        (["--fade", "0"], ["--fade 0", "at least 1"]),
        (["--env-id", "Hopper-v5"], ["3 observations columns", "Hopper-v5 has 11"]),
        (["--env-id", "CartPole-v1"], ["3 observations columns", "CartPole-v1 has 4"]),
        (["--env-id", "Pendulm-v1"], ["unknown environment", "Pendulum"]),
        (["--recipe", "default"], ["16 towers", "pytorch"]),
        (["--start", "teacher"], ["made without a teacher"]),
        (["--start", "studnt"], ["studnt", "no such run folder or file"]),
        (["--start", "pairs.safetensors"], ["--start pairs.safetensors", "a policy or teacher"]),
        (["--track", "nothing"], ["unknown tracker"]),
    ],
)
def test_bad_input_gets_one_line(path, capsys, tmp_path, words, said):
    line = refused(capsys, "finetune", path, *words, "--out", "run")
    assert all(part in line for part in said), line
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("td3")
def test_distillates_that_cannot_be_tuned(distillate, tmp_path):
    discrete = potstill.Scaling(distillate.normaliser, DiscreteActions(2))
    actions = np.full((12, 2), 0.5, np.float32)
    finite = dataclasses.replace(distillate, actions=actions, scaling=discrete, weights=None)
    nowhere = dataclasses.replace(distillate, metadata={**distillate.metadata, "env_id": None})
    for bad, words in ((finite, "discrete actions: TD3 needs continuous"), (nowhere, "name one with env_id=")):
        file = bad.save(tmp_path / "bad.safetensors")
        with pytest.raises(PotstillError, match=words):
            potstill.finetune(file, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for policy, words in (
        (distillate.train_student(0, dataclasses.replace(RECIPE, towers=2)), "has towers"),
        (distillate.train_student(0, dataclasses.replace(RECIPE, residual=True)), "a skip connection"),
    ):
        with pytest.raises(PotstillError, match=words):
            make_agent(policy, distillate, ENV, SHORT)
    student = distillate.train_student(0, RECIPE)
    with pytest.raises(PotstillError, match="3 state and 1 action components, but Hopper-v5 has 11 and 3"):
        make_agent(student, distillate, "Hopper-v5", SHORT)


def test_a_curve_by_hand():
    assert compute_area([0, 10, 30], [0.0, 60.0, 60.0]) == 50.0
    with pytest.raises(PotstillError, match="2 steps and 1 returns"):
        compute_area([0, 1], [2.0])
