"""``potstill reproduce``: run a finished run again and compare the artefacts, or make a table of the paper."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from potstill.commands.collect import collect
from potstill.commands.distill import distill
from potstill.commands.paper.running import reproduce_paper
from potstill.commands.paper.targets import ALL, TARGETS
from potstill.commands.teach import teach
from potstill.config import CollectConfig, DistillConfig, ReproduceConfig, TeachConfig
from potstill.config.settings import read_settings, record_settings, takes_options
from potstill.errors import PotstillError, name_option
from potstill.runtime import storage
from potstill.runtime.files import JsonObject, hash_file
from potstill.runtime.run import Run
from potstill.runtime.run_folder import add_file, find_finished
from potstill.runtime.storage import RECORDED

COMMANDS: dict[str, tuple[type[Any], Callable[..., Run]]] = {
    "collect": (CollectConfig, collect),
    "distill": (DistillConfig, distill),
    "teach": (TeachConfig, teach),
}
OF_VERSIONS = ("potstill", "warnings")  # metadata that depend on the version of potstill


@takes_options(ReproduceConfig)
def reproduce(config: ReproduceConfig) -> Run:
    """Run a finished run again from its ``config.json`` and compare the SHA-256 of its artefact.

    For collected data, the hash of their rows is compared. The same command and seed give the same bytes on one machine
    with the same library versions. Another version of potstill may write other warnings into the artefact. The
    outcome is printed and saved as ``reproduced.json`` in the new run folder. ``resume=True`` continues an interrupted
    reproduction.

    With a name such as ``table1`` instead of a run, tables and figures with potstill's results beside the paper's are
    made: ``README.md`` shows them all, and each has a CSV file and a picture. A path that exists is a run.

    Returns:
        The new run.

    Raises:
        PotstillError: the run is not finished, its command cannot be run again, or the bytes differ; a name or a
            dataset is unknown; or a part of a table failed. The other parts are written, and ``resume=True`` repeats
            only what failed.

    Example:
        >>> import potstill
        >>> run = potstill.reproduce("runs/demo")  # doctest: +SKIP
        >>> run = potstill.reproduce("table1", scale="smoke")  # doctest: +SKIP
    """
    if not Path(config.run).exists():
        return reproduce_paper(find_target(str(config.run)), config)
    for option in ("scale", "datasets", "teachers", "seeds", "executor", "workers", "address"):
        if getattr(config, option) not in (None, ()):
            raise PotstillError(f"{name_option(option)} has no effect on {config.run}, a run with its own settings")
    return _reproduce_run(config)


def find_target(name: str) -> str:
    """The name of a table or figure of the paper.

    Raises:
        PotstillError: there is neither a run nor a target of this name.
    """
    names = [*TARGETS, ALL]
    if name in names:
        return name
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    raise PotstillError(f"{name} does not exist{hint} Expected a run folder, or one of {', '.join(names)}")


def _reproduce_run(config: ReproduceConfig) -> Run:
    """Run a finished run again, and compare the artefacts."""
    old = Path(config.run)
    saved = Run(old).config
    command = saved.get("command")
    if not isinstance(command, str) or command not in COMMANDS:
        raise PotstillError(f"{old}: a run of '{command}' cannot be repeated, only runs of {', '.join(COMMANDS)}")
    if saved.get("private_noise") is not None:
        raise PotstillError(
            f"{old}: a run of {name_option('private_noise')} cannot be repeated, because its noise is secret"
        )
    result = Run(old).result.to_dict()
    expected, changes = result.get("sha256"), fix_steps(saved, result)
    if config.out is not None and Path(config.out).resolve() == old.resolve():
        raise PotstillError(f"{name_option('out', str(config.out))}: this is the run to reproduce")
    new = _run_again(config, command, read_settings(COMMANDS[command][0], saved, **changes))
    found = new.result["sha256"]
    identical = found == expected
    same = identical or (command in RECORDED and is_same_content(old, new.path, RECORDED[command], expected))
    verdict = {"run": str(old), "expected": expected, "found": found, "identical": identical, "same": same}
    add_file(new.path, "reproduced.json", verdict)
    if not same:
        why = _find_changed_input(old, new.path, RECORDED[command]) if command in RECORDED else ""
        raise PotstillError(f"{new} differs from {old}: sha256 {found[:12]} instead of {str(expected)[:12]}{why}")
    how = f"are byte-identical (sha256 {found[:12]})" if identical else "differ only in warnings or in the version"
    print(f"reproduced: {new} and {old} {how}")
    return new


def _find_changed_input(old: Path, new: Path, kind: str) -> str:
    """Say which input of a run has changed since the first run; empty text if none has, or if it is not known."""
    try:
        before, after = (storage.load(folder / f"{kind}.safetensors", kind)[1] for folder in (old, new))
    except PotstillError:  # the old file is missing or damaged
        return ""
    for name, entry in (("dataset", "dataset"), ("dataset", "dataset_hash"), ("teacher", "teacher")):
        if before.get(entry) != after.get(entry):
            return f", because the {name} has changed"
    return ""


def is_same_content(old: Path, new: Path, kind: str, expected: object) -> bool:
    """Whether two artefacts differ only in what another version of potstill writes: its version and its warnings.

    Args:
        old: the run folder of the first run.
        new: that of the second.
        kind: of the artefacts.
        expected: the SHA-256 of the old artefact. It must not have changed since.
    """
    paths = [folder / f"{kind}.safetensors" for folder in (old, new)]
    if not paths[0].exists() or hash_file(paths[0]) != expected:
        return False
    (arrays, before), (again, after) = (storage.load(path, kind) for path in paths)
    same = arrays.keys() == again.keys() and all(np.array_equal(arrays[name], again[name]) for name in arrays)
    before, after = ({k: v for k, v in known.items() if k not in OF_VERSIONS} for known in (before, after))
    return same and before == after


def _run_again(config: ReproduceConfig, command: str, settings: Any) -> Run:
    """Run a command with the settings of the first run, unless the new run is finished already."""
    settings = dataclasses.replace(settings, out=config.out, force=config.force, resume=config.resume)
    if hasattr(settings, "track"):
        settings = dataclasses.replace(settings, track=None)
    if config.resume and config.out is not None:
        done = find_finished(config.out, {"command": command, **record_settings(settings)})
        if done is not None:
            return Run(done)
    return COMMANDS[command][1](settings)


def fix_steps(saved: JsonObject, result: JsonObject) -> JsonObject:
    """Replace a budget of seconds, in which the number of steps varies, by the number of steps of the first run."""
    if saved.get("budget") is None:
        return {}
    schedule = result["schedule"] if "schedule" in result else result["pace"]  # its name in version 0.1
    steps, how = schedule["steps"], schedule["how"]
    by_number, limited = how == "budget", how in ("limit", "most")
    return {"budget": None, "steps": steps if by_number else None, "max_steps": steps if limited else None}
