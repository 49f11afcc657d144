"""``potstill inspect``: say what a file holds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from potstill.bundled import bundled_names
from potstill.config import InspectConfig
from potstill.config.settings import configured
from potstill.data.mapped import check_header
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError, PotstillWarning
from potstill.networks.policy import load_policy
from potstill.reports.dataset import figures_of
from potstill.reports.faults import refused_figures
from potstill.reports.page import artefact_page, dataset_page, refused_page
from potstill.reports.remarks import warnings_of
from potstill.reports.summary import flat, print_artefact, print_dataset, print_refused
from potstill.runtime import storage
from potstill.runtime.run_folder import RunFolder, check_free, write_atomically
from potstill.teachers.base import load_teacher


@configured(InspectConfig)
def inspect(config: InspectConfig) -> Path:
    """Say what a distillate, teacher, policy or dataset holds, and what is odd about a dataset.

    Prints it, and keeps it as ``result.json`` and as a page, ``inspect.html``. A dataset that its reader
    refuses gets a page of all its faults, where its columns can be read at all, before the error.

    Returns:
        The run folder.

    Raises:
        PotstillError: no such file, damaged, of an unknown version, of no kind known here, or a refused dataset.

    Example:
        >>> import potstill
        >>> run = potstill.inspect("hopper-medium-replay")  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    try:
        facts = describe(config)
    except PotstillError as error:
        refused = refused_figures(Path(config.path), str(error), config.action_scale)
        if refused is None:
            raise
        facts = refused
    folder = RunFolder(config.out, "inspect", config, force=config.force)
    page = folder.path / "inspect.html"
    write_atomically(page, page_of(facts, str(config.path)).encode())
    folder.finish(facts)
    show(facts, str(config.path))
    if facts["kind"] == "refused dataset":
        raise PotstillError(f"{facts['refusal']} (all faults, {len(facts['faults'])}: {page})")
    print(page)
    return folder.path


def page_of(facts: dict[str, Any], name: str) -> str:
    """The page of any facts that :func:`describe` gives."""
    if facts["kind"] == "dataset":
        return dataset_page(facts, facts["warnings"])
    if facts["kind"] == "refused dataset":
        return refused_page(facts)
    return artefact_page(Path(name).name, facts["kind"], flat(facts))


def show(facts: dict[str, Any], name: str) -> None:
    """Print any facts that :func:`describe` gives."""
    if facts["kind"] == "dataset":
        print_dataset(facts, facts["warnings"])
    elif facts["kind"] == "refused dataset":
        print_refused(facts)
    else:
        print_artefact(f"{facts['kind']}: {name}", flat(facts))


def describe(config: InspectConfig) -> dict[str, Any]:
    """The facts of one artefact or dataset, as plain values."""
    path, found = config.path, Path(config.path)
    for artefact in ("distillate.safetensors", "teacher.safetensors"):  # of a run folder
        if (found / artefact).is_file():
            found = found / artefact
    if str(path) in bundled_names() or found.suffix != ".safetensors":
        return describe_dataset(config)
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
    weights = distillate.weights
    return {
        "kind": "distillate",
        "bytes": path.stat().st_size,
        "pairs": len(distillate),
        "weights": "all alike" if weights is None else [weights.min().item(), weights.max().item()],
        "state_size": distillate.states.shape[1],
        "action_size": distillate.actions.shape[1],
        "states_from": distillate.states.min(0).round(3).tolist(),
        "states_to": distillate.states.max(0).round(3).tolist(),
        "actions_from": distillate.actions.min(0).round(3).tolist(),
        "actions_to": distillate.actions.max(0).round(3).tolist(),
        "action_low": distillate.action_bounds.low.tolist(),
        "action_high": distillate.action_bounds.high.tolist(),
        "state_mean": distillate.normaliser.mean.tolist(),
        "state_scale": distillate.normaliser.scale.tolist(),
        **distillate.metadata,
    }


def describe_dataset(config: InspectConfig) -> dict[str, Any]:
    """Figures, warnings and card of a dataset."""
    with warnings.catch_warnings(record=True) as caught:  # the page holds them
        warnings.simplefilter("always", PotstillWarning)
        data = load_dataset(config.path, download=config.download, action_scale=config.action_scale)
        if data.mapped:
            check_header(data, Path(config.path))
    figures, said = figures_of(data), [str(w.message) for w in caught if issubclass(w.category, PotstillWarning)]
    return {**figures, "warnings": [*said, *warnings_of(figures)]}
