"""Parts: from names and fields to objects and back."""

import dataclasses
import json

import pytest

import potstill
from potstill.commands.resolve import resolve_objective
from potstill.commands.teach import resolve_algorithm
from potstill.config.parts import NamedPart, describe_part, read_part, resolve_part, split_part_options
from potstill.distillation import (
    OBJECTIVES,
    SOLVERS,
    DataCloning,
    EmpiricalKernelDescent,
    FeatureRidge,
    KernelDescent,
    KernelRidge,
    PolicyCloning,
    QGap,
    Sweep,
    Unroll,
)
from potstill.distillation.objectives.gap import QGapMean
from potstill.errors import PotstillError
from potstill.exports import write_export
from potstill.runtime.files import to_json
from potstill.students import RECIPES, Recipe
from potstill.teachers.lookup import find_teacher


def absolute(student_actions, batch, teacher):
    """An objective that is a function."""
    return abs(student_actions - batch.teacher_actions).sum(-1)


@pytest.mark.parametrize(
    ("words", "rest", "fields"),
    [
        ("x --recipe.layers 5", "x", {"recipe": {"layers": "5"}}),
        ("x --recipe.learning-rate=1e-3 --size 9", "x --size 9", {"recipe": {"learning_rate": "1e-3"}}),
        ("--solver.random-window --size 9", "--size 9", {"solver": {"random_window": "true"}}),
        ("--solver.window 20 --recipe.width 64", "", {"solver": {"window": "20"}, "recipe": {"width": "64"}}),
        ("--recipe.output-gain -2.5 x", "x", {"recipe": {"output_gain": "-2.5"}}),
        ("--recipe.initialisation he x", "x", {"recipe": {"initialisation": "he"}}),
        ("--solver.widths 64 128 x", "x", {"solver": {"widths": "64 128"}}),
        ("--recipe.layers 3 --recipe.layers 5", "", {"recipe": {"layers": "5"}}),
        ("--unknown.layers 3", "--unknown.layers 3", {}),
        ("x.npz --out runs/a.b --teacher t.safetensors", "x.npz --out runs/a.b --teacher t.safetensors", {}),
        ("--solver.random-window x --size 9", "x --size 9", {"solver": {"random_window": "true"}}),
        ("--solver.random-window false x", "x", {"solver": {"random_window": "false"}}),
        ("--recipe.residual data.npz", "data.npz", {"recipe": {"residual": "true"}}),
        ("--solver.window= x", "x", {"solver": {"window": "true"}}),
        ("", "", {}),
    ],
)
def test_fields_are_taken_out_of_a_command_line(words, rest, fields):
    assert split_part_options(words.split(), {"recipe": RECIPES, "solver": SOLVERS}) == (rest.split(), fields)


@pytest.mark.parametrize(
    ("registry", "part", "wanted"),
    [
        (RECIPES, "paper", Recipe()),
        (RECIPES, NamedPart("paper", {"layers": "5", "optimiser": "adamw"}), Recipe(layers=5, optimiser="adamw")),
        (
            RECIPES,
            NamedPart("paper", {"residual": "yes", "learning_rate": "1"}),
            Recipe(residual=True, learning_rate=1.0),
        ),
        (RECIPES, NamedPart("paper", {"layers": 5}), Recipe(layers=5)),
        (RECIPES, Recipe(layers=7), Recipe(layers=7)),
        (OBJECTIVES, "q-gap", QGap()),
        (OBJECTIVES, NamedPart("q-gap", {"weight": "2"}), QGap(weight=2.0)),
        (OBJECTIVES, NamedPart("q-gap-mean", {"weight": "2"}), QGapMean(weight=2.0)),
        (OBJECTIVES, absolute, absolute),
    ],
)
def test_names_become_objects(registry, part, wanted):
    assert resolve_part("part", part, registry) == wanted


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_are_made_for_their_recipe(name):
    assert resolve_part("solver", name, SOLVERS, recipe=Recipe()) == SOLVERS[name](Recipe())


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"window": "20"}, Unroll(Recipe(), window=20)),
        ({"window": "none"}, Unroll(Recipe())),
        ({"window": "20", "random_window": "true"}, Unroll(Recipe(), window=20, random_window=True)),
        ({"window": 20, "random_window": False}, Unroll(Recipe(), window=20)),
    ],
)
def test_fields_of_solvers(fields, wanted):
    assert resolve_part("solver", NamedPart("unroll", fields), SOLVERS, recipe=Recipe()) == wanted


@pytest.mark.parametrize(
    ("kind", "registry", "part", "message"),
    [
        ("recipe", RECIPES, "papr", "unknown recipe 'papr': did you mean 'paper'"),
        ("solver", SOLVERS, "unrol", "unknown solver 'unrol': did you mean 'unroll'"),
        (
            "recipe",
            RECIPES,
            NamedPart("paper", {"layer": "5"}),
            "--recipe.layer: unknown field of recipe 'paper': .* --recipe.layers",
        ),
        (
            "recipe",
            RECIPES,
            NamedPart("paper", {"learning_rat": "1"}),
            "--recipe.learning-rat: .* did you mean --recipe.learning-rate",
        ),
        ("recipe", RECIPES, NamedPart("paper", {"layers": "many"}), "--recipe.layers many: expected int"),
        ("recipe", RECIPES, NamedPart("paper", {"layers": "5.0"}), "--recipe.layers 5.0: expected int"),
        (
            "recipe",
            RECIPES,
            NamedPart("paper", {"learning_rate": "fast"}),
            "--recipe.learning-rate fast: expected float",
        ),
        ("recipe", RECIPES, NamedPart("paper", {"residual": "perhaps"}), "--recipe.residual perhaps: expected bool"),
        ("recipe", RECIPES, NamedPart("paper", {"optimiser": "adma"}), "did you mean 'adam'"),
        ("recipe", RECIPES, NamedPart("paper", {"layers": "0"}), "Recipe.layers 0: expected at least 1"),
        ("solver", SOLVERS, NamedPart("unroll", {"window": "x"}), "--solver.window x: expected int or None"),
        ("solver", SOLVERS, NamedPart("kernel", {"window": "3"}), "--solver.window: unknown field of solver 'kernel'"),
        ("objective", {"absolute": absolute}, NamedPart("absolute", {"a": "1"}), "objective 'absolute' has no fields"),
    ],
)
def test_unresolvable_parts_get_one_line(unchecked, kind, registry, part, message):
    with pytest.raises(PotstillError, match=message) as caught:
        resolve_part(kind, part, registry, **({"recipe": Recipe()} if kind == "solver" else {}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("part", "registry", "wanted"),
    [
        ("q-gap", OBJECTIVES, "q-gap"),
        (NamedPart("q-gap", {"weight": "2"}), OBJECTIVES, NamedPart("q-gap", {"weight": 2.0})),
        (NamedPart("q-gap", {"weight": "5"}), OBJECTIVES, "q-gap"),  # the default
        (NamedPart("", {"layers": "5"}), RECIPES, NamedPart("", {"layers": 5})),
        (QGap(), OBJECTIVES, "q-gap"),
        (QGap(weight=2.0), OBJECTIVES, NamedPart("q-gap", {"weight": 2.0})),
        (QGapMean(), OBJECTIVES, "q-gap-mean"),
        (PolicyCloning(), OBJECTIVES, "pbc"),
        (DataCloning(), OBJECTIVES, "dbc"),
        (absolute, OBJECTIVES, {"python": f"{__name__}:absolute"}),
        (absolute, {"mine": absolute}, "mine"),
        (KernelDescent(Recipe()), SOLVERS, "kernel"),
        (KernelDescent(initialisation="drawn"), SOLVERS, NamedPart("kernel", {"initialisation": "drawn"})),
        (Sweep(window=3), SOLVERS, NamedPart("sweep", {"window": 3})),
        (Recipe(), RECIPES, "paper"),
        (RECIPES["default"], RECIPES, "default"),
        (Recipe(layers=5), RECIPES, NamedPart("paper", {"layers": 5})),
        (dataclasses.replace(RECIPES["default"], layers=5), RECIPES, NamedPart("default", {"layers": 5})),
    ],
)
def test_objects_are_described_by_their_names(part, registry, wanted):
    assert describe_part("part", part, registry, recipe=None) == wanted


@pytest.mark.parametrize(
    "solver",
    [
        KernelDescent(Recipe()),
        EmpiricalKernelDescent(Recipe(), networks=3),
        FeatureRidge(Recipe(), trained=2),
        KernelRidge(Recipe(), penalty=0.1),
        Unroll(Recipe(), window=4, random_window=True),
        Sweep(Recipe(), window=4),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_described_objects_are_restored(solver):
    described = read_part(
        json.loads(json.dumps(to_json(as_json(describe_part("solver", solver, SOLVERS, recipe=None)))))
    )
    assert resolve_part("solver", described, SOLVERS, recipe=Recipe()) == solver


def as_json(described):
    return described.to_json() if isinstance(described, NamedPart) else described


def test_parts_without_a_name_cannot_be_read_back():
    with pytest.raises(PotstillError, match="mine:absolute was given in Python: only parts with a name can be rerun"):
        read_part({"python": "mine:absolute"})


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "output_gain"])
def test_recipes_are_finite(name, value):
    with pytest.raises(PotstillError, match=f"Recipe.{name} {value}"):
        Recipe(**{name: value})


def test_random_has_no_fields():
    with pytest.raises(PotstillError, match=r"objective\.weight: objective 'random' has no fields"):
        resolve_objective(NamedPart("random", {"weight": "2"}))


def test_wrong_recipes_and_seeds_of_students_get_one_line(unchecked):
    distillate = potstill.load("hopper-medium-replay")
    with pytest.raises(
        PotstillError, match=r"Distillate.train_student: recipe is {'layers': 3} \(dict\): expected Recipe"
    ):
        distillate.train_student(recipe={"layers": 3})  # type: ignore[arg-type]
    with pytest.raises(PotstillError, match=r"expected Recipe or None, such as potstill.RECIPES\['plain'\]$"):
        distillate.train_student(recipe="plain")  # type: ignore[arg-type]
    with pytest.raises(PotstillError, match=r"ExportFormat, such as potstill.exports.EXPORT_FORMATS\['npz'\]$"):
        write_export(distillate, "x", "npz")  # type: ignore[arg-type]
    for seed in (-1, 1 << 32, 1 << 70):
        with pytest.raises(PotstillError, match=rf"^seeds \[{seed}\]: expected numbers from 0 to 4294967295"):
            distillate.train_students([seed])
    for seeds in (3, [], ["a"]):
        with pytest.raises(PotstillError, match=r"^(Distillate\.train_students: )?seeds .* expected"):
            distillate.train_students(seeds)  # type: ignore[arg-type]


def test_names_of_the_package_are_suggested():
    with pytest.raises(AttributeError) as caught:
        _ = potstill.distil
    assert (caught.value.name, caught.value.obj) == ("distil", potstill)
    assert len(repr(find_teacher(None, "hopper-medium-replay", potstill.load_dataset("hopper-medium-replay")))) < 100


def test_auto_has_no_fields():
    with pytest.raises(PotstillError, match=r"algorithm\.actor_penalty: algorithm 'auto' has no fields"):
        resolve_algorithm(NamedPart("auto", {"actor_penalty": "1"}))


def test_fields_are_quoted_for_a_shell():
    assert NamedPart("mine", {"label": "it's; ls"}).list_words("solver")[1] == "--solver.label 'it'\"'\"'s; ls'"
