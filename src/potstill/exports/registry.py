"""The formats of distillates and of policies by name, and the choice of one by the suffix of a path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import PotstillError
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.exports.base import ExportFormat, Format
    from potstill.exports.policies.base import PolicyFormat

EXPORT_FORMATS: Registry[ExportFormat] = Registry(
    "export format",
    "potstill.exports",
    {
        "npz": "potstill.exports.npz:FORMAT",
        "d4rl": "potstill.exports.d4rl:FORMAT",
        "parquet": "potstill.exports.parquet:FORMAT",
        "minari": "potstill.exports.minari:FORMAT",
    },
)
"""The export formats by name. Other packages add a format by an entry point in the group ``potstill.exports``."""


POLICY_FORMATS: Registry[PolicyFormat] = Registry(
    "policy format",
    "potstill.policy_formats",
    {
        "onnx": "potstill.exports.policies.onnx_graph:FORMAT",
        "c": "potstill.exports.policies.c_header:FORMAT",
        "numpy": "potstill.exports.policies.numpy_module:FORMAT",
        "torch": "potstill.exports.policies.torch_weights:FORMAT",
    },
)
"""The policy formats by name. Other packages add one by an entry point in the group ``potstill.policy_formats``."""


def resolve_format(path: Path, name: str | None, formats: Registry[Any] = EXPORT_FORMATS) -> str:
    """Return ``name`` if it is given, else the name of the format that has the suffix of ``path``.

    Raises:
        PotstillError: the name is unknown, or no format has the suffix.

    >>> resolve_format(Path("pairs.h5"), None)
    'd4rl'
    """
    if name is not None:
        formats[name]  # raises if the name is unknown
        return name
    found: Mapping[str, Format[Any]] = {known: formats[known] for known in formats}
    for known, form in found.items():
        if path.suffix in form.suffixes:
            return known
    suffixes = [suffix for form in found.values() for suffix in form.suffixes]
    raise PotstillError(
        f"{path}: no {formats.kind} has the suffix '{path.suffix}': use one of {', '.join(suffixes)}, or name the "
        f"format ({', '.join(formats)})"
    )
