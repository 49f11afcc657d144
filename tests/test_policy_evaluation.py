"""Fine-tuned policies in other commands, their observations, and settings of fine-tuning that cannot work."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict
from reach import Reach
from test_cli import refused
from test_finetune import ENV, RECIPE, WORDS, distillate, elsewhere, path, td3  # noqa: F401 (fixtures)

import potstill
from potstill.cli import main
from potstill.commands.policy_evaluation import find_policy_file
from potstill.environments.observations import ObservationRule
from potstill.errors import PotstillError
from potstill.evaluation.scores import measure_policy_returns
from potstill.finetuning import FineTuning, make_agent
from potstill.runtime import storage

SHORT: dict[str, Any] = {"recipe": RECIPE, "env_steps": 4, "warmup": 2, "batch": 4, "episodes": 1, "evaluate_every": 4}
RULE = ObservationRule.of({"speed": ((1,), "float32"), "goal": ((2,), "float32")})  # no alphabetical order


class Apart(Reach):
    observation_space = Dict(speed=Box(-9, 9, (1,)), goal=Box(-1, 1, (2,)))

    def observe(self):
        return {"goal": np.array([0.5, 0.6], np.float32), "speed": np.array([self.speed], np.float32)}


gymnasium.register("ApartTest-v0", lambda **_: Apart(), max_episode_steps=8)


@pytest.fixture
def saved(distillate, tmp_path):  # noqa: F811
    """The policy of a student, as ``finetune`` saves it."""
    policy = distillate.train_student(0, RECIPE)
    metadata = {"env_id": ENV, "reference": {"random": -1500.0, "expert": -100.0, "source": "us"}}
    (tmp_path / "run").mkdir()
    policy.save(tmp_path / "run" / "policy.safetensors", metadata)
    return policy


def test_a_saved_policy_is_evaluated(saved, tmp_path, capsys):
    returns = measure_policy_returns(saved, ENV, 3, seed=2)
    assert main(["evaluate", "run", "--episodes", "3", "--seed", "2", "--out", "found"]) == 0
    result = potstill.Run("found").result
    assert result.policy.raw_mean == pytest.approx(returns.mean())
    assert result.policy.mean == pytest.approx(100 * (returns.mean() + 1500) / 1400)
    assert f"normalised return {result.policy.mean:.1f}" in capsys.readouterr().out
    again = potstill.evaluate("run/policy.safetensors", episodes=3, seed=2, out="again")
    assert again.result.policy == result.policy
    assert find_policy_file("run") == find_policy_file("run/policy.safetensors") == Path("run/policy.safetensors")
    assert find_policy_file("hopper-medium-replay") is None
    assert "no scores of students" in refused(capsys, "report", "found", "--out", "page")
    assert refused(capsys, "evaluate", "run", "--out", "found").startswith("potstill: found exists")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--students 3", "is a policy, and no distillate: --students applies to students"),
        ("--recipe adam", "--recipe applies to students"),
        ("--video a.mp4", "--video applies to students"),
        ("--dataset hopper-medium-replay", "--dataset applies to students"),
        ("--world w", "--world applies to students"),
        ("--task 0", "--task applies to students"),
        ("--env-id none", "name one with --env-id"),
        ("--env-id Hopper-v5", "3 observations columns, but Hopper-v5 has 11"),
        ("--env-id Pendulm-v1", "unknown environment"),
        ("--encoder random-conv", "no features of images"),
    ],
)
@pytest.mark.usefixtures("saved")
def test_what_a_policy_has_no_use_for_gets_one_line(words, message, capsys, tmp_path):
    assert message in refused(capsys, "evaluate", "run", *words.split(), "--out", "found")
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "name one with env_id="),
        ({"env_id": 3}, "name one with env_id="),
        ({"env_id": "evil:Pendulum-v9"}, "imported only if you name it yourself"),
        ({"env_id": ENV, "observation_rule": 3}, "the stored rule of observations is damaged"),
        ({"env_id": "Reacher-v5", "observation_rule": RULE.to_json()}, "have no 'speed' as the data have"),
        ({"env_id": ENV, "reference": {"a": 1}}, "invalid reference"),
        ({"env_id": ENV, "reference": [1]}, "invalid reference"),
    ],
)
def test_files_of_policies_are_not_trusted(saved, metadata, message, tmp_path):
    saved.save(tmp_path / "bad.safetensors", metadata)
    with pytest.raises(PotstillError, match=message):
        potstill.evaluate("bad.safetensors", episodes=1, out="run2")
    assert not (tmp_path / "run2").exists()


@pytest.mark.usefixtures("td3")
def test_fine_tuning_sees_observations_by_the_rule_of_the_pairs(distillate, tmp_path):  # noqa: F811
    bounds = potstill.ActionBounds.unit(1)
    scaling = potstill.Scaling(distillate.normaliser, bounds)
    metadata = {**distillate.metadata, "env_id": "ApartTest-v0", "observation_rule": RULE.to_json()}
    actions = np.clip(distillate.actions, -1, 1)
    pairs = dataclasses.replace(distillate, actions=actions, scaling=scaling, metadata=metadata)
    agent = make_agent(pairs.train_student(0, RECIPE), pairs, "ApartTest-v0", FineTuning(steps=4, batch=4))
    seen = pairs.normaliser.invert(agent.get_env().reset()[0])
    np.testing.assert_allclose(seen, [0.0, 0.5, 0.6], atol=1e-5)
    run = potstill.finetune(pairs.save(tmp_path / "pairs.safetensors"), **SHORT, out="run")
    stored = storage.load(tmp_path / "run" / "policy.safetensors", "policy")[1]
    assert stored["observation_rule"] == RULE.to_json()
    again = potstill.evaluate("run", episodes=1, out="found").result
    assert again.policy.raw_mean == pytest.approx(run.result.last.raw_mean, rel=1e-5)
    exported = potstill.export_policy("run", "tuned.py").read_text()
    assert "speed (1) + goal (2): 3 numbers" in exported
    assert "ApartTest-v0" in exported


@pytest.mark.usefixtures("td3")
def test_no_more_steps_than_asked_for(path, capsys):  # noqa: F811
    words = ["finetune", str(path), "--env-steps", "10", "--warmup", "12", *WORDS, "--update-every", "7"]
    assert main([*words, "--evaluate-every", "5", "--out", "run"]) == 0
    assert [line["steps"] for line in potstill.Run("run").metrics] == [0, 5, 10]
    assert potstill.Run("run").result.steps == 10
    assert "--warmup 12: only critics are trained, in all of 10 steps" in capsys.readouterr().out


@pytest.mark.usefixtures("td3")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--threads 1000000000", "--threads 1e+09: expected at most 1024"),
        ("--noise 1e300", "--noise 1e+300: expected at most 10"),
        ("--critic-width 1000000000", "--critic-width 1e+09: expected at most 8192"),
        ("--env-steps 1000000000000", "--env-steps 1000000000000: expected at most 2147483647"),
    ],
)
def test_settings_that_end_the_process_are_refused(path, words, message, capsys, tmp_path):  # noqa: F811
    line = refused(capsys, "finetune", path, *WORDS, *words.split(), "--out", "run")
    assert message in line
    assert not (tmp_path / "run").exists()
