"""Returns of policies in a world model."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from potstill.environments.making import find_time_limit
from potstill.environments.rollouts import Act, run_episodes
from potstill.environments.rollouts.playing import DEFAULT_STEPS
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.worlds.base import World
from potstill.worlds.stepper import WorldStepper


@check_arguments
def measure_imagined_returns(
    world: World, act: Act, episodes: int = 20, *, steps: int | None = None, seed: int = 0
) -> Float[np.ndarray, " E"]:
    """Measure undiscounted returns of a policy in a world model, from initial states of the data's episodes.

    The model may be wrong in the states that the policy visits. Compare policies by these returns, but do not rely on
    their level (docs/how-to/worlds.md).

    Args:
        world: the model.
        act: a policy, from observations [E, S] to actions [E, A].
        episodes: E, the number of episodes.
        steps: time limit of an episode. Default: that of the environment, or 1,000.
        seed: seed of the initial states.

    Returns:
        The sum of the predicted rewards of each episode, in the units of the data's rewards.

    Raises:
        PotstillError: ``episodes`` or ``steps`` is below 1.

    Example:
        >>> import potstill
        >>> from potstill.worlds import WorldSettings, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(600))
        >>> world = train_world(data, WorldSettings(members=1, width=8, layers=2, steps=2))
        >>> policy = potstill.load_teacher("hopper-medium-replay").policy
        >>> measure_imagined_returns(world, policy, episodes=3, steps=5).shape
        (3,)
    """
    env_id = world.metadata["env_id"]
    limit = steps if steps is not None else (_find_known_limit(env_id) if env_id else None) or DEFAULT_STEPS
    for name, value in {"episodes": episodes, "steps": limit}.items():
        if value < 1:
            raise PotstillError(f"{name} {value}: expected at least 1")
    return run_episodes(act, WorldStepper(world), seed * episodes + np.arange(episodes), limit)


def _find_known_limit(env_id: str) -> int | None:
    """Find the registered time limit; ``None`` if the environment is not installed, which a model does not require."""
    import gymnasium

    try:
        return find_time_limit(env_id)
    except gymnasium.error.Error:
        return None
