"""What tests, benchmarks and examples may replace: never a registry, a table of names or an entry of one."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = [path for folder in ("src", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
USERS = [path for folder in ("tests", "benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]
TABLE = re.compile(r"(Mapping|dict|Registry|JsonObject|Options)\b")
MADE = re.compile(r"\w*(Registry|MappingProxyType|Format)\(")
MUTATING = ("update", "pop", "popitem", "setdefault", "clear")


def is_table(node):
    """Whether an assignment defines a mapping, or an export format, which a registry names by this attribute."""
    if isinstance(node, ast.AnnAssign):
        return TABLE.match(ast.unparse(node.annotation)) is not None
    return isinstance(node.value, ast.Dict) or MADE.match(ast.unparse(node.value)) is not None


def find_tables(tree):
    """Names of the registries and tables of a module."""
    found = set()
    for node in (node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is not None and is_table(node):
            found |= {target.id for target in targets if isinstance(target, ast.Name) and target.id.isupper()}
    return found


TABLES = set().union(*(find_tables(ast.parse(path.read_text())) for path in PRODUCT))


def name_of(node):
    """The last part of a dotted name, written as code or as text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return getattr(node, "attr", None) or getattr(node, "id", None)


def list_changed(node):
    """What a statement or a call changes: by a patch, by a method of a mapping, or by an assignment."""
    if isinstance(node, ast.Call):
        called = name_of(node.func)
        if called in ("setattr", "delattr"):
            return [arg for arg in node.args[:2] if isinstance(arg, ast.Constant)]
        if called in ("setitem", "delitem") or ast.unparse(node.func).endswith("patch.dict"):
            return node.args[:1]
        return [node.func.value] if called in MUTATING and isinstance(node.func, ast.Attribute) else []
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if not isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
        return []
    parts = [target.value for target in targets if isinstance(target, ast.Subscript)]
    return parts + [target for target in targets if isinstance(target, ast.Attribute)]


def is_refusal(node):
    return isinstance(node, ast.With) and "pytest.raises(" in ast.unparse(node.items[0])


def find_changed(text, tables=frozenset(TABLES)):
    """Lines that change one of the tables that the text does not define itself. An attempt that must fail is none."""
    tree = ast.parse(text)
    refused = {id(x) for node in ast.walk(tree) if is_refusal(node) for x in ast.walk(node)}
    tables = tables - find_tables(tree)
    return [
        (changed.lineno, name_of(changed))
        for node in ast.walk(tree)
        for changed in list_changed(node)
        if name_of(changed) in tables and id(node) not in refused
    ]


def test_the_tables_are_found():
    assert {"RECIPES", "_RECIPES", "OF_DATA", "OBJECTIVES", "SOLVERS", "ALGORITHMS", "EXPORT_FORMATS"} <= TABLES
    assert {"SCALES", "BLOCKS", "EXECUTORS", "FORMAT", "PENALTIES", "MODULES", "WEIGHTINGS"} <= TABLES


@pytest.mark.parametrize(
    "text",
    [
        "patch.setitem(recipe._RECIPES, name, other)",
        'monkeypatch.setattr(scales, "SCALES", {})',
        'monkeypatch.setattr("potstill.commands.paper.running.SCALES", {})',
        'setattr(npz, "FORMAT", other)',
        "mock.patch.dict(distill.OF_DATA, batch=256)",
        'OF_DATA["batch"] = 256',
        "blocks.BLOCKS = {}",
        'OF_DATA.update({"batch": 256})',
        'del registry.SOLVERS["kernel"]',
    ],
)
def test_changes_are_found(text):
    assert len(find_changed(text)) == 1


def test_other_patches_are_allowed():
    assert find_changed('monkeypatch.setattr(grid, "measure_cell", f)\nSMALL = {}\nfound[RECIPES["plain"]] = 1') == []
    assert find_changed("with pytest.raises(TypeError):\n    RECIPES['default'] = Recipe()") == []
    assert find_changed('OWN = {}\nOWN["a"] = 1', {"OWN"}) == []


def test_no_test_changes_a_registry():
    found = [
        f"{path.relative_to(ROOT)}:{line} changes {name}"
        for path in USERS
        for line, name in find_changed(path.read_text())
    ]
    assert found == []
