"""Make Gymnasium environments, and check that potstill supports them.

Gymnasium and MuJoCo are imported only when an environment is made.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float

from potstill.environments.observations.rule import ObservationRule
from potstill.errors import PotstillError, describe_first_line, name_option
from potstill.runtime.arguments import check_arguments

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec
    from gymnasium.spaces import Box


@runtime_checkable
class Environment(Protocol):
    """A Gymnasium environment with observations [S], as :func:`make` returns it.

    Actions are bounded and continuous [A], or the numbers 0, 1, 2, … of a finite set.

    Example:
        >>> import numpy as np
        >>> from potstill.environments import make
        >>> env = make("Pendulum-v1")
        >>> first, _ = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, _ = env.step(np.zeros(1, np.float32))
        >>> observation.shape, bool(reward <= 0.0), terminated, truncated
        ((3,), True, False, False)
    """

    observation_space: Box
    action_space: Box  # or Discrete
    spec: EnvSpec | None

    @property
    def unwrapped(self) -> Any:
        """The environment without its wrappers."""
        ...

    def reset(self, *, seed: int | None = None) -> tuple[np.ndarray, dict[str, object]]:
        """Start an episode; return the first observation [S] and an info dictionary."""
        ...

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        """Take an action [A]; return observation [S], reward, terminated, truncated and an info dictionary."""
        ...

    def render(self) -> Any:
        """Render the current state in the mode that the environment was made with."""
        ...

    def close(self) -> None:
        """Free the environment's resources."""
        ...


@runtime_checkable
class HasSpaces(Protocol):
    """The part of an environment that :func:`check_spaces` reads."""

    @property
    def observation_space(self) -> object:
        """The space of observations."""
        ...

    @property
    def action_space(self) -> object:
        """The space of actions."""
        ...

    @property
    def spec(self) -> EnvSpec | None:
        """The environment's registration."""
        ...


@check_arguments
def make(env_id: str, rule: ObservationRule | None = None, **options: object) -> Environment:
    """Make a Gymnasium environment, without its deprecation warnings, and check its spaces.

    Without a rule, observations with several axes are flattened row by row (C order) by
    :class:`gymnasium.wrappers.FlattenObservation`, and the boxes of a dictionary are put side by side, in alphabetical
    order of their keys.

    Args:
        env_id: Gymnasium id, such as ``"Hopper-v5"``. ``"module:Id-v0"`` imports the module first.
        rule: how observations become vectors, as recorded with the data.
        options: passed on to :func:`gymnasium.make`.

    Raises:
        PotstillError: the id is unknown, a package that the environment needs is missing, its spaces are not supported
            (see :func:`check_spaces`), or its observations are not those of the rule.

    Example:
        >>> env = make("Pendulum-v1")
        >>> env.observation_space.shape, env.action_space.shape
        ((3,), (1,))
    """
    import gymnasium
    from gymnasium.wrappers import FlattenObservation

    with warnings.catch_warnings(), _silence_mujoco():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            env: gymnasium.Env[np.ndarray, np.ndarray] = gymnasium.make(env_id, **options)  # type: ignore[arg-type]
        except Exception as error:  # the environment's own code may raise any exception
            module = ":" in env_id and isinstance(error, ImportError)
            if env_id in gymnasium.registry or module or not isinstance(error, gymnasium.error.Error | ImportError):
                raise PotstillError(f"environment {env_id} cannot be made: {error}") from None
            near = difflib.get_close_matches(env_id, gymnasium.registry, cutoff=0.5)  # there are more than 70 ids
            hint = f": did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
            raise PotstillError(f"unknown environment '{env_id}'{hint}") from None
    check_spaces(env)
    found = _find_rule(env, rule)
    if found is not None:
        from potstill.environments.observations.wrapper import RuleObservation

        return cast(Environment, RuleObservation(env, found))
    flat = len(env.observation_space.shape or ()) == 1
    return cast(Environment, env if flat else FlattenObservation(env))


def _find_rule(env: HasSpaces, rule: ObservationRule | None) -> ObservationRule | None:
    """Find the rule to apply: the given one, that of a dictionary, or ``None`` for vectors and plain arrays."""
    from gymnasium.spaces import Dict

    space = env.observation_space
    if rule is None and not isinstance(space, Dict):
        return None
    from potstill.environments.observations.wrapper import Space, fit_space, make_rule

    label = env.spec.id if env.spec else str(env)
    if rule is None:
        return make_rule(cast(Space, space), label)
    return rule if fit_space(rule, cast(Space, space), label) else None


@contextlib.contextmanager
def _silence_mujoco() -> Iterator[None]:
    """Suppress the messages of MuJoCo's model compiler on standard error and in the file MUJOCO_LOG.TXT."""
    mujoco = import_mujoco()
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)  # with a handler set, MuJoCo writes no log file
    try:
        with _silence_errors():
            yield
    finally:
        mujoco.set_mju_user_warning(before)


@contextlib.contextmanager
def _silence_errors() -> Iterator[None]:
    """Drop what libraries write to standard error, if it is open."""
    try:
        saved = os.dup(2)
    except OSError:
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


def import_mujoco() -> ModuleType:
    """Import MuJoCo even if its rendering backend cannot be loaded. Only rendering needs a backend."""
    try:
        return import_module("mujoco")
    except Exception:  # an unknown, missing or incomplete backend can raise any exception
        named = os.environ.get("MUJOCO_GL")  # the default backend runs programs, which may be forbidden
        os.environ["MUJOCO_GL"] = "disable"
        try:
            return import_module("mujoco")
        except Exception as error:
            raise PotstillError(f"MuJoCo cannot be imported: {describe_first_line(error)}") from None
        finally:
            if named is None:
                del os.environ["MUJOCO_GL"]
            else:
                os.environ["MUJOCO_GL"] = named


def check_spaces(env: HasSpaces) -> None:
    """Check that observations are a Box or a Dict, and actions a bounded vector or a finite set numbered from 0.

    Args:
        env: any Gymnasium environment, before flattening.

    Raises:
        PotstillError: one of the spaces is not supported.
    """
    from gymnasium.spaces import Box, Dict, Discrete

    name = env.spec.id if env.spec else str(env)
    observations, actions = env.observation_space, env.action_space
    if not isinstance(observations, Box | Dict):
        raise PotstillError(f"{name} has the observation space {observations}: expected a Box or a Dict of boxes")
    if isinstance(actions, Discrete):
        if actions.start != 0 or actions.n < 2:
            raise PotstillError(
                f"{name} has the actions {actions.start} to {actions.start + actions.n - 1}: expected at least two, "
                "numbered from 0. gymnasium.wrappers.TransformAction can renumber them"
            )
        return
    if not isinstance(actions, Box) or len(actions.shape) != 1:
        raise PotstillError(f"{name} has the action space {actions}: expected a one-dimensional Box or Discrete")
    if not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
        raise PotstillError(f"{name} has unbounded actions: expected finite bounds")


def count_actions(env: HasSpaces) -> int | None:
    """Count the discrete actions of an environment; ``None`` if its actions are continuous.

    >>> count_actions(make("CartPole-v1")), count_actions(make("Pendulum-v1"))
    (2, None)
    """
    from gymnasium.spaces import Discrete

    return int(env.action_space.n) if isinstance(env.action_space, Discrete) else None


def strip_version(env_id: str) -> str:
    """Return the environment's name without its version.

    >>> strip_version("Hopper-v5")
    'Hopper'
    """
    return env_id.split("-v", maxsplit=1)[0]


def find_plain_id(env_id: str) -> str:
    """Return the id that a file names, without importing anything: files must not decide which modules are imported.

    Gymnasium imports the module before a colon. This function returns the id after it, if it is registered already.

    Raises:
        PotstillError: the id names a module, and is not registered.

    >>> find_plain_id("gymnasium:Pendulum-v1")
    'Pendulum-v1'
    """
    if ":" not in env_id:
        return env_id
    import gymnasium

    plain = env_id.rpartition(":")[2]
    if plain not in gymnasium.registry:
        raise PotstillError(
            f"{env_id} names a module, which is imported only if you name it yourself: set "
            f"{name_option('env_id', env_id)}"
        )
    return plain


def find_time_limit(env_id: str) -> int | None:
    """Find the number of steps after which Gymnasium truncates an episode; ``None`` without a limit."""
    import gymnasium

    return gymnasium.spec(env_id.rpartition(":")[2]).max_episode_steps  # make() imports the module before the colon


def find_registered_limit(env_id: str | None) -> int | None:
    """Find the time limit of an environment, or ``None`` if there is none or the environment is not registered."""
    if env_id is None:
        return None
    import gymnasium

    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    return None if spec is None else spec.max_episode_steps


def find_action_bounds(env_id: str) -> tuple[Float[np.ndarray, " A"], Float[np.ndarray, " A"]]:
    """Find the lowest and the highest continuous action of an environment, float32, in its own units."""
    env = make(env_id)
    low, high = env.action_space.low, env.action_space.high
    env.close()
    return low.astype(np.float32), high.astype(np.float32)
