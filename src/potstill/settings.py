"""The name that :mod:`potstill.config.settings` had in version 0.1. Use the new name in new code."""

from potstill.config.settings import command_line, read_option_docs, record_settings

__all__ = ["command_line", "read_option_docs", "record_settings"]
