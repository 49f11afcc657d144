"""The architecture: imports between packages, cycles, names of functions and modules, and sizes of files."""

import ast
import importlib
import pkgutil
import re

import pytest
from modules import MODULES, ROOT, SOURCE, imports_of, lazy_submodules, package_of, tree_of

import potstill

FLOORS = (  # bottom to top; a module imports from its own package or from lower floors, never from one beside it
    {"errors"},
    {"runtime", "bundled"},
    {"environments", "theory"},
    {"data"},
    {"networks"},
    {"worlds", "students", "teachers"},
    {"distillation", "distillate"},
    {"evaluation", "exports", "tasks"},
    {"collection", "finetuning", "reports"},
    {"config"},
    {"commands", "settings"},
)
LAYERS = (*FLOORS, {"cli", "__init__"}, {"__main__"})  # the entrances are above all floors
KNOW_CONFIGS = {"config", "settings", "commands", "cli", "__init__", "__main__"}  # where strings become objects
MAX_FUNCTION, MAX_FILE, MAX_TOP, MAX_ANY = 60, 300, 8, 99
VERBS = """
    act adapt add advance advise allow append apply are as assemble attempt audit bind bootstrap bound broadcast
    build check choose claim clear clip clone close cluster collect combine compare compute concatenate constrain
    convert convolve copy correlate count cut defer delete descend describe diagnose disconnect distil distill
    download draw drop encode end estimate evaluate examine expand explain export extend extract fill find
    finetune finish fit fix flatten flush fold format from gather get group has hash hold import init initialise
    inspect integrate invert is iterate join judge keep label learn leave list load localise lock log make map
    mark match measure merge mix move multiply name normalise observe offer open optimise order pack pair parse
    pass place plan play plot pool predict prepare print propose push raise rank read record recover rectify
    refuse register regress remove render repeat replicate report reproduce require reset resolve restart
    restore resume roll round run sample save scale scatter score select set shard shift show skip solve sort
    spell split stabilise stack standardise start step strip submit summarise swap sweep take teach temper thin
    to trace train try unflatten unpickle unstack unwrap update use wait warm warn watch widen with write
"""
MATHEMATICS = """
    action_gradients action_values angle angle_jvp backward clipped conservative_term critic_target curvature
    descent discounted discounted_returns early effective_share episode_returns forward gradient_distance
    gradient_similarity interquartile_mean inverse_density kernels largest_eigenvalue layer_norm mean_distance
    mean_product normalised_return occupancy opening q_gap ranged reference returns_to_go sdw shifted soft_update
    softmax softplus squared_distance squared_errors uniform unscaled weighted_distance
"""
# predicates, constructors, phrases at their use, commands, and names that interfaces of others require
PHRASES = """
    busy command_line continues divides_evenly done fileno identity isatty knows main model needs_teacher observation
    of persistent_load positional_first repr_html_ result rewards_differ takes_options unit
"""


def test_lazy_names_are_found():
    lazy = {module for module, path in MODULES.items() if "import_lazily(" in path.read_text()} - {
        "potstill.runtime.lazy"
    }
    assert len(lazy) > 3
    assert all(lazy_submodules(module) for module in lazy)
    assert "potstill.data.transitions" in imports_of("potstill")


def listed(violations):
    return "\n" + "\n".join(sorted(violations))


def location(module, line):
    return f"{MODULES[module].relative_to(ROOT)}:{line}"


def test_every_package_has_a_layer():
    packages = {package_of(module) for module in MODULES}
    known = set().union(*LAYERS)
    assert packages <= known, f"packages without a layer: {sorted(packages - known)}"


def test_imports_point_downwards():
    height = {package: i for i, layer in enumerate(LAYERS) for package in layer}
    violations = [
        f"{location(module, line)} ({package_of(module)}) imports {target}"
        for module in MODULES
        for target, line in imports_of(module).items()
        if package_of(target) != package_of(module) and height[package_of(target)] >= height[package_of(module)]
    ]
    assert not violations, listed(violations)


def test_there_are_no_cycles():
    """Between modules, lazy imports and those for type checkers included.

    A package that exports its submodules' names imports the submodules; these do not import the package.
    """
    cycles = find_cycles({module: set(imports_of(module)) for module in MODULES})
    assert not cycles, listed(" → ".join([*cycle, cycle[0]]) for cycle in cycles)


@pytest.mark.parametrize("package", sorted(m for m, path in MODULES.items() if path.name == "__init__.py"))
def test_there_are_no_cycles_between_subpackages(package):
    """Between the modules and sub-packages of a package, each with all modules inside it, except for its __init__."""
    cycles = find_cycles(contract(package, {module: imports_of(module) for module in MODULES}))
    assert not cycles, listed(" → ".join([*cycle, cycle[0]]) for cycle in cycles)


def contract(package, imported):
    """The graph of imports between the direct parts of a package."""
    part_of = {m: ".".join(m.split(".")[: package.count(".") + 2]) for m in imported if m.startswith(f"{package}.")}
    graph: dict[str, set[str]] = {part: set() for part in part_of.values()}
    for module, part in part_of.items():
        graph[part] |= {part_of[target] for target in imported[module] if target in part_of} - {part}
    return graph


def test_a_cycle_between_subpackages_is_found():
    imported = {"a": ["a.x.one"], "a.x": ["a.x.one"], "a.x.one": ["a.y"], "a.x.two": [], "a.y": ["a.x.two"], "b": []}
    assert find_cycles(imported) == []
    assert find_cycles(contract("a", imported)) == [["a.x", "a.y"]]
    assert find_cycles(contract("a", {**imported, "a.y": ["a"]})) == []


def find_cycles(graph):
    """One cycle for each strongly connected component of more than one module."""
    cycles, done = [], set()
    for start in graph:
        if start in done:
            continue
        path = shortest_cycle(graph, start)
        if path:
            cycles.append(path)
            done.update(path)
    return cycles


def shortest_cycle(graph, start):
    """The shortest path from ``start`` back to it, breadth first."""
    paths, seen = [[start]], set()
    while paths:
        path = paths.pop(0)
        for target in sorted(graph[path[-1]]):
            if target == start:
                return path
            if target not in seen:
                seen.add(target)
                paths.append([*path, target])
    return None


def test_only_commands_config_and_cli_know_the_configs_of_commands():
    configs = {
        node.name
        for module in MODULES
        if package_of(module) == "config"
        for node in tree_of(module).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config")
    }
    assert configs
    violations = []
    for module in MODULES:
        if package_of(module) in KNOW_CONFIGS:
            continue
        violations += [
            f"{location(module, line)} imports {target}"
            for target, line in imports_of(module).items()
            if package_of(target) == "config"
        ]
        for node in ast.walk(tree_of(module)):
            if not isinstance(node, ast.stmt | ast.expr):  # only these have a line
                continue
            names = {getattr(node, "id", None), getattr(node, "attr", None)}
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = set(node.value.replace("`", " ").replace("(", " ").replace(".", " ").split())
            violations += [f"{location(module, node.lineno)} mentions {name}" for name in configs & names]
    assert not violations, listed(violations)


def test_any_is_rare():
    """As an annotation: settings, states and results have types."""
    found = [
        location(module, node.lineno)
        for module in MODULES
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Name) and node.id == "Any"
    ]
    assert found
    assert len(found) <= MAX_ANY, listed(found)


def test_few_files_are_directly_in_the_package():
    top = sorted(path.name for path in SOURCE.iterdir() if path.is_file())
    assert len(top) <= MAX_TOP, top


@pytest.mark.parametrize("package", sorted(m for m, path in MODULES.items() if path.name == "__init__.py"))
def test_no_lazy_name_is_also_a_module(package):
    """Importing a submodule sets it as an attribute of the package, which would hide a function of the same name."""
    imported = importlib.import_module(package)
    submodules = {module.name for module in pkgutil.iter_modules(imported.__path__)}
    clashes = {name for name in set(lazy_submodules(package)) & submodules if lazy_submodules(package)[name] != name}
    clashes |= {name for name, submodule in lazy_submodules(package).items() if name == submodule}
    assert not clashes, f"{package}: {sorted(clashes)}"


@pytest.mark.parametrize("package", sorted(m for m, path in MODULES.items() if path.name == "__init__.py"))
def test_public_names_exist(package):
    imported = importlib.import_module(package)
    names = getattr(imported, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(imported, name) is not None, f"{package}.{name}"
    unlisted = set(lazy_submodules(package)) - set(names)
    assert not unlisted, f"{package}: not in __all__: {sorted(unlisted)}"


def files_of(folder):
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", ["src", "benchmarks", "examples", "tests", "docs/_extensions"])
def test_files_and_functions_are_short(folder):
    violations = []
    for path in files_of(folder):
        text = path.read_text()
        where, lines = path.relative_to(ROOT), len(text.splitlines())
        if lines > MAX_FILE:
            violations.append(f"{where}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION:
                    violations.append(f"{where}:{node.lineno}: {node.name} has {length} lines")
    assert not violations, listed(violations)


def test_verbs_name_functions():
    """Functions and methods, except properties, context managers and methods that Python names."""
    violations = []
    for module in MODULES:
        scopes = [tree_of(module), *(node for node in ast.walk(tree_of(module)) if isinstance(node, ast.ClassDef))]
        for node in (node for scope in scopes for node in scope.body if isinstance(node, ast.FunctionDef)):
            decorators, name = " ".join(map(ast.unparse, node.decorator_list)), node.name.lstrip("_")
            exempt = node.name.startswith("__") or re.search("property|contextmanager", decorators)
            named = name in (MATHEMATICS + PHRASES).split() or re.search("(_|^)(loss|kernel)$", name)
            if not exempt and not named and name.split("_")[0] not in VERBS.split():
                violations.append(f"{location(module, node.lineno)}: {node.name}")
    assert not violations, listed(violations)


@pytest.mark.parametrize("path", files_of("examples"), ids=lambda path: path.stem)
def test_examples_use_public_names(path):
    """Names that a package lists in its ``__all__``."""
    violations = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("potstill"):
            public = getattr(importlib.import_module(node.module), "__all__", ())
            violations += [f"{node.module}.{alias.name}" for alias in node.names if alias.name not in public]
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "potstill":
            violations += [] if node.attr in potstill.__all__ else [f"potstill.{node.attr}"]
    assert not violations, listed(violations)
