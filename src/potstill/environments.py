"""Gymnasium environments: making them quietly, checking that they fit, and reference returns."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from potstill.errors import PotstillError, unknown

# (random, expert) returns, 0 and 100 of the normalised score, by environment family; all versions share them.
# D4RL's table (d4rl/infos.py, REF_MIN_SCORE and REF_MAX_SCORE), measured in -v2, covers four families. The
# others are those of the JAT project (huggingface/jat, jat/eval/rl/scores_dict.json; arXiv 2402.09844), measured
# in -v4: its experts are not the best possible (InvertedPendulum's earns 475 of 1,000). Minari's mujoco
# datasets (-v5) publish no reference scores, so a -v5 return is measured on the older version's scale.
REFERENCE_RETURNS: dict[str, tuple[float, float]] = {
    "Hopper": (-20.272305, 3234.3),
    "HalfCheetah": (-280.178953, 12135.0),
    "Walker2d": (1.629008, 4592.3),
    "Ant": (-325.6, 3879.7),
    "Humanoid": (122.02, 6281.02),
    "HumanoidStandup": (33135.75, 273574.16),
    "InvertedDoublePendulum": (57.46, 9338.69),
    "InvertedPendulum": (6.07, 475.40),
    "Pusher": (-149.69, -25.21),
    "Reacher": (-43.00, -5.68),
    "Swimmer": (0.80, 92.18),
}


def normalised(returns: Any, env_id: str) -> Any:
    """D4RL score, ``100 (R - R_random) / (R_expert - R_random)``, of undiscounted returns of any shape.

    >>> float(round(normalised(3234.3, "Hopper-v5"), 6))
    100.0
    """
    low, high = reference_returns(env_id)
    return 100.0 * (np.asarray(returns, np.float64) - low) / (high - low)


def reference_returns(env_id: str) -> tuple[float, float]:
    """The (random, expert) returns of an environment; (0, 100), leaving returns raw, if none is known."""
    return REFERENCE_RETURNS.get(env_id.split("-v", maxsplit=1)[0], (0.0, 100.0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what MuJoCo's compiler says of a model: on standard error, and in a file MUJOCO_LOG.TXT."""
    import mujoco

    sys.stderr.flush()
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)  # with a receiver, nothing is written to a file
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def make(env_id: str, **options: Any) -> Any:
    """Make a Gymnasium environment without its deprecation notices, and check its spaces.

    Raises:
        PotstillError: for an unknown id, or spaces other than one-dimensional boxes.
    """
    import gymnasium

    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            env = gymnasium.make(env_id, **options)
        except (gymnasium.error.Error, ImportError) as error:
            if env_id in gymnasium.registry:
                raise PotstillError(f"environment {env_id} cannot be made: {error}") from None
            raise unknown("environment", env_id, gymnasium.registry) from None
    check_spaces(env)
    return env


def check_spaces(env: Any) -> None:
    """Raise unless observations and actions are one-dimensional boxes."""
    from gymnasium.spaces import Box, Discrete

    name = env.spec.id if env.spec else str(env)
    if isinstance(env.action_space, Discrete):
        raise PotstillError(f"{name} has discrete actions: only continuous ones (Box) are supported yet")
    for what, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise PotstillError(f"{name} has {what} of {space}: a one-dimensional Box is needed")
    if not (np.isfinite(env.action_space.low).all() and np.isfinite(env.action_space.high).all()):
        raise PotstillError(f"{name} has unbounded actions: finite bounds are needed, to scale them to [-1, 1]")


def time_limit(env_id: str) -> int | None:
    """Steps after which an episode is truncated, by the environment's registration."""
    import gymnasium

    return gymnasium.spec(env_id).max_episode_steps


def action_bounds(env_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action of an environment, each [A] float32."""
    env = make(env_id)
    low, high = env.action_space.low, env.action_space.high
    env.close()
    return low.astype(np.float32), high.astype(np.float32)
