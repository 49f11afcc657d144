"""Conversion of the settings of ``potstill distill`` to objects of the core."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import jax.numpy as jnp
import numpy as np

from potstill.config import DistillConfig
from potstill.config.parts import NamedPart, describe_part, resolve_part
from potstill.data.transitions import Transitions
from potstill.distillation import INITIAL_STATES
from potstill.distillation.defaults import STATE_NOISE, choose_default_action_limit, choose_default_states
from potstill.distillation.initial_states import InitialStates
from potstill.distillation.objectives import OBJECTIVES, WEIGHTINGS
from potstill.distillation.objectives.base import Objective, ObjectiveFunction, StateTable
from potstill.distillation.objectives.cloning import PolicyCloning
from potstill.distillation.objectives.weights import Weighting, combine_weightings
from potstill.distillation.settings import Labels, OuterSettings
from potstill.distillation.solvers import SOLVERS
from potstill.distillation.solvers.base import Solver
from potstill.distillation.stability import SAMPLE, stabilise
from potstill.errors import PotstillError, describe_object, make_unknown_name_error, name_option
from potstill.students.recipe import RECIPES, Recipe, find_recipe_name
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.rows import has_returns

CONSIDERED = 4096  # rows of the data from which pairs are chosen, to find out whether students train stably


@dataclass(frozen=True)
class Problem:
    """The objects of a distillation."""

    objective: ObjectiveFunction | None
    """``None``: random pairs that are not optimised."""
    solver: Solver
    choose_initial: InitialStates
    settings: OuterSettings
    weighting: str | None
    """Names of weightings. ``None``: the default for the data."""
    state_noise: float | None
    action_limit: float | None
    imagines: bool
    """Whether the states are visited in a world model."""
    names: dict[str, str]
    """Names of the objective, the solver and the recipe in the metadata."""
    needs_world: bool = False
    """Whether a world model visits the states or selects the pairs."""
    private: bool = False
    """Whether only private gradients may carry the data to the pairs, so that no default depends on the data."""
    size: int = SAMPLE
    """N, the number of pairs."""

    def check_actions(self, data: Transitions) -> None:
        """Raise if actions are discrete, and a part or a setting has no meaning for them."""
        if not data.action_bounds.discrete:
            return
        self._fit_to_actions(data)
        refused = {
            name_option("states", "imagined"): self.imagines,
            name_option("choose", "imagined"): self.needs_world,
            name_option("action_limit"): self.action_limit not in (None, 1.0),
        }
        for option, given in refused.items():
            if given:
                raise PotstillError(f"{data.name} has discrete actions: {option} applies only to continuous ones")

    def _fit_to_actions(self, data: Transitions) -> Problem:
        """Give the solver's recipe the loss, and the objective the form, for discrete or continuous actions."""
        discrete, objective = data.action_bounds.discrete, self.objective
        recipe = self.solver.recipe.fit_to_actions(discrete=discrete)
        objective = objective.fit_to_actions(discrete=discrete) if isinstance(objective, Objective) else objective
        if recipe == self.solver.recipe and objective == self.objective:
            return self
        return dataclasses.replace(self, objective=objective, solver=self.solver.with_recipe(recipe))

    @property
    def needs_teacher(self) -> bool:
        """Whether the objective uses the teacher."""
        return _needs_teacher(self.objective)

    def resolve_defaults(self, data: Transitions, teacher: NetworkTeacher | None) -> Problem:
        """Resolve the defaults that depend on the data, and lower a learning rate at which students would diverge."""
        uses_critics = getattr(self.objective, "uses_critics", False)
        if uses_critics and not self.private and not _has_values(teacher, data):
            print("the rewards do not distinguish policies, so critics are uninformative: using objective pbc")
            names = {**self.names, "objective": "pbc"}
            return dataclasses.replace(self, objective=PolicyCloning(), names=names).resolve_defaults(data, teacher)
        fitted = self._fit_to_actions(data)
        if fitted is not self:
            return fitted.resolve_defaults(data, teacher)
        recipe = self.solver.recipe
        stable = stabilise(
            recipe, self._sample_states(data, teacher), data.action_size, self._sample_pairs(data, teacher)
        )
        solver, names = self.solver, self.names
        if stable != recipe:
            print(
                f"the students' learning rate {recipe.learning_rate:g} would not be stable on {data.name}: "
                f"using {stable.learning_rate:g}"
            )
            solver, names, recipe = (
                self.solver.with_recipe(stable),
                {**names, "recipe": find_recipe_name(stable)},
                stable,
            )
        if self.private:
            weighting, noise = "uniform", STATE_NOISE if uses_critics else 0.0
        else:
            weighting, noise = choose_default_states(self.objective, data, teacher, recipe)
        if self.imagines:  # visited states have equal weights, and the rollouts already have noisy actions
            weighting, noise = "uniform", 0.0
        noise = noise if self.state_noise is None else self.state_noise
        limit = choose_default_action_limit(recipe) if self.action_limit is None else self.action_limit
        limit = 1.0 if recipe.loss == "cross-entropy" else limit
        settings = dataclasses.replace(self.settings, state_noise=noise, action_limit=limit)
        return dataclasses.replace(
            self, settings=settings, weighting=self.weighting or weighting, solver=solver, names=names
        )

    def _sample_states(self, data: Transitions, teacher: NetworkTeacher | None) -> np.ndarray:
        """Standardised states of the data; random ones if no default may depend on the data."""
        if self.private:
            return np.random.default_rng(0).normal(size=(SAMPLE, data.state_size)).astype(np.float32)
        return _take_evenly(data, teacher, SAMPLE)

    def _sample_pairs(self, data: Transitions, teacher: NetworkTeacher | None) -> np.ndarray | None:
        """States as those of the initial pairs, at most :data:`SAMPLE`, if the students' steps depend on them."""
        if self.private or self.solver.recipe.optimiser != "sgd":
            return None
        states = _take_evenly(data, teacher, CONSIDERED)
        ones = jnp.ones((len(states), 1))
        table = StateTable(
            jnp.asarray(states), ones, ones, critic_values=ones, weights=ones[:, 0], value_scale=jnp.ones(())
        )
        rows = self.choose_initial(table, min(self.size, SAMPLE, len(states)), np.random.default_rng(0))
        return states[rows]


def _take_evenly(data: Transitions, teacher: NetworkTeacher | None, count: int) -> np.ndarray:
    """Standardised states of evenly spaced rows."""
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), count), dtype=int))
    return (data if teacher is None else teacher).normaliser(data.take(rows).observations)


def _needs_teacher(objective: ObjectiveFunction | None) -> bool:
    return objective is not None and bool(getattr(objective, "needs_teacher", True))


def _has_values(teacher: NetworkTeacher | None, data: Transitions) -> bool:
    """Whether the teacher's critics may have been fitted to rewards that distinguish policies."""
    own = teacher is not None and teacher.metadata.get("dataset_hash") == data.content_hash
    return not own or has_returns(data)


def resolve_problem(config: DistillConfig) -> Problem:
    """Convert names to objects, before any data are read. A config without states is resolved as for imagined ones.

    Raises:
        PotstillError: an unknown name or field, or incompatible parts.
    """
    config = dataclasses.replace(config, states="auto") if config.states is None else config
    solver = resolve_solver(config)
    objective = resolve_objective(config.objective)
    resolve_weighting(config.weighting)
    choose_initial = INITIAL_STATES[config.initial]
    if config.learn in ("step-size", "both") and solver.recipe.optimiser != "sgd":
        raise PotstillError(
            f"{name_option('learn', config.learn)}: Adam is invariant to a factor on the loss: choose optimiser sgd"
        )
    taught = _needs_teacher(objective)
    if config.state_noise and not taught:
        raise PotstillError(
            f"{name_option('state_noise', config.state_noise)} requires an objective with a teacher, which acts in the "
            "noisy states"
        )
    labelled = {name_option("labels", "teacher"): config.labels == "teacher"}
    for option, asked in {**labelled, name_option("states", "imagined"): config.states != "data"}.items():
        if asked and not taught:
            raise PotstillError(f"{option} requires an objective with a teacher, such as pbc or q-gap")
    if config.world is not None and config.states == "data" and config.choose != "imagined":
        needed = f"{name_option('states', 'imagined')} or auto, or {name_option('choose', 'imagined')}"
        raise PotstillError(f"{name_option('world')} has no effect without {needed}")
    if config.weighting is not None and config.states != "data":
        raise PotstillError(
            f"{name_option('weighting')} cannot be used with {name_option('states', config.states)}: imagined states "
            "have no weights"
        )
    if not solver.trains_networks and (config.initialisations > 1 or config.widths):
        raise PotstillError(
            f"{name_option('initialisations')} and {name_option('widths')} require a solver that trains networks, "
            f"such as {name_option('solver', 'unroll')}"
        )
    settings = OuterSettings(
        batch=cast(int, config.batch),  # DistillConfig has replaced None by the default
        optimiser=config.optimiser,
        learning_rate=config.learning_rate,
        clip=config.clip,
        initialisations=config.initialisations,
        widths=config.widths,
        learn=config.learn,
        average=config.average,
        polish=config.polish,
        labels=cast(Labels, config.labels),
    )
    names = {
        "objective": find_part_name("objective", config.objective, OBJECTIVES),
        "solver": find_part_name("solver", config.solver, SOLVERS),
        "recipe": find_recipe_name(solver.recipe),
    }
    given, imagines = (config.weighting, config.state_noise, config.action_limit), config.states != "data"
    needs_world, private = imagines or config.choose == "imagined", config.private_noise is not None
    return Problem(
        objective, solver, choose_initial, settings, *given, imagines, names, needs_world, private, config.size
    )


def resolve_recipe(recipe: object, unnamed: Recipe = RECIPES["default"]) -> Recipe:
    """Resolve the setting of a recipe. Fields without a name change the recipe ``unnamed``."""
    registry = {"": unnamed} if isinstance(recipe, NamedPart) and not recipe.name else RECIPES
    found = resolve_part("recipe", recipe, registry)
    if not isinstance(found, Recipe):
        raise PotstillError(f"the recipe is {describe_object(found)}: expected a name or a potstill.Recipe")
    return found


def combine_recipe(config: DistillConfig) -> DistillConfig:
    """Give a solver that is an object the recipe that is set beside it. Without one, it keeps its own."""
    if not isinstance(config.solver, Solver) or config.recipe == config.resolved_defaults.get("recipe"):
        return config
    return dataclasses.replace(config, solver=config.solver.with_recipe(resolve_recipe(config.recipe)))


def resolve_solver(config: DistillConfig) -> Solver:
    """Resolve the solver of a config, with the config's recipe. An object has its own, see :func:`combine_recipe`."""
    if isinstance(config.solver, Solver):
        return config.solver
    found = resolve_part("solver", config.solver, SOLVERS, recipe=resolve_recipe(config.recipe))
    if not isinstance(found, Solver):
        raise PotstillError(
            f"the solver is {describe_object(found)}: expected a name or a potstill.distillation.Solver"
        )
    return found


def resolve_objective(objective: object) -> ObjectiveFunction | None:
    """Resolve the setting of an objective. ``random`` gives ``None``."""
    if objective == "random":
        return None
    if isinstance(objective, str) and objective not in OBJECTIVES:
        raise make_unknown_name_error("objective", objective, [*OBJECTIVES, "random"])
    if isinstance(objective, NamedPart) and objective.name == "random":
        raise PotstillError(
            f"{name_option('objective.' + next(iter(objective.fields)))}: objective 'random' has no fields"
        )
    found = resolve_part("objective", objective, OBJECTIVES)
    found = found() if isinstance(found, type) else found
    if not callable(found):
        raise PotstillError(f"the objective is {describe_object(found)}: expected a name or a function")
    try:
        inspect.signature(found).bind("policy", "states", "teacher")
    except TypeError:
        taken = [
            p for p in inspect.signature(found).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        raise PotstillError(
            f"the objective takes {len(taken)} argument{'' if len(taken) == 1 else 's'}: expected three by position, "
            "(student_actions, batch, teacher)"
        ) from None
    except ValueError:  # a function without a known signature
        pass
    return cast(ObjectiveFunction, found)


def resolve_weighting(names: str | None) -> Weighting:
    """Resolve the setting of a weighting: the names of one or several, separated by commas. ``None``: uniform.

    Raises:
        PotstillError: a name is unknown or occurs twice.
    """
    found = [name.strip() for name in (names or "uniform").split(",")]
    weightings = [WEIGHTINGS[name] for name in found]
    if len(set(found)) < len(found):
        raise PotstillError(f"weighting '{names}': a name occurs twice")
    return combine_weightings(*weightings)


def find_part_name(kind: str, part: object, registry: Mapping[str, object]) -> str:
    """Find the name of a part in the metadata: its registered name, or that of the Python object."""
    described = describe_part(kind, part, registry, recipe=None)
    if isinstance(described, dict):
        return str(described["python"])
    return described if isinstance(described, str) else described.name  # type: ignore[attr-defined]
