"""The command line. Bad input gets one line and exit code 2, and nothing is written."""

import dataclasses
import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL_WORDS, random_teacher
from test_teachers import bandit, write_npz

import potstill
from potstill.cli import main, prepare_words
from potstill.distillation import INITIAL_STATES, OBJECTIVES, SOLVERS, WEIGHTINGS
from potstill.errors import PotstillError, make_missing_extra_error
from potstill.exports import EXPORT_FORMATS
from potstill.runtime import registry
from potstill.runtime.folder_state import normalise
from potstill.students import RECIPES, Recipe
from potstill.teachers.registry import ALGORITHMS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    lines = [
        line for line in captured.err.strip().splitlines() if not re.fullmatch(r"potstill \w+, \d+ s so far", line)
    ]
    assert code == 2, captured.err
    assert len(lines) == 1, captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["distil", "x"], ['Did you mean "distill"']),
        (["distill"], ["--dataset"]),
        (["distill", "hopper-medium-reply"], ["did you mean 'hopper-medium-replay'"]),
        (["distill", "hopper-medium-replay", "--sise", "3"], ["Did you mean --size"]),
        (["distill", "hopper-medium-replay", "--size", "many"], ["--size", "many"]),
        (["distill", "hopper-medium-replay", "--size", "0"], ["--size 0", "at least 1"]),
        (["distill", "hopper-medium-replay", "--size", "2.5"], ["--size 2.5: a whole number is needed"]),
        (["distill", "hopper-medium-replay", "--steps=0.5"], ["--steps 0.5: a whole number is needed"]),
        (["distill", "hopper-medium-replay", "--widths", "64", "127.6"], ["--widths 127.6: a whole number is needed"]),
        (["distill", "hopper-medium-replay", "--size", "0x10"], ["--size 0x10: a whole number is needed"]),
        (["teach", "hopper-medium-replay", "--seed", "4294967296"], ["--seed 4294967296: expected at most 4294967295"]),
        (["evaluate", "hopper-medium-replay", "--students", "9" * 20], ["expected at most 2147483647"]),
        (["distill", "hopper-medium-replay", "--widths"], ["--widths requires at least 1"]),
        (["distill", "hopper-medium-replay", "--learning-rate", "inf"], ["--learning-rate inf", "finite"]),
        (["inspect", "hopper-medium-replay", "--out", ""], ["--out is empty"]),
        (["inspect", "hopper-medium-replay", "--out="], ["--out is empty"]),
        (["inspect", "hopper-medium-replay", "--out", "/"], ["/ cannot be a run folder: choose another --out"]),
        (["distill", "hopper-medium-replay", "--recipe.layers="], ["--recipe.layers is empty"]),
        (["inspect", ""], ["an argument is empty"]),
        (["distill", "hopper-medium-replay", "--size", "10000000"], ["--size 10000000", "rows"]),
        (["distill", "hopper-medium-replay", "--objective", "pcb"], ["did you mean 'pbc'"]),
        (["distill", "hopper-medium-replay", "--solver", "unrol"], ["did you mean 'unroll'"]),
        (["distill", "hopper-medium-replay", "--recipe", "papr"], ["did you mean 'paper'"]),
        (["distill", "hopper-medium-replay", "--weighting", "rangd"], ["did you mean 'ranged'"]),
        (["distill", "hopper-medium-replay", "--optimiser", "adma"], ['Did you mean "adam"']),
        (["distill", "hopper-medium-replay", "--teacher", "none.safetensors"], ["no such file"]),
        (
            ["distill", "hopper-medium-replay", "--recipe", "reference"],
            ["sample actions: choose --solver unroll"],
        ),
        (
            ["distill", "hopper-medium-replay", "--recipe.layer", "3"],
            ["--recipe.layer: unknown field of recipe 'default': did you mean --recipe.layers?"],
        ),
        (["distill", "hopper-medium-replay", "--recipe.layers", "many"], ["--recipe.layers many: expected int"]),
        (["distill", "hopper-medium-replay", "--recipe.layers", "0"], ["Recipe.layers 0: expected at least 1"]),
        (["distill", "hopper-medium-replay", "--recipe.optimiser", "adma"], ["did you mean 'adam'"]),
        (
            ["distill", "hopper-medium-replay", "--solver.window", "3"],
            ["--solver.window: unknown field of solver 'kernel'", "Known: initialisation"],
        ),
        (["distill", "hopper-medium-replay", "--solver=unroll", "--solver.windw=3"], ["did you mean --solver.window?"]),
        (["distill", "hopper-medium-replay", "--solver", "unroll", "--solver.window", "301"], ["expected at most 300"]),
        (
            ["distill", "hopper-medium-replay", "--objective", "pbc", "--objective.weight", "2"],
            ["--objective.weight", "'pbc' has no fields"],
        ),
        (["distill", "hopper-medium-replay", "--objective", "random", "--objective.weight", "2"], ["'random'"]),
        (
            ["inspect", "hopper-medium-replay", "--recipe.layers", "3"],
            ["--recipe.layers: this command has no"],
        ),
        (
            ["evaluate", "hopper-medium-replay", "--recipe.lairs", "3"],
            ["--recipe.lairs: unknown field: did you mean --recipe.layers?"],
        ),
        (["evaluate", "hopper-medium-replay", "--recipe", "adm"], ["did you mean 'adam'"]),
        (["distill", "hopper-medium-replay", "--widths", "7"], ["--widths 7: expected even numbers"]),
        (["distill", "hopper-medium-replay", "--average", "1.5"], ["--average 1.5"]),
        (["distill", "hopper-medium-replay", "--initialisations", "2"], ["require a solver that trains networks"]),
        (
            ["distill", "hopper-medium-replay", "--solver", "kernel", "--recipe.optimiser", "adamw"],
            ["use adamw: choose --solver interpolation or unroll"],
        ),
        (["teach", "hopper-medium-replay", "--algorithm", "rebrak"], ["did you mean 'rebrac'"]),
        (["teach", "nothing.hdf5"], ["no such file"]),
        (["collect", "Hoper-v5"], ["unknown environment", "Hopper"]),
        (["distill", "hopper-medium-replay", "--actions", "discrete"], ["actions of Hopper-v5 are continuous"]),
        (["collect", "Hopper-v5", "--policy", "none.safetensors"], ["no such file"]),
        (["evaluate", "none.safetensors"], ["no such file"]),
        (["evaluate", "hopper-medium-reply"], ["did you mean the bundled 'hopper-medium-replay'"]),
        (["inspect", "none.safetensors"], ["no such file"]),
        (["reproduce", "none"], ["does not exist"]),
        (["report", "none"], ["does not exist"]),
    ],
)
def test_bad_input_gets_one_line(unchecked, capsys, tmp_path, arguments, words):
    line = refused(capsys, *arguments)
    assert line.startswith("potstill: ")
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


def test_foreign_folders_are_not_replaced(capsys, tmp_path):
    data = write_npz(tmp_path / "x.npz", bandit(50))
    quick = ["distill", data, "--objective", "dbc", "--size", 2, "--steps", 1, "--batch", 8, *SMALL_WORDS]
    assert main([str(a) for a in [*quick, "--out", "run"]]) == 0
    before = (tmp_path / "run" / "distillate.safetensors").read_bytes()
    assert "--force to replace" in refused(capsys, *quick, "--seed", 1, "--out", "run")
    assert (tmp_path / "run" / "distillate.safetensors").read_bytes() == before
    assert main([str(a) for a in [*quick, "--seed", 1, "--out", "run", "--force"]]) == 0
    assert (tmp_path / "run" / "distillate.safetensors").read_bytes() != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    assert "not a potstill run folder" in refused(capsys, *quick, "--out", "mine", "--force")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    assert "is a file" in refused(capsys, *quick, "--out", "x.npz")
    assert "x.npz" in refused(capsys, *quick, "--out", "x.npz/run")


@pytest.fixture
def logs_run(tmp_path):
    """A distillation of logs without an environment, by an unroll with a window, from the command line."""
    data = write_npz(tmp_path / "x.npz", bandit(50))
    words = ["distill", data, "--objective", "dbc", "--size", 2, "--steps", 1, "--batch", 8, "--students", 2]
    fields = [
        "--recipe",
        "paper",
        "--recipe.steps",
        7,
        "--recipe.width",
        16,
        "--solver",
        "unroll",
        "--solver.window",
        3,
    ]
    assert main([str(word) for word in [*words, *fields, "--out", "run"]]) == 0
    return Path("run")


def test_fields_of_parts_reach_the_run_and_its_files(logs_run):
    distillate = potstill.load(logs_run)
    assert distillate.recipe == Recipe(steps=7, width=16)
    assert distillate.metadata["recipe"] == "custom"
    assert distillate.metadata["solver"] == "unroll"
    command = distillate.metadata["command"]
    assert "--solver unroll --solver.window 3" in command
    assert "--recipe paper --recipe.steps 7 --recipe.width 16" in command
    config = json.loads((logs_run / "config.json").read_text())
    assert config["recipe"] == {"name": "paper", "steps": 7, "width": 16}
    assert config["solver"] == {"name": "unroll", "window": 3}
    assert main(["reproduce", "run", "--out", "again"]) == 0
    assert Path("again/distillate.safetensors").read_bytes() == (logs_run / "distillate.safetensors").read_bytes()


def test_fields_alone_change_the_recipe_of_the_distillate(logs_run, monkeypatch, tmp_path):
    from potstill.commands import evaluate as command

    seen, train = [], command.train_for_evaluation

    def note_recipe(*args):
        seen.append(args[3])
        return train(*args)

    monkeypatch.setattr(command, "train_for_evaluation", note_recipe)
    teacher = random_teacher(states=1, actions=1).save(tmp_path / "t.safetensors")
    compare = ["evaluate", "run", "--students", "1", "--dataset", "x.npz", "--teacher", str(teacher)]
    fields = ["--recipe.layers", "5", "--recipe.optimiser", "adamw", "--recipe.learning-rate", "1e-3"]
    assert main([*compare, *fields, "--out", "own"]) == 0
    assert main([*compare, "--recipe", "plain", *fields, "--out", "named"]) == 0
    changed: dict[str, Any] = {"layers": 5, "optimiser": "adamw", "learning_rate": 1e-3}
    assert seen == [Recipe(steps=7, width=16, **changed), dataclasses.replace(RECIPES["plain"], **changed)]
    assert json.loads(Path("own/result.json").read_text())["recipe"] == "custom"
    recorded = json.loads(Path("named/config.json").read_text())["recipe"]
    assert recorded == {"name": "plain", **changed}


def test_distillate_without_environment_requires_a_comparison(capsys, tmp_path):
    data = write_npz(tmp_path / "x.npz", bandit(50))
    quick = ["--objective", "dbc", "--size", "2", "--steps", "1", "--batch", "8", *SMALL_WORDS]
    assert main(["distill", str(data), *quick, "--out", "run"]) == 0
    data.unlink()
    capsys.readouterr()
    assert "--dataset" in refused(capsys, "evaluate", "run")


@pytest.mark.parametrize(
    "program",
    [
        "import potstill",
        "import potstill; potstill.Recipe(layers=5), potstill.RECIPES, dir(potstill)",
        "import potstill.config",
        "import potstill.distillation; list(potstill.distillation.SOLVERS)",
        "from potstill.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from potstill.cli import main\ntry: main(['distill', '--help'])\nexcept SystemExit: pass",
        "from potstill.cli import main; main(['distill', 'x', '--size', 'many'])",
    ],
    ids=["package", "recipes", "config", "names of solvers", "help", "help of a command", "bad input"],
)
def test_startup_imports_no_heavy_library(program):
    """Importing the packages' names and printing help do not load JAX or any other heavy library."""
    code = (
        f"{program}\nimport sys\n"
        "print([m for m in ('jax', 'gymnasium', 'mujoco', 'matplotlib', 'h5py', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert "help" not in program or "distill" in done.stdout


def help_of(command, capsys):
    main([command, "--help"])
    return set(re.findall(r"[\w-]+", capsys.readouterr().out))


def test_the_help_of_a_command_lists_all_parts(capsys):
    assert {*OBJECTIVES, *SOLVERS, *RECIPES, *WEIGHTINGS, *INITIAL_STATES} <= help_of("distill", capsys)
    assert {*ALGORITHMS} <= help_of("teach", capsys)
    assert {*EXPORT_FORMATS} <= help_of("export", capsys)


def test_the_help_of_a_command_lists_parts_of_other_packages(monkeypatch, capsys):
    entry = EntryPoint("huber", "no_such_package:huber", "potstill.objectives")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry] if group == entry.group else [])
    assert "huber" in help_of("distill", capsys)
    assert "huber" not in help_of("teach", capsys)


def test_missing_extra_names_the_install_command():
    assert str(make_missing_extra_error("stable-baselines3", "collect")).endswith("pip install 'potstill[collect]'")


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (["distill", "x", "--kernel.start=zero"], "--kernel.start is now --solver.initialisation"),
        (["distill", "x", "--starts", "3"], "--starts is now --initialisations"),
        (["distill", "x", "--unroll.window", "3"], "--unroll.window is now --solver.window"),
        (["teach", "x", "--cal-ql.alpha", "3"], "--cal-ql.alpha is now --algorithm.alpha"),
    ],
)
def test_renamed_options_name_their_successors(capsys, words, new):
    assert main(words) == 2
    assert capsys.readouterr().err == f"potstill: {new}\n"


def test_the_home_folder_in_words_and_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words = ["inspect", "~/x.npz", "--out=~/run", "--teacher", "~/t", "--columns=observations=a~b"]
    home = str(tmp_path)
    expected = ["inspect", f"{home}/x.npz", f"--out={home}/run", "--teacher", f"{home}/t", words[-1]]
    assert prepare_words(words) == expected
    assert normalise("~/run") == tmp_path / "run"
    with pytest.raises(PotstillError, match="out= is empty"):
        potstill.inspect(write_npz(tmp_path / "x.npz", bandit(20)), out="")
    with pytest.raises(PotstillError, match="the dataset's name is empty"):
        potstill.load_dataset("")


def test_a_file_whose_name_reads_as_an_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "-dash.npz", bandit(20))
    assert main(["inspect", "-dash.npz"]) == 2
    assert capsys.readouterr().err == (
        "potstill: -dash.npz: a file name that begins with a dash reads as an option: write ./-dash.npz\n"
    )
    (tmp_path / "--out").touch()
    (tmp_path / "-1.5").touch()
    words = ["inspect", "x.npz", "--action-low", "-1.5", "--out", "o", "./-dash.npz"]
    assert prepare_words(words) == words
