"""``potstill reproduce``: run a finished run again and compare the artefacts byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from potstill.commands.collect import collect
from potstill.commands.distill import distill
from potstill.commands.teach import teach
from potstill.config import CollectConfig, DistillConfig, ReproduceConfig, TeachConfig
from potstill.config.settings import configured, from_saved
from potstill.config.teach import upgrade_saved
from potstill.errors import PotstillError
from potstill.runtime.run_folder import check_free, read_json, write_json

COMMANDS: dict[str, tuple[type[Any], Callable[..., Path]]] = {
    "collect": (CollectConfig, collect),
    "distill": (DistillConfig, distill),
    "teach": (TeachConfig, teach),
}


@configured(ReproduceConfig)
def reproduce(config: ReproduceConfig) -> Path:
    """Run ``config.run`` again from its ``config.json`` and compare the SHA-256 of the artefact.

    Of collected data it is that of their rows. The same command and seed give the same bytes on one machine with
    the same library versions. The verdict is printed and kept as ``reproduced.json`` in the new run folder.

    Returns:
        The new run folder.

    Raises:
        PotstillError: no finished run of a command that can be run again, or the bytes differ.

    Example:
        >>> import potstill
        >>> run = potstill.reproduce("runs/demo")  # doctest: +SKIP
    """
    old = Path(config.run)
    saved = read_json(old / "config.json")
    command = saved.get("command")
    saved = upgrade_saved(saved) if command == "teach" else saved
    if command not in COMMANDS:
        raise PotstillError(f"{old}: a run of '{command}', only {', '.join(COMMANDS)} can be run again")
    result = read_json(old / "result.json")
    expected, changes = result.get("sha256"), _unhurried(old, saved, result)
    if config.out is not None and Path(config.out).resolve() == old.resolve():
        raise PotstillError(f"--out {config.out}: that is the run to reproduce")
    check_free(config.out, force=config.force)
    kind, function = COMMANDS[command]
    whole = {"resume": False} if hasattr(kind, "resume") else {}  # in one go, even if the first run was not
    new = function(from_saved(kind, saved, out=config.out, force=config.force, **whole, **changes))
    found = read_json(new / "result.json")["sha256"]
    verdict = {"run": str(old), "expected": expected, "found": found, "same": found == expected}
    write_json(new / "reproduced.json", verdict)
    if not verdict["same"]:
        raise PotstillError(f"{new} differs from {old}: sha256 {found[:12]} instead of {str(expected)[:12]}")
    print(f"reproduced: {new} and {old} hold the same bytes (sha256 {found[:12]})")
    return new


def _unhurried(run: Path, saved: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Instead of a budget of seconds, which gives another number of steps every time, the number that it gave."""
    if saved.get("budget") is None:
        return {}
    pace = result["pace"]
    if pace["how"] == "most":
        raise PotstillError(
            f"{run}: its --budget {saved['budget']} cut the search for its steps short: not reproducible"
        )
    return {"budget": None, "steps": pace["steps"] if pace["how"] == "budget" else None}
