"""The registry of encoders."""

from __future__ import annotations

from potstill.environments.observations.encoders import Encoder
from potstill.runtime.registry import Registry

ENCODERS: Registry[type[Encoder]] = Registry(
    "encoder",
    "potstill.encoders",
    {
        "random-conv": "potstill.environments.observations.random_conv:RandomConv",
        "onnx": "potstill.environments.observations.onnx_file:OnnxEncoder",
    },
)
