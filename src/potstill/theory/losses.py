"""The outer objectives in tabular form, and what a shift of all rewards does to them.

A policy's "action" is here its distribution over actions, so that the squared distance of two policies in a state is
Σ_a (π* − π)². With r + c in place of r, J changes by c / (1 − γ) for every policy, and so do v and q in every state.
Lost returns, state distributions and optimal policies stay the same. Objectives that contain q* do not:

=====================  =========================================  =========================================
objective              definition                                 change with r + c
=====================  =========================================  =========================================
``pbc``                E_s Σ_a (π* − π)²                          0
``av-pbc``             E_s v*(s) Σ_a (π* − π)²                    c / (1 − γ) · PBC
``av-pbc, exact sum``  E_s Σ_a q*(s, a) (π* − π)²                 c / (1 − γ) · PBC
``corollary 1``        ``E_{s~d_π} Σ_a q* |π* − π| / (1 − γ)``    2c / (1 − γ)² · E_{s~d_π} [D_TV(π*, π)]
``q-gap``              E_s Σ_a q*(s, a) (π* − π)                  0
=====================  =========================================  =========================================
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from potstill.runtime.arguments import check_arguments
from potstill.theory.distributions import as_pair, as_shaped
from potstill.theory.mdp import Solution, TabularMDP, solve_pair
from potstill.theory.theorems import bound_by_corollary_1

OBJECTIVES = ("pbc", "av-pbc", "av-pbc, exact sum", "corollary 1", "q-gap")


@check_arguments
def compute_pbc(
    teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "S A"], states: Float64[np.ndarray, " S"]
) -> float:
    """PBC: E_s Σ_a (π* − π)².

    Args:
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state.

    Raises:
        PotstillError: an argument does not consist of probability distributions.

    Example:
        >>> compute_pbc(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), np.array([1.0]))
        0.5
    """
    return float(weighted_distance(*as_pair(teacher, student, states)))


@check_arguments
def compute_av_pbc(
    teacher: Float64[np.ndarray, "S A"],
    student: Float64[np.ndarray, "S A"],
    states: Float64[np.ndarray, " S"],
    weights: Float64[np.ndarray, " S"],
) -> float:
    """Av-PBC: E_s w(s) Σ_a (π* − π)². The paper's weight is q* of the teacher's action; its mean is v*(s).

    Args:
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state.
        weights: w, the weight of each state.

    Raises:
        PotstillError: an argument does not consist of probability distributions.

    Example:
        >>> compute_av_pbc(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]), np.array([1.0]), np.array([3.0]))
        1.5
    """
    teacher, student, states = as_pair(teacher, student, states)
    return float(weighted_distance(teacher, student, states * as_shaped("weights", weights, states.shape)))


@check_arguments
def compute_exact_av_pbc(
    teacher: Float64[np.ndarray, "S A"],
    student: Float64[np.ndarray, "S A"],
    states: Float64[np.ndarray, " S"],
    values: Float64[np.ndarray, "S A"],
) -> float:
    """The exact form of Av-PBC: E_s Σ_a q*(s, a) (π* − π)².

    Args:
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state.
        values: q*, the action values of the teacher.

    Raises:
        PotstillError: an argument does not consist of probability distributions.

    Example:
        >>> pair = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
        >>> compute_exact_av_pbc(*pair, np.array([1.0]), values=np.array([[4.0, 2.0]]))
        1.5
    """
    teacher, student, states = as_pair(teacher, student, states)
    return float(mean_product(states, as_shaped("values", values, teacher.shape), (teacher - student) ** 2))


@check_arguments
def compute_mean_q_gap(
    teacher: Float64[np.ndarray, "S A"],
    student: Float64[np.ndarray, "S A"],
    states: Float64[np.ndarray, " S"],
    values: Float64[np.ndarray, "S A"],
) -> float:
    """The Q-gap: E_s Σ_a q*(s, a) (π* − π), the integrand of Theorem 2 over any distribution of states.

    Args:
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state.
        values: q*, the action values of the teacher.

    Raises:
        PotstillError: an argument does not consist of probability distributions.

    Example:
        >>> pair = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
        >>> compute_mean_q_gap(*pair, np.array([1.0]), values=np.array([[4.0, 2.0]]))
        1.0
    """
    teacher, student, states = as_pair(teacher, student, states)
    return float(mean_product(states, as_shaped("values", values, teacher.shape), teacher - student))


@check_arguments
def compute_objectives(
    mdp: TabularMDP,
    teacher: Float64[np.ndarray, "S A"],
    student: Float64[np.ndarray, "S A"],
    states: Float64[np.ndarray, " S"],
) -> dict[str, float]:
    """Compute all objectives of a student, by their names in the table above.

    Corollary 1's expression is over the student's own states and is computed for rewards of any sign, also where it is
    no bound. The other objectives are over ``states``.

    Args:
        mdp: the MDP.
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state in the data.

    Raises:
        PotstillError: a policy does not fit the MDP.

    Example:
        >>> from potstill.theory.examples import make_theorem_1_example
        >>> compute_objectives(*make_theorem_1_example(discount=0.5, share=0.5), np.array([1.0, 0.0, 0.0]))
        {'pbc': 0.5, 'av-pbc': 1.0, 'av-pbc, exact sum': 0.5, 'corollary 1': 1.0, 'q-gap': 1.0}
    """
    pair = solve_pair(mdp, teacher, student)
    found = evaluate_objectives(*pair, as_pair(teacher, student, states)[2])
    return {name: float(value) for name, value in found.items()}


@check_arguments
def predict_shift(
    mdp: TabularMDP,
    teacher: Float64[np.ndarray, "S A"],
    student: Float64[np.ndarray, "S A"],
    states: Float64[np.ndarray, " S"],
    shift: float,
) -> dict[str, float]:
    """Predict the change of each objective if ``shift`` is added to all rewards, by the table above.

    Args:
        mdp: the MDP before the shift.
        teacher: π*, the probability of each action in each state.
        student: π, likewise.
        states: the probability of each state in the data.
        shift: c, what is added to all rewards.

    Raises:
        PotstillError: a policy does not fit the MDP, or a shifted reward is not finite.

    Example:
        >>> from potstill.theory.examples import make_theorem_1_example
        >>> predict_shift(*make_theorem_1_example(discount=0.5, share=0.5), np.array([1.0, 0.0, 0.0]), shift=-1.0)
        {'pbc': 0.0, 'av-pbc': -1.0, 'av-pbc, exact sum': -1.0, 'corollary 1': -2.0, 'q-gap': 0.0}
    """
    mdp.shift_rewards(shift)  # raises if the shift is not finite or too large
    pair = solve_pair(mdp, teacher, student)
    found = evaluate_shift(*pair, as_pair(teacher, student, states)[2], shift)
    return {name: float(value) for name, value in found.items()}


def weighted_distance(
    teacher: Float64[np.ndarray, "S A"], student: Float64[np.ndarray, "*K S A"], weights: Float64[np.ndarray, " S"]
) -> Float64[np.ndarray, "*K"]:
    """Σ_s w(s) Σ_a (π* − π)² of any number of students."""
    return np.asarray(((teacher - student) ** 2).sum(axis=-1) @ weights)


def mean_product(
    states: Float64[np.ndarray, " S"], values: Float64[np.ndarray, "S A"], factors: Float64[np.ndarray, "*K S A"]
) -> Float64[np.ndarray, "*K"]:
    """E_s Σ_a q(s, a) f(s, a)."""
    return np.asarray((values * factors).sum(axis=-1) @ states)


def evaluate_objectives(
    teacher: Solution, student: Solution, states: Float64[np.ndarray, " S"]
) -> dict[str, Float64[np.ndarray, "*K"]]:
    """:func:`compute_objectives` without checks, for any number of students."""
    values, difference = teacher.action_values, teacher.policy - student.policy
    found = (
        weighted_distance(teacher.policy, student.policy, states),
        weighted_distance(teacher.policy, student.policy, states * teacher.state_values),
        mean_product(states, values, difference**2),
        bound_by_corollary_1(teacher, student),
        mean_product(states, values, difference),
    )
    return dict(zip(OBJECTIVES, found, strict=True))


def evaluate_shift(
    teacher: Solution, student: Solution, states: Float64[np.ndarray, " S"], shift: float
) -> dict[str, Float64[np.ndarray, "*K"]]:
    """:func:`predict_shift` without checks, for any number of students."""
    value = shift / (1.0 - teacher.mdp.discount)
    weighted = np.asarray(value * weighted_distance(teacher.policy, student.policy, states))
    distances = 0.5 * np.abs(teacher.policy - student.policy)
    bound = np.asarray(2.0 * value * student.integrate(distances))
    none = np.zeros_like(bound)
    return dict(zip(OBJECTIVES, (none, weighted, weighted, bound, none), strict=True))
