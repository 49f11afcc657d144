"""The interface of encoders. An encoder is a fixed function from images to features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

import numpy as np
from jaxtyping import Float

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject
from potstill.runtime.validation import check_types

PYTHON = "python"  # the stored name of a function of the user


@check_arguments
@dataclass(frozen=True)
class Encoder:
    """A fixed function from images to features. Derived classes implement :meth:`encode`; their fields are stored.

    Example:
        >>> class Brightness(Encoder):
        ...     def encode(self, images):
        ...         return images.mean(axis=(1, 2))
        >>> Brightness().encode(np.ones((1, 4, 4, 3), np.float32)).tolist()
        [[1.0, 1.0, 1.0]]
    """

    name: ClassVar[str] = "unnamed"
    """The name in the registry."""

    def __post_init__(self) -> None:
        check_types(self)

    def encode(self, images: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B F"]:
        """Encode images, with channels last. Numbers of ``uint8`` images lie in [0, 1]."""
        raise NotImplementedError

    def hash_weights(self, shape: tuple[int, int, int]) -> str | None:
        """Compute the SHA-256 of the weights for images [H, W, C], if they are known."""
        return None

    def to_json(self) -> JsonObject:
        """Return the registered name and the fields."""
        return {"name": self.name, **{field.name: getattr(self, field.name) for field in fields(self)}}

    def describe(self) -> str:
        """Describe the encoder in some words."""
        stored = self.to_json()
        settings = ", ".join(f"{key} {value}" for key, value in stored.items() if key != "name")
        return f"{stored['name']} ({settings})" if settings else str(stored["name"])


@check_arguments
@dataclass(frozen=True)
class FunctionEncoder(Encoder):
    """A Python function as an encoder. Its name is stored, but not its code.

    Args:
        function: from images [B, H, W, C] to features [B, F].
    """

    function: Callable[[np.ndarray], object]

    def encode(self, images: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B F"]:
        """Call the function, and check that it returns numbers for each image.

        Raises:
            PotstillError: it raises an exception, or returns something else.
        """
        try:
            found = np.asarray(self.function(images))
        except Exception as error:  # the code of the user may raise any exception
            raise PotstillError(f"the encoder raised {type(error).__name__}: {' '.join(str(error).split())}") from None
        return as_features(found, len(images))

    def to_json(self) -> JsonObject:
        """Return the module and the name of the function."""
        module, label = (getattr(self.function, key, "?") for key in ("__module__", "__qualname__"))
        return {"name": PYTHON, "function": f"{module}:{label}"}


@check_arguments
@dataclass(frozen=True)
class AbsentEncoder(Encoder):
    """The stored name of a function, whose code a file does not contain."""

    function: str

    def encode(self, images: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B F"]:
        """Raise: there is nothing to call."""
        raise PotstillError(
            f"the images were encoded by the Python function {self.function}, which is not stored: pass it as encoder"
        )

    def to_json(self) -> JsonObject:
        """Return the name of the function."""
        return {"name": PYTHON, "function": self.function}


EncoderLike: TypeAlias = Encoder | Callable[[np.ndarray], object]
"""An encoder, or a function from images [B, H, W, C] to features [B, F]."""


def as_encoder(given: EncoderLike) -> Encoder:
    """Return an encoder; a plain function becomes one."""
    return given if isinstance(given, Encoder) else FunctionEncoder(given)


def as_features(found: np.ndarray, rows: int) -> Float[np.ndarray, "B F"]:
    """Return the output of an encoder as float32 features.

    Raises:
        PotstillError: it is not one row of numbers for each image.
    """
    if found.ndim < 2 or len(found) != rows or found.dtype.kind not in "fiub" or not found.size:
        raise PotstillError(f"the encoder returns {found.dtype} of shape {found.shape}: expected [{rows}, features]")
    with np.errstate(over="ignore"):  # the reader finds infinite numbers, and says where
        flat: np.ndarray = found.reshape(rows, -1).astype(np.float32)
    return flat
