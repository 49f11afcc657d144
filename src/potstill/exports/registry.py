"""The export formats of distillates by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.exports.base import ExportFormat

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
