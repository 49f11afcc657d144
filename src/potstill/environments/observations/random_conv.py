"""Random convolutional features: a frozen network with random weights, and no training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from potstill.environments.observations.encoders import Encoder
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges

FILTERS = 32
LAYERS = 3
MOST_WEIGHTS = 1 << 28  # of the last map: more need gigabytes
KERNEL, STRIDE = 3, 2


@check_arguments
@dataclass(frozen=True)
class RandomConv(Encoder):
    """Features of a convolutional network with random weights, which are never trained.

    Three layers of 32 filters of 3 × 3 pixels with stride 2, padding 1 and ReLU reduce each side of x − 0.5 by a factor
    of 8. A random linear map of all their outputs gives the features, so that these keep where something is. Weights
    are normal with variance 2 / inputs in the layers, and 1 / inputs in the last map; NumPy's default generator draws
    them from the seed, layer by layer.

    Source: Saxe et al. 2011 (ICML) on random weights; Johnson and Lindenstrauss 1984 on the last map.

    Args:
        seed: the seed of the weights.
        features: the number of features.

    Raises:
        PotstillError: a field is out of range.

    Example:
        >>> features = RandomConv(seed=0, features=16).encode(np.zeros((2, 32, 32, 3), np.float32))
        >>> features.shape, np.allclose(features[0], features[1])
        ((2, 16), True)
    """

    name: ClassVar[str] = "random-conv"

    seed: int = 0
    """Seed of the weights."""
    features: int = 128
    """Number of features."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, seed=0, features=1)

    def encode(self, images: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B F"]:
        """Encode images [B, H, W, C] with numbers in [0, 1]."""
        *layers, last = draw_weights(self.seed, self.features, images.shape[1:])
        x = images - np.float32(0.5)
        for weight in layers:
            x = np.maximum(_convolve(x, weight), 0.0)
        features: np.ndarray = x.reshape(len(x), -1) @ last
        return features

    def hash_weights(self, shape: tuple[int, int, int]) -> str:
        """Compute the SHA-256 of the weights for images [H, W, C]."""
        digest = hashlib.sha256()
        for weight in draw_weights(self.seed, self.features, shape):
            digest.update(f"{weight.shape}".encode() + weight.astype("<f4").tobytes())
        return digest.hexdigest()


@lru_cache(maxsize=8)
def draw_weights(seed: int, features: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    """Draw the weights for images [H, W, C]: matrices of the three layers, and of the last map."""
    rng = np.random.default_rng(seed)

    def draw(inputs: int, outputs: int, gain: float) -> np.ndarray:
        drawn: np.ndarray = (rng.standard_normal((inputs, outputs)) * np.sqrt(gain / inputs)).astype(np.float32)
        return drawn

    weights = []
    height, width, channels = shape
    for _ in range(LAYERS):
        weights.append(draw(KERNEL * KERNEL * channels, FILTERS, 2.0))
        height, width, channels = -(-height // STRIDE), -(-width // STRIDE), FILTERS
    if height * width * channels * features > MOST_WEIGHTS:
        raise PotstillError(
            f"RandomConv.features {features:,}: for images of {shape[0]} × {shape[1]} pixels, expected at most "
            f"{MOST_WEIGHTS // (height * width * channels):,}"
        )
    return (*weights, draw(height * width * channels, features, 1.0))


def _convolve(x: Float[np.ndarray, "B H W C"], weight: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "B h w F"]:
    """Convolve with stride 2 and padding 1, as a product of the patches with a matrix."""
    rows, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = -(-height // STRIDE), -(-width // STRIDE)

    def shift() -> Iterator[np.ndarray]:
        for i in range(KERNEL):
            for j in range(KERNEL):
                yield padded[:, i : i + STRIDE * (h - 1) + 1 : STRIDE, j : j + STRIDE * (w - 1) + 1 : STRIDE]

    patches = np.concatenate(list(shift()), axis=3).reshape(rows * h * w, KERNEL * KERNEL * channels)
    convolved: np.ndarray = (patches @ weight).reshape(rows, h, w, -1)
    return convolved
