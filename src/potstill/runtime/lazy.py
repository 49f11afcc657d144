"""Package attributes that are imported on first use, so that importing the package itself is fast."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def import_lazily(package: str, submodules: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module-level ``__getattr__`` that imports each public name from its submodule.

    Args:
        package: ``__name__`` of the package.
        submodules: for each public name, the submodule that defines it, relative to the package.
    """

    def find(name: str) -> object:
        if name not in submodules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        return getattr(import_module(f"{package}.{submodules[name]}"), name)

    return find
