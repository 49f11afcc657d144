"""The modules of potstill, and what each of them imports."""

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "potstill"


def module_name(path):
    """``potstill.data`` for ``src/potstill/data/__init__.py``."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def package_of(module):
    """The package or module directly below ``potstill`` that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


@functools.cache
def tree_of(module):
    return ast.parse(MODULES[module].read_text())


def known_module(name):
    """The module of a dotted name: the name itself, or the module that has it as an attribute."""
    while name not in MODULES and "." in name:
        name = name.rpartition(".")[0]
    return name if name in MODULES else None


@functools.cache
def imports_of(module):
    """All modules of potstill that a module imports anywhere: in functions, for type checkers, lazily, by name.

    Returns:
        The number of a line that does so, by module.
    """
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    found: dict[str, int] = {}
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.stmt | ast.expr):  # only these have a line
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"potstill(\.\w+)+:\w+", node.value):
                names = [node.value.partition(":")[0]]  # "package.module:attribute" of a registry
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_lazily":
            names = [f"{package}.{submodule}" for submodule in lazy_submodules(module).values()]
        for name in names:
            target = known_module(name) if name.startswith("potstill") else None
            if target and target != module:
                found.setdefault(target, node.lineno)
    return found


@functools.cache
def lazy_submodules(module):
    """For each name that a package imports on first use, the submodule that defines it."""
    getter = getattr(importlib.import_module(module), "__getattr__", None)
    if getter is None:
        return {}
    return inspect.getclosurevars(inspect.unwrap(getter)).nonlocals["submodules"]  # unwrap: the tests check types
