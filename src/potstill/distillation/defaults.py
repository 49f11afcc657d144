"""Defaults that depend on the data, the teacher or the student: weighting, state noise and action limit."""

from __future__ import annotations

from potstill.data.blocks import find_extremes
from potstill.data.transitions import Transitions
from potstill.distillation.objectives.base import ObjectiveFunction
from potstill.students.recipe import Recipe
from potstill.teachers.base import Teacher
from potstill.teachers.rows import find_order_breaks

STATE_NOISE = 0.2  # in standard deviations of the dataset's states


def choose_default_states(
    objective: ObjectiveFunction | None, data: Transitions, teacher: Teacher | None, recipe: Recipe
) -> tuple[str, float]:
    """Choose the default weighting of states and the default state noise.

    Objectives that do not evaluate the critics at the student's actions have no noise by default, as in their papers.
    For the Q-gap the defaults depend on the data:

    - If episodes terminate, a student must first learn not to fall. Its errors lead to states that the data do not
      contain, and it falls if it has not learned how to act there. Noise of 0.2 standard deviations covers some of
      these states; the weighting ``opening`` emphasises the first steps of an episode.
    - If no episode terminates, precision along the teacher's trajectories matters more: the weighting is
      ``occupancy``, with half of the noise.
    - Students that undershoot make larger errors. They get twice the noise, and no ``opening``, which does not help
      them.
    - If rows are not in the order of their episodes, no weighting by time or occupancy can be computed. Noise is then
      used only if episodes terminate.

    Returns:
        The names of weightings, separated by commas, and the standard deviation of the noise.
    """
    own = getattr(objective, "default_weighting", "uniform")
    if not getattr(objective, "uses_critics", False) or teacher is None:
        return own, 0.0
    noise, terminates = STATE_NOISE * (2.0 if recipe.undershoots else 1.0), find_extremes(data.terminations)[1]
    if terminates and (recipe.undershoots or find_order_breaks(data)[1]):
        return own, noise
    if terminates:
        return "opening", noise
    return (own, 0.0) if find_order_breaks(data)[1] else ("occupancy", noise / 2.0)


def choose_default_action_limit(recipe: Recipe) -> float:
    """Choose the default limit on the actions of pairs, in units in which the action bounds are ±1.

    Under-trained students undershoot their targets, most where tanh saturates (:attr:`Recipe.undershoots`). For them
    the limit is 2: targets above 1 are unreachable, but bring these students closer to the bounds.
    """
    return 2.0 if recipe.undershoots else 1.0
