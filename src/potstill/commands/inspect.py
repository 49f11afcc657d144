"""``potstill inspect``: report the contents of a file or a dataset."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from potstill.bundled import list_bundled_names
from potstill.config import InspectConfig
from potstill.config.distill_record import SECTIONS, STORED_NAMES, from_stored
from potstill.config.settings import record_settings, takes_options
from potstill.data.mapped import check_header
from potstill.data.registry import ReadOptions, load_dataset
from potstill.errors import PotstillError, PotstillWarning
from potstill.reports.artefacts import describe_artefact
from potstill.reports.dataset import summarise_dataset
from potstill.reports.dataset_warnings import find_dataset_warnings
from potstill.reports.faults import summarise_refused
from potstill.reports.page import make_artefact_page, make_dataset_page, make_refused_page
from potstill.reports.schema import DatasetStatistics
from potstill.reports.summary import flatten_facts, print_artefact, print_dataset, print_refused
from potstill.runtime.files import JsonObject, write_atomically
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free

ARTEFACTS = ("distillate.safetensors", "teacher.safetensors", "world.safetensors")  # in a run folder


@takes_options(InspectConfig)
def inspect(config: InspectConfig) -> Run:
    """Report the contents of a distillate, teacher, policy, world model or dataset, with warnings about a dataset.

    The report is printed, and saved as ``result.json`` and as a page, ``inspect.html``. If the reader refuses a dataset
    but some of its columns can be read, a page with all faults is written before the error is raised.

    Returns:
        The run.

    Raises:
        PotstillError: the file does not exist, is damaged, or has an unknown kind or version; or the dataset is
            refused.

    Example:
        >>> import potstill
        >>> run = potstill.inspect("hopper-medium-replay")  # doctest: +SKIP
        >>> run.result.returns.mean  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    path = _find_artefact(Path(config.path))
    if str(config.path) not in list_bundled_names() and path.suffix == ".safetensors":
        return _inspect_artefact(config, path)
    try:
        statistics, found = _describe_dataset(config)
    except PotstillError as error:
        refused = summarise_refused(Path(config.path), str(error), ReadOptions.of(**config.reading))
        if refused is None:
            raise
        page = _save(config, dict(refused), lambda: make_refused_page(refused)) / "inspect.html"
        print_refused(refused)
        raise PotstillError(f"{error} (faults found: {len(refused['faults'])}, listed in {page})") from None
    run = _save(config, {**statistics, "warnings": found}, lambda: make_dataset_page(statistics, found))
    print_dataset(statistics, found)
    print(run / "inspect.html")
    return run


def _inspect_artefact(config: InspectConfig, path: Path) -> Run:
    facts = _use_current_names(describe_artefact(path))
    kind, rows = facts["kind"], flatten_facts(facts)
    run = _save(config, facts, lambda: make_artefact_page(Path(config.path).name, kind, rows))
    print_artefact(f"{kind}: {config.path}", rows)
    print(run / "inspect.html")
    return run


def _use_current_names(facts: JsonObject) -> JsonObject:
    """Give the settings in a distillate's metadata, which have the names of version 0.1, their current names."""
    named = {name: from_stored(facts[name]) for name in ("settings", "student") if isinstance(facts.get(name), dict)}
    old = {*SECTIONS, *STORED_NAMES.values()}  # from_stored has copied what they hold
    return facts | {name: {k: v for k, v in fields.items() if k not in old} for name, fields in named.items()}


def _find_artefact(path: Path) -> Path:
    """Return the artefact in a run folder, or ``path`` itself."""
    return next((path / name for name in ARTEFACTS if os.path.isfile(path / name)), path)


def _describe_dataset(config: InspectConfig) -> tuple[DatasetStatistics, list[str]]:
    """The statistics of a dataset, and all warnings about it."""
    with warnings.catch_warnings(record=True) as caught:  # they are shown on the page
        warnings.simplefilter("always", PotstillWarning)
        source = config.path if isinstance(config.path, str) else Path(config.path)
        data = load_dataset(source, download=config.download, **config.reading)
        if data.mapped:
            check_header(data, Path(config.path))
    statistics = summarise_dataset(data)
    raised = [str(warning.message) for warning in caught if issubclass(warning.category, PotstillWarning)]
    return statistics, [*raised, *find_dataset_warnings(statistics)]


def _save(config: InspectConfig, result: JsonObject, make_page: Callable[[], str]) -> Run:
    """Write the result, then the page."""
    with RunFolder(config.out, "inspect", record_settings(config), force=config.force) as folder:
        folder.finish(result)
        write_atomically(folder.path / "inspect.html", make_page().encode())
    return folder.run
