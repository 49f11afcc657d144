"""Internal: the name that :mod:`potstill.config.settings` had in version 0.1, for scripts that import it."""

from potstill.config.settings import command_line, record_settings
from potstill.config.settings import read_option_docs as option_docs

__all__ = ["command_line", "option_docs", "record_settings"]
