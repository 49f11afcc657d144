"""Export distillates in the formats of other libraries. A format and its library are imported on first use."""

from potstill.exports.base import ExportFormat
from potstill.exports.registry import FORMATS
from potstill.exports.writing import export

__all__ = ["FORMATS", "ExportFormat", "export"]
