"""Wrong arguments: every public function and class reports them in one line, and keeps its signature."""

# mypy: disable-error-code="call-arg, arg-type"

import dataclasses
import inspect
import os
import sys
from pathlib import Path
from types import FunctionType
from typing import get_args, get_origin, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.data import Scaling
from potstill.distillation import KernelDescent, QGap, Solver, Unroll
from potstill.environments import Reference
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import has_type
from potstill.students import Pairs, Students, train_students
from potstill.teachers import Algorithm, Rebrac, TrainingTable, UpdateSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_extensions"))
import reference

PUBLIC = {full: reference.value_of(full) for full in sorted(set(reference.documented().values()))}


class Strange:
    """A type that no argument has."""


def is_made(value):
    """Whether a class can be made: it is neither abstract nor a protocol."""
    return not inspect.isabstract(value) and not getattr(value, "_is_protocol", False)


CALLED = {
    full: value
    for full, value in PUBLIC.items()
    if (inspect.isfunction(value) or inspect.isclass(value))
    and is_made(value)
    and not issubclass(value if isinstance(value, type) else object, Exception)
    and full.rpartition(".")[2] not in ("make", "Iterate")  # takes any option; only made by potstill
}
METHODS = {
    f"{kind.__name__}.{name}": getattr(kind, name) if isinstance(member, classmethod) else member
    for kind in PUBLIC.values()
    if inspect.isclass(kind) and not getattr(kind, "_is_protocol", False) and kind.__module__.startswith("potstill")
    for name, member in vars(kind).items()
    if (name == "__call__" or not name.startswith("_")) and isinstance(member, FunctionType | classmethod)
}


def typed_parameters(function):
    """The parameters that do not accept every type."""
    parameters = inspect.signature(function).parameters
    if hasattr(function, "__signature__"):  # a command
        hints = {name: parameter.annotation for name, parameter in parameters.items()}
    elif isinstance(function, type) and not (dataclasses.is_dataclass(function) or issubclass(function, tuple)):
        hints = get_type_hints(function.__init__)
    else:
        hints = get_type_hints(function)
    named = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_POSITIONAL]
    return [name for name in named if name in hints and not has_type(Strange(), hints[name])]


@pytest.mark.parametrize("full", CALLED)
def test_unknown_arguments_of_all_public_names_get_one_line(unchecked, full):
    with pytest.raises(PotstillError, match=rf"^{full.rpartition('.')[2]}: unknown \w+ 'wrng'.* Known: ") as caught:
        CALLED[full](wrng=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("full", CALLED)
def test_wrong_types_of_all_public_names_get_one_line(unchecked, full):
    for name in typed_parameters(CALLED[full]):
        with pytest.raises(PotstillError, match=rf"^{full.rpartition('.')[2]}(\.|: ){name} is .*Strange.* expected "):
            CALLED[full](**{name: Strange()})


@pytest.mark.parametrize("label", METHODS)
def test_wrong_arguments_of_all_public_methods_get_one_line(unchecked, label):
    method = METHODS[label]
    own = () if inspect.ismethod(method) else (Strange(),)
    with pytest.raises(PotstillError, match=rf"^{label}: unknown argument 'wrng'.* Known: "):
        method(*own, wrng=1)
    for name in typed_parameters(method):
        with pytest.raises(PotstillError, match=rf"^{label}: {name} is .*Strange.* expected "):
            method(*own, **{name: Strange()})


def test_jax_rebuilds_named_tuples_without_checks():
    pairs = Pairs(jnp.zeros((4, 3)), jnp.zeros((4, 2)))
    assert jax.tree.map(lambda _: "anything", pairs).states == "anything"
    with pytest.raises(PotstillError, match=r"Pairs\.actions has shape \(3, 2\): expected \[N, A\] with N = 4"):
        jax.jit(lambda pairs: Pairs(pairs.states, pairs.actions[1:]))(pairs)
    leaves, _ = jax.tree_util.tree_flatten_with_path(pairs)
    assert [jax.tree_util.keystr(path) for path, _ in leaves] == [".states", ".actions"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: potstill.Recipe(layrs=3), "Recipe: unknown field 'layrs': did you mean 'layers'"),
        (lambda: KernelDescent(rcipe=3), "KernelDescent: unknown field 'rcipe': did you mean 'recipe'"),
        (lambda: Unroll(windw=20), "Unroll: unknown field 'windw': did you mean 'window'"),
        (lambda: QGap(wieght=2), "QGap: unknown field 'wieght': did you mean 'weight'"),
        (lambda: Rebrac(actr_penalty=0.1), "Rebrac: unknown field 'actr_penalty': did you mean 'actor_penalty'"),
        (lambda: Pairs(stats=3), "Pairs: unknown field 'stats': did you mean 'states'"),
        (lambda: potstill.load_dataset("x", downlod=True), "load_dataset: unknown argument 'downlod': did you mean"),
        (lambda: potstill.export("a", "b", forc=True), "export: unknown argument 'forc': did you mean 'force'"),
        (lambda: potstill.report("x", frce=True), "report: unknown argument 'frce': did you mean 'force'"),
        (lambda: train_students(sed=[1]), "train_students: unknown argument 'sed': did you mean 'seeds'"),
        (lambda: potstill.load(pth="x"), "load: unknown argument 'pth': did you mean 'path'"),
        (potstill.load, "load: missing a required argument: 'path'"),
        (lambda: potstill.load("a", "b"), "load: too many positional arguments"),
        (lambda: potstill.load(None), r"load: path is None \(NoneType\): expected str or PathLike"),
        (lambda: potstill.report(3), r"report: runs is 3 \(int\): expected str, PathLike or Iterable"),
        (
            lambda: potstill.load_dataset("x", download="2"),
            r"load_dataset: download is '2' \(str\): expected bool",
        ),
        (
            lambda: potstill.load_dataset(3),
            r"load_dataset: source is 3 \(int\): expected str, .*, Transitions, DataFrame or ReplayBuffer",
        ),
        (lambda: Rebrac(actor_penalty="x"), r"Rebrac.actor_penalty is 'x' \(str\): expected float"),
        (lambda: potstill.ActionBounds.unit(siz=3), "ActionBounds.unit: unknown argument 'siz': did you mean 'size'"),
        (lambda: potstill.ActionBounds.unit(0), "ActionBounds.unit: size 0: expected at least 1"),
        (lambda: KernelDescent().with_recipe(3), r"Solver.with_recipe: recipe is 3 \(int\): expected Recipe"),
        (lambda: Reference(1.0, 0.0, None), "Reference.expert 0.0: expected a number above Reference.random 1.0"),
        (lambda: UpdateSettings(256, 1.5, 0.005), r"UpdateSettings.discount 1.5: expected .*\(0, 1\)"),
        (
            lambda: KernelDescent("plain"),
            r"recipe is 'plain' \(str\): expected Recipe, such as potstill",
        ),
        (lambda: Unroll(window=2.5), r"Unroll.window is 2.5 \(float\): expected int or None"),
    ],
)
def test_wrong_arguments_get_one_line(unchecked, call, message):
    with pytest.raises(PotstillError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "call",
    [
        potstill.load_dataset,
        potstill.load,
        potstill.load_teacher,
        potstill.inspect,
        potstill.convert,
        lambda path: potstill.load_dataset(f"minari:{path}"),
        lambda path: potstill.load_dataset(f"d4rl:{path}"),
        lambda path: potstill.inspect("hopper-medium-replay", out=path),
        lambda path: potstill.teach("hopper-medium-replay", out=path),
        lambda path: potstill.collect("Pendulum-v1", level="random", steps=2, out=path),
        lambda path: potstill.load("hopper-medium-replay").save(path),
        lambda path: potstill.export("hopper-medium-replay", path, "npz"),
        lambda path: potstill.export_policy("hopper-medium-replay", path, "numpy"),
    ],
)
def test_paths_that_cannot_exist_get_one_line(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    for path in (f"{tmp_path}/{'x' * 260}", f"{tmp_path}/{'y/' * 3000}", f"{tmp_path}/a\0b"):
        with pytest.raises(PotstillError) as caught:
            call(path)
        assert "cannot write to runs/" not in str(caught.value)
        assert "runs" not in {entry.name for entry in tmp_path.iterdir()} or not any((tmp_path / "runs").iterdir())


def test_objects_that_do_not_fit_get_one_line(unchecked, data, teacher):
    students = Students([{"weight": np.zeros((2, 3, 2)), "bias": np.zeros((2, 2))}], teacher.policy.scaling)
    for call, message in (
        (lambda: dataclasses.replace(students, scaling=Scaling.identity(4, 2)), r"params\[0\]: weight has shape"),
        (lambda: students.make_policy(2), "Students.make_policy: index 2: expected a number from 0 to 1"),
        (
            lambda: students.act_as_ensemble(np.zeros((2, 4))),
            "Students.act_as_ensemble: observations of 4 components: expected 3",
        ),
        (
            lambda: students.act_separately(np.zeros((3, 3))),
            "Students.act_separately: 3 observations: expected a multiple of 2",
        ),
        (lambda: dataclasses.replace(teacher, critics=teacher.critics[1:]), r"NetworkTeacher.critics\[0\]: weight has"),
        (lambda: TrainingTable(data, excluded=[300]), r"excluded \[300\]: expected row numbers below 300 in ascending"),
        (lambda: TrainingTable(data, returns=np.zeros(9)), "TrainingTable.returns has 9 numbers: expected 300"),
        (lambda: data.take([300]), "Transitions.take: rows of 300: index 300 is out of bounds"),
        (lambda: data.take(np.zeros(0, int)), "an empty selection"),
        (lambda: potstill.Transitions.of({}, data.action_bounds), "columns have no 'observations'"),
        (
            lambda: dataclasses.replace(data, rewards=data.rewards[1:]),
            r"rewards has shape \(299,\): expected \[M\]",
        ),
        (
            lambda: dataclasses.replace(data, truncations=data.rewards),
            "an array of float32: expected .* booleans",
        ),
        (lambda: potstill.Distillate([[0.0]], [[0.0]], Scaling.identity(1, 1), {}).recipe, "neither 'student' nor"),
    ):
        with pytest.raises(PotstillError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_signatures_are_kept():
    reading = ["columns", "action_low", "action_high", "action_bounds", "out_of_bounds", "action_scale", "env_id"]
    assert list(inspect.signature(potstill.load_dataset).parameters) == [
        *("source", "download", *reading, "actions", "encoder")
    ]
    assert list(inspect.signature(Unroll).parameters) == ["recipe", "window", "random_window"]
    assert list(inspect.signature(Pairs).parameters) == ["states", "actions", "weights"]


@pytest.mark.parametrize(
    ("command", "option", "kind"),
    [
        ("distill", "recipe", potstill.Recipe),
        ("distill", "solver", Solver),
        ("distill", "dataset", potstill.Transitions),
        ("distill", "teacher", potstill.NetworkTeacher),
        ("distill", "out", os.PathLike),
        ("evaluate", "recipe", potstill.Recipe),
        ("teach", "algorithm", Algorithm),
        ("teach", "dataset", potstill.Transitions),
        ("convert", "out", os.PathLike),
    ],
)
def test_signatures_of_commands_have_the_types_that_python_accepts(command, option, kind):
    hint = inspect.signature(getattr(potstill, command)).parameters[option].annotation
    assert kind in [get_origin(part) or part for part in get_args(hint)]


def test_errors_inside_a_function_are_not_changed():
    @check_arguments
    def fail(number: int) -> None:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        fail(3)
