"""The states of the outer loss of ``potstill distill``: where their default is the dataset's, and what follows."""

from __future__ import annotations

from typing import Any

from potstill.config.parts import NamedPart, resolve_part
from potstill.distillation.objectives import OBJECTIVES
from potstill.distillation.solvers import SOLVERS
from potstill.errors import PotstillError, name_option
from potstill.runtime.files import JsonObject
from potstill.students.recipe import RECIPES, Recipe

USUAL_STEPS = 150  # about the number after which the default converges
IMAGINED_STEPS = 600  # on imagined states, the loss still falls after 150 steps

OF_DATA: JsonObject = {
    "labels": "learned", "solver": "kernel", "recipe": "default", "batch": 1024, "choose": "last",
    "rollout_steps": 0, "rollout_noise": 0.0,
}  # fmt: skip
"""Defaults that depend on the states of the outer loss."""
IMAGINED: JsonObject = {
    "labels": "teacher", "solver": "portfolio", "recipe": "adam-towers", "batch": 512, "choose": "imagined",
    "rollout_steps": 16, "rollout_noise": 0.3,
}  # fmt: skip


def find_obstacle(config: Any) -> str | None:
    """Find an option of a :class:`~potstill.config.DistillConfig` that makes the dataset's states the default.

    Imagined states have no weights, need a teacher, a world model and a fixed number of steps, and were measured with
    the solver ``portfolio`` and students of Adam.

    Returns:
        The option as it is written, or ``None`` if the world model decides.

    >>> from potstill.config import DistillConfig
    >>> find_obstacle(DistillConfig("x", weighting="uniform")), find_obstacle(DistillConfig("x", seed=1))
    ("weighting='uniform'", None)
    """
    of_data = config.states == "data"  # then the solver and the recipe may be the defaults that follow from it
    others = {
        "preset": config.preset is not None,
        "private_noise": config.private_noise is not None,
        "objective": not _is_for_visits(config.objective),
        "weighting": config.weighting is not None,
        "budget": config.budget is not None and config.world is None,
        "max_steps": config.max_steps is not None,
        "widths": bool(config.widths),
        "polish": config.polish > 0,
        "learn": config.learn in ("step-size", "both"),
        "initial_actions": config.initial_actions == "data",
        "solver": not (of_data and config.solver in ("kernel", "interpolation")) and not _is_portfolio(config.solver),
        "recipe": not (of_data and config.recipe == OF_DATA["recipe"]) and not _is_for_portfolio(config.recipe),
    }
    name = next((name for name, given in others.items() if given), None)
    if name is None:
        return None
    value = getattr(config, name)
    values = value if isinstance(value, tuple) else (value,)
    return name_option(name, *values) if all(isinstance(x, str | int | float) for x in values) else name_option(name)


def _is_for_visits(objective: object) -> bool:
    """Whether an objective has a teacher, and no weights of its own for the dataset's states."""
    name = objective.name if isinstance(objective, NamedPart) else objective
    if name == "q-gap":
        return True
    if isinstance(name, str):
        if name not in OBJECTIVES:  # random; or an unknown name, which is refused later
            return False
        objective = OBJECTIVES[name]
    taught = bool(getattr(objective, "needs_teacher", True))
    return taught and getattr(objective, "default_weighting", "uniform") == "uniform"


def _is_portfolio(solver: object) -> bool:
    name = solver.name if isinstance(solver, NamedPart) else solver
    return name in (None, "portfolio") if name is None or isinstance(name, str) else type(name) is SOLVERS["portfolio"]


def _is_for_portfolio(recipe: object) -> bool:
    """Whether a recipe is one of Adam that the portfolio takes."""
    if recipe in (None, IMAGINED["recipe"]):
        return True
    if find_optimiser(recipe) == "sgd":
        return False
    try:
        found = resolve_part("recipe", recipe, {"": RECIPES["default"], **RECIPES})
        if isinstance(found, Recipe):
            SOLVERS["portfolio"](found)
    except PotstillError:  # what is wrong with the recipe is said later
        return False
    return True


def resolve_state_defaults(config: Any) -> JsonObject:
    """Resolve the default of the states and, if the states are known, the defaults that depend on them."""
    states: JsonObject = {"states": "data" if find_obstacle(config) else None}
    chosen = config.states or states["states"]
    if chosen is None:
        return states
    if chosen != "data":
        return {**states, **IMAGINED, **({"rollout_noise": 0.0} if config.rollout_steps == 0 else {})}
    solver = {} if find_optimiser(config.recipe) == "sgd" else {"solver": "interpolation"}
    return {**states, **OF_DATA, **solver}


def check_rollouts(config: Any) -> None:
    """Raise if a :class:`~potstill.config.DistillConfig` has options of rollouts that have no effect."""
    asked = next((name for name in ("rollout_steps", "rollout_noise") if getattr(config, name)), None)
    if config.states == "data" and asked:
        given = name_option(asked, getattr(config, asked))
        raise PotstillError(f"{given} requires {name_option('states', 'imagined')} or auto")
    if config.rollout_noise and config.rollout_steps == 0:
        given = name_option("rollout_noise", config.rollout_noise)
        raise PotstillError(f"{given} has no effect without {name_option('rollout_steps')}")


def find_optimiser(recipe: object) -> str:
    """The optimiser of a recipe that is given by its name, by its name and fields, or as an object.

    >>> find_optimiser("adam"), find_optimiser(NamedPart("default", {"optimiser": "adamw"})), find_optimiser(None)
    ('adam', 'adamw', 'sgd')
    """
    if isinstance(recipe, NamedPart):
        return str(recipe.fields.get("optimiser") or find_optimiser(recipe.name))
    found = RECIPES.get(recipe) if isinstance(recipe, str) else recipe
    return found.optimiser if isinstance(found, Recipe) else "sgd"
