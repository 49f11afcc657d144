"""An encoder in an ONNX file, run with onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from potstill.environments.observations.encoders import Encoder, as_features
from potstill.errors import PotstillError, make_missing_extra_error, name_option
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import check_regular, hash_file


@check_arguments
@dataclass(frozen=True)
class OnnxEncoder(Encoder):
    """An encoder of the user in an ONNX file.

    Its first input is float32 images [B, C, H, W] or [B, H, W, C]; numbers of ``uint8`` images lie in [0, 1]. Its first
    output is [B, …], which is flattened. The SHA-256 of the file is stored.

    Args:
        path: the file.

    Raises:
        PotstillError: an image is encoded, and the file is missing or not a model of such images, or onnxruntime is not
            installed.

    Example:
        >>> OnnxEncoder("encoder.onnx").describe()
        'onnx (path encoder.onnx)'
    """

    name: ClassVar[str] = "onnx"

    path: str = ""
    """The file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise PotstillError(f"encoder onnx: set {name_option('encoder.path')}")

    def encode(self, images: Float[np.ndarray, "B H W C"]) -> Float[np.ndarray, "B F"]:
        """Run the model on images with channels last.

        Raises:
            PotstillError: the file is missing, or the model does not take such images.
        """
        check_regular(Path(self.path))
        found = Path(self.path).stat()
        session = _open(self.path, (found.st_size, found.st_mtime_ns, found.st_ino))
        inputs = session.get_inputs()
        if [(len(one.shape), one.type) for one in inputs] != [(4, "tensor(float)")]:
            shapes = ", ".join(f"{one.type} {one.shape}" for one in inputs) or "none"
            raise PotstillError(f"{self.path}: expected one input of float32 with four axes, not {shapes}")
        [first], orders = inputs, [images, images.transpose(0, 3, 1, 2)]
        fitting = [order for order in orders if _has_shape(first.shape[1:], order.shape[1:])]
        if not fitting:
            raise PotstillError(f"{self.path} takes {first.shape}, but the images are [B, H, W, C] {images.shape}")
        if len(fitting) > 1:
            raise PotstillError(
                f"{self.path} takes {first.shape}, which may be [B, C, H, W] or [B, H, W, C]: fix the number of "
                "channels in the model"
            )
        [ordered] = fitting
        try:
            output = session.run(None, {first.name: np.ascontiguousarray(ordered, np.float32)})[0]
        except Exception as error:  # onnxruntime's own exceptions have no common base
            raise PotstillError(f"{self.path}: {' '.join(str(error).split())[:200]}") from None
        return as_features(np.asarray(output), len(images))

    def hash_weights(self, shape: tuple[int, int, int]) -> str:
        """Compute the SHA-256 of the file."""
        check_regular(Path(self.path))
        return hash_file(Path(self.path))


def _has_shape(wanted: list[int | str | None], shape: tuple[int, ...]) -> bool:
    return all(not isinstance(size, int) or size == own for size, own in zip(wanted, shape, strict=True))


@lru_cache(maxsize=4)
def _open(path: str, state: tuple[int, int, int]) -> Any:
    """Open a model. ``state`` is that of the file, so that a replaced file is opened again."""
    try:
        import onnxruntime
    except ImportError:
        raise make_missing_extra_error("onnxruntime", "encoder") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise PotstillError(f"{path}: not an ONNX model ({' '.join(str(error).split())[:200]})") from None
