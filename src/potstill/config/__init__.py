"""Internal: the settings of every command, one dataclass per command, with a docstring for every field.

This package does not import JAX, so the command line starts quickly. The command line is generated from these classes,
and the resolved values are saved with every artefact.
"""

from potstill.config.artefacts import (
    AuditConfig,
    ExplainConfig,
    ExportConfig,
    ExportPolicyConfig,
    InspectConfig,
    MergeConfig,
    PushConfig,
    ReportConfig,
    ReproduceConfig,
)
from potstill.config.collect import CollectConfig
from potstill.config.convert import ConvertConfig
from potstill.config.distill import DistillConfig
from potstill.config.evaluate import EvaluateConfig
from potstill.config.finetune import FinetuneConfig
from potstill.config.model import ModelConfig
from potstill.config.teach import TeachConfig

__all__ = [
    "AuditConfig",
    "CollectConfig",
    "ConvertConfig",
    "DistillConfig",
    "EvaluateConfig",
    "ExplainConfig",
    "ExportConfig",
    "ExportPolicyConfig",
    "FinetuneConfig",
    "InspectConfig",
    "MergeConfig",
    "ModelConfig",
    "PushConfig",
    "ReportConfig",
    "ReproduceConfig",
    "TeachConfig",
]
