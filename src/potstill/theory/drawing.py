"""Random tabular MDPs and policies."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_least
from potstill.theory.distributions import as_distributions
from potstill.theory.mdp import TabularMDP

MOST = 10**8  # transition probabilities: 800 MB


@check_arguments
def draw_mdp(
    rng: np.random.Generator,
    states: int = 20,
    actions: int = 4,
    *,
    discount: float = 0.9,
    max_reward: float = 1.0,
    concentration: float = 1.0,
    rewarded: float = 1.0,
) -> TabularMDP:
    """Draw an MDP: Dirichlet transitions and initial distribution, rewards uniform in [0, R_max].

    Args:
        rng: the source of random numbers. Two MDPs drawn from equal generators differ only in what their arguments
            change.
        states: S, the number of states.
        actions: A, the number of actions.
        discount: γ.
        max_reward: R_max.
        concentration: of the Dirichlet distributions. At 1 every distribution over next states is equally likely;
            far below 1, most actions lead to a single state.
        rewarded: share of the state-action pairs with such a reward, at least one pair. The others have the reward 0.

    Raises:
        PotstillError: a number is out of range, or the MDP has more than 10⁸ transition probabilities.

    Example:
        >>> draw_mdp(np.random.default_rng(0), states=3, actions=2)
        TabularMDP(3 states, 2 actions, discount 0.9)
    """
    check_sizes("draw_mdp: ", states, actions)
    check_above_zero("draw_mdp: ", max_reward=max_reward, concentration=concentration)
    if not 0.0 < rewarded <= 1.0:
        raise PotstillError(f"draw_mdp: rewarded {rewarded}: expected a value in (0, 1]")
    transitions = _draw_dirichlet(rng, concentration, (states, actions, states))
    rewards = rng.uniform(0.0, max_reward, states * actions)
    rewards[rng.permutation(len(rewards))[max(1, round(rewarded * len(rewards))) :]] = 0.0
    return TabularMDP(transitions, rewards.reshape(states, actions), _draw_dirichlet(rng, 1.0, (states,)), discount)


@check_arguments
def draw_policy(
    rng: np.random.Generator, states: int, actions: int, concentration: float = 1.0
) -> Float64[np.ndarray, "S A"]:
    """Draw a policy: a Dirichlet distribution over actions in each state.

    Args:
        rng: the source of random numbers.
        states: S, the number of states.
        actions: A, the number of actions.
        concentration: of the Dirichlet distributions.

    Raises:
        PotstillError: a number is out of range.

    Example:
        >>> draw_policy(np.random.default_rng(0), 3, 2).sum(axis=1).round(12).tolist()
        [1.0, 1.0, 1.0]
    """
    check_least("draw_policy: states", states, 1)
    check_least("draw_policy: actions", actions, 1)
    check_above_zero("draw_policy: ", concentration=concentration)
    return _draw_dirichlet(rng, concentration, (states, actions))


@check_arguments
def mix_policies(
    first: Float64[np.ndarray, "S A"], second: Float64[np.ndarray, "S A"], share: float | Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, "S A"]:
    """(1 − share) first + share second: the policy that takes the second's action with probability ``share``.

    Args:
        first: the policy at share 0.
        second: the policy at share 1.
        share: in [0, 1]; one number, or one for each state.

    Raises:
        PotstillError: a policy's rows are not distributions, shapes disagree, or a share is outside [0, 1].

    Example:
        >>> mix_policies(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), 0.25).tolist()
        [[0.75, 0.25]]
    """
    pair = [as_distributions(name, policy, axes=2) for name, policy in (("first", first), ("second", second))]
    if pair[0].shape != pair[1].shape:
        raise PotstillError(f"mix_policies: policies of shapes {pair[0].shape} and {pair[1].shape}")
    shares = np.asarray(share, np.float64)
    if shares.ndim and shares.shape != (len(pair[0]),):
        raise PotstillError(f"mix_policies: share has shape {shares.shape}: expected one share per state")
    if not ((shares >= 0.0) & (shares <= 1.0)).all():
        raise PotstillError("mix_policies: share is outside [0, 1]")
    shares = shares[..., None]
    mixed: Float64[np.ndarray, "S A"] = (1.0 - shares) * pair[0] + shares * pair[1]
    return mixed


def check_sizes(label: str, states: int, actions: int) -> None:
    """Raise unless an MDP of this size can be stored."""
    check_least(f"{label}states", states, 1)
    check_least(f"{label}actions", actions, 1)
    if (count := states * states * actions) > MOST:
        raise PotstillError(
            f"{label}{states} states and {actions} actions have {count:.1g} transition probabilities: "
            f"expected at most {MOST:.0g}"
        )


def check_above_zero(label: str, **values: float) -> None:
    """Raise unless all values are finite and above 0."""
    for name, value in values.items():
        if not 0.0 < value < np.inf:
            raise PotstillError(f"{label}{name} {value}: expected a finite number above 0")


def _draw_dirichlet(
    rng: np.random.Generator, concentration: float, shape: tuple[int, ...]
) -> Float64[np.ndarray, "..."]:
    """Dirichlet distributions over the last axis."""
    drawn: Float64[np.ndarray, "..."] = rng.dirichlet(np.full(shape[-1], concentration), size=shape[:-1])
    return drawn
