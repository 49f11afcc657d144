"""Messages name options as the reader writes them: ``action_low=`` in Python, ``--action-low`` on the command line."""

import ast
import re
from dataclasses import fields

import numpy as np
import pytest
from modules import MODULES, package_of, tree_of
from test_cli import refused

import potstill
from potstill.cli import COMMANDS
from potstill.errors import PotstillError, are_options_named, name_option, naming_options
from potstill.runtime.tasks import attempt

EDGE = {"config", "settings", "commands", "cli", "__init__", "__main__"}
OPTIONS = {field.name.replace("_", "-") for config in COMMANDS.values() for field in fields(config)}


def list_texts(tree):
    """The texts in a module, with their lines, but for its docstrings."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


def find_options(tree):
    return [line for line, text in list_texts(tree) if {*re.findall(r"(?<![\w(-])--([a-z][a-z-]*)", text)} & OPTIONS]


def test_the_core_spells_no_options():
    found = {name: find_options(tree_of(name)) for name in MODULES if package_of(name) not in EDGE}
    assert not {name: lines for name, lines in found.items() if lines}
    assert find_options(ast.parse('"""A --size."""\nraise Error(f"{x}: choose --size 3, not {y}")')) == [2]


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-3.0, 3.0, 200)
    np.savez("x.npz", observations=x[:, None], actions=x[:, None], rewards=x, terminals=np.arange(200) % 20 == 19)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    ("words", "arguments", "line", "in_python"),
    [
        (
            ["--action-low", "0"], {"action_low": 0},
            "--action-low and --action-high: expected both", "action_low= and action_high=: expected both",
        ),
        (
            ["--action-low", "-1.5", "--action-high", "1.5"], {"action_low": -1.5, "action_high": 1.5},
            "with --action-low -3 and --action-high 3, convert another unit with --out-of-bounds scale",
            "with action_low=-3 and action_high=3, convert another unit with out_of_bounds='scale'",
        ),
        (["--columns", "rewards=r"], {"columns": "rewards=r"}, "column in --columns:", "column in columns=:"),
        (["--action-scale", "0"], {"action_scale": 0}, "--action-scale 0: expected", "action_scale=0: expected"),
        (["--size", "0"], {"size": 0}, "--size 0: expected at least 1", "size 0: expected at least 1"),
        (["--steps", "5", "--budget", "2s"], {"steps": 5, "budget": "2s"}, "--budget 2s determines", "budget='2s' det"),
        (["--out", "mine"], {"out": "mine"}, "choose another --out", "choose another out="),
        (["--resume"], {"resume": True}, "--resume requires --out", "resume=True requires out="),
    ],
)  # fmt: skip
def test_one_fault_has_two_spellings(log, capsys, words, arguments, line, in_python):
    assert line in refused(capsys, "distill", "x.npz", *words)
    assert not are_options_named()
    with pytest.raises(PotstillError) as caught:
        potstill.distill("x.npz", **arguments)
    assert in_python in str(caught.value)
    assert "--" not in str(caught.value)


def name_size():
    return name_option("size", 3)


def test_workers_spell_as_their_command():
    assert attempt(".", True, name_size) == {"value": "--size 3"}
    assert attempt(".", False, name_size) == {"value": "size=3"}


def test_values_of_options():
    python = [name_option("widths", 64, 128), name_option("out", "a b"), name_option("recipe.learning_rate")]
    assert python == ["widths=[64, 128]", "out='a b'", "recipe.learning_rate"]
    with naming_options():
        words = [name_option("widths", 64, 128), name_option("out", "a b"), name_option("recipe.learning_rate", 0.1)]
    assert words == ["--widths 64 128", "--out a b", "--recipe.learning-rate 0.1"]
    assert not are_options_named()
