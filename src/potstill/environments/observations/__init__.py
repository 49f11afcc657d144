"""Observations that are not vectors: a recorded rule turns them into vectors.

A rule (:class:`ObservationRule`) lists the arrays of an observation in order, and how each becomes numbers: vectors and
stacks of vectors are flattened, images are flattened or encoded by a frozen :class:`Encoder`. Datasets, teachers and
distillates store the rule, and :func:`potstill.environments.make` applies it to live observations.

Public names:

- :class:`ObservationRule` and its parts, :class:`Part`; :func:`read_rule` reads a stored rule.
- :class:`RandomConv` and :class:`OnnxEncoder` are encoders; :class:`Encoder` is the base class of others.
- :data:`ENCODERS` is the registry of encoders.
"""

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.environments.observations.encoders import Encoder
    from potstill.environments.observations.onnx_file import OnnxEncoder
    from potstill.environments.observations.parts import Part
    from potstill.environments.observations.random_conv import RandomConv
    from potstill.environments.observations.registry import ENCODERS
    from potstill.environments.observations.rule import ObservationRule, read_rule

__all__ = ["ENCODERS", "Encoder", "ObservationRule", "OnnxEncoder", "Part", "RandomConv", "read_rule"]

__getattr__ = import_lazily(
    __name__,
    {
        "ENCODERS": "registry",
        "Encoder": "encoders",
        "ObservationRule": "rule",
        "OnnxEncoder": "onnx_file",
        "Part": "parts",
        "RandomConv": "random_conv",
        "read_rule": "rule",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
