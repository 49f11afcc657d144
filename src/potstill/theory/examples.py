"""MDPs and policies for which the bounds are reached."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.theory.drawing import check_above_zero
from potstill.theory.mdp import TabularMDP, find_optimal_policy


@check_arguments
class Example(NamedTuple):
    """An MDP, a teacher and a student: the arguments of the functions that evaluate theorems.

    Example:
        >>> from potstill.theory import draw_mdp, draw_policy, evaluate_theorem_2, find_optimal_policy
        >>> rng = np.random.default_rng(0)
        >>> mdp = draw_mdp(rng, states=5, actions=3)
        >>> example = Example(mdp, find_optimal_policy(mdp), draw_policy(rng, 5, 3))
        >>> abs(evaluate_theorem_2(*example).residual) < 1e-12
        True
    """

    mdp: TabularMDP
    """The MDP."""
    teacher: Float64[np.ndarray, "S A"]
    """π*, optimal in the examples."""
    student: Float64[np.ndarray, "S A"]
    """π."""


@check_arguments
def make_theorem_1_example(discount: float, share: float, max_reward: float = 1.0) -> Example:
    """One decision that determines all rewards: exactly half of the bound of Theorem 1 is reached.

    In state 0, action 0 gives R_max and leads to state 1, where every action gives R_max forever. Action 1 gives 0 and
    leads to state 2, where every action gives 0 forever. The teacher takes action 0; the student takes action 1 with
    probability ``share`` = δ in state 0. State 0 has the weight 1 − γ in d_π*, so ε = (1 − γ) δ, and

        J(π*) − J(π) = δ R_max / (1 − γ) = R_max ε / (1 − γ)²,        half of 2 R_max ε / (1 − γ)².

    As q* = 0 for action 1, Corollary 1 holds with equality.

    Args:
        discount: γ.
        share: δ, the probability of the student's wrong action, in [0, 1].
        max_reward: R_max.

    Raises:
        PotstillError: a number is out of range.

    Example:
        >>> from potstill.theory.mdp import compute_return
        >>> mdp, teacher, student = make_theorem_1_example(discount=0.5, share=0.25)
        >>> compute_return(mdp, teacher), compute_return(mdp, student)
        (2.0, 1.5)
    """
    check_share("make_theorem_1_example", share)
    check_above_zero("make_theorem_1_example: ", max_reward=max_reward)
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 1] = transitions[0, 1, 2] = 1.0
    transitions[1, :, 1] = transitions[2, :, 2] = 1.0
    rewards = max_reward * np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    teacher = np.array([[1.0, 0.0]] * 3)
    student = np.array([[1.0 - share, share], [1.0, 0.0], [1.0, 0.0]])
    return Example(TabularMDP(transitions, rewards, np.array([1.0, 0.0, 0.0]), discount), teacher, student)


@check_arguments
def make_corollary_1_example(mdp: TabularMDP, share: float) -> Example:
    """Add an action of value 0 to an MDP: Corollary 1 holds with equality.

    The added action gives the reward 0 and leads to an added state, where every action gives 0 forever. The teacher is
    optimal among the other actions. The student takes the added action with probability ``share`` in every state, and
    otherwise acts as the teacher: π* < π only where q_π* = 0.

    Args:
        mdp: an MDP with rewards of at least 0.
        share: the probability of the added action, in [0, 1].

    Raises:
        PotstillError: a reward is negative, or the share is outside [0, 1].

    Example:
        >>> from potstill.theory.drawing import draw_mdp
        >>> from potstill.theory.theorems import evaluate_corollary_1
        >>> example = make_corollary_1_example(draw_mdp(np.random.default_rng(0), 5, 3), share=0.3)
        >>> abs(evaluate_corollary_1(*example).slack) < 1e-12
        True
    """
    check_share("make_corollary_1_example", share)
    if mdp.rewards.min() < 0.0:
        raise PotstillError(f"make_corollary_1_example: a reward is {mdp.rewards.min():g}: expected at least 0")
    states, actions = mdp.rewards.shape
    transitions = np.zeros((states + 1, actions + 1, states + 1))
    transitions[:states, :actions, :states] = mdp.transitions
    transitions[:states, actions, states] = transitions[states, :, states] = 1.0
    teacher = np.pad(find_optimal_policy(mdp), ((0, 1), (0, 1)))
    teacher[states, 0] = 1.0
    student = (1.0 - share) * teacher
    student[:, actions] += share
    rewards, initial = np.pad(mdp.rewards, ((0, 1), (0, 1))), np.pad(mdp.initial, (0, 1))
    return Example(TabularMDP(transitions, rewards, initial, mdp.discount), teacher, student)


def check_share(name: str, share: float) -> None:
    """Raise unless a share is in [0, 1]."""
    if not 0.0 <= share <= 1.0:
        raise PotstillError(f"{name}: share {share}: expected a value in [0, 1]")
