"""The few places where experiments reach past potstill's commands: settings of single parts, and one estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from potstill.config import KernelConfig, RebracConfig, TeachConfig
from potstill.config.settings import command_line
from potstill.data.transitions import Transitions
from potstill.teachers import rows
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.selection import worth


def kernel_settings(start: Literal["zero", "drawn"]) -> dict[str, Any]:
    """Options of ``potstill.distill``: kernel descent without the variance of the initialisation, or with it."""
    return {"kernel": KernelConfig(start=start)}


def rebrac(actor_penalty: float, critic_penalty: float) -> dict[str, Any]:
    """Options of ``potstill.teach``: ReBRAC with these penalties."""
    return {"algorithm": "rebrac", "rebrac": RebracConfig(actor_penalty=actor_penalty, critic_penalty=critic_penalty)}


def pessimistic_estimate(teacher: Teacher, data: Transitions, options: dict[str, Any]) -> float:
    """A teacher's pessimistic FQE estimate by a fresh fit, with the options of the training."""
    config = TeachConfig(data.name, **options)
    return float(worth(teacher, rows.prepare(data, config.discount), data, config))


def teach_command(dataset: Path | str, options: dict[str, Any]) -> str:
    """The command that stands for ``potstill.teach(dataset, **options)``."""
    return command_line("teach", TeachConfig(dataset, **options))
