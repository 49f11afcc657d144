"""Presets: they set options that are not given, on the command line and in Python. Runs record the options."""

from typing import Any

import pytest
from test_cli import refused

import potstill
from potstill.cli import main
from potstill.config import DistillConfig
from potstill.config.presets import PRESETS, add_preset, expand_preset
from potstill.config.settings import make_config
from potstill.errors import PotstillError
from potstill.runtime.files import read_json

FEW: dict[str, Any] = {"size": 8, "steps": 2, "batch": 16, "students": 2, "curve_points": 1}


def test_a_preset_sets_only_options_that_are_not_given():
    config = make_config(DistillConfig, ("x",), {"preset": "paper", "steps": 7})
    assert (config.objective, config.weighting, config.solver, config.recipe) == (
        "av-pbc",
        "unscaled",
        "unroll",
        "paper",
    )
    assert (config.initial, config.initial_actions, config.optimiser) == ("random", "data", "sgd")
    assert config.steps == 7
    assert add_preset({"size": 3}) == {"size": 3}


@pytest.mark.parametrize("name", PRESETS)
def test_the_command_line_and_python_add_the_same_options(name):
    words = expand_preset(["distill", "x", "--preset", name, "--batch=9", "--recipe.width", "8"])
    options = dict(zip(words[4::2], words[5::2], strict=False))
    assert "--batch" not in options
    wanted = {k: v for k, v in add_preset({"preset": name}).items() if k not in ("preset", "batch")}
    assert {f"--{k.replace('_', '-')}": str(v) for k, v in wanted.items()}.items() <= options.items()
    assert words[-3:] == ["--batch=9", "--recipe.width", "8"]
    assert expand_preset(["distill", "x", f"--preset={name}"])[2:4] == [f"--preset={name}", "--objective"]


def test_a_run_records_the_options_and_prints_the_differences(logs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data, teacher = logs
    options = ["--teacher", str(teacher), "--preset", "paper-pbc", "--out", "run"]
    few = [word for name, value in FEW.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    small = ["--recipe.width", "8", "--recipe.steps", "3"]
    assert main(["distill", str(data), *options, *few, *small]) == 0
    assert "as in the paper, except that the teacher is the given one" in capsys.readouterr().out
    config = read_json(tmp_path / "run" / "config.json")
    assert (config["preset"], config["objective"], config["optimiser"], config["steps"]) == (
        "paper-pbc",
        "pbc",
        "sgd",
        2,
    )
    recipe = potstill.Recipe(width=8, steps=3)
    again = potstill.distill(data, teacher=teacher, preset="paper-pbc", recipe=recipe, out="again", **FEW)
    first = potstill.load("run")
    assert (first.states == potstill.load(again).states).all()


def test_refused_input(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'paper'" in refused(capsys, "distill", "x", "--preset", "papr")
    assert "--preset is given more than once" in refused(capsys, "distill", "x", "--preset", "paper", "--preset=paper")
    with pytest.raises(PotstillError, match="did you mean 'paper'"):
        potstill.distill("x", preset="papr")  # type: ignore[arg-type]
