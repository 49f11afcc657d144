"""The version of potstill. This module is imported on first use, because finding the version takes time."""

from importlib.metadata import version

__version__ = version("potstill")
