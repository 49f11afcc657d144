"""Export distillates in the formats of other libraries. A format and its library are imported on first use."""

from typing import TYPE_CHECKING

from potstill.exports.registry import EXPORT_FORMATS
from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.exports.base import ExportFormat
    from potstill.exports.writing import write_export

__all__ = ["EXPORT_FORMATS", "ExportFormat", "write_export"]

__getattr__ = import_lazily(__name__, {"ExportFormat": "base", "write_export": "writing"})


def __dir__() -> list[str]:
    return sorted(__all__)
