"""The keys in the names of arrays that a dictionary of observations has become."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from potstill.errors import PotstillError, name_option


def find_inner_keys(names: Iterable[str], groups: Sequence[str]) -> dict[str, str]:
    """Find the arrays of a dictionary: names such as ``obs/speed`` or ``observation.speed``.

    Args:
        names: names of arrays.
        groups: possible names of the dictionary.

    Returns:
        The key of each name, with ``/`` between those of nested dictionaries, in alphabetical order of the keys.

    Raises:
        PotstillError: there are several dictionaries, or two arrays of one key.

    Example:
        >>> find_inner_keys(["obs/speed", "obs/arm/left", "action"], ["obs", "observations"])
        {'obs/arm/left': 'arm/left', 'obs/speed': 'speed'}
    """
    aliases = "|".join(re.escape(name).replace(r"\.", "[./]") for name in groups)
    found: dict[str, str] = {}
    seen: set[str] = set()
    for name in names:
        match = re.fullmatch(rf"({aliases})([/.])(.+)", name)
        if match:
            seen.add(match[1])
            found[name] = match[3] if match[2] == "/" else match[3].replace(".", "/")
    if len(seen) > 1:
        one, other = sorted(seen)[:2]
        raise PotstillError(
            f"there are arrays of both '{one}' and '{other}': choose some with {name_option('columns')}"
        )
    if len(set(found.values())) < len(found):
        key = next(key for key in found.values() if list(found.values()).count(key) > 1)
        raise PotstillError(f"there are two arrays of the key '{key}': choose one with {name_option('columns')}")
    return dict(sorted(found.items(), key=lambda item: item[1].split("/")))
