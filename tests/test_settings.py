"""Settings of commands in config.json and on command lines are read back unchanged."""

import dataclasses
import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from potstill import cli
from potstill.cli import main
from potstill.config import DistillConfig, EvaluateConfig, TeachConfig
from potstill.config.distill_record import to_stored
from potstill.config.parts import NamedPart, split_part_options
from potstill.config.settings import command_line, read_settings, record_settings
from potstill.distillation import (
    Unroll,
)
from potstill.errors import PotstillError
from potstill.runtime.files import to_json
from potstill.students import Recipe

named: Callable[..., Any] = NamedPart  # only the command line puts these into configs: the types do not list them
CONFIGS = {
    "defaults": DistillConfig("x"),
    "states": DistillConfig("x", states="data"),
    "options": DistillConfig("x", size=64, widths=(64, 128), solver="unroll", learn="both", steps=7, teacher="t"),
    "fields": DistillConfig("x", solver=named("unroll", {"window": 5, "random_window": True})),
    "sweep": DistillConfig("x", solver=named("sweep", {"window": 5})),
    "drawn": DistillConfig(
        "x", solver=named("kernel", {"initialisation": "drawn"}), recipe=named("paper", {"steps": 9})
    ),
    "objective": DistillConfig("x", objective=named("q-gap", {"weight": 2.0}), weighting="ranged,density"),
    "empirical": DistillConfig("x", solver=named("empirical", {"networks": 3}), budget="60s"),
    "words": DistillConfig("my data/x y.npz", teacher="it's.pt", download=True, episodes=0),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_round_trip_through_config_json(name):
    stored = json.loads(json.dumps(to_json(record_settings(CONFIGS[name]))))
    assert read_settings(DistillConfig, stored) == CONFIGS[name]


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_round_trip_through_a_command_line(name):
    """The command line of a config is parsed to the same config."""
    found = parse(command_line("distill", CONFIGS[name]))
    assert record_settings(found) == record_settings(CONFIGS[name])


def parse(line):
    """The config that ``potstill distill …`` runs with."""
    words, fields = split_part_options(shlex.split(line)[1:], cli.PART_REGISTRIES)
    found: list[DistillConfig] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("potstill.commands.distill.distill", found.append)
        cli.make_app(fields)(words, exit_on_error=False, print_error=False, result_action="return_value")
    return found[0]


def test_command_lines_are_quoted_and_without_defaults():
    assert command_line("distill", DistillConfig("x")) == "potstill distill x"
    line = command_line("distill", CONFIGS["words"])
    assert line == "potstill distill 'my data/x y.npz' --download --teacher 'it'\"'\"'s.pt' --episodes 0"
    assert command_line("distill", CONFIGS["fields"]) == (
        "potstill distill x --solver unroll --solver.window 5 --solver.random-window true"
    )
    assert command_line("distill", DistillConfig("x", widths=(64, 128), out="a", force=True)) == (
        "potstill distill x --widths 64 128"
    )
    assert command_line("evaluate", EvaluateConfig("x", recipe=named("", {"layers": "5"}))) == (
        "potstill evaluate x --recipe.layers 5"
    )


def test_recipe_of_a_solver_object_is_recorded():
    config = DistillConfig("x", solver=Unroll(Recipe(layers=5), window=3))
    recorded = record_settings(config)
    assert recorded["recipe"] == {"name": "paper", "layers": 5}
    assert recorded["solver"] == {"name": "unroll", "window": 3}
    again = read_settings(DistillConfig, recorded)
    assert again.recipe == NamedPart("paper", {"layers": 5})
    assert again.solver == NamedPart("unroll", {"window": 3})


def test_settings_in_distillates_are_those_of_0_1():
    recorded = to_stored(record_settings(dataclasses.replace(CONFIGS["drawn"], initialisations=3)))
    assert (recorded["solver"], recorded["starts"]) == ("kernel", 3)
    sections = {name: recorded[name] for name in ("kernel", "empirical", "ridge", "features", "unroll")}
    assert sections == {
        "kernel": {"start": "drawn"},
        "empirical": {"networks": 1},
        "ridge": {"penalty": 1e-3},
        "features": {"networks": 4, "trained": 0, "penalty": 1e-3},
        "unroll": {"window": None, "random_window": False},
    }


# The content of config.json in 0.1, without options that have the current defaults.
SECTIONS_OF_0_1 = {
    "kernel": {"start": "zero"},
    "empirical": {"networks": 1},
    "ridge": {"penalty": 0.001},
    "features": {"networks": 4, "trained": 0, "penalty": 0.001},
    "unroll": {"window": None, "random_window": False},
}


@pytest.mark.parametrize(
    ("saved", "wanted"),
    [
        ({"solver": "kernel"}, "kernel"),
        ({"solver": "kernel", "kernel": {"start": "drawn"}}, NamedPart("kernel", {"initialisation": "drawn"})),
        ({"solver": "unroll"}, "unroll"),
        (
            {"solver": "unroll", "unroll": {"window": 5, "random_window": True}},
            NamedPart("unroll", {"window": 5, "random_window": True}),
        ),
        ({"solver": "sweep", "unroll": {"window": 5, "random_window": False}}, NamedPart("sweep", {"window": 5})),
        ({"solver": "kernel", "unroll": {"window": 5, "random_window": False}}, "kernel"),
        ({"solver": "features", "features": {"networks": 2}}, NamedPart("features", {"networks": 2})),
    ],
)
def test_files_of_0_1_are_read(saved, wanted):
    stored = {
        "command": "distill",
        "dataset": "x",
        "widths": [64, 128],
        "recipe": "plain",
        "starts": 2,
        **SECTIONS_OF_0_1,
        **saved,
    }
    config = read_settings(DistillConfig, stored, out="again")
    assert config == DistillConfig("x", widths=(64, 128), recipe="plain", solver=wanted, initialisations=2, out="again")


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"recipe": {"name": 3}}, "expected the name of a part"),
        ({"solver": "unroll", "unroll": "x"}, "'unroll' is 'x', expected the fields of a solver"),
        ({"widths": 5}, "widths is 5"),
        ({}, "config.json has no 'dataset'"),
    ],
)
def test_damaged_settings_get_one_line(saved, message):
    dataset = {"dataset": "x"} if saved else {}
    with pytest.raises(PotstillError, match=message):
        read_settings(DistillConfig, {**dataset, **saved})


def test_a_damaged_section_of_an_algorithm_gets_one_line():
    with pytest.raises(PotstillError, match="'rebrac' is 'x', expected the fields of an algorithm"):
        read_settings(TeachConfig, {"dataset": "x", "algorithm": "rebrac", "rebrac": "x"})


def test_default_number_of_steps():
    assert DistillConfig("x", average=0.5, budget="1h").given_steps == 150
    assert DistillConfig("x", budget="1h").given_steps is None


@pytest.mark.parametrize("budget", ["soon", "-3s", "0s", "nan", "60 s m", "1e400", ""])
def test_invalid_budgets_are_refused(budget):
    with pytest.raises(PotstillError, match="expected a time above 0, such as 60s"):
        DistillConfig("x", budget=budget)


@pytest.mark.parametrize("more", [{"steps": 10}, {"polish": 3}])
def test_budget_excludes_steps_and_polish(more):
    with pytest.raises(PotstillError, match="so steps= and polish= cannot be used with it"):
        DistillConfig("x", budget="60s", **more)


@pytest.mark.parametrize(
    ("words", "solver"),
    [
        ([], None),  # the states decide
        (["--states", "data"], "kernel"),
        (["--recipe.layers", "5"], "kernel"),
        (["--recipe", "adam", "--states", "data"], "interpolation"),
        (["--recipe.layers", "5", "--recipe.optimiser", "adamw", "--states", "data"], "interpolation"),
        (["--recipe.optimiser", "adamw", "--solver", "unroll"], "unroll"),
        (["--recipe.optimiser", "adamw", "--states", "imagined"], "portfolio"),
    ],
)
def test_the_default_solver_describes_the_students(words, solver, monkeypatch):
    seen: list[Any] = []
    monkeypatch.setattr("potstill.commands.distill.distill", seen.append)
    assert main(["distill", "hopper-medium-replay", *words]) == 0
    assert [config.solver for config in seen] == [solver]
