"""Gymnasium environments: making them quietly, checking that they fit, and reference returns."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from potstill.errors import PotstillError, unknown


class Reference(NamedTuple):
    """The undiscounted returns that are 0 and 100 of the normalised score, and where they come from.

    Without a ``source`` none are known: 0 and 100 then leave returns as they are.
    """

    random: float
    expert: float
    source: str | None


RAW = Reference(0.0, 100.0, None)
D4RL = "D4RL (d4rl/infos.py)"  # REF_MIN_SCORE and REF_MAX_SCORE, which hold for all datasets of an environment
JAT = "JAT (huggingface/jat, scores_dict.json; arXiv 2402.09844)"
# By environment family; all versions share them, so a return in -v5 is measured on the older version's scale:
# D4RL's are of -v2 (Adroit's, the mazes' and the kitchen's of D4RL's own environments, which Gymnasium-Robotics
# rebuilt under these names), JAT's of -v4. JAT's experts are not the best possible: InvertedPendulum's earns 475
# of 1,000. Minari has no table: where a dataset of it publishes reference scores, its metadata hold them.
REFERENCES: dict[str, Reference] = {
    "Hopper": Reference(-20.272305, 3234.3, D4RL),
    "HalfCheetah": Reference(-280.178953, 12135.0, D4RL),
    "Walker2d": Reference(1.629008, 4592.3, D4RL),
    "Ant": Reference(-325.6, 3879.7, D4RL),
    "AdroitHandPen": Reference(96.262799, 3076.833102, D4RL),
    "AdroitHandHammer": Reference(-274.856578, 12794.134825, D4RL),
    "AdroitHandDoor": Reference(-56.512833, 2880.569309, D4RL),
    "AdroitHandRelocate": Reference(-6.425911, 4233.877798, D4RL),
    "FrankaKitchen": Reference(0.0, 4.0, D4RL),
    "PointMaze_Open": Reference(0.01, 20.66, D4RL),
    "PointMaze_UMaze": Reference(23.85, 161.86, D4RL),
    "PointMaze_Medium": Reference(13.13, 277.39, D4RL),
    "PointMaze_Large": Reference(6.7, 273.99, D4RL),
    "PointMaze_OpenDense": Reference(11.17817, 27.166539, D4RL),
    "PointMaze_UMazeDense": Reference(68.537689, 193.662856, D4RL),
    "PointMaze_MediumDense": Reference(44.264742, 297.455255, D4RL),
    "PointMaze_LargeDense": Reference(30.569041, 303.485738, D4RL),
    **{f"AntMaze_{maze}": Reference(0.0, 1.0, D4RL) for maze in ("UMaze", "Medium", "Large")},
    **{f"AntMaze_{maze}_Diverse_GR": Reference(0.0, 1.0, D4RL) for maze in ("Medium", "Large")},
    "Humanoid": Reference(122.02, 6281.02, JAT),
    "HumanoidStandup": Reference(33135.75, 273574.16, JAT),
    "InvertedDoublePendulum": Reference(57.46, 9338.69, JAT),
    "InvertedPendulum": Reference(6.07, 475.40, JAT),
    "Pusher": Reference(-149.69, -25.21, JAT),
    "Reacher": Reference(-43.00, -5.68, JAT),
    "Swimmer": Reference(0.80, 92.18, JAT),
}


def normalised(returns: Any, reference: Reference | str) -> Any:
    """D4RL score, ``100 (R - R_random) / (R_expert - R_random)``, of undiscounted returns of any shape.

    Args:
        returns: of whole episodes.
        reference: what 0 and 100 are, or the environment whose known ones to take.

    >>> float(round(normalised(3234.3, "Hopper-v5"), 6))
    100.0
    """
    if isinstance(reference, str):
        reference = reference_returns(reference)
    return 100.0 * (np.asarray(returns, np.float64) - reference.random) / (reference.expert - reference.random)


def reference_returns(env_id: str | None, card: Mapping[str, Any] | None = None) -> Reference:
    """What is 0 and 100 in an environment: by the dataset's own card, else by the table; :data:`RAW` if unknown.

    Args:
        env_id: Gymnasium id of any version, if there is one.
        card: of a dataset; Minari's holds ``ref_min_score`` and ``ref_max_score`` where they are published.

    >>> reference_returns("Hopper-v5").expert, reference_returns("Pendulum-v1").source
    (3234.3, None)
    """
    low, high = ((card or {}).get(key) for key in ("ref_min_score", "ref_max_score"))
    if isinstance(low, int | float) and isinstance(high, int | float) and low < high:
        return Reference(float(low), float(high), "the dataset's own metadata")
    return REFERENCES.get(family(env_id or ""), RAW)


def has_reference(env_id: str) -> bool:
    """Whether reference returns are known for an environment, so that normalised scores mean something."""
    return reference_returns(env_id).source is not None


def family(env_id: str) -> str:
    """An environment's name without its version.

    >>> family("Hopper-v5")
    'Hopper'
    """
    return env_id.split("-v", maxsplit=1)[0]


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

    Observations of several axes are flattened row by row (C order) by
    :class:`gymnasium.wrappers.FlattenObservation`.

    Raises:
        PotstillError: for an unknown id, observations that are no box, or actions that are no
            one-dimensional, bounded one.
    """
    import gymnasium
    from gymnasium.wrappers import FlattenObservation

    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            env: Any = gymnasium.make(env_id, **options)
        except (gymnasium.error.Error, ImportError) as error:
            if env_id in gymnasium.registry:
                raise PotstillError(f"environment {env_id} cannot be made: {error}") from None
            raise unknown("environment", env_id, gymnasium.registry) from None
    check_spaces(env)
    return env if len(env.observation_space.shape) == 1 else FlattenObservation(env)


def check_spaces(env: Any) -> None:
    """Raise unless observations are a box and actions a bounded one-dimensional box."""
    from gymnasium.spaces import Box, Dict, Discrete

    name = env.spec.id if env.spec else str(env)
    observations, actions = env.observation_space, env.action_space
    if isinstance(actions, Discrete):
        raise PotstillError(f"{name} has discrete actions: only continuous ones (Box) are supported yet")
    if isinstance(observations, Dict):
        raise PotstillError(
            f"{name} has observations of named parts ({', '.join(observations)}): a Box is needed, so register "
            "an environment that keeps one part, or wraps it in gymnasium.wrappers.FlattenObservation"
        )
    if not isinstance(observations, Box):
        raise PotstillError(f"{name} has observations of {observations}: a Box is needed")
    if not isinstance(actions, Box) or len(actions.shape) != 1:
        raise PotstillError(f"{name} has actions of {actions}: a one-dimensional Box is needed")
    if not (np.isfinite(env.action_space.low).all() and np.isfinite(env.action_space.high).all()):
        raise PotstillError(f"{name} has unbounded actions: finite bounds are needed, to scale them to [-1, 1]")


def time_limit(env_id: str) -> int | None:
    """Steps after which an episode is truncated, by the environment's registration."""
    import gymnasium

    return gymnasium.spec(env_id.rpartition(":")[2]).max_episode_steps  # make() imports what is before the colon


def action_bounds(env_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action of an environment, each [A] float32."""
    env = make(env_id)
    low, high = env.action_space.low, env.action_space.high
    env.close()
    return low.astype(np.float32), high.astype(np.float32)
