"""The encoder of images that a command is given: a name with fields, or an object."""

from __future__ import annotations

from potstill.config.parts import NamedPart, resolve_part
from potstill.environments.observations.encoders import Encoder, EncoderLike
from potstill.environments.observations.registry import ENCODERS
from potstill.errors import PotstillError, describe_object, name_option


def resolve_encoder(setting: object) -> EncoderLike:
    """Resolve the setting of an encoder.

    Raises:
        PotstillError: the name or a field is unknown, or the object is no encoder and no function.
    """
    if isinstance(setting, NamedPart) and not setting.name:
        option = name_option(f"encoder.{next(iter(setting.fields))}")
        raise PotstillError(f"{option}: name the encoder as well, with {name_option('encoder')}")
    found = resolve_part("encoder", setting, ENCODERS)
    if not isinstance(found, Encoder) and not callable(found):
        raise PotstillError(f"the encoder is {describe_object(found)}: expected a name, an encoder or a function")
    return found
