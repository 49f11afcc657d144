"""The contract of every baseline, and each baseline on a problem whose answer is known."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_teacher
from finite import finite_teacher, signs
from linear import linear_rows

import potstill
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import NO_REWARDS, Transitions
from potstill.distillation.baselines import (
    BASELINES,
    BestEpisodes,
    Candidates,
    DistributionMatching,
    DualRanking,
    Evolution,
    GradientMatching,
    LongestEpisodes,
    Medoids,
    RandomRows,
    TrajectoryMatching,
    evolution,
)
from potstill.distillation.baselines.dual_ranking import rank_stepwise
from potstill.environments.rollouts.stepper import Steps
from potstill.errors import PotstillError
from potstill.students import Pairs, Recipe, train_students

TINY = Recipe(steps=3, width=8, layers=3, momentum=0.9)
QUICK: dict[str, Any] = {"steps": 2, "batch": 16, "experts": 1, "sections": 2, "section": 2, "budget": 8}
QUICK |= {"population": 2, "episodes": 1}
KEY, SIZE = jax.random.key(0), 5


class Target:
    """A task of three steps, whose reward is −(a − 0.5)²: the state does not matter."""

    def reset(self, seeds):
        self.left = np.full(len(seeds), 3)
        return np.zeros((len(seeds), 2))

    def restart(self, lane, seed):
        raise AssertionError("each lane has one episode")

    def step(self, lanes, actions):
        self.left[lanes] -= 1
        ended = self.left[lanes] == 0
        return Steps(np.zeros((len(lanes), 2)), -((actions[:, 0] - 0.5) ** 2), ended, np.zeros_like(ended))


@pytest.fixture(autouse=True)
def target_task(monkeypatch):
    monkeypatch.setattr(evolution, "make_stepper", lambda env_id, lanes, **_: Target())
    monkeypatch.setattr(evolution, "find_time_limit", lambda env_id: 3)


@pytest.fixture(scope="module")
def rows():
    return linear_rows(episodes=20, env_id="Target-v0")


@pytest.fixture(scope="module")
def teacher():
    return random_teacher(states=2, actions=1)


def make_quick(name, recipe=TINY, **changes):
    kind: Any = BASELINES[name]
    fields = {field.name for field in dataclasses.fields(kind)}
    return kind(recipe=recipe, **{k: v for k, v in QUICK.items() if k in fields} | changes)


@pytest.mark.parametrize("name", BASELINES)
class TestEveryBaseline:
    def test_pairs_are_a_distillate_and_depend_on_the_seed_alone(self, name, rows, teacher, tmp_path):
        first, again = (
            potstill.make_baseline(make_quick(name), rows, teacher, size=SIZE, seed=seed, recipe=TINY)
            for seed in (3, 3)
        )
        assert first.states.shape == (SIZE, 2)
        assert first.actions.shape == (SIZE, 1)
        assert first.states.tobytes() == again.states.tobytes()
        assert first.actions.tobytes() == again.actions.tobytes()
        assert not first.beyond_bounds
        loaded = potstill.load(first.save(tmp_path / "pairs.safetensors"))
        assert loaded.metadata["baseline"]["plays"] == BASELINES[name].plays
        assert loaded.metadata["objective"] == name
        assert len(loaded.train_students([0])) == 1

    def test_bad_input_is_refused(self, name, rows, teacher):
        baseline = make_quick(name)
        with pytest.raises(PotstillError, match="401 pairs: expected 1 to 380, the training rows of linear"):
            baseline.make_pairs(rows, teacher, 401, KEY)
        if baseline.needs_teacher:
            with pytest.raises(PotstillError, match="requires a teacher"):
                baseline.make_pairs(rows, None, SIZE, KEY)
        if baseline.plays:
            with pytest.raises(PotstillError, match="plays in the environment, but linear names none"):
                baseline.make_pairs(dataclasses.replace(rows, env_id=None), teacher, SIZE, KEY)
        with pytest.raises(PotstillError, match="trains on mean actions"):
            make_quick(name, dataclasses.replace(TINY, sampled=True))


@pytest.mark.parametrize("name", ["random-rows", "gradient-matching"])
def test_discrete_actions_are_probabilities(name):
    found = potstill.make_baseline(make_quick(name), signs(200), finite_teacher(states=1), size=SIZE)
    assert found.actions.shape == (SIZE, 3)
    assert (found.actions >= 0.0).all()
    np.testing.assert_allclose(found.actions.sum(axis=1), 1.0, atol=1e-5)
    assert found.recipe.loss == "cross-entropy"
    assert len(found.train_students([0])) == 1


def find_rows(pairs, candidates):
    """The numbers of the dataset's rows that pairs come from."""
    states = np.asarray(candidates.states)
    return [int(candidates.index[np.flatnonzero((states == state).all(1))[0]]) for state in np.asarray(pairs.states)]


def test_random_rows_have_the_actions_of_the_data(rows, teacher):
    candidates = Candidates(rows, teacher, np.arange(len(rows)))
    pairs = RandomRows().find_pairs(candidates, 50, KEY)
    chosen = find_rows(pairs, candidates)
    assert len(set(chosen)) == 50
    np.testing.assert_allclose(pairs.actions, rows.actions[chosen], atol=1e-6)


def test_medoids_are_one_state_of_each_cluster_with_the_teachers_action(teacher):
    rng = np.random.default_rng(0)
    which = rng.integers(6, size=300)
    states = (
        10.0 * np.stack([np.arange(6) % 3, np.arange(6) // 3], 1)[which] + 0.01 * rng.normal(size=(300, 2))
    ).astype(np.float32)
    rows = dataclasses.replace(linear_rows(episodes=15), observations=states)
    candidates = Candidates(rows, teacher, np.arange(300))
    pairs = Medoids().find_pairs(candidates, 6, KEY)
    assert sorted(which[find_rows(pairs, candidates)]) == list(range(6))
    np.testing.assert_allclose(pairs.actions, teacher.act(pairs.states), rtol=1e-5)


def make_unequal_episodes():
    """Three episodes of 10, 20 and 30 rows, with returns 300, 20 and 90."""
    states = np.arange(61, dtype=np.float32)[:, None]
    ends = np.isin(np.arange(60), (9, 29, 59))
    rewards = np.repeat(np.array([30.0, 1.0, 3.0], np.float32), (10, 20, 30))
    return Transitions(
        states[:-1], states[:-1] / 60, rewards, states[1:], ends, np.zeros(60, bool), ActionBounds.unit(1), name="three"
    )


def test_rows_come_from_the_best_and_from_the_longest_episodes():
    candidates = Candidates(make_unequal_episodes(), None, np.arange(60))
    best = find_rows(BestEpisodes(share=0.1).find_pairs(candidates, 10, KEY), candidates)
    assert sorted(best) == list(range(10))
    more = find_rows(BestEpisodes().find_pairs(candidates, 40, KEY), candidates)
    assert sorted(more) == [*range(10), *range(30, 60)]
    longest = find_rows(LongestEpisodes(share=0.5).find_pairs(candidates, 20, KEY), candidates)
    assert set(longest) <= set(range(30, 60))
    blind = dataclasses.replace(make_unequal_episodes(), card={"rewards": NO_REWARDS})
    with pytest.raises(PotstillError, match="BestEpisodes requires rewards, which three does not have"):
        BestEpisodes().find_pairs(Candidates(blind, None, np.arange(60)), 3, KEY)
    with pytest.raises(PotstillError, match=r"BestEpisodes.share 0.0"):
        BestEpisodes(share=0.0)


def test_dual_ranking_compares_the_rows_of_each_step():
    rng = np.random.default_rng(0)
    steps, values, densities = rng.integers(0, 300, 4000), rng.normal(size=4000), rng.normal(size=4000)
    kept = rank_stepwise(steps, values, densities, (0.4, 0.2), 100.0)
    for row in range(0, 4000, 7):
        same, late = steps == steps[row], np.tanh(steps[row] / 100.0)
        high = values[row] >= np.quantile(values[same], 0.4 * late)
        rare = densities[row] <= np.quantile(densities[same], 1.0 - 0.2 * late)
        assert kept[row] == (high and rare)
    assert kept[steps == 0].all()
    assert 0.4 < kept[steps > 250].mean() < 0.6  # 0.6 · 0.8, and rounding in small groups


def test_sdr_keeps_the_rows_of_high_value(rows):
    value = lambda states, actions: states[None, ..., 0]  # noqa: E731
    teacher = random_teacher(states=2, actions=1)

    class Known:
        normaliser, act, sample = teacher.normaliser, teacher.act, teacher.sample
        action_values = staticmethod(value)

    candidates = Candidates(rows, Known(), np.arange(len(rows)))
    ranking = DualRanking(value_share=0.5, density_share=0.01, horizon=1e-3)  # every step but the first is late
    chosen = np.array(find_rows(ranking.find_pairs(candidates, 100, KEY), candidates))
    for step in range(1, 20):
        of_step = np.asarray(candidates.states[step::20, 0])
        found = np.asarray(candidates.states[chosen[chosen % 20 == step], 0])
        assert (found >= np.quantile(of_step, 0.5)).all()
    with pytest.raises(PotstillError, match="SDR keeps only"):
        ranking.find_pairs(candidates, 380, KEY)


def measure_loss(baseline, pairs, candidates, networks):
    return float(baseline.matching_loss(pairs, Pairs(candidates.states, candidates.targets), networks))


def test_gradient_matching_lowers_the_distance_of_the_gradients(rows, teacher):
    candidates = Candidates(rows, teacher, np.arange(len(rows)))
    recipe = Recipe(steps=5, width=16, layers=3)
    baseline = GradientMatching(recipe=recipe, steps=60, network_steps=1, restart=20, learning_rate=0.05)
    before, after = (dataclasses.replace(baseline, steps=n).find_pairs(candidates, 6, KEY) for n in (0, 60))
    losses = []
    for pairs in (before, after):
        fresh = [baseline.start((), pairs, jax.random.key(i)) for i in (20, 21)]  # networks of other keys
        losses.append(np.mean([measure_loss(baseline, pairs, candidates, networks) for networks in fresh]))
    assert losses[1] < 0.8 * losses[0]


def test_distribution_matching_with_a_linear_embedding_matches_the_mean(rows, teacher):
    candidates = Candidates(rows, teacher, np.arange(len(rows)))
    baseline = DistributionMatching(recipe=Recipe(layers=2, width=16), steps=40, batch=4096)
    pairs = baseline.find_pairs(candidates, 8, KEY)
    start = dataclasses.replace(baseline, steps=0).find_pairs(candidates, 8, KEY)
    wanted = jnp.concatenate([candidates.states.mean(axis=0), candidates.targets.mean(axis=0)])
    errors = [
        float(jnp.abs(jnp.concatenate([p.states.mean(axis=0), p.actions.mean(axis=0)]) - wanted).max())
        for p in (start, pairs)
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.02


def test_trajectory_matching_leads_students_along_the_experts(rows, teacher):
    candidates = Candidates(rows, teacher, np.arange(len(rows)))
    recipe = Recipe(steps=5, width=16, layers=3)
    baseline = TrajectoryMatching(recipe=recipe, steps=60, experts=2, sections=4, section=5, learning_rate=0.1)
    experts = baseline.prepare(candidates, jax.random.key(9))  # of another key
    drawn = candidates.draw_pairs(20, np.random.default_rng(0))
    sections = [baseline.start(experts, drawn, jax.random.key(i)) for i in range(4)]
    losses = [
        np.mean([measure_loss(baseline, pairs, candidates, section) for section in sections])
        for pairs in (dataclasses.replace(baseline, steps=n).find_pairs(candidates, 20, KEY) for n in (0, 60))
    ]
    assert losses[1] < 0.8 * losses[0]


def test_hades_improves_the_return_within_its_budget(rows):
    recipe = Recipe(steps=10, width=8, layers=2, momentum=0.9, learning_rate=0.3)
    baseline = Evolution(recipe=recipe, budget=3 * 16 * 20, population=16, episodes=1, sigma=0.1, learning_rate=0.1)
    counted = []

    class Counting(evolution.CountingStepper):
        def __init__(self, stepper):
            super().__init__(stepper)
            counted.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evolution, "CountingStepper", Counting)
        found = potstill.make_baseline(baseline, rows, size=4)
    assert counted[0].count == 3 * 16 * 20
    students = train_students(found.pairs, range(5), recipe, found.scaling)
    returns = -((students.act_as_ensemble(np.zeros((1, 2)))[0, 0] - 0.5) ** 2)
    assert returns > -0.05  # the first pairs, all 0, give students an action near 0, and −0.25
    with pytest.raises(PotstillError, match=r"Evolution.population 3: expected an even number"):
        Evolution(population=3)


def test_an_unknown_baseline_is_named():
    with pytest.raises(PotstillError, match="medoids"):
        potstill.make_baseline("medoid", "hopper-medium-replay")
    with pytest.raises(PotstillError, match="seed -1"):
        potstill.make_baseline("medoids", "hopper-medium-replay", seed=-1)
