"""Documentation: examples, Python blocks and docstrings run, links and commands exist, limits on length are kept."""

import dataclasses
import doctest
import functools
import importlib
import inspect
import pkgutil
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL, SMALL_STUDENT

import potstill

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = (DOCS / "reference" / "python", DOCS / "reference" / "commands")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted(path for path in DOCS.rglob("*.md") if path.parent not in GENERATED)
MODULES = [m.name for m in pkgutil.walk_packages(potstill.__path__, "potstill.") if "__main__" not in m.name]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.S | re.M)


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(DOCS / "_extensions"))
    yield importlib.import_module("reference")
    sys.path.pop(0)


@pytest.fixture
def short(few_rows, narrow_networks, monkeypatch):
    """Small students unless a recipe is given, those of the bundled distillate included, and small teachers."""
    distill, train = potstill.distill, potstill.Distillate.train_students
    monkeypatch.setattr(potstill, "distill", functools.partial(distill, recipe=SMALL_STUDENT, batch=256))

    def train_small(distillate, seeds, recipe=None):
        return train(distillate, seeds, dataclasses.replace(distillate.recipe, **SMALL) if recipe is None else recipe)

    monkeypatch.setattr(potstill.Distillate, "train_students", train_small)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(path, monkeypatch, capsys):
    if "finetuning" in path.read_text():
        pytest.importorskip("stable_baselines3", reason="needs the extra 'collect'")
    monkeypatch.setattr(sys, "argv", [path.name])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()
    assert len(path.read_text().splitlines()) <= 80


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CONTRIBUTING.md" and blocks(page, "python")],
    ids=lambda page: page.stem,
)
def test_python_on_pages_runs(page, tmp_path, monkeypatch):
    """The blocks of a page run one after another; a block marked ``py`` is shown only."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec"), names)


def test_readme_commands_exist():
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    targets = re.findall(r"^    make (\w+)", readme, flags=re.M)
    assert {"demo", "test"} <= set(targets)
    assert all(f"\n{target}:" in makefile for target in targets)


def test_commands_on_pages_exist(reference):
    known = dict(reference.command_pages())
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    used = [match[1].partition("#")[0] for line in lines if (match := re.search(r"(?:^|\s)potstill (\w.*)", line))]
    assert used
    for words in used:
        name, *rest = words.split()
        assert name in known, words
        for option in re.findall(r"--([\w-]+)", " ".join(rest)):
            assert f"--{option}" in known[name], f"{words}: {option}"


def test_public_names_have_a_page_and_a_docstring(reference):
    names = reference.documented()
    assert {f"potstill.{name}" for name in potstill.__all__} <= set(names)
    for full in set(names.values()):
        value = reference.value_of(full)
        assert not inspect.ismodule(value), f"{full} is hidden by a module of the same name"
        if inspect.isclass(value) or inspect.isroutine(value):
            assert reference.summary(value), f"{full} has no docstring"


def has_example(value):
    """Whether the docstring of a class or function has an example. A class does not inherit that of its base."""
    return bool(doctest.DocTestParser().get_examples(value.__doc__ or ""))


def test_public_classes_and_functions_have_an_example(reference):
    """``test_docstrings`` runs the examples."""
    values = {full: reference.value_of(full) for full in set(reference.documented().values())}
    callables = {full: value for full, value in values.items() if inspect.isclass(value) or inspect.isroutine(value)}
    assert "potstill.Distillate" in callables
    lacking = [full for full, value in sorted(callables.items()) if not has_example(value)]
    assert not lacking, f"no example in the docstrings of {', '.join(lacking)}"


def test_tables_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.pages.blocks import find_outdated_pages

    assert find_outdated_pages() == []


def test_links_exist():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)", page.read_text()):
            path = (page.parent / target).resolve()
            assert path.exists() or path.parent in GENERATED, f"{page.name}: {target}"


def test_readme_is_short():
    before_more = (ROOT / "README.md").read_text().split("\n## More\n")[0]
    assert len(before_more.split()) <= 450


def test_changelog_is_short():
    first = (ROOT / "CHANGELOG.md").read_text().split("\n## 0.1.0\n")[1].strip()
    assert len([line for line in first.splitlines() if line.strip()]) <= 15


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    assert doctest.testmod(module).failed == 0
