"""HaDES: pairs evolved for the true return of their students. It plays in the environment."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from potstill.data.scaling import Scaling
from potstill.distillation.baselines.base import Baseline, Candidates, make_generator
from potstill.distillation.labels import constrain_actions
from potstill.environments.making import find_time_limit
from potstill.environments.rollouts.playing import DEFAULT_STEPS, make_stepper, run_episodes
from potstill.environments.rollouts.stepper import Stepper, Steps
from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.ensemble import Students
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, train_network

FIRST_SEED = 5_000_000  # of the episodes, apart from the seeds of evaluations


class CountingStepper:
    """A stepper that counts the steps of all lanes."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper, self.count = stepper, 0

    def reset(self, seeds: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L S"]:
        """Start an episode in every lane."""
        return self.stepper.reset(seeds)

    def restart(self, lane: int, seed: int) -> Float[np.ndarray, " S"]:
        """Start an episode in one lane."""
        return self.stepper.restart(lane, seed)

    def step(self, lanes: Int[np.ndarray, " n"], actions: np.ndarray) -> Steps:
        """Step some lanes, and count them."""
        self.count += len(lanes)
        return self.stepper.step(lanes, actions)


def rank_centred(returns: Float[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    """Replace returns by their ranks, scaled to [−0.5, 0.5]; equal returns get the mean of their ranks.

    >>> rank_centred(np.array([3.0, 100.0, -5.0])).tolist(), rank_centred(np.array([2.0, 2.0])).tolist()
    ([0.0, 0.5, -0.5], [0.0, 0.0])
    """
    from scipy.stats import rankdata

    ranks: np.ndarray = (rankdata(returns) - 1.0) / (len(returns) - 1.0) - 0.5
    return ranks


@check_arguments
@dataclass(frozen=True)
class Evolution(Baseline):
    """HaDES: evolution strategies on pairs, whose fitness is the true return of students trained on them.

    It plays in the environment, so it is no offline method. It stops when the budget of environment steps is used up.
    In each generation, P/2 directions ε are drawn, and the pairs D + σε and D − σε are evaluated with the same initial
    networks and the same initial states. With r the centred rank of the return,

        g = 1/(Pσ) Σ_i r_i ε_i,

    which Adam follows (Salimans et al. 2017). Source: Lupu et al. 2024 (Behaviour Distillation), with the σ, the step
    size and the four episodes per student of their code. It differs from theirs: candidates are 32 instead of 2,048,
    with one student each instead of two, and there are far fewer generations, because the budget is that of a simulator
    on CPUs; students follow the recipe and act by their mean action; ranks replace raw returns.

    Raises:
        PotstillError: a field is out of range, the population is odd, or the data name no environment (when pairs
            are made).

    Example:
        >>> Evolution(budget=50_000).plays
        True
    """

    plays: ClassVar[bool] = True

    budget: int = 200_000
    """Environment steps. The generation in which they are used up is the last one."""
    population: int = 32
    """P, the number of candidates in a generation."""
    students: int = 1
    """Students of each candidate."""
    episodes: int = 4
    """Episodes of each student."""
    sigma: float = 0.03
    """σ, in standard deviations of the states and in units in which the action bounds are ±1."""
    learning_rate: float = 0.05
    """Step size of Adam."""
    begin: Literal["zero", "rows"] = "zero"
    """The first pairs: all states and actions 0, as in the source; or random rows of the dataset."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, budget=1, population=2, students=1, episodes=1, sigma=1e-12, learning_rate=1e-12)
        if self.population % 2:
            raise PotstillError(f"Evolution.population {self.population}: expected an even number")

    def find_pairs(self, candidates: Candidates, size: int, key: PRNGKeyArray) -> Pairs:
        """Evolve pairs until the budget is used up."""
        row_key, loop_key = jax.random.split(key)
        data = candidates.data
        mean = self._start(candidates, size, row_key)
        normaliser = (data if candidates.teacher is None else candidates.teacher).normaliser
        scaling = Scaling(normaliser, data.action_bounds)
        lanes = self.population * self.students * self.episodes
        stepper = CountingStepper(make_stepper(str(data.env_id), lanes, rule=data.rule))
        limit = find_time_limit(str(data.env_id)) or DEFAULT_STEPS
        rule = optax.adam(self.learning_rate)
        optimiser, generation = rule.init(mean), 0
        while stepper.count < self.budget:
            noise_key, student_key = jax.random.split(jax.random.fold_in(loop_key, generation))
            directions = draw_directions(noise_key, mean, self.population // 2)
            keys = jax.random.split(student_key, self.students)
            trained = train_candidates(mean, directions, keys, self.recipe, self.sigma)
            seeds = FIRST_SEED + generation * self.episodes + np.arange(self.episodes)
            seeds = np.tile(seeds, self.population * self.students)
            returns = run_episodes(Students(trained, scaling).act_separately, stepper, seeds, limit)
            ranks = rank_centred(returns.reshape(self.population, -1).mean(axis=1))
            slope = estimate_slope(directions, jnp.asarray(ranks, jnp.float32), self.sigma)
            change, optimiser = rule.update(jax.tree.map(jnp.negative, slope), optimiser, mean)
            states, actions, _ = optax.apply_updates(mean, change)
            mean = Pairs(states, constrain_actions(actions, self.recipe.loss, 1.0))
            generation += 1
        return mean

    def _start(self, candidates: Candidates, size: int, key: PRNGKeyArray) -> Pairs:
        """The pairs before the first generation."""
        if self.begin == "rows":
            return candidates.draw_pairs(size, make_generator(key))
        data = candidates.data
        actions = jnp.zeros((size, data.action_size))
        return Pairs(jnp.zeros((size, data.state_size)), constrain_actions(actions, self.recipe.loss, 1.0))


@functools.partial(jax.jit, static_argnames=("recipe", "sigma"))
def train_candidates(mean: Pairs, directions: Pairs, keys: Key[Array, " K"], recipe: Recipe, sigma: float) -> Params:
    """Train the students of all candidates: first those of D + σε, then those of D − σε."""
    both = jax.tree.map(lambda x: jnp.concatenate([x, -x]), directions)

    def train_one(direction: Pairs) -> Params:
        pairs = jax.tree.map(lambda m, d: m + sigma * d, mean, direction)
        return jax.vmap(lambda key: train_network(key, pairs, recipe))(keys)

    trained: Params = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.lax.map(train_one, both))
    return trained


def draw_directions(key: PRNGKeyArray, mean: Pairs, count: int) -> Pairs:
    """Draw standard normal directions: pairs with a leading axis."""

    def draw_one(key: PRNGKeyArray) -> Pairs:
        state_key, action_key = jax.random.split(key)
        return Pairs(jax.random.normal(state_key, mean.states.shape), jax.random.normal(action_key, mean.actions.shape))

    return jax.vmap(draw_one)(jax.random.split(key, count))


def estimate_slope(directions: Pairs, ranks: Float[Array, " P"], sigma: float) -> Pairs:
    """Estimate the gradient of the expected rank, by the difference of each direction and its opposite."""
    half = len(ranks) // 2
    differences = ranks[:half] - ranks[half:]
    slope: Pairs = jax.tree.map(lambda x: jnp.tensordot(differences, x, axes=1) / (len(ranks) * sigma), directions)
    return slope
