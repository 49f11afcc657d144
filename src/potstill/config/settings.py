"""What all configs share: checking their ranges, calling with them, writing them as a command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, ParamSpec, TypeVar

from potstill.errors import PotstillError

P = ParamSpec("P")
Config = TypeVar("Config")
Result = TypeVar("Result")


def configured(config: Callable[P, Config]) -> Callable[[Callable[[Config], Result]], Callable[P, Result]]:
    """Let a function of one config be called with that config's own arguments.

    ``distill("hopper-medium-replay", size=64)`` is ``distill`` of
    ``DistillConfig("hopper-medium-replay", size=64)``; a ready config is taken as it is.
    """

    def decorate(function: Callable[[Config], Result]) -> Callable[P, Result]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Result:
            ready = len(args) == 1 and not options and isinstance(args[0], config)  # type: ignore[arg-type]
            return function(args[0] if ready else config(*args, **options))

        return call

    return decorate


def seconds_of(option: str, text: str) -> float:
    """Seconds that the value of an option stands for; a number without a unit counts seconds.

    >>> [seconds_of("--budget", text) for text in ("60s", "90", "2m", "1.5h")]
    [60.0, 90.0, 120.0, 5400.0]
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(s|m|h|)", text.strip())
    seconds = float(match[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]] if match else 0.0
    if not 0.0 < seconds < float("inf"):
        raise PotstillError(f"{option} {text}: a time above 0 is needed, such as 60s, 2m or 1.5h")
    return seconds


def command_line(name: str, config: Any) -> str:
    """The command that a config stands for: what is given by position, then all that is not default.

    >>> from potstill.config import DistillConfig
    >>> command_line("distill", DistillConfig("hopper-medium-replay", size=64, out="runs/a"))
    'potstill distill hopper-medium-replay --size 64'
    """
    return " ".join(["potstill", name, *_words(config, "")])


def _words(config: Any, prefix: str) -> list[str]:
    words = []
    for item in fields(config):
        value, option = getattr(config, item.name), f"--{prefix}{_dashed(item.name)}"
        if is_dataclass(value):
            words += _words(value, f"{_dashed(item.name)}.")
        elif item.default is MISSING:
            words += [str(part) for part in (value if isinstance(value, tuple) else (value,))]
        elif value != item.default and item.name not in ("out", "force", "resume"):
            if isinstance(value, bool):
                words.append(option if value else f"--{prefix}no-{_dashed(item.name)}")
            else:
                words.append(f"{option} {' '.join(map(str, value)) if isinstance(value, tuple) else value}")
    return words


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def from_saved(config: type[Config], saved: dict[str, Any], **changes: Any) -> Config:
    """Rebuild a config from what ``config.json`` holds, with some settings changed."""
    settings = {}
    for item in fields(config):  # type: ignore[arg-type]
        if item.name in saved:
            value: Any = saved[item.name]
            nested = is_dataclass(item.default) and isinstance(value, dict)
            if isinstance(item.default, tuple):
                value = tuple(value)  # JSON has lists
            settings[item.name] = from_saved(type(item.default), value) if nested else value
    return config(**{**settings, **changes})
