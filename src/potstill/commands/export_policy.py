"""``potstill export-policy``: write a policy as a file that runs without potstill."""

from __future__ import annotations

from pathlib import Path

from potstill.config import ExportPolicyConfig
from potstill.config.settings import takes_options
from potstill.exports import policies


@takes_options(ExportPolicyConfig)
def export_policy(config: ExportPolicyConfig) -> Path:
    """Write the policy of ``config.source`` to ``config.path``, as :func:`potstill.export_policy` does in Python.

    Returns:
        The file.

    Raises:
        PotstillError: there is no such source, or :func:`potstill.export_policy` refuses it.
    """
    path = policies.export_policy(
        config.source,
        config.path,
        config.format,
        student=config.student,
        average=config.average,
        teacher=config.teacher,
        force=config.force,
    )
    print(path)
    return path
