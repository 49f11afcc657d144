"""The version of potstill. Looking it up takes a while, so that it is done on first use."""

from importlib.metadata import version

__version__ = version("potstill")
