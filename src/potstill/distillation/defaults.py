"""Defaults that depend on the data, the teacher or the student: weighting, state noise and action limit."""

from __future__ import annotations

from potstill.data.blocks import extremes
from potstill.data.transitions import Transitions
from potstill.distillation.objectives.base import ObjectiveFunction
from potstill.students.recipe import Recipe
from potstill.teachers.base import Teacher
from potstill.teachers.rows import find_order_breaks

STATE_NOISE = 0.2  # in standard deviations of the dataset's states


def default_states(
    objective: ObjectiveFunction | None, data: Transitions, teacher: Teacher | None, recipe: Recipe
) -> tuple[str, float]:
    """The weighting of states and the state noise that apply unless others are chosen.

    Only objectives that judge values (the Q-gap) get other states than the data's; all others follow their papers.
    Where the environment ends episodes, a student's first task is not to fall. Its errors lead it to states beside
    the data's, and it falls if it has learned nothing there. Noise of 0.2 standard deviations covers some of them, and
    the weighting ``opening`` covers the first steps. Where the environment never ends an episode, precision along the
    teacher's path matters: the weighting ``occupancy``, and half of the noise. On the benchmark each choice helps
    where it is used and costs where the other one is (docs: weights). Students that undershoot err more: they get
    twice the noise and no ``opening``, which they do not learn. Rows in another order than that of their episodes do
    not show which state led to which; they get noise where episodes end, and nothing else.

    Returns:
        Names of weightings, separated by commas, and the standard deviation of the noise.
    """
    own = getattr(objective, "default_weighting", "uniform")
    if not getattr(objective, "judges_values", False) or teacher is None:
        return own, 0.0
    noise, terminates = STATE_NOISE * (2.0 if recipe.undershoots else 1.0), extremes(data.terminations)[1]
    if terminates and (recipe.undershoots or find_order_breaks(data)[1]):
        return own, noise
    if terminates:
        return "opening", noise
    return (own, 0.0) if find_order_breaks(data)[1] else ("occupancy", noise / 2.0)


def default_action_limit(recipe: Recipe) -> float:
    """The largest action that a pair may ask for unless another limit is chosen, where the bounds are ±1.

    Under-trained students undershoot their targets, most where tanh saturates (:attr:`Recipe.undershoots`). For them
    the limit is 2: no student reaches such a target, but it brings them closer to the bounds.
    """
    return 2.0 if recipe.undershoots else 1.0
