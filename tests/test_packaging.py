"""What potstill asks for: imports belong to dependencies or extras, and the committed versions to what is asked for."""

import ast
import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.proofs.packaging import NEEDS, compare_files

ROOT = Path(__file__).parents[1]
ASKED = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ASKED["project"]["optional-dependencies"]
GROUPS = ASKED["dependency-groups"]
OLDEST = [*ASKED["project"]["dependencies"], *EXTRAS["arrow"], *EXTRAS["minari"], *EXTRAS["onnx"], *GROUPS["dev"]]
OTHER = {
    "dp_accounting": "dp-accounting",
    "huggingface_hub": "huggingface-hub",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "stable_baselines3": "stable-baselines3",
    "PIL": "pillow",
}  # names of packages that are not those of their modules


def read_versions(name):
    """Versions by package in a committed file; only those for this Python and system."""
    lines = [Requirement(line) for line in (ROOT / "requirements" / name).read_text().splitlines() if line[0] != "#"]
    exact = [re.fullmatch("==([^*]+)", str(line.specifier)) for line in lines]
    assert all(exact), name
    here = [line.marker is None or line.marker.evaluate() for line in lines]
    return {line.name: match[1] for line, match, used in zip(lines, exact, here, strict=True) if match and used}


@pytest.mark.parametrize("name", ["test.txt", "oldest.txt"])
def test_committed_files_name_versions_only(name):
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    assert [line for line in lines if not re.match(r"#|[a-z0-9-]+==[\w.]+( ; |$)", line)] == []
    assert "://" not in "".join(lines)


def test_locked_versions_are_those_asked_for():
    versions = read_versions("test.txt")
    for asked in map(
        Requirement, [*OLDEST, *EXTRAS["collect"], *GROUPS["docs"], *GROUPS["extras"], *GROUPS["packaging"]]
    ):
        assert versions[asked.name] in asked.specifier, asked


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the oldest versions are those for Python 3.11")
def test_oldest_versions_are_the_lowest_asked_for():
    versions = read_versions("oldest.txt")
    for asked in map(Requirement, OLDEST):
        [lowest] = asked.specifier
        wanted = lowest.version.split(".")
        assert versions[asked.name].split(".")[: len(wanted)] == wanted, asked


def test_every_import_belongs_to_a_dependency_or_an_extra():
    names = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    roots = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"potstill"}
    asked = [*ASKED["project"]["dependencies"], *itertools.chain(*EXTRAS.values())]
    assert {OTHER.get(root, root) for root in roots} <= {Requirement(text).name for text in asked}


def test_every_extra_has_commands_that_need_it():
    assert NEEDS.keys() == EXTRAS.keys()


def test_differences_of_archives_are_found():
    found = {"same": b"1", "other": b"1", "new": b"", "made": b""}
    wanted = {"same": b"1", "other": b"2", "lost": b""}
    assert compare_files(found, wanted, {"made"}) == ["lost is missing", "new is too much", "other differs"]
    assert compare_files({"same": b"1"}, {"same": b"1"}, {"made"}) == ["made is missing"]
