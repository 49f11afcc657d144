"""Posture of the walking robots: the height and the angle of the torso, and what one step does to them.

Only Hopper, HalfCheetah and Walker2d are supported. Their observations contain all positions but the first, and all
velocities, so the simulator can be set to an observed state.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from potstill.environments.making import make, strip_version
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments

ROBOTS = ("Hopper", "HalfCheetah", "Walker2d")
HEIGHT, ANGLE = 0, 1  # components of the observation: positions of the model, without the first


class PostureErrors(NamedTuple):
    """Distances of N torsos from the robot's upright posture, before and after one environment step."""

    height: Float[np.ndarray, "N 2"]
    """|z − z₀|, in metres: before and after the step. z₀ is the height at which episodes start."""
    angle: Float[np.ndarray, "N 2"]
    """|φ − φ₀|, in radians, at most π."""


def has_posture(env_id: str | None) -> bool:
    """Whether :func:`measure_posture` knows the robot of an environment.

    >>> has_posture("Hopper-v5"), has_posture("Pendulum-v1"), has_posture(None)
    (True, False, False)
    """
    return strip_version(env_id or "") in ROBOTS


def _find_upright(env_id: str) -> np.ndarray:
    """Find the height and the angle of the torso at which episodes start."""
    _check_robot(env_id)
    env = make(env_id)
    upright: np.ndarray = env.unwrapped.init_qpos[1:3].copy()
    env.close()
    return upright


def _check_robot(env_id: str) -> None:
    if not has_posture(env_id):
        raise PotstillError(f"{env_id}: the posture is known only for {', '.join(ROBOTS)}")


@check_arguments
def step_states(
    env_id: str, states: Float[np.ndarray, "N S"], actions: Float[np.ndarray, "N A"]
) -> Float[np.ndarray, "N S"]:
    """Set the simulator to each state, and return the state after one step with its action.

    Args:
        env_id: Gymnasium id of a robot of :func:`has_posture`.
        states: observations.
        actions: in the environment's units. Actions beyond the bounds are clipped to them, as the simulator does.

    Raises:
        PotstillError: the observations of this environment do not contain the whole state of the simulator.

    Example:
        >>> still = np.zeros((1, 11), np.float32)
        >>> still[0, 0] = 1.25  # Hopper, upright
        >>> bool(step_states("Hopper-v5", still, np.zeros((1, 3), np.float32))[0, 0] < 1.25)
        True
    """
    _check_robot(env_id)
    env = make(env_id)
    env.reset(seed=0)
    body = env.unwrapped
    positions = body.model.nq - 1
    after = np.empty(states.shape)
    for i, (state, action) in enumerate(zip(states.astype(np.float64), actions, strict=True)):
        body.set_state(np.concatenate([[0.0], state[:positions]]), state[positions:])
        after[i] = body.step(np.clip(action, env.action_space.low, env.action_space.high))[0]
    env.close()
    return after


@check_arguments
def measure_posture(env_id: str, states: Float[np.ndarray, "N S"], actions: Float[np.ndarray, "N A"]) -> PostureErrors:
    """Set the simulator to each state, take one step with its action, and measure the torso before and after.

    The posture in which episodes start, without its noise, counts as upright: its errors are 0.

    Args:
        env_id: Gymnasium id.
        states: observations.
        actions: in the environment's units. Actions beyond the bounds are clipped to them, as the simulator does.

    Raises:
        PotstillError: the observations of this environment do not contain the whole state of the simulator.

    Example:
        >>> still = np.zeros((1, 11), np.float32)
        >>> still[0, 0] = 1.25  # Hopper, upright
        >>> errors = measure_posture("Hopper-v5", still, np.zeros((1, 3), np.float32))
        >>> errors.height[0, 0].item(), errors.angle[0, 0].item(), bool(errors.height[0, 1] > 0.0)
        (0.0, 0.0, True)
    """
    upright = _find_upright(env_id)
    after = step_states(env_id, states, actions)
    found = np.stack([seen.astype(np.float64)[:, [HEIGHT, ANGLE]] - upright for seen in (states, after)], axis=1)
    found = np.moveaxis(found, 2, 0)
    turned = (found[1] + np.pi) % (2.0 * np.pi) - np.pi  # a robot may have turned over
    return PostureErrors(np.abs(found[0]), np.abs(turned))
