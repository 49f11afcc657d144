"""Tabular MDPs: values, state distributions and returns of policies by linear equations, and optimal policies.

Symbols: S states, A actions, P [S, A, S] transition probabilities, r [S, A] rewards, γ discount, d⁰ [S] initial
distribution. A policy π [S, A] has a distribution over actions in each row. P_π and r_π are their means over the
actions of π.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.theory.distributions import as_distributions, as_float64, as_shaped

MOST_DISCOUNT = 1.0 - 1e-9  # rounding errors of values grow as 1 / (1 − γ)
MOST_REWARD = 1e100  # products of values do not overflow
IMPROVEMENT = 1e-12  # least relative improvement of an action value that changes an optimal policy: above rounding


@check_arguments
@dataclass(frozen=True, eq=False)
class TabularMDP:
    """An MDP ⟨S, A, P, r, γ, d⁰⟩ with finitely many states and actions.

    Probabilities that sum to 1 within 10⁻⁶ are divided by their sum. Rewards may have any sign; the theorems that
    assume r ≥ 0 check it.

    Raises:
        PotstillError: shapes disagree, a number is not finite, a reward is above 10¹⁰⁰ in size, probabilities are
            negative or do not sum to 1, or the discount is not in [0, 1 − 10⁻⁹].

    Example:
        >>> mdp = TabularMDP([[[1.0], [1.0]]], rewards=[[0.0, 1.0]], initial=[1.0], discount=0.5)
        >>> compute_return(mdp, np.array([[0.0, 1.0]]))
        2.0
    """

    transitions: Float64[np.ndarray, "S A S"]
    """P, the probability of each next state after an action in a state."""
    rewards: Float64[np.ndarray, "S A"]
    """r, the reward of an action in a state."""
    initial: Float64[np.ndarray, " S"]
    """d⁰, the probability of each initial state."""
    discount: float
    """γ, at least 0 and at most 1 − 10⁻⁹."""

    def __post_init__(self) -> None:
        check_discount("TabularMDP.discount", self.discount)
        found = {
            "transitions": as_distributions("TabularMDP.transitions", self.transitions, axes=3),
            "rewards": as_float64("TabularMDP.rewards", self.rewards, axes=2),
            "initial": as_distributions("TabularMDP.initial", self.initial, axes=1),
        }
        if (largest := np.abs(found["rewards"]).max()) > MOST_REWARD:
            raise PotstillError(f"TabularMDP.rewards: {largest:g} in size: expected at most {MOST_REWARD:g}")
        for name, array in found.items():
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        states, actions = self.rewards.shape
        return f"TabularMDP({states} states, {actions} actions, discount {self.discount:g})"

    def shift_rewards(self, shift: float) -> TabularMDP:
        """The same MDP with ``shift`` added to all rewards.

        >>> TabularMDP([[[1.0]]], rewards=[[2.0]], initial=[1.0], discount=0.5).shift_rewards(-3.0).rewards.tolist()
        [[-1.0]]
        """
        return dataclasses.replace(self, rewards=self.rewards + shift)


def check_discount(label: str, discount: float) -> None:
    """Raise unless values at this discount can be computed."""
    if not 0.0 <= discount <= MOST_DISCOUNT:
        raise PotstillError(f"{label} {discount}: expected a value in [0, 1 − 1e-9]")


def as_policy(mdp: TabularMDP, policy: object, label: str = "policy") -> Float64[np.ndarray, "S A"]:
    """Convert a policy for ``mdp`` to an array of probabilities [S, A].

    Raises:
        PotstillError: it has another shape, or its rows are not distributions over actions.
    """
    return as_shaped(label, as_distributions(label, policy, axes=2), mdp.rewards.shape)


class Solution:
    """Values, state distributions and returns of policies in an MDP, each computed on first use.

    The policies may have leading axes: [..., S, A]. They are not checked: :func:`as_policy` does that. Theorems need
    several of these quantities for two policies, and measurements need them for many.
    """

    def __init__(self, mdp: TabularMDP, policy: Float64[np.ndarray, "*K S A"]) -> None:
        self.mdp, self.policy = mdp, policy

    @functools.cached_property
    def _system(self) -> Float64[np.ndarray, "*K S S"]:
        """I − γ P_π."""
        mean: Float64[np.ndarray, "*K S S"] = np.einsum("...sa,sat->...st", self.policy, self.mdp.transitions)
        return np.eye(mean.shape[-1]) - self.mdp.discount * mean

    @functools.cached_property
    def state_values(self) -> Float64[np.ndarray, "*K S"]:
        """v_π."""
        rewards = (self.policy * self.mdp.rewards).sum(axis=-1)
        return _solve(self._system, rewards)

    @functools.cached_property
    def action_values(self) -> Float64[np.ndarray, "*K S A"]:
        """q_π."""
        later: Float64[np.ndarray, "*K S A"] = np.einsum("sat,...t->...sa", self.mdp.transitions, self.state_values)
        return self.mdp.rewards + self.mdp.discount * later

    @functools.cached_property
    def states(self) -> Float64[np.ndarray, "*K S"]:
        """d_π."""
        initial = np.broadcast_to((1.0 - self.mdp.discount) * self.mdp.initial, self.policy.shape[:-1])
        return _solve(np.swapaxes(self._system, -1, -2), initial)

    @functools.cached_property
    def expected_return(self) -> Float64[np.ndarray, "*K"]:
        """J(π)."""
        return np.asarray(self.state_values @ self.mdp.initial)

    def integrate(self, integrand: Float64[np.ndarray, "*K S A"]) -> Float64[np.ndarray, "*K"]:
        """1/(1 − γ) · E_{s~d_π} Σ_a f(s, a) for an integrand f."""
        return np.asarray((self.states * integrand.sum(axis=-1)).sum(axis=-1) / (1.0 - self.mdp.discount))


def _solve(system: Float64[np.ndarray, "*K S S"], right: Float64[np.ndarray, "*K S"]) -> Float64[np.ndarray, "*K S"]:
    found: Float64[np.ndarray, "*K S"] = np.linalg.solve(system, right[..., None])[..., 0]
    return found


def solve_pair(mdp: TabularMDP, teacher: object, student: object) -> tuple[Solution, Solution]:
    """The solutions of a teacher and a student.

    Raises:
        PotstillError: a policy does not fit the MDP, or its rows are not distributions over actions.
    """
    return Solution(mdp, as_policy(mdp, teacher, "teacher")), Solution(mdp, as_policy(mdp, student, "student"))


@check_arguments
def compute_state_values(mdp: TabularMDP, policy: Float64[np.ndarray, "S A"]) -> Float64[np.ndarray, " S"]:
    """v_π = (I − γ P_π)⁻¹ r_π, the expected discounted return from each state.

    Args:
        mdp: the MDP.
        policy: π, the probability of each action in each state.

    Raises:
        PotstillError: the policy does not fit the MDP, or its rows are not distributions.

    Example:
        >>> mdp = TabularMDP([[[1.0]]], rewards=[[1.0]], initial=[1.0], discount=0.75)
        >>> compute_state_values(mdp, np.ones((1, 1))).tolist()
        [4.0]
    """
    return Solution(mdp, as_policy(mdp, policy)).state_values


@check_arguments
def compute_action_values(mdp: TabularMDP, policy: Float64[np.ndarray, "S A"]) -> Float64[np.ndarray, "S A"]:
    """q_π = r + γ P v_π, the expected discounted return after an action in a state.

    Args:
        mdp: the MDP.
        policy: π, which acts after the first action.

    Raises:
        PotstillError: as :func:`compute_state_values`.

    Example:
        >>> mdp = TabularMDP([[[1.0], [1.0]]], rewards=[[0.0, 1.0]], initial=[1.0], discount=0.5)
        >>> compute_action_values(mdp, np.array([[0.0, 1.0]])).tolist()
        [[1.0, 2.0]]
    """
    return Solution(mdp, as_policy(mdp, policy)).action_values


@check_arguments
def compute_state_distribution(mdp: TabularMDP, policy: Float64[np.ndarray, "S A"]) -> Float64[np.ndarray, " S"]:
    """d_π = (1 − γ) (I − γ P_πᵀ)⁻¹ d⁰, the discounted state distribution (1 − γ) Σ_t γᵗ Pr(s_t = s).

    Args:
        mdp: the MDP.
        policy: π, the policy that visits the states.

    Raises:
        PotstillError: as :func:`compute_state_values`.

    Example:
        >>> leave = TabularMDP([[[0.0, 1.0]], [[0.0, 1.0]]], [[0.0], [0.0]], initial=[1.0, 0.0], discount=0.5)
        >>> compute_state_distribution(leave, np.ones((2, 1))).tolist()
        [0.5, 0.5]
    """
    return Solution(mdp, as_policy(mdp, policy)).states


@check_arguments
def compute_return(mdp: TabularMDP, policy: Float64[np.ndarray, "S A"]) -> float:
    """J(π) = Σ_s d⁰(s) v_π(s) = E_π[Σ_t γᵗ r_t], the expected discounted return.

    Args:
        mdp: the MDP.
        policy: π, the probability of each action in each state.

    Raises:
        PotstillError: as :func:`compute_state_values`.

    Example:
        >>> compute_return(TabularMDP([[[1.0]]], [[1.0]], initial=[1.0], discount=0.75), np.ones((1, 1)))
        4.0
    """
    return float(Solution(mdp, as_policy(mdp, policy)).expected_return)


@check_arguments
def find_optimal_policy(mdp: TabularMDP) -> Float64[np.ndarray, "S A"]:
    """A deterministic policy with the highest return from every state, by policy iteration.

    Args:
        mdp: the MDP.

    Returns:
        π* as probabilities, each 0 or 1.

    Example:
        >>> mdp = TabularMDP([[[1.0], [1.0]]], rewards=[[0.0, 1.0]], initial=[1.0], discount=0.5)
        >>> find_optimal_policy(mdp).tolist()
        [[0.0, 1.0]]
    """
    rows, actions = np.arange(len(mdp.rewards)), np.eye(mdp.rewards.shape[1])
    policy: Float64[np.ndarray, "S A"]
    chosen = mdp.rewards.argmax(axis=1)
    while True:  # each round raises a value by more than rounding, so no policy occurs twice
        policy = actions[chosen]
        values = Solution(mdp, policy).action_values
        best = values.argmax(axis=1)
        least = IMPROVEMENT * np.abs(values).max()
        better = values[rows, best] > values[rows, chosen] + least
        if not better.any():
            return policy
        chosen = np.where(better, best, chosen)
