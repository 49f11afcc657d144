"""The arguments of the commands in Python: objects in place of names, wrong arguments, signatures and docstrings."""

import dataclasses
import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import potstill
from potstill.cli import COMMANDS
from potstill.commands.resolve import combine_recipe
from potstill.config import DistillConfig
from potstill.config.settings import make_config
from potstill.distillation import KernelDescent, PolicyCloning, QGap, Solver, Unroll
from potstill.errors import PotstillError
from potstill.students import RECIPES, Recipe


def absolute(student_actions, batch, teacher):
    """‖π(s) − π*(s)‖₁ of each state."""
    return jnp.abs(student_actions - batch.teacher_actions).sum(-1)


BRIEF: dict[str, Any] = {"size": 6, "steps": 2, "batch": 32, "students": 1, "curve_points": 2}


def test_objects_replace_names(logs, tmp_path):
    """Objects with a registered name are recorded by name, so the run can be reproduced."""
    data, teacher = logs
    student = potstill.Recipe(steps=7, layers=3, width=16, initialisation="he")
    parts: dict[str, Any] = {
        "solver": Unroll(window=3),
        "recipe": student,
        "objective": QGap(critics="mean", weight=2.0),
    }
    run = potstill.distill(data, teacher=teacher, out=tmp_path / "run", **BRIEF, **parts)
    distillate = potstill.load(run)
    assert distillate.recipe == student
    names = {name: distillate.metadata[name] for name in ("objective", "solver", "recipe")}
    assert names == {"objective": "q-gap", "solver": "unroll", "recipe": "custom"}
    assert run.config["objective"] == {"name": "q-gap", "critics": "mean", "weight": 2.0}
    assert run.config["solver"] == {"name": "unroll", "window": 3}
    assert run.config["recipe"]["layers"] == 3
    command = distillate.metadata["command"]
    for words in (
        "--solver.window 3",
        "--objective q-gap --objective.critics mean --objective.weight 2.0",
        "--recipe.layers 3",
    ):
        assert words in command
    again = potstill.reproduce(run, out=tmp_path / "again")
    assert (again / "distillate.safetensors").read_bytes() == (run / "distillate.safetensors").read_bytes()


def test_recipe_object_equals_its_name(logs, tmp_path):
    data, teacher = logs
    recipes: list[Recipe | str] = [potstill.RECIPES["plain"], "plain"]
    run, named = (
        potstill.distill(data, teacher=teacher, recipe=recipe, out=tmp_path / str(i), **BRIEF)
        for i, recipe in enumerate(recipes)
    )
    assert run.config["recipe"] == "plain"
    assert (run / "distillate.safetensors").read_bytes() == (named / "distillate.safetensors").read_bytes()


def test_a_recipe_beside_a_solver_replaces_its_own():
    own = Unroll(Recipe(layers=3))
    for recipe, wanted in {None: own.recipe, "plain": RECIPES["plain"], "default": RECIPES["default"]}.items():
        config = make_config(DistillConfig, ("x",), {"solver": own, **({} if recipe is None else {"recipe": recipe})})
        assert combine_recipe(config).solver == own.with_recipe(wanted)


def test_an_objective_without_a_name_is_recorded_but_not_rerun(logs, tmp_path):
    data, teacher = logs
    run = potstill.distill(data, teacher=teacher, objective=absolute, out=tmp_path / "run", **BRIEF)
    name = f"{__name__}:absolute"
    assert run.config["objective"] == {"python": name}
    metadata = potstill.load(run).metadata
    assert metadata["objective"] == name
    assert metadata["settings"]["objective"] == {"python": name}
    assert run.result.curve[-1].held_out_loss > 0
    with pytest.raises(PotstillError, match=f"{name} was given in Python: only parts with a name") as caught:
        potstill.reproduce(run, out=tmp_path / "again")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "again").exists()


def test_a_solver_without_a_name_is_recorded_but_not_rerun(logs, tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Nearest(Solver):
        def __call__(self, pairs, states, key):
            distances = ((states[:, None] - pairs.states[None]) ** 2).sum(-1)
            return jax.nn.softmax(-10.0 * distances) @ jnp.clip(pairs.actions, -1.0, 1.0)

    data, teacher = logs
    run = potstill.distill(data, teacher=teacher, solver=Nearest(), out=tmp_path / "run", **BRIEF)
    assert "Nearest" in run.config["solver"]["python"]
    assert potstill.load(run).recipe == potstill.RECIPES["default"]
    with pytest.raises(PotstillError, match="was given in Python"):
        potstill.reproduce(run, out=tmp_path / "again")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"siz": 3}, "distill: unknown option 'siz': did you mean 'size'"),
        ({"size": "3"}, r"distill: size is '3' \(str\): expected int"),
        ({"size": 2.5}, r"distill: size is 2\.5 \(float\): expected int"),
        ({"widths": 64}, r"distill: widths is 64 \(int\): expected tuple of int"),
        ({"out": 3}, r"distill: out is 3 \(int\): expected str, PathLike or None"),
        ({"optimiser": "adma"}, "distill: unknown optimiser 'adma': did you mean 'adam'"),
        ({"solver": 3}, r"distill: solver is 3 \(int\): expected str, Solver or None"),
        ({"teacher": 3}, r"distill: teacher is 3 \(int\): expected str, PathLike, NetworkTeacher or None"),
        ({"objective": 3}, r"distill: objective is 3 \(int\): expected str or Callable"),
        ({"objective": len}, r"the objective takes 1 argument: .* \(student_actions, batch, teacher\)"),
        ({"recipe": 3}, r"distill: recipe is 3 \(int\): expected str, Recipe or None"),
        ({"recipe": Recipe(steps=0)}, "KernelDescent requires a recipe with at least 1 step"),
        ({"solver": KernelDescent}, "solver is the class KernelDescent, not an instance: expected str, Solver or None"),
        ({"starts": 2}, "distill: starts is now initialisations"),
        (
            {"recipe": Recipe(optimiser="adamw"), "solver": "kernel"},
            r"students of this recipe use adamw: choose solver='interpolation' or unroll",
        ),
        ({"weighting": "rangd"}, "did you mean 'ranged'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_gets_one_line(unchecked, tmp_path, options, message):
    with pytest.raises(PotstillError, match=message) as caught:
        potstill.distill("hopper-medium-replay", **{"out": tmp_path / "run", **options})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_objective_of_the_wrong_shape_gets_one_line(logs, tmp_path):
    data, teacher = logs
    with pytest.raises(
        PotstillError, match=r"the objective returned an array of shape \(\d+, \d\): expected .*one loss for each"
    ):
        potstill.distill(data, teacher=teacher, objective=lambda acted, *_: acted, out=tmp_path / "run", **BRIEF)


def test_lists_and_objective_classes_are_accepted(logs, tmp_path, capsys):
    data, teacher = logs
    options: dict[str, Any] = {
        "solver": Unroll(Recipe(steps=2)),
        "widths": [4],
        "objective": PolicyCloning,
        "out": tmp_path / "run",
    }
    run = potstill.distill(data, teacher=teacher, **options, **BRIEF)
    assert (run.config["widths"], run.config["objective"]) == ([4], "pbc")
    assert "trained 1 student in" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["audit", "collect", "convert", "evaluate", "explain", "inspect", "report", "reproduce", "teach"]
)
def test_commands_reject_values_that_are_not_paths(unchecked, name):
    for wrong in (3, None):
        with pytest.raises(PotstillError):
            getattr(potstill, name)(wrong)


def test_arguments_missing_and_too_many():
    for arguments in ((), ("hopper-medium-replay", "teacher")):
        with pytest.raises(PotstillError, match=r"^distill: .*argument"):
            potstill.distill(*arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_and_explains_its_options(name):
    function, config = getattr(potstill, name.replace("-", "_")), COMMANDS[name]
    shown = inspect.signature(function).parameters
    assert list(shown) == [field.name for field in dataclasses.fields(config)]
    for field in dataclasses.fields(config):
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        assert shown[field.name].default == default
        assert re.search(rf"^ {{8}}{field.name}: \S", function.__doc__, flags=re.M), field.name
    assert function.__doc__.index("Args:") < function.__doc__.index("Returns:")
