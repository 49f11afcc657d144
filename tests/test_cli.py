"""What a user types, and what bad input gets: one line, exit code 2, nothing written."""

import subprocess
import sys

import pytest
from test_teachers import bandit, write_npz

from potstill.cli import main
from potstill.errors import missing_extra


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
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
        (["distill", "hopper-medium-replay", "--size", "10000000"], ["--size 10000000", "rows"]),
        (["distill", "hopper-medium-replay", "--objective", "pcb"], ["did you mean 'pbc'"]),
        (["distill", "hopper-medium-replay", "--solver", "unrol"], ["did you mean 'unroll'"]),
        (["distill", "hopper-medium-replay", "--recipe", "papr"], ["did you mean 'paper'"]),
        (["distill", "hopper-medium-replay", "--weighting", "rangd"], ["did you mean 'ranged'"]),
        (["distill", "hopper-medium-replay", "--optimiser", "adma"], ['Did you mean "adam"']),
        (["distill", "hopper-medium-replay", "--teacher", "none.safetensors"], ["no such file"]),
        (["distill", "hopper-medium-replay", "--recipe", "reference"], ["--solver unroll"]),
        (["teach", "hopper-medium-replay", "--algorithm", "rebrak"], ["did you mean 'rebrac'"]),
        (["teach", "nothing.hdf5"], ["no such file"]),
        (["collect", "Hoper-v5"], ["unknown environment", "Hopper"]),
        (["collect", "CartPole-v1"], ["discrete actions"]),
        (["collect", "Hopper-v5", "--policy", "none.safetensors"], ["no such file"]),
        (["evaluate", "none.safetensors"], ["no such file"]),
        (["inspect", "none.safetensors"], ["no such file"]),
        (["reproduce", "none"], ["does not exist"]),
        (["report", "none"], ["does not exist"]),
    ],
)
def test_one_clear_line(capsys, tmp_path, arguments, words):
    line = refused(capsys, *arguments)
    assert line.startswith("potstill: ")
    assert all(word in line for word in words), line
    assert list(tmp_path.iterdir()) == []


def test_folders_are_safe(capsys, tmp_path):
    data = write_npz(tmp_path / "x.npz", bandit(50))
    quick = ["distill", data, "--objective", "dbc", "--size", 2, "--steps", 1, "--batch", 8]
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


def test_an_environment_less_distillate_needs_something_to_compare_with(capsys, tmp_path):
    data = write_npz(tmp_path / "x.npz", bandit(50))
    main(["distill", str(data), "--objective", "dbc", "--size", "2", "--steps", "1", "--out", "run"])
    capsys.readouterr()
    assert "--dataset" in refused(capsys, "evaluate", "run")


def test_starting_is_light():
    """Neither the package nor the help text loads JAX or any other heavy library."""
    code = (
        "import sys, potstill; from potstill.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('jax', 'gymnasium', 'mujoco', 'matplotlib', 'h5py', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
    assert "distill" in done.stdout


def test_a_missing_extra_says_how_to_get_it():
    assert str(missing_extra("stable-baselines3", "collect")).endswith("pip install 'potstill[collect]'")
