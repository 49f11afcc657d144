"""Registries of named parts, including parts of other packages; checks of settings."""

import dataclasses
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.commands.resolve import resolve_objective
from potstill.config.parts import describe_part
from potstill.distillation import OBJECTIVES, SOLVERS
from potstill.errors import PotstillError, PotstillWarning
from potstill.runtime import registry
from potstill.runtime.registry import Registry
from potstill.runtime.validation import check_ranges, check_types, has_type
from potstill.students import RECIPES, Recipe


def absolute(student_actions, batch, teacher):
    """An objective of another package."""
    return jnp.abs(student_actions - batch.teacher_actions).sum(-1)


pytestmark = pytest.mark.filterwarnings("ignore:objective 'pbc', registered as another_package")


@pytest.fixture
def foreign(monkeypatch, tmp_path):
    """Another package, which registers an objective that works and one that cannot be imported."""
    package: Any = types.ModuleType("another_package")
    package.absolute = absolute
    package.__path__ = [str(tmp_path)]
    (tmp_path / "raising.py").write_text("objective = undefined")
    monkeypatch.setitem(sys.modules, "another_package", package)
    found = [
        EntryPoint("absolute", "another_package:absolute", "potstill.objectives"),
        EntryPoint("broken", "no_such_package:objective", "potstill.objectives"),
        EntryPoint("lacking", "another_package:no_such_objective", "potstill.objectives"),
        EntryPoint("raising", "another_package.raising:objective", "potstill.objectives"),
        EntryPoint("pbc", "another_package:absolute", "potstill.objectives"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry for entry in found if entry.group == group])


def test_objectives_of_other_packages_are_found_by_name(foreign):
    assert "absolute" in OBJECTIVES
    assert OBJECTIVES["absolute"] is absolute
    assert resolve_objective("absolute") is absolute
    assert describe_part("objective", absolute, OBJECTIVES) == "absolute"
    assert set(OBJECTIVES) >= {"absolute", "q-gap"}
    assert len(OBJECTIVES) == len(list(OBJECTIVES))
    assert "absolute" not in SOLVERS


def test_registered_objectives_are_used_and_reproduced(foreign, logs, tmp_path):
    options: dict[str, Any] = {"size": 6, "steps": 2, "batch": 32, "students": 1, "objective": "absolute"}
    run = potstill.distill(logs[0], teacher=logs[1], out=tmp_path / "run", **options)
    assert potstill.load(run).metadata["objective"] == run.config["objective"] == "absolute"
    again = potstill.reproduce(run, out=tmp_path / "again")
    assert (again / "distillate.safetensors").read_bytes() == (run / "distillate.safetensors").read_bytes()


def test_a_broken_part_of_another_package(foreign):
    for name, value in (
        ("broken", "no_such_package:objective"),
        ("lacking", "another_package:no_such_objective"),
        ("raising", "another_package.raising:objective"),
    ):
        with pytest.raises(
            PotstillError, match=f"objective '{name}', registered as {value}, cannot be loaded"
        ) as error:
            OBJECTIVES[name]
        assert "\n" not in str(error.value)


def test_a_broken_part_does_not_stop_the_others(foreign):
    """Describing an object searches the registry and skips parts that cannot be imported."""
    assert describe_part("objective", absolute, OBJECTIVES) == "absolute"
    described = describe_part("objective", lambda *x: x, OBJECTIVES)
    assert isinstance(described, dict)
    assert described.keys() == {"python"}


def test_builtin_names_take_precedence(foreign):
    """Another package cannot replace a part under a name that potstill uses, and potstill says so."""
    with pytest.warns(PotstillWarning, match="objective 'pbc', registered as another_package:absolute, is not used"):
        assert "absolute" in list(OBJECTIVES)
    assert len(OBJECTIVES) == len(set(OBJECTIVES))
    assert OBJECTIVES["pbc"].__name__ == "PolicyCloning"


def test_unknown_names_and_absent_groups():
    with pytest.raises(PotstillError, match="unknown objective 'avpbc': did you mean 'av-pbc'"):
        OBJECTIVES["avpbc"]
    empty: Registry[object] = Registry("thing", "potstill.no_such_group", {})
    assert (len(empty), list(empty), "x" in empty, 3 in empty) == (0, [], False, False)
    with pytest.raises(PotstillError, match="unknown thing 'x'"):
        empty["x"]


def test_listing_names_imports_nothing():
    lazy: Registry[object] = Registry("thing", "potstill.no_such_group", {"one": "no_such_module:one"})
    assert list(lazy) == ["one"]
    assert "one" in lazy
    with pytest.raises(ModuleNotFoundError):
        lazy["one"]


@pytest.mark.parametrize("parts", [OBJECTIVES, SOLVERS], ids=["objectives", "solvers"])
def test_parts_have_the_registered_type(parts):
    for name in parts:
        part = parts[name]
        assert part.__doc__, name
        if isinstance(part, type):
            assert dataclasses.is_dataclass(part), name
            assert cast(Any, part).__dataclass_params__.frozen, name
            part()  # all of its fields have defaults


@dataclasses.dataclass
class Settings:
    count: int = 1
    rate: float = 0.5
    flag: bool = False
    word: str = "x"
    choice: Literal["one", "two"] = "one"
    window: int | None = None
    widths: tuple[int, ...] = ()
    path: Path | str = "x"


@dataclasses.dataclass
class Command(Settings):
    is_command: ClassVar[bool] = True


@pytest.mark.parametrize(
    "fields",
    [
        {"count": np.int32(3)},
        {"rate": 1},
        {"rate": np.float32(0.5)},
        {"window": 3},
        {"widths": (1, 2)},
        {"widths": [1, 2]},
        {"path": Path("x")},
    ],
    ids=str,
)
def test_values_of_the_right_type(fields):
    check_types(Settings(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": "3"}, r"Settings\.count is '3' \(str\): expected int"),
        ({"count": 3.0}, r"Settings\.count is 3\.0 \(float\): expected int"),
        ({"count": True}, r"Settings\.count is True \(bool\): expected int"),
        ({"count": None}, r"Settings\.count is None \(NoneType\): expected int"),
        ({"rate": "x"}, r"Settings\.rate is 'x' \(str\): expected float"),
        ({"flag": 1}, r"Settings\.flag is 1 \(int\): expected bool"),
        ({"word": 1}, r"Settings\.word is 1 \(int\): expected str"),
        ({"choice": 1}, r"Settings\.choice is 1 \(int\): expected 'one' or 'two'"),
        ({"window": "x"}, r"Settings\.window is 'x' \(str\): expected int or None"),
        ({"widths": 3}, r"Settings\.widths is 3 \(int\): expected tuple of int"),
        ({"widths": (1, "x")}, r"Settings\.widths is \(1, 'x'\) \(tuple\): expected tuple of int"),
        ({"path": 3}, r"Settings\.path is 3 \(int\): expected Path or str"),
    ],
    ids=str,
)
def test_values_of_the_wrong_type_get_one_line(fields, message):
    with pytest.raises(PotstillError, match=message) as caught:
        check_types(Settings(**fields))
    assert "\n" not in str(caught.value)
    check_types(Settings(**fields), skip=tuple(fields))


def test_messages_use_option_names():
    with pytest.raises(PotstillError, match=r"count is 'x' \(str\): expected int"):
        check_types(Command(count="x"))  # type: ignore[arg-type]
    with pytest.raises(PotstillError, match="unknown choice 'tow': did you mean 'two'"):
        check_types(Command(choice="tow"))  # type: ignore[arg-type]
    with pytest.raises(PotstillError, match="count 0: expected at least 1"):
        check_ranges(Command(count=0), count=1)
    with pytest.raises(PotstillError, match=r"Settings\.rate nan: expected at least 0"):
        check_ranges(Settings(rate=float("nan")), rate=0)
    check_ranges(Settings(), window=3)  # None: not given


def test_types_that_are_not_checked():
    assert has_type(lambda: 0, "anything")
    assert has_type(None, None)
    assert not has_type(3, None)


def test_unknown_recipe():
    with pytest.raises(PotstillError, match=r"^unknown recipe 'papper': did you mean 'paper'"):
        RECIPES["papper"]


@pytest.mark.parametrize("parts", [RECIPES, OBJECTIVES])
def test_absent_names(parts):
    assert "absent" not in parts
    assert parts.get("absent") is None


def test_named_recipes_cannot_be_replaced():
    with pytest.raises(TypeError):
        RECIPES["default"] = Recipe()  # type: ignore[index]


def test_names_that_are_no_text(unchecked):
    with pytest.raises(PotstillError, match=r"^unknown objective '3'"):
        OBJECTIVES[3]  # type: ignore[index]
