"""Write the pages of the reference before Sphinx reads them: a page for each public name and for each command.

A name is public if ``__all__`` of ``potstill`` or of one of :data:`PACKAGES` lists it. The pages hold directives of
autodoc, so that all text comes from docstrings; the pages of commands come from the command line itself. They lie in
``docs/reference/python`` and ``docs/reference/commands`` and are not committed.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES = (
    "potstill",
    "potstill.data",
    "potstill.environments",
    "potstill.environments.observations",
    "potstill.networks",
    "potstill.students",
    "potstill.teachers",
    "potstill.worlds",
    "potstill.distillation",
    "potstill.distillation.objectives",
    "potstill.distillation.solvers",
    "potstill.distillation.baselines",
    "potstill.evaluation",
    "potstill.tasks",
    "potstill.finetuning",
    "potstill.exports",
    "potstill.exports.policies",
    "potstill.theory",
)
PUBLIC = "The names on these pages are public. All other names are internal and may change in any release."
PYTHON, COMMANDS = Path("reference/python"), Path("reference/commands")
PLAIN = (str, int, float, tuple, frozenset, type(None))


def public_names(package: str) -> list[str]:
    """The names that ``__all__`` of a package lists, each once, in its order."""
    return list(dict.fromkeys(getattr(importlib.import_module(package), "__all__", ())))


def documented() -> dict[str, str]:
    """The page of every public name: full name -> the full name that it is documented under.

    An object that several packages export is documented once, under the first of :data:`PACKAGES`.
    """
    homes: dict[Any, str] = {}
    names: dict[str, str] = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in public_names(package):
            value, full = getattr(module, name), f"{package}.{name}"
            key = full if isinstance(value, PLAIN) else id(value)
            names[full] = homes.setdefault(key, full)
    return names


def value_of(full: str) -> Any:
    """The object behind a full name."""
    package, _, name = full.rpartition(".")
    return getattr(importlib.import_module(package), name)


def summary(value: Any) -> str:
    """First line of an object's own docstring."""
    described = inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)
    text = inspect.getdoc(value) if described else None
    return (text or "").strip().split("\n\n")[0].replace("\n", " ")


def titled(text: str) -> list[str]:
    """A heading in reStructuredText."""
    return [text, "=" * len(text), ""]


def page_of(full: str) -> str:
    """The page of one name, in reStructuredText."""
    value = value_of(full)
    if inspect.ismodule(value):
        directive, options = "automodule", ["   :members:"]
    elif inspect.isclass(value):
        directive = "autoexception" if issubclass(value, BaseException) else "autoclass"
        options = ["   :members:", "   :show-inheritance:"]
    elif inspect.isroutine(value):
        directive, options = "autofunction", []
    else:
        shown = [f"   :value: {value!r}"] if isinstance(value, PLAIN) else []
        directive, options = "py:data", [*shown, "", *(f"   {line}" for line in variable_doc(full).splitlines())]
    lines = [*titled(full), f".. {directive}:: {full}", *options, ""]
    if isinstance(value, Mapping):
        lines += entries(value)
    return "\n".join(lines)


def variable_doc(full: str) -> str:
    """The docstring below a constant or a type alias, in the module that defines it."""
    from sphinx.pycode import ModuleAnalyzer

    value, name = value_of(full), full.rpartition(".")[2]
    for module in [module for key, module in list(sys.modules.items()) if key.split(".")[0] == "potstill"]:
        if vars(module).get(name) is value:
            found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs().get(("", name))
            if found:
                return "\n".join(found)
    return ""


def entries(parts: Mapping[Any, Any]) -> list[str]:
    """What a registry or another mapping holds: a definition for each entry."""
    lines = []
    for name in parts:
        part = parts[name]
        if dataclasses.is_dataclass(part) and not isinstance(part, type):
            changed = {item.name: getattr(part, item.name) for item in non_default(part)}
            texts = [summary(value) for value in changed.values() if inspect.isroutine(value)]
            plain = ", ".join(f"{key}={value!r}" for key, value in changed.items() if not inspect.isroutine(value))
            lines += [f"``{name}``", f"   {' '.join([*texts, f'``{type(part).__name__}({plain})``'])}", ""]
        else:
            lines += [f"``{name}``", f"   {summary(part) or f'``{part!r}``'}", ""]
            if dataclasses.is_dataclass(part):
                lines += fields_of(part, "   ")
    return lines


def non_default(part: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a dataclass object that differ from their defaults."""
    return [item for item in dataclasses.fields(part) if getattr(part, item.name) != item.default]


def fields_of(part: Any, indent: str) -> list[str]:
    """The fields of a dataclass, with their defaults and the docstrings beside them."""
    described = attribute_docs(part)
    lines = []
    for item in dataclasses.fields(part):
        if item.init and item.name != "recipe":  # a solver gets it from --recipe
            default = "" if item.default is dataclasses.MISSING else f" (default ``{item.default!r}``)"
            text = f" {described[item.name]}" if item.name in described else ""
            lines.append(f"{indent}- ``{item.name}``{default}:{text}")
    return [*lines, ""] if lines else []


def attribute_docs(kind: type) -> dict[str, str]:
    """The string that follows each field in the source of a class and of its bases."""
    from sphinx.pycode import ModuleAnalyzer

    found: dict[str, str] = {}
    for base in reversed([base for base in kind.__mro__ if base.__module__.startswith("potstill")]):
        docs = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
        found |= {name: " ".join(text).strip() for (owner, name), text in docs.items() if owner == base.__qualname__}
    return found


def package_page(package: str, names: dict[str, str]) -> str:
    """The page of a package: its docstring, then a table of its names."""
    lines = [*titled(package), f".. automodule:: {package}", "   :no-members:", ""]
    own = [f"{package}.{name}" for name in public_names(package)]
    if own:
        lines += [".. list-table::", "   :widths: 30 70", ""]
    for full in own:
        text = summary(value_of(full)) or variable_doc(full).split("\n\n")[0].replace("\n", " ")
        lines += [f"   * - :doc:`{full.rpartition('.')[2]} <{names[full]}>`", f"     - {text}".rstrip()]
    pages = sorted({names[full] for full in own if names[full] == full}, key=str.lower)
    return "\n".join([*lines, "", ".. toctree::", "   :hidden:", "", *(f"   {page}" for page in pages), ""])


def command_pages() -> Iterator[tuple[str, str]]:
    """The page of every command, in Markdown, as ``potstill COMMAND --help`` has it."""
    from potstill.cli import COMMANDS as names
    from potstill.cli import make_app

    text = make_app().generate_docs(output_format="markdown")
    parts = re.split(r"^## potstill ([\w-]+)$", text, flags=re.M)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name in names:
        body = re.sub(rf"^(potstill {name}) -m \S+", r"\1", found[name].strip(), flags=re.M)  # how Python was started
        body = re.sub(r"\n {2,}(?=\S)", "\n  ", body)
        yield name, f"# potstill {name}\n\n{body.replace('```console', '```text')}\n"


def part_pages() -> Iterator[tuple[str, str]]:
    """A page for each option that names a part, such as ``--solver``: the names, and the fields of each part."""
    from potstill.config.settings import PART_REGISTRIES

    for option, registry in PART_REGISTRIES.items():
        lines = [
            *titled(f"--{option}"),
            f"``--{option} NAME`` takes these names. ``--{option}.FIELD VALUE`` changes a field.",
        ]
        parts = [registry[name] for name in registry]
        kinds = dict.fromkeys(type(part) for part in parts if not isinstance(part, type))
        lines += ["", *entries(registry)]
        for kind in filter(dataclasses.is_dataclass, kinds):
            lines += ["Fields:", "", *fields_of(kind, "")]
        yield option, re.sub(r"(?<=- ``)\w+(?=``)", lambda field: field[0].replace("_", "-"), "\n".join(lines))


def write(source: Path) -> dict[str, str]:
    """Write all pages under ``source``; return what :func:`documented` says."""
    for folder in (PYTHON, COMMANDS):
        shutil.rmtree(source / folder, ignore_errors=True)
        (source / folder).mkdir(parents=True)
    names = documented()
    for full in dict.fromkeys(names.values()):
        (source / PYTHON / f"{full}.rst").write_text(page_of(full))
    for package in PACKAGES:
        (source / PYTHON / f"{package}.rst").write_text(package_page(package, names))
    toctree = [".. toctree::", "   :maxdepth: 1", "", *(f"   {package}" for package in PACKAGES), ""]
    (source / PYTHON / "index.rst").write_text("\n".join([*titled("Python"), PUBLIC, "", *toctree]))
    lines = ["# Commands", "", "`potstill COMMAND --help` prints the same.", "", "```{toctree}", ":maxdepth: 1", ""]
    for option, text in part_pages():
        (source / COMMANDS / f"{option}.rst").write_text(text)
    for name, text in command_pages():
        (source / COMMANDS / f"{name}.md").write_text(text)
        lines.append(name)
    lines += ["```", "", "Options that name a part with fields of its own:", "", "```{toctree}", ":maxdepth: 1", ""]
    lines += [option for option, _ in part_pages()]
    (source / COMMANDS / "index.md").write_text("\n".join([*lines, "```", ""]))
    return names


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx: write the pages first, resolve names by their home, check at the end that none is missing."""
    names: dict[str, str] = {}
    homes: dict[str, str] = {}

    def generate(app: Any) -> None:
        names.update(write(Path(app.srcdir)))
        for full, shown in names.items():
            value = value_of(full)
            if hasattr(value, "__qualname__"):
                homes[f"{value.__module__}.{value.__qualname__}"] = shown
            homes[full] = shown

    def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
        target = homes.get(node.get("reftarget", ""))
        if node.get("refdomain") != "py" or target is None:
            return None
        domain = env.domains["py"]
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)

    def plain(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
        if what in ("attribute", "property", "data"):  # else napoleon takes "Steps: the number" for a type
            lines[:0] = ["..", ""]

    def check(app: Any, error: Exception | None) -> None:
        if error is None:
            objects = app.env.domains["py"].objects
            modules = app.env.domains["py"].modules
            lost = sorted({shown for shown in names.values() if shown not in objects and shown not in modules})
            if lost:
                raise RuntimeError(f"public names without an entry in the reference: {', '.join(lost)}")

    app.connect("builder-inited", generate)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", plain, priority=100)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
