"""Wrong arguments: every public function and class reports them in one line, and keeps its signature."""

# mypy: disable-error-code="call-arg, arg-type, call-overload"

import inspect
import os
import sys
from pathlib import Path
from typing import get_args, get_origin

import pytest

import potstill
from potstill.distillation import KernelDescent, QGap, Solver, Unroll
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.students import Pairs, train_students
from potstill.teachers import Algorithm, Rebrac

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_extensions"))
import reference

PUBLIC = {full: reference.value_of(full) for full in sorted(set(reference.documented().values()))}
CALLED = {
    full: value
    for full, value in PUBLIC.items()
    if (inspect.isfunction(value) or inspect.isclass(value))
    and not inspect.isabstract(value)
    and not getattr(value, "_is_protocol", False)
    and not issubclass(value if isinstance(value, type) else object, Exception)
    and full.rpartition(".")[2] not in ("Objective", "make", "Iterate")  # no fields; any option; only made by potstill
}


@pytest.mark.parametrize("full", CALLED)
def test_unknown_arguments_of_all_public_names_get_one_line(unchecked, full):
    with pytest.raises(PotstillError, match=rf"^{full.rpartition('.')[2]}: unknown \w+ 'wrng'.* Known: ") as caught:
        CALLED[full](wrng=1)
    assert "\n" not in str(caught.value)


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
        (lambda: potstill.report(3), r"report: runs is 3 \(int\): expected str, PathLike, Iterable or ReportConfig"),
        (
            lambda: potstill.load_dataset("x", download="2"),
            r"load_dataset: download is '2' \(str\): expected bool",
        ),
        (
            lambda: potstill.load_dataset(3),
            r"load_dataset: source is 3 \(int\): expected a name, a path, Transitions, a mapping of arrays",
        ),
        (lambda: Rebrac(actor_penalty="x"), r"Rebrac.actor_penalty is 'x' \(str\): expected float"),
        (lambda: Unroll(window=2.5), r"Unroll.window is 2.5 \(float\): expected int or None"),
    ],
)
def test_wrong_arguments_get_one_line(unchecked, call, message):
    with pytest.raises(PotstillError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_wrong_arguments_of_methods_get_one_line(unchecked):
    distillate = potstill.load("hopper-medium-replay")
    with pytest.raises(PotstillError, match="train_student: unknown argument 'sed': did you mean 'seed'"):
        distillate.train_student(sed=1)
    with pytest.raises(PotstillError, match=r"train_student: seed is 'a' \(str\): expected int"):
        distillate.train_student("a")


def test_signatures_are_kept():
    reading = ["columns", "action_low", "action_high", "action_bounds", "out_of_bounds", "action_scale", "env_id"]
    assert list(inspect.signature(potstill.load_dataset).parameters) == ["source", "download", *reading]
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
