"""The arrays of an observation, and the axes of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments

PIXEL = 255.0  # uint8 images are divided by this number
MOST_FLAT = 4096  # numbers of an array that is flattened: larger arrays need an encoder
MOST_NUMBERS = 1 << 20  # numbers of an image: larger ones are refused before memory is taken
LEAST_SIDE = 4  # pixels of an image

AXES = {
    "HW": (0, 1, 2),
    "HWC": (0, 1, 2, 3),
    "CHW": (0, 2, 3, 1),
    "THWC": (0, 2, 3, 1, 4),
    "TCHW": (0, 3, 4, 1, 2),
}
"""For each layout, the axes of [B, …] in the order B, H, W, T, C. Frames and channels become one axis."""


@check_arguments
@dataclass(frozen=True)
class Part:
    """One array of an observation.

    Arrays of numbers with two axes, and all arrays with fewer, are vectors or stacks of vectors. Arrays of ``uint8``
    with two axes, and all arrays with more, are images, or stacks of them.

    Args:
        name: the key in a dictionary of observations, with ``/`` between the keys of nested ones; empty for an
            observation that is no dictionary.
        shape: the shape of the array.
        dtype: the type of its numbers, as NumPy calls it.
        width: the number of components that it becomes.

    Raises:
        PotstillError: the array is empty or too large, or the axes of an image are unclear.

    Example:
        >>> Part("camera", (64, 64, 3), "uint8", 128).layout, Part("speed", (4, 3), "float32", 12).is_image
        ('HWC', False)
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    width: int

    def __post_init__(self) -> None:
        if not self.size or min(self.shape, default=1) < 0:
            raise PotstillError(f"{self.label} has the shape {self.shape}: expected numbers")
        if self.size > MOST_NUMBERS:
            raise PotstillError(
                f"{self.label} has {self.size:,} numbers ({format_shape(self.shape)}), more than {MOST_NUMBERS:,}: "
                "shrink the images first"
            )

    @property
    def label(self) -> str:
        """The array, in messages."""
        return f"'{self.name}'" if self.name else "the observation"

    @property
    def size(self) -> int:
        """The number of numbers in the array."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether the array is an image or a stack of images."""
        return len(self.shape) > 2 or (len(self.shape) == 2 and self.dtype == "uint8")

    @property
    def divisor(self) -> float:
        """What numbers are divided by: 255 for ``uint8`` images, else 1."""
        return PIXEL if self.is_image and self.dtype == "uint8" else 1.0

    @property
    def layout(self) -> str:
        """The axes of an image: height ``H``, width ``W``, channels ``C`` and frames ``T``, in order.

        The axis of channels is the shorter one of the first and the last, and of a stack, one with at most four.

        Raises:
            PotstillError: the axes are unclear, or an image has fewer than 4 × 4 pixels.
        """
        shape, found = self.shape, ""
        if len(shape) == 2:
            found = "HW"
        elif len(shape) == 3 and shape[0] != shape[2]:
            found = "HWC" if shape[2] < shape[0] else "CHW"
        elif len(shape) == 4 and min(shape[1], shape[3]) <= 4:
            found = "THWC" if shape[3] <= 4 else "TCHW"
        if not found:
            raise PotstillError(
                f"{self.label} has the shape {shape}: expected an image [H, W], [H, W, C] or [C, H, W], or a stack "
                "of images [T, H, W, C] or [T, C, H, W], with fewer channels than rows"
            )
        sides = [shape[found.index(axis)] for axis in "HW"]
        if min(sides) < LEAST_SIDE:
            raise PotstillError(f"{self.label} has images of {sides[0]} × {sides[1]} pixels: expected at least 4 × 4")
        return found

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels as an encoder sees them: the frames of a stack are further channels."""
        axes = [self.shape[axis - 1] for axis in AXES[self.layout][1:]]
        return axes[0], axes[1], math.prod(axes[2:])

    def to_images(self, values: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B H W C"]:
        """Convert arrays [B, …] to images with channels last; those of ``uint8`` are divided by 255."""
        images = values.reshape(len(values), *self.shape).transpose(AXES[self.layout])
        scaled: np.ndarray = images.reshape(len(values), *self.image_shape).astype(np.float32)
        return scaled / np.float32(self.divisor)

    def flatten(self, values: Shaped[np.ndarray, "B ..."]) -> Float[np.ndarray, "B n"]:
        """Flatten arrays [B, …] row by row (C order); those of ``uint8`` images are divided by 255."""
        flat: np.ndarray = values.reshape(len(values), self.size).astype(np.float32)
        return flat / np.float32(self.divisor)

    def describe(self) -> str:
        """Describe the array and its shape in some words."""
        name = self.name or "observation"
        if not self.is_image:
            return f"{name} ({format_shape(self.shape)})"
        scale = f" / {self.divisor:g}" if self.divisor != 1.0 else ""
        return f"{name} ({format_shape(self.shape)} {self.layout}, {self.dtype}{scale})"


def format_shape(shape: tuple[int, ...]) -> str:
    """Write a shape, such as ``64 × 64 × 3``."""
    return " × ".join(map(str, shape)) or "1"
