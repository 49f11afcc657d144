"""Both sides of Theorem 1, Theorem 2 and Corollary 1 of the paper, and of a form of the corollary by advantages.

π* is the teacher, π the student, ``D_TV(π*, π) = ½ Σ_a |π* − π|``. The *lost return* is J(π*) − J(π). The theorems hold
for any two policies; π* need not be optimal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.theory.distributions import as_pair
from potstill.theory.mdp import Solution, TabularMDP, solve_pair

ROUNDING = 1e-9  # q* of rewards in [0, R_max] can be negative by this share of the largest one


@check_arguments
@dataclass(frozen=True)
class Equality:
    """Two sides that a theorem says are equal.

    >>> Equality(2.0, 1.5).residual
    0.5
    """

    left: float
    """The lost return, J(π*) − J(π)."""
    right: float
    """What the theorem says it equals."""

    @property
    def residual(self) -> float:
        """The difference of the sides, left − right: 0 up to rounding."""
        return self.left - self.right


@check_arguments
@dataclass(frozen=True)
class Bound:
    """A lost return and its bound.

    >>> Bound(lost=-2.0, bound=3.0).slack, Bound(lost=-2.0, bound=3.0).factor
    (1.0, 1.5)
    """

    lost: float
    """J(π*) − J(π)."""
    bound: float
    """The bound on the absolute value of the lost return."""

    @property
    def slack(self) -> float:
        """The bound minus the absolute lost return, never negative except by rounding."""
        return self.bound - abs(self.lost)

    @property
    def factor(self) -> float:
        """The bound divided by the absolute lost return: 1 if it is reached, infinite if nothing is lost."""
        return self.bound / abs(self.lost) if self.lost else float("inf")


@check_arguments
def compute_distance(
    teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "S A"], states: Float64[np.ndarray, " S"]
) -> float:
    """E_s [D_TV(π*, π)], the mean total-variation distance of two policies over a distribution of states.

    Args:
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state.

    Raises:
        PotstillError: an argument does not consist of probability distributions.

    Example:
        >>> compute_distance(np.array([[1.0, 0.0]]), np.array([[0.75, 0.25]]), np.array([1.0]))
        0.25
    """
    return float(mean_distance(*as_pair(teacher, student, states)))


@check_arguments
def evaluate_theorem_1(
    mdp: TabularMDP,
    teacher: Float64[np.ndarray, "S A"],
    student: Float64[np.ndarray, "S A"],
    *,
    max_reward: float | None = None,
) -> Bound:
    """Theorem 1, a bound by the distance of the policies in the states of the teacher.

    ::

        E_{s~d_π*} [D_TV(π*, π)] ≤ ε   ⇒   |J(π*) − J(π)| ≤ 2 R_max ε / (1 − γ)²

    ε is the expectation itself. Half of the bound holds as well. By Theorem 2 with the roles exchanged, the lost return
    is an expectation of Σ_a q_π (π* − π) over d_π*, divided by 1 − γ. In a state, this sum is at most D_TV times the
    range of q_π, and q_π lies in [0, R_max / (1 − γ)]. :func:`make_theorem_1_example` reaches half of the bound.

    Args:
        mdp: the MDP, with rewards in [0, R_max].
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        max_reward: R_max. Default: the highest reward.

    Raises:
        PotstillError: a policy does not fit the MDP, or a reward is negative or above R_max.

    Example:
        >>> from potstill.theory.examples import make_theorem_1_example
        >>> round(evaluate_theorem_1(*make_theorem_1_example(discount=0.9, share=0.5)).factor, 12)
        2.0
    """
    low, high = float(mdp.rewards.min()), float(mdp.rewards.max())
    most = high if max_reward is None else max_reward
    if low < 0.0 or not high <= most < np.inf:
        raise PotstillError(f"Theorem 1: rewards from {low:g} to {high:g}: expected rewards in [0, {max(most, 0.0):g}]")
    pair = solve_pair(mdp, teacher, student)
    return Bound(float(compute_lost(*pair)), float(bound_by_theorem_1(*pair, most)))


@check_arguments
def evaluate_theorem_2(
    mdp: TabularMDP, teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "S A"]
) -> Equality:
    """Theorem 2, an equality for the lost return.

    ::

        J(π*) − J(π) = 1/(1 − γ) · E_{s~d_π} Σ_a q_π*(s, a) (π*(a|s) − π(a|s))

    It holds for rewards of any sign. It is the performance difference lemma of Kakade and Langford 2002.

    Args:
        mdp: the MDP.
        teacher: π*, the probability of each action in each state.
        student: π, likewise.

    Raises:
        PotstillError: a policy does not fit the MDP.

    Example:
        >>> from potstill.theory.drawing import draw_mdp, draw_policy
        >>> rng = np.random.default_rng(0)
        >>> mdp, teacher, student = draw_mdp(rng, 5, 3), draw_policy(rng, 5, 3), draw_policy(rng, 5, 3)
        >>> abs(evaluate_theorem_2(mdp, teacher, student).residual) < 1e-12
        True
    """
    pair = solve_pair(mdp, teacher, student)
    return Equality(float(compute_lost(*pair)), float(integrate_by_theorem_2(*pair)))


@check_arguments
def evaluate_corollary_1(
    mdp: TabularMDP, teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "S A"]
) -> Bound:
    """Corollary 1, a bound by the distance of the policies, weighted by action values, in the states of the student.

    ::

        E_{s~d_π} Σ_a q_π*(s, a) |π*(a|s) − π(a|s)| ≤ ε   ⇒   |J(π*) − J(π)| ≤ ε / (1 − γ)

    ε is the expectation itself. The bound is the lost return if π* < π only where q_π* = 0, as in
    :func:`make_corollary_1_example`.

    Args:
        mdp: the MDP, with q_π* ≥ 0, as for rewards in [0, R_max].
        teacher: π*, the probability of each action in each state.
        student: π, likewise.

    Raises:
        PotstillError: a policy does not fit the MDP, or an action value of π* is negative.

    Example:
        >>> from potstill.theory.examples import make_theorem_1_example
        >>> round(evaluate_corollary_1(*make_theorem_1_example(discount=0.9, share=0.5)).factor, 12)
        1.0
    """
    pair = solve_pair(mdp, teacher, student)
    values = pair[0].action_values
    if values.min() < -ROUNDING * np.abs(values).max():
        raise PotstillError(f"Corollary 1: the lowest action value of the teacher is {values.min():g}: expected q* ≥ 0")
    return Bound(float(compute_lost(*pair)), float(bound_by_corollary_1(*pair)))


@check_arguments
def evaluate_advantage_bound(
    mdp: TabularMDP, teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "S A"]
) -> Bound:
    """Corollary 1 with advantages in place of action values.

    ::

        |J(π*) − J(π)| ≤ 1/(1 − γ) · E_{s~d_π} Σ_a |q_π*(s, a) − v_π*(s)| |π*(a|s) − π(a|s)|

    This form is not in the paper. It follows from Theorem 2: Σ_a (π* − π) = 0, so that any number that depends on s
    alone can be subtracted from q_π*. Rewards may have any sign, and a shift of all rewards does not change it.
    If π* is a deterministic optimal policy, it is the lost return itself: no term of the sum is then negative.

    Args:
        mdp: the MDP.
        teacher: π*, the probability of each action in each state.
        student: π, likewise.

    Raises:
        PotstillError: a policy does not fit the MDP.

    Example:
        >>> from potstill.theory.examples import make_theorem_1_example
        >>> round(evaluate_advantage_bound(*make_theorem_1_example(discount=0.9, share=0.5)).factor, 12)
        1.0
    """
    pair = solve_pair(mdp, teacher, student)
    return Bound(float(compute_lost(*pair)), float(bound_by_advantages(*pair)))


def mean_distance(
    teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "*K S A"], states: Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, "*K"]:
    """:func:`compute_distance` without checks, for any number of students."""
    return np.asarray(0.5 * np.abs(teacher - student).sum(axis=-1) @ states)


def compute_lost(teacher: Solution, student: Solution) -> Float64[np.ndarray, "*K"]:
    """J(π*) − J(π) of any number of students."""
    return np.asarray(teacher.expected_return - student.expected_return)


def bound_by_theorem_1(teacher: Solution, student: Solution, max_reward: float) -> Float64[np.ndarray, "*K"]:
    """The bound of :func:`evaluate_theorem_1`, without checks."""
    distance = mean_distance(teacher.policy, student.policy, teacher.states)
    return np.asarray(2.0 * max_reward * distance / (1.0 - teacher.mdp.discount) ** 2)


def integrate_by_theorem_2(teacher: Solution, student: Solution) -> Float64[np.ndarray, "*K"]:
    """The right side of :func:`evaluate_theorem_2`, without checks."""
    return student.integrate(teacher.action_values * (teacher.policy - student.policy))


def bound_by_corollary_1(teacher: Solution, student: Solution) -> Float64[np.ndarray, "*K"]:
    """The bound of :func:`evaluate_corollary_1`, without checks: it holds only if q_π* ≥ 0."""
    return student.integrate(teacher.action_values * np.abs(teacher.policy - student.policy))


def bound_by_advantages(teacher: Solution, student: Solution) -> Float64[np.ndarray, "*K"]:
    """The bound of :func:`evaluate_advantage_bound`, without checks."""
    advantages = teacher.action_values - teacher.state_values[..., None]
    return student.integrate(np.abs(advantages) * np.abs(teacher.policy - student.policy))
