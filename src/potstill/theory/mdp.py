"""Tabular MDPs: values, state distributions and returns of policies by linear equations, and optimal policies.

Symbols: S states, A actions, P [S, A, S] transition probabilities, r [S, A] rewards, γ discount, d⁰ [S] initial
distribution. A policy π [S, A] has a distribution over actions in each row. P_π and r_π are their means over the
actions of π.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import as_numbers

SUM_TOLERANCE = 1e-6  # float32 probabilities sum to 1 with this error
IMPROVEMENT = 1e-12  # least relative improvement of an action value that changes an optimal policy: above rounding


@check_arguments
@dataclass(frozen=True, eq=False)
class TabularMDP:
    """An MDP ⟨S, A, P, r, γ, d⁰⟩ with finitely many states and actions.

    Probabilities that sum to 1 within 10⁻⁶ are divided by their sum. Rewards may have any sign; the theorems that
    assume r ≥ 0 check it.

    Raises:
        PotstillError: shapes disagree, a number is not finite, probabilities are negative or do not sum to 1, or the
            discount is not in [0, 1).

    Example:
        >>> mdp = TabularMDP([[[1.0], [1.0]]], rewards=[[0.0, 1.0]], initial=[1.0], discount=0.5)
        >>> float(compute_return(mdp, np.array([[0.0, 1.0]])))
        2.0
    """

    transitions: Float64[np.ndarray, "S A S"]
    """P, the probability of each next state after an action in a state."""
    rewards: Float64[np.ndarray, "S A"]
    """r, the reward of an action in a state."""
    initial: Float64[np.ndarray, " S"]
    """d⁰, the probability of each initial state."""
    discount: float
    """γ, at least 0 and below 1."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.discount < 1.0:
            raise PotstillError(f"TabularMDP.discount {self.discount}: expected a value in [0, 1)")
        found = {
            "transitions": as_distributions("TabularMDP.transitions", self.transitions, axes=3),
            "rewards": as_float64("TabularMDP.rewards", self.rewards, axes=2),
            "initial": as_distributions("TabularMDP.initial", self.initial, axes=1),
        }
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


def as_float64(label: str, values: object, axes: int) -> Float64[np.ndarray, "..."]:
    """Convert values to an array of finite float64 numbers with this number of axes.

    Raises:
        PotstillError: the values are not such numbers.
    """
    with contextlib.suppress(ValueError):  # lists of different lengths, which as_numbers reports
        values = np.asarray(values)
    return as_numbers(label, values, axes).astype(np.float64)


def as_distributions(label: str, values: object, axes: int) -> Float64[np.ndarray, "..."]:
    """Convert values to an array whose last axis holds probability distributions.

    Args:
        label: name of the array in messages.
        values: an array or nested lists.
        axes: the number of axes.

    Raises:
        PotstillError: the values are not numbers, not finite, negative, or do not sum to 1.

    >>> as_distributions("policy", np.array([[0.5, 0.4]]), axes=2)
    Traceback (most recent call last):
    potstill.errors.PotstillError: policy[0] sums to 0.9: expected probabilities that sum to 1
    """
    array = as_float64(label, values, axes)
    if (array < 0.0).any():
        where = tuple(np.argwhere(array < 0.0)[0])
        raise PotstillError(f"{label}[{_join(where)}] is {array[where]:g}: expected a probability, at least 0")
    sums = array.sum(axis=-1, keepdims=True)
    if (wrong := np.abs(sums - 1.0) > SUM_TOLERANCE).any():
        where = tuple(np.argwhere(wrong)[0])
        place = f"[{_join(where[:-1])}]" if axes > 1 else ""
        raise PotstillError(f"{label}{place} sums to {sums[where]:.6g}: expected probabilities that sum to 1")
    normalised: Float64[np.ndarray, "..."] = array / sums
    return normalised


def as_pair(
    teacher: object, student: object, states: object
) -> tuple[Float64[np.ndarray, "S A"], Float64[np.ndarray, "S A"], Float64[np.ndarray, " S"]]:
    """Convert two policies and a distribution of states to arrays of probabilities.

    Raises:
        PotstillError: one of them does not consist of distributions, or their shapes disagree.
    """
    found = as_distributions("teacher", teacher, axes=2)
    other = as_shaped("student", as_distributions("student", student, axes=2), found.shape)
    return found, other, as_shaped("states", as_distributions("states", states, axes=1), found.shape[:1])


def as_shaped(label: str, values: object, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    """Convert values to an array of finite float64 numbers with this shape.

    Raises:
        PotstillError: the values are not such numbers.
    """
    array = as_float64(label, values, len(shape))
    if array.shape != shape:
        raise PotstillError(f"{label} has shape {array.shape}: expected {shape}")
    return array


def _join(where: tuple[int, ...]) -> str:
    return ", ".join(map(str, where))


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
        found: Float64[np.ndarray, "*K S"] = np.linalg.solve(self._system, rewards[..., None])[..., 0]
        return found

    @functools.cached_property
    def action_values(self) -> Float64[np.ndarray, "*K S A"]:
        """q_π."""
        later: Float64[np.ndarray, "*K S A"] = np.einsum("sat,...t->...sa", self.mdp.transitions, self.state_values)
        return self.mdp.rewards + self.mdp.discount * later

    @functools.cached_property
    def states(self) -> Float64[np.ndarray, "*K S"]:
        """d_π."""
        initial = np.broadcast_to((1.0 - self.mdp.discount) * self.mdp.initial, self.policy.shape[:-1])
        found: Float64[np.ndarray, "*K S"] = np.linalg.solve(np.swapaxes(self._system, -1, -2), initial[..., None])
        return found[..., 0]

    @functools.cached_property
    def expected_return(self) -> Float64[np.ndarray, "*K"]:
        """J(π)."""
        return np.asarray(self.state_values @ self.mdp.initial)

    def integrate(self, integrand: Float64[np.ndarray, "*K S A"]) -> Float64[np.ndarray, "*K"]:
        """1/(1 − γ) · E_{s~d_π} Σ_a f(s, a) for an integrand f."""
        return np.asarray((self.states * integrand.sum(axis=-1)).sum(axis=-1) / (1.0 - self.mdp.discount))


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
