"""``potstill inspect``: say what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from potstill import storage
from potstill.bundled import bundled_names
from potstill.config import InspectConfig
from potstill.data.registry import load_dataset
from potstill.environments import normalised
from potstill.errors import PotstillError
from potstill.policies import load_policy
from potstill.runs import RunFolder, check_free
from potstill.settings import configured
from potstill.teachers.base import load_teacher


@configured(InspectConfig)
def inspect(config: InspectConfig) -> Path:
    """Print what a distillate, teacher, policy or dataset holds, and keep it as ``result.json``.

    Returns:
        The run folder.

    Raises:
        PotstillError: no such file, damaged, of an unknown version, or of no kind known here.

    Example:
        >>> import potstill
        >>> run = potstill.inspect("hopper-medium-replay")  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    facts = describe(config.path)
    folder = RunFolder(config.out, "inspect", config, force=config.force)
    folder.finish(facts)
    table = Table(title=f"{facts['kind']}: {config.path}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(facts):
        table.add_row(name, value)
    Console().print(table)
    return folder.path


def describe(path: Path | str) -> dict[str, Any]:
    """The facts of one artefact or dataset, as plain values."""
    found = Path(path)
    if found.is_dir():
        found = found / "distillate.safetensors"
    if str(path) in bundled_names() or found.suffix != ".safetensors":
        return describe_dataset(path)
    kind = storage.kind_of(found)
    if kind == "distillate":
        return describe_distillate(found)
    if kind == "teacher":
        teacher = load_teacher(found)
        shapes = [list(layer["weight"].shape) for layer in teacher.policy.layers]
        return {"kind": kind, "policy": shapes, "critics": len(teacher.critics[0]["bias"]), **teacher.metadata}
    if kind == "policy":
        policy = load_policy(found)
        return {"kind": kind, "policy": [list(x["weight"].shape) for x in policy.layers], "head": policy.head}
    raise PotstillError(f"{found}: a safetensors file, but not one of potstill's")


def describe_distillate(path: Path) -> dict[str, Any]:
    """Sizes, ranges and papers of a distillate."""
    from potstill.distillate import load

    distillate = load(path)
    return {
        "kind": "distillate",
        "bytes": path.stat().st_size,
        "pairs": len(distillate),
        "state_size": distillate.states.shape[1],
        "action_size": distillate.actions.shape[1],
        "states_from": distillate.states.min(0).round(3).tolist(),
        "states_to": distillate.states.max(0).round(3).tolist(),
        "actions_from": distillate.actions.min(0).round(3).tolist(),
        "actions_to": distillate.actions.max(0).round(3).tolist(),
        "action_low": distillate.action_low.tolist(),
        "action_high": distillate.action_high.tolist(),
        "state_mean": distillate.normaliser.mean.tolist(),
        "state_scale": distillate.normaliser.scale.tolist(),
        **distillate.metadata,
    }


def describe_dataset(path: Path | str) -> dict[str, Any]:
    """Rows, episodes, returns and card of a dataset."""
    data = load_dataset(path)
    returns = data.episode_returns()
    facts = {
        "kind": "dataset",
        "name": data.name,
        "env_id": data.env_id,
        "rows": len(data),
        "episodes": len(returns),
        "state_size": data.state_size,
        "action_size": data.action_size,
        "return_mean": float(returns.mean()),
        "return_best": float(returns.max()),
        "terminations": int(data.terminations.sum()),
        "truncations": int(data.truncations.sum()),
        "sha256": data.content_hash,
        "card": data.card,
    }
    if data.env_id:
        facts["score_mean"], facts["score_best"] = (
            float(normalised(facts[key], data.env_id)) for key in ("return_mean", "return_best")
        )
    return facts


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            rows.append((prefix + name, " ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in value)))
        elif name != "kind":
            rows.append(
                (
                    prefix + name,
                    f"{value:,}"
                    if isinstance(value, int)
                    else str(np.round(value, 4) if isinstance(value, float) else value),
                )
            )
    return rows
