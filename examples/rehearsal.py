"""Learn two tasks in turn; remember the first by its distilled pairs, by as many real rows, or not at all."""

import dataclasses

import jax.numpy as jnp
import numpy as np

import potstill
from potstill.environments import normalised_return, play
from potstill.students import Pairs
from potstill.tasks import append_task, compute_forgetting, learn_in_turn

# Two Hoppers: the actuators of the second one are reversed, so it needs opposite actions in the same states.
name, signs = "hopper-medium-replay", (1.0, -1.0)
data, teacher, distillate = potstill.load_dataset(name), potstill.load_teacher(name), potstill.load(name)
few = np.random.default_rng(0).choice(len(data), 2_000, replace=False)  # take all rows, and more updates
normaliser = potstill.Normaliser([*teacher.normaliser.mean, 0, 0], [*teacher.normaliser.scale, 1, 1])
scaling = potstill.Scaling(normaliser, distillate.action_bounds)


def make_pairs(states, actions, task):
    """Pairs as a network sees them: standardised states with the task, actions in [−1, 1]."""
    return Pairs(jnp.asarray(normaliser(append_task(states, task, 2))), jnp.asarray(signs[task] * actions))


states = data.observations[few]
rows = [make_pairs(states, teacher.policy(states), task) for task in (0, 1)]
memories = {
    "256 distilled pairs": [make_pairs(distillate.states, distillate.actions, 0)],
    "256 real rows": [Pairs(rows[0].states[:256], rows[0].actions[:256])],
    "nothing": [],
}
recipe = dataclasses.replace(potstill.RECIPES["pytorch"], steps=20, width=32)  # 2,000 updates give good returns


def score(network, task):
    """The normalised return in a task."""
    told = network.fix_inputs(np.eye(2)[task])
    returns = play(lambda seen: signs[task] * told.act_as_ensemble(seen), "Hopper-v5", seeds=np.arange(3))
    return normalised_return(returns, "Hopper-v5").mean()


for label, memory in memories.items():
    learned = learn_in_turn(rows, [memory, []], [0], recipe, scaling)
    returns = np.array([[score(network, task) for task in (0, 1)] for network in learned])
    print(f"{label}: average return {returns[-1].mean():.1f}, forgetting {compute_forgetting(returns):.1f}")
