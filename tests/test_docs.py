"""What the documents show is run: examples, README's Python, docstrings; numbers come from results."""

import doctest
import importlib
import pkgutil
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import potstill

ROOT = Path(__file__).parents[1]
MODULES = [m.name for m in pkgutil.walk_packages(potstill.__path__, "potstill.") if "__main__" not in m.name]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(path, monkeypatch, capsys):
    from potstill.distillation.objectives import OBJECTIVES

    monkeypatch.setattr(sys, "argv", [path.name])
    before = dict(OBJECTIVES)
    runpy.run_path(str(path), run_name="__main__")
    OBJECTIVES.clear()
    OBJECTIVES.update(before)
    assert capsys.readouterr().out.strip()
    assert len(path.read_text().splitlines()) <= 80


def test_readme_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_readme_commands_exist():
    readme, makefile = ((ROOT / name).read_text() for name in ("README.md", "Makefile"))
    for target in re.findall(r"^    make (\w+)", readme, flags=re.M):
        assert f"\n{target}:" in makefile
    from potstill.cli import COMMANDS

    used = set(re.findall(r"potstill (\w+) [\w./-]+\.hdf5|potstill (\w+) runs", readme))
    assert used
    assert {name for pair in used for name in pair if name} <= set(COMMANDS)


def test_numbers_come_from_results():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "pages", "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    assert doctest.testmod(module).failed == 0
