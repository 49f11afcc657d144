"""`potstill collect`: levels, parallel environments, interruptions, formats, and any box environment."""

import json
import sys
from contextlib import contextmanager

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

import potstill
from potstill import environments
from potstill.collection import output, rollout
from potstill.collection.episodes import Episode, Recording
from potstill.collection.levels import CollectionPlan, Goal, make_plan
from potstill.collection.rollout import make_uniform_behaviour, play_episodes
from potstill.collection.sac import SacSettings
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.networks.policy import Policy


class Walk(gymnasium.Env):
    """A walk of 2 × 3 numbers. The reward is the action; an episode terminates when the first number exceeds 2."""

    observation_space = Box(-np.inf, np.inf, (2, 3))
    action_space = Box(-2.0, 3.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, (2, 3)).astype(np.float32)
        return self.place, {}

    def step(self, action):
        self.place = self.place + np.arange(6, dtype=np.float32).reshape(2, 3) * np.float32(action[0])
        self.place[0, 0] += abs(action[0])
        return self.place, float(action[0]), bool(self.place[0, 0] > 2.0), False, {}


class Named(Walk):
    observation_space = Dict(place=Box(-1, 1, (2,)), mode=Discrete(2))  # type: ignore[assignment]


gymnasium.register("Walk-v0", f"{__name__}:Walk", max_episode_steps=7)
gymnasium.register("Named-v0", f"{__name__}:Named")


def collected(tmp_path, env_id="Walk-v0", name="run", **options):
    return potstill.collect(env_id, **{"steps": 60, "out": tmp_path / name, **options})


def read(run, name="dataset.hdf5"):
    return potstill.load_dataset(run / name)


def card_of(run):
    return json.loads((run / "card.json").read_text())


def constant_policy(size=6, actions=1, value=0.4):
    layer = {"weight": np.zeros((size, actions), np.float32), "bias": np.full(actions, np.arctanh(value), np.float32)}
    bounds = ActionBounds(np.full(actions, -2.0, np.float32), np.full(actions, 3.0, np.float32))
    return Policy([layer], Scaling(Normaliser.identity(size), bounds))


@pytest.mark.parametrize(("env_id", "lanes"), [("Walk-v0", 4), ("Hopper-v5", 3), ("Pendulum-v1", 2)])
def test_rollouts_do_not_depend_on_the_number_of_environments(tmp_path, env_id, lanes):
    steps = 210 if env_id == "Pendulum-v1" else 90
    one, many = (collected(tmp_path, env_id, str(n), level="random", environments=n, steps=steps) for n in (1, lanes))
    assert read(one).content_hash == read(many).content_hash
    other = collected(tmp_path, env_id, "other", level="random", steps=steps, seed=1)
    assert read(one).content_hash != read(other).content_hash


def test_an_episode_depends_only_on_seed_and_number():
    whole = play_episodes("Walk-v0", make_uniform_behaviour("Walk-v0"), seed=3)
    episodes = [next(whole) for _ in range(5)]
    later = next(play_episodes("Walk-v0", make_uniform_behaviour("Walk-v0"), seed=3, first=4, lanes=2))
    np.testing.assert_array_equal(episodes[4].observations, later.observations)
    assert len({episode.observations[0, 0].item() for episode in episodes}) == 5
    for episode in episodes:
        assert episode.ended
        assert episode.truncated == (len(episode) == 7 and not episode.terminated)
        np.testing.assert_array_equal(episode.actions[:, 0], episode.rewards)


def test_observations_are_flattened_row_by_row_everywhere(tmp_path):
    path = constant_policy().save(tmp_path / "p.safetensors")
    run = collected(tmp_path, policy=path, steps=30)
    data = read(run)
    step = (data.next_observations - data.observations)[~data.terminations]
    np.testing.assert_allclose(step[:, 1:], 1.5 * np.tile(np.arange(1, 6), (len(step), 1)), rtol=1e-3)
    seen = card_of(run)["observations"]
    assert seen["shape"] == [2, 3]
    assert "C order" in seen["flattened"]
    assert "(2, 3) are flattened row by row" in (run / "README.md").read_text()
    assert environments.make("Walk-v0").observation_space.shape == (6,)


@pytest.mark.parametrize("env_id", ["Ant-v5", "Swimmer-v5", "Pendulum-v1"])
def test_other_environments(tmp_path, env_id):
    run = collected(tmp_path, env_id, level="random", steps=40)
    with gymnasium.make(env_id) as env:
        assert (read(run).state_size,) == env.observation_space.shape
        assert (read(run).action_size,) == env.action_space.shape
    assert ("scores" in card_of(run)) == (env_id != "Pendulum-v1")
    assert ("expert" in card_of(run)["reference"]) == (env_id != "Pendulum-v1")


def test_recording_columns_and_arrays_by_hand():
    """Columns in D4RL's layout and arrays of a checkpoint, for cut, terminated and truncated episodes."""

    def episode(steps, *ends):
        places = np.arange(2 * steps + 2, dtype=np.float32).reshape(-1, 2)
        return Episode(np.ones((steps, 1), np.float32), np.ones(steps, np.float32), places, *ends)

    recording = Recording()
    for part in (episode(3, False, False), episode(2, True, False), episode(2, False, True), episode(2, True, False)):
        recording.add(part)
    head = recording.take_first(8)
    assert head.rows == 8
    assert head.list_returns() == [2.0, 2.0]
    columns = head.to_columns()
    assert np.flatnonzero(columns["terminals"]).tolist() == [4]
    assert np.flatnonzero(columns["timeouts"]).tolist() == [2, 6]
    again = Recording.from_arrays(head.to_arrays(), source="x")
    for key, column in again.to_columns().items():
        np.testing.assert_array_equal(column, columns[key])
    with pytest.raises(PotstillError, match="x: the lengths of the episodes do not sum"):
        Recording.from_arrays({**head.to_arrays(), "rewards": np.ones(9, np.float32)}, source="x")


@contextmanager
def interruption(monkeypatch, target, name, calls):
    """Let the method ``name`` of ``target`` raise KeyboardInterrupt after the given number of calls."""
    right, count = getattr(target, name), iter(range(calls))

    def method(*args):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return right(*args)

    with monkeypatch.context() as patched:
        patched.setattr(target, name, method)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_interrupted_rollout_is_resumed(tmp_path, monkeypatch):
    options = {"level": "random", "steps": 80, "environments": 2}
    whole = collected(tmp_path, name="whole", **options)
    with interruption(monkeypatch, rollout.Recording, "add", 9):
        collected(tmp_path, **options)
    run = tmp_path / "run"
    assert not card_of(run)["complete"]
    assert 0 < len(read(run)) < 79
    with pytest.raises(PotstillError, match="has steps 80, not 90"):
        collected(tmp_path, **options | {"steps": 90}, resume=True)
    collected(tmp_path, **options, resume=True)
    assert (run / "dataset.hdf5").read_bytes() == (whole / "dataset.hdf5").read_bytes()
    assert {path.name for path in run.iterdir()} == {path.name for path in whole.path.iterdir()}
    notes = [[json.loads(x)["step"] for x in (r / "metrics.jsonl").read_text().splitlines()] for r in (whole, run)]
    assert notes[0] == notes[1]
    with pytest.raises(PotstillError, match="finished: there is nothing to resume"):
        collected(tmp_path, **options, resume=True)


def test_minari_and_d4rl_give_the_same_transitions(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "run"))
    options = {"level": "random", "steps": 150, "mantissa_bits": 14}
    rows = read(collected(tmp_path, "Hopper-v5", "hdf5", **options))
    run = collected(tmp_path, "Hopper-v5", format="minari", **options)
    found = potstill.load_dataset("minari:hopper-random-v0")
    assert len(found) == 150
    kept = slice(0, len(rows))  # there are no time-outs, so D4RL's rule drops only the last row
    for name in ("observations", "actions", "rewards", "terminations"):
        np.testing.assert_array_equal(getattr(found, name)[kept], getattr(rows, name))
    follows = ~rows.terminations  # after a termination, D4RL's next observation is meaningless
    np.testing.assert_array_equal(found.next_observations[kept][follows], rows.next_observations[follows])
    assert found.env_id == rows.env_id == "Hopper-v5"
    dataset = minari.load_dataset("hopper-random-v0")
    metadata = dataset.storage.metadata
    assert (metadata["ref_min_score"], metadata["ref_max_score"]) == (-20.272305, 3234.3)
    assert dataset.total_steps == 150
    assert "author" not in metadata
    assert metadata["potstill"] == card_of(run)
    assert sorted(path.name for path in run.path.iterdir() if path.is_dir()) == ["hopper-random-v0"]


def test_minari_of_flattened_observations(tmp_path):
    pytest.importorskip("minari")
    path = constant_policy(value=-0.1).save(tmp_path / "p.safetensors")  # some episodes terminate, some time out
    run = collected(tmp_path, policy=path, format="minari")
    data = read(run, "walk-policy-v0")
    assert (data.state_size, data.env_id) == (6, "Walk-v0")
    assert data.terminations.any()
    rows = read(collected(tmp_path, name="rows", policy=path))
    kept = ~data.truncations  # D4RL's rule drops time-outs and the last row, here of a cut episode
    assert 40 < kept.sum() < 59
    for name in ("observations", "actions", "rewards", "terminations"):
        np.testing.assert_array_equal(getattr(data, name)[kept], getattr(rows, name))
    assert np.all(data.action_bounds.low == -2.0)
    spec = json.loads((run / "walk-policy-v0" / "data" / "metadata.json").read_text())
    assert "ref_min_score" not in spec


def test_failed_writes_leave_nothing(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    right = output._iterate_minari_episodes

    def broken(*args):
        yield next(right(*args))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output, "_iterate_minari_episodes", broken)
    with pytest.raises(OSError, match="No space"):
        collected(tmp_path, level="random", steps=30, format="minari")
    assert [path.name for path in (tmp_path / "run").iterdir() if path.is_dir()] == []
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("env_id", "options", "words"),
    [
        ("Wlak-v0", {}, ["unknown environment 'Wlak-v0'", "did you mean 'Walk-v0'"]),
        ("Named-v0", {}, ["'mode' of its observations is Discrete(2)", "FlattenObservation"]),
        ("Walk-v0", {"level": "medum"}, ["unknown level 'medum'", "did you mean 'medium'"]),
        ("Walk-v0", {"level": "policy"}, ["unknown level 'policy'"]),
        ("Walk-v0", {"level": "medium"}, ["Walk-v0 has no reference returns", "medium_return="]),
        ("Walk-v0", {"level": "expert", "expert_score": 90.0}, ["no reference returns", "expert_return="]),
        ("Hopper-v5", {"level": "medium", "medium_score": 20.0, "medium_return": 1.0}, ["give one of them"]),
        (
            "Hopper-v5",
            {"level": "medium-expert", "expert_score": 20.0},
            ["the goal of the medium policy", "exceeds that of the expert"],
        ),
        ("Walk-v0", {"level": "medium-expert", "medium_return": 1.0, "expert_return": 0.0}, ["policy, 1, exceeds"]),
        ("Walk-v0", {"level": "medium-expert", "medium_return": 0.0, "expert_return": -1.0}, ["policy, 0, exceeds"]),
        ("Walk-v0", {"level": "random", "policy": "p.safetensors"}, ["level random does not use a given policy"]),
        ("Hopper-v5", {"policy": "p.safetensors"}, ["has 6 state components, but Hopper-v5 has 11"]),
        ("Walk-v0", {"policy": "two.safetensors"}, ["has 2 action components, but Walk-v0 has 1"]),
        ("Walk-v0", {"environments": 0}, ["environments 0", "at least 1"]),
        ("Walk-v0", {"resume": True, "out": None}, ["resume=True requires out="]),
        ("Walk-v0", {"level": "random", "out": "mine"}, ["not a potstill run folder"]),
    ],
)
def test_refused_input(tmp_path, monkeypatch, env_id, options, words):
    monkeypatch.chdir(tmp_path)
    constant_policy().save("p.safetensors")
    constant_policy(actions=2).save("two.safetensors")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PotstillError) as caught:
        collected(tmp_path, env_id, **options)
    assert all(word in str(caught.value) for word in words), caught.value
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("package", "options"), [("stable_baselines3", {}), ("minari", {"level": "random", "format": "minari"})]
)
def test_a_missing_extra(tmp_path, monkeypatch, package, options):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PotstillError, match=r"is not installed: pip install 'potstill\["):
        collected(tmp_path, **options)
    assert not (tmp_path / "run").exists()


def test_minari_data_in_a_relative_folder_are_reproduced(tmp_path, monkeypatch):
    """The default run folder is relative."""
    pytest.importorskip("minari")
    monkeypatch.chdir(tmp_path)
    run = potstill.collect("Pendulum-v1", level="random", steps=60, format="minari", out="run")
    again = potstill.reproduce(run, out="again")
    assert json.loads((again / "reproduced.json").read_text())["same"]


def plan(level, env_id="Hopper-v5", **options):
    return make_plan(level, env_id, steps=100, training_steps=1000, **options)


def test_the_plans_of_the_levels():
    medium = -20.272305 + (3234.3 + 20.272305) / 3  # a third of the expert's score
    assert plan(None) == CollectionPlan("replay", 100, {"policy": None})
    assert plan(None, policy_given=True) == CollectionPlan("policy", actors=("policy",))
    assert plan("random", "Walk-v0") == CollectionPlan("random", actors=("random",))
    assert plan("medium").goals["medium"] == pytest.approx(medium)
    assert plan("medium-replay", medium=Goal(raw_return=5.0)) == CollectionPlan("medium-replay", 100, {"medium": 5.0})
    both = plan("medium-expert", medium=Goal(raw_return=5.0))
    assert both == CollectionPlan("medium-expert", 1000, {"medium": 5.0, "expert": None}, ("medium", "expert"))
    assert plan("expert", policy_given=True) == CollectionPlan("expert", actors=("expert",))
    with pytest.raises(PotstillError, match="expected only one of them"):
        Goal(score=1.0, raw_return=2.0)
    with pytest.raises(PotstillError, match=r"SacSettings.threads 0: expected at least 1"):
        SacSettings(threads=0)
