"""The encoder of images that a command is given: a name with fields, or an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from potstill.config.parts import resolve_part
from potstill.environments.observations.encoders import ENCODERS, Encoder
from potstill.errors import PotstillError, describe_object


def resolve_encoder(setting: object) -> Encoder | Callable[..., Any] | None:
    """Resolve the setting of an encoder.

    Raises:
        PotstillError: the name or a field is unknown, or the object is no encoder and no function.
    """
    found = None if setting is None else resolve_part("encoder", setting, ENCODERS)
    if found is not None and not isinstance(found, Encoder) and not callable(found):
        raise PotstillError(f"the encoder is {describe_object(found)}: expected a name, an encoder or a function")
    return found  # type: ignore[return-value]
